/* SPDX-License-Identifier: Apache-2.0 */
/* Inside deploy*.c only. */
#pragma once

#include "control/deploy.h"

struct deploy {
	struct deploy_options options;
	struct presence *presence;
	sd_event_source *timer;
	double started_s;  /* of this process */
	double saved_s;    /* when the times of hosts were last written down */
	double deadline_s; /* the store's next deadline, as last read; 0: none */
	bool moved;        /* deadlines in the store may have changed since */
	uint64_t poll_us;  /* of the oldest parked poll, when the loop last waited */
};

double deploy_now(const struct deploy *deploy);

/* ---- deploy-poll.c: hosts that ask ---- */

/* The host spoke. Its first word ever is written down at once. */
int deploy_seen(struct deploy *deploy, const char *host, struct error *err) MUST_CHECK;
/* Hand the host's next event to its parked poll, if it has both. */
int deploy_wake(struct deploy *deploy, const char *host, struct error *err) MUST_CHECK;
/* Can the host be deployed to? 1, or 0 with the reason in words. offered_s: when it last was handed
 * a command, which was then believed to arrive; 0: none. */
int deploy_is_online(struct deploy *deploy, const char *host, double offered_s, char *why,
		     size_t room, struct error *err) MUST_CHECK;
/* When to look at an event again that is not acknowledged. */
int deploy_next_look(struct deploy *deploy, const struct store_event *event, double *ret,
		     struct error *err) MUST_CHECK;
/* "last polled 3 min ago" or "never polled", into out. */
void deploy_last_poll_text(struct deploy *deploy, const char *host, char *out, size_t room);
int deploy_save_times(struct deploy *deploy, struct error *err) MUST_CHECK;

/* ---- deploy-walk.c: what follows from what ---- */

/* Nothing was done on a host before this event. */
bool deploy_is_first(const struct store_event *event);

/* Go on with a deployment as far as possible: start hosts, halt, end. Saves it. */
int deploy_settle(struct deploy *deploy, struct store_deployment *d, struct error *err) MUST_CHECK;
/* The event has ended; ok: as the host (or a rule) says. d is settled and saved. */
int deploy_event_ended(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
		       const struct store_event *event, bool ok, struct error *err) MUST_CHECK;
/* End the event as failed by our own judgement, with this text, and go on. */
int deploy_event_expired(struct deploy *deploy, struct store_deployment *d, struct store_target *t,
			 struct store_event *event, const char *text, struct error *err) MUST_CHECK;
/* End a deployment: totals, group, health. Saves both. */
int deploy_finish(struct deploy *deploy, struct store_deployment *d, enum store_status status,
		  struct error *err) MUST_CHECK;
void deploy_set_error(struct store_deployment *d, const char *code, char *message);
