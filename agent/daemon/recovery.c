// SPDX-License-Identifier: Apache-2.0
/* A run at start has two parts. The first, "files", puts trees right and waits for nothing; with
 * its end the daemon is ready and polls. The second does the rest, and may wait for as long as a
 * script of a group lasts: that group's lock is held by its worker, others go on. It needs no
 * memory of ours: after kill -9 the next start begins with the first part again, and skips groups
 * that a worker has. A command that was in work is given to a worker of its own meanwhile;
 * whichever has the lock waits for the script, and the other one finds its result. */
#include "agent/daemon/recovery.h"

#include "agent/daemon/backoff.h"
#include "agent/daemon/dialogue.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

struct recovery {
	struct daemon *daemon;
	struct dialogue *dialogue;
	sd_event_source *timer;
	struct backoff backoff;
	bool again;        /* asked for while one runs */
	bool files;        /* the running one is the first part */
	bool files_done;   /* since the start */
	bool has_result;   /* of the running one */
	char problem[512]; /* "" : none */
};

struct recovery *recovery_new(struct daemon *daemon)
{
	struct recovery *recovery = xcalloc(1, sizeof(*recovery));
	recovery->daemon = daemon;
	return recovery;
}

void recovery_free(struct recovery *recovery)
{
	if (!recovery)
		return;
	dialogue_free(recovery->dialogue);
	sd_event_source_disable_unref(recovery->timer);
	free(recovery);
}

bool recovery_is_running(const struct recovery *recovery)
{
	return recovery->dialogue;
}

const char *recovery_problem(const struct recovery *recovery)
{
	return recovery->problem;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	recovery_run(arg);
	return 0;
}

/* Say it when it is new, try again later. */
static void failed(struct recovery *recovery, const char *text)
{
	if (!str_eq(recovery->problem, text))
		log_warning("recovery is not complete: %s; trying again", text);
	snprintf(recovery->problem, sizeof(recovery->problem), "%s", text);
	uint64_t ms = backoff_next_ms(&recovery->backoff, OUTCOME_UNREACHABLE, backoff_random());
	struct error err = {0};
	if (loop_timer(&recovery->daemon->loop, &recovery->timer, ms, ms / 10, on_timer, recovery,
		       &err) < 0)
		log_error("recovery cannot be tried again by itself: %s; restart slipwayd",
			  err.text);
}

static void succeeded(struct recovery *recovery)
{
	if (*recovery->problem)
		log_notice("recovery is complete");
	*recovery->problem = '\0';
	backoff_reset(&recovery->backoff);
}

/* What may go away by itself is tried again: a file system that is not mounted yet, a group that a
 * running worker holds, an undo that had no room. The rest needs a person. */
static void on_result(struct recovery *recovery, const json_t *message)
{
	const char *code = NULL, *text = "";
	struct error err = {0};
	if (json_opt_str(message, "code", &code, &err) < 0 ||
	    json_opt_str(message, "text", &text, &err) < 0) {
		failed(recovery, err.text);
		return;
	}
	if (recovery->files) {
		if (code)
			log_warning("recovery of files: %s", text);
		return; /* the second part finds the same, and tries again */
	}
	int error = code ? error_from_name(code) : 0;
	if (error == ERR_NOT_MOUNTED || error == ERR_BUSY || error == ERR_UNDO) {
		failed(recovery, text);
		return;
	}
	succeeded(recovery);
	if (code)
		log_error("recovery failed: %s; see 'slipway status'", text);
}

static void on_event(const char *event, const json_t *message, void *arg)
{
	struct recovery *recovery = arg;
	dialogue_log(event, message);
	if (!str_eq(event, "result"))
		return;
	recovery->has_result = true;
	on_result(recovery, message);
}

static void on_end(void *arg)
{
	struct recovery *recovery = arg;
	dialogue_free(TAKE(recovery->dialogue));
	bool again = recovery->again || recovery->files;
	if (!recovery->has_result && !recovery->files)
		failed(recovery, "the worker ended without a result");
	recovery->again = false;
	if (recovery->files || !again)
		daemon_recovered(recovery->daemon);
	if (again)
		recovery_run(recovery);
}

void recovery_run(struct recovery *recovery)
{
	if (recovery->dialogue) {
		recovery->again = true;
		return;
	}
	recovery->has_result = false;
	loop_timer_off(recovery->timer);
	auto_json json_t *first = json_object();
	json_set_str(first, "verb", "recover");
	recovery->files = !recovery->files_done;
	recovery->files_done = true;
	if (recovery->files)
		json_set_bool(first, "files", true);
	const struct dialogue_handler handler = {on_event, on_end, recovery};
	struct error err = {0};
	if (dialogue_start(&recovery->daemon->loop, &recovery->daemon->paths, first, &handler,
			   &recovery->dialogue, &err) == 0)
		return;
	failed(recovery, err.text);
	daemon_recovered(recovery->daemon);
}
