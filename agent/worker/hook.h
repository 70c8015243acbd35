/* SPDX-License-Identifier: Apache-2.0 */
/* Run one lifecycle script. hook-exec.c: fork + exec, where there is no systemd: own session,
 * stdout and stderr are files, opened for appending and followed. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct hook_request {
	int archive_fd;            /* the revision whose script it is */
	const char *archive_path;  /* its absolute path */
	const char *location;      /* relative, normalised */
	const char *location_text; /* as in the AppSpec */
	const char *event;
	const char *runas; /* NULL: as the worker */
	int64_t timeout_s;
	const char *const *env; /* complete, NULL-terminated "K=V"; HOME, USER, LOGNAME, SHELL, PATH
				   are set by the runner for the account */
	int logs_fd;     /* directory: EVENT-N.stdout and .stderr are made in it, scripts.log is
			    appended to (official format) */
	unsigned number; /* N: counts scripts of the deployment, for unique file names */
	const char *log_before; /* log_tail of the event's script before this one, which this one's
				   goes on with; NULL: this is the event's first */
	void (*on_line)(const char *stream, const char *line, size_t len,
			void *arg); /* live output without the line's end, any bytes; may be NULL */
	void (*on_start)(
		pid_t pid, uint64_t start_time,
		void *arg); /* to be recorded: a restarted worker kills what is left. May be NULL */
	void *arg;
};

struct hook_result {
	enum wire_error_code
		code;   /* WIRE_SUCCESS, _SCRIPT_MISSING, _NOT_EXECUTABLE, _TIMED_OUT, _FAILED */
	char *message;  /* official form: "Script at specified location: X failed with exit code 3"
			 */
	char *log_tail; /* official form, at most WIRE_LOG_TAIL_MAX bytes; whole lines, one long
			   line is cut, not dropped */
	int exit_code;  /* -1: it did not run, or a signal ended it */
	int signal;     /* 0: none */
	bool timed_out;
	double wall_s, cpu_s;
	int64_t memory_peak_bytes; /* -1: unknown */
};
void hook_result_clear(struct hook_result *r);
#define auto_hook_result CLEANUP(hook_result_clear)

/* Output of one script that is copied into scripts.log, to on_line and into the tail. Beyond it, it
 * stays in EVENT-N.stdout and .stderr, and scripts.log says so. */
#define HOOK_OUTPUT_MAX ((uint64_t)64 * 1024 * 1024)

/* Returns 0 when the script ran or could not be run for a reason that is the script's own (see
 * ret->code); below 0 when the runner failed. The hook ends when its main process ends; what it
 * leaves running in its session lives on (unless it timed out: SIGTERM, 5 s, SIGKILL to the whole
 * group). A log that cannot be written is warned about, and the script runs all the same: on a full
 * disk the application must still be started again. */
int hook_run(const struct hook_request *request, struct hook_result *ret,
	     struct error *err) MUST_CHECK;

/* Kill what a recorded hook left (its process group), if pid is still the process that started at
 * start_time. Best effort. */
void hook_kill_leftover(pid_t pid, uint64_t start_time);
