// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/calls.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define KINDS_ALWAYS 3 /* the first few of every kind are never left out */

static unsigned reached, stop_at, last;
static struct calls_sample *sample;

void calls_arm(unsigned at)
{
	calls_arm_sample(at, NULL);
}

void calls_arm_sample(unsigned at, struct calls_sample *s)
{
	reached = last = 0;
	stop_at = at;
	sample = s;
}

unsigned calls_count(void)
{
	return reached;
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

static void call(unsigned kind)
{
	reached++;
	if (is_chosen(kind)) {
		if (sample)
			sample->at = reached;
		kill(getpid(), SIGKILL);
	}
	last = kind;
}

/* WRAP(result, name, (parameters), (arguments)); each use is a kind of its own, from 1. */
#define WRAP(type, name, parameters, arguments) \
	type __real_##name parameters;          \
	type __wrap_##name parameters;          \
	type __wrap_##name parameters           \
	{                                       \
		call(__COUNTER__ + 1);          \
		return __real_##name arguments; \
	}

WRAP(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
WRAP(int, symlinkat, (const char *text, int fd, const char *path), (text, fd, path))
WRAP(int, linkat, (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags))
WRAP(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
WRAP(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
     (a, from, b, to, flags))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchmodat, (int fd, const char *path, mode_t mode, int flags), (fd, path, mode, flags))
WRAP(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(int, fchownat, (int fd, const char *path, uid_t uid, gid_t gid, int flags),
     (fd, path, uid, gid, flags))
WRAP(int, futimens, (int fd, const struct timespec times[2]), (fd, times))
WRAP(int, utimensat, (int fd, const char *path, const struct timespec times[2], int flags),
     (fd, path, times, flags))
WRAP(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len))
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
WRAP(ssize_t, copy_file_range, (int in, off_t *a, int out, off_t *b, size_t len, unsigned flags),
     (in, a, out, b, len, flags))
WRAP(int, ftruncate, (int fd, off_t len), (fd, len))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, syncfs, (int fd), (fd))
WRAP(int, fsetxattr, (int fd, const char *name, const void *value, size_t len, int flags),
     (fd, name, value, len, flags))
WRAP(int, fremovexattr, (int fd, const char *name), (fd, name))

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
	if (!(flags & O_CREAT))
		return __real_openat(fd, path, flags);
	va_list ap;
	va_start(ap, flags);
	mode_t mode = va_arg(ap, mode_t);
	va_end(ap);
	call(__COUNTER__ + 1);
	return __real_openat(fd, path, flags, mode);
}

_Static_assert(__COUNTER__ < CALLS_KINDS, "CALLS_KINDS is too small");
