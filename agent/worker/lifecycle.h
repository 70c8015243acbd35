/* SPDX-License-Identifier: Apache-2.0 */
/* One lifecycle event of the open deployment: commands of the endpoint and local verbs walk the
 * same events through these functions. */
#pragma once

#include "agent/worker/group.h"
#include "agent/worker/hooks.h"
#include "common/error.h"

#include <stdbool.h>

/* Has the event nothing to run? (What the acknowledgement says.) */
bool lifecycle_is_noop(struct group *g, const char *event);

/* Walk one event: recorded as a step, told to the caller. Returns 0 (*ret_message: what a result
 * says, never NULL, borrowed from the step or static), or below 0 with the deployment's failure
 * filled. */
int lifecycle_walk(struct group *g, const char *event, const char **ret_message,
		   struct error *err) MUST_CHECK;

/* Go on with the event whose scripts a killed worker was in (hooks_interrupted()), to the same
 * end. */
int lifecycle_resume(struct group *g, const char *event, const char **ret_message,
		     struct error *err) MUST_CHECK;

/* Fill the open deployment's failure from an error that is not a script's, unless it is filled. */
void lifecycle_set_failure(struct group *g, const char *event, int code, const struct error *why);

/* The deployment goes on as if the event that has just failed had not. */
void lifecycle_ignore_failure(struct group *g);

/* The text of a step in the caller's and the record's words: start and end it. */
size_t lifecycle_begin(struct group *g, const char *step);
/* The last step, which a killed worker has started, goes on. */
size_t lifecycle_begin_again(struct group *g);
void lifecycle_end(struct group *g, size_t step, enum state_step_status status,
		   const char *message);
