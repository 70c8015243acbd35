/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the hook module: one script while it runs, and its two back-ends. */
#pragma once

#include "agent/worker/hook-output.h"
#include "agent/worker/hook.h"

#include <sys/types.h>

struct hook {
	const struct hook_request *request;
	char *path; /* absolute */
	char **env; /* complete: borrowed strings and own_env */
	char *own_env[8];
	unsigned n_own;
	uid_t uid;
	struct hook_output output;
	struct hook_result result;
	uint64_t start_us;
};

/* Both see the script to its end. They set exit_code, signal, timed_out, shortage and the
 * figures of h->result, and hook.c puts the end into words; or they set a failure themselves when
 * it did not start. Below 0: the runner failed. */
int hook_exec_run(struct hook *h, struct error *err) MUST_CHECK;
int hook_unit_run(struct hook *h, struct error *err) MUST_CHECK;

/* The result of a script that did not do its work: "Script at specified location: X" and more. */
void hook_fail(struct hook *h, enum wire_error_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
void hook_fail_errno(struct hook *h, int code, const char *why);

/* Why the kernel does not run the script, seen from its first line. */
enum hook_format {
	HOOK_FORMAT_OK,     /* not for a reason that shows there */
	HOOK_FORMAT_SHELL,  /* no "#!" and no program: /bin/sh is to run it, as the official agent
			       does */
	HOOK_FORMAT_BROKEN, /* the program that it asks for is not there; *ret_why says which */
};
enum hook_format hook_format(struct hook *h, char **ret_why);

/* May its user execute it, by the modes of the script and of the directories above it? */
bool hook_may_execute(const struct hook *h);

/* One round: wait until fd is readable (its end, news of it), the script wrote something, or the
 * deadline. Output is copied on. Returns 1 when fd is readable, 0 else, or negative errno. */
int hook_wait(struct hook *h, int fd, uint64_t deadline_us) MUST_CHECK;
