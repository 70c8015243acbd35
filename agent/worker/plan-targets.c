// SPDX-License-Identifier: Apache-2.0
/* What is wanted. Entries are walked in order; every directory on the way to a destination becomes
 * a node, found on the host component by component, so that symlinks on the host are resolved once
 * and two spellings of one place meet in one target. A symlink that this group installed itself is
 * no way to anywhere: it is an object of ours. */
#include "agent/worker/plan-build.h"
#include "agent/worker/way.h"

#include "common/alloc.h"
#include "common/fs.h"

#include <assert.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>

#define DEPTH_MAX 257

static void target_put(struct record_out *out, const struct target *t)
{
	record_start(out, (uint8_t)t->type);
	record_put_u8(out, t->implicit);
	record_put_u32(out, t->node);
	record_put_u32(out, t->parent);
	record_put_u32(out, t->mode);
	record_put_u32(out, t->uid);
	record_put_u32(out, t->gid);
	record_put_u64(out, t->size);
	record_put_u64(out, (uint64_t)t->mtime_s);
	record_put_u32(out, t->mtime_ns);
	record_put_u64(out, t->from.ino);
	record_put_u64(out, (uint64_t)t->from.ctime_s);
	record_put_u32(out, t->from.ctime_ns);
	record_put_text(out, t->path);
	record_put_text(out, t->source);
}

static int target_get(struct record *rec, struct target *t, struct error *err)
{
	t->type = (char)rec->type;
	t->implicit = record_u8(rec) != 0;
	t->node = record_u32(rec);
	t->parent = record_u32(rec);
	t->mode = record_u32(rec);
	t->uid = record_u32(rec);
	t->gid = record_u32(rec);
	t->size = record_u64(rec);
	t->mtime_s = (int64_t)record_u64(rec);
	t->mtime_ns = record_u32(rec);
	t->from.ino = record_u64(rec);
	t->from.ctime_s = (int64_t)record_u64(rec);
	t->from.ctime_ns = record_u32(rec);
	t->path = record_text(rec);
	t->source = record_text(rec);
	return record_check(rec, "a target", err);
}

static int target_at(struct plan_build *b, uint64_t offset, struct target *t, struct error *err)
{
	struct record rec;
	int r = record_at(&b->targets, offset, &rec, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_FORMAT, "the list of targets changed while it was read");
	return target_get(&rec, t, err);
}

int plan_target_next(struct plan_build *b, struct target *ret, struct error *err)
{
	struct record rec;
	int r = record_next(&b->targets, &rec, err);
	if (r <= 0)
		return r;
	r = target_get(&rec, ret, err);
	return r < 0 ? r : 1;
}

static const char *path_of(uint64_t value, void *arg, struct error *err)
{
	struct target t;
	return target_at(arg, PATHSET_VALUE(value), &t, err) < 0 ? NULL : t.path;
}

int plan_target_find(struct plan_build *b, const char *path, struct target *ret,
		     uint64_t **ret_value, struct error *err)
{
	uint64_t *value;
	int r = pathset_find(&b->paths, path, path_of, b, &value, err);
	if (r <= 0)
		return r;
	if (ret_value)
		*ret_value = value;
	r = target_at(b, PATHSET_VALUE(*value), ret, err);
	return r < 0 ? r : 1;
}

static int target_add(struct plan_build *b, const struct target *t, bool indexed,
		      uint64_t *ret_offset, struct error *err)
{
	uint64_t offset = 0;
	target_put(&b->out, t);
	int r = record_append(&b->targets, &b->out, &offset, err);
	if (r < 0)
		return r;
	if (ret_offset)
		*ret_offset = offset;
	return !indexed ? 0 : pathset_add(&b->paths, t->path, offset, err);
}

int plan_node_path(struct plan_build *b, uint32_t node, char *path, struct error *err)
{
	struct target t;
	int r = target_at(b, b->nodes[node].record, &t, err);
	if (r == 0)
		strcpy(path, t.path);
	return r;
}

/* parent + "/" + name. Returns 0 or -ENAMETOOLONG. */
static int join(char out[PATH_MAX], const char *parent, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", parent[1] ? parent : "", name);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int node_new(struct plan_build *b, struct target *t, const struct plan_node *proto,
		    bool indexed, uint32_t *ret, struct error *err)
{
	if (b->n_nodes == b->room_nodes) {
		uint32_t room = b->room_nodes ? b->room_nodes * 2 : 64;
		struct plan_node *nodes = reallocarray(b->nodes, room, sizeof(*nodes));
		if (!nodes)
			return error_set(err, -ENOMEM, "no memory for %u directories", room);
		b->nodes = nodes;
		b->room_nodes = room;
	}
	uint32_t node = b->n_nodes++;
	b->nodes[node] = *proto;
	b->nodes[node].path_len = (uint16_t)strlen(t->path);
	if (!(proto->flags & NODE_LIVE) && proto->root == NO_NODE)
		b->nodes[node].root = node;
	t->type = 'd';
	t->node = node;
	*ret = node;
	uint64_t offset = 0;
	int r = target_add(b, t, indexed, &offset, err);
	b->nodes[node].record = offset;
	return r;
}

static int node_root(struct plan_build *b, struct error *err)
{
	struct target t = {.path = "/", .source = "", .parent = NO_NODE, .implicit = true};
	struct plan_node proto = {
		.flags = NODE_LIVE, .root = NO_NODE, .number = PLAN_NONE, .dir = PLAN_NONE};
	uint32_t node;
	return node_new(b, &t, &proto, true, &node, err);
}

/* 'f' 'd' 'l' when the previous install put it there, else 0. */
static int ours(struct plan_build *b, const char *path, char *ret, struct error *err)
{
	struct manifest_entry e;
	int r = manifest_find(&b->manifest, path, &e, err);
	*ret = r > 0 ? e.type : 0;
	return r < 0 ? r : 0;
}

static int dir_child(struct plan_build *b, uint32_t parent, const char *name,
		     const struct target *want, uint32_t *ret, struct error *err);

/* The node of a canonical path. */
static int dir_resolve(struct plan_build *b, const char *path, const struct target *want,
		       uint32_t *ret, struct error *err)
{
	char copy[PATH_MAX];
	if (strlen(path) >= sizeof(copy)) {
		problems_add(b->problems, PROBLEM_ERROR, path, "the path is too long");
		return PLAN_SKIP;
	}
	strcpy(copy, path);

	uint32_t node = 0;
	char *rest, *next = strtok_r(copy, "/", &rest);
	while (next) {
		char *name = next;
		next = strtok_r(NULL, "/", &rest);
		int r = dir_child(b, node, name, next ? NULL : want, &node, err);
		if (r != 0)
			return r;
	}
	*ret = node;
	return 0;
}

/* A symlink on the host that is not ours stands where a directory is wanted. */
static int dir_alias(struct plan_build *b, uint32_t parent, const char *path,
		     const struct target *want, uint32_t *ret, struct error *err)
{
	char real[PATH_MAX];
	struct error why = {0};
	int r = way_follow(path, real, &why);
	if (r == -EPERM) {
		problems_add(b->problems, PROBLEM_ERROR, path,
			     "a directory is needed here, but %s; name that directory as the "
			     "destination, or let root own the directory that the link lies in",
			     why.text);
		return PLAN_SKIP;
	}
	if (r < 0) {
		problems_add(b->problems, PROBLEM_ERROR, path,
			     "a directory is needed here, but it is a symbolic link that leads to "
			     "none; remove it");
		return PLAN_SKIP;
	}
	r = dir_resolve(b, real, want, ret, err);
	if (r != 0)
		return r;
	struct target t = {.type = 'a', .path = path, .source = "", .node = *ret, .parent = parent};
	return target_add(b, &t, true, NULL, err);
}

/* What is made in a directory of ours inherits what the directory itself did: as if the whole were
 * installed anew, permissions come last. */
static int node_inherit(struct plan_build *b, uint32_t parent, const char *path,
			const struct stat *st, struct plan_node *proto, struct error *err)
{
	const struct plan_node *above = &b->nodes[parent];
	if (proto->flags & NODE_OURS) {
		proto->flags |= above->flags & NODE_SGID;
		proto->gid = above->gid;
		proto->heir = above->heir;
		return 0;
	}
	if (st->st_mode & S_ISGID) {
		proto->flags |= NODE_SGID;
		proto->gid = st->st_gid;
	}
	struct acl_room acl;
	int r = acl_get_path(path, ACL_TO_BEQUEATH, &acl);
	if (r < 0)
		return error_set(err, r, "%s: read its default ACL: %s", path, strerror(-r));
	return plan_heir_add(b, &acl, &proto->heir, err);
}

/* Owner and group as they can be: without root everything is ours. */
static void set_owner(const struct plan_build *b, uint32_t parent, const struct stat *st,
		      struct target *t)
{
	const struct plan_node *above = &b->nodes[parent];
	t->uid = b->root ? st->st_uid : geteuid();
	t->gid = b->root ? st->st_gid : getegid();
	if (!(above->flags & NODE_SGID))
		return;
	gid_t groups[64];
	int n = b->root ? 0 : getgroups(64, groups);
	bool member = b->root || above->gid == getegid();
	for (int i = 0; i < n; i++)
		member |= groups[i] == above->gid;
	if (member)
		t->gid = above->gid;
}

static struct target from_stat(const struct stat *st)
{
	return (struct target){.type = live_type(st->st_mode),
			       .mode = st->st_mode & 07777,
			       .size = (uint64_t)st->st_size,
			       .mtime_s = st->st_mtim.tv_sec,
			       .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
			       .from = {.ino = st->st_ino,
					.ctime_s = st->st_ctim.tv_sec,
					.ctime_ns = (uint32_t)st->st_ctim.tv_nsec}};
}

static struct target dir_wanted(const struct plan_build *b, uint32_t parent, const struct stat *st)
{
	struct target want = from_stat(st);
	set_owner(b, parent, st, &want);
	if (b->nodes[parent].flags & NODE_SGID)
		want.mode |= S_ISGID;
	return want;
}

/* A directory that is only on the way to a destination. */
static struct target dir_implicit(const struct plan_build *b, uint32_t parent)
{
	struct stat st = {.st_mode = S_IFDIR | 0755, .st_uid = geteuid(), .st_gid = getegid()};
	struct target t = dir_wanted(b, parent, &st);
	t.implicit = true;
	return t;
}

/* A directory that no entry named before: look at what is there. */
static int dir_new(struct plan_build *b, uint32_t parent, const char *path,
		   const struct target *want, uint32_t *ret, struct error *err)
{
	const struct plan_node *above = &b->nodes[parent];
	struct stat st = {0};
	bool there = (above->flags & NODE_LIVE) && lstat(path, &st) == 0;
	if (!there && (above->flags & NODE_LIVE) && errno != ENOENT) {
		problems_add(b->problems, PROBLEM_ERROR, path, "cannot be looked at: %s",
			     strerror(errno));
		return PLAN_SKIP;
	}
	char own;
	int r = ours(b, path, &own, err);
	if (r < 0)
		return r;
	if (there && S_ISLNK(st.st_mode) && own != 'l' && own != 'f')
		return dir_alias(b, parent, path, want, ret, err);
	if (there && !S_ISDIR(st.st_mode) && own != 'l' && own != 'f') {
		problems_add(b->problems, PROBLEM_ERROR, path,
			     "a directory is needed here, but it is a file that this group did not "
			     "install; move it away");
		return PLAN_SKIP;
	}

	struct plan_node proto = {.root = NO_NODE, .number = PLAN_NONE, .dir = PLAN_NONE};
	if (there && S_ISDIR(st.st_mode))
		proto.flags = NODE_LIVE | (own == 'd' ? NODE_OURS : 0);
	else
		proto.flags = NODE_OURS | (there ? NODE_SWAP : 0);
	if (!(above->flags & NODE_LIVE))
		proto.root = above->root;
	r = node_inherit(b, parent, path, &st, &proto, err);
	if (r < 0)
		return r;

	struct target t = want ? *want : dir_implicit(b, parent);
	t.path = path;
	t.source = "";
	t.parent = parent;
	return node_new(b, &t, &proto, true, ret, err);
}

/* An entry names a directory that was only on the way to another until now. */
static int dir_explicit(struct plan_build *b, struct target *t, const struct target *want,
			struct error *err)
{
	t->implicit = false;
	t->mode = want->mode;
	t->uid = want->uid;
	t->gid = want->gid;
	target_put(&b->out, t);
	return record_patch(&b->targets, b->nodes[t->node].record, &b->out, err);
}

/* The directory name in parent; want: its metadata when an entry names it, NULL when it is on the
 * way. */
static int dir_child(struct plan_build *b, uint32_t parent, const char *name,
		     const struct target *want, uint32_t *ret, struct error *err)
{
	char above[PATH_MAX], path[PATH_MAX];
	int r = plan_node_path(b, parent, above, err);
	if (r < 0)
		return r;
	if (join(path, above, name) < 0) {
		problems_add(b->problems, PROBLEM_ERROR, above, "a path in it is too long");
		return PLAN_SKIP;
	}

	struct target t;
	r = plan_target_find(b, path, &t, NULL, err);
	if (r < 0)
		return r;
	if (r == 0)
		return dir_new(b, parent, path, want, ret, err);
	if (t.type != 'd' && t.type != 'a') {
		problems_add(b->problems, PROBLEM_ERROR, path,
			     "two entries clash: '%s' is a file here, and a directory is needed "
			     "too",
			     t.source);
		return PLAN_SKIP;
	}
	*ret = t.node;
	return t.type == 'd' && want && t.implicit ? dir_explicit(b, &t, want, err) : 0;
}

int plan_node_parent(struct plan_build *b, const char *path, uint32_t *ret, struct error *err)
{
	struct target t;
	int r = plan_target_find(b, path, &t, NULL, err);
	if (r < 0)
		return r;
	if (r > 0 && t.type == 'a')
		return -ELOOP;
	if (r > 0 && t.type == 'd') {
		*ret = t.node;
		return b->nodes[t.node].flags & NODE_LIVE ? 0 : -ENOENT;
	}
	/* A file may take the place of this very directory: then the path is in the index already
	 * and the node is made beside it. */
	bool taken = r > 0;
	t = (struct target){.path = path, .source = "", .parent = NO_NODE, .implicit = true};
	struct plan_node proto = {.flags = NODE_LIVE | NODE_PARENT,
				  .root = NO_NODE,
				  .number = PLAN_NONE,
				  .dir = PLAN_NONE};
	return node_new(b, &t, &proto, !taken, ret, err);
}

/* One more component of a path that is not a target itself. */
static int canonical_step(struct plan_build *b, char *at, const char *name, struct error *err)
{
	char path[PATH_MAX], real[PATH_MAX];
	if (join(path, at, name) < 0)
		return error_set(err, -ENAMETOOLONG, "%s/%s", at, name);
	struct target t;
	int r = plan_target_find(b, path, &t, NULL, err);
	if (r < 0)
		return r;
	if (r > 0 && t.type == 'a')
		return plan_node_path(b, t.node, at, err);

	struct stat st;
	char own;
	int o = ours(b, path, &own, err);
	if (o < 0)
		return o;
	if (r == 0 && !own && lstat(path, &st) == 0 && S_ISLNK(st.st_mode) &&
	    realpath(path, real) && stat(real, &st) == 0 && S_ISDIR(st.st_mode))
		strcpy(at, real);
	else
		strcpy(at, path);
	return 0;
}

int plan_canonical(struct plan_build *b, const char *path, char *out, struct error *err)
{
	auto_free char *copy = xstrdup(path);
	char *rest;
	strcpy(out, "/");
	for (char *name = strtok_r(copy, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
		int r = canonical_step(b, out, name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int file_add(struct plan_build *b, uint32_t parent, const char *name, const char *source,
		    const struct stat *st, struct error *err)
{
	char above[PATH_MAX], path[PATH_MAX];
	int r = plan_node_path(b, parent, above, err);
	if (r < 0)
		return r;
	if (join(path, above, name) < 0) {
		problems_add(b->problems, PROBLEM_ERROR, above, "a path in it is too long");
		return 0;
	}
	struct target there, t = from_stat(st);
	if (t.type == 'o') {
		problems_add(b->problems, PROBLEM_ERROR, source,
			     "only files, directories and symbolic links can be installed");
		return 0;
	}
	if (t.type == 'f' && (t.mode & 06000) && !b->request->allow_setid) {
		problems_add(b->problems, PROBLEM_ERROR, source,
			     "it has set-id bits; allow them with allow_setid, or set them by "
			     "permissions");
		return 0;
	}
	r = plan_target_find(b, path, &there, NULL, err);
	if (r < 0)
		return r;
	if (r > 0) {
		bool dir = there.type == 'd' || there.type == 'a';
		problems_add(b->problems, PROBLEM_ERROR, path,
			     "two entries want this path: '%s' and '%s'",
			     dir ? "a directory" : there.source, source);
		return 0;
	}
	set_owner(b, parent, st, &t);
	t.parent = parent;
	t.node = NO_NODE;
	t.path = path;
	t.source = source;
	return target_add(b, &t, true, NULL, err);
}

struct walk {
	struct plan_build *b;
	const char *source; /* of the entry */
	uint32_t nodes[DEPTH_MAX];
};

static int walk_entry(const struct fs_entry *entry, void *arg, struct error *err)
{
	struct walk *w = arg;
	unsigned depth = 0;
	for (const char *p = entry->path; *p; p++)
		depth += *p == '/';
	if (depth + 1 >= DEPTH_MAX)
		return error_set(err, ERR_LIMIT, "%s: too deep", entry->path);

	if (S_ISDIR(entry->st.st_mode)) {
		struct target want = dir_wanted(w->b, w->nodes[depth], &entry->st);
		int r = dir_child(w->b, w->nodes[depth], entry->name, &want, &w->nodes[depth + 1],
				  err);
		return r == PLAN_SKIP ? FS_WALK_SKIP : r;
	}
	char source[PATH_MAX];
	int n = snprintf(source, sizeof(source), "%s%s%s", w->source, w->source[0] ? "/" : "",
			 entry->path);
	if (n >= (int)sizeof(source))
		return error_set(err, -ENAMETOOLONG, "%s/%s", w->source, entry->path);
	return file_add(w->b, w->nodes[depth], entry->name, source, &entry->st, err);
}

/* The metadata of a destination is that of its source directory. The whole revision's own folder is
 * the agent's making and says nothing. */
static int destination(struct plan_build *b, const struct spec_file *file, const struct stat *st,
		       uint32_t *ret, struct error *err)
{
	auto_free char *joined = fs_join(b->destination_root, file->destination);
	auto_free char *path = NULL;
	int r = fs_normalise(b->destination_root[0] ? joined : file->destination, &path);
	if (r < 0)
		return error_set(err, ERR_INPUT, "%s: not an absolute path", file->destination);

	/* What the destination inherits is known once its parent is: two steps. */
	struct target want = {0};
	bool named = st && S_ISDIR(st->st_mode) && file->source[0] && path[1];
	if (named) {
		char parent[PATH_MAX];
		uint32_t above;
		if (strlen(path) < PATH_MAX) {
			live_split(path, parent);
			r = dir_resolve(b, parent, NULL, &above, err);
			if (r != 0)
				return r;
			want = dir_wanted(b, above, st);
		}
	}
	r = dir_resolve(b, path, named ? &want : NULL, ret, err);
	if (r != 0)
		return r;
	b->destinations[b->n_destinations++] = *ret;
	return 0;
}

static int entry_make(struct plan_build *b, const struct spec_file *file, struct error *err)
{
	const char *source = file->source[0] ? file->source : ".";
	auto_close int fd = fs_open_beneath(b->request->archive_fd, source, O_PATH | O_NOFOLLOW, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		problems_add(b->problems, PROBLEM_ERROR, file->source,
			     "the source of line %u is not in the revision (%s)", file->line,
			     strerror(fd < 0 ? -fd : errno));
		return 0;
	}

	struct walk w = {.b = b, .source = file->source};
	int r = destination(b, file, &st, &w.nodes[0], err);
	if (r != 0)
		return r == PLAN_SKIP ? 0 : r;
	if (!S_ISDIR(st.st_mode)) {
		const char *slash = strrchr(file->source, '/');
		return file_add(b, w.nodes[0], slash ? slash + 1 : file->source, file->source, &st,
				err);
	}
	auto_close int dirfd =
		fs_open_beneath(b->request->archive_fd, source, O_RDONLY | O_DIRECTORY, 0);
	if (dirfd < 0)
		return error_set(err, dirfd, "%s: %s", file->source, strerror(-dirfd));
	return fs_walk(dirfd, FS_WALK_SORTED, walk_entry, &w, err);
}

/* Nobody else shall see it, and it shall not outlive us: unlinked at once. */
static int targets_create(struct plan_build *b, struct error *err)
{
	int fd = openat(b->request->group_fd, "plan.targets",
			O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, "create the list of targets");
	fs_unlink_quiet(b->request->group_fd, "plan.targets");
	int r = record_create(&b->targets, fd, RECORD_PLAN, err);
	b->targets.unchecked = true;
	return r;
}

int plan_targets_make(struct plan_build *b, struct error *err)
{
	int r = targets_create(b, err);
	if (r < 0)
		return r;
	r = node_root(b, err);
	if (r < 0 || !b->request->spec)
		return r;
	const struct spec *spec = b->request->spec;
	b->destinations = xcalloc(spec->n_files, sizeof(*b->destinations));
	for (size_t i = 0; i < spec->n_files && r >= 0; i++)
		r = entry_make(b, &spec->files[i], err);
	return r;
}
