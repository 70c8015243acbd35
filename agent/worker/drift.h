/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the objects that a group has installed: each is held against the manifest, and its
 * content against the revision that it came from. Touches nothing. */
#pragma once

#include "agent/worker/plan.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum drift_kind {
	DRIFT_MODIFIED, /* other content, or another target of a symlink */
	DRIFT_MISSING,
	DRIFT_TYPE,     /* something else is there */
	DRIFT_METADATA, /* mode, owner, group, ACLs, SELinux context */
	DRIFT_EXTRA,    /* in a directory that the group made, and nobody's */
	DRIFT_KIND_COUNT
};
const char *drift_kind_to_string(enum drift_kind kind); /* "modified" "missing" "type" "metadata"
							   "extra" */

/* One thing in which an object differs; expected or found is NULL where it has no short text. */
struct drift_difference {
	const char *what; /* "content" "target" "size" "time" "type" "mode" "owner" "group"
			     "acl" "default_acl" "context" "unreadable" */
	char *expected, *found;
};
#define DRIFT_DIFFERENCES_MAX 10

struct drift_object {
	enum drift_kind kind;
	const char *path;
	struct drift_difference differences[DRIFT_DIFFERENCES_MAX];
	size_t n_differences;
};

struct drift_request {
	struct plan_sources *sources; /* also the manifest */
	int archive_fd;               /* of the installed revision; -1: it is gone */
	int groups_fd;                /* host/groups: what belongs to others is not extra */
	const char *group_id;
	int scratch_fd;   /* a directory to work in */
	bool leave_extra; /* do not look for objects that nobody installed */
	/* Each object that differs; below 0 ends it. */
	int (*tell)(const struct drift_object *object, void *arg);
	void (*progress)(uint64_t done, uint64_t total, void *arg); /* may be NULL */
	void *arg;
};

struct drift_summary {
	uint64_t objects;    /* in the manifest */
	uint64_t uncompared; /* files and symlinks whose content there is no revision for: their
				size and time were held against the manifest */
	uint64_t counts[DRIFT_KIND_COUNT];
};

int drift_find(const struct drift_request *request, struct drift_summary *ret,
	       struct error *err) MUST_CHECK;
