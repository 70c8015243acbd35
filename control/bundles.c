// SPDX-License-Identifier: Apache-2.0
/* Why each crash point is safe: a file below tmp/ means nothing and is removed at the next start; a
 * file below sha256/ was synced before its rename, so its name is true; the row in the store is
 * written after that, so a row always has its file. A file without a row wastes room until the same
 * content comes again.
 *
 * The thread sees a job from the moment it is queued until it is in the list of finished ones, both
 * under the lock; the loop hears of it by an eventfd. */
#include "control/bundles.h"

#include "common/alloc.h"
#include "common/checksum.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TMP_NAME_LEN 24

struct bundle_upload {
	struct bundles *bundles;
	struct bundle_upload *next; /* in one of the queues */
	int fd;
	char name[TMP_NAME_LEN + 1]; /* in tmp/, "" once it has its final name */
	uint64_t offset, max_bytes;
	struct digest *sha256, *md5;
	struct bundle_digest digest;
	bool queued, cancelled;
	int result;
	struct error error;
	bundle_done_fn *done;
	void *arg;
};

struct bundles {
	int tmp_fd, sha256_fd;
	int event_fd;
	sd_event_source *event;
	pthread_t thread;
	bool running;
	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop;
	struct bundle_upload *waiting, *finished;
};

/* ---- uploads ---- */

static void upload_free(struct bundle_upload *upload)
{
	if (upload->name[0])
		fs_unlink_quiet(upload->bundles->tmp_fd, upload->name);
	fs_close_quiet(upload->fd);
	digest_free(upload->sha256);
	digest_free(upload->md5);
	free(upload);
}
DEFINE_CLEANUP(struct bundle_upload *, upload_free)

int bundle_upload_new(struct bundles *bundles, uint64_t max_bytes, struct bundle_upload **ret,
		      struct error *err)
{
	CLEANUP(upload_free_at)
	struct bundle_upload *upload = xcalloc(1, sizeof(*upload));
	upload->bundles = bundles;
	upload->max_bytes = max_bytes;
	str_random(upload->name, TMP_NAME_LEN);
	upload->fd =
		openat(bundles->tmp_fd, upload->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (upload->fd < 0)
		return error_errno(err, "make a file for the upload");
	int r = digest_new_sha256(&upload->sha256, err);
	if (r >= 0)
		r = digest_new_md5(&upload->md5, err);
	if (r < 0)
		return r;
	upload->digest.crc32 = 0;
	*ret = TAKE(upload);
	return 0;
}

static bool is_zero(const char *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* Zeros become a hole: large sparse bundles stay small on disk. */
int bundle_upload_write(struct bundle_upload *upload, const void *data, size_t len,
			struct error *err)
{
	if (len > upload->max_bytes - upload->offset)
		return error_set(err, ERR_LIMIT, "the object has more than %ju bytes",
				 (uintmax_t)upload->max_bytes);
	digest_update(upload->sha256, data, len);
	digest_update(upload->md5, data, len);
	upload->digest.crc32 = checksum_crc32(upload->digest.crc32, data, len);
	size_t done = is_zero(data, len) ? len : 0;
	while (done < len) {
		ssize_t n = pwrite(upload->fd, (const char *)data + done, len - done,
				   (off_t)(upload->offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "write the upload");
		done += (size_t)n;
	}
	upload->offset += len;
	return 0;
}

int bundle_upload_end(struct bundle_upload *upload, struct bundle_digest *ret, struct error *err)
{
	char md5[DIGEST_SHA256_HEX];
	if (ftruncate(upload->fd, (off_t)upload->offset) < 0)
		return error_errno(err, "set the size of the upload");
	digest_hex(upload->sha256, upload->digest.sha256);
	digest_hex(upload->md5, md5);
	memcpy(upload->digest.md5, md5, sizeof(upload->digest.md5));
	upload->digest.size = upload->offset;
	*ret = upload->digest;
	return 0;
}

/* ---- the thread ---- */

static int store_file(struct bundle_upload *upload, struct error *err)
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

static struct bundle_upload *next_job(struct bundles *bundles)
{
	pthread_mutex_lock(&bundles->lock);
	while (!bundles->stop && !bundles->waiting)
		pthread_cond_wait(&bundles->changed, &bundles->lock);
	struct bundle_upload *job = bundles->stop ? NULL : bundles->waiting;
	if (job)
		bundles->waiting = job->next;
	pthread_mutex_unlock(&bundles->lock);
	return job;
}

static void *work(void *arg)
{
	struct bundles *bundles = arg;
	struct bundle_upload *job;
	while ((job = next_job(bundles))) {
		job->result = store_file(job, &job->error);
		pthread_mutex_lock(&bundles->lock);
		job->next = bundles->finished;
		bundles->finished = job;
		pthread_mutex_unlock(&bundles->lock);
		eventfd_write(bundles->event_fd, 1);
	}
	return NULL;
}

static int on_finished(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct bundles *bundles = arg;
	eventfd_t count;
	eventfd_read(fd, &count);
	pthread_mutex_lock(&bundles->lock);
	struct bundle_upload *job = bundles->finished;
	bundles->finished = NULL;
	pthread_mutex_unlock(&bundles->lock);
	while (job) {
		struct bundle_upload *next = job->next;
		if (!job->cancelled)
			job->done(job->result, &job->error, job->arg);
		upload_free(job);
		job = next;
	}
	return 0;
}

void bundle_upload_store(struct bundle_upload *upload, bundle_done_fn *done, void *arg)
{
	struct bundles *bundles = upload->bundles;
	upload->done = done;
	upload->arg = arg;
	upload->queued = true;
	pthread_mutex_lock(&bundles->lock);
	struct bundle_upload **end = &bundles->waiting;
	while (*end)
		end = &(*end)->next;
	*end = upload;
	pthread_cond_signal(&bundles->changed);
	pthread_mutex_unlock(&bundles->lock);
}

void bundle_upload_cancel(struct bundle_upload *upload)
{
	if (!upload)
		return;
	if (upload->queued)
		upload->cancelled = true; /* the loop's: the thread does not look at it */
	else
		upload_free(upload);
}

/* ---- the store ---- */

static int remove_one(const struct fs_entry *entry, void *arg, struct error *err)
{
	fs_unlink_quiet(entry->dirfd, entry->name);
	return S_ISDIR(entry->st.st_mode) ? FS_WALK_SKIP : 0;
}

static int start_thread(struct bundles *bundles, struct loop *loop, struct error *err)
{
	bundles->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bundles->event_fd < 0)
		return error_errno(err, "make an eventfd");
	int r = -sd_event_add_io(loop->event, &bundles->event, bundles->event_fd, EPOLLIN,
				 on_finished, bundles);
	if (r <= 0)
		r = pthread_create(&bundles->thread, NULL, work, bundles);
	if (r > 0) {
		errno = r;
		return error_errno(err, "start the thread that syncs bundles");
	}
	bundles->running = true;
	return 0;
}

int bundles_open(int dirfd, struct loop *loop, struct bundles **ret, struct error *err)
{
	struct bundles *bundles = xcalloc(1, sizeof(*bundles));
	bundles->event_fd = -1;
	pthread_mutex_init(&bundles->lock, NULL);
	pthread_cond_init(&bundles->changed, NULL);
	bundles->sha256_fd = fs_mkdirs(dirfd, "bundles/sha256", 0700, err);
	bundles->tmp_fd = fs_mkdirs(dirfd, "bundles/tmp", 0700, err);
	int r = bundles->sha256_fd < 0 ? bundles->sha256_fd : bundles->tmp_fd;
	if (r >= 0)
		r = fs_walk(bundles->tmp_fd, 0, remove_one, NULL, err);
	if (r >= 0)
		r = start_thread(bundles, loop, err);
	if (r < 0) {
		bundles_close(bundles);
		return error_prefix(err, r, "bundle store");
	}
	*ret = bundles;
	return 0;
}

static void free_all(struct bundle_upload *upload)
{
	while (upload) {
		struct bundle_upload *next = upload->next;
		upload_free(upload);
		upload = next;
	}
}

void bundles_close(struct bundles *bundles)
{
	if (!bundles)
		return;
	if (bundles->running) {
		pthread_mutex_lock(&bundles->lock);
		bundles->stop = true;
		pthread_cond_signal(&bundles->changed);
		pthread_mutex_unlock(&bundles->lock);
		pthread_join(bundles->thread, NULL);
	}
	free_all(bundles->waiting);
	free_all(bundles->finished);
	loop_source_unref_at(&bundles->event);
	pthread_cond_destroy(&bundles->changed);
	pthread_mutex_destroy(&bundles->lock);
	fs_close_quiet(bundles->event_fd);
	fs_close_quiet(bundles->tmp_fd);
	fs_close_quiet(bundles->sha256_fd);
	free(bundles);
}

int bundles_fd(const struct bundles *bundles, const char *sha256, struct error *err)
{
	char path[3 + DIGEST_SHA256_HEX];
	if (strlen(sha256) != DIGEST_SHA256_HEX - 1)
		return error_set(err, ERR_FORMAT, "'%s' is no SHA-256", sha256);
	snprintf(path, sizeof(path), "%.2s/%s", sha256, sha256);
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
