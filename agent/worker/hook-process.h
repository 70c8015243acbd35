/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the hook module: watching and ending the processes of a script. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HOOK_GRACE_US ((uint64_t)5 * 1000 * 1000) /* from SIGTERM to SIGKILL */
#define HOOK_WAIT_MAX_MS 60000                    /* of one wait; callers loop */

struct hook_process {
	pid_t pid, parent;
	uint64_t start; /* in clock ticks since boot */
	bool zombie;
	bool marked; /* for who looks at them */
};
/* All that there are now. Caller frees *ret. */
size_t hook_process_all(struct hook_process **ret);
/* Only if it is still the one that started then. */
void hook_process_signal(pid_t pid, uint64_t start, int sig);
/* Is "NAME=VALUE" in its first environment, whatever became of that since? */
enum hook_variable {
	HOOK_VARIABLE_NONE,  /* not that name, or it cannot be read */
	HOOK_VARIABLE_OTHER, /* the name with another value */
	HOOK_VARIABLE_SAME,
};
enum hook_variable hook_process_variable(pid_t pid, const char *wanted);

/* Wait for its end, for other_fd (-1: none) or the deadline, at most HOOK_WAIT_MAX_MS. Returns 1
 * when it has ended (it is not reaped), 0 for everything else, or negative errno. fd may also be
 * anything else that becomes readable. */
int hook_process_await(int fd, int other_fd, uint64_t deadline_us);

/* The words for what still runs: "nginx (12), nginx (13)", long lists are cut. NULL: nothing.
 * Caller frees. */
char *hook_process_names(const pid_t *pids, size_t n);
/* The processes of a session, as they are now. Caller frees *ret. */
size_t hook_process_session(pid_t session, pid_t **ret);
