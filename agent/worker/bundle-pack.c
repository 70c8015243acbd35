// SPDX-License-Identifier: Apache-2.0
/* A directory becomes an archive, the same bytes for the same tree wherever and whoever packs it:
 * names are sorted, everything belongs to 0, times have whole seconds and no zone, and gzip's own
 * time is left out. */
#include "agent/worker/bundle.h"
#include "common/alloc.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/str.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define STEP ((size_t)256 * 1024)

static void pack_free(struct archive *a)
{
	archive_write_free(a);
}
DEFINE_CLEANUP(struct archive *, pack_free)
#define auto_pack CLEANUP(pack_free_at)

struct pack {
	struct archive *a;
	int out_fd;
	struct stat out; /* it may lie in the directory that is packed */
	struct digest *digest;
	char *step;
	struct bundle_stats stats;
	struct error err; /* why writing failed */
};

static int pack_failed(struct pack *p, struct error *err)
{
	if (p->err.code < 0)
		return error_set(err, p->err.code, "%s", p->err.text);
	const char *why = archive_error_string(p->a);
	return error_set(err, -EIO, "%s", why ? why : "the archive cannot be written");
}

/* archive_write_callback */
static ssize_t write_out(struct archive *a, void *arg, const void *data, size_t len)
{
	struct pack *p = arg;
	int r = fs_write_all(p->out_fd, data, len);
	if (r < 0) {
		error_set(&p->err, r, "write the archive: %s", strerror(-r));
		archive_set_error(a, -r, "%s", p->err.text);
		return -1;
	}
	digest_update(p->digest, data, len);
	return (ssize_t)len;
}

static int open_pack(struct pack *p, enum bundle_type type, struct error *err)
{
	struct archive *a = p->a;
	int r = ARCHIVE_OK;
	if (type == BUNDLE_TGZ) {
		archive_write_set_format_pax_restricted(a);
		archive_write_add_filter_gzip(a);
		r = archive_write_set_filter_option(a, "gzip", "timestamp", NULL);
	} else {
		archive_write_set_format_zip(a);
	}
	/* no padding of the last block: the output is a file */
	archive_write_set_bytes_in_last_block(a, 1);
	if (r == ARCHIVE_OK)
		r = archive_write_open(a, p, NULL, write_out, NULL);
	return r == ARCHIVE_OK ? 0 : pack_failed(p, err);
}

static int pack_data(struct pack *p, const struct fs_entry *from, struct error *err)
{
	auto_close int in = openat(from->dirfd, from->name,
				   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (in < 0)
		return error_errno(err, "open '%s'", from->path);
	uint64_t left = (uint64_t)from->st.st_size;
	while (left > 0) {
		ssize_t n = read(in, p->step, left < STEP ? (size_t)left : STEP);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "read '%s'", from->path);
		if (n == 0)
			return error_set(err, ERR_CONFLICT,
					 "'%s' became shorter while it was packed", from->path);
		if (archive_write_data(p->a, p->step, (size_t)n) != n)
			return pack_failed(p, err);
		left -= (uint64_t)n;
		p->stats.bytes += (uint64_t)n;
	}
	return 0;
}

static int pack_entry(struct pack *p, const struct fs_entry *from, struct archive_entry *entry,
		      struct error *err)
{
	archive_entry_copy_pathname(entry, from->path);
	archive_entry_set_mode(entry, from->st.st_mode);
	archive_entry_set_mtime(entry, from->st.st_mtim.tv_sec, 0);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	if (S_ISREG(from->st.st_mode))
		archive_entry_set_size(entry, from->st.st_size);
	if (S_ISLNK(from->st.st_mode)) {
		char target[PATH_MAX];
		ssize_t n = readlinkat(from->dirfd, from->name, target, sizeof(target) - 1);
		if (n < 0)
			return error_errno(err, "read the symlink '%s'", from->path);
		target[n] = '\0';
		archive_entry_copy_symlink(entry, target);
		archive_entry_set_size(entry, 0);
	}
	int r = archive_write_header(p->a, entry);
	/* a warning is about a name that is not UTF-8: its bytes were written */
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return pack_failed(p, err);
	p->stats.entries++;
	return S_ISREG(from->st.st_mode) ? pack_data(p, from, err) : 0;
}

/* fs_walk_fn */
static int pack_visit(const struct fs_entry *from, void *arg, struct error *err)
{
	struct pack *p = arg;
	mode_t mode = from->st.st_mode;
	if (from->st.st_ino == p->out.st_ino && from->st.st_dev == p->out.st_dev)
		return 0;
	if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode))
		return error_set(err, ERR_INPUT,
				 "'%s' is neither file, directory nor symlink: it cannot be packed",
				 from->path);
	struct archive_entry *entry = archive_entry_new();
	if (!entry)
		return error_set(err, -ENOMEM, "out of memory");
	int r = pack_entry(p, from, entry, err);
	archive_entry_free(entry);
	return r;
}

static int need_appspec(int dir_fd, struct error *err)
{
	static const char *const names[] = {"appspec.yml", "appspec.yaml"};
	struct stat st;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (fstatat(dir_fd, names[i], &st, 0) == 0 && S_ISREG(st.st_mode))
			return 0;
	return error_set(err, -ENOENT, "there is no appspec.yml in the directory to be packed");
}

static int pack_all(struct pack *p, int dir_fd, enum bundle_type type, struct error *err)
{
	if (fstat(p->out_fd, &p->out) < 0)
		return error_errno(err, "look at the output");
	int r = digest_new_sha256(&p->digest, err);
	if (r == 0)
		r = open_pack(p, type, err);
	if (r == 0)
		r = fs_walk(dir_fd, FS_WALK_SORTED, pack_visit, p, err);
	if (r == 0 && archive_write_close(p->a) != ARCHIVE_OK)
		r = pack_failed(p, err);
	return r;
}

/* A zip holds local time: for these calls it is UTC. */
static char *set_utc(void)
{
	char *before = xstrdup_null(getenv("TZ"));
	setenv("TZ", "UTC0", 1);
	tzset();
	return before;
}

static void restore_zone(char *before)
{
	if (before)
		setenv("TZ", before, 1);
	else
		unsetenv("TZ");
	tzset();
	free(before);
}

int bundle_pack(int dir_fd, enum bundle_type type, int out_fd, struct bundle_stats *ret,
		struct error *err)
{
	if (type != BUNDLE_TGZ && type != BUNDLE_ZIP)
		return error_set(err, -EINVAL, "a bundle is packed as tgz or zip, not as %s",
				 bundle_type_to_string(type));
	int r = need_appspec(dir_fd, err);
	if (r < 0)
		return r;
	auto_pack struct archive *a = archive_write_new();
	if (!a)
		return error_set(err, -ENOMEM, "libarchive: out of memory");
	struct pack p = {.a = a, .out_fd = out_fd, .step = xcalloc(1, STEP)};
	char *zone = set_utc();
	r = pack_all(&p, dir_fd, type, err);
	restore_zone(zone);
	if (r == 0) {
		digest_hex(p.digest, p.stats.sha256);
		if (ret)
			*ret = p.stats;
	}
	digest_free(p.digest);
	free(p.step);
	return r;
}
