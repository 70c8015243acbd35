// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/hook-process.h"

#include "agent/worker/hook.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define SESSION 6 /* fields of /proc/PID/stat */
#define START_TIME 22
#define ENVIRON_MAX ((size_t)1024 * 1024)
#define NAMES_MAX 16 /* processes that are told by name; of more the number */

/* A field of /proc/PID/stat after the name; the name (field 2) may hold blanks and parentheses:
 * count from its last one. 0: the process is not there. */
static uint64_t stat_field(pid_t pid, int wanted)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[1024];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	const char *p = strrchr(text, ')');
	for (int field = 2; p && field < wanted; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

/* In clock ticks since boot. */
uint64_t hook_process_start(pid_t pid)
{
	return stat_field(pid, START_TIME);
}

int hook_process_await(int fd, int other_fd, uint64_t deadline_us)
{
	uint64_t now = clock_mono_us();
	uint64_t left_ms = deadline_us > now ? (deadline_us - now + 999) / 1000 : 0;
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = other_fd, .events = POLLIN}};
	int r = poll(fds, ARRAY_LEN(fds),
		     left_ms < HOOK_WAIT_MAX_MS ? (int)left_ms : HOOK_WAIT_MAX_MS);
	if (r < 0 && errno != EINTR)
		return -errno;
	return r > 0 && fds[0].revents ? 1 : 0;
}

void hook_process_end(int pidfd, pid_t pid)
{
	kill(-pid, SIGTERM);
	kill(-pid, SIGCONT); /* what is stopped would not hear it */
	uint64_t deadline_us = clock_mono_us() + HOOK_GRACE_US;
	while (hook_process_await(pidfd, -1, deadline_us) == 0 && clock_mono_us() < deadline_us)
		;
	kill(-pid, SIGKILL);
}

static bool is_zombie(pid_t pid)
{
	char path[64], text[1024];
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return true;
	text[n] = '\0';
	const char *p = strrchr(text, ')');
	return !p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X';
}

size_t hook_process_session(pid_t session, pid_t **ret)
{
	size_t n = 0;
	*ret = NULL;
	auto_closedir DIR *dir = opendir("/proc");
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
		if (pid <= 0 || stat_field(pid, SESSION) != (uint64_t)session || is_zombie(pid))
			continue;
		*ret = xrealloc_array(*ret, n + 1, sizeof(**ret));
		(*ret)[n++] = pid;
	}
	return n;
}

/* The first environment of a process names the deployment, whatever became of it since. */
static bool is_of_deployment(pid_t pid, const char *deployment_id)
{
	char path[64];
	auto_free char *text = NULL;
	size_t len = 0;
	snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fs_read_fd(fd, ENVIRON_MAX, &text, &len, NULL) < 0)
		return false;
	auto_free char *wanted = xasprintf("DEPLOYMENT_ID=%s", deployment_id);
	for (const char *p = text; p < text + len; p += strlen(p) + 1)
		if (strcmp(p, wanted) == 0)
			return true;
	return false;
}

/* Is it still the session that was recorded? When its leader has ended, the number may have been
 * given to another one, which may have lost its leader as well: ask its members. */
static bool is_session_of(pid_t session, uint64_t start_time, const char *deployment_id)
{
	uint64_t there = hook_process_start(session);
	if (there)
		return there == start_time;
	auto_free pid_t *pids = NULL;
	size_t n = hook_process_session(session, &pids);
	for (size_t i = 0; i < n; i++)
		if (hook_process_start(pids[i]) >= start_time &&
		    is_of_deployment(pids[i], deployment_id))
			return true;
	return false;
}

static void signal_session(pid_t session, int sig)
{
	auto_free pid_t *pids = NULL;
	size_t n = hook_process_session(session, &pids);
	for (size_t i = 0; i < n; i++) {
		auto_close int pidfd = (int)syscall(SYS_pidfd_open, pids[i], 0);
		/* the descriptor first: from here on the number cannot become somebody else's */
		if (pidfd >= 0 && stat_field(pids[i], SESSION) == (uint64_t)session)
			syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
	}
}

/* Returns false when some are left at the end of the time. */
static bool await_session(pid_t session, uint64_t wait_us)
{
	uint64_t deadline_us = clock_mono_us() + wait_us;
	for (;;) {
		auto_free pid_t *pids = NULL;
		if (hook_process_session(session, &pids) == 0)
			return true;
		auto_close int pidfd = (int)syscall(SYS_pidfd_open, pids[0], 0);
		if (pidfd >= 0 && hook_process_await(pidfd, -1, deadline_us) < 0)
			return false;
		if (clock_mono_us() >= deadline_us)
			return false;
	}
}

void hook_kill_leftover(pid_t pid, uint64_t start_time, const char *deployment_id)
{
	if (start_time == 0 || !is_session_of(pid, start_time, deployment_id))
		return;
	signal_session(pid, SIGTERM);
	signal_session(pid, SIGCONT); /* what is stopped would not hear it */
	if (await_session(pid, HOOK_GRACE_US))
		return;
	signal_session(pid, SIGKILL);
	if (!await_session(pid, HOOK_GRACE_US))
		log_warning("what process %ld left running cannot be killed", (long)pid);
}

static void add_name(struct buf *out, pid_t pid)
{
	char path[64];
	auto_free char *comm = NULL;
	size_t len = 0;
	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fs_read_fd(fd, 64, &comm, &len, NULL) < 0)
		return; /* it has just ended */
	comm[strcspn(comm, "\n")] = '\0';
	auto_free char *clean = str_to_utf8(comm, strlen(comm));
	buf_addf(out, "%s%s (%ld)", out->len ? ", " : "", clean, (long)pid);
}

char *hook_process_names(const pid_t *pids, size_t n)
{
	auto_buf struct buf out = BUF_INIT(4096);
	for (size_t i = 0; i < n && i < NAMES_MAX; i++)
		add_name(&out, pids[i]);
	if (n > NAMES_MAX)
		buf_addf(&out, ", and %zu more", n - NAMES_MAX);
	return out.len ? buf_take(&out) : NULL;
}
