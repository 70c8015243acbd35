/* SPDX-License-Identifier: Apache-2.0 */
/* Finish or undo what a crash left. Every worker does it for the group it opens, before anything
 * else; the verb "recover" does it for all. */
#pragma once

#include "agent/worker/group.h"
#include "agent/worker/run.h"
#include "common/error.h"

/* Returns 0, ERR_NOT_MOUNTED (try later), ERR_UNDO (a person is needed), or another error.
 * *ret_what (may be NULL): static text, what was done, NULL when there was nothing to do. */
int recover_group(struct group *g, const char **ret_what, struct error *err) MUST_CHECK;

/* "files": only trees, no script, no bus; the rest is left to the next one. */
run_verb_fn recover_verb;
run_verb_fn recover_orphan_verb;

/* Has the endpoint left the open deployment alone, with its application possibly stopped, for
 * longer than orphan_timeout? */
bool recover_is_orphan(const struct group *g, double now);

/* Give an abandoned deployment up: rolled back and closed. why: the failure's message. */
int recover_abandon(struct group *g, const char *why, struct error *err) MUST_CHECK;
