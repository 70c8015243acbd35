/* SPDX-License-Identifier: Apache-2.0 */
/* A job: the deployment document (whose order it is, what is to be installed, what is walked) and
 * the legal order of its steps, a table. Everything here is pure. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"
#include "common/wire.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum job_verb {
	JOB_ENDPOINT, /* commands, one event at a time */
	JOB_DEPLOY,   /* the rest: a person on this host, all events in one go */
	JOB_REDEPLOY,
	JOB_ROLLBACK,
	JOB_REMOVE,
	JOB_ADOPT,  /* only the record of it: nothing is walked */
	JOB_IMPORT, /* the same, of what the official agent had installed */
};
const char *job_verb_to_string(enum job_verb verb);
int job_verb_from_string(const char *name, enum job_verb *ret) MUST_CHECK;

/* Where a person deploys who names no group. */
#define JOB_LOCAL_GROUP "default-local-deployment-group"
#define JOB_LOCAL_GROUP_NAME "LocalFleet"

struct job {
	enum job_verb verb;
	struct wire_spec *spec; /* owned */
	bool rollback;          /* put the previous revision back when it fails */
	bool ignore_stop;       /* local: go on when an event up to ApplicationStop fails */
	char **events;          /* local: what is walked, in this order; NULL for the endpoint's */
};
void job_free(struct job *job);
DEFINE_CLEANUP(struct job *, job_free)
#define auto_job CLEANUP(job_free_at)
bool job_is_local(const struct job *job);
json_t *job_to_json(const struct job *job); /* new reference */
int job_from_json(const json_t *obj, struct job **ret, struct error *err) MUST_CHECK;

enum job_kind {
	JOB_HOOKS,    /* scripts of an AppSpec */
	JOB_DOWNLOAD, /* DownloadBundle */
	JOB_INSTALL,
	JOB_FOREIGN, /* the endpoint's own, or nobody's: never run here */
};
/* Standard events by the table; any other name is JOB_HOOKS for a local job that lists it and
 * JOB_FOREIGN for all else. */
enum job_kind job_kind(const struct job *job, const char *event);

/* Is it an event that the endpoint may ask of a host? */
bool job_is_command(const char *event);

/* Whose scripts run for an event (reference: appspec 6.2). downloaded: DownloadBundle of this
 * deployment is done; from then on it is always the new revision. */
enum job_revision { JOB_NEW, JOB_PREVIOUS, JOB_MOST_RECENT };
enum job_revision job_revision(const struct job *job, const char *event, bool downloaded);

/* May event come now? walked: names of the events that have succeeded, any order. -EINVAL with the
 * reason: an event that is past, one whose need (Install needs DownloadBundle, ...) is not met, or
 * JOB_FOREIGN. */
int job_check_next(const struct job *job, const char *const *walked, size_t n_walked,
		   const char *event, struct error *err) MUST_CHECK;

/* Is the deployment complete once this event has succeeded? ValidateService, or the last event that
 * will come when that one never does. */
bool job_completes(const struct job *job, const char *event);

/* Position of a standard event in a deployment, -1 for custom ones. */
int job_position(const char *event);
/* Does the first event come at or after the second in the standard order? Custom events do not. */
bool job_is_from(const char *event, enum wire_event from);

/* May the endpoint go on with a deployment whose event failed here? It may for those that
 * ignoreApplicationStopFailures covers. */
bool job_failure_is_ignorable(const char *event);

/* Must the bundle be on this host before the first command of this job acts? Not on a blue/green
 * deployment's original hosts, which only see traffic events. */
bool job_needs_bundle(const struct job *job, const char *event);

/* What a local deployment walks: given (NULL: all standard hook events, DownloadBundle and Install
 * in their order). A missing DownloadBundle is put in front, a missing Install after it; ERR_INPUT
 * when an event stands before DownloadBundle or Install that cannot. The list is the caller's, see
 * job_events_free(). */
int job_local_events(const char *const *given, char ***ret, struct error *err) MUST_CHECK;
void job_events_free(char **events);

/* A new local deployment id, "d-XXXXXXXXX-local", 18 bytes with the NUL. */
#define JOB_LOCAL_ID_LEN 18
void job_local_id(char out[JOB_LOCAL_ID_LEN]);
