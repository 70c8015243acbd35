// SPDX-License-Identifier: Apache-2.0
/* A directory as a bundle: its tree is copied through the same writer as an archive's entries, with
 * the same rules. Nothing is parsed, so this needs no process of its own. Files belong to whoever
 * copies them, as with the official agent; modes and times are kept. */
#include "agent/worker/bundle-unpack.h"
#include "agent/worker/bundle-write.h"
#include "common/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

struct copy {
	const struct bundle_job *job;
	struct bundle_writer w;
	struct stat avoid;
	struct room need; /* of all that is in the source */
	bool clones;      /* a file of it, the first that has content, can share its blocks */
	bool probed;
};

/* What a file takes on disk: holes cost nothing. */
static uint64_t real_bytes(const struct stat *st)
{
	uint64_t blocks = (uint64_t)st->st_blocks * 512, size = (uint64_t)st->st_size;
	return blocks < size ? blocks : size;
}

static int copy_file(struct copy *c, const struct fs_entry *from, struct error *err)
{
	auto_close int in = openat(from->dirfd, from->name,
				   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	if (in < 0 || fstat(in, &st) < 0)
		return error_errno(err, "open '%.200s'", from->path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_INPUT, "'%.200s' changed while it was copied",
				 from->path);
	int r = bundle_write_count(&c->w, real_bytes(&st), err);
	if (r == 0)
		r = fs_copy_content(in, c->w.file_fd, FS_COPY_PLAIN, err);
	if (r < 0)
		return error_prefix(err, r, "'%.200s'", from->path);
	if (c->job->progress)
		c->job->progress(c->w.bytes, c->need.bytes, c->job->arg);
	return bundle_write_end(&c->w, 0, err);
}

static int refuse_own(const struct copy *c, const struct fs_entry *from, struct error *err)
{
	if (from->st.st_ino != c->avoid.st_ino || from->st.st_dev != c->avoid.st_dev)
		return 0;
	return error_set(err, ERR_INPUT,
			 "'%.200s' is where revisions are unpacked: the bundle must not hold this "
			 "host's own files",
			 from->path);
}

static int read_symlink(const struct fs_entry *from, char out[PATH_MAX], struct error *err)
{
	ssize_t n = readlinkat(from->dirfd, from->name, out, PATH_MAX - 1);
	if (n < 0)
		return error_errno(err, "read the symlink '%.200s'", from->path);
	out[n] = '\0';
	return 0;
}

static void probe(struct copy *c, const struct fs_entry *from)
{
	auto_close int in = openat(from->dirfd, from->name,
				   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	c->probed = true;
	c->clones = in >= 0 && fs_can_clone(in, c->job->dir_fd);
}

/* fs_walk_fn: what all of it needs, before any of it is copied. */
static int measure_entry(const struct fs_entry *from, void *arg, struct error *err)
{
	struct copy *c = arg;
	int r = refuse_own(c, from, err);
	if (r < 0)
		return r;
	c->need.inodes++;
	if (!S_ISREG(from->st.st_mode))
		return 0;
	c->need.bytes += real_bytes(&from->st);
	if (!c->probed && from->st.st_blocks > 0)
		probe(c, from);
	return 0;
}

static int check_room(struct copy *c, struct error *err)
{
	int r = fs_walk(c->job->source->fd, 0, measure_entry, c, err);
	const struct room need = {.bytes = c->clones ? 0 : c->need.bytes, .inodes = c->need.inodes};
	return r < 0 ? r : bundle_write_expect(&c->w, &need, err);
}

/* fs_walk_fn */
static int copy_entry(const struct fs_entry *from, void *arg, struct error *err)
{
	struct copy *c = arg;
	char link[PATH_MAX];
	int r = refuse_own(c, from, err);
	if (r < 0)
		return r;
	struct bundle_entry entry = {.path = from->path,
				     .mode = from->st.st_mode,
				     .uid = c->w.uid,
				     .gid = c->w.gid,
				     .has_mtime = true,
				     .mtime = from->st.st_mtim,
				     .device = from->st.st_rdev};
	if (S_ISLNK(entry.mode)) {
		r = read_symlink(from, link, err);
		entry.symlink = link;
	}
	if (r == 0)
		r = bundle_write_entry(&c->w, &entry, err);
	if (r == 0 && S_ISREG(entry.mode))
		r = copy_file(c, from, err);
	return r;
}

int bundle_copy_directory(const struct bundle_job *job, int avoid_fd, struct bundle_stats *ret,
			  struct error *err)
{
	struct copy c = {.job = job};
	if (fstat(avoid_fd, &c.avoid) < 0)
		return error_errno(err, "look at a directory");
	mode_t before = umask(0);
	int r = bundle_writer_init(&c.w, job->dir_fd, job->limits, err);
	if (r == 0)
		r = check_room(&c, err);
	if (r == 0)
		r = fs_walk(job->source->fd, 0, copy_entry, &c, err);
	if (r == 0)
		r = bundle_write_finish(&c.w, err);
	ret->entries = c.w.entries;
	ret->bytes = c.w.bytes;
	bundle_writer_clear(&c.w);
	umask(before);
	return r;
}
