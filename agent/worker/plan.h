/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: AppSpec, archive, manifest of the previous install and the live tree give the full list
 * of operations. Touches nothing. Refusals belong here. The plan is a record stream on disk
 * (group_fd/"plan"), at most 64 bytes per operation in memory. Format: docs/formats/journal.md.
 * Each target is held against the plan when it is switched: make the plan right before the install,
 * after the scripts that ran before it (they may clean up a destination). */
#pragma once

#include "agent/problem.h"
#include "agent/worker/spec.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <stdint.h>

enum plan_op {
	PLAN_MKDIR,
	PLAN_CREATE,  /* a file that is not there */
	PLAN_REPLACE, /* other content (or type) under the same name */
	PLAN_SYMLINK,
	PLAN_DELETE, /* of the previous install, no longer wanted */
	PLAN_RMDIR, /* a directory that the previous install made; kept when something else is in it
		     */
	PLAN_METADATA, /* owner, group, mode only */
	PLAN_KEEP,     /* unchanged: not written */
	PLAN_RETAIN,   /* exists and RETAIN: not ours */
	PLAN_OP_COUNT
};
const char *plan_op_to_string(enum plan_op op); /* "mkdir" "create" "replace" "symlink" "delete"
						   "rmdir" "metadata" "keep" "retain" */

struct plan_request {
	int archive_fd;               /* the unpacked revision; -1 with spec NULL */
	const struct spec *spec;      /* NULL: remove everything that the group installed */
	const char *destination_root; /* absolute prefix of every destination and object, or NULL */
	enum spec_file_exists
		file_exists; /* the deployment's own; the AppSpec's wins; unset is DISALLOW */
	const char *group_id;
	int groups_fd; /* host/groups: the manifests of all groups (overlap is refused); -1: none */
	int group_fd;  /* host/groups/ID: "manifest" is read, "plan" written */
	bool allow_setid;
	bool refuse_links_permissions; /* permissions that apply to a symbolic link */
	bool keep_refused; /* a plan that is refused stays, to be walked: without what is */
	bool users_later;  /* BeforeInstall has yet to run and may make users: a warning, no refusal
			    */
};

struct plan_summary {
	uint64_t ops[PLAN_OP_COUNT];
	uint64_t bytes; /* that would be staged */
};

/* *ret is set also when the plan is refused and kept.
 * What was changed or removed locally since it was installed is put right again and noted as a
 * warning in problems. Returns 0; ERR_REFUSED with everything that stands in the way in problems
 * (conflicts under DISALLOW, duplicate targets, type clashes, unknown users and groups, overlap
 * with another group, too few bytes or inodes, missing sources), or another error. */
int plan_make(const struct plan_request *request, struct plan_summary *ret,
	      struct problems *problems, struct error *err) MUST_CHECK;

/* Walk the plan in group_fd, for "slipway plan". path is absolute. */
typedef int plan_each_fn(enum plan_op op, const char *path, uint64_t bytes, void *arg);
int plan_each(int group_fd, plan_each_fn *fn, void *arg, struct error *err) MUST_CHECK;

/* Where each path that a revision wants came from in its archive, found as the plan finds it: for
 * comparing what is installed with what was. group_fd is a directory to work in that holds the
 * manifest; spec NULL: nothing is known of any path. */
struct manifest;
struct plan_sources;
int plan_sources_make(const struct plan_request *request, struct plan_sources **ret,
		      struct error *err) MUST_CHECK;
void plan_sources_free(struct plan_sources *s);
DEFINE_CLEANUP(struct plan_sources *, plan_sources_free)
#define auto_plan_sources CLEANUP(plan_sources_free_at)
/* 1 with the type ('f' 'l') and the path in the archive, which is borrowed until the next call; 0:
 * the revision has no file or symlink for that path. */
int plan_sources_find(struct plan_sources *s, const char *path, char *ret_type,
		      const char **ret_source, struct error *err) MUST_CHECK;
/* Of the group; borrowed. */
struct manifest *plan_sources_manifest(struct plan_sources *s);
