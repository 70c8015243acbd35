// SPDX-License-Identifier: Apache-2.0
/* The order in each of them: direction, acts, result, state, history. A crash between two of these
 * repeats from the direction; every act may be repeated, the first result stands. */
#include "agent/worker/finish.h"

#include "agent/messages.h"
#include "agent/worker/history.h"
#include "agent/worker/hooks.h"
#include "agent/worker/layout.h"
#include "agent/worker/lifecycle.h"
#include "agent/worker/report.h"
#include "agent/worker/retention.h"
#include "agent/worker/rollback.h"
#include "agent/worker/share.h"
#include "agent/worker/transact.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <assert.h>
#include <string.h>

#define ROLLBACK_REPORT_MS (5 * 60 * 1000)

static void set(char **place, const char *value)
{
	char *copy = xstrdup_null(value);
	free(*place);
	*place = copy;
}

static int enter(struct group *g, enum state_phase phase, struct error *err)
{
	g->state->open->phase = phase;
	return group_save(g, err);
}

/* How it ended, for the journal. */
static void log_end(const struct group *g, int level, const char *message_id, const char *how,
		    const char *why)
{
	const char *id = state_deployment_id(g->state->open);
	const char *const fields[] = {"DEPLOYMENT_ID", id, "GROUP_ID", g->id, NULL};
	auto_free char *label = state_label(g->state);
	log_event(level, message_id, fields, "deployment '%s' of group '%s' %s%s%s", id, label, how,
		  why ? ": " : "", why ? why : "");
}

static struct report describe(const struct group *g)
{
	const struct state_deployment *d = g->state->open;
	return (struct report){
		.command_id = d->command,
		.event = d->command_event,
		.group_id = g->id,
		.deployment_id = state_deployment_id(d),
	};
}

static struct report describe_failure(const struct group *g)
{
	const struct state_failure *f = g->state->open->failure;
	struct report report = describe(g);
	report.code = f->code != WIRE_SUCCESS ? f->code : WIRE_UNKNOWN_ERROR;
	report.script_name = f->script_name;
	report.message = f->message;
	report.log = f->log;
	return report;
}

static int write_success(struct group *g, const char *message, bool open, struct error *err)
{
	if (!g->state->open->command)
		return 0;
	struct report report = describe(g);
	report.message = message;
	report.open = open;
	return report_write(g->run, &report, err);
}

static int write_failure(struct group *g, struct error *err)
{
	if (!g->state->open->command)
		return 0;
	const struct report report = describe_failure(g);
	return report_write(g->run, &report, err);
}

static void forget_command(struct state_deployment *d)
{
	set(&d->command, NULL);
	set(&d->command_event, NULL);
}

static int close_deployment(struct group *g, bool succeeded, struct error *err)
{
	forget_command(g->state->open);
	state_close(g->state, succeeded);
	int r = group_save(g, err);
	if (r < 0)
		return r;
	layout_write_pointers(g);
	layout_track(g);
	hooks_tidy(g);
	struct error quiet = {0};
	if (history_ensure(g->run->host_fd, g->state, &quiet) < 0)
		log_warning("history was not written: %s", quiet.text);
	if (retention_run(g, &quiet) < 0)
		log_warning("old deployments stay: %s", quiet.text);
	return 0;
}

/* Files of the deployment are in place from now on, whether it succeeded or was left so. */
static void take_place(struct group *g, bool succeeded)
{
	struct state *state = g->state;
	const struct state_deployment *d = state->open;
	const char *id = state_deployment_id(d);
	if (!state_step_succeeded(d, "Install"))
		return;
	if (d->job->verb == JOB_REMOVE) {
		set(&state->installed, NULL);
		set(&state->last_successful, NULL);
		return;
	}
	state_revision_add(state, d, succeeded);
	set(&state->installed, id);
	if (succeeded)
		set(&state->last_successful, id);
}

/* Only now: to compare takes time and pushes out of memory what the plan and the install read. */
static void share_with_previous(struct group *g)
{
	const struct state_deployment *d = g->state->last;
	const struct state_revision *previous = state_revision_find(g->state, d->previous);
	if (!previous || !str_eq(d->archive, state_deployment_id(d)))
		return;
	struct error ignored;
	auto_close int archive_fd = group_archive(g, d->archive, &ignored);
	auto_close int earlier_fd = group_archive(g, previous->archive, &ignored);
	if (archive_fd >= 0 && earlier_fd >= 0)
		share_unchanged(archive_fd, earlier_fd);
}

static int completing(struct group *g, const char *message, struct error *err)
{
	struct state_deployment *d = g->state->open;
	bool first = !d->complete;
	int r = transact_settle(g, err);
	if (r < 0)
		return r;
	take_place(g, true);
	d->complete = state_step_succeeded(d, "Install");
	r = write_success(g, message, false, err);
	if (r < 0)
		return r;
	log_end(g, LOG_NOTICE, MESSAGE_DEPLOYMENT_SUCCEEDED, "succeeded", NULL);
	r = close_deployment(g, true, err);
	if (r >= 0 && first)
		share_with_previous(g);
	return r;
}

int finish_succeeded(struct group *g, const char *message, struct error *err)
{
	struct state_deployment *d = g->state->open;
	int r = enter(g, STATE_COMPLETING, err);
	if (r >= 0)
		return completing(g, message, err);
	if (d->complete || !d->n_steps)
		return r;
	/* What cannot be recorded has not happened (a full disk): the old tree comes back. */
	d->phase = STATE_RUNNING;
	lifecycle_set_failure(g, d->steps[d->n_steps - 1].event, WIRE_UNKNOWN_ERROR, err);
	return finish_failed(g, err);
}

static void add_to_message(struct state_failure *f, const char *text)
{
	char *longer = xasprintf("%s; %s", f->message ? f->message : "failed", text);
	free(f->message);
	f->message = longer;
}

static int leaving(struct group *g, struct error *err)
{
	struct state_deployment *d = g->state->open;
	int r = transact_settle(g, err);
	if (r < 0)
		return r;
	if (!d->complete)
		take_place(g, false);
	r = write_failure(g, err);
	if (r < 0)
		return r;
	log_end(g, LOG_NOTICE, MESSAGE_DEPLOYMENT_LEFT, "failed and is left as it is",
		d->failure->message);
	return close_deployment(g, false, err);
}

/* What is told when the tree could not be put back. The deployment stays open: the next worker
 * tries again. */
static int give_up(struct group *g, int code, struct error *err)
{
	struct state_deployment *d = g->state->open;
	if (code == ERR_NOT_MOUNTED || code == ERR_BUSY)
		return code;
	auto_free char *message = xasprintf("%s; NOT rolled back, a person is needed: %s",
					    d->failure->message, err->text);
	log_end(g, LOG_ERR, MESSAGE_DEPLOYMENT_STUCK, "failed", message);
	d->undo_failed = true;
	struct error quiet = {0};
	if (d->command) {
		struct report report = describe_failure(g);
		report.message = message;
		if (report_write(g->run, &report, &quiet) < 0)
			log_error("%s", quiet.text);
	}
	if (group_save(g, &quiet) < 0)
		log_error("%s", quiet.text);
	return error_set(err, ERR_UNDO, "%s", message);
}

static int roll_back(struct group *g, struct error *err)
{
	const struct state_deployment *d = g->state->open;
	struct report_timer timer = {.fd = -1};
	auto_free char *running = xasprintf("%s; rollback running", d->failure->message);
	if (d->command) {
		struct report report = describe_failure(g);
		report.message = running;
		report_timer_start(g->run, &report, ROLLBACK_REPORT_MS, &timer);
	}
	int r = rollback_run(g, err);
	report_timer_stop(&timer);
	return r;
}

/* See rollback_stays(). */
static int stay(struct group *g, struct error *err)
{
	struct state_deployment *d = g->state->open;
	auto_free char *text = xasprintf("left in place: %s", err->text);
	add_to_message(d->failure, text);
	int r = enter(g, STATE_LEAVING, err);
	return r < 0 ? r : leaving(g, err);
}

static int rolling_back(struct group *g, struct error *err)
{
	struct state_deployment *d = g->state->open;
	if (!d->rolled_back) {
		int r = roll_back(g, err);
		if (r < 0 && rollback_stays(d, r))
			return stay(g, err);
		if (r < 0)
			return give_up(g, r, err);
		layout_write_instructions(g);
		r = group_save(g, err);
		if (r < 0)
			return r;
	}
	int r = write_failure(g, err);
	if (r < 0)
		return r;
	log_end(g, LOG_NOTICE,
		d->undo_failed ? MESSAGE_DEPLOYMENT_STUCK : MESSAGE_DEPLOYMENT_UNDONE, "failed",
		d->failure->message);
	return close_deployment(g, false, err);
}

/* An install that failed and could not undo itself (a mount in the way): neither tree is whole. */
static bool is_half_way(const struct group *g)
{
	enum install_state state;
	return install_state(g->fd, &state, NULL, NULL) < 0 ||
	       (state != INSTALL_NONE && state != INSTALL_INSTALLED && state != INSTALL_SETTLING);
}

int finish_failed(struct group *g, struct error *err)
{
	struct state_deployment *d = g->state->open;
	assert(d->failure);
	if (d->undo_failed)
		d->phase = STATE_ROLLING_BACK;
	bool leave = !d->job->rollback && !d->undo_failed && !is_half_way(g);
	if (leave && state_step_succeeded(d, "Install"))
		add_to_message(d->failure, "left in place, as asked");
	int r = enter(g, leave ? STATE_LEAVING : STATE_ROLLING_BACK, err);
	if (r < 0 && leave)
		return r;
	if (r < 0) /* the application comes first; recovery sees that the tree is back */
		log_error("the rollback could not be recorded: %s", err->text);
	return leave ? leaving(g, err) : rolling_back(g, err);
}

int finish_resume(struct group *g, struct error *err)
{
	int r;
	switch (g->state->open->phase) {
	case STATE_COMPLETING:
		r = completing(g, REPORT_DONE, err);
		break;
	case STATE_LEAVING:
		r = leaving(g, err);
		break;
	case STATE_ROLLING_BACK:
		r = rolling_back(g, err);
		break;
	default:
		return 0;
	}
	return r < 0 ? r : 1;
}

int finish_command(struct group *g, const char *message, struct error *err)
{
	struct state_deployment *d = g->state->open;
	int r = write_success(g, message, true, err);
	if (r < 0)
		return r;
	forget_command(d);
	d->last_command = clock_wall();
	r = group_save(g, err);
	layout_track(g);
	return r;
}

int finish_walked(struct group *g, int r, const char *message, struct error *err)
{
	const struct state_deployment *d = g->state->open;
	if (r < 0)
		return finish_failed(g, err);
	auto_free char *copy = xstrdup(message);
	if (d->complete || job_completes(d->job, d->command_event))
		return finish_succeeded(g, copy, err);
	return finish_command(g, copy, err);
}

int finish_refused(struct group *g, const struct error *why, struct error *err)
{
	lifecycle_set_failure(g, wire_event_to_string(WIRE_DOWNLOAD_BUNDLE), WIRE_UNKNOWN_ERROR,
			      why);
	return close_deployment(g, false, err);
}

int finish_error_code(const struct state_deployment *d)
{
	return d->failure && d->failure->error ? error_from_name(d->failure->error) : ERR_SCRIPT;
}

void finish_describe(json_t *result, const struct group *g, const struct state_deployment *d)
{
	json_set_str(result, "group_id", g->id);
	if (!d)
		return;
	json_set_str(result, "deployment", state_deployment_id(d));
	json_set_str(result, "rolled_back", d->rolled_back);
	json_set_str(result, "installed", g->state->installed);
	if (!d->left)
		return;
	json_t *left = json_array();
	for (size_t i = 0; d->left[i]; i++)
		json_array_append_new(left, json_string(d->left[i]));
	json_object_set_new(result, "left", left);
}

int finish_exit_code(const struct state_deployment *d)
{
	if (d->succeeded)
		return 0;
	if (d->undo_failed)
		return 4;
	return state_is_left(d) ? 5 : 1;
}
