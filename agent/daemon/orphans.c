// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/orphans.h"

#include "agent/daemon/dialogue.h"
#include "agent/daemon/poll.h"
#include "agent/trust.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <string.h>

#define NEVER UINT64_MAX

enum {
	GRACE_MS = 60 * 1000,     /* the endpoint's chance after a start */
	AGAIN_MS = 60 * 1000,     /* the worker could not act: somebody holds the group */
	LOOK_MS = 30 * 1000,      /* whether an endpoint that answers still does */
	LATER_MS = 5 * 60 * 1000, /* it failed: a mount or room may come back */
};

struct orphan {
	struct orphans *orphans;
	char *group_id;
	int64_t newest_s; /* of the newest result seen */
	uint64_t due_us;  /* NEVER: nothing is open */
	struct dialogue *dialogue;
	bool has_result;
};

struct orphans {
	struct daemon *daemon;
	struct orphan **list;
	size_t count;
	uint64_t heard_us; /* when the endpoint answered last; 0: not yet */
	sd_event_source *timer;
};

struct orphans *orphans_new(struct daemon *daemon)
{
	struct orphans *orphans = xcalloc(1, sizeof(*orphans));
	orphans->daemon = daemon;
	return orphans;
}

void orphans_free(struct orphans *orphans)
{
	if (!orphans)
		return;
	for (size_t i = 0; i < orphans->count; i++) {
		dialogue_free(orphans->list[i]->dialogue);
		free(orphans->list[i]->group_id);
		free(orphans->list[i]);
	}
	free(orphans->list);
	sd_event_source_disable_unref(orphans->timer);
	free(orphans);
}

static struct orphan *get(struct orphans *orphans, const char *group_id)
{
	for (size_t i = 0; i < orphans->count; i++)
		if (str_eq(orphans->list[i]->group_id, group_id))
			return orphans->list[i];
	struct orphan *orphan = xcalloc(1, sizeof(*orphan));
	*orphan = (struct orphan){.orphans = orphans,
				  .group_id = xstrdup(group_id),
				  .newest_s = INT64_MIN,
				  .due_us = NEVER};
	orphans->list = xrealloc_array(orphans->list, orphans->count + 1, sizeof(*orphans->list));
	return orphans->list[orphans->count++] = orphan;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg);

static void arm(struct orphans *orphans)
{
	uint64_t due_us = NEVER, now_us = clock_mono_us();
	for (size_t i = 0; i < orphans->count; i++)
		if (!orphans->list[i]->dialogue && orphans->list[i]->due_us < due_us)
			due_us = orphans->list[i]->due_us;
	if (due_us == NEVER) {
		if (orphans->timer)
			loop_timer_off(orphans->timer);
		return;
	}
	uint64_t ms = due_us > now_us ? (due_us - now_us) / 1000 + 1 : 1;
	struct error err = {0};
	if (loop_timer(&orphans->daemon->loop, &orphans->timer, ms, 1000, on_timer, orphans, &err) <
	    0)
		log_error("open deployments are not watched: %s", err.text);
}

static void set_due(struct orphan *orphan, uint64_t ms)
{
	orphan->due_us = clock_mono_us() + ms * 1000;
	arm(orphan->orphans);
}

static void on_event(const char *event, const json_t *message, void *arg)
{
	struct orphan *orphan = arg;
	dialogue_log(event, message);
	if (!str_eq(event, "result"))
		return;
	orphan->has_result = true;
	const char *code = json_string_value(json_object_get(message, "code"));
	const char *text = json_string_value(json_object_get(message, "text"));
	if (!code) {
		log_notice("deployment group '%s' was put right without the endpoint",
			   orphan->group_id);
	} else if (error_from_name(code) == ERR_BUSY) {
		set_due(orphan, AGAIN_MS);
	} else {
		log_error("deployment group '%s' could not be put right without the endpoint: %s",
			  orphan->group_id, text ? text : code);
		set_due(orphan, LATER_MS);
	}
}

static void on_end(void *arg)
{
	struct orphan *orphan = arg;
	dialogue_free(TAKE(orphan->dialogue));
	if (!orphan->has_result)
		set_due(orphan, AGAIN_MS);
	else
		arm(orphan->orphans);
}

/* The worker looks at its own records first: it may find that there is nothing to do. */
static void ask_worker(struct orphan *orphan)
{
	struct daemon *daemon = orphan->orphans->daemon;
	log_warning("the endpoint is silent in the middle of a deployment of group '%s'",
		    orphan->group_id);
	auto_json json_t *first = json_object();
	json_set_str(first, "verb", "orphan");
	json_set_str(first, "group_id", orphan->group_id);
	const struct dialogue_handler handler = {on_event, on_end, orphan};
	struct error err = {0};
	orphan->due_us = NEVER;
	orphan->has_result = false;
	if (dialogue_start(&daemon->loop, &daemon->paths, first, &handler, &orphan->dialogue,
			   &err) == 0)
		return;
	log_error("%s", err.text);
	set_due(orphan, AGAIN_MS);
}

static bool is_aws(const struct daemon *daemon)
{
	auto_trust struct trust trust = {0};
	return trust_load(&daemon->paths, &daemon->settings, &trust, NULL) >= 0 &&
	       trust.kind == TRUST_AWS;
}

/* Our own endpoint has the next command ready when the last one has ended, or has given the
 * deployment up. The AWS service may wait for other hosts and its load balancer meanwhile: there
 * only its silence counts, since its last answer. Returns how long to wait, 0 when it is silent. */
static uint64_t not_silent_ms(const struct orphans *orphans, uint64_t now_us)
{
	uint64_t timeout_ms = orphans->daemon->settings.orphan_timeout;
	enum health_state state = poll_health(orphans->daemon->poll)->state;
	if (!orphans->heard_us || !is_aws(orphans->daemon))
		return 0;
	if (state == HEALTH_REACHABLE || state == HEALTH_THROTTLED)
		return timeout_ms < LOOK_MS ? timeout_ms : LOOK_MS;
	uint64_t silent_ms = (now_us - orphans->heard_us) / 1000;
	return silent_ms < timeout_ms ? timeout_ms - silent_ms : 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct orphans *orphans = arg;
	uint64_t now_us = clock_mono_us(), wait_ms = not_silent_ms(orphans, now_us);
	for (size_t i = 0; i < orphans->count; i++) {
		struct orphan *orphan = orphans->list[i];
		if (orphan->dialogue || orphan->due_us > now_us)
			continue;
		if (wait_ms)
			orphan->due_us = now_us + wait_ms * 1000;
		else
			ask_worker(orphan);
	}
	arm(orphans);
	return 0;
}

void orphans_note(struct orphans *orphans, const struct result *result)
{
	if (str_empty(result->group_id))
		return;
	struct orphan *orphan = get(orphans, result->group_id);
	if (result->finished_s < orphan->newest_s)
		return;
	orphan->newest_s = result->finished_s;
	if (!result->open || !orphans->daemon->settings.local_rollback) {
		orphan->due_us = NEVER;
		arm(orphans);
		return;
	}
	uint64_t timeout_ms = orphans->daemon->settings.orphan_timeout;
	int64_t age_s = clock_wall_s() - result->finished_s;
	uint64_t age_ms = age_s > 0 ? (uint64_t)age_s * 1000 : 0;
	uint64_t left_ms = age_ms < timeout_ms ? timeout_ms - age_ms : 0;
	uint64_t least_ms = timeout_ms < GRACE_MS ? timeout_ms : GRACE_MS;
	set_due(orphan, left_ms > least_ms ? left_ms : least_ms);
}

/* Its result is newer than any before it, also when the clock was set back meanwhile. */
void orphans_command(struct orphans *orphans, const char *group_id)
{
	struct orphan *orphan = get(orphans, group_id);
	orphan->due_us = NEVER;
	orphan->newest_s = INT64_MIN;
	arm(orphans);
}

void orphans_heard(struct orphans *orphans)
{
	orphans->heard_us = clock_mono_us();
}
