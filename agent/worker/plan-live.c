// SPDX-License-Identifier: Apache-2.0
/* What is there. Each target is held against the live tree and the manifest of the previous
 * install, which gives its operation; then what the manifest has and nobody wants any more is
 * deleted, deepest first. */
#include "agent/worker/plan-build.h"

#include "agent/state.h"
#include "agent/worker/inherit-flags.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define BLOCK 4096
#define HOLES_FROM (64 * 1024)

/* Open the directory of a live node, unless it is the open one. */
static int open_node(struct plan_build *b, uint32_t node, struct error *err)
{
	if (b->dir_fd >= 0 && b->dir_node == node)
		return 0;
	fs_close_quiet(b->dir_fd);
	b->dir_fd = -1;
	int r = plan_node_path(b, node, b->dir_path, err);
	if (r < 0)
		return r;
	int fd = live_open_dir(b->dir_path);
	if (fd < 0)
		return error_set(err, fd, "%s: %s", b->dir_path, strerror(-fd));
	b->dir_fd = fd;
	b->dir_node = node;
	if (fstat(fd, &b->dir_st) < 0)
		return error_errno(err, "%s", b->dir_path);
	b->dir_frozen = live_is_frozen(fd, "");
	return live_mount(fd, &b->dir_mount, err);
}

/* The plan's record of the open directory. */
static int dir_record(struct plan_build *b, uint32_t *ret, struct error *err)
{
	struct plan_node *node = &b->nodes[b->dir_node];
	*ret = node->dir;
	if (node->dir != PLAN_NONE)
		return 0;
	struct plan_dir d = {.index = b->n_dirs,
			     .ino = b->dir_st.st_ino,
			     .mode = b->dir_st.st_mode & 07777,
			     .uid = b->dir_st.st_uid,
			     .gid = b->dir_st.st_gid,
			     .path = b->dir_path,
			     .bequeath = plan_heir(b, b->dir_node)};
	d.inherit = d.bequeath.len > 0 || b->labels || inherit_flags_any(b->dir_fd);
	int r = plan_mount_use(b, b->dir_path, &d.mount, err);
	if (r < 0)
		return r;
	record_start(&b->out, PLAN_REC_DIR);
	plan_dir_put(&b->out, &d);
	*ret = node->dir = b->n_dirs++;
	return record_append(&b->plan, &b->out, NULL, err);
}

/* Holes stay holes; small ones are not worth the look. */
static uint64_t content_of(const struct plan_build *b, const struct plan_entry *e)
{
	struct stat st;
	if (e->size < HOLES_FROM ||
	    fstatat(b->request->archive_fd, e->source, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return e->size;
	uint64_t there = (uint64_t)st.st_blocks * 512;
	return there < e->size ? there : e->size;
}

static void account(struct plan_build *b, const struct plan_entry *e, uint32_t mount)
{
	struct plan_build_mount *m = &b->mounts[mount];
	m->objects++;
	if (e->type != 'f')
		return;
	uint64_t bytes = content_of(b, e);
	m->bytes += bytes;
	m->blocks += (bytes + BLOCK - 1) / BLOCK * BLOCK;
	b->summary.bytes += e->size;
}

static bool stages(const struct plan_entry *e)
{
	switch (e->op) {
	case PLAN_MKDIR:
	case PLAN_CREATE:
	case PLAN_REPLACE:
	case PLAN_SYMLINK:
		return true;
	case PLAN_METADATA:
		return e->type != 'd';
	default:
		return false;
	}
}

static int append(struct plan_build *b, struct plan_entry *e, struct error *err)
{
	e->number = b->n_ops++;
	b->summary.ops[e->op]++;
	record_start(&b->out, PLAN_REC_OP);
	plan_entry_put(&b->out, e);
	return record_append(&b->plan, &b->out, NULL, err);
}

/* Whoever is not root needs write permission where an operation is, and on a directory that goes
 * away as a whole. */
static bool may_change(struct plan_build *b, const struct plan_entry *e)
{
	if (b->root)
		return true;
	const char *what = NULL;
	char parent[PATH_MAX];
	if (faccessat(b->dir_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		what = b->dir_path;
	else if (e->op == PLAN_RMDIR &&
		 faccessat(b->dir_fd, live_split(e->path, parent), W_OK, AT_EACCESS) < 0)
		what = e->path;
	if (what)
		problems_add(b->problems, PROBLEM_ERROR, e->path,
			     "user %u may not write in '%s'; permit it, or run as root",
			     (unsigned)geteuid(), what);
	return !what;
}

/* A rename out of the way and into it is what every operation is in the end. */
static bool is_movable(struct plan_build *b, const struct plan_entry *e)
{
	char parent[PATH_MAX];
	const char *name = live_split(e->path, parent);
	const char *what = NULL;
	if (e->old.type && live_is_mount_point(b->dir_fd, name)) {
		problems_add(b->problems, PROBLEM_ERROR, e->path,
			     "it is a mount point, and nothing can take its place; unmount it");
		return false;
	}
	if (e->old.type && live_is_frozen(b->dir_fd, name))
		what = e->path;
	else if (b->dir_frozen)
		what = b->dir_path;
	if (what)
		problems_add(b->problems, PROBLEM_ERROR, e->path,
			     "'%s' is immutable or append-only; 'chattr -ia' it first", what);
	return !what;
}

/* An operation in the open directory. */
static int emit(struct plan_build *b, struct plan_entry *e, struct error *err)
{
	e->dir = PLAN_NONE;
	if (e->op != PLAN_KEEP && e->op != PLAN_RETAIN) {
		if (!may_change(b, e) || !is_movable(b, e))
			return 0;
		int r = dir_record(b, &e->dir, err);
		if (r < 0)
			return r;
		if (stages(e)) {
			for (uint32_t i = 0; i < b->n_mounts; i++)
				if (live_mount_equal(&b->mounts[i].id, &b->dir_mount))
					account(b, e, i);
		}
	}
	return append(b, e, err);
}

static struct plan_entry entry_of(const struct target *t, const struct plan_meta *meta)
{
	return (struct plan_entry){.type = t->type,
				   .mode_fixed = meta->mode_fixed,
				   .acl_fixed = meta->acl_fixed,
				   .number = PLAN_NONE,
				   .root = PLAN_NONE,
				   .mode = meta->acl_fixed ? meta->mode : t->mode,
				   .uid = t->uid,
				   .gid = t->gid,
				   .size = t->size,
				   .mtime_s = t->mtime_s,
				   .mtime_ns = t->mtime_ns,
				   .from = t->from,
				   .path = t->path,
				   .source = t->source,
				   .access = acl_of(&meta->access),
				   .bequeath = acl_of(&meta->bequeath),
				   .label = meta->label};
}

/* Inside a subtree that is wholly new. */
static int emit_inside(struct plan_build *b, struct target *t, struct error *err)
{
	struct plan_meta meta;
	const struct plan_node *root = &b->nodes[b->nodes[t->parent].root];
	if (root->number == PLAN_NONE) /* left out for a problem of its own */
		return 0;
	int r = plan_meta_make(b, t, &meta, err);
	if (r == 0) {
		const struct plan_build_mount *m = &b->mounts[root->dir];
		r = plan_meta_supported(b, t, &meta, m->fd, m->common);
	}
	if (r != 0)
		return r < 0 ? r : 0;
	struct plan_entry e = entry_of(t, &meta);
	e.inside = true;
	e.dir = PLAN_NONE;
	e.root = root->number;
	e.root_len = root->path_len;
	e.op = t->type == 'd' ? PLAN_MKDIR : t->type == 'l' ? PLAN_SYMLINK : PLAN_CREATE;
	account(b, &e, root->dir);
	return append(b, &e, err);
}

static int link_equal(struct plan_build *b, const char *name, const char *source)
{
	char live[PATH_MAX], wanted[PATH_MAX];
	ssize_t n = readlinkat(b->dir_fd, name, live, sizeof(live));
	auto_close int fd = fs_open_beneath(b->request->archive_fd, source, O_PATH | O_NOFOLLOW, 0);
	if (n < 0 || fd < 0)
		return n < 0 ? -errno : fd;
	ssize_t m = readlinkat(fd, "", wanted, sizeof(wanted));
	if (m < 0)
		return -errno;
	return n == m && memcmp(live, wanted, (size_t)n) == 0;
}

static bool acl_matches(int fd, struct acl wanted)
{
	struct acl_room there;
	return acl_get(fd, ACL_OF_OBJECT, &there) == 0 && acl_equal(acl_of(&there), wanted);
}

/* Content and ACL of the live file against what would be staged. Returns 2 when both are the same,
 * 1 when only the content is, 0, or negative errno. */
static int file_equal(struct plan_build *b, const struct target *t, const char *name,
		      const struct live_object *live, struct acl acl)
{
	bool plain;
	bool known = plan_earlier_same(b, t, live, &plain);
	if (live->size != t->size)
		return 0;
	if (known && plain && acl.len == 0)
		return 2;
	auto_close int old =
		openat(b->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (old < 0)
		return -errno;
	if (known)
		return acl_matches(old, acl) ? 2 : 1;
	auto_close int new = fs_open_beneath(b->request->archive_fd, t->source,
					     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (new < 0)
		return new;
	int r = live_bytes_equal(old, new, t->size);
	return r > 0 && acl_matches(old, acl) ? 2 : r;
}

/* The operation that makes the live object (a file or symlink) what is wanted. */
static int compare(struct plan_build *b, const struct target *t, const struct plan_meta *meta,
		   const char *name, const struct live_object *live, enum plan_op *ret,
		   struct error *err)
{
	*ret = PLAN_REPLACE;
	if (live->type != t->type)
		return 0;
	int r = t->type == 'l' ? link_equal(b, name, t->source)
			       : file_equal(b, t, name, live, acl_of(&meta->access));
	if (r < 0)
		return error_set(err, r, "%s: %s", t->path, strerror(-r));
	if (r == 0)
		return 0;
	bool same = live->uid == t->uid && live->gid == t->gid;
	if (t->type == 'f')
		same = same && r == 2 && live->mode == meta->mode;
	r = same && t->type == 'f' ? plan_label_equal(b, meta, name) : 1;
	if (r < 0)
		return error_set(err, r, "%s: %s", t->path, strerror(-r));
	same = same && r > 0;
	*ret = same ? PLAN_KEEP : PLAN_METADATA;
	return 0;
}

static void note_drift(struct plan_build *b, const struct manifest_entry *e, const char *path,
		       const struct live_object *live, const struct stat *st, const char *then)
{
	if (live->type == 0)
		problems_add(b->problems, PROBLEM_WARNING, path,
			     "it was removed since it was installed; %s", then);
	else if (live->type != e->type || live->ino != e->ino || live->size != e->size ||
		 st->st_mtim.tv_sec != e->mtime_s || st->st_mtim.tv_nsec != e->mtime_ns)
		problems_add(b->problems, PROBLEM_WARNING, path,
			     "it was changed since it was installed; %s", then);
}

/* Something in a directory that must give way: is it ours, and will it go? */
struct giving_way {
	struct plan_build *b;
	const char *path;
	unsigned problems;
};

static int gives_way(const struct fs_entry *entry, void *arg, struct error *err)
{
	struct giving_way *g = arg;
	struct manifest_entry e;
	auto_free char *path = fs_join(g->path, entry->path);
	int r = manifest_find(&g->b->manifest, path, &e, err);
	if (r < 0)
		return r;
	bool dir = S_ISDIR(entry->st.st_mode);
	bool mounted = live_is_mount_point(entry->dirfd, entry->name) ||
		       (dir && entry->st.st_dev != g->b->dir_st.st_dev);
	if (!mounted && r > 0 && dir == (e.type == 'd') && live_type(entry->st.st_mode) != 'o')
		return 0;
	if (g->problems++ < 5)
		problems_add(g->b->problems, PROBLEM_ERROR, path,
			     "a file takes the place of the directory '%s', but this is %s",
			     g->path,
			     mounted ? "a mount point; unmount it" : "not ours; move it away");
	return dir ? FS_WALK_SKIP : 0;
}

static int check_giving_way(struct plan_build *b, const char *name, const char *path,
			    struct error *err)
{
	struct live_mount id;
	int r = live_mount_at(b->dir_fd, name, &id);
	if (r < 0)
		return error_set(err, r, "%s: %s", path, strerror(-r));
	if (!live_mount_equal(&id, &b->dir_mount)) {
		problems_add(b->problems, PROBLEM_ERROR, path,
			     "a file takes the place of this directory, but it is a mount point; "
			     "unmount it");
		return PLAN_SKIP;
	}
	auto_close int fd = fs_open_beneath(b->dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return error_set(err, fd, "%s: %s", path, strerror(-fd));
	struct giving_way g = {.b = b, .path = path};
	r = fs_walk(fd, 0, gives_way, &g, err);
	return r < 0 ? r : g.problems ? PLAN_SKIP : 0;
}

static enum spec_file_exists behaviour(const struct plan_build *b)
{
	enum spec_file_exists e = b->request->spec->file_exists;
	if (e == SPEC_EXISTS_UNSET)
		e = b->request->file_exists;
	return e == SPEC_EXISTS_UNSET ? SPEC_DISALLOW : e;
}

/* Something that is not ours, and is not retained, stands at the path of a file. */
static int foreign(struct plan_build *b, const struct target *t, const struct live_object *live)
{
	if (live->type == 'd') {
		problems_add(b->problems, PROBLEM_ERROR, t->path,
			     "a directory stands where a file is to be installed; move it away");
		return PLAN_SKIP;
	}
	switch (behaviour(b)) {
	case SPEC_OVERWRITE:
		if (live->type != 'o')
			return 0;
		problems_add(b->problems, PROBLEM_ERROR, t->path,
			     "it is a device, pipe or socket and is not overwritten; remove it");
		return PLAN_SKIP;
	default:
		problems_add(
			b->problems, PROBLEM_ERROR, t->path,
			"it exists already and file_exists_behavior is DISALLOW; move it away, "
			"or choose OVERWRITE or RETAIN");
		return PLAN_SKIP;
	}
}

/* What people call the group of that id; the state is read without the group's lock, which is
 * allowed. Caller frees. */
static char *label_of(const struct plan_build *b, const char *id)
{
	auto_close int fd =
		openat(b->request->groups_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_state struct state *state = NULL;
	struct error ignored;
	return fd >= 0 && state_load(fd, &state, &ignored) >= 0 ? state_label(state) : xstrdup(id);
}

/* As it is to be typed. Caller frees. */
static char *adopt_command(const struct plan_build *b, const struct plan_owner *owner,
			   const char *path)
{
	auto_free char *group = str_shell_word(b->label);
	auto_free char *from = str_shell_word(owner->label);
	auto_free char *word = path ? str_shell_word(path) : NULL;
	return xasprintf("slipway adopt --group %s --from %s%s%s", group, from, word ? " " : "",
			 word ? word : "");
}

/* Does another group own this path? */
static int overlaps(struct plan_build *b, const struct target *t, struct error *err)
{
	struct target again;
	uint64_t *value;
	if (!b->overlaps)
		return 0;
	auto_free char *path = xstrdup(t->path);
	int r = plan_target_find(b, path, &again, &value, err);
	if (r <= 0)
		return r;
	uint16_t flag = PATHSET_FLAGS(*value);
	if (flag == 0)
		return 0;
	struct plan_owner *owner = &b->owners[flag - 1];
	auto_free char *command = adopt_command(b, owner, path);
	owner->refused++;
	problems_add(b->problems, PROBLEM_ERROR, path,
		     "it belongs to the deployment group '%s': deploy to that one, take it out of "
		     "one of the two revisions, or hand it over: %s",
		     owner->label, command);
	return PLAN_SKIP;
}

/* For the usual case of a group that was made anew, and of two that were merged. */
static void explain_overlaps(struct plan_build *b)
{
	for (uint16_t i = 0; i < b->n_owners; i++) {
		const struct plan_owner *owner = &b->owners[i];
		if (owner->refused == 0)
			continue;
		auto_free char *command = adopt_command(b, owner, NULL);
		problems_note(b->problems, PROBLEM_WARNING, "",
			      "group '%s' owns %" PRIu64
			      " of these paths; to hand over all of its files: %s",
			      owner->label, owner->refused, command);
	}
}

/* What the live object and its history make of a wanted file or symlink. */
static int decide_file(struct plan_build *b, const struct target *t, const struct plan_meta *meta,
		       const char *name, struct plan_entry *e, struct error *err)
{
	struct stat st;
	struct live_object *live = &e->old;
	int r = live_look(b->dir_fd, name, live, &st);
	if (r < 0)
		return error_set(err, r, "%s: %s", t->path, strerror(-r));
	struct manifest_entry before = {0};
	int ours = manifest_find(&b->manifest, t->path, &before, err);
	if (ours < 0)
		return ours;

	e->op = t->type == 'l' ? PLAN_SYMLINK : PLAN_CREATE;
	bool way = ours && live->type == 'd' && before.type == 'd';
	if (live->type == 0) {
		if (ours && before.type != 'd')
			note_drift(b, &before, t->path, live, &st, "it will be made again");
		return 0;
	}
	/* A file where we had a directory is not the one that we installed. */
	bool mine = ours && before.type != 'd' && live->type != 'd' && live->type != 'o';
	if (!way && !mine) {
		r = foreign(b, t, live);
		if (r != 0)
			return r;
	}
	if (way) {
		e->op = PLAN_REPLACE;
		return check_giving_way(b, name, t->path, err);
	}
	r = compare(b, t, meta, name, live, &e->op, err);
	if (r < 0)
		return r;
	if (mine && e->op != PLAN_KEEP)
		note_drift(b, &before, t->path, live, &st, "it will be replaced");
	if (e->op == PLAN_KEEP) {
		e->plain = meta->access.len == 0;
		e->mtime_s = st.st_mtim.tv_sec;
		e->mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	}
	return 0;
}

/* Stays what it is, so that permissions do not concern it either. */
static int is_retained(struct plan_build *b, const struct target *t, const char *name,
		       struct live_object *ret, struct error *err)
{
	struct manifest_entry before;
	if (behaviour(b) != SPEC_RETAIN)
		return 0;
	int r = live_look(b->dir_fd, name, ret, NULL);
	if (r < 0)
		return error_set(err, r, "%s: %s", t->path, strerror(-r));
	if (ret->type == 0 || ret->type == 'd')
		return 0;
	r = manifest_find(&b->manifest, t->path, &before, err);
	return r < 0 ? r : r == 0 || before.type == 'd' || ret->type == 'o';
}

static int retain(struct plan_build *b, const struct target *t, const struct live_object *live,
		  struct error *err)
{
	struct plan_meta meta = {.mode = t->mode};
	struct plan_entry e = entry_of(t, &meta);
	e.op = PLAN_RETAIN;
	e.old = *live;
	return emit(b, &e, err);
}

static int live_file(struct plan_build *b, struct target *t, struct error *err)
{
	/* Opening the directory reads targets: keep the texts. */
	char path[PATH_MAX], source[PATH_MAX], parent[PATH_MAX];
	strcpy(path, t->path);
	strcpy(source, t->source);
	t->path = path;
	t->source = source;
	int r;
	if (!(b->nodes[t->parent].flags & NODE_LIVE)) {
		r = overlaps(b, t, err);
		return r < 0 ? r : r == 0 ? emit_inside(b, t, err) : 0;
	}
	r = open_node(b, t->parent, err);
	if (r < 0)
		return r;

	const char *name = live_split(path, parent);
	struct live_object live;
	r = is_retained(b, t, name, &live, err);
	if (r != 0)
		return r < 0 ? r : retain(b, t, &live, err);
	struct plan_meta meta;
	r = overlaps(b, t, err);
	if (r == 0)
		r = plan_meta_make(b, t, &meta, err);
	if (r == 0)
		r = plan_meta_supported(b, t, &meta, b->dir_fd, b->dir_path);
	if (r != 0)
		return r < 0 ? r : 0;
	struct plan_entry e = entry_of(t, &meta);
	r = decide_file(b, t, &meta, name, &e, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return emit(b, &e, err);
}

/* A directory of ours that is there: is its metadata as wanted? */
static int compare_dir(struct plan_build *b, const struct target *t, const struct plan_meta *meta,
		       struct plan_entry *e, struct plan_old *old, struct error *err)
{
	char parent[PATH_MAX];
	int r = plan_meta_look(b, live_split(t->path, parent), t->path, old, err);
	if (r < 0)
		return r;
	e->op = plan_meta_equal(t, meta, &e->old, old) ? PLAN_KEEP : PLAN_METADATA;
	e->mode = meta->mode;
	e->old_access = acl_of(&old->access);
	e->old_bequeath = acl_of(&old->bequeath);
	e->old_label = old->label;
	return 0;
}

static int new_dir(struct plan_build *b, uint32_t self, struct plan_entry *e, const struct stat *st,
		   struct error *err)
{
	e->op = b->nodes[self].flags & NODE_SWAP ? PLAN_REPLACE : PLAN_MKDIR;
	struct manifest_entry was;
	int r = e->op == PLAN_MKDIR ? manifest_find(&b->manifest, e->path, &was, err) : 0;
	if (r > 0)
		note_drift(b, &was, e->path, &e->old, st, "it will be made again");
	if (r < 0)
		return r;
	e->root = b->n_ops;
	e->root_len = b->nodes[self].path_len;
	r = emit(b, e, err);
	b->nodes[self].number = e->number;
	b->nodes[self].dir = 0;
	for (uint32_t i = 0; i < b->n_mounts; i++)
		if (live_mount_equal(&b->mounts[i].id, &b->dir_mount))
			b->nodes[self].dir = i; /* of a new directory: its mount */
	return r;
}

static int live_dir(struct plan_build *b, struct target *t, struct error *err)
{
	uint32_t self = t->node;
	char path[PATH_MAX], parent[PATH_MAX];
	strcpy(path, t->path);
	t->path = path;
	t->source = "";
	int r = open_node(b, t->parent, err);
	if (r < 0)
		return r;

	struct plan_meta meta;
	r = plan_meta_make(b, t, &meta, err);
	if (r == 0)
		r = plan_meta_supported(b, t, &meta, b->dir_fd, b->dir_path);
	if (r != 0)
		return r < 0 ? r : 0;
	struct plan_entry e = entry_of(t, &meta);
	struct stat st;
	r = live_look(b->dir_fd, live_split(path, parent), &e.old, &st);
	if (r < 0)
		return error_set(err, r, "%s: %s", path, strerror(-r));
	if (!(b->nodes[self].flags & NODE_LIVE))
		return new_dir(b, self, &e, &st, err);
	if (e.old.type != 'd')
		return error_set(err, ERR_CONFLICT, "%s: it changed while the plan was made", path);
	struct plan_old old;
	r = compare_dir(b, t, &meta, &e, &old, err);
	if (r < 0)
		return r;
	if (e.op == PLAN_METADATA && live_is_mount_point(b->dir_fd, live_split(path, parent))) {
		problems_add(b->problems, PROBLEM_WARNING, path,
			     "it is a mount point now; its owner, mode and ACL stay as they are");
		e.op = PLAN_KEEP;
		e.access = e.old_access;
		e.bequeath = e.old_bequeath;
	}
	e.mtime_s = st.st_mtim.tv_sec;
	e.mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	return emit(b, &e, err);
}

static int one_target(struct plan_build *b, struct target *t, struct error *err)
{
	if (t->type == 'a' || (t->type == 'd' && !(b->nodes[t->node].flags & NODE_OURS)))
		return 0;
	if (!(b->nodes[t->parent].flags & NODE_LIVE))
		return emit_inside(b, t, err);
	return t->type == 'd' ? live_dir(b, t, err) : live_file(b, t, err);
}

/* Open the parent of something that goes away. -ENOENT, -ENOTDIR, -ELOOP: it is not there. */
static int open_parent(struct plan_build *b, const char *path, struct error *err)
{
	if (b->dir_fd >= 0 && strcmp(b->dir_path, path) == 0)
		return 0;
	uint32_t node;
	int r = plan_node_parent(b, path, &node, err);
	return r < 0 ? r : open_node(b, node, err);
}

/* An entry of the old manifest that nobody wants any more. */
static int gone(struct plan_build *b, const struct manifest_entry *before, struct error *err)
{
	char path[PATH_MAX], parent[PATH_MAX];
	strcpy(path, before->path);
	struct manifest_entry was = *before;
	const char *name = live_split(path, parent);
	int r = open_parent(b, parent, err);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == -ELOOP) {
		problems_add(b->problems, PROBLEM_WARNING, path,
			     "it is not removed: a symbolic link leads to it now");
		return 0;
	}
	if (r < 0)
		return r;

	struct plan_entry e = {.path = path, .source = "", .root = PLAN_NONE};
	struct stat st;
	r = live_look(b->dir_fd, name, &e.old, &st);
	if (r < 0)
		return error_set(err, r, "%s: %s", path, strerror(-r));
	if (e.old.type == 0)
		return 0;
	bool dir = e.old.type == 'd';
	if (live_is_mount_point(b->dir_fd, name)) {
		problems_add(b->problems, PROBLEM_WARNING, path,
			     "it is not removed: it is a mount point");
		return 0;
	}
	struct live_mount id = b->dir_mount;
	if (dir && live_mount_at(b->dir_fd, name, &id) < 0)
		return error_errno(err, "%s", path);
	if (dir != (was.type == 'd') || e.old.type == 'o' ||
	    !live_mount_equal(&id, &b->dir_mount)) {
		problems_add(b->problems, PROBLEM_WARNING, path,
			     "it is not removed: something else is there now");
		return 0;
	}
	if (!dir)
		note_drift(b, &was, path, &e.old, &st, "it will be removed");
	e.op = dir ? PLAN_RMDIR : PLAN_DELETE;
	return emit(b, &e, err);
}

static int deletions(struct plan_build *b, struct error *err)
{
	for (size_t i = b->manifest.count; i-- > 0;) {
		struct manifest_entry e;
		struct target t;
		int r = manifest_at(&b->manifest, i, &e, err);
		if (r < 0)
			return r;
		r = plan_target_find(b, e.path, &t, NULL, err);
		if (r < 0)
			return r;
		if (r > 0 && !(t.type == 'd' && (b->nodes[t.node].flags & NODE_PARENT)))
			continue;
		r = gone(b, &e, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int plan_live(struct plan_build *b, struct error *err)
{
	struct target t;
	int r;
	record_rewind(&b->targets);
	while ((r = plan_target_next(b, &t, err)) > 0) {
		r = one_target(b, &t, err);
		if (r < 0)
			return r;
	}
	if (r >= 0)
		explain_overlaps(b);
	return r < 0 ? r : deletions(b, err);
}

struct overlap {
	struct plan_build *b;
	uint16_t flag;
};

static int overlap_entry(const struct manifest_entry *e, void *arg, struct error *err)
{
	struct overlap *o = arg;
	struct target t;
	uint64_t *value;
	if (e->type == 'd')
		return 0;
	int r = plan_target_find(o->b, e->path, &t, &value, err);
	if (r > 0) {
		*value = PATHSET_VALUE(*value) | (uint64_t)o->flag << PATHSET_VALUE_BITS;
		o->b->overlaps++;
	}
	return r < 0 ? r : 0;
}

static int overlap_group(struct plan_build *b, const char *group, struct error *err)
{
	auto_close int fd = openat(b->request->groups_fd, group,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return live_is_no_dir(-errno) ? 0 : error_errno(err, "open group %s", group);
	if (b->n_owners == UINT16_MAX)
		return 0;
	b->owners = xrealloc_array(b->owners, (size_t)b->n_owners + 1, sizeof(*b->owners));
	b->owners[b->n_owners++] = (struct plan_owner){.label = label_of(b, group)};
	struct overlap o = {.b = b, .flag = b->n_owners};
	static const char *const names[] = {MANIFEST, MANIFEST_NEXT};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		/* One that is being written ends nowhere yet: its group is still staging, and the
		 * lock of the install keeps the two apart. */
		struct error ignored;
		int r = manifest_stream(fd, names[i], overlap_entry, &o, i ? &ignored : err);
		if (r == ERR_FORMAT && !i)
			return error_prefix(
				err, -EIO,
				"the record of what group '%s' has installed is "
				"damaged; once host/groups/%s/manifest is moved away, its "
				"files count as nobody's",
				b->owners[o.flag - 1].label, group);
		if (r < 0 && r != -ENOENT && r != ERR_FORMAT)
			return error_prefix(err, r, "group %s", group);
	}
	return 0;
}

int plan_overlap(struct plan_build *b, struct error *err)
{
	if (b->request->groups_fd < 0 || !b->request->spec)
		return 0;
	b->label = label_of(b, b->request->group_id);
	int fd = openat(b->request->groups_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return error_errno(err, "open the folder of groups");
	const struct dirent *d;
	while ((errno = 0, d = readdir(dir))) {
		if (d->d_name[0] == '.' || str_eq(d->d_name, b->request->group_id))
			continue;
		int r = overlap_group(b, d->d_name, err);
		if (r < 0)
			return r;
	}
	return errno ? error_errno(err, "read the folder of groups") : 0;
}
