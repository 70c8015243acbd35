// SPDX-License-Identifier: Apache-2.0
/* Making an endpoint, and finding it again. What was decided once (region, account, names) is in
 * the store. The last step sets "initialised": a crash before it makes the next call do it all
 * again, but for the CA, which is never made twice. */
#include "control/control.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"
#include "control/ca.h"
#include "control/keys.h"
#include "control/store.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETUP_WAIT_MS 20000

/* A value of the store, NULL when it has none. */
static int remembered(struct store *store, const char *name, char **ret, struct error *err)
{
	int r = store_meta_get(store, name, ret, err);
	return r == ERR_NOT_FOUND ? 0 : r;
}

/* Region or account: what was decided at the first time holds. */
static int settle_once(struct store *store, const char *name, char **setting, const char *def,
		       struct error *err)
{
	auto_free char *known = NULL;
	int r = remembered(store, name, &known, err);
	if (r < 0)
		return r;
	if (known && *setting && strcmp(known, *setting) != 0)
		return error_set(
			err, ERR_INPUT,
			"%s '%s' is asked for, but this endpoint was made with '%s', which "
			"is in the names of its hosts: leave the setting out",
			name, *setting, known);
	if (!*setting)
		*setting = xstrdup(known ? known : def);
	return known ? 0 : store_meta_set(store, name, *setting, err);
}

/* All names the server is to be known by: remembered ones, new ones, those of control.yml. */
static int settle_names(struct control *control, const char *const names[], char ***ret,
			struct error *err)
{
	auto_free char *known = NULL;
	auto_buf struct buf keep = BUF_INIT(8192);
	int r = remembered(control->store, "names", &known, err);
	if (r < 0)
		return r;
	buf_adds(&keep, known ? known : "");
	for (; names && *names; names++) {
		auto_free char *wanted = xasprintf(",%s,", *names);
		auto_free char *have = xasprintf(",%s,", buf_str(&keep));
		if (!strstr(have, wanted))
			buf_addf(&keep, "%s%s", keep.len ? "," : "", *names);
	}
	r = buf_check(&keep, "names", err);
	if (r >= 0 && !str_eq(known ? known : "", buf_str(&keep)))
		r = store_meta_set(control->store, "names", buf_str(&keep), err);
	if (r < 0)
		return r;
	const char *more = control->settings.names ? control->settings.names : "";
	auto_free char *all =
		xasprintf("%s%s%s", buf_str(&keep), *more && keep.len ? "," : "", more);
	*ret = str_split(all, ',');
	for (char **name = *ret; *name; name++) { /* "a, b" is allowed */
		size_t blanks = strspn(*name, " ");
		memmove(*name, *name + blanks, strlen(*name + blanks) + 1);
		(*name)[strcspn(*name, " ")] = '\0';
	}
	return 0;
}

/* Until it serves, the best guess: the listening address, or the name with its port. */
static char *guess_endpoint(const struct control *control)
{
	const char *listen = control->settings.listen;
	const char *port = strrchr(listen, ':');
	if (port &&
	    (port == listen || str_starts(listen, "0.0.0.0:") || str_starts(listen, "[::]:")))
		return xasprintf("https://%s%s", control->name, port);
	return xasprintf("https://%s", listen);
}

static int write_credentials(const struct control *control, const struct store_key *key,
			     struct error *err)
{
	auto_json json_t *doc = json_object();
	json_set_str(doc, "endpoint", control->endpoint);
	json_set_str(doc, "access_key_id", key->id);
	json_set_str(doc, "secret_access_key", key->secret);
	json_set_str(doc, "region", control->settings.region);
	json_set_str(doc, "ca", ca_pem(control->ca));
	return json_write_file(control->dirfd, CONTROL_CREDENTIALS, doc, 0600, err);
}

/* The first key. The file is written before the commit: a key that nobody can read is of no use. */
static int make_first_key(struct control *control, struct error *err)
{
	struct store_key key;
	auto_free char *done = NULL;
	int r = remembered(control->store, "initialised", &done, err);
	if (r < 0 || done)
		return r;
	control->made = true;
	r = keys_make(control->store, "admin", &key, err);
	if (r >= 0)
		r = write_credentials(control, &key, err);
	explicit_bzero(&key, sizeof(key));
	if (r >= 0)
		r = store_meta_set(control->store, "endpoint", control->endpoint, err);
	if (r >= 0)
		r = store_meta_set(control->store, "initialised", "1", err);
	return r;
}

/* The system's own directory belongs to the service's user, whoever makes it. */
static int give_away(int dirfd, const char *dir, struct error *err)
{
	const struct passwd *user =
		geteuid() == 0 && strcmp(dir, CONTROL_DIR) == 0 ? getpwnam(CONTROL_USER) : NULL;
	if (user && fchown(dirfd, user->pw_uid, user->pw_gid) < 0)
		return error_errno(err, "give '%s' to user '" CONTROL_USER "'", dir);
	return 0;
}

/* Root acts as the directory's owner, for good: what root made in it (the database's own files,
 * keys) would be out of the service's reach. */
static int become_owner(int dirfd, const char *dir, struct error *err)
{
	struct stat st;
	if (fstat(dirfd, &st) < 0)
		return error_errno(err, "look at '%s'", dir);
	if (geteuid() != 0 || st.st_uid == 0)
		return 0;
	if (setgroups(1, &st.st_gid) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
		return error_errno(err, "act as the owner of '%s'", dir);
	return 0;
}

static int open_directory(struct control *control, const char *dir, struct error *err)
{
	bool missing = access(dir, F_OK) < 0;
	int r = fs_mkdirs_path(dir, 0700, err);
	if (r < 0)
		return error_prefix(err, r, "make '%s'", dir);
	control->dir = realpath(dir, NULL);
	if (!control->dir)
		return error_errno(err, "'%s'", dir);
	control->dirfd = open(control->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (control->dirfd < 0)
		return error_errno(err, "open '%s'", dir);
	r = missing ? give_away(control->dirfd, dir, err) : 0;
	if (r >= 0)
		r = become_owner(control->dirfd, dir, err);
	if (r < 0)
		return r;
	struct stat st;
	if (fstat(control->dirfd, &st) == 0 && (st.st_mode & 077) && st.st_uid == geteuid())
		fchmod(control->dirfd, 0700); /* keys and secrets are below it */
	return 0;
}

static int open_store(struct control *control, struct error *err)
{
	struct settings *settings = &control->settings;
	int r = store_open(control->dir, &control->store, err);
	if (r >= 0)
		r = settle_once(control->store, "region", &settings->region, "us-east-1", err);
	if (r >= 0)
		r = settle_once(control->store, "account", &settings->account, "000000000000", err);
	return r;
}

static int open_parts(struct control *control, const char *const names[], struct error *err)
{
	char **all = NULL, host[HOST_NAME_MAX + 1] = "localhost";
	gethostname(host, sizeof(host) - 1);
	int r = open_store(control, err);
	if (r >= 0)
		r = settle_names(control, names, &all, err);
	if (r >= 0) {
		control->name = xstrdup(all[0][0] ? all[0] : host);
		r = ca_open(control->dirfd, &control->ca, err);
	}
	if (r >= 0 && names)
		r = ca_renew(control->ca, (const char *const *)all, clock_wall_s(), NULL, err);
	str_list_free(all);
	if (r >= 0)
		r = remembered(control->store, "endpoint", &control->endpoint, err);
	if (r >= 0 && !control->endpoint)
		control->endpoint = guess_endpoint(control);
	if (r >= 0)
		r = make_first_key(control, err);
	return r < 0 ? r : store_commit(control->store, err);
}

/* A token of an endpoint that a slip of the fingers made would be of no use to anybody. */
static int need_endpoint(const char *dir, struct error *err)
{
	auto_free char *store = xasprintf("%s/control.db", dir);
	if (access(store, F_OK) == 0 || errno != ENOENT)
		return 0;
	return error_set(err, ERR_INPUT,
			 "there is no endpoint in '%s': 'slipway-controld init' makes one", dir);
}

int control_open(struct control *control, const char *dir, const char *const names[],
		 struct error *err)
{
	int r = names ? 0 : need_endpoint(dir, err);
	if (r >= 0)
		r = open_directory(control, dir, err);
	if (r < 0)
		return r;
	auto_close int lock = fs_lock(control->dirfd, "setup.lock", SETUP_WAIT_MS, err);
	if (lock < 0)
		return lock;
	r = open_parts(control, names, err);
	return r < 0 ? error_prefix(err, r, "%s", control->dir) : r;
}

void control_close(struct control *control)
{
	store_close(control->store);
	ca_free(control->ca);
	settings_clear(&control->settings);
	fs_close_quiet(control->dirfd);
	free(control->dir);
	free(control->name);
	free(control->endpoint);
	*control = CONTROL_INIT;
}

int control_commit(struct control *control, struct error *err)
{
	int r = store_commit(control->store, err);
	if (r < 0)
		return r;
	auto_close int fd = openat(control->dirfd, "changed",
				   O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || futimens(fd, NULL) < 0)
		return error_errno(err, "tell the running endpoint (touch %s/changed)",
				   control->dir);
	return 0;
}
