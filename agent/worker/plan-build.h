/* SPDX-License-Identifier: Apache-2.0 */
/* A plan in the making; only plan*.c includes this.
 *
 *   plan-targets.c  what is wanted: every directory, file and symlink, by its canonical path
 *   plan-perms.c    what permissions say about each
 *   plan-meta.c     owner, mode and ACL as each should have them in the end
 *   plan-live.c     what is there: the operation for each target, then deletions
 *   plan-earlier.c  what the plan before this one found out already
 *   plan-mounts.c   where each mount stages, and whether it has room
 *   plan-sources.c  the targets alone, for whom compares what is installed
 *
 * Targets lie in a record stream (an unlinked file in group_fd); in memory there is an index of
 * their paths and one node per directory. */
#pragma once

#include "agent/worker/label.h"
#include "agent/worker/manifest.h"
#include "agent/worker/plan-file.h"
#include "agent/worker/plan.h"

#include <limits.h>
#include <time.h>

#define NO_NODE UINT32_MAX

enum node_flags {
	NODE_LIVE = 1,    /* a real directory is there */
	NODE_OURS = 2,    /* wanted, and made by the previous install or to be made by this one */
	NODE_SWAP = 4,    /* something of ours that is no directory gives way to it */
	NODE_SGID = 8,    /* what is made in it gets gid, directories the bit too */
	NODE_PARENT = 16, /* known only because something in it goes away */
};

struct plan_node {
	uint64_t record; /* of its 'd' target */
	uint32_t gid;    /* with NODE_SGID */
	uint32_t root;   /* node of its subtree's root, NO_NODE when live */
	uint32_t number; /* of the operation that makes it; PLAN_NONE until then */
	uint32_t dir;    /* its record in the plan; PLAN_NONE until one is needed */
	uint16_t path_len;
	uint16_t heir; /* the default ACL that what is made in it inherits, see plan_heir() */
	uint8_t flags;
};

/* What is wanted of one path. type 'a' is a path that a symlink on the host leads elsewhere: node
 * is the directory that it leads to. */
struct target {
	char type;     /* 'f' 'd' 'l' 'a' */
	bool implicit; /* a directory that only the way to a destination asks for */
	uint32_t node, parent;
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	struct plan_source from;
	const char *path, *source; /* borrowed until the next call on targets */
};

/* An entry of 'acls' with the id that its name has on this host. */
struct plan_ace {
	bool is_default;
	enum acl_tag tag;
	uint32_t id;
	unsigned perm;
};

struct plan_perm {
	const struct spec_permission *spec;
	char *object; /* canonical */
	char kind;    /* 'f': exactly that target; 'd': what is below; 0: applies to nothing */
	bool used;
	uint32_t uid, gid;
	struct plan_ace *aces;
	size_t n_aces;
};

/* Metadata of a target as it is to be. Owner and group are in the target. */
struct plan_meta {
	const struct plan_perm *perm; /* NULL: no permission applies */
	bool mode_fixed, acl_fixed;   /* by permissions: whatever it inherits */
	mode_t mode;
	struct acl_room access, bequeath;
	char label[LABEL_MAX]; /* "": none is asked for */
};

struct plan_build_mount {
	struct live_mount id;
	int fd;                  /* some directory on it */
	char *common;            /* deepest directory that holds all of its operations */
	uint64_t objects, bytes; /* that are staged; their content */
	uint64_t blocks;         /* the same, each file in whole blocks */
};
#define PLAN_MOUNTS_MAX 255

/* Another group, and how many paths it owns that are wanted. */
struct plan_owner {
	char *label;
	uint64_t refused;
};

struct plan_build {
	const struct plan_request *request;
	struct problems *problems;
	char *destination_root; /* normalised, "" for none */
	bool labels;            /* SELinux is enabled */
	bool root;              /* we are: files may be given away */

	struct manifest manifest; /* of the previous install */
	struct record_file targets;
	struct pathset paths;
	struct plan_node *nodes;
	uint32_t n_nodes, room_nodes;
	uint32_t *destinations; /* nodes */
	uint32_t n_destinations;

	struct plan_owner *owners; /* other groups: flag of a path - 1 */
	uint16_t n_owners;
	uint64_t overlaps; /* paths that have a flag */
	char *label;       /* of this group; with overlaps */

	struct plan_perm *perms;
	size_t n_perms;

	struct acl_room **heirs; /* default ACLs; heir of a node - 1 */
	uint16_t n_heirs;

	struct record_file earlier; /* the plan before, when there is one */
	struct pathset earlier_paths;
	struct plan_end earlier_end;

	struct timespec made;
	struct record_file plan;
	struct record_out out;
	uint32_t n_dirs, n_ops;
	struct plan_build_mount *mounts;
	uint32_t n_mounts;
	struct plan_summary summary;

	/* The live directory that was opened last. */
	int dir_fd;
	uint32_t dir_node;
	char dir_path[PATH_MAX];
	struct stat dir_st;
	bool dir_frozen; /* nobody may change it */
	struct live_mount dir_mount;
};

/* Without a plan file, and with the manifest of the previous install loaded. */
int plan_build_new(const struct plan_request *request, struct problems *problems,
		   struct plan_build **ret, struct error *err) MUST_CHECK;
void plan_build_free(struct plan_build *b);
DEFINE_CLEANUP(struct plan_build *, plan_build_free)
#define auto_plan_build CLEANUP(plan_build_free_at)

/* Functions below return 0, below 0 for what cannot go on, and PLAN_SKIP when a problem was added
 * and the object is left out. */
#define PLAN_SKIP 1

/* plan-targets.c */
int plan_targets_make(struct plan_build *b, struct error *err) MUST_CHECK;
/* The next target: 1, 0 at the end. */
int plan_target_next(struct plan_build *b, struct target *ret, struct error *err) MUST_CHECK;
/* 1 when there is one for path; ret_value (may be NULL) as in pathset_find(). */
int plan_target_find(struct plan_build *b, const char *path, struct target *ret,
		     uint64_t **ret_value, struct error *err) MUST_CHECK;
/* A node for a directory that is there, because something in it goes away. -ENOENT when it will be
 * a new one, -ELOOP when a symlink leads elsewhere now. */
int plan_node_parent(struct plan_build *b, const char *path, uint32_t *ret,
		     struct error *err) MUST_CHECK;
/* path has room for PATH_MAX. */
int plan_node_path(struct plan_build *b, uint32_t node, char *path, struct error *err) MUST_CHECK;
/* Where path really is: symlinks on the way (and at its end, when it leads to a directory) that are
 * not ours are resolved. out has room for PATH_MAX. */
int plan_canonical(struct plan_build *b, const char *path, char *out, struct error *err) MUST_CHECK;

/* plan-perms.c */
int plan_perms_prepare(struct plan_build *b, struct error *err) MUST_CHECK;
/* The permission for it, NULL when there is none. */
int plan_perms_find(struct plan_build *b, const struct target *t,
		    const struct plan_perm **ret) MUST_CHECK;
void plan_perms_finish(struct plan_build *b);
void plan_perms_clear(struct plan_build *b);

/* plan-meta.c */
/* The number of a default ACL for plan_node.heir; 0: none. */
int plan_heir_add(struct plan_build *b, const struct acl_room *acl, uint16_t *ret,
		  struct error *err) MUST_CHECK;
struct acl plan_heir(const struct plan_build *b, uint32_t node);
/* What the target should be like: owner and group into it, the rest into *ret. What a permission
 * cannot do to it is a problem. */
int plan_meta_make(struct plan_build *b, struct target *t, struct plan_meta *ret,
		   struct error *err) MUST_CHECK;
/* Has the file system of this target (a directory on it is dir_path, open at fd) what meta needs?
 */
int plan_meta_supported(struct plan_build *b, const struct target *t, const struct plan_meta *meta,
			int fd, const char *dir_path) MUST_CHECK;
/* The ACLs of an existing directory, which is at name in the open directory. */
struct plan_old {
	struct acl_room access, bequeath;
	char label[LABEL_MAX];
};
int plan_meta_look(struct plan_build *b, const char *name, const char *path, struct plan_old *ret,
		   struct error *err) MUST_CHECK;
bool plan_meta_equal(const struct target *t, const struct plan_meta *meta,
		     const struct live_object *live, const struct plan_old *old);
/* Has the object at name in the open directory the wanted label? */
int plan_label_equal(struct plan_build *b, const struct plan_meta *meta,
		     const char *name) MUST_CHECK;
void plan_meta_clear(struct plan_build *b);

/* plan-earlier.c */
int plan_earlier_load(struct plan_build *b, struct error *err) MUST_CHECK;
/* Did the plan before compare these very two files, neither touched since, and find the same bytes?
 * plain: and no ACL. */
bool plan_earlier_same(struct plan_build *b, const struct target *t, const struct live_object *live,
		       bool *ret_plain);

/* plan-live.c */
int plan_overlap(struct plan_build *b, struct error *err) MUST_CHECK;
int plan_live(struct plan_build *b, struct error *err) MUST_CHECK;

/* plan-mounts.c */
/* The mount of the live directory that is open in b, for an operation in it. */
int plan_mount_use(struct plan_build *b, const char *dir_path, uint32_t *ret,
		   struct error *err) MUST_CHECK;
/* The mount point above path. out has room for PATH_MAX. */
void plan_mount_point(const char *path, char *out);
int plan_mounts_finish(struct plan_build *b, struct error *err) MUST_CHECK;
void plan_mounts_clear(struct plan_build *b);
