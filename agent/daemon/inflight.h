/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that were polled and have no result yet, on disk: one file each in agent/inflight/, so
 * that a daemon that starts again goes on with them. Format: docs/formats/agent.md. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"
#include "common/wire.h"

#include <jansson.h>
#include <stdbool.h>

struct inflight {
	struct wire_command *command;
	json_t *specification; /* {"Format", "Payload"} as the endpoint sent it; NULL: to be asked
				  for */
	bool acked;            /* the endpoint knows that we run it */
	bool secret;           /* the specification holds a secret: it is not written */
	bool stored;           /* it was loaded */
};
void inflight_clear(struct inflight *inflight);
#define auto_inflight CLEANUP(inflight_clear)

/* name: result_name() of the command. Durable before it returns; not acknowledged yet. */
int inflight_save(int dirfd, const char *name, const struct inflight *inflight,
		  struct error *err) MUST_CHECK;
/* The endpoint has taken the acknowledgement. Not synced: after a power cut it may be forgotten,
 * then the command is acknowledged again, which changes nothing. */
int inflight_mark_acked(int dirfd, const char *name, struct error *err) MUST_CHECK;
/* ERR_FORMAT when the content is not what inflight_save() writes. */
int inflight_load(int dirfd, const char *name, struct inflight *ret, struct error *err) MUST_CHECK;
/* Best effort: a file that stays is found to have its result at the next start. */
void inflight_remove(int dirfd, const char *name);

/* Call fn for every entry, oldest file first. What cannot be read is renamed to NAME.bad, with one
 * line in the log. */
typedef void inflight_fn(const char *name, struct inflight *inflight, void *arg);
int inflight_each(int dirfd, inflight_fn *fn, void *arg, struct error *err) MUST_CHECK;
