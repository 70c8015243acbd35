// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KINDS_ALWAYS 3 /* the first few of every kind are never left out */

static unsigned reached, reached_reads, stop_at, last;
static struct calls_sample *sample;
static struct calls_fault fault;
static bool failing; /* for good */
static struct calls_seen *seen_changes, *seen_reads;
static unsigned seen_max;

void calls_arm(unsigned at)
{
	calls_arm_sample(at, NULL);
}

void calls_arm_sample(unsigned at, struct calls_sample *s)
{
	reached = reached_reads = last = 0;
	stop_at = at;
	sample = s;
	failing = false;
	fault = (struct calls_fault){0};
	seen_max = 0;
}

void calls_fail(const struct calls_fault *f)
{
	fault = *f;
}

void calls_record(struct calls_seen *changes, struct calls_seen *reads, unsigned max)
{
	seen_changes = changes;
	seen_reads = reads;
	seen_max = max;
}

unsigned calls_count(void)
{
	return reached;
}

unsigned calls_count_reads(void)
{
	return reached_reads;
}

static bool is_chosen(unsigned kind)
{
	if (reached < stop_at || stop_at == 0)
		return false;
	if (!sample)
		return reached == stop_at;
	if ((reached - stop_at) % sample->step != 0)
		return false;
	unsigned n = sample->seen[last][kind]++;
	return n < KINDS_ALWAYS || n % sample->one_in == 0;
}

static void die_if_chosen(unsigned kind)
{
	if (is_chosen(kind)) {
		if (sample)
			sample->at = reached;
		kill(getpid(), SIGKILL);
	}
	last = kind;
}

int __real_fstat(int fd, struct stat *st);

static bool is_there(int fd)
{
	struct stat st;
	if (!fault.only && !fault.spared)
		return true;
	if (fd < 0 || __real_fstat(fd, &st) < 0)
		return false;
	return fault.only ? st.st_dev == fault.only : st.st_dev != fault.spared;
}

/* One call is about to be made. Does it fail? */
static bool call(unsigned kind, const char *name, unsigned class, int fd, int fd2)
{
	bool read = class & CALLS_READ;
	unsigned number = read ? ++reached_reads : ++reached;
	if (number <= seen_max)
		(read ? seen_reads : seen_changes)[number - 1] = (struct calls_seen){name, class};
	if (!read)
		die_if_chosen(kind);
	bool now = fault.at && number == fault.at && read == fault.reads;
	failing = failing || (now && fault.lasting);
	bool hit = failing ? (class & fault.lasting) && (is_there(fd) || is_there(fd2)) : now;
	if (hit)
		errno = fault.error;
	return hit;
}

/* Fewer bytes than asked for; a single one cannot be less. */
static size_t shortened(size_t len)
{
	return len > 1 ? (len + 1) / 2 : len;
}

/* Room for bytes up to end is there already, because it was reserved. That a page happens to have
 * some left does not count: how full it is differs from one install to the next. */
static bool has_room(int fd, off_t end)
{
	struct stat st;
	return failing && (fault.error == ENOSPC || fault.error == EDQUOT) && end >= 0 &&
	       __real_fstat(fd, &st) == 0 && (off_t)st.st_blocks * 512 >= end + 2048;
}

/* A call that writes len bytes up to end of fd. Returns how many it shall write, 0 when it fails.
 */
static size_t write_call(unsigned kind, const char *name, int fd, size_t len, off_t end)
{
	bool hit = call(kind, name, CALLS_DATA | CALLS_SPACE, fd, -1);
	if (!hit || len == 0)
		return len;
	if (!fault.error)
		return shortened(len);
	return has_room(fd, end) ? len : 0;
}

/* WRAP(result, name, class, descriptors, (parameters), (arguments)); each use is a kind of its own,
 * from 1. */
#define WRAP(type, name, class, fd, fd2, parameters, arguments)   \
	type __real_##name parameters;                            \
	type __wrap_##name parameters;                            \
	type __wrap_##name parameters                             \
	{                                                         \
		if (call(__COUNTER__ + 1, #name, class, fd, fd2)) \
			return -1;                                \
		return __real_##name arguments;                   \
	}
#define MAKES (CALLS_NAMES | CALLS_SPACE)

WRAP(int, mkdirat, MAKES, fd, -1, (int fd, const char *path, mode_t mode), (fd, path, mode))
WRAP(int, symlinkat, MAKES, fd, -1, (const char *text, int fd, const char *path), (text, fd, path))
WRAP(int, linkat, MAKES, a, b, (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags))
WRAP(int, unlinkat, CALLS_NAMES, fd, -1, (int fd, const char *path, int flags), (fd, path, flags))
WRAP(int, renameat, CALLS_NAMES, a, b, (int a, const char *from, int b, const char *to),
     (a, from, b, to))
WRAP(int, renameat2, CALLS_NAMES, a, b,
     (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
WRAP(int, fchmod, CALLS_META, fd, -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchmodat, CALLS_META, fd, -1, (int fd, const char *path, mode_t mode, int flags),
     (fd, path, mode, flags))
WRAP(int, fchown, CALLS_META, fd, -1, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(int, fchownat, CALLS_META, fd, -1, (int fd, const char *path, uid_t uid, gid_t gid, int flags),
     (fd, path, uid, gid, flags))
WRAP(int, futimens, CALLS_META, fd, -1, (int fd, const struct timespec times[2]), (fd, times))
WRAP(int, utimensat, CALLS_META, fd, -1,
     (int fd, const char *path, const struct timespec times[2], int flags),
     (fd, path, times, flags))
WRAP(int, ftruncate, CALLS_META, fd, -1, (int fd, off_t len), (fd, len))
WRAP(int, fallocate, CALLS_SPACE, fd, -1, (int fd, int mode, off_t at, off_t len),
     (fd, mode, at, len))
WRAP(int, fsync, CALLS_SYNC, fd, -1, (int fd), (fd))
WRAP(int, syncfs, CALLS_SYNC, fd, -1, (int fd), (fd))
WRAP(int, fremovexattr, CALLS_META, fd, -1, (int fd, const char *name), (fd, name))

WRAP(int, fstat, CALLS_READ, fd, -1, (int fd, struct stat *st), (fd, st))
WRAP(int, fstatat, CALLS_READ, fd, -1, (int fd, const char *path, struct stat *st, int flags),
     (fd, path, st, flags))
WRAP(int, statx, CALLS_READ, fd, -1,
     (int fd, const char *path, int flags, unsigned mask, struct statx *st),
     (fd, path, flags, mask, st))
WRAP(int, faccessat, CALLS_READ, fd, -1, (int fd, const char *path, int mode, int flags),
     (fd, path, mode, flags))
WRAP(ssize_t, read, CALLS_READ, fd, -1, (int fd, void *data, size_t len), (fd, data, len))
WRAP(ssize_t, pread, CALLS_READ, fd, -1, (int fd, void *data, size_t len, off_t at),
     (fd, data, len, at))
WRAP(ssize_t, readlinkat, CALLS_READ, fd, -1, (int fd, const char *path, char *text, size_t len),
     (fd, path, text, len))
WRAP(ssize_t, fgetxattr, CALLS_READ, fd, -1, (int fd, const char *name, void *value, size_t len),
     (fd, name, value, len))
WRAP(int, name_to_handle_at, CALLS_READ, fd, -1,
     (int fd, const char *path, struct file_handle *handle, int *mount, int flags),
     (fd, path, handle, mount, flags))

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	off_t at = lseek(fd, 0, SEEK_CUR);
	size_t n = write_call(__COUNTER__ + 1, "write", fd, len, at < 0 ? at : at + (off_t)len);
	return n || !len ? __real_write(fd, data, n) : -1;
}

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	size_t n = write_call(__COUNTER__ + 1, "pwrite", fd, len, at + (off_t)len);
	return n || !len ? __real_pwrite(fd, data, n, at) : -1;
}

ssize_t __real_copy_file_range(int in, off_t *a, int out, off_t *b, size_t len, unsigned flags);
ssize_t __wrap_copy_file_range(int in, off_t *a, int out, off_t *b, size_t len, unsigned flags);
ssize_t __wrap_copy_file_range(int in, off_t *a, int out, off_t *b, size_t len, unsigned flags)
{
	size_t n = write_call(__COUNTER__ + 1, "copy_file_range", out, len, -1);
	return n || !len ? __real_copy_file_range(in, a, out, b, n, flags) : -1;
}

/* In the place of one that is there already it needs no room. */
int __real_fsetxattr(int fd, const char *name, const void *value, size_t len, int flags);
int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t len, int flags);
int __wrap_fsetxattr(int fd, const char *name, const void *value, size_t len, int flags)
{
	bool is_new = __real_fgetxattr(fd, name, NULL, 0) < 0;
	if (call(__COUNTER__ + 1, "fsetxattr", CALLS_META | (is_new ? CALLS_SPACE : 0), fd, -1))
		return -1;
	return __real_fsetxattr(fd, name, value, len, flags);
}

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
	bool make = flags & O_CREAT;
	mode_t mode = 0;
	if (make) {
		va_list ap;
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (call(__COUNTER__ + 1, "openat", make ? MAKES : CALLS_READ, fd, -1))
		return -1;
	return __real_openat(fd, path, flags, mode);
}

/* openat2 has no wrapper in libc. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long a[4];
	va_list ap;
	va_start(ap, number);
	for (size_t i = 0; i < sizeof(a) / sizeof(*a); i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (call(__COUNTER__ + 1, "openat2", CALLS_READ, (int)a[0], -1))
		return -1;
	return __real_syscall(number, a[0], a[1], a[2], a[3]);
}

struct dirent *__real_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir)
{
	return call(__COUNTER__ + 1, "readdir", CALLS_READ, dirfd(dir), -1) ? NULL
									    : __real_readdir(dir);
}

_Static_assert(__COUNTER__ < CALLS_KINDS, "CALLS_KINDS is too small");
