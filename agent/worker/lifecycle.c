// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/lifecycle.h"

#include "agent/worker/cause.h"
#include "agent/worker/layout.h"
#include "agent/worker/report.h"
#include "agent/worker/retention.h"
#include "agent/worker/reuse.h"
#include "agent/worker/transact.h"
#include "common/alloc.h"
#include "common/log.h"
#include "common/str.h"

#include <string.h>

size_t lifecycle_begin(struct group *g, const char *step)
{
	struct state_deployment *d = g->state->open;
	state_step_start(d, step);
	log_info("'%s' of '%s' begins", step, state_deployment_id(d));
	caller_step(&g->run->caller, state_deployment_id(d), step, "started", NULL, 0);
	return d->n_steps - 1;
}

size_t lifecycle_begin_again(struct group *g)
{
	struct state_deployment *d = g->state->open;
	const char *step = d->steps[d->n_steps - 1].event;
	log_info("'%s' of '%s' goes on", step, state_deployment_id(d));
	caller_step(&g->run->caller, state_deployment_id(d), step, "started", NULL, 0);
	return d->n_steps - 1;
}

void lifecycle_end(struct group *g, size_t step, enum state_step_status status, const char *message)
{
	struct state_deployment *d = g->state->open;
	struct state_step *s = &d->steps[step];
	state_step_end(s, status, message);
	const char *word = state_step_status_to_string(status);
	log_info("'%s' of '%s' %s%s%s", s->event, state_deployment_id(d), word,
		 s->message ? ": " : "", s->message ? s->message : "");
	caller_step(&g->run->caller, state_deployment_id(d), s->event, word, s->message,
		    s->ended - s->started);
}

void lifecycle_set_failure(struct group *g, const char *event, int code, const struct error *why)
{
	struct state_deployment *d = g->state->open;
	if (d->failure)
		return;
	d->failure = xcalloc(1, sizeof(*d->failure));
	*d->failure = (struct state_failure){
		.event = xstrdup(event),
		.code = code,
		.message = xstrdup(why->text),
		.exit_code = -1,
		.error = xstrdup(error_name(why->code)),
	};
	cause_find_error(why->code, why->text, &d->failure->causes);
}

void lifecycle_ignore_failure(struct group *g)
{
	struct state_deployment *d = g->state->open;
	log_warning("'%s' of '%s' failed, which is ignored as was asked: %s", d->failure->event,
		    state_deployment_id(d), d->failure->message);
	state_failure_free(TAKE(d->failure));
}

/* The event's hooks in the revision whose turn it is; ret->event is NULL where there is nothing to
 * run. *ret_whose (may be NULL). */
static int load_hooks(struct group *g, const char *event, struct hooks *ret,
		      enum job_revision *ret_whose, struct error *err)
{
	const struct state_deployment *d = g->state->open;
	bool downloaded = state_step_succeeded(d, wire_event_to_string(WIRE_DOWNLOAD_BUNDLE));
	enum job_revision whose = job_revision(d->job, event, downloaded);
	const char *kept = whose == JOB_PREVIOUS ? d->previous : g->state->most_recent;
	struct hooks_revision revision;
	if (ret_whose)
		*ret_whose = whose;
	bool there = whose == JOB_NEW ? hooks_revision_new(g, &revision)
				      : hooks_revision_kept(g, kept, &revision);
	return there ? hooks_load(g, &revision, event, ret, err) : 0;
}

/* A previous revision that is gone or broken must not keep the new one away: it has nothing to run
 * then, with a warning. */
static int load_hooks_to_run(struct group *g, const char *event, struct hooks *ret,
			     struct error *err)
{
	enum job_revision whose;
	int r = load_hooks(g, event, ret, &whose, err);
	if (r >= 0 || whose == JOB_NEW)
		return r;
	log_warning("'%s' runs nothing: %s", event, err->text);
	caller_problem(&g->run->caller, PROBLEM_WARNING, event, err->text);
	return 0;
}

/* Where it cannot be told the command is real: what is wrong comes to light when it runs. */
bool lifecycle_is_noop(struct group *g, const char *event)
{
	const struct state_deployment *d = g->state->open;
	if (job_kind(d->job, event) != JOB_HOOKS)
		return false;
	auto_hooks struct hooks hooks = {.archive_fd = -1};
	struct error err = {0};
	return load_hooks(g, event, &hooks, NULL, &err) >= 0 && !hooks.event;
}

static int run_hooks(struct group *g, const char *event, bool resume,
		     enum state_step_status *ret_status, const char **ret_message,
		     struct error *err)
{
	struct state_deployment *d = g->state->open;
	auto_hooks struct hooks hooks = {.archive_fd = -1};
	int r = load_hooks_to_run(g, event, &hooks, err);
	if (r < 0)
		return r;
	if (!hooks.event && resume)
		return error_set(err, ERR_NOT_FOUND, "the scripts of '%s' are gone", event);
	if (!hooks.event) {
		*ret_status = STATE_SKIPPED;
		*ret_message = REPORT_NOOP;
		return 0;
	}
	const struct hooks_request request = {
		.hooks = &hooks,
		.event = event,
		.identity = d->job->spec,
		.resume = resume,
	};
	return hooks_run(g, &request, &d->failure, err);
}

static int walk_hooks(struct group *g, const char *event, enum state_step_status *ret_status,
		      const char **ret_message, struct error *err)
{
	return run_hooks(g, event, false, ret_status, ret_message, err);
}

/* The bundle came with the deployment's first command; what is left is to remember it, and to make
 * room only now. Of a local deployment nothing has to be remembered before its next step. */
static int walk_download(struct group *g, const char *event, enum state_step_status *ret_status,
			 const char **ret_message, struct error *err)
{
	struct state_deployment *d = g->state->open;
	free(g->state->most_recent);
	g->state->most_recent = xstrdup(state_deployment_id(d));
	int r = job_is_local(d->job) ? 0 : group_save(g, err);
	if (r < 0)
		return r;
	layout_write_pointers(g);
	report_expire(g->run);
	if (!job_is_local(d->job)) {
		reuse_write_marks(g);
		*ret_message = reuse_is_reused(g) ? REUSE_NOTE_REUSED : REUSE_NOTE_DOWNLOADED;
	}
	return retention_run(g, err);
}

static int walk_install(struct group *g, const char *event, enum state_step_status *ret_status,
			const char **ret_message, struct error *err)
{
	struct state_deployment *d = g->state->open;
	struct hooks_revision revision;
	bool remove = d->job->verb == JOB_REMOVE;
	if (!remove && !hooks_revision_new(g, &revision))
		return error_set(err, ERR_NOT_FOUND, "deployment '%s' has no unpacked revision",
				 state_deployment_id(d));
	if (remove) /* its files go: what still runs of it does, too */
		hooks_stop(g, NULL);
	int r = transact_install(g, remove ? NULL : &revision, state_deployment_id(d), err);
	d->undo_failed = r == ERR_UNDO;
	if (r >= 0)
		layout_write_instructions(g);
	return r;
}

static int (*const walkers[])(struct group *g, const char *event,
			      enum state_step_status *ret_status, const char **ret_message,
			      struct error *err) = {
	[JOB_HOOKS] = walk_hooks,
	[JOB_DOWNLOAD] = walk_download,
	[JOB_INSTALL] = walk_install,
};

static int check_order(const struct state_deployment *d, const char *event, struct error *err)
{
	const char **walked = xcalloc(d->n_steps, sizeof(*walked));
	size_t n = 0;
	for (size_t i = 0; i < d->n_steps; i++)
		if (d->steps[i].status == STATE_SUCCEEDED || d->steps[i].status == STATE_SKIPPED)
			walked[n++] = d->steps[i].event;
	int r = job_check_next(d->job, walked, n, event, err);
	free(walked);
	return r;
}

/* Nothing before DownloadBundle runs for a revision that cannot be installed: the application goes
 * on, and DownloadBundle tells why. Returns 1 when the event is to be walked as usual. */
static int walk_unprepared(struct group *g, const char *event, const char **ret_message,
			   struct error *err)
{
	struct state_deployment *d = g->state->open;
	if (!d->unprepared)
		return 1;
	if (!job_failure_is_ignorable(event))
		return error_set(err, d->unprepared_code, "%s", d->unprepared);
	auto_free char *text =
		xasprintf("%snothing was run, because the new revision cannot be installed: %s",
			  REPORT_DONE, d->unprepared);
	size_t step = lifecycle_begin(g, event);
	lifecycle_end(g, step, STATE_SKIPPED, text);
	*ret_message = d->steps[step].message;
	return 0;
}

static int end_walk(struct group *g, size_t step, enum state_step_status status, int r,
		    struct error *err)
{
	const char *event = g->state->open->steps[step].event;
	if (r < 0)
		lifecycle_set_failure(g, event, WIRE_UNKNOWN_ERROR, err);
	lifecycle_end(g, step, r < 0 ? STATE_FAILED : status, r < 0 ? err->text : NULL);
	return r < 0 ? r : 0;
}

int lifecycle_resume(struct group *g, const char *event, const char **ret_message,
		     struct error *err)
{
	size_t step = lifecycle_begin_again(g);
	enum state_step_status status = STATE_SUCCEEDED;
	*ret_message = REPORT_DONE;
	int r = run_hooks(g, event, true, &status, ret_message, err);
	return end_walk(g, step, status, r, err);
}

int lifecycle_walk(struct group *g, const char *event, const char **ret_message, struct error *err)
{
	struct state_deployment *d = g->state->open;
	int r = check_order(d, event, err);
	if (r >= 0)
		r = walk_unprepared(g, event, ret_message, err);
	if (r <= 0) {
		if (r < 0)
			lifecycle_set_failure(g, event, WIRE_UNKNOWN_ERROR, err);
		return r;
	}
	size_t step = lifecycle_begin(g, event);
	enum state_step_status status = STATE_SUCCEEDED;
	*ret_message = REPORT_DONE;
	r = walkers[job_kind(d->job, event)](g, event, &status, ret_message, err);
	return end_walk(g, step, status, r, err);
}
