// SPDX-License-Identifier: Apache-2.0
/* Hosts that ask: polls, leases, and who is online. */
#include "control/deploy-walk.h"

#include "common/alloc.h"
#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- when a host last spoke ---- */

static int first_word(struct deploy *deploy, const char *host, struct presence_times *times,
		      double now, struct error *err)
{
	auto_store_host struct store_host row = {0};
	int r = store_host_get(deploy->options.store, host, &row, err);
	if (r < 0)
		return r;
	times->saved_s = (double)row.last_poll_s;
	if (row.last_poll_s > 0)
		return 0;
	times->saved_s = now;
	return store_host_set_poll(deploy->options.store, host, (int64_t)now, err);
}

int deploy_seen(struct deploy *deploy, const char *host, struct error *err)
{
	struct presence_times *times = presence_times(deploy->presence, host);
	double now = deploy_now(deploy);
	int r = times->last_s > 0 ? 0 : first_word(deploy, host, times, now, err);
	times->last_s = now;
	return r;
}

struct save {
	struct store *store;
	struct error *err;
};

static int save_times(const char *host, struct presence_times *times, void *arg)
{
	struct save *save = arg;
	if (times->last_s <= times->saved_s)
		return 0;
	times->saved_s = times->last_s;
	return store_host_set_poll(save->store, host, (int64_t)times->last_s, save->err);
}

int deploy_save_times(struct deploy *deploy, struct error *err)
{
	struct save save = {deploy->options.store, err};
	deploy->saved_s = deploy_now(deploy);
	return presence_each(deploy->presence, save_times, &save);
}

/* The exact time where this process has it, else what was written down. */
static int last_poll(struct deploy *deploy, const char *host, double *ret, struct error *err)
{
	struct presence_times *times = presence_times(deploy->presence, host);
	if (times->last_s <= 0) {
		auto_store_host struct store_host row = {0};
		int r = store_host_get(deploy->options.store, host, &row, err);
		if (r < 0)
			return r;
		times->saved_s = (double)row.last_poll_s;
	}
	*ret = times->last_s > 0 ? times->last_s : times->saved_s;
	return 0;
}

static void ago_text(double seconds, char *out, size_t room)
{
	int64_t s = seconds > 0 ? (int64_t)seconds : 0;
	if (s < 120)
		snprintf(out, room, "%" PRId64 " s", s);
	else if (s < 7200)
		snprintf(out, room, "%" PRId64 " min", s / 60);
	else
		snprintf(out, room, "%" PRId64 " h", s / 3600);
}

void deploy_last_poll_text(struct deploy *deploy, const char *host, char *out, size_t room)
{
	double last = 0;
	char ago[32];
	if (last_poll(deploy, host, &last, NULL) < 0 || last <= 0) {
		snprintf(out, room, "the host has never polled");
		return;
	}
	ago_text(deploy_now(deploy) - last, ago, sizeof(ago));
	snprintf(out, room, "the host last polled %s ago", ago);
}

/* 1: it may be deployed to; 0: it was taken out of the inventory after it became a target. */
static int is_registered(struct deploy *deploy, const char *host, struct error *err)
{
	auto_store_host struct store_host row = {0};
	int r = store_host_get(deploy->options.store, host, &row, err);
	return r < 0 ? r : row.deregistered_s == 0;
}

/* Until when the host counts as there without another word; 0: it has never polled. After a start
 * of the endpoint, hosts that had polled before get the same time to come back. */
static int silent_from(struct deploy *deploy, const char *host, double offered_s, double *ret,
		       struct error *err)
{
	double last = 0;
	int r = last_poll(deploy, host, &last, err);
	if (r < 0)
		return r;
	if (last > 0 && last < deploy->started_s)
		last = deploy->started_s;
	if (last > 0 && last < offered_s)
		last = offered_s;
	*ret = last > 0 ? last + (double)deploy->options.offline_ms / 1e3 : 0;
	return 0;
}

/* A poll is at most poll_ms old while it is parked, and a host at work may not poll at all. */
int deploy_is_online(struct deploy *deploy, const char *host, double offered_s, char *why,
		     size_t room, struct error *err)
{
	int r = is_registered(deploy, host, err);
	if (r == 0)
		snprintf(why, room, "Host '%s' was deregistered or revoked.", host);
	if (r <= 0 || presence_is_parked(deploy->presence, host))
		return r;
	double silent_s = 0;
	r = silent_from(deploy, host, offered_s, &silent_s, err);
	if (r < 0)
		return r;
	if (deploy_now(deploy) < silent_s)
		return 1;
	bool busy = false;
	r = store_host_busy(deploy->options.store, host, &busy, err);
	if (r < 0 || busy)
		return r < 0 ? r : 1;
	char when[64];
	deploy_last_poll_text(deploy, host, when, sizeof(when));
	snprintf(why, room,
		 "CodeDeploy agent is not there: %s. Check that slipwayd runs on host '%s' and "
		 "reaches this endpoint.",
		 when, host);
	return 0;
}

int deploy_host_state(struct deploy *deploy, const char *host, double *ret_last_s, bool *ret_online,
		      struct error *err)
{
	char why[512];
	int online = deploy_is_online(deploy, host, 0, why, sizeof(why), err);
	int r = online < 0 ? online : last_poll(deploy, host, ret_last_s, err);
	if (r == 0)
		*ret_online = online > 0;
	return r;
}

/* ---- commands ---- */

static struct wire_command *command_of(struct deploy *deploy, const struct store_event *event)
{
	struct ids_command id = {.event = event->event, .attempt = event->attempt};
	snprintf(id.deployment_id, sizeof(id.deployment_id), "%s", event->deployment_id);
	snprintf(id.host, sizeof(id.host), "%s", event->host);
	struct wire_command *command = xcalloc(1, sizeof(*command));
	*command = (struct wire_command){
		.id = ids_command_format(&id),
		.host = ids_host_arn(&deploy->options.place, event->host),
		.execution_id = ids_execution(&deploy->options.place, event->deployment_id),
		.name = xstrdup(wire_event_to_string((enum wire_event)event->event)),
		.nonce = event->attempt,
	};
	return command;
}

/* The first event of a host that is gone is not waited for, as if it had been gone when its turn
 * came: nothing was done there yet. Later ones have event_start_ms for the host to come back. */
int deploy_next_look(struct deploy *deploy, const struct store_event *event, double *ret,
		     struct error *err)
{
	double now = deploy_now(deploy), silent_s = 0;
	*ret = event->ready_s + (double)deploy->options.event_start_ms / 1e3;
	if (!deploy_is_first(event))
		return 0;
	int r = silent_from(deploy, event->host, event->offered_s, &silent_s, err);
	if (r < 0)
		return r;
	if (silent_s <= now) /* it is at work for another group, or parked */
		silent_s = now + (double)deploy->options.lease_ms / 1e3;
	if (silent_s < *ret)
		*ret = silent_s;
	return 0;
}

/* Lease the event to its host. */
static int hand_out(struct deploy *deploy, struct store_event *event, struct error *err)
{
	auto_store_target struct store_target t = {0};
	struct store *store = deploy->options.store;
	int r = store_target_get(store, event->deployment_id, event->host, &t, err);
	if (r < 0)
		return r;
	event->offered_s = deploy_now(deploy);
	double lease = event->offered_s + (double)deploy->options.lease_ms / 1e3;
	double late = event->ready_s + (double)deploy->options.event_start_ms / 1e3;
	t.deadline_s = lease < late ? lease : late;
	deploy->moved = true;
	r = store_event_save(store, event, err);
	return r < 0 ? r : store_target_save(store, &t, err);
}

/* 1: *ret is the host's next command, handed out; 0: there is none. */
static int next_command(struct deploy *deploy, const char *host, struct wire_command **ret,
			struct error *err)
{
	auto_store_event struct store_event event = {0};
	/* a millisecond of tolerance: the timer fires at the very end of the lease */
	double lease = deploy_now(deploy) - (double)deploy->options.lease_ms / 1e3 + 0.001;
	int r = store_event_next(deploy->options.store, host, lease, &event, err);
	if (r == ERR_NOT_FOUND)
		return 0;
	if (r == 0)
		r = hand_out(deploy, &event, err);
	if (r < 0)
		return r;
	*ret = command_of(deploy, &event);
	return 1;
}

int deploy_wake(struct deploy *deploy, const char *host, struct error *err)
{
	if (!presence_is_parked(deploy->presence, host))
		return 0;
	auto_wire_command struct wire_command *command = NULL;
	int r = next_command(deploy, host, &command, err);
	if (r <= 0)
		return r;
	struct presence_waiter *waiter = presence_take(deploy->presence, host);
	waiter->answer(waiter, command);
	return 0;
}

int deploy_poll(struct deploy *deploy, const char *host, struct presence_waiter *waiter,
		struct wire_command **ret, struct error *err)
{
	int r = deploy_seen(deploy, host, err);
	if (r == 0)
		r = next_command(deploy, host, ret, err);
	if (r != 0)
		return r;
	presence_park(deploy->presence, host, waiter,
		      clock_mono_us() + deploy->options.poll_ms * 1000);
	return 0;
}

void deploy_leave(struct deploy *deploy, struct presence_waiter *waiter)
{
	presence_leave(deploy->presence, waiter);
}
