/* SPDX-License-Identifier: Apache-2.0 */
/* Put the previous revision back: stop what the new one started, undo the install, start the
 * previous one again (design: "Rollback"). */
#pragma once

#include "agent/worker/group.h"
#include "common/error.h"

#include <stdbool.h>

/* What has happened, and what follows from it. Pure. */
struct rollback_facts {
	bool installed;        /* the new tree is, or was, in place */
	bool previous;         /* there is a revision to go back to */
	bool previous_stopped; /* scripts of ApplicationStop were started */
	bool scripts_prepared; /* the new one's BeforeInstall or AfterInstall was started */
	bool started;          /* the new one's ApplicationStart, or a later event, was started */
};
struct rollback_plan {
	bool stop_new, undo, after_install, application_start, validate_service;
};
struct rollback_facts rollback_facts(const struct state_deployment *d);
struct rollback_plan rollback_plan(const struct rollback_facts *facts);

/* Roll the open deployment back; its phase is STATE_ROLLING_BACK on disk. Returns 0 when the old
 * tree is in place: then rolled_back and, where a script of the previous revision failed,
 * undo_failed are set, and the failure's message says what was done. ERR_UNDO, ERR_NOT_MOUNTED or
 * another error when it is not. May be repeated. */
int rollback_run(struct group *g, struct error *err) MUST_CHECK;

/* After such an error: a complete deployment whose predecessor cannot be installed again stays as
 * it is: its tree is whole, and its application runs (again). */
bool rollback_stays(const struct state_deployment *d, int code);

/* Only the tree of it, no script: the deployment stays in its phase, and rollback_run() does the
 * rest later. Not for one that was complete. Errors as above. May be repeated. */
int rollback_tree(struct group *g, struct error *err) MUST_CHECK;
