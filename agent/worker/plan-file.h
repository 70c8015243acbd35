/* SPDX-License-Identifier: Apache-2.0 */
/* The records of the plan's file: written by plan-*.c, read by the install. The journal repeats
 * some of them. Format: docs/formats/journal.md. */
#pragma once

#include "agent/worker/acl.h"
#include "agent/worker/live.h"
#include "agent/worker/plan.h"
#include "agent/worker/record.h"

#define PLAN "plan"
#define PLAN_NONE UINT32_MAX

enum plan_record { PLAN_REC_DIR = 1, PLAN_REC_OP, PLAN_REC_MOUNT, PLAN_REC_END };

/* An existing directory in which operations happen. */
struct plan_dir {
	uint32_t index, mount;
	uint64_t ino;
	uint32_t mode, uid, gid;
	bool inherit; /* there is something to bequeath: a default ACL, flags, a project */
	const char *path;
	struct acl bequeath; /* the default ACL, which staged objects inherit */
};
void plan_dir_put(struct record_out *out, const struct plan_dir *d);
int plan_dir_get(struct record *rec, struct plan_dir *d, struct error *err) MUST_CHECK;

/* A file of the archive when its content was last looked at. */
struct plan_source {
	uint64_t ino;
	int64_t ctime_s;
	uint32_t ctime_ns;
};

struct plan_entry {
	enum plan_op op;
	char type;         /* of the new object; 0: there will be none */
	bool mode_fixed;   /* by permissions: whatever the object inherits */
	bool inside;       /* in a subtree that one rename puts in place */
	bool plain;        /* PLAN_KEEP: it has no ACL and should have none */
	bool acl_fixed;    /* by permissions: access and bequeath, whatever it inherits */
	uint32_t number;   /* of the operation */
	uint32_t dir;      /* its parent's index; PLAN_NONE inside a subtree */
	uint32_t root;     /* number of the operation that puts its subtree in place */
	uint16_t root_len; /* of that directory's path */
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	struct live_object old;
	struct plan_source from; /* of a file or symlink */
	const char *path;
	const char *source; /* in the archive */
	/* ACLs as they should be: with acl_fixed, and of what is kept or gets other metadata. */
	struct acl access, bequeath;
	struct acl old_access, old_bequeath; /* PLAN_METADATA of a directory */
	const char *label, *old_label;       /* SELinux; "" when it is not asked for */
};
void plan_entry_put(struct record_out *out, const struct plan_entry *e);
int plan_entry_get(struct record *rec, struct plan_entry *e, struct error *err) MUST_CHECK;

/* Where a mount's staging directory is made. */
struct plan_mount {
	uint32_t index;
	uint32_t magic; /* statfs */
	struct live_ident parent;
	const char *path;
};
void plan_mount_put(struct record_out *out, const struct plan_mount *m);
int plan_mount_get(struct record *rec, struct plan_mount *m, struct error *err) MUST_CHECK;

struct plan_end {
	uint32_t dirs, ops, mounts;
	int64_t made_s; /* wall clock when it was begun */
	uint32_t made_ns;
};
void plan_end_put(struct record_out *out, const struct plan_end *e);
int plan_end_get(struct record *rec, struct plan_end *e, struct error *err) MUST_CHECK;

int plan_open(int group_fd, struct record_file *f, struct error *err) MUST_CHECK;
/* The next record: 1, below 0 also at an end without PLAN_REC_END. */
int plan_next(struct record_file *f, struct record *rec, struct error *err) MUST_CHECK;
