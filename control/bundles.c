// SPDX-License-Identifier: Apache-2.0
/* Why each crash point is safe: a file below tmp/ means nothing and is removed at the next start; a
 * file below sha256/ or parts/ was synced before its rename, so its content is whole; the row in
 * the store is written after that, so a row always has its file. A content without a row wastes
 * room until the same one comes again; a part without a row is removed at the next start.
 *
 * Parts are joined by copying them, or, where the file system can share their blocks, without. */
#include "control/bundles.h"

#include "common/alloc.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/str.h"
#include "control/jobs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define READ_STEP ((size_t)256 * 1024)

struct bundle_upload {
	struct job job;
	struct bundles *bundles;
	struct bundle_upload *next; /* in bundles->storing */
	int fd;
	char name[BUNDLE_NAME_LEN + 1]; /* in tmp/, "" once it has its final name */
	uint64_t offset, max_bytes;
	struct digest *sha256, *md5; /* md5: NULL while parts are joined */
	struct bundle_digest digest;
	struct bundle_range from; /* of a copy; fd -1 otherwise */
	struct bundle_digest *ret_digest;
	bundle_done_fn *done;
	void *arg;
};

struct bundles {
	int tmp_fd, sha256_fd, parts_fd;
	struct jobs *syncs, *joins;
	struct bundle_upload *storing; /* contents that the thread gives their names */
	unsigned joining;
};

/* ---- uploads ---- */

static void upload_free(struct bundle_upload *upload)
{
	if (upload->name[0])
		fs_unlink_quiet(upload->bundles->tmp_fd, upload->name);
	fs_close_quiet(upload->fd);
	fs_close_quiet(upload->from.fd);
	digest_free(upload->sha256);
	digest_free(upload->md5);
	free(upload);
}
DEFINE_CLEANUP(struct bundle_upload *, upload_free)

static int upload_new(struct bundles *bundles, uint64_t max_bytes, struct bundle_upload **ret,
		      struct error *err)
{
	CLEANUP(upload_free_at)
	struct bundle_upload *upload = xcalloc(1, sizeof(*upload));
	upload->bundles = bundles;
	upload->from.fd = -1;
	upload->max_bytes = max_bytes;
	str_random(upload->name, BUNDLE_NAME_LEN);
	upload->fd =
		openat(bundles->tmp_fd, upload->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (upload->fd < 0)
		return error_errno(err, "make a file for the upload");
	int r = digest_new_sha256(&upload->sha256, err);
	if (r < 0)
		return r;
	*ret = TAKE(upload);
	return 0;
}

int bundle_upload_new(struct bundles *bundles, uint64_t max_bytes, struct bundle_upload **ret,
		      struct error *err)
{
	CLEANUP(upload_free_at)
	struct bundle_upload *upload = NULL;
	int r = upload_new(bundles, max_bytes, &upload, err);
	if (r >= 0)
		r = digest_new_md5(&upload->md5, err);
	if (r < 0)
		return r;
	*ret = TAKE(upload);
	return 0;
}

static bool is_zero(const char *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static void hash(struct bundle_upload *upload, const void *data, size_t len)
{
	digest_update(upload->sha256, data, len);
	if (upload->md5)
		digest_update(upload->md5, data, len);
}

/* Zeros become a hole: large sparse bundles stay small on disk. */
static int put_bytes(struct bundle_upload *upload, const char *data, size_t len, uint64_t offset,
		     struct error *err)
{
	size_t done = is_zero(data, len) ? len : 0;
	while (done < len) {
		ssize_t n = pwrite(upload->fd, data + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "write the upload");
		done += (size_t)n;
	}
	return 0;
}

int bundle_upload_write(struct bundle_upload *upload, const void *data, size_t len,
			struct error *err)
{
	if (len > upload->max_bytes - upload->offset)
		return error_set(err, ERR_LIMIT, "the object has more than %ju bytes",
				 (uintmax_t)upload->max_bytes);
	hash(upload, data, len);
	int r = put_bytes(upload, data, len, upload->offset, err);
	upload->offset += len;
	return r;
}

int bundle_upload_end(struct bundle_upload *upload, struct bundle_digest *ret, struct error *err)
{
	char md5[DIGEST_SHA256_HEX] = "";
	if (ftruncate(upload->fd, (off_t)upload->offset) < 0)
		return error_errno(err, "set the size of the upload");
	digest_hex(upload->sha256, upload->digest.sha256);
	if (upload->md5)
		digest_hex(upload->md5, md5);
	memcpy(upload->digest.md5, md5, sizeof(upload->digest.md5) - 1);
	upload->digest.size = upload->offset;
	*ret = upload->digest;
	return 0;
}

void bundle_upload_cancel(struct bundle_upload *upload)
{
	if (upload)
		upload_free(upload);
}

/* ---- storing: on the thread ---- */

static int store_content(struct bundle_upload *upload, struct error *err)
{
	struct bundles *bundles = upload->bundles;
	const char *sha256 = upload->digest.sha256;
	char folder[3] = {sha256[0], sha256[1], '\0'};
	if (fsync(upload->fd) < 0)
		return error_errno(err, "sync the upload");
	auto_close int dirfd = fs_mkdirs(bundles->sha256_fd, folder, 0700, err);
	if (dirfd < 0)
		return dirfd;
	if (renameat(bundles->tmp_fd, upload->name, dirfd, sha256) < 0)
		return error_errno(err, "give the upload its name");
	upload->name[0] = '\0';
	int r = fs_sync_dir(dirfd, err);
	return r < 0 ? r : fs_sync_dir(bundles->sha256_fd, err);
}

static int run_store(struct job *job, struct error *err)
{
	return store_content((struct bundle_upload *)job, err);
}

static int run_keep(struct job *job, struct error *err)
{
	struct bundle_upload *upload = (struct bundle_upload *)job;
	struct bundles *bundles = upload->bundles;
	if (fsync(upload->fd) < 0)
		return error_errno(err, "sync the part");
	if (renameat(bundles->tmp_fd, upload->name, bundles->parts_fd, upload->name) < 0)
		return error_errno(err, "give the part its name");
	upload->name[0] = '\0';
	return fs_sync_dir(bundles->parts_fd, err);
}

/* ---- storing: on the loop ---- */

static void on_kept(struct job *job, int result, const struct error *err)
{
	struct bundle_upload *upload = (struct bundle_upload *)job;
	upload->done(result, err, upload->arg);
	upload_free(upload);
}

static void on_stored(struct job *job, int result, const struct error *err)
{
	struct bundle_upload *upload = (struct bundle_upload *)job;
	struct bundle_upload **at = &upload->bundles->storing;
	while (*at != upload)
		at = &(*at)->next;
	*at = upload->next;
	on_kept(job, result, err);
}

void bundle_upload_store(struct bundle_upload *upload, bundle_done_fn *done, void *arg)
{
	upload->done = done;
	upload->arg = arg;
	upload->next = upload->bundles->storing;
	upload->bundles->storing = upload;
	upload->job = (struct job){.run = run_store, .done = on_stored};
	jobs_add(upload->bundles->syncs, &upload->job);
}

void bundle_upload_keep(struct bundle_upload *upload, char ret_file[BUNDLE_NAME_LEN + 1],
			bundle_done_fn *done, void *arg)
{
	memcpy(ret_file, upload->name, sizeof(upload->name));
	upload->done = done;
	upload->arg = arg;
	upload->job = (struct job){.run = run_keep, .done = on_kept};
	jobs_add(upload->bundles->syncs, &upload->job);
}

/* ---- joining ---- */

struct joiner {
	struct job job;
	struct bundles *bundles;
	struct bundle_join join;
	struct bundle_digest digest;
};

/* Works between whole blocks of a file system that can share them. */
static bool share_blocks(struct bundle_upload *out, const struct bundle_range *from)
{
	struct file_clone_range range = {.src_fd = from->fd,
					 .src_offset = from->offset,
					 .src_length = from->len,
					 .dest_offset = out->offset};
	return from->len > 0 && ioctl(out->fd, FICLONERANGE, &range) == 0;
}

/* watch: sees the bytes, or NULL. */
static int append_range(struct bundle_upload *out, const struct bundle_range *from,
			const struct bundle_join *watch, struct error *err)
{
	auto_free char *step = xcalloc(1, READ_STEP);
	bool shared = share_blocks(out, from);
	for (uint64_t at = 0; at < from->len;) {
		size_t want = from->len - at < READ_STEP ? from->len - at : READ_STEP;
		ssize_t n = pread(from->fd, step, want, (off_t)(from->offset + at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "read a part");
		if (n == 0)
			return error_set(err, ERR_FORMAT, "a part's file was cut");
		hash(out, step, (size_t)n);
		if (watch && watch->piece)
			watch->piece(watch->arg, step, (size_t)n);
		int r = shared ? 0 : put_bytes(out, step, (size_t)n, out->offset + at, err);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	out->offset += from->len;
	return 0;
}

static int append_part(struct joiner *joiner, struct bundle_upload *out, const char *file,
		       struct error *err)
{
	struct stat st;
	auto_close int fd =
		openat(joiner->bundles->parts_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_errno(err, "open part file '%s'", file);
	if (fstat(fd, &st) < 0)
		return error_errno(err, "look at a part");
	struct bundle_range whole = {.fd = fd, .len = (uint64_t)st.st_size};
	return append_range(out, &whole, &joiner->join, err);
}

static int run_join(struct job *job, struct error *err)
{
	struct joiner *joiner = (struct joiner *)job;
	CLEANUP(upload_free_at) struct bundle_upload *out = NULL;
	int r = upload_new(joiner->bundles, UINT64_MAX, &out, err);
	for (size_t i = 0; r >= 0 && i < joiner->join.count; i++)
		r = append_part(joiner, out, joiner->join.files[i], err);
	if (r >= 0)
		r = bundle_upload_end(out, &joiner->digest, err);
	return r < 0 ? r : store_content(out, err);
}

static void on_joined(struct job *job, int result, const struct error *err)
{
	struct joiner *joiner = (struct joiner *)job;
	joiner->bundles->joining--;
	joiner->join.done(result, &joiner->digest, err, joiner->join.arg);
	free(joiner);
}

void bundles_join(struct bundles *bundles, const struct bundle_join *join)
{
	struct joiner *joiner = xcalloc(1, sizeof(*joiner));
	joiner->job = (struct job){.run = run_join, .done = on_joined};
	joiner->bundles = bundles;
	joiner->join = *join;
	bundles->joining++;
	jobs_add(bundles->joins, &joiner->job);
}

/* ---- copying ---- */

static int run_copy(struct job *job, struct error *err)
{
	struct bundle_upload *upload = (struct bundle_upload *)job;
	int r = append_range(upload, &upload->from, NULL, err);
	if (r >= 0)
		r = bundle_upload_end(upload, upload->ret_digest, err);
	return r < 0 ? r : run_keep(job, err);
}

void bundle_upload_copy(struct bundle_upload *upload, const struct bundle_range *from,
			struct bundle_digest *ret_digest, char ret_file[BUNDLE_NAME_LEN + 1],
			bundle_done_fn *done, void *arg)
{
	memcpy(ret_file, upload->name, sizeof(upload->name));
	upload->from = *from;
	upload->ret_digest = ret_digest;
	upload->done = done;
	upload->arg = arg;
	upload->job = (struct job){.run = run_copy, .done = on_kept};
	jobs_add(upload->bundles->joins, &upload->job);
}

/* ---- the store ---- */

static int remove_one(const struct fs_entry *entry, void *arg, struct error *err)
{
	fs_unlink_quiet(entry->dirfd, entry->name);
	return S_ISDIR(entry->st.st_mode) ? FS_WALK_SKIP : 0;
}

int bundles_open(int dirfd, struct loop *loop, struct bundles **ret, struct error *err)
{
	struct bundles *bundles = xcalloc(1, sizeof(*bundles));
	bundles->tmp_fd = bundles->parts_fd = -1;
	int r = bundles->sha256_fd = fs_mkdirs(dirfd, "bundles/sha256", 0700, err);
	if (r >= 0)
		r = bundles->parts_fd = fs_mkdirs(dirfd, "bundles/parts", 0700, err);
	if (r >= 0)
		r = bundles->tmp_fd = fs_mkdirs(dirfd, "bundles/tmp", 0700, err);
	if (r >= 0)
		r = fs_walk(bundles->tmp_fd, 0, remove_one, NULL, err);
	if (r >= 0)
		r = jobs_start(loop, &bundles->syncs, err);
	if (r >= 0)
		r = jobs_start(loop, &bundles->joins, err);
	if (r < 0) {
		bundles_close(bundles);
		return error_prefix(err, r, "bundle store");
	}
	*ret = bundles;
	return 0;
}

void bundles_close(struct bundles *bundles)
{
	if (!bundles)
		return;
	jobs_stop(bundles->joins);
	jobs_stop(bundles->syncs);
	fs_close_quiet(bundles->tmp_fd);
	fs_close_quiet(bundles->parts_fd);
	fs_close_quiet(bundles->sha256_fd);
	free(bundles);
}

/* The folder and name of a content below sha256/. */
static int content_path(const char *sha256, char path[3 + DIGEST_SHA256_HEX], struct error *err)
{
	if (strlen(sha256) != DIGEST_SHA256_HEX - 1)
		return error_set(err, ERR_FORMAT, "'%s' is no SHA-256", sha256);
	snprintf(path, 3 + DIGEST_SHA256_HEX, "%.2s/%s", sha256, sha256);
	return 0;
}

int bundles_fd(const struct bundles *bundles, const char *sha256, struct error *err)
{
	char path[3 + DIGEST_SHA256_HEX];
	int r = content_path(sha256, path, err);
	if (r < 0)
		return r;
	int fd = fs_open_beneath(bundles->sha256_fd, path, O_RDONLY, 0);
	if (fd == -ENOENT)
		return error_set(err, ERR_NOT_FOUND, "the content %s is not in the bundle store",
				 sha256);
	if (fd < 0) {
		errno = -fd;
		return error_errno(err, "open content %s", sha256);
	}
	return fd;
}

static int remove_content(struct bundles *bundles, const char *sha256, struct error *err)
{
	char path[3 + DIGEST_SHA256_HEX];
	int r = content_path(sha256, path, err);
	if (r < 0)
		return r;
	bool busy = bundles->joining > 0; /* their content is not known yet */
	for (struct bundle_upload *u = bundles->storing; u; u = u->next)
		busy = busy || strcmp(u->digest.sha256, sha256) == 0;
	if (busy)
		return error_set(err, ERR_BUSY, "content %s may be stored just now", sha256);
	if (unlinkat(bundles->sha256_fd, path, 0) < 0 && errno != ENOENT)
		return error_errno(err, "remove content %s", sha256);
	return 0;
}

int bundles_remove(struct bundles *bundles, const char *file, struct error *err)
{
	if (strlen(file) != BUNDLE_NAME_LEN)
		return remove_content(bundles, file, err);
	if (unlinkat(bundles->parts_fd, file, 0) < 0 && errno != ENOENT)
		return error_errno(err, "remove part file '%s'", file);
	return 0;
}

struct each_part {
	bundle_part_fn *fn;
	void *arg;
};

static int visit_part(const struct fs_entry *entry, void *arg, struct error *err)
{
	const struct each_part *each = arg;
	return S_ISREG(entry->st.st_mode) ? each->fn(entry->name, each->arg) : FS_WALK_SKIP;
}

int bundles_each_part(struct bundles *bundles, bundle_part_fn *fn, void *arg, struct error *err)
{
	struct each_part each = {fn, arg};
	return fs_walk(bundles->parts_fd, 0, visit_part, &each, err);
}
