/* SPDX-License-Identifier: Apache-2.0 */
/* The bundle of a command, as the daemon hands it over: docs/formats/worker.md, "fetch". */
#pragma once

#include "agent/worker/group.h"
#include "common/error.h"

#include <jansson.h>

/* Ask the daemon something, before anything of the event has run. Returns as caller_ask(). */
int fetched_ask(struct group *g, const char *event, json_t *message, json_t **ret, int *ret_fd,
		struct error *err) MUST_CHECK;

/* Have the open deployment's bundle fetched, and unpack it. Returns 1, 0 when the caller went away,
 * ERR_BUSY when it has to send the command again (nothing has happened then), or below 0. */
int fetched_unpack(struct group *g, const char *event, struct error *err) MUST_CHECK;
