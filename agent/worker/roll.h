/* SPDX-License-Identifier: Apache-2.0 */
/* Log files that only grow: NAME, NAME.0 (the one before), NAME.1, ... as the official agents name
 * them. */
#pragma once

#include "agent/worker/run.h"

#include <stdint.h>

#define ROLL_BYTES ((uint64_t)64 * 1024 * 1024)
#define ROLL_KEPT 7 /* beside the one that grows */

/* When it has reached max_bytes the files move up by one, the last of them goes. Best effort. */
void roll(int dirfd, const char *name, uint64_t max_bytes);

/* Open ROOT/deployment-logs/PROGRAM-deployments.log for appending. -1: it is not wanted, or cannot
 * be had, with a warning. */
int roll_open_deployments_log(struct run *run);
