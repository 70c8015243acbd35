// SPDX-License-Identifier: Apache-2.0
/* slipwayd sees no process but its own (ProtectProc=), so what can be known without looking at one
 * counts: the control group of the service, the lock that 1.8 holds, and a PID file of this boot
 * whose process is there. Where a process can be looked at, its title decides. */
#include "agent/rival.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "codedeploy-agent"
#define PID_DIR "/opt/codedeploy-agent/state/.pid"
#define PID_TEXT_MAX 64
#define TITLE_MAX 4096

/* 1: it is the agent, 0: it is another program, -1: it cannot be seen. */
static int has_title(long pid)
{
	char path[64], title[TITLE_MAX];
	snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, title, sizeof(title));
	if (n < 0)
		return -1;
	return memmem(title, (size_t)n, PROGRAM, strlen(PROGRAM)) != NULL;
}

static bool is_of_this_boot(const struct stat *st)
{
	struct timespec up;
	clock_gettime(CLOCK_BOOTTIME, &up);
	return (double)st->st_mtime >= clock_wall() - (double)up.tv_sec - 2;
}

/* slipwayd writes such a file, too, where pid_dir says so. */
static bool is_ours(const struct stat *st)
{
	return st->st_uid == geteuid();
}

static long from_file(const char *path)
{
	auto_free char *text = NULL;
	struct stat st;
	size_t len;
	int64_t pid;
	if (stat(path, &st) < 0 || !is_of_this_boot(&st) ||
	    fs_read_file(AT_FDCWD, path, PID_TEXT_MAX, &text, &len, NULL) < 0)
		return 0;
	text[strcspn(text, " \t\r\n")] = '\0';
	if (str_to_i64(text, &pid) < 0 || pid <= 1 || pid > INT32_MAX || pid == getpid() ||
	    (kill((pid_t)pid, 0) < 0 && errno != EPERM))
		return 0;
	int title = has_title((long)pid);
	if (title < 0)
		return is_ours(&st) ? 0 : (long)pid;
	return title ? (long)pid : 0;
}

static bool is_locked(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

long rival_pid(const char *pid_file, const char *lock_file)
{
	long pid = from_file(pid_file);
	if (pid)
		return pid;
	return is_locked(lock_file) ? -1 : 0;
}

/* Is any process in the service? Both hierarchies of control groups. */
static bool unit_has_processes(void)
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/systemd",
					     "/sys/fs/cgroup/unified"};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		auto_free char *path =
			xasprintf("%s/system.slice/" RIVAL_UNIT "/cgroup.procs", places[i]);
		auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
		char byte;
		if (fd >= 0 && read(fd, &byte, 1) == 1)
			return true;
	}
	return false;
}

int rival_check(const struct paths *paths, const char *pid_dir, const char *program,
		struct error *err)
{
	static const char next[] =
		"two agents must not poll as one host: 'slipway import codedeploy' takes over from "
		"it, 'systemctl disable --now " RIVAL_UNIT "' only stops it";
	if (!*paths->root && unit_has_processes())
		return error_set(err, ERR_BUSY, RIVAL_UNIT " is active, and %s", next);
	auto_free char *dir = pid_dir ? xstrdup(pid_dir) : xasprintf("%s" PID_DIR, paths->root);
	auto_free char *pid_file = xasprintf("%s/%s.pid", dir, program ? program : PROGRAM);
	auto_free char *lock_file = xasprintf("%s.lock", pid_file);
	long pid = rival_pid(pid_file, lock_file);
	if (pid > 0)
		return error_set(err, ERR_BUSY, "the official agent runs as PID %ld ('%s'), and %s",
				 pid, pid_file, next);
	if (pid < 0)
		return error_set(err, ERR_BUSY, "the official agent runs (it holds '%s'), and %s",
				 lock_file, next);
	return 0;
}
