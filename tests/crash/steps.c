// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/steps.h"

#include "common/str.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static unsigned own, *reached = &own;
static unsigned begin_at, end_at;
static void (*begin_action)(void), (*end_action)(void);
static bool inside; /* what an action calls is no step */

void steps_share(unsigned *count)
{
	reached = count;
}

void steps_arm(unsigned at, void (*begin)(void), unsigned until, void (*end)(void))
{
	*reached = 0;
	begin_at = at;
	begin_action = begin;
	end_at = until;
	end_action = end;
}

unsigned steps_count(void)
{
	return *reached;
}

static void step(void)
{
	if (inside)
		return;
	inside = true;
	unsigned now = ++*reached;
	if (now == begin_at && begin_action)
		begin_action();
	if (now == end_at && end_action)
		end_action();
	inside = false;
}

static bool defect(const char *name)
{
	return str_eq(getenv("SLIPWAY_DEFECT"), name);
}

#define WRAP(type, name, parameters, arguments) \
	type __real_##name parameters;          \
	type __wrap_##name parameters;          \
	type __wrap_##name parameters           \
	{                                       \
		step();                         \
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
WRAP(int, utimensat, (int fd, const char *path, const struct timespec times[2], int flags),
     (fd, path, times, flags))
WRAP(int, fstatat, (int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags))
WRAP(int, lstat, (const char *path, struct stat *st), (path, st))
WRAP(int, stat, (const char *path, struct stat *st), (path, st))
WRAP(int, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *st),
     (fd, path, flags, mask, st))
WRAP(ssize_t, readlinkat, (int fd, const char *path, char *text, size_t len), (fd, path, text, len))
WRAP(int, faccessat, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags))
WRAP(char *, realpath, (const char *path, char *out), (path, out))

int __real_chroot(const char *path);
int __wrap_chroot(const char *path);
int __wrap_chroot(const char *path)
{
	return defect("uncontained") ? 0 : __real_chroot(path);
}

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	step();
	return __real_openat(fd, path, flags, mode);
}

/* openat2 and Landlock have no function of their own. Most calls have fewer than six arguments. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
__attribute__((no_sanitize("address"))) long __wrap_syscall(long number, ...)
{
	long a[6];
	va_list ap;
	va_start(ap, number);
	for (unsigned i = 0; i < ARRAY_LEN(a); i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_landlock_restrict_self && defect("uncontained"))
		return 0;
	if (number == SYS_openat2) {
		struct open_how how = *(const struct open_how *)a[2];
		step();
		if (defect("uncontained") || defect("following-opens"))
			how.resolve = 0;
		return __real_syscall(number, a[0], a[1], &how, a[3]);
	}
	return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
