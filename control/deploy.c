// SPDX-License-Identifier: Apache-2.0
/* What hosts say, and what time does. */
#include "control/deploy-walk.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "control/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DUE_BATCH 256         /* late targets that are looked at together */
#define SAVE_TIMES_S 900      /* hosts' times are written down this often, when anything is done */
#define RETRY_MS 5000         /* after the store failed */
#define TIMER_ACCURACY_MS 100 /* polls that end together are answered together */
#define IDLE_MS 86400000ULL   /* the timer stays armed, its prepare function is what re-arms it */

double deploy_now(const struct deploy *deploy)
{
	return deploy->options.now ? deploy->options.now() : clock_wall();
}

/* ---- one command of a host ---- */

struct held {
	struct store_deployment deployment;
	struct store_target target;
	struct store_event event;
};

static void held_clear(struct held *h)
{
	store_deployment_clear(&h->deployment);
	store_target_clear(&h->target);
	store_event_clear(&h->event);
}

static int denied(int r, const char *host, struct error *err)
{
	if (r != ERR_NOT_FOUND)
		return r;
	return error_set(err, ERR_DENIED, "host '%s' has no such command", host);
}

static int load_event(struct deploy *deploy, const char *host, const char *command_id,
		      struct store_event *ret, struct error *err)
{
	struct ids_command id;
	if (ids_command_parse(command_id, &id) < 0)
		return error_set(err, ERR_DENIED,
				 "the HostCommandIdentifier was not given out by this endpoint");
	if (strcmp(id.host, host) != 0)
		return error_set(err, ERR_DENIED, "the command belongs to host '%s', not to '%s'",
				 id.host, host);
	auto_store_event struct store_event event = {0};
	int r = store_event_get(deploy->options.store, id.deployment_id, host, id.event, &event,
				err);
	if (r == 0 && event.attempt != id.attempt)
		r = ERR_NOT_FOUND;
	if (r < 0)
		return denied(r, host, err);
	*ret = event;
	event = (struct store_event){0};
	return 0;
}

static int load_held(struct deploy *deploy, const char *host, const char *command_id,
		     struct held *ret, struct error *err)
{
	int r = load_event(deploy, host, command_id, &ret->event, err);
	if (r == 0)
		r = store_target_get(deploy->options.store, ret->event.deployment_id, host,
				     &ret->target, err);
	if (r == 0)
		r = store_deployment_get(deploy->options.store, ret->event.deployment_id,
					 &ret->deployment, err);
	return r;
}

static enum wire_status status_for_host(enum store_status status)
{
	switch (status) {
	case STORE_IN_PROGRESS:
		return WIRE_IN_PROGRESS;
	case STORE_SUCCEEDED:
		return WIRE_SUCCEEDED;
	case STORE_PENDING:
		return WIRE_PENDING;
	default:
		return WIRE_FAILED;
	}
}

int deploy_of_execution(struct deploy *deploy, const char *host, const char *execution_id,
			struct store_deployment *ret, struct error *err)
{
	char id[IDS_DEPLOYMENT_LEN + 1];
	if (ids_execution_parse(execution_id, id) < 0)
		return error_set(err, ERR_DENIED,
				 "the DeploymentExecutionId was not given out by this endpoint");
	int r = deploy_seen(deploy, host, err);
	if (r < 0)
		return r;
	auto_store_target struct store_target t = {0};
	r = store_target_get(deploy->options.store, id, host, &t, err);
	if (r == ERR_NOT_FOUND)
		return error_set(err, ERR_DENIED, "host '%s' is no target of deployment '%s'", host,
				 id);
	return r < 0 ? r : store_deployment_get(deploy->options.store, id, ret, err);
}

/* ---- acknowledgement and completion ---- */

static int take_up(struct deploy *deploy, struct held *h, struct error *err)
{
	double now = deploy_now(deploy);
	h->event.status = STORE_IN_PROGRESS;
	h->event.started_s = now;
	h->target.updated_s = now;
	h->target.deadline_s = now + (double)deploy->options.event_run_ms / 1e3;
	deploy->moved = true;
	int r = store_event_save(deploy->options.store, &h->event, err);
	return r < 0 ? r : store_target_save(deploy->options.store, &h->target, err);
}

static int end_event(struct deploy *deploy, struct held *h, bool ok,
		     const struct wire_diagnostics *diagnostics, struct error *err)
{
	struct store_event *event = &h->event;
	event->status = ok ? STORE_SUCCEEDED : STORE_FAILED;
	event->ended_s = deploy_now(deploy);
	if (event->started_s <= 0)
		event->started_s = event->ended_s;
	event->error_code = diagnostics->error_code;
	event->script = xstrdup_null(diagnostics->script_name);
	event->message = xstrdup_null(diagnostics->message);
	event->log_tail = xstrdup_null(diagnostics->log);
	int r = store_event_save(deploy->options.store, event, err);
	return r < 0 ? r : deploy_event_ended(deploy, &h->deployment, &h->target, event, ok, err);
}

static bool is_open(const struct store_event *event)
{
	return event->status == STORE_PENDING || event->status == STORE_IN_PROGRESS;
}

int deploy_acknowledge(struct deploy *deploy, const char *host, const char *command_id, bool noop,
		       enum wire_status *ret_status, struct error *err)
{
	CLEANUP(held_clear) struct held h = {0};
	int r = load_held(deploy, host, command_id, &h, err);
	if (r == 0)
		r = deploy_seen(deploy, host, err);
	if (r < 0)
		return r;
	struct wire_diagnostics nothing = {.message = (char *)"Succeeded"};
	if (is_open(&h.event) && noop)
		r = end_event(deploy, &h, true, &nothing, err);
	else if (h.event.status == STORE_PENDING)
		r = take_up(deploy, &h, err);
	if (r == 0)
		*ret_status = status_for_host(h.event.status);
	return r;
}

int deploy_complete(struct deploy *deploy, const char *host, const char *command_id, bool succeeded,
		    const struct wire_diagnostics *diagnostics, struct error *err)
{
	CLEANUP(held_clear) struct held h = {0};
	int r = load_held(deploy, host, command_id, &h, err);
	if (r == 0)
		r = deploy_seen(deploy, host, err);
	if (r < 0 || !is_open(&h.event))
		return r;
	return end_event(deploy, &h, succeeded, diagnostics, err);
}

int deploy_command_status(struct deploy *deploy, const char *host, const char *command_id,
			  enum wire_status *ret_status, struct error *err)
{
	auto_store_event struct store_event event = {0};
	int r = load_event(deploy, host, command_id, &event, err);
	if (r == 0)
		r = deploy_seen(deploy, host, err);
	if (r == 0)
		*ret_status = status_for_host(event.status);
	return r;
}

/* ---- time ---- */

static char *not_picked_up(struct deploy *deploy, const struct held *h)
{
	char when[64];
	deploy_last_poll_text(deploy, h->target.host, when, sizeof(when));
	return xasprintf("CodeDeploy agent was not able to receive the lifecycle event. Host '%s' "
			 "did not pick it up within %" PRIu64
			 " s; %s. Check that slipwayd runs there and reaches this endpoint.",
			 h->target.host, deploy->options.event_start_ms / 1000, when);
}

static char *not_ended(struct deploy *deploy, const struct held *h)
{
	char when[64];
	deploy_last_poll_text(deploy, h->target.host, when, sizeof(when));
	return xasprintf("Host '%s' has not reported the end of this event within %" PRIu64
			 " min; %s.",
			 h->target.host, deploy->options.event_run_ms / 60000, when);
}

static int expire(struct deploy *deploy, struct held *h, char *text, struct error *err)
{
	int r = deploy_event_expired(deploy, &h->deployment, &h->target, &h->event, text, err);
	free(text);
	return r;
}

/* The lease is over: the parked poll of the host has it now, or the next one. */
static int offer_again(struct deploy *deploy, struct held *h, struct error *err)
{
	deploy->moved = true;
	int r = deploy_next_look(deploy, &h->event, &h->target.deadline_s, err);
	if (r == 0)
		r = store_target_save(deploy->options.store, &h->target, err);
	return r < 0 ? r : deploy_wake(deploy, h->target.host, err);
}

/* It is in time; but its host may have gone since its turn came. */
static int look_for_host(struct deploy *deploy, struct held *h, struct error *err)
{
	char why[512];
	int r = 1;
	if (deploy_is_first(&h->event))
		r = deploy_is_online(deploy, h->target.host, h->event.offered_s, why, sizeof(why),
				     err);
	if (r == 0)
		return expire(deploy, h, xstrdup(why), err);
	return r < 0 ? r : offer_again(deploy, h, err);
}

/* due may be out of date: what was done for one target can have moved another. */
static int look_at(struct deploy *deploy, const struct store_target *due, struct error *err)
{
	CLEANUP(held_clear) struct held h = {0};
	struct store *store = deploy->options.store;
	int r = store_target_get(store, due->deployment_id, due->host, &h.target, err);
	if (r < 0 || h.target.deadline_s != due->deadline_s)
		return r;
	r = store_deployment_get(store, due->deployment_id, &h.deployment, err);
	if (r == 0)
		r = store_event_get(store, due->deployment_id, due->host, h.target.event, &h.event,
				    err);
	if (r < 0)
		return r;
	if (h.event.status == STORE_IN_PROGRESS)
		return expire(deploy, &h, not_ended(deploy, &h), err);
	double late = h.event.ready_s + (double)deploy->options.event_start_ms / 1e3;
	if (late <= deploy_now(deploy))
		return expire(deploy, &h, not_picked_up(deploy, &h), err);
	return look_for_host(deploy, &h, err);
}

static int look_at_due(struct deploy *deploy, struct error *err)
{
	for (;;) {
		auto_store_targets struct store_targets due = {0};
		int r = store_target_due(deploy->options.store, deploy_now(deploy), DUE_BATCH, &due,
					 err);
		if (r < 0 || due.count == 0)
			return r;
		for (size_t i = 0; i < due.count; i++) {
			r = look_at(deploy, &due.targets[i], err);
			if (r < 0)
				return r;
		}
	}
}

static int end_overdue(struct deploy *deploy, struct error *err)
{
	auto_names struct store_names due = {0};
	int r = store_deployment_due(deploy->options.store, deploy_now(deploy), &due, err);
	for (size_t i = 0; i < due.count && r == 0; i++) {
		bool ended;
		r = deploy_interrupt(deploy, due.names[i], "timeout", "TIMEOUT",
				     "The deployment did not end within 12 hours.", &ended, err);
	}
	return r;
}

static void answer_expired(struct deploy *deploy, uint64_t now_us)
{
	struct presence_waiter *waiter;
	while ((waiter = presence_expire(deploy->presence, now_us)))
		waiter->answer(waiter, NULL);
}

int deploy_tick(struct deploy *deploy, struct error *err)
{
	answer_expired(deploy, clock_mono_us());
	double deadline_s = deploy_next(deploy);
	if (deadline_s <= 0 || deadline_s > deploy_now(deploy))
		return 0;
	deploy->moved = true;
	int r = look_at_due(deploy, err);
	if (r == 0)
		r = end_overdue(deploy, err);
	if (r == 0 && deploy_now(deploy) - deploy->saved_s > SAVE_TIMES_S)
		r = deploy_save_times(deploy, err);
	return r;
}

double deploy_next(struct deploy *deploy)
{
	if (!deploy->moved)
		return deploy->deadline_s;
	struct error err = {0};
	if (store_next_deadline(deploy->options.store, &deploy->deadline_s, &err) < 0) {
		log_error("%s", err.text);
		return deploy->deadline_s;
	}
	deploy->moved = false;
	return deploy->deadline_s;
}

/* ---- the timer ---- */

static int on_timer(sd_event_source *source, uint64_t usec, void *arg);

static uint64_t ms_until_next(struct deploy *deploy)
{
	uint64_t ms = IDLE_MS, now_us = clock_mono_us();
	double deadline_s = deploy_next(deploy), wait_s = deadline_s - deploy_now(deploy);
	if (deadline_s > 0 && wait_s * 1e3 < (double)ms)
		ms = wait_s > 0 ? (uint64_t)(wait_s * 1e3) + 1 : 0;
	uint64_t poll_us = presence_deadline_us(deploy->presence);
	uint64_t poll_ms = poll_us > now_us ? (poll_us - now_us) / 1000 + 1 : 0;
	return poll_us > 0 && poll_ms < ms ? poll_ms : ms;
}

static void arm(struct deploy *deploy, uint64_t ms)
{
	struct error err = {0};
	if (loop_timer(deploy->options.loop, &deploy->timer, ms, TIMER_ACCURACY_MS, on_timer,
		       deploy, &err) < 0)
		log_error("%s", err.text);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct deploy *deploy = arg;
	struct error err = {0};
	if (deploy_tick(deploy, &err) < 0) {
		log_error("deployments: %s", err.text);
		store_fail(deploy->options.store, &err);
		arm(deploy, RETRY_MS);
		return 0;
	}
	deploy->moved = true;
	arm(deploy, ms_until_next(deploy));
	return 0;
}

/* Before each wait of the loop: once per turn, after whatever the turn did. */
static int before_wait(sd_event_source *source, void *arg)
{
	struct deploy *deploy = arg;
	uint64_t poll_us = presence_deadline_us(deploy->presence);
	if (deploy->moved || (poll_us > 0 && deploy->poll_us == 0))
		arm(deploy, ms_until_next(deploy));
	deploy->poll_us = poll_us;
	return 0;
}

static int start_timer(struct deploy *deploy, struct error *err)
{
	int r = loop_timer(deploy->options.loop, &deploy->timer, 0, TIMER_ACCURACY_MS, on_timer,
			   deploy, err);
	if (r < 0)
		return r;
	r = sd_event_source_set_prepare(deploy->timer, before_wait);
	return r < 0 ? error_set(err, r, "timer of deployments: %s", strerror(-r)) : 0;
}

/* ---- start and end ---- */

int deploy_new(const struct deploy_options *options, struct deploy **ret, struct error *err)
{
	struct deploy *deploy = xcalloc(1, sizeof(*deploy));
	deploy->options = *options;
	deploy->presence = presence_new();
	deploy->started_s = deploy->saved_s = deploy_now(deploy);
	deploy->moved = true;
	int r = options->loop ? start_timer(deploy, err) : 0;
	if (r < 0) {
		deploy_stop(deploy);
		return r;
	}
	*ret = deploy;
	return 0;
}

int deploy_start(struct control *control, struct deploy **ret, struct error *err)
{
	const struct settings *settings = &control->settings;
	return deploy_new(
		&(struct deploy_options){
			.loop = &control->loop,
			.store = control->store,
			.place = {settings->region, settings->account},
			.lease_ms = settings->lease_ms,
			.poll_ms = settings->poll_ms,
			.offline_ms = settings->offline_ms,
			.event_start_ms = settings->event_start_ms,
			.event_run_ms = settings->event_run_ms,
		},
		ret, err);
}

void deploy_stop(struct deploy *deploy)
{
	if (!deploy)
		return;
	struct error err = {0};
	if (deploy_save_times(deploy, &err) < 0)
		log_warning("when hosts last polled was not written down: %s", err.text);
	sd_event_source_disable_unref(deploy->timer);
	presence_free(deploy->presence);
	free(deploy);
}

static int fail_gone(struct deploy *deploy, const struct store_target *gone, struct error *err)
{
	CLEANUP(held_clear) struct held h = {0};
	struct store *store = deploy->options.store;
	int r = store_target_get(store, gone->deployment_id, gone->host, &h.target, err);
	if (r == 0)
		r = store_deployment_get(store, gone->deployment_id, &h.deployment, err);
	if (r == 0)
		r = store_event_get(store, gone->deployment_id, gone->host, h.target.event,
				    &h.event, err);
	if (r < 0)
		return r;
	return expire(deploy, &h,
		      xasprintf("Host '%s' was deregistered or revoked during the deployment.",
				gone->host),
		      err);
}

/* Hosts that were revoked will not report any more. */
void deploy_changed(struct deploy *deploy)
{
	struct error err = {0};
	auto_store_targets struct store_targets gone = {0};
	deploy->moved = true;
	int r = store_target_gone(deploy->options.store, &gone, &err);
	for (size_t i = 0; i < gone.count && r == 0; i++)
		r = fail_gone(deploy, &gone.targets[i], &err);
	if (r < 0) {
		log_error("deployments: %s", err.text);
		store_fail(deploy->options.store, &err);
	}
}
