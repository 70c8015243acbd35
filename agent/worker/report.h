/* SPDX-License-Identifier: Apache-2.0 */
/* Results of the endpoint's commands (docs/formats/result.md), as the worker writes them. */
#pragma once

#include "agent/worker/group.h"
#include "common/wire.h"

#define REPORT_DONE "Succeeded: "
#define REPORT_NOOP "Succeeded: CompletedNoopCommand"

struct report {
	const char *command_id, *event;
	const char *group_id, *deployment_id; /* NULL: not known */
	bool open;                            /* the deployment goes on */
	int code;                             /* enum wire_error_code */
	const char *script_name, *message, *log;
};
/* Durable. A result that is there already stands, and that is success. */
int report_write(struct run *run, const struct report *report, struct error *err) MUST_CHECK;

/* The same, unless report_timer_stop() comes within after_ms: from a process of its own, which ends
 * with this one. */
struct report_timer {
	pid_t pid; /* 0: none */
	int fd;
};
void report_timer_start(struct run *run, const struct report *report, int after_ms,
			struct report_timer *ret);
void report_timer_stop(struct report_timer *timer);

/* Is there a result of this command? *ret_status (may be NULL). */
bool report_exists(struct run *run, const char *command_id, enum wire_status *ret_status);

/* Remove results that are older than 30 days and were reported, and files that a killed worker left
 * half written. */
void report_expire(struct run *run);
