/* SPDX-License-Identifier: Apache-2.0 */
/* The group's install transaction under the lock that all groups share: one of them writes into the
 * destination root at a time. */
#pragma once

#include "agent/worker/group.h"
#include "agent/worker/hooks.h"
#include "agent/worker/install.h"
#include "common/error.h"

/* The lock that every install holds while it plans and switches. Waits; returns the descriptor,
 * ERR_BUSY after ten minutes. */
int transact_lock(struct run *run, struct error *err) MUST_CHECK;

/* Plan the revision (NULL: remove everything) as the host is now, and install it for that
 * deployment. The group's state is durable before the first act. */
int transact_install(struct group *g, const struct hooks_revision *revision,
		     const char *deployment_id, struct error *err) MUST_CHECK;

/* The new tree stands, if one is in place; nothing otherwise. */
int transact_settle(struct group *g, struct error *err) MUST_CHECK;

/* The old tree comes back, if a new one is in place. Returns 1 when it did something. */
int transact_undo(struct group *g, install_kept_fn *kept, void *arg, struct error *err) MUST_CHECK;

/* As install_recover(). */
int transact_recover(struct group *g, enum install_state *ret, struct error *err) MUST_CHECK;

/* Is nothing going on in the group, and nothing left half way? ERR_BUSY says what, and the way out.
 */
int transact_check_idle(struct group *g, struct error *err) MUST_CHECK;
