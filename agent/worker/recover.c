// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/recover.h"

#include "agent/messages.h"
#include "agent/worker/finish.h"
#include "agent/worker/history.h"
#include "agent/worker/hooks.h"
#include "agent/worker/layout.h"
#include "agent/worker/lifecycle.h"
#include "agent/worker/report.h"
#include "agent/worker/retention.h"
#include "agent/worker/rollback.h"
#include "agent/worker/scratch.h"
#include "agent/worker/takeover.h"
#include "agent/worker/transact.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* The daemon counts from the result's time, which has whole seconds. */
#define SLACK_S 2

/* The step that the worker was killed in, as a failure. */
static void fail_interrupted(struct group *g, const char *event)
{
	struct error why = {.code = -EINTR};
	snprintf(why.text, sizeof(why.text), "Failed: the worker ended while %s was running",
		 event);
	lifecycle_set_failure(g, event, WIRE_FAILED_AFTER_RESTART, &why);
	struct state_deployment *d = g->state->open;
	struct state_step *step = state_step_find(d, event);
	if (step && step->status == STATE_STARTED)
		state_step_end(step, STATE_FAILED, why.text);
}

static const char *last_event(const struct state_deployment *d)
{
	return d->n_steps ? d->steps[d->n_steps - 1].event : "DownloadBundle";
}

static const char *what_became(const struct state_deployment *d)
{
	if (d->succeeded)
		return "completed";
	return d->rolled_back ? "rolled back" : "left";
}

/* An Install that the journal has rolled forward is an Install that has succeeded. */
static void note_installed(struct state_deployment *d, enum install_state installed)
{
	struct state_step *step = state_step_find(d, "Install");
	if (installed == INSTALL_INSTALLED && step && step->status == STATE_STARTED)
		state_step_end(step, STATE_SUCCEEDED, NULL);
}

/* Its script is a service: it has not heard that a worker died, and neither shall the endpoint. */
static int resume_command(struct group *g, const char **ret_what, struct error *err)
{
	const char *message = NULL;
	auto_free char *event = xstrdup(g->state->open->command_event);
	int r = lifecycle_resume(g, event, &message, err);
	r = finish_walked(g, r, message, err);
	*ret_what = g->state->open ? "resumed" : what_became(g->state->last);
	return r;
}

static int recover_command(struct group *g, const char **ret_what, struct error *err)
{
	struct state_deployment *d = g->state->open;
	enum wire_status status;
	bool reported = report_exists(g->run, d->command, &status);
	auto_free char *interrupted = hooks_interrupted(g);
	const struct state_step *last = state_step_find(d, d->command_event);
	if (!reported && last && last->status == STATE_STARTED &&
	    str_eq(interrupted, d->command_event))
		return resume_command(g, ret_what, err);
	hooks_kill_leftover(g);
	if (!reported || status != WIRE_SUCCEEDED) {
		fail_interrupted(g, d->command_event);
		*ret_what = d->job->rollback ? "rolled back" : "left";
		return finish_failed(g, err);
	}
	struct state_step *step = state_step_find(d, d->command_event);
	if (step && step->status == STATE_STARTED)
		state_step_end(step, STATE_SUCCEEDED, NULL);
	*ret_what = "completed";
	return finish_command(g, REPORT_DONE, err);
}

/* The tree was put back, but that could not be recorded (a full disk): it must not go on as if it
 * were installed. */
static bool was_undone(const struct state_deployment *d, enum install_state installed)
{
	return !d->complete && installed == INSTALL_NONE && state_step_succeeded(d, "Install");
}

static int recover_running(struct group *g, enum install_state installed, const char **ret_what,
			   struct error *err)
{
	struct state_deployment *d = g->state->open;
	if (d->command)
		return recover_command(g, ret_what, err);
	if (!job_is_local(d->job) && !was_undone(d, installed))
		return 0;
	hooks_kill_leftover(g);
	if (!d->job->rollback)
		note_installed(d, installed);
	fail_interrupted(g, last_event(d));
	*ret_what = d->job->rollback ? "rolled back" : "left";
	return finish_failed(g, err);
}

static const char *what_of(enum state_phase phase)
{
	switch (phase) {
	case STATE_COMPLETING:
		return "completed";
	case STATE_LEAVING:
		return "left";
	default:
		return "rolled back";
	}
}

/* Its line is written after the state: a worker may have died between the two. */
static void ensure_history(struct group *g)
{
	struct error quiet = {0};
	if (history_ensure(g->run->host_fd, g->state, &quiet) < 0)
		log_warning("history was not written: %s", quiet.text);
}

int recover_group(struct group *g, const char **ret_what, struct error *err)
{
	const char *what = NULL;
	enum install_state installed;
	int r = transact_recover(g, &installed, err);
	if (r < 0)
		return error_prefix(err, r, "group '%s'", g->id);
	hooks_recall(g);
	const struct state_deployment *d = g->state->open;
	if (!d && installed == INSTALL_INSTALLED) {
		what = "undone";
		r = transact_undo(g, NULL, NULL, err);
	} else if (d && d->phase == STATE_RUNNING) {
		r = recover_running(g, installed, &what, err);
	} else if (d) {
		what = what_of(d->phase);
		r = finish_resume(g, err);
	}
	if (r >= 0 && !g->state->open)
		ensure_history(g);
	if (what)
		layout_repair(g);
	auto_free char *label = state_label(g->state);
	const struct state_deployment *of = g->state->open ? g->state->open : g->state->last;
	const char *id = of ? state_deployment_id(of) : NULL;
	if (what)
		log_event(LOG_NOTICE, MESSAGE_RECOVERED,
			  (const char *const[]){"GROUP_ID", g->id, id ? "DEPLOYMENT_ID" : NULL, id,
						NULL},
			  "group '%s': what a crash left was %s%s%s", label, r < 0 ? "not " : "",
			  what, r < 0 ? " yet" : "");
	if (ret_what)
		*ret_what = what;
	return r < 0 ? r : 0;
}

/* Is this what recover_group() will do with it? A script of this boot may still run and its result
 * decide: then it is left to that. */
static bool will_roll_back(struct group *g)
{
	const struct state_deployment *d = g->state->open;
	enum wire_status status;
	auto_free char *interrupted = hooks_interrupted(g);
	if (d->complete || d->rolled_back || interrupted || hooks_may_run(g))
		return false;
	if (d->phase != STATE_RUNNING)
		return d->phase == STATE_ROLLING_BACK;
	if (!d->job->rollback)
		return false;
	if (!d->command)
		return job_is_local(d->job);
	return !report_exists(g->run, d->command, &status) || status != WIRE_SUCCEEDED;
}

/* Trees only: no script, no bus. The direction is durable before the tree is touched, so that the
 * rest follows whenever recover_group() comes. */
static int recover_files(struct group *g, const char **ret_what, struct error *err)
{
	enum install_state installed;
	int r = transact_recover(g, &installed, err);
	if (r < 0)
		return error_prefix(err, r, "group '%s'", g->id);
	hooks_recall(g);
	struct state_deployment *d = g->state->open;
	if (installed != INSTALL_INSTALLED || (d && !will_roll_back(g)))
		return 0;
	*ret_what = d ? "files put back" : "undone";
	if (!d)
		return transact_undo(g, NULL, NULL, err);
	if (d->phase == STATE_RUNNING) {
		hooks_kill_leftover(g);
		fail_interrupted(g, d->command ? d->command_event : last_event(d));
		d->phase = STATE_ROLLING_BACK;
	}
	return rollback_tree(g, err);
}

static bool began_to_stop(const struct state_deployment *d)
{
	for (size_t i = 0; i < d->n_steps; i++)
		if (job_is_from(d->steps[i].event, WIRE_APPLICATION_STOP))
			return true;
	return false;
}

/* Without a rollback there is nothing to put right, and the endpoint may come back to it. */
static bool waits_for_endpoint(const struct state_deployment *d)
{
	return d && !job_is_local(d->job) && d->job->rollback && !d->complete && began_to_stop(d);
}

bool recover_is_orphan(const struct group *g, double now)
{
	const struct state_deployment *d = g->state->open;
	if (!waits_for_endpoint(d))
		return false;
	double since = d->last_command > 0 ? d->last_command : d->started;
	/* A clock that was set back by more than that must not make it wait for as much again. */
	double age = now > since ? now - since : since - now;
	return (age + SLACK_S) * 1000 >= (double)g->run->settings.orphan_timeout;
}

int recover_abandon(struct group *g, const char *why, struct error *err)
{
	struct error reason = {.code = ERR_NETWORK};
	snprintf(reason.text, sizeof(reason.text), "%s", why);
	lifecycle_set_failure(g, last_event(g->state->open), WIRE_UNKNOWN_ERROR, &reason);
	return finish_failed(g, err);
}

int recover_orphan_verb(struct run *run, const json_t *message, int fd, json_t *result,
			struct error *err)
{
	const char *id = NULL;
	int r = json_need_str(message, "group_id", &id, err);
	if (r < 0)
		return 2;
	auto_group struct group g = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
	r = group_open(run, id, "orphan", true, &g, err);
	if (r >= 0)
		r = recover_group(&g, NULL, err);
	if (r < 0)
		return run_exit_code(r);
	if (!waits_for_endpoint(g.state->open)) {
		json_set_str(result, "group_id", g.id);
		return 0;
	}
	if (!recover_is_orphan(&g, clock_wall()))
		r = error_set(err, ERR_BUSY,
			      "deployment '%s' may go on: orphan_timeout has not passed",
			      state_deployment_id(g.state->open));
	else
		r = recover_abandon(&g,
				    "the endpoint has been silent for longer than "
				    "orphan_timeout",
				    err);
	if (r < 0)
		return run_exit_code(r);
	finish_describe(result, &g, g.state->last);
	return finish_exit_code(g.state->last) == 4 ? 4 : 0;
}

static void say_recovered(struct run *run, const struct group *g, const char *what,
			  const char *text)
{
	const struct state_deployment *d = g->state->open ? g->state->open : g->state->last;
	json_t *event = caller_event("recovered");
	json_set_str(event, "group_id", g->id);
	if (d)
		json_set_str(event, "deployment", state_deployment_id(d));
	json_set_str(event, "what", what);
	json_set_str(event, "text", text);
	caller_say(&run->caller, event);
}

/* Of the groups: what can be done at once comes before what a script has to end for. */
enum pass { PASS_FILES, PASS_AT_ONCE, PASS_REST };

/* Returns the exit code of this group. A group whose lock is held has a worker: nothing to do. */
static int recover_one(struct run *run, const char *id, enum pass pass, struct error *err)
{
	auto_group struct group g = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
	int r = group_open(run, id, "recover", true, &g, err);
	if (r == ERR_BUSY)
		return 0;
	if (r < 0)
		return run_exit_code(r);
	fs_unlink_quiet(g.fd, TAKEOVER_MANIFEST); /* of an adopt that was never begun */
	const char *what = NULL;
	if (pass != PASS_FILES && hooks_may_run(&g) != (pass == PASS_REST))
		return 0;
	r = pass == PASS_FILES ? recover_files(&g, &what, err) : recover_group(&g, &what, err);
	if (r == ERR_NOT_MOUNTED || r == ERR_UNDO)
		what = r == ERR_UNDO ? "undo failed" : "not mounted";
	if (what)
		say_recovered(run, &g, what, r < 0 ? err->text : NULL);
	if (r < 0) {
		auto_free char *label = state_label(g.state);
		log_error("recovery of group '%s': %s", label, err->text);
		return run_exit_code(r);
	}
	struct error quiet = {0};
	if (pass != PASS_FILES && retention_run(&g, &quiet) < 0)
		log_warning("old deployments of group '%s' stay: %s", g.id, quiet.text);
	layout_repair(&g);
	return 0;
}

/* A person first, then "later", then any other failure. */
static int worse(int a, int b)
{
	static const int order[] = {0, 1, 2, 6, 4};
	size_t at_a = 0, at_b = 0;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		at_a = order[i] == a ? i : at_a;
		at_b = order[i] == b ? i : at_b;
	}
	return at_b > at_a ? b : a;
}

static int recover_all(struct run *run, enum pass pass, int exit_code, struct error *err)
{
	auto_close int list_fd = openat(run->groups_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
	if (!dir) {
		error_errno(err, "list the groups");
		return 1;
	}
	TAKE_FD(list_fd);
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		struct error one = {0};
		int code = recover_one(run, entry->d_name, pass, &one);
		if (worse(exit_code, code) != exit_code)
			*err = one;
		exit_code = worse(exit_code, code);
	}
	return exit_code;
}

/* Returns the exit code. */
static int recover_takeover(struct run *run, struct error *err)
{
	auto_free char *group = NULL;
	auto_free char *deployment = NULL;
	int r = takeover_recover(run, NULL, &group, &deployment, err);
	if (r <= 0)
		return r < 0 ? run_exit_code(r) : 0;
	json_t *event = caller_event("recovered");
	json_set_str(event, "group_id", group);
	json_set_str(event, "deployment", deployment);
	json_set_str(event, "what", "adopted");
	caller_say(&run->caller, event);
	return 0;
}

int recover_verb(struct run *run, const json_t *message, int fd, json_t *result, struct error *err)
{
	bool files = false;
	if (json_opt_bool(message, "files", &files, err) < 0)
		return 2;
	int exit_code = recover_takeover(run, err);
	if (files)
		return recover_all(run, PASS_FILES, exit_code, err);
	exit_code = recover_all(run, PASS_AT_ONCE, exit_code, err);
	exit_code = recover_all(run, PASS_REST, exit_code, err);
	scratch_clear_unused(run);
	report_expire(run);
	return exit_code;
}
