/* SPDX-License-Identifier: Apache-2.0 */
/* Finish or undo what a crash left, by a worker with the verb "recover": at start, and whenever a
 * worker died. */
#pragma once

#include "agent/daemon/daemon.h"

struct recovery;
struct recovery *recovery_new(struct daemon *daemon);
void recovery_free(struct recovery *recovery);
/* Run now, or once more after the run in progress. daemon_recovered() is called at the end of each
 * run, and at start already when trees are right, also when it could not do its work; then it is
 * tried again later by itself. */
void recovery_run(struct recovery *recovery);
bool recovery_is_running(const struct recovery *recovery);
/* Why it has to be tried again; "" when all is well. */
const char *recovery_problem(const struct recovery *recovery);
