/* SPDX-License-Identifier: Apache-2.0 */
/* One group takes over what another one has installed: two manifests change as one. Both new ones
 * lie beside the old ones, then host/adopt says what is to be done; from then on it is done, by
 * whoever finds that file. Format: docs/formats/host.md.
 *
 * A worker that opens a group has finished a takeover before it reads anything of the group, so
 * whoever works in either of the two has both as they were before, or both as they are afterwards.
 * The lock of the install, which every plan of an install holds, keeps a third group from looking
 * in between. */
#pragma once

#include "agent/worker/run.h"

#include <stdbool.h>

#define TAKEOVER_MANIFEST "manifest.adopt" /* in both groups' directories */

struct takeover {
	const char *group, *from;                 /* ids */
	const char *group_label, *from_label;     /* what people call them */
	const char *deployment, *deployment_from; /* ids of the two records */
	int64_t objects;
	bool all; /* the other has nothing left */
};

/* Make it durable. Both manifests are there and synced; the caller has the locks of both groups and
 * of the install. */
int takeover_begin(struct run *run, const struct takeover *t, struct error *err) MUST_CHECK;
/* Do what host/adopt says, with the lock of the install. Returns 1, or 0 when there is none.
 * ret_group, ret_deployment (may be NULL): who took over, and the record; the caller's. */
int takeover_finish(struct run *run, char **ret_group, char **ret_deployment,
		    struct error *err) MUST_CHECK;

/* The same for whoever may find one: takes the lock of the install if there is one. Fails only
 * where it concerns the group id, whose lock the caller has (NULL: any). */
int takeover_recover(struct run *run, const char *id, char **ret_group, char **ret_deployment,
		     struct error *err) MUST_CHECK;
