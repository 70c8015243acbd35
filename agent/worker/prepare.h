/* SPDX-License-Identifier: Apache-2.0 */
/* Prepare first: before any script of a deployment runs, its bundle is on this host, unpacked,
 * checked and planned once. What cannot work is found while the application still runs. */
#pragma once

#include "agent/problem.h"
#include "agent/worker/bundle.h"
#include "agent/worker/group.h"
#include "agent/worker/plan.h"
#include "common/error.h"

/* Unpack for the open deployment. */
int prepare_unpack(struct group *g, const struct bundle_source *source,
		   struct error *err) MUST_CHECK;
/* Use the archive that lies in the directory of another deployment: no copy. */
int prepare_reuse(struct group *g, const struct state_revision *revision,
		  struct error *err) MUST_CHECK;
/* Would a bundle with this content be refused? What was unpacked earlier may have come under other
 * options. */
int prepare_check_kept(const struct group *g, int archive_fd, struct error *err) MUST_CHECK;
/* Read the AppSpec, check it against the archive, make the plan; tell the caller every problem.
 * ERR_INPUT, ERR_REFUSED, or another error; on success the archive is on disk (synced). */
int prepare_check(struct group *g, struct plan_summary *ret, struct error *err) MUST_CHECK;

/* The plan of the open deployment as the host is now: into g->fd. archive_fd -1: remove everything.
 */
enum {
	PREPARE_USERS_LATER = 1, /* see struct plan_request */
	PREPARE_STRICT = 2,      /* what the host's options refuse in a revision counts */
};
int prepare_plan(struct group *g, int archive_fd, const struct spec *spec, const char *file_exists,
		 int flags, struct plan_summary *ret, struct error *err) MUST_CHECK;

/* Take away what was unpacked for the open deployment. Best effort. */
void prepare_discard(struct group *g);

/* May an AppSpec with these hooks run in a deployment with these events (reference: appspec 6.2)?
 * all_events NULL: every name may. */
int prepare_check_events(const struct spec *spec, const char *name, char *const *all_events,
			 struct error *err) MUST_CHECK;
