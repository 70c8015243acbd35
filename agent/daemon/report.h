/* SPDX-License-Identifier: Apache-2.0 */
/* Results on their way to the endpoint. The directories are the queue: every file in host/results/
 * (written by workers) and agent/results/ (ours, for commands that no worker could run) that has no
 * mark in agent/reported/ is sent, byte-identical, until it is accepted or refused for good; in
 * order within a deployment. */
#pragma once

#include "agent/daemon/daemon.h"
#include "agent/result.h"

#include <stdbool.h>
#include <stddef.h>

struct report;
int report_new(struct daemon *daemon, struct report **ret, struct error *err) MUST_CHECK;
void report_free(struct report *report);

/* Look through the directories: what is to be sent, which marks have lost their result. */
void report_scan(struct report *report);
/* A result of that name may be there now. */
void report_note(struct report *report, const char *name);
/* Is there a result of this command? name: result_name(). */
bool report_has_result(struct report *report, const char *name);
/* The endpoint offered a command that has its result already: send it again. */
void report_resend(struct report *report, const char *name);
/* The result that this command will have is known to the endpoint: it is not sent. */
void report_expect_known(struct report *report, const char *name);
/* A result of our own, written durably. */
int report_write_own(struct report *report, const struct result *result,
		     struct error *err) MUST_CHECK;
/* The endpoint answers (again), or there is a new connection: try at once. */
void report_kick(struct report *report);
/* The service goes: what is on its way is sent again later. */
void report_stop(struct report *report);
size_t report_waiting(const struct report *report);
