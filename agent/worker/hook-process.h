/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the hook module: watching and ending the processes of a script. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define HOOK_GRACE_US ((uint64_t)5 * 1000 * 1000) /* from SIGTERM to SIGKILL */
#define HOOK_WAIT_MAX_MS 60000                    /* of one wait; callers loop */

/* When did this process start? 0: it is not there. */
uint64_t hook_process_start(pid_t pid);
/* Wait for its end, for other_fd (-1: none) or the deadline, at most HOOK_WAIT_MAX_MS. Returns 1
 * when it has ended (it is not reaped), 0 for everything else, or negative errno. fd may also be
 * anything else that becomes readable. */
int hook_process_await(int fd, int other_fd, uint64_t deadline_us);
/* SIGTERM to its group, up to 5 s, SIGKILL to whatever of the group is left. The leader must not be
 * reaped yet. */
void hook_process_end(int pidfd, pid_t pid);

/* The words for what still runs: "nginx (12), nginx (13)", long lists are cut. NULL: nothing.
 * Caller frees. */
char *hook_process_names(const pid_t *pids, size_t n);
/* The processes of a session, as they are now. Caller frees *ret. */
size_t hook_process_session(pid_t session, pid_t **ret);
