/* SPDX-License-Identifier: Apache-2.0 */
/* The official agent on the same host: two agents must never poll as one. */
#pragma once

#include "agent/paths.h"
#include "common/error.h"

#define RIVAL_UNIT "codedeploy-agent.service"

/* The live process that its PID file names, or that holds its lock (1.8): 0 when there is none, -1
 * when the lock is held and the number is not known. A PID that now is another process's, or that
 * is older than this boot, does not count. */
long rival_pid(const char *pid_file, const char *lock_file);

/* May slipwayd poll as this host? ERR_BUSY says who runs, and what to do: a process of
 * codedeploy-agent.service, or rival_pid() of pid_dir (NULL: where the official agent has it below
 * the root). */
int rival_check(const struct paths *paths, const char *pid_dir, const char *program,
		struct error *err) MUST_CHECK;
