// SPDX-License-Identifier: Apache-2.0
/* What follows from what: a host's events one after the other, the deployment's hosts by the
 * scheduler's decision, and the end. Each function changes the store and the struct it was given;
 * deploy_settle() saves the deployment. */
#include "control/deploy-walk.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"
#include "control/messages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* In place, without load balancer. */
static const enum wire_event events[] = {
	WIRE_APPLICATION_STOP, WIRE_DOWNLOAD_BUNDLE,   WIRE_BEFORE_INSTALL,   WIRE_INSTALL,
	WIRE_AFTER_INSTALL,    WIRE_APPLICATION_START, WIRE_VALIDATE_SERVICE,
};

size_t deploy_events(const enum wire_event **ret)
{
	*ret = events;
	return ARRAY_LEN(events);
}

bool deploy_is_first(const struct store_event *event)
{
	return event->event == events[0];
}

/* -1: it was the last. */
static int64_t event_after(int64_t event)
{
	for (size_t i = 0; i + 1 < ARRAY_LEN(events); i++)
		if (events[i] == event)
			return events[i + 1];
	return -1;
}

static void log_deployment(int level, const char *message_id, const struct store_deployment *d,
			   const char *text)
{
	log_event(level, message_id, (const char *const[]){"DEPLOYMENT_ID", d->id, NULL},
		  "deployment '%s' of '%s/%s': %s", d->id, d->application, d->group, text);
}

static void log_host(int level, const char *message_id, const struct store_target *t,
		     const char *text)
{
	log_event(
		level, message_id,
		(const char *const[]){"DEPLOYMENT_ID", t->deployment_id, "HOST_ID", t->host, NULL},
		"deployment '%s': host '%s': %s", t->deployment_id, t->host, text);
}

/* ---- a host's events ---- */

static int begin_event(struct deploy *deploy, struct store_target *t, int64_t number,
		       struct error *err)
{
	double now = deploy_now(deploy);
	struct store_event event = {
		.deployment_id = t->deployment_id,
		.host = t->host,
		.event = number,
		.attempt = 1,
		.status = STORE_PENDING,
		.ready_s = now,
	};
	t->event = number;
	t->updated_s = now;
	deploy->moved = true;
	int r = deploy_next_look(deploy, &event, &t->deadline_s, err);
	if (r == 0)
		r = store_event_add(deploy->options.store, &event, err);
	if (r == 0)
		r = store_target_save(deploy->options.store, t, err);
	return r < 0 ? r : deploy_wake(deploy, t->host, err);
}

/* from: the count that the target leaves. */
static int end_target(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
		      enum store_status status, int64_t *from, struct error *err)
{
	(*from)--;
	*(status == STORE_SUCCEEDED ? &d->succeeded
	  : status == STORE_FAILED  ? &d->failed
				    : &d->skipped) += 1;
	t->status = status;
	t->updated_s = deploy_now(deploy);
	t->deadline_s = 0;
	deploy->moved = true;
	return store_target_save(deploy->options.store, t, err);
}

static int succeed_target(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
			  struct error *err)
{
	log_host(LOG_INFO, NULL, t, "succeeded");
	int r = end_target(deploy, d, t, STORE_SUCCEEDED, &d->running, err);
	return r < 0 ? r
		     : store_health_set(deploy->options.store, d->group_id, t->host, true,
					d->revision, t->updated_s, err);
}

/* what: the first failure in words; it is taken over. */
static int fail_target(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
		       char *what, int64_t *from, struct error *err)
{
	if (!d->first_failure && str_empty(d->halt))
		d->first_failure = TAKE(what);
	free(what);
	int r = end_target(deploy, d, t, STORE_FAILED, from, err);
	return r < 0 ? r
		     : store_health_set(deploy->options.store, d->group_id, t->host, false, NULL,
					t->updated_s, err);
}

static char *failure_text(const struct store_event *e)
{
	const char *name = wire_event_to_string((enum wire_event)e->event);
	const char *message = str_empty(e->message) ? "no message" : e->message;
	if (str_empty(e->script))
		return xasprintf("host '%s', event '%s': %s", e->host, name, message);
	return xasprintf("host '%s', event '%s', script '%s': %s", e->host, name, e->script,
			 message);
}

static bool option_is_true(const struct store_deployment *d, const char *name)
{
	auto_json json_t *options = NULL;
	if (json_parse(d->options, strlen(d->options), SIZE_MAX, &options, NULL) < 0)
		return false;
	return json_is_true(json_object_get(options, name));
}

/* The event failed, and its host with it. */
static int fail_at(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
		   const struct store_event *event, int64_t *from, struct error *err)
{
	char *what = failure_text(event);
	bool silent = deploy_is_first(event) && event->started_s <= 0;
	log_host(LOG_WARNING, silent ? MESSAGE_HOST_SILENT : MESSAGE_HOST_FAILED, t, what);
	return fail_target(deploy, d, t, what, from, err);
}

/* The deployment was cut short before the event. */
static int fail_before(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
		       int64_t event, struct error *err)
{
	char *what = xasprintf("host '%s' was stopped before event '%s'", t->host,
			       wire_event_to_string((enum wire_event)event));
	log_host(LOG_WARNING, MESSAGE_HOST_FAILED, t, what);
	return fail_target(deploy, d, t, what, &d->running, err);
}

/* Is the deployment being stopped? One that only hit its limit lets running hosts finish. */
static bool is_cut_short(const struct store_deployment *d)
{
	return !str_empty(d->halt) && !str_eq(d->halt, "limit");
}

static int walk_on(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
		   int64_t event, struct error *err)
{
	int64_t next = event_after(event);
	if (next < 0)
		return succeed_target(deploy, d, t, err);
	if (!is_cut_short(d))
		return begin_event(deploy, t, next, err);
	return fail_before(deploy, d, t, next, err);
}

int deploy_event_ended(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
		       const struct store_event *event, bool ok, struct error *err)
{
	bool ignored = !ok && event->event == WIRE_APPLICATION_STOP &&
		       option_is_true(d, "ignoreApplicationStopFailures");
	int r = ok || ignored ? walk_on(deploy, d, t, event->event, err)
			      : fail_at(deploy, d, t, event, &d->running, err);
	return r < 0 ? r : deploy_settle(deploy, d, err);
}

int deploy_event_expired(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
			 struct store_event *event, const char *text, struct error *err)
{
	event->status = STORE_FAILED;
	event->ended_s = deploy_now(deploy);
	event->error_code = WIRE_UNKNOWN_ERROR;
	free(event->message);
	event->message = xstrdup(text);
	int r = store_event_save(deploy->options.store, event, err);
	if (r == 0)
		r = fail_at(deploy, d, t, event, &d->running, err);
	return r < 0 ? r : deploy_settle(deploy, d, err);
}

/* ---- starting hosts ---- */

/* Its first event says why, where people look for it. */
static int fail_unreachable(struct deploy *deploy, struct store_deployment *d,
			    struct store_target *t, char *why, struct error *err)
{
	double now = deploy_now(deploy);
	struct store_event event = {
		.deployment_id = t->deployment_id,
		.host = t->host,
		.event = events[0],
		.attempt = 1,
		.status = STORE_FAILED,
		.ready_s = now,
		.ended_s = now,
		.error_code = WIRE_UNKNOWN_ERROR,
		.message = why,
	};
	t->event = events[0];
	int r = store_event_add(deploy->options.store, &event, err);
	if (r == 0)
		r = store_event_save(deploy->options.store, &event, err);
	return r < 0 ? r : fail_at(deploy, d, t, &event, &d->pending, err);
}

static int start_target(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
			struct error *err)
{
	char why[512];
	int r = deploy_is_online(deploy, t->host, 0, why, sizeof(why), err);
	if (r < 0)
		return r;
	if (r == 0)
		return fail_unreachable(deploy, d, t, why, err);
	d->pending--;
	d->running++;
	t->status = STORE_IN_PROGRESS;
	return begin_event(deploy, t, events[0], err);
}

static int start_targets(struct deploy *deploy, struct store_deployment *d, int64_t count,
			 struct error *err)
{
	auto_store_targets struct store_targets list = {0};
	int r = store_target_by_status(deploy->options.store, d->id, STORE_PENDING, -1,
				       (size_t)count, &list, err);
	for (size_t i = 0; i < list.count && r == 0; i++)
		r = start_target(deploy, d, &list.targets[i], err);
	return r;
}

static int skip_pending(struct deploy *deploy, struct store_deployment *d, struct error *err)
{
	int n = store_target_skip(deploy->options.store, d->id, deploy_now(deploy), err);
	if (n < 0)
		return n;
	d->skipped += n;
	d->pending -= n;
	return 0;
}

static void set_halt(struct store_deployment *d, const char *why)
{
	free(d->halt);
	d->halt = xstrdup(why);
}

/* ---- the end ---- */

void deploy_set_error(struct store_deployment *d, const char *code, char *message)
{
	free(d->error_code);
	free(d->error_message);
	d->error_code = xstrdup(code);
	d->error_message = message;
}

/* What happened, with the counts and the rule that was applied. */
static void set_health_error(struct store_deployment *d)
{
	const struct sched_config *config = sched_config_find(d->config_name);
	auto_free char *rule = config ? sched_describe(config, d->total) : xstrdup(d->config_name);
	auto_free char *first = xstrdup(d->first_failure ? d->first_failure : "none was reported");
	if (str_ends(first, "."))
		first[strlen(first) - 1] = '\0';
	deploy_set_error(
		d, "HEALTH_CONSTRAINTS",
		xasprintf("The overall deployment failed because too many individual instances "
			  "failed deployment, too few healthy instances are available for "
			  "deployment, or some instances in your deployment group are "
			  "experiencing problems. First failure: %s. %" PRId64 " of %" PRId64
			  " hosts succeeded, %" PRId64 " failed, %" PRId64 " were skipped. %s.",
			  first, d->succeeded, d->total, d->failed, d->skipped, rule));
}

static void explain_rollback(struct store_deployment *d, const char *trigger)
{
	auto_json json_t *options = NULL;
	if (d->rollback_message ||
	    json_parse(d->options, strlen(d->options), SIZE_MAX, &options, NULL) < 0)
		return;
	json_t *config = json_object_get(options, "autoRollbackConfiguration");
	json_t *list = json_object_get(config, "events"), *event;
	size_t i;
	bool wanted = false;
	json_array_foreach (list, i, event)
		wanted = wanted || str_eq(json_string_value(event), trigger);
	if (wanted && json_is_true(json_object_get(config, "enabled")))
		d->rollback_message = xstrdup(DEPLOY_NO_ROLLBACK);
}

static int update_group(struct deploy *deploy, const struct store_deployment *d, struct error *err)
{
	auto_store_group struct store_group group = {0};
	struct store *store = deploy->options.store;
	int r = store_group_get_id(store, d->group_id, &group, err);
	if (r < 0)
		return r;
	free(TAKE(group.active));
	if (d->status == STORE_SUCCEEDED) {
		if (group.revision && !str_eq(group.revision, d->revision))
			r = store_health_unknown(store, group.id, d->id, group.revision, err);
		free(group.revision);
		free(group.last_successful);
		group.revision = xstrdup(d->revision);
		group.last_successful = xstrdup(d->id);
	}
	return r < 0 ? r : store_group_save(store, &group, err);
}

static const char *status_message(enum store_status status)
{
	if (status == STORE_SUCCEEDED)
		return MESSAGE_FLEET_SUCCEEDED;
	return status == STORE_FAILED ? MESSAGE_FLEET_FAILED : NULL;
}

int deploy_finish(struct deploy *deploy, struct store_deployment *d, enum store_status status,
		  struct error *err)
{
	d->status = status;
	d->completed_s = deploy_now(deploy);
	d->deadline_s = 0;
	deploy->moved = true;
	if (status == STORE_FAILED)
		explain_rollback(d, "DEPLOYMENT_FAILURE");
	else if (status == STORE_STOPPED)
		explain_rollback(d, "DEPLOYMENT_STOP_ON_REQUEST");
	log_deployment(LOG_NOTICE, status_message(status), d,
		       d->error_message ? d->error_message : store_status_to_string(status));
	int r = store_deployment_save(deploy->options.store, d, err);
	return r < 0 ? r : update_group(deploy, d, err);
}

static int finish_by_verdict(struct deploy *deploy, struct store_deployment *d, bool success,
			     struct error *err)
{
	if (success)
		return deploy_finish(deploy, d, STORE_SUCCEEDED, err);
	set_health_error(d);
	return deploy_finish(deploy, d, STORE_FAILED, err);
}

/* Nothing more is started; the code was set when it was cut short. */
static int settle_halted(struct deploy *deploy, struct store_deployment *d, struct error *err)
{
	if (d->running > 0)
		return store_deployment_save(deploy->options.store, d, err);
	if (str_eq(d->halt, "limit"))
		return finish_by_verdict(deploy, d, false, err);
	return deploy_finish(deploy, d, str_eq(d->halt, "stop") ? STORE_STOPPED : STORE_FAILED,
			     err);
}

int deploy_settle(struct deploy *deploy, struct store_deployment *d, struct error *err)
{
	while (str_empty(d->halt)) {
		struct sched_counts counts = {d->total,   d->minimum,   d->pending,
					      d->running, d->succeeded, d->failed};
		struct sched_step step = sched_next(&counts);
		int r = 0;
		switch (step.verdict) {
		case SCHED_WAIT:
			return store_deployment_save(deploy->options.store, d, err);
		case SCHED_START:
			r = start_targets(deploy, d, step.start, err);
			break;
		case SCHED_HALT:
			set_halt(d, "limit");
			r = skip_pending(deploy, d, err);
			break;
		case SCHED_SUCCESS:
		case SCHED_FAILURE:
			return finish_by_verdict(deploy, d, step.verdict == SCHED_SUCCESS, err);
		}
		if (r < 0)
			return r;
	}
	return settle_halted(deploy, d, err);
}

/* ---- cutting short ---- */

/* A host whose event was not acknowledged is not waited for. */
static int cut_target(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
		      struct error *err)
{
	auto_store_event struct store_event event = {0};
	struct store *store = deploy->options.store;
	int r = store_event_get(store, t->deployment_id, t->host, t->event, &event, err);
	if (r < 0 || event.status == STORE_IN_PROGRESS)
		return r;
	event.status = STORE_SKIPPED;
	event.ended_s = deploy_now(deploy);
	r = store_event_save(store, &event, err);
	if (r < 0)
		return r;
	if (deploy_is_first(&event))
		return end_target(deploy, d, t, STORE_SKIPPED, &d->running, err);
	return fail_before(deploy, d, t, t->event, err);
}

static int cut_targets(struct deploy *deploy, struct store_deployment *d, struct error *err)
{
	auto_store_targets struct store_targets list = {0};
	int r = store_target_by_status(deploy->options.store, d->id, STORE_IN_PROGRESS, -1,
				       DEPLOY_HOSTS_MAX, &list, err);
	for (size_t i = 0; i < list.count && r == 0; i++)
		r = cut_target(deploy, d, &list.targets[i], err);
	return r;
}

int deploy_interrupt(struct deploy *deploy, const char *id, const char *why, const char *error_code,
		     const char *message, bool *ret_ended, struct error *err)
{
	auto_store_deployment struct store_deployment d = {0};
	int r = store_deployment_get(deploy->options.store, id, &d, err);
	if (r == 0 && !store_status_is_final(d.status) && !is_cut_short(&d)) {
		set_halt(&d, why);
		d.deadline_s = 0;
		deploy->moved = true;
		deploy_set_error(&d, error_code, xstrdup(message));
		r = skip_pending(deploy, &d, err);
		if (r == 0)
			r = cut_targets(deploy, &d, err);
		if (r == 0)
			r = deploy_settle(deploy, &d, err);
	}
	if (r == 0)
		*ret_ended = store_status_is_final(d.status);
	return r;
}
