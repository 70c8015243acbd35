/* SPDX-License-Identifier: Apache-2.0 */
/* Run one lifecycle script, by one of two back-ends: as a transient service of PID 1 (hook-unit.c),
 * so that it outlives the worker, or where there is no systemd, and under --root, by fork + exec in
 * a session of its own (hook-exec.c). stdout and stderr are files, opened for appending and
 * followed. */
#pragma once

#include "agent/worker/spec.h"
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
	const char *group_id, *deployment_id; /* for people */
	const char *group_label;              /* what people call the group; NULL: as its id says */
	const char *unit;  /* its service, as hook_unit_name() says; NULL: fork + exec */
	bool attach;       /* a worker that is gone may have started it: wait for it if so */
	bool started;      /* it is known to have: then it is not started again */
	int marks_fd;      /* where it is kept how far output was copied, for the next worker; -1 */
	const char *runas; /* NULL: as the worker */
	int64_t timeout_s;
	struct spec_limits limits; /* of the host and of the script together */
	const char *const *env; /* complete, NULL-terminated "K=V"; HOME, USER, LOGNAME, SHELL, PATH
				   are set by the runner for the account */
	int logs_fd;         /* directory: EVENT-N.stdout and .stderr are made in it, scripts.log is
				appended to (official format) */
	int all_fd;          /* the log of all deployments; below 0: none */
	uint64_t output_max; /* of one script, see HOOK_OUTPUT_MAX; 0: that */
	unsigned number;     /* N: counts scripts of the deployment, for unique file names */
	const char *log_before; /* log_tail of the event's script before this one, which this one's
				   goes on with; NULL: this is the event's first */
	void (*on_line)(const char *stream, const char *line, size_t len,
			void *arg); /* live output without the line's end, any bytes; may be NULL */
	void (*on_start)(pid_t pid, uint64_t start_time,
			 void *arg); /* fork + exec only: to be recorded, a restarted worker kills
					what is left. May be NULL */
	void *arg;
};

struct hook_result {
	enum wire_error_code
		code;   /* WIRE_SUCCESS, _SCRIPT_MISSING, _NOT_EXECUTABLE, _TIMED_OUT, _FAILED */
	char *message;  /* official form: "Script at specified location: X failed with exit code 3"
			 */
	char *log_tail; /* official form, at most WIRE_LOG_TAIL_MAX bytes; whole lines, one long
			   line is cut, not dropped */
	char *output;   /* more of what it printed, as text, "[stderr]LINE": about 64 KiB of its end
			 */
	int exit_code;  /* -1: it did not run, or a signal ended it */
	int signal;     /* 0: none */
	bool timed_out;
	char *shortage; /* the kernel killed it, or something of it, for want of memory: whose, in
			   words; NULL: it did not, or this cannot be known */
	char *refusal;  /* the kernel refused it a process: whose limit that was, in words; NULL: it
			   did not, or this cannot be known */
	double wall_s, cpu_s;                  /* -1: unknown */
	int64_t memory_peak_bytes, tasks_peak; /* -1: unknown */
	char *left_running; /* "nginx (12), nginx (13)": what it started and still runs; NULL:
			       nothing */
};
void hook_result_clear(struct hook_result *r);
#define auto_hook_result CLEANUP(hook_result_clear)

/* Output of one script that is copied into scripts.log and to on_line; the tail is always that of
 * its end. It is also what EVENT-N.stdout and .stderr keep from their beginning: more is left out
 * in the middle, and they say how much. What runs on after the script is not cut. */
#define HOOK_OUTPUT_MAX ((uint64_t)64 * 1024 * 1024)

/* Returns 0 when the script ran or could not be run for a reason that is the script's own (see
 * ret->code); below 0 when the runner failed. The hook ends when its main process ends; what it
 * leaves running lives on (unless it timed out: SIGTERM, 5 s, SIGKILL to the whole group, or to
 * everything in its control group; there PID 1 kills after 90 s if no worker does). A log that
 * cannot be written is warned about, and the script runs all the same: on a full disk the
 * application must still be started again. */
int hook_run(const struct hook_request *request, struct hook_result *ret,
	     struct error *err) MUST_CHECK;

/* The name of the account that scripts without runas have, which is the worker's. Caller frees. */
char *hook_own_user(void);

/* What the environment of a script's processes says. */
struct hook_whose {
	const char *deployment_id;
	const char *root;  /* destination_root of this host, NULL: it has none; other hosts of the
			      same machine have others, and may have the same deployment */
	const char *event; /* not what says that another one has started it, a server that forks
			      (NULL: that, too) */
};
/* Kill what a recorded hook left: its session, when it is still the one whose leader pid started at
 * start_time, and what has started since with such an environment. SIGTERM, 5 s, SIGKILL; returns
 * when it is gone. Best effort. */
void hook_kill_leftover(pid_t pid, uint64_t start_time, const struct hook_whose *whose);
/* Would there be anything to kill? whose->event does not count. */
bool hook_is_left(pid_t pid, uint64_t start_time, const struct hook_whose *whose);

/* Services. A unit stays after its script has ended, so that its result can be read by whoever
 * comes; hook_unit_collect() takes it away. All are best effort, with a warning. */

/* Is a script to run as a service? Only where the worker's root is the system's own and systemd
 * runs; there it is never done in another way. */
bool hook_unit_used(const char *root);
/* "slipway-hook-DEPLOYMENT-EVENT-N.service". Caller frees. */
char *hook_unit_name(const char *deployment_id, const char *event, unsigned number);
/* Stop it, whatever runs in it: SIGTERM, 5 s, SIGKILL; returns when it is empty. */
void hook_unit_stop(const char *unit);
/* Is it a unit of this deployment? */
bool hook_unit_is_of(const char *unit, const char *deployment_id);
/* The result is safe. The unit goes, unless what its script started still runs in it. */
void hook_unit_collect(const char *unit);
/* Units of the group (of that deployment only, if deployment_id is not NULL) that nothing runs in
 * any more go; with stop, the others are stopped first: SIGTERM, 5 s, SIGKILL. Returns how many had
 * something running. */
unsigned hook_unit_sweep(const char *group_id, const char *deployment_id, bool stop);
