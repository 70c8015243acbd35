/* SPDX-License-Identifier: Apache-2.0 */
/* What a failure comes from, as far as facts say: how the script ended, what its file is like, what
 * it printed, and what the host is like at this moment. Nothing is run for it, and no text that a
 * script printed ever becomes part of what a person is told to do. */
#pragma once

#include "agent/state.h"

#include <stdbool.h>
#include <stdint.h>

#define CAUSE_LINES 20 /* of its output that are kept with a failure */

struct cause_request {
	const char *event;
	int archive_fd;       /* the script's revision; -1: its file is not looked at */
	const char *location; /* relative, normalised */
	const char *runas;    /* NULL: as the worker */
	int64_t timeout_s;
	bool timed_out, missing, started; /* how far it got */
	const char *message;              /* how it ended, in words; NULL */
	const char *shortage, *refusal;   /* as struct hook_result */
	int exit_code, signal;            /* -1, 0 */
	const char *output;   /* lines "[stderr]TEXT", no control characters; NULL: none */
	const char *proc_net; /* of the network that the script had: "/proc/1/net" */
	uint64_t oom_kills;   /* that the host counted while it ran */
};

/* Add what is found to *ret, likeliest first. */
void cause_find(const struct cause_request *request, struct state_causes *ret);

/* The same of a failure that is not a script's. */
void cause_find_error(int code, const char *text, struct state_causes *ret);

/* How often the kernel has killed a process of this host for want of memory. 0: not known. */
uint64_t cause_oom_kills(void);

/* The last lines of such an output, at most CAUSE_LINES and 8 KiB of them. Points into it. */
const char *cause_last_lines(const char *output);
