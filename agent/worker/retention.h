/* SPDX-License-Identifier: Apache-2.0 */
/* How many deployments of a group stay on the host. */
#pragma once

#include "agent/worker/group.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct retention_entry {
	char *name;
	int64_t age_key; /* larger is newer */
	bool kept;       /* must stay, whatever its age */
	bool doomed;     /* out */
};

/* Mark what goes: the oldest entries that need not stay, until at most max are left. Pure. */
void retention_choose(struct retention_entry *entries, size_t n, size_t max);

/* After a bundle is on the host: delete what is too many, and what was never unpacked to its end.
 * Stays: the open deployment, what is installed, the last successful one, and every archive that
 * one of these uses. The state knows it, durably, before anything goes; that is the only error,
 * deleting is best effort. */
int retention_run(struct group *g, struct error *err) MUST_CHECK;

/* Delete what an interrupted retention had begun to delete, and what a worker that was killed had
 * begun to unpack. Best effort. */
void retention_finish(struct group *g);
