/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of deployments: which host has which lifecycle event next, what its answers
 * mean, when it is late, how the deployment ends.
 *
 * Everything is in the store: a restart, a kill at any instant or a rolled back turn lose nothing
 * and need no repair. In memory are only parked polls, the time at which each host last spoke, and
 * one timer for the next deadline.
 *
 * The events of a host, one at a time, in order (wire.h):
 *
 *     Pending --handed out--> Pending, leased --acknowledged--> InProgress --completed--> Succeeded
 *        ^                        |     |                           |                  or Failed
 *        +---- lease is over -----+     +-- "nothing to do" --------|--> Succeeded
 *        |                              |                           |
 *        +------------------------------+-- 5 min: Failed           +-- 60 min: Failed
 *
 * The first event of a host that has not polled for offline_ms fails then, and not after 5 min.
 * After Succeeded comes the next event; after Failed the host has failed and the rest is Skipped
 * (ApplicationStop's failure may be ignored). What the deployment does then is sched.h's decision.
 */
#pragma once

#include "common/loop.h"
#include "common/wire.h"
#include "control/ids.h"
#include "control/presence.h"
#include "control/sched.h"
#include "control/store-deploy.h"

struct control;
struct deploy;

#define DEPLOY_HOSTS_MAX 10000               /* targets of one deployment */
#define DEPLOY_LIFE_MS (12ULL * 3600 * 1000) /* a deployment has ended by then */

struct deploy_options {
	struct loop *loop; /* NULL: no timers; deploy_tick() is called instead */
	struct store *store;
	struct ids_place place;
	uint64_t lease_ms, poll_ms, offline_ms, event_start_ms, event_run_ms;
	double (*now)(void); /* NULL: clock_wall() */
};

/* Take up what the store says was going on. */
int deploy_new(const struct deploy_options *options, struct deploy **ret,
	       struct error *err) MUST_CHECK;
/* The same with the endpoint's own settings, store and loop. */
int deploy_start(struct control *control, struct deploy **ret, struct error *err) MUST_CHECK;
/* Writes down when hosts last spoke (the caller commits). Accepts NULL. Parked polls must have been
 * closed. */
void deploy_stop(struct deploy *deploy);
/* Another process wrote to the store, or a turn was rolled back. */
void deploy_changed(struct deploy *deploy);

/* ---- for people ---- */

struct deploy_request {
	const struct store_app *app;
	struct store_group *group; /* what is remembered of it is updated */
	const struct sched_config *config;
	const char *creator; /* "user" */
	const char *revision, *options;
	const char *bucket, *object_key, *object_version; /* of an S3 revision, or NULL */
	const char *sha256;                               /* of our own object, or NULL */
	int64_t size;                                     /* -1: not ours */
	bool outdated_only; /* leave out hosts that have this revision */
};
/* Create the deployment, find its hosts and start it. It may have ended when this returns (no host
 * matches). The group must have no active deployment. */
int deploy_create(struct deploy *deploy, const struct deploy_request *request,
		  char ret_id[IDS_DEPLOYMENT_LEN + 1], struct error *err) MUST_CHECK;

/* Start nothing more: hosts that were not started are skipped, events that were not acknowledged
 * too; acknowledged ones may end. why: "stop", "deleted". ret_ended: nothing was left to wait for.
 * Nothing happens to a deployment that has ended or is being stopped already. */
int deploy_interrupt(struct deploy *deploy, const char *id, const char *why, const char *error_code,
		     const char *message, bool *ret_ended, struct error *err) MUST_CHECK;

/* rollbackInfo.rollbackMessage where a rollback by a new deployment was asked for. */
#define DEPLOY_NO_ROLLBACK                                                                        \
	"This version does not roll a fleet back by a deployment of its own. Each host on which " \
	"the deployment failed puts its previous revision back itself; deploy an older revision " \
	"to change the others."

/* When the host last spoke (Unix time, 0: never), and whether it would be deployed to now. */
int deploy_host_state(struct deploy *deploy, const char *host, double *ret_last_s, bool *ret_online,
		      struct error *err) MUST_CHECK;

/* The events of a deployment, in order. */
size_t deploy_events(const enum wire_event **ret);

/* ---- for hosts; host is the caller's own name ---- */

/* A poll. 1: *ret is a command; 0: the waiter is parked and its answer() will be called, unless
 * presence_leave() comes first. */
int deploy_poll(struct deploy *deploy, const char *host, struct presence_waiter *waiter,
		struct wire_command **ret, struct error *err) MUST_CHECK;
void deploy_leave(struct deploy *deploy, struct presence_waiter *waiter);

/* The deployment that this identifier names, when host is one of its targets; else ERR_DENIED. */
int deploy_of_execution(struct deploy *deploy, const char *host, const char *execution_id,
			struct store_deployment *ret, struct error *err) MUST_CHECK;
/* ret_status: what the host is to do. ERR_DENIED: not this host's command. */
int deploy_acknowledge(struct deploy *deploy, const char *host, const char *command_id, bool noop,
		       enum wire_status *ret_status, struct error *err) MUST_CHECK;
/* The first result is kept, later ones have no effect. succeeded: what CommandStatus said. */
int deploy_complete(struct deploy *deploy, const char *host, const char *command_id, bool succeeded,
		    const struct wire_diagnostics *diagnostics, struct error *err) MUST_CHECK;
/* How it stands with a command (PostHostCommandUpdate). */
int deploy_command_status(struct deploy *deploy, const char *host, const char *command_id,
			  enum wire_status *ret_status, struct error *err) MUST_CHECK;

/* What is due now: leases, late hosts, polls to answer empty, deployments past their time. Called
 * by the timer; tests call it themselves. */
int deploy_tick(struct deploy *deploy, struct error *err) MUST_CHECK;
/* Unix time at which something is due next; 0: nothing. */
double deploy_next(struct deploy *deploy);
