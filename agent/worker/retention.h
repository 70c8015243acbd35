/* SPDX-License-Identifier: Apache-2.0 */
/* Which deployments of a group stay on the host: so many, so young, so large, and what is needed.
 *
 * It runs after a bundle is on the host, when a deployment has ended, and at recovery (when
 * slipwayd starts, by `slipway recover`): what gets too old in between stays until then. */
#pragma once

#include "agent/worker/group.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETENTION_ALONE SIZE_MAX

struct retention_entry {
	char *name;
	int64_t made_ns; /* Unix time */
	uint64_t bytes;  /* on disk; 0 where nobody asks */
	size_t uses;     /* index of the entry that holds its archive, RETENTION_ALONE: itself */
	bool kept;       /* must stay */
	bool doomed;     /* out */
};

struct retention_limits {
	uint64_t max_entries;
	int64_t oldest_ns;  /* what was made before may go; INT64_MIN: all ages are well */
	uint64_t max_bytes; /* of all together; 0: no ceiling */
};

/* Mark what goes: the oldest entries that need not stay and whose archive nobody uses, one after
 * the other, while there are too many, or they take too much, or the next is too old. An entry that
 * is used by one that stays, stays. Pure. */
void retention_choose(struct retention_entry *entries, size_t n,
		      const struct retention_limits *limits);

/* Is the deployment of that name needed, whatever the limits say: what is installed, the last
 * successful one, the one that is going on and the one before it, or, when none is going on, the
 * one that ended last (its output, and the endpoint may go on with it). With max_revisions of 2 and
 * more also what a rollback goes back to. */
bool retention_is_needed(const struct state *state, const char *name, int64_t max_revisions);

/* Delete what the settings do not want kept, what an interrupted retention had begun to delete, and
 * what was never unpacked to its end. The state knows it, durably, before anything goes; that is
 * the only error, deleting is best effort. */
int retention_run(struct group *g, struct error *err) MUST_CHECK;
