// SPDX-License-Identifier: Apache-2.0
/* What every way of running a script shares. */
#include "agent/worker/hook.h"

#include "agent/worker/hook-process.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

void hook_result_clear(struct hook_result *r)
{
	free(r->message);
	free(r->log_tail);
	*r = (struct hook_result){0};
}

/* Field 22 of /proc/PID/stat, in clock ticks since boot. The second field, the name, may hold
 * blanks and parentheses: count from its last one. */
uint64_t hook_process_start(pid_t pid)
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
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

int hook_process_await(int pidfd, int other_fd, uint64_t deadline_us)
{
	uint64_t now = clock_mono_us();
	uint64_t left_ms = deadline_us > now ? (deadline_us - now + 999) / 1000 : 0;
	struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = other_fd, .events = POLLIN}};
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

void hook_kill_leftover(pid_t pid, uint64_t start_time)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* after the descriptor is open: from here on the number cannot become somebody else's
	 * unseen */
	if (pidfd < 0 || start_time == 0 || hook_process_start(pid) != start_time)
		return;
	if (getpgid(pid) == pid)
		hook_process_end(pidfd, pid);
}
