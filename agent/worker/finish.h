/* SPDX-License-Identifier: Apache-2.0 */
/* How a deployment ends: complete, rolled back, or left as it is. Each function first makes its
 * direction durable (the phase in state.json), then acts; finish_resume() goes on after a crash. */
#pragma once

#include "agent/worker/group.h"
#include "common/error.h"

#include <jansson.h>

/* All events have succeeded. message: what the result of the last one says. */
int finish_succeeded(struct group *g, const char *message, struct error *err) MUST_CHECK;

/* The open deployment's failure is set: roll back, or leave it when it asked for that. Returns 0
 * when that is done (the deployment is closed, state->last; its exit code: finish_exit_code()), or
 * below 0 when a crash's recovery has to go on with it. */
int finish_failed(struct group *g, struct error *err) MUST_CHECK;

/* Go on with what the phase says; nothing for STATE_RUNNING. Returns 1 when it did something. */
int finish_resume(struct group *g, struct error *err) MUST_CHECK;

/* A command has succeeded and the deployment goes on: its result, then the state. */
int finish_command(struct group *g, const char *message, struct error *err) MUST_CHECK;

/* The event of the running command was walked, with r; what follows from it. */
int finish_walked(struct group *g, int r, const char *message, struct error *err) MUST_CHECK;

/* A local deployment whose revision cannot be installed: nothing was touched. It is recorded. */
int finish_refused(struct group *g, const struct error *why, struct error *err) MUST_CHECK;

/* Of the command line, for a closed deployment. */
int finish_exit_code(const struct state_deployment *d);
/* Of its failure: our own error, ERR_SCRIPT for a script's. */
int finish_error_code(const struct state_deployment *d);
/* The members of the worker's last message that describe it (d NULL: none). */
void finish_describe(json_t *result, const struct group *g, const struct state_deployment *d);
