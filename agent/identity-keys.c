// SPDX-License-Identifier: Apache-2.0
#include "agent/identity-keys.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_MAX (16 * 1024)
#define PENDING "keys.new"

int identity_become_owner(int dirfd, struct identity_owner *ret, struct error *err)
{
	struct stat st;
	ret->changed = false;
	if (fstat(dirfd, &st) < 0)
		return error_errno(err, "look at the directory of the identity");
	if (geteuid() != 0 || st.st_uid == 0)
		return 0;
	ret->changed = true;
	if (setegid(st.st_gid) < 0 || seteuid(st.st_uid) < 0)
		return error_errno(err, "act as the agent's user");
	return 0;
}

void identity_become_self(struct identity_owner *owner)
{
	if (owner->changed && (seteuid(0) < 0 || setegid(0) < 0))
		abort(); /* root would go on as somebody else */
}

static int open_dir(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int read_pending(int fd, EVP_PKEY **ret, struct error *err)
{
	auto_free char *pem = NULL;
	int r = fs_read_file(fd, "key.pem", KEY_MAX, &pem, NULL, err);
	if (r < 0)
		return r;
	return pki_key_from_pem(pem, ret, err);
}

static int write_pending(int fd, EVP_PKEY **ret, struct error *err)
{
	auto_pkey EVP_PKEY *key = NULL;
	int r = pki_key_new(&key, err);
	if (r < 0)
		return r;
	auto_free char *pem = NULL;
	r = pki_key_to_pem(key, &pem, err);
	if (r < 0)
		return r;
	r = fs_write_atomic(fd, "key.pem", pem, strlen(pem), 0600, err);
	explicit_bzero(pem, strlen(pem));
	if (r < 0)
		return r;
	*ret = TAKE(key);
	return 0;
}

int identity_keys_pending(int dirfd, EVP_PKEY **ret, struct error *err)
{
	if (mkdirat(dirfd, PENDING, 0700) < 0 && errno != EEXIST)
		return error_errno(err, "make a directory for the key");
	auto_close int fd = open_dir(dirfd, PENDING);
	if (fd < 0)
		return error_errno(err, "open the directory of the key");
	/* a key that cannot be read is as good as none: nobody has a certificate for it */
	if (read_pending(fd, ret, NULL) == 0)
		return 0;
	int r = write_pending(fd, ret, err);
	if (r < 0)
		return error_prefix(err, r, "make a key");
	return fs_sync_dir(dirfd, err);
}

/* "keys.12" gives 12; 0 for other names. */
static uint64_t generation_of(const char *name)
{
	uint64_t n;
	if (!str_starts(name, "keys.") || str_to_u64(name + 5, &n) < 0)
		return 0;
	return n;
}

struct scan {
	uint64_t highest;
	const char *keep; /* NULL: only look */
};

static int scan_entry(const struct fs_entry *entry, void *arg, struct error *err)
{
	struct scan *scan = arg;
	uint64_t n = generation_of(entry->name);
	if (n > scan->highest)
		scan->highest = n;
	bool stale = scan->keep && str_starts(entry->name, "keys") &&
		     !str_eq(entry->name, scan->keep) && !str_eq(entry->name, "keys");
	int r = stale ? fs_remove_tree(entry->dirfd, entry->name, err) : 0;
	return r < 0 ? r : FS_WALK_SKIP;
}

static int point_at(int dirfd, const char *target, struct error *err)
{
	static const char beside[] = "keys.link";
	fs_unlink_quiet(dirfd, beside);
	if (symlinkat(target, dirfd, beside) < 0)
		return error_errno(err, "make a link to '%s'", target);
	if (renameat(dirfd, beside, dirfd, "keys") < 0)
		return error_errno(err, "switch to '%s'", target);
	return fs_sync_dir(dirfd, err);
}

static int finish_pending(int dirfd, const char *cert_pem, struct error *err)
{
	auto_close int fd = open_dir(dirfd, PENDING);
	if (fd < 0)
		return error_errno(err, "open the directory of the key");
	return fs_write_atomic(fd, "cert.pem", cert_pem, strlen(cert_pem), 0644, err);
}

/* dir: "keys.new", or "keys", the symlink. */
static bool holds_key_of(int dirfd, const char *dir, int flags, X509 *cert)
{
	auto_close int fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
	auto_pkey EVP_PKEY *key = NULL;
	return fd >= 0 && read_pending(fd, &key, NULL) == 0 && pki_cert_is_of_key(cert, key);
}

int identity_keys_have(int dirfd, const char *cert_pem, struct error *err)
{
	auto_x509 X509 *cert = NULL;
	int r = pki_cert_from_pem(cert_pem, &cert, err);
	if (r < 0)
		return r;
	return holds_key_of(dirfd, PENDING, O_NOFOLLOW, cert) ||
	       holds_key_of(dirfd, "keys", 0, cert);
}

static int counts_already(int dirfd, const char *cert_pem, struct error *err)
{
	auto_x509 X509 *cert = NULL;
	int r = pki_cert_from_pem(cert_pem, &cert, err);
	return r < 0 ? r : holds_key_of(dirfd, "keys", 0, cert);
}

int identity_keys_switch(int dirfd, const char *cert_pem, struct error *err)
{
	struct scan scan = {0};
	int r = counts_already(dirfd, cert_pem, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = finish_pending(dirfd, cert_pem, err);
	if (r >= 0)
		r = fs_walk(dirfd, 0, scan_entry, &scan, err);
	if (r < 0)
		return r;
	auto_free char *name = xasprintf("keys.%llu", (unsigned long long)scan.highest + 1);
	if (renameat(dirfd, PENDING, dirfd, name) < 0)
		return error_errno(err, "name the new key '%s'", name);
	r = fs_sync_dir(dirfd, err);
	if (r >= 0)
		r = point_at(dirfd, name, err);
	if (r < 0)
		return r;
	scan.keep = name;
	return fs_walk(dirfd, 0, scan_entry, &scan, err);
}

int identity_keys_remove(int dirfd, struct error *err)
{
	struct scan scan = {.keep = ""};
	if (unlinkat(dirfd, "keys", 0) < 0 && errno != ENOENT)
		return error_errno(err, "remove 'keys'");
	return fs_walk(dirfd, 0, scan_entry, &scan, err);
}
