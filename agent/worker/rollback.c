// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/rollback.h"

#include "agent/worker/hooks.h"
#include "agent/worker/lifecycle.h"
#include "agent/worker/transact.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/log.h"
#include "common/str.h"

#include <string.h>

#define LEFT_MAX 1000
/* As JSON six times that at worst, which still fits a message to the caller and state.json. */
#define LEFT_MAX_BYTES ((size_t)16 * 1024)
#define SUMMARY_MAX 4096

static bool ran_from(const struct state_deployment *d, enum wire_event from)
{
	for (size_t i = 0; i < d->n_steps; i++)
		if (d->steps[i].status != STATE_SKIPPED && job_is_from(d->steps[i].event, from))
			return true;
	return false;
}

struct rollback_facts rollback_facts(const struct state_deployment *d)
{
	return (struct rollback_facts){
		.installed = state_step_succeeded(d, "Install"),
		.previous = d->previous != NULL,
		.previous_stopped = state_step_ran(d, "ApplicationStop"),
		.scripts_prepared =
			state_step_ran(d, "BeforeInstall") || state_step_ran(d, "AfterInstall"),
		.started = ran_from(d, WIRE_APPLICATION_START),
	};
}

struct rollback_plan rollback_plan(const struct rollback_facts *facts)
{
	bool restart = facts->previous && (facts->installed || facts->previous_stopped);
	return (struct rollback_plan){
		.stop_new = facts->started,
		.undo = facts->installed,
		.after_install = facts->previous && facts->installed && facts->scripts_prepared,
		.application_start = restart,
		.validate_service = restart,
	};
}

struct undo {
	struct group *g;
	struct buf did;    /* "ApplicationStart ok, ValidateService ok" */
	bool failed;       /* a script of the previous revision */
	char *interrupted; /* the event whose scripts a killed worker was in, NULL: none; what comes
			      before it in a rollback has been done */
	size_t n_left, left_bytes;
};

static void undo_clear(struct undo *u)
{
	buf_clear(&u->did);
	free(u->interrupted);
}

static void note(struct undo *u, const char *event, const char *outcome, const char *why)
{
	if (u->did.len)
		buf_adds(&u->did, ", ");
	buf_addf(&u->did, "%s %s", event, outcome);
	if (why)
		buf_addf(&u->did, " (%s)", why);
}

/* One event of a rollback, in the scripts of that revision. Returns 0, also when it has nothing to
 * run; *ret_ran tells. */
static int run_event(struct undo *u, const struct hooks_revision *revision, const char *event,
		     bool *ret_ran, struct error *err)
{
	struct group *g = u->g;
	bool resume = str_eq(u->interrupted, event);
	if (resume)
		free(TAKE(u->interrupted));
	auto_hooks struct hooks hooks = {.archive_fd = -1};
	int r = hooks_load(g, revision, event, &hooks, err);
	*ret_ran = r < 0 || hooks.event;
	if (r >= 0 && !hooks.event)
		return 0;
	auto_free char *name = xasprintf(STATE_ROLLBACK_PREFIX "%s", event);
	const struct state_deployment *d = g->state->open;
	bool there = resume && d->n_steps && str_eq(d->steps[d->n_steps - 1].event, name);
	size_t step = there ? lifecycle_begin_again(g) : lifecycle_begin(g, name);
	struct state_failure *failure = NULL;
	if (r >= 0) {
		const struct hooks_request request = {
			.hooks = &hooks,
			.event = event,
			.identity = revision->spec,
			.rollback = true,
			.resume = resume,
		};
		r = hooks_run(g, &request, &failure, err);
	}
	if (failure) {
		state_causes_clear(&g->state->open->steps[step].causes);
		g->state->open->steps[step].causes = failure->causes;
		failure->causes = (struct state_causes){0};
	}
	state_failure_free(failure);
	lifecycle_end(g, step, r < 0 ? STATE_FAILED : STATE_SUCCEEDED, r < 0 ? err->text : NULL);
	return r;
}

static void run_stop(struct undo *u)
{
	const struct state_deployment *d = u->g->state->open;
	struct hooks_revision revision;
	const struct state_step *undone = state_step_find(d, STATE_ROLLBACK_PREFIX "Install");
	bool again = undone && undone->status == STATE_FAILED; /* it has had its chance */
	if (again || state_step_succeeded(d, STATE_ROLLBACK_PREFIX "ApplicationStop") ||
	    !hooks_revision_new(u->g, &revision))
		return;
	struct error err = {0};
	bool ran = false;
	if (run_event(u, &revision, "ApplicationStop", &ran, &err) < 0)
		log_warning("the new revision was not stopped by its own script: %s", err.text);
}

/* Best effort: what the new revision started must not stand in the way of the old one, which may
 * want the same port. Not when that has been done: then the old one may run already. */
static void stop_new(struct undo *u, bool started)
{
	if (u->interrupted && !str_eq(u->interrupted, "ApplicationStop"))
		return;
	if (started)
		run_stop(u);
	hooks_stop(u->g, state_deployment_id(u->g->state->open));
}

/* An event before the interrupted one. */
static void recall_previous(struct undo *u, const char *event)
{
	auto_free char *name = xasprintf(STATE_ROLLBACK_PREFIX "%s", event);
	const struct state_step *step = state_step_find(u->g->state->open, name);
	if (!step)
		return;
	u->failed = step->status != STATE_SUCCEEDED;
	note(u, event, u->failed ? "failed" : "ok", u->failed ? step->message : NULL);
}

static void run_previous(struct undo *u, const char *event)
{
	struct state_deployment *d = u->g->state->open;
	struct hooks_revision revision;
	if (u->failed)
		return;
	if (u->interrupted && !str_eq(u->interrupted, event)) {
		recall_previous(u, event);
		return;
	}
	if (!hooks_revision_kept(u->g, d->previous, &revision)) {
		note(u, event, "not run", "the revision is not kept any more");
		u->failed = true;
		return;
	}
	struct error err = {0};
	bool ran = false;
	int r = run_event(u, &revision, event, &ran, &err);
	if (!ran)
		return;
	note(u, event, r < 0 ? "failed" : "ok", r < 0 ? err.text : NULL);
	u->failed = r < 0;
}

static void collect_left(const char *path, void *arg)
{
	struct undo *u = arg;
	struct state_deployment *d = u->g->state->open;
	if (u->n_left >= LEFT_MAX || strlen(path) > LEFT_MAX_BYTES - u->left_bytes) {
		log_debug("left by scripts, and not listed: '%s'", path);
		return;
	}
	u->left_bytes += strlen(path);
	d->left = xrealloc_array(d->left, u->n_left + 2, sizeof(*d->left));
	d->left[u->n_left++] = str_to_utf8(path, strlen(path));
	d->left[u->n_left] = NULL;
}

/* By an earlier try of this rollback, or by rollback_tree(). */
static bool is_undone(const struct undo *u)
{
	enum install_state state;
	return state_step_succeeded(u->g->state->open, STATE_ROLLBACK_PREFIX "Install") &&
	       install_state(u->g->fd, &state, NULL, NULL) >= 0 && state == INSTALL_NONE;
}

static int undo_install(struct undo *u, struct error *err)
{
	struct state_deployment *d = u->g->state->open;
	if (is_undone(u))
		return 0;
	str_list_free(d->left);
	d->left = NULL;
	if (!state_step_succeeded(d, "Install"))
		return transact_undo(u->g, collect_left, u, err);
	const struct state_step *last = &d->steps[d->n_steps - 1];
	bool again =
		str_eq(last->event, STATE_ROLLBACK_PREFIX "Install"); /* once more: no new record */
	size_t step = again ? lifecycle_begin_again(u->g)
			    : lifecycle_begin(u->g, STATE_ROLLBACK_PREFIX "Install");
	int r = transact_undo(u->g, collect_left, u, err);
	lifecycle_end(u->g, step, r < 0 ? STATE_FAILED : STATE_SUCCEEDED, r < 0 ? err->text : NULL);
	return r;
}

static void set(char **place, const char *value)
{
	free(*place);
	*place = xstrdup(value);
}

static int no_earlier(struct error *err)
{
	return error_set(err, ERR_NOT_FOUND, "no earlier revision is kept");
}

/* The deployment was complete, and so settled: its predecessor is installed again from what is
 * kept. The transaction may be there already when this is repeated. */
static int reinstate(struct undo *u, struct error *err)
{
	struct group *g = u->g;
	struct state_deployment *d = g->state->open;
	struct hooks_revision revision;
	if (is_undone(u))
		return 0;
	if (!hooks_revision_kept(g, d->previous, &revision))
		return no_earlier(err);
	enum install_state state;
	int r = install_state(g->fd, &state, NULL, err);
	if (r < 0)
		return r;
	size_t step = lifecycle_begin(g, STATE_ROLLBACK_PREFIX "Install");
	if (state != INSTALL_INSTALLED)
		r = transact_install(g, &revision, revision.deployment_id, err);
	if (r >= 0)
		r = transact_settle(g, err);
	lifecycle_end(g, step, r < 0 ? STATE_FAILED : STATE_SUCCEEDED, r < 0 ? err->text : NULL);
	if (r < 0)
		return r;
	set(&g->state->installed, d->previous);
	set(&g->state->last_successful, d->previous);
	return 0;
}

/* The predecessor of a complete deployment cannot be installed again, so what was stopped for it is
 * what this host has: it runs again. */
static void start_new(struct undo *u, struct error *err)
{
	static const char *const events[] = {"ApplicationStart", "ValidateService"};
	struct hooks_revision revision;
	if (!hooks_revision_new(u->g, &revision))
		return;
	int r = 0;
	for (size_t i = 0; i < ARRAY_LEN(events) && r >= 0; i++) {
		struct error why = {0};
		bool ran = false;
		r = run_event(u, &revision, events[i], &ran, &why);
		if (ran)
			note(u, events[i], r < 0 ? "failed" : "ok", r < 0 ? why.text : NULL);
	}
	if (u->did.len) {
		auto_free char *cause = xstrdup(err->text);
		error_set(err, err->code, "%s; started again: %s", cause, buf_str(&u->did));
	}
}

/* What the failing event's message says besides. */
static void extend_message(struct undo *u, const struct rollback_plan *plan)
{
	struct state_deployment *d = u->g->state->open;
	auto_buf struct buf text = BUF_INIT(SUMMARY_MAX);
	buf_adds(&text, d->failure->message ? d->failure->message : "");
	bool acted = plan->undo || u->did.len;
	if (acted && d->previous)
		buf_addf(&text, "; rolled back to %s", d->previous);
	else if (acted)
		buf_adds(&text, "; rolled back: no file of this revision is left");
	if (u->did.len)
		buf_addf(&text, ": %s", buf_str(&u->did));
	if (u->failed)
		buf_adds(&text, ": a person is needed");
	if (text.failed)
		return;
	free(d->failure->message);
	d->failure->message = buf_take(&text);
}

/* A worker that was killed inside Install may have left the new tree in place. */
static int note_install(struct group *g, struct error *err)
{
	struct state_deployment *d = g->state->open;
	enum install_state state;
	int r = install_state(g->fd, &state, NULL, err);
	struct state_step *step = state_step_find(d, "Install");
	if (r >= 0 && step && step->status != STATE_SUCCEEDED &&
	    (state == INSTALL_INSTALLED || state == INSTALL_UNDOING))
		step->status = STATE_SUCCEEDED;
	return r;
}

/* The rollback's own event whose scripts a killed worker was in, as far as they live on without it.
 * NULL: from the beginning. Caller frees. */
static char *interrupted_event(const struct group *g)
{
	auto_free char *step = hooks_interrupted(g);
	return step && str_starts(step, STATE_ROLLBACK_PREFIX)
		       ? xstrdup(step + strlen(STATE_ROLLBACK_PREFIX))
		       : NULL;
}

bool rollback_stays(const struct state_deployment *d, int code)
{
	return d->complete && code != ERR_UNDO && code != ERR_NOT_MOUNTED;
}

int rollback_tree(struct group *g, struct error *err)
{
	CLEANUP(undo_clear) struct undo u = {.g = g, .did = BUF_INIT(SUMMARY_MAX)};
	int r = note_install(g, err);
	if (r >= 0)
		r = group_save(g, err);
	if (r >= 0)
		r = undo_install(&u, err);
	return r < 0 ? r : group_save(g, err);
}

int rollback_run(struct group *g, struct error *err)
{
	struct state_deployment *d = g->state->open;
	CLEANUP(undo_clear)
	struct undo u = {.g = g, .did = BUF_INIT(SUMMARY_MAX), .interrupted = interrupted_event(g)};
	if (!u.interrupted)
		hooks_kill_leftover(g);
	int r = d->complete ? 0 : note_install(g, err);
	if (r < 0)
		return r;
	struct hooks_revision kept;
	if (d->complete && !hooks_revision_kept(g, d->previous, &kept))
		return no_earlier(err); /* nothing is stopped for it */
	const struct rollback_facts facts = rollback_facts(d);
	const struct rollback_plan plan = rollback_plan(&facts);
	stop_new(&u, plan.stop_new);
	r = d->complete ? reinstate(&u, err) : undo_install(&u, err);
	if (r < 0 && rollback_stays(d, r))
		start_new(&u, err);
	if (r >= 0) {
		if (plan.after_install)
			run_previous(&u, "AfterInstall");
		if (plan.application_start)
			run_previous(&u, "ApplicationStart");
		if (plan.validate_service)
			run_previous(&u, "ValidateService");
		extend_message(&u, &plan);
		d->undo_failed = u.failed;
		d->rolled_back = xstrdup(d->previous ? d->previous : "");
	}
	return r < 0 ? r : 0;
}
