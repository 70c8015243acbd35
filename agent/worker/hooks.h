/* SPDX-License-Identifier: Apache-2.0 */
/* The scripts of one lifecycle event of one revision. */
#pragma once

#include "agent/worker/group.h"
#include "agent/worker/spec.h"
#include "common/cleanup.h"

#include <stdbool.h>

/* A revision on this host, borrowed from the group's state. */
struct hooks_revision {
	const char *deployment_id;
	const char *archive; /* deployment whose directory holds it */
	const char *appspec;
	const struct wire_spec *spec;
};

/* The open deployment's own revision, or a kept one; false when there is none. */
bool hooks_revision_new(const struct group *g, struct hooks_revision *ret);
bool hooks_revision_kept(const struct group *g, const char *deployment_id,
			 struct hooks_revision *ret);

struct hooks {
	struct hooks_revision revision;
	int archive_fd;
	struct spec *spec;
	const struct spec_event *event; /* NULL: nothing to run */
};
void hooks_clear(struct hooks *h);
#define auto_hooks CLEANUP(hooks_clear)

/* Read the revision's AppSpec and find the event in it. Fails when the directory or the AppSpec is
 * gone or broken. */
int hooks_load(struct group *g, const struct hooks_revision *revision, const char *event,
	       struct hooks *ret, struct error *err) MUST_CHECK;

struct hooks_request {
	const struct hooks *hooks;
	const char *event;
	const struct wire_spec *identity; /* whose ids the scripts are told */
	bool rollback;
	bool resume; /* hooks_interrupted() is this step: go on with it */
};
/* Run them one after the other; the first failure ends it: ERR_SCRIPT with *ret_failure (the
 * caller's), or another error when they could not be run. The group's state, with the step that has
 * just been started (the last one), is durable before the first script. What scripts left running
 * becomes the step's message. */
int hooks_run(struct group *g, const struct hooks_request *request,
	      struct state_failure **ret_failure, struct error *err) MUST_CHECK;

/* The step whose scripts a killed worker was in, or had just been through, when they are services
 * and of this boot: hooks_run() can go on with it, and gives the real result. NULL: there is none.
 * Caller frees. */
char *hooks_interrupted(const struct group *g);
/* May a service that a killed worker has started run? Asks only the note. */
bool hooks_may_run(const struct group *g);

/* A worker that was killed may have noted, and not yet recorded, what a script took: record it in
 * the open deployment, to be saved with what follows. */
void hooks_recall(struct group *g);

/* Kill the script that a worker which was killed has left behind, if it still runs. */
void hooks_kill_leftover(struct group *g);

/* Stop what scripts of that deployment (NULL: of any in the group) left running, and wait until it
 * is gone. */
void hooks_stop(struct group *g, const char *deployment_id);
/* A deployment is over: its note goes, and units of the group that nothing runs in any more. */
void hooks_tidy(struct group *g);
