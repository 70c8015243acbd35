/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of the store: applications, groups, revisions, deployments, their targets and
 * events. The rules of store.h hold; times are seconds with fraction. Texts that hold JSON are in
 * the shapes of the API. A revision is written in one way only (api-revisions.c), so two are the
 * same when their texts are. */
#pragma once

#include "control/store.h"

/* Of deployments, targets and events; the names are those of the API. */
enum store_status {
	STORE_CREATED,
	STORE_PENDING,
	STORE_IN_PROGRESS,
	STORE_SUCCEEDED,
	STORE_FAILED,
	STORE_STOPPED,
	STORE_SKIPPED,
	STORE_STATUS_COUNT
};
const char *store_status_to_string(enum store_status status);
int store_status_from_string(const char *name, enum store_status *ret) MUST_CHECK; /* -EINVAL */
bool store_status_is_final(enum store_status status);
#define STORE_STATUS_BIT(status) (1u << (status))
#define STORE_STATUS_ANY ((1u << STORE_STATUS_COUNT) - 1)

/* ---- applications ---- */

struct store_app {
	char *id, *name;
	char *tags; /* JSON array of {"Key","Value"} */
	double created_s;
};
void store_app_clear(struct store_app *app);
#define auto_store_app CLEANUP(store_app_clear)
int store_app_add(struct store *store, const struct store_app *app,
		  struct error *err) MUST_CHECK; /* ERR_EXISTS */
int store_app_get(struct store *store, const char *name, struct store_app *ret,
		  struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
/* Names in order, after the given one, at most limit. */
int store_app_list(struct store *store, const char *after, size_t limit, struct store_names *ret,
		   struct error *err) MUST_CHECK;
/* With its groups; its deployments are found by hosts only. */
int store_app_delete(struct store *store, const char *id, double now_s,
		     struct error *err) MUST_CHECK;

/* ---- revisions ---- */

/* Register, or register again (a new description replaces the old one). */
int store_revision_put(struct store *store, const char *app_id, const char *location,
		       const char *description, double now_s, struct error *err) MUST_CHECK;
/* A deployment uses it; registered with this description when it was unknown. */
int store_revision_use(struct store *store, const char *app_id, const char *location,
		       const char *description, double now_s, struct error *err) MUST_CHECK;

struct store_revision {
	char *location, *description;
	double registered_s, first_used_s, last_used_s; /* 0: never used */
};
void store_revision_clear(struct store_revision *revision);
#define auto_store_revision CLEANUP(store_revision_clear)
int store_revision_get(struct store *store, const char *app_id, const char *location,
		       struct store_revision *ret,
		       struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
enum store_revision_order { STORE_BY_REGISTERED, STORE_BY_FIRST_USED, STORE_BY_LAST_USED };
enum store_revision_use { STORE_ANY_USE, STORE_DEPLOYED, STORE_NOT_DEPLOYED };
struct store_revision_range {
	const char *app_id;
	enum store_revision_use use; /* STORE_DEPLOYED: it is what a group's last deployment had */
	enum store_revision_order order;
	bool descending;
	double after_s;    /* begin after the revision with this time ... */
	const char *after; /* ... and location; "": at the first */
};
/* Those of the same time by location. fn as in store_object_each(). */
typedef int store_revision_fn(const struct store_revision *revision, void *arg);
int store_revision_each(struct store *store, const struct store_revision_range *range,
			store_revision_fn *fn, void *arg, struct error *err) MUST_CHECK;
/* Groups whose last deployment had it, by name. */
int store_revision_groups(struct store *store, const char *app_id, const char *location,
			  struct store_names *ret, struct error *err) MUST_CHECK;

/* ---- deployment groups ---- */

struct store_group {
	char *id, *app_id, *name, *config_name;
	char *settings;        /* JSON object: the other members that were given at creation */
	char *revision;        /* of the last successful deployment, or NULL */
	char *target_revision; /* of the last deployment, or NULL */
	char *last_successful, *last_attempted; /* deployment ids, or NULL */
	char *active;                           /* deployment that has not ended, or NULL */
	double created_s;
};
void store_group_clear(struct store_group *group);
#define auto_store_group CLEANUP(store_group_clear)
int store_group_add(struct store *store, const struct store_group *group,
		    struct error *err) MUST_CHECK; /* ERR_EXISTS */
int store_group_get(struct store *store, const char *app_id, const char *name,
		    struct store_group *ret, struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
/* By id, deleted or not. ERR_NOT_FOUND. */
int store_group_get_id(struct store *store, const char *id, struct store_group *ret,
		       struct error *err) MUST_CHECK;
int store_group_list(struct store *store, const char *app_id, const char *after, size_t limit,
		     struct store_names *ret, struct error *err) MUST_CHECK;
int store_group_delete(struct store *store, const char *id, double now_s,
		       struct error *err) MUST_CHECK;
/* Write name, config_name and settings. ERR_EXISTS. */
int store_group_update(struct store *store, const struct store_group *group,
		       struct error *err) MUST_CHECK;
/* Write revision, target_revision, last_successful, last_attempted and active. */
int store_group_save(struct store *store, const struct store_group *group,
		     struct error *err) MUST_CHECK;

/* ---- deployments ---- */

struct store_deployment {
	char *id, *app_id, *group_id, *application, *group, *config_name;
	enum store_status status;
	char *halt; /* why nothing more is started: "", "limit", "stop", "timeout", "deleted" */
	char *creator;
	char *revision, *previous_revision; /* the second may be NULL */
	char *options;                      /* JSON object: members of CreateDeployment kept */
	char *bucket, *object_key, *object_version; /* of an S3 revision, or NULL */
	char *sha256;                               /* of the bundle, or NULL: not ours */
	int64_t size;                               /* of the bundle, -1: not ours */
	char *error_code, *error_message;           /* or NULL */
	char *first_failure;                        /* in words, or NULL */
	char *rollback_message;                     /* or NULL */
	int64_t total, minimum; /* targets, and how many of them must stay healthy */
	int64_t pending, running, succeeded, failed, skipped;
	double created_s, started_s, completed_s;
	double deadline_s; /* the whole deployment ends then; 0 when it has ended */
};
void store_deployment_clear(struct store_deployment *deployment);
#define auto_store_deployment CLEANUP(store_deployment_clear)
int store_deployment_add(struct store *store, const struct store_deployment *deployment,
			 struct error *err) MUST_CHECK; /* ERR_EXISTS */
/* ERR_NOT_FOUND. Also those of deleted applications. */
int store_deployment_get(struct store *store, const char *id, struct store_deployment *ret,
			 struct error *err) MUST_CHECK;
/* Is its application deleted? Then people do not see it any more. */
int store_deployment_hidden(struct store *store, const char *id, bool *ret,
			    struct error *err) MUST_CHECK;
/* Write everything from status on that changes: status, halt, errors, messages, counts, times. */
int store_deployment_save(struct store *store, const struct store_deployment *deployment,
			  struct error *err) MUST_CHECK;
struct store_deployment_filter {
	const char *group_id;    /* NULL: of every group that is not hidden */
	unsigned statuses;       /* STORE_STATUS_BIT() of those wanted */
	double from_s, before_s; /* created in [from, before]; before 0: no end */
	int64_t seq;             /* 0: from the newest; else older than this one */
	size_t limit;
};
/* Newest first. ret_seq: of the last one, to go on from. */
int store_deployment_list(struct store *store, const struct store_deployment_filter *filter,
			  struct store_names *ret, int64_t *ret_seq, struct error *err) MUST_CHECK;
/* Deployments whose deadline has passed. */
int store_deployment_due(struct store *store, double now_s, struct store_names *ret,
			 struct error *err) MUST_CHECK;

/* ---- targets: the hosts of a deployment ---- */

struct store_target {
	char *deployment_id, *host;
	int64_t position; /* order in which they are started */
	enum store_status status;
	int64_t event; /* enum wire_event that it is at; -1: not started */
	double updated_s;
	double deadline_s; /* somebody must look at it then; 0: not */
};
void store_target_clear(struct store_target *target);
#define auto_store_target CLEANUP(store_target_clear)
struct store_targets {
	size_t count;
	struct store_target *targets;
};
void store_targets_clear(struct store_targets *list);
#define auto_store_targets CLEANUP(store_targets_clear)
int store_target_add(struct store *store, const struct store_target *target,
		     struct error *err) MUST_CHECK;
int store_target_get(struct store *store, const char *deployment_id, const char *host,
		     struct store_target *ret, struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
int store_target_save(struct store *store, const struct store_target *target,
		      struct error *err) MUST_CHECK;
/* Those with this status, in their order, after this position (-1: all), at most limit. */
int store_target_by_status(struct store *store, const char *deployment_id, enum store_status status,
			   int64_t after, size_t limit, struct store_targets *ret,
			   struct error *err) MUST_CHECK;
/* Hosts in their order after position (-1: all), at most limit. ret_position: of the last one. */
int store_target_list(struct store *store, const char *deployment_id, unsigned statuses,
		      int64_t after, size_t limit, struct store_names *ret, int64_t *ret_position,
		      struct error *err) MUST_CHECK;
/* Every pending target becomes skipped; returns how many. */
int store_target_skip(struct store *store, const char *deployment_id, double now_s,
		      struct error *err) MUST_CHECK;
/* Running targets whose deadline has passed, at most limit. */
int store_target_due(struct store *store, double now_s, size_t limit, struct store_targets *ret,
		     struct error *err) MUST_CHECK;
/* Running targets whose host is not registered any more. */
int store_target_gone(struct store *store, struct store_targets *ret, struct error *err) MUST_CHECK;
/* The earliest deadline of targets and deployments; 0: none. */
int store_next_deadline(struct store *store, double *ret, struct error *err) MUST_CHECK;

/* ---- events of a target ---- */

struct store_event {
	char *deployment_id, *host;
	int64_t event;   /* enum wire_event */
	int64_t attempt; /* part of the command's identifier */
	enum store_status status;
	double ready_s;                    /* the host may have it since then */
	double offered_s;                  /* last handed out; 0: not yet */
	double started_s, ended_s;         /* acknowledged; ended */
	int64_t error_code;                /* enum wire_error_code */
	char *script, *message, *log_tail; /* or NULL */
};
void store_event_clear(struct store_event *event);
#define auto_store_event CLEANUP(store_event_clear)
int store_event_add(struct store *store, const struct store_event *event,
		    struct error *err) MUST_CHECK;
int store_event_get(struct store *store, const char *deployment_id, const char *host, int64_t event,
		    struct store_event *ret, struct error *err) MUST_CHECK; /* ERR_NOT_FOUND */
int store_event_save(struct store *store, const struct store_event *event,
		     struct error *err) MUST_CHECK;
/* Call fn for each event of a target that has a row, in order. */
typedef int store_event_fn(const struct store_event *event, void *arg);
int store_event_each(struct store *store, const char *deployment_id, const char *host,
		     store_event_fn *fn, void *arg, struct error *err) MUST_CHECK;
/* The oldest event that this host may fetch: pending, and not handed out after lease_s.
 * ERR_NOT_FOUND. */
int store_event_next(struct store *store, const char *host, double lease_s, struct store_event *ret,
		     struct error *err) MUST_CHECK;
/* Is the host in the middle of an event of any deployment? */
int store_host_busy(struct store *store, const char *host, bool *ret, struct error *err) MUST_CHECK;

/* ---- health of a group's hosts ---- */

struct store_health {
	char *host;
	bool healthy;
	char *revision; /* last one that was installed successfully, or NULL: unknown */
};
typedef int store_health_fn(const struct store_health *health, void *arg);
int store_health_each(struct store *store, const char *group_id, store_health_fn *fn, void *arg,
		      struct error *err) MUST_CHECK; /* by host */
/* revision is written when healthy is true and kept when it is false. */
int store_health_set(struct store *store, const char *group_id, const char *host, bool healthy,
		     const char *revision, double now_s, struct error *err) MUST_CHECK;
/* Targets that failed had the group's revision before: nobody knows what they run now. */
int store_health_unknown(struct store *store, const char *group_id, const char *deployment_id,
			 const char *revision, struct error *err) MUST_CHECK;
