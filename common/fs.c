// SPDX-License-Identifier: Apache-2.0
#include "common/fs.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/str.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WRITE_TRIES 10000 /* each lost try means that another writer got on */
#define COPY_STEP ((size_t)128 * 1024)
#define COPY_TURN ((size_t)8 << 20)

int fs_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* One try at getting the file that is written beside name. It always has the same name, so a crash
 * leaves at most one behind; the lock makes writers of the same name wait for each other. Returns
 * the descriptor, -EAGAIN when another writer just renamed or removed it, or negative errno. */
static int open_beside(int dirfd, const char *beside, mode_t mode)
{
	auto_close int fd = openat(dirfd, beside, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && (errno == EACCES || errno == ELOOP))
		return unlinkat(dirfd, beside, 0) < 0 ? -errno : -EAGAIN;
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX) < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	struct stat own, now;
	if (fstat(fd, &own) < 0)
		return -errno;
	if (fstatat(dirfd, beside, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (own.st_ino != now.st_ino || own.st_dev != now.st_dev)
		return -EAGAIN;
	if (ftruncate(fd, 0) < 0 || fchmod(fd, mode) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int write_and_rename(int dirfd, const char *beside, const char *name, const void *data,
			    size_t len, mode_t mode)
{
	int r = -EAGAIN;
	for (int i = 0; r == -EAGAIN && i < WRITE_TRIES; i++)
		r = open_beside(dirfd, beside, mode);
	if (r < 0)
		return r;
	auto_close int fd = r;
	r = fs_write_all(fd, data, len);
	if (r == 0 && (fsync(fd) < 0 || renameat(dirfd, beside, dirfd, name) < 0))
		r = -errno;
	if (r < 0)
		fs_unlink_quiet(dirfd, beside);
	return r;
}

int fs_write_atomic(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		    struct error *err)
{
	assert(str_is_filename(name));
	auto_free char *beside = xasprintf(".%s.new", name);
	int r = write_and_rename(dirfd, beside, name, data, len, mode);
	if (r < 0)
		return error_set(err, r, "write '%s': %s", name, strerror(-r));
	return fs_sync_dir(dirfd, err);
}

int fs_read_fd(int fd, size_t max, char **ret, size_t *ret_len, struct error *err)
{
	auto_buf struct buf b = BUF_INIT(max);
	int r = buf_read_fd(&b, fd);
	if (r < 0 && !b.failed)
		return error_set(err, r, "read: %s", strerror(-r));
	r = buf_check(&b, "what was read", err);
	if (r < 0)
		return r;
	if (ret_len)
		*ret_len = b.len;
	*ret = buf_take(&b);
	return 0;
}

int fs_open_regular(int dirfd, const char *name, int flags, struct error *err)
{
	/* without O_NONBLOCK a FIFO in this place would stop us */
	auto_close int fd =
		openat(dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "open '%s'", name);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "look at '%s'", name);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "'%s' is not a regular file", name);
	return TAKE_FD(fd);
}

int fs_read_file(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len,
		 struct error *err)
{
	auto_close int fd = fs_open_regular(dirfd, name, O_RDONLY, err);
	if (fd < 0)
		return fd;
	int r = fs_read_fd(fd, max, ret, ret_len, err);
	return r < 0 ? error_prefix(err, r, "%s", name) : 0;
}

int fs_read_path(const char *path, size_t max, char **ret, size_t *ret_len, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_errno(err, "open '%s'", path);
	int r = fs_read_fd(fd, max, ret, ret_len, err);
	return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}

static int open_resolved(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
		.resolve = resolve,
	};
	/* EAGAIN: a rename somewhere made the kernel unsure of ".." */
	for (int i = 0;; i++) {
		long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if ((errno != EAGAIN && errno != EINTR) || i == 100)
			return -errno;
	}
}

int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	return open_resolved(dirfd, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

int fs_open_inside(int dirfd, const char *path, int flags, mode_t mode)
{
	return open_resolved(dirfd, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

/* The mode of a directory just made. A set-group-id bit that it inherited stays: the files below it
 * are to get the group as well. */
static int set_mode(int fd, mode_t mode)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || fchmod(fd, mode | (st.st_mode & S_ISGID)) < 0)
		return -errno;
	return 0;
}

/* Make one directory when it is missing, and open it. */
static int make_and_open(int dirfd, const char *name, mode_t mode)
{
	bool made = mkdirat(dirfd, name, mode) == 0;
	if (!made && errno != EEXIST)
		return -errno;
	auto_close int fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	int r = made ? set_mode(fd, mode) : 0;
	return r < 0 ? r : TAKE_FD(fd);
}

int fs_mkdirs(int dirfd, const char *path, mode_t mode, struct error *err)
{
	auto_free char *copy = xstrdup(path);
	auto_close int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "open the directory that shall hold '%s'", path);
	char *rest = copy, *name;
	while ((name = strsep(&rest, "/"))) {
		if (!*name || strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0)
			return error_set(err, -EXDEV, "'%s' climbs", path);
		int next = make_and_open(fd, name, mode);
		if (next < 0)
			return error_set(err, next, "make directory '%s': %s", path,
					 strerror(-next));
		close(fd);
		fd = next;
	}
	return TAKE_FD(fd);
}

static int make_directory(const char *path, mode_t mode)
{
	struct stat st;
	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (mkdir(path, mode) < 0)
		return errno == EEXIST ? 0 : -errno;
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : set_mode(fd, mode);
}

int fs_mkdirs_path(const char *path, mode_t mode, struct error *err)
{
	auto_free char *copy = xstrdup(path);
	for (char *p = copy; *p;) {
		p += strspn(p, "/");
		p += strcspn(p, "/");
		char end = *p;
		*p = '\0';
		int r = make_directory(copy, mode);
		if (r < 0)
			return error_set(err, r, "make directory '%s': %s", copy, strerror(-r));
		*p = end;
	}
	return 0;
}

void fs_unlink_quiet(int dirfd, const char *name)
{
	int r UNUSED = unlinkat(dirfd, name, 0);
}

void fs_close_quiet(int fd)
{
	if (fd >= 0)
		close(fd);
}

int fs_sync_dir(int dirfd, struct error *err)
{
	return fsync(dirfd) < 0 ? error_errno(err, "sync a directory") : 0;
}

int fs_sync_fs(int fd, struct error *err)
{
	return syncfs(fd) < 0 ? error_errno(err, "sync a file system") : 0;
}

static int copy_by_hand(int in, int out, off_t from, off_t to, struct error *err)
{
	auto_free char *step = xcalloc(1, COPY_STEP);
	while (from < to) {
		size_t want = to - from < (off_t)COPY_STEP ? (size_t)(to - from) : COPY_STEP;
		ssize_t n = pread(in, step, want, from);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "read a file to copy");
		if (n == 0)
			return error_set(err, ERR_CONFLICT, "a file shrank while it was copied");
		for (ssize_t done = 0; done < n;) {
			ssize_t w = pwrite(out, step + done, (size_t)(n - done), from + done);
			if (w < 0 && errno == EINTR)
				continue;
			if (w < 0)
				return error_errno(err, "write a copy");
			done += w;
		}
		from += n;
	}
	return 0;
}

/* The disk begins while the next turn is copied. What was copied need not stay in memory twice: its
 * pages serve for the copy, instead of others that the host's programs would miss. */
static void leave_behind(int in, int out, off_t from, off_t len, enum fs_copy how)
{
	int r UNUSED = sync_file_range(out, from, len, SYNC_FILE_RANGE_WRITE);
	if (how == FS_COPY_LAST_READ)
		r = posix_fadvise(in, from, len, POSIX_FADV_DONTNEED);
}

static int copy_extent(int in, int out, off_t from, off_t to, enum fs_copy how, struct error *err)
{
	off_t in_at = from, out_at = from;
	while (in_at < to) {
		size_t want = to - in_at < (off_t)COPY_TURN ? (size_t)(to - in_at) : COPY_TURN;
		ssize_t n = copy_file_range(in, &in_at, out, &out_at, want, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
			return error_errno(err, "copy a file");
		/* not between these two file systems, or nothing for no reason: by hand */
		if (n <= 0)
			return copy_by_hand(in, out, in_at, to, err);
		if (n == (ssize_t)COPY_TURN)
			leave_behind(in, out, in_at - n, n, how);
	}
	return 0;
}

int fs_copy_content(int in, int out, enum fs_copy how, struct error *err)
{
	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	struct stat st;
	if (fstat(in, &st) < 0)
		return error_errno(err, "look at a file to copy");
	if (ftruncate(out, 0) < 0 || ftruncate(out, st.st_size) < 0)
		return error_errno(err, "size a copy");
	for (off_t at = 0; at < st.st_size;) {
		off_t data = lseek(in, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0; /* a hole up to the end */
		off_t hole = data < 0 ? -1 : lseek(in, data, SEEK_HOLE);
		if (data < 0 || hole < 0 || hole > st.st_size)
			hole = st.st_size;
		int r = copy_extent(in, out, data < 0 ? at : data, hole, how, err);
		if (r < 0)
			return r;
		at = hole;
	}
	return 0;
}

bool fs_can_clone(int in, int dirfd)
{
	auto_close int out = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return out >= 0 && ioctl(out, FICLONE, in) == 0;
}

char *fs_join(const char *a, const char *b)
{
	size_t len = strlen(a);
	while (len > 0 && a[len - 1] == '/')
		len--;
	const char *tail = b + strspn(b, "/");
	if (!*a)
		return xstrdup(b);
	if (!*tail)
		return xstrndup(a, len ? len : 1);
	return xasprintf("%.*s/%s", (int)len, a, tail);
}

int fs_normalise(const char *path, char **ret)
{
	if (*path != '/')
		return -EINVAL;
	auto_free char *out = xcalloc(1, strlen(path) + 2);
	size_t len = 0;
	for (const char *p = path; *p;) {
		p += strspn(p, "/");
		size_t n = strcspn(p, "/");
		if (n == 2 && memcmp(p, "..", 2) == 0) {
			if (len == 0)
				return -EINVAL;
			while (out[--len] != '/')
				;
		} else if (n > 0 && !(n == 1 && *p == '.')) {
			out[len++] = '/';
			memcpy(out + len, p, n);
			len += n;
		}
		p += n;
	}
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	*ret = TAKE(out);
	return 0;
}

int fs_lock(int dirfd, const char *name, uint64_t wait_ms, struct error *err)
{
	auto_close int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "open lock '%s'", name);
	/* flock() has no time limit of its own, and an alarm would belong to the whole process */
	uint64_t deadline_us = clock_mono_us() + wait_ms * 1000;
	struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return error_errno(err, "lock '%s'", name);
		if (clock_mono_us() >= deadline_us)
			return error_set(err, ERR_BUSY, "'%s' is locked by another process", name);
		nanosleep(&pause, NULL);
	}
	return TAKE_FD(fd);
}
