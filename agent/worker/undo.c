// SPDX-License-Identifier: Apache-2.0
/* Operations backward: the old tree comes back, whatever scripts did meanwhile. What they made
 * themselves stays where that is possible and is reported; where the old tree needs the name, it
 * moves aside. Like forward, each operation is judged by names, and repeatable. */
#include "agent/worker/fault.h"
#include "agent/worker/txn.h"
#include "agent/worker/way.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define KEPT ".kept-"
#define NAME_BYTES_MAX 255

static int failed(const struct txn_site *s, struct error *err)
{
	return txn_failed("put back", s->path, err);
}

static int look(int dirfd, const char *name, const struct txn_site *s, struct live_object *ret,
		struct error *err)
{
	int r = live_look(dirfd, name, ret, NULL);
	return r < 0 ? error_set(err, r, "look at %s: %s", s->path, strerror(-r)) : 0;
}

static void report(struct txn *t, const char *path)
{
	if (t->kept)
		t->kept(path, t->kept_arg);
}

/* The old object needs this name: what is there gets another one beside it. */
static int move_aside(struct txn *t, struct txn_site *s, int from_fd, const char *from,
		      struct error *err)
{
	if (t->cautious)
		return error_set(err, ERR_UNDO, "%s: something is in its way", s->path);
	int room = NAME_BYTES_MAX - (int)strlen(KEPT) - JOURNAL_TXID_LEN;
	char number[sizeof("-ffffffff")] = "";
	if (strlen(s->name) > (size_t)room) /* others may be cut to the same name */
		room -= snprintf(number, sizeof(number), "-%x", s->op.number);
	auto_free char *name =
		xasprintf("%.*s" KEPT "%s%s", room, s->name, t->journal->txid, number);
	if (renameat2(from_fd, from, s->dir_fd, name, RENAME_NOREPLACE) < 0)
		return txn_failed("move aside", s->path, err);
	FAULT("undo: moved aside");
	auto_free char *path = xasprintf("%.*s%s", (int)(s->name - s->path), s->path, name);
	report(t, path);
	return 0;
}

/* Rename the old object over whatever has its name now. */
static int old_to_name(struct txn *t, struct txn_site *s, struct error *err)
{
	struct live_object name;
	int r = txn_site_open(t, s, OPEN_AGAIN, err);
	if (r >= 0)
		r = look(s->dir_fd, s->name, s, &name, err);
	if (r >= 0 && name.type == 'd')
		r = move_aside(t, s, s->dir_fd, s->name, err);
	if (r < 0)
		return r;
	if (renameat(s->stage_fd, s->old_name, s->dir_fd, s->name) < 0)
		return failed(s, err);
	FAULT("undo: old put back");
	return 0;
}

static int back_put(struct txn *t, struct txn_site *s, struct error *err)
{
	struct live_object new, old, name;
	int r = look(s->stage_fd, s->new_name, s, &new, err);
	if (r >= 0)
		r = look(s->stage_fd, s->old_name, s, &old, err);
	if (r < 0 || new.type != 0)
		return r;
	if (old.type != 0)
		return old_to_name(t, s, err);
	r = txn_site_open(t, s, OPEN_AGAIN, err);
	if (r >= 0)
		r = look(s->dir_fd, s->name, s, &name, err);
	if (r < 0)
		return r;
	return name.ino == s->op.old.ino
		       ? 0
		       : error_set(err, ERR_UNDO, "%s: the old file is lost", s->path);
}

/* Is its directory out of reach, although it may be there: something else has its name, or one
 * cannot tell? */
static bool is_barred(const struct txn_site *s, int r)
{
	return r != ERR_CONFLICT || s->dir_error == -ELOOP || s->dir_error == -ESTALE;
}

static int back_create(struct txn *t, struct txn_site *s, struct error *err)
{
	struct live_object new, name;
	int r = look(s->stage_fd, s->new_name, s, &new, err);
	if (r < 0 || new.type != 0 || s->op.type == 'd') /* see remove_subtrees() */
		return r;
	r = txn_site_open(t, s, OPEN_PRESENT, err);
	if (r < 0)
		return is_barred(s, r) ? r : 0; /* gone with its directory */
	r = look(s->dir_fd, s->name, s, &name, err);
	if (r < 0 || name.type == 0)
		return r;
	if (name.type == 'd') {
		report(t, s->path);
		return 0;
	}
	if (renameat2(s->dir_fd, s->name, s->stage_fd, s->new_name, RENAME_NOREPLACE) < 0)
		return failed(s, err);
	FAULT("undo: new taken away");
	return 0;
}

static int back_delete(struct txn *t, struct txn_site *s, struct error *err)
{
	struct live_object old;
	int r = look(s->stage_fd, s->old_name, s, &old, err);
	return r < 0 || old.type == 0 ? r : old_to_name(t, s, err);
}

/* The old directory comes back, and what is there moves aside. */
static int old_dir_to_name(struct txn *t, struct txn_site *s, struct error *err)
{
	int r = move_aside(t, s, s->dir_fd, s->name, err);
	if (r < 0)
		return r;
	if (renameat(s->stage_fd, s->old_name, s->dir_fd, s->name) < 0)
		return failed(s, err);
	FAULT("undo: directory put back");
	return 0;
}

/* Someone made the directory anew and filled it: it stays, with the old owner, mode and ACLs;
 * unless it may be another's that was put there to be given away. */
static int dir_as_before(struct txn *t, struct txn_site *s, struct error *err)
{
	if (t->cautious)
		return error_set(err, ERR_UNDO, "%s: something is in its way", s->path);
	auto_close int fd = fs_open_beneath(s->dir_fd, s->name, O_RDONLY | O_DIRECTORY, 0);
	const struct live_object *old = &s->op.old;
	uint32_t mount = t->journal->dirs[s->op.dir].mount;
	if (fd >= 0 && way_is_open_to_others(s->dir_fd, fd, &t->journal->mounts[mount].stage))
		return old_dir_to_name(t, s, err);
	struct acl_room access, bequeath;
	struct txn_meta meta = {.uid = old->uid, .gid = old->gid, .mode = old->mode, .label = ""};
	meta.has_acl = acl_get_at(s->stage_fd, s->old_name, ACL_OF_OBJECT, &access) == 0 &&
		       acl_get_at(s->stage_fd, s->old_name, ACL_TO_BEQUEATH, &bequeath) == 0;
	meta.access = acl_of(&access);
	meta.bequeath = acl_of(&bequeath);
	int r = fd < 0 ? fd : txn_meta_set(fd, &meta);
	if (r < 0)
		return error_set(err, r, "put back %s: %s", s->path, strerror(-r));
	FAULT("undo: directory as before");
	if (unlinkat(s->stage_fd, s->old_name, AT_REMOVEDIR) < 0)
		return failed(s, err);
	FAULT("undo: old directory dropped");
	return 0;
}

/* What stands for the old directory takes its place, unless that one is still there. */
static int back_stand_in(struct txn *t, struct txn_site *s, const struct live_object *name,
			 struct error *err)
{
	if (name->type == 'd' && name->ino == s->op.old.ino)
		return stand_in_drop(s, err);
	bool file = name->type != 0 && name->type != 'd', swap = s->op.kind == JOURNAL_EXCHANGE;
	if (file && !swap) {
		int r = move_aside(t, s, s->dir_fd, s->name, err);
		if (r < 0)
			return r;
	}
	unsigned how = file && swap ? RENAME_EXCHANGE : 0;
	if (renameat2(s->stage_fd, s->old_name, s->dir_fd, s->name, how) == 0) {
		FAULT("undo: directory put back");
		return 0;
	}
	return errno == ENOTEMPTY || errno == EEXIST ? dir_as_before(t, s, err) : failed(s, err);
}

static int back_rmdir(struct txn *t, struct txn_site *s, struct error *err)
{
	struct live_object old, name;
	int r = look(s->stage_fd, s->old_name, s, &old, err);
	if (r < 0 || old.type == 0)
		return r;
	r = txn_site_open(t, s, OPEN_AGAIN, err);
	if (r >= 0)
		r = look(s->dir_fd, s->name, s, &name, err);
	if (r >= 0 && stand_in_is(s, &old))
		return back_stand_in(t, s, &name, err);
	if (r >= 0 && name.type != 0 && name.type != 'd')
		r = move_aside(t, s, s->dir_fd, s->name, err);
	if (r < 0)
		return r;
	if (renameat(s->stage_fd, s->old_name, s->dir_fd, s->name) == 0) {
		FAULT("undo: directory put back");
		return 0;
	}
	return errno == ENOTEMPTY || errno == EEXIST ? dir_as_before(t, s, err) : failed(s, err);
}

static int is_empty(const struct txn_site *s, struct error *err)
{
	auto_close int fd = fs_open_beneath(s->dir_fd, s->name, O_RDONLY | O_DIRECTORY, 0);
	int r = fd < 0 ? fd : txn_dir_is_empty(fd);
	return r < 0 ? error_set(err, r, "look into %s: %s", s->path, strerror(-r)) : r;
}

static int back_exchange(struct txn *t, struct txn_site *s, struct error *err)
{
	struct live_object new, old, name;
	int r = look(s->stage_fd, s->new_name, s, &new, err);
	if (r >= 0)
		r = look(s->stage_fd, s->old_name, s, &old, err);
	/* Never exchanged; or what stood for the directory has been exchanged back. */
	if (r >= 0 && old.type != 'd' && (old.type != 0 || new.ino == s->op.new_ino))
		return 0;
	if (r >= 0)
		r = txn_site_open(t, s, OPEN_AGAIN, err);
	if (r >= 0)
		r = look(s->dir_fd, s->name, s, &name, err);
	if (r >= 0 && stand_in_is(s, &old))
		return back_stand_in(t, s, &name, err);
	if (r < 0 || (name.type == s->op.old.type && name.ino == s->op.old.ino))
		return r;
	if (new.type != s->op.old.type || new.ino != s->op.old.ino)
		return error_set(err, ERR_UNDO, "%s: the old object is lost", s->path);

	int empty = name.type == 'd' ? is_empty(s, err) : 1;
	if (empty < 0)
		return empty;
	if (empty == 0) {
		r = move_aside(t, s, s->dir_fd, s->name, err);
		if (r < 0)
			return r;
		name.type = 0;
	}
	unsigned how = name.type == 0 ? RENAME_NOREPLACE : RENAME_EXCHANGE;
	if (renameat2(s->stage_fd, s->new_name, s->dir_fd, s->name, how) < 0)
		return failed(s, err);
	FAULT("undo: exchanged back");
	return 0;
}

static int back_meta(struct txn *t, struct txn_site *s, struct error *err)
{
	const struct live_object *old = &s->op.old;
	struct journal_dir was = {.ino = old->ino,
				  .mount = t->journal->dirs[s->op.dir].mount,
				  .mode = old->mode,
				  .uid = old->uid,
				  .gid = old->gid};
	auto_close int fd = txn_dir_open(t, &was, s->path, OPEN_AGAIN);
	if (fd < 0)
		return txn_dir_failed(fd, s->path, err);
	struct txn_meta meta = {old->uid,
				old->gid,
				old->mode,
				s->op.has_acl,
				s->op.old_access,
				s->op.old_bequeath,
				s->op.label[0] ? s->op.old_label : ""};
	return txn_meta_set(fd, &meta) < 0 ? failed(s, err) : 0;
}

typedef int backward_fn(struct txn *t, struct txn_site *s, struct error *err);
static backward_fn *const backward[JOURNAL_KIND_END] = {
	[JOURNAL_PUT] = back_put,           [JOURNAL_CREATE] = back_create,
	[JOURNAL_DELETE] = back_delete,     [JOURNAL_RMDIR] = back_rmdir,
	[JOURNAL_EXCHANGE] = back_exchange, [JOURNAL_META] = back_meta,
};

/* Removing what the new revision made as one subtree. */
struct subtrees {
	struct txn *t;
	struct manifest next;
	uint32_t *done; /* indices of the operations whose subtree is in place; by number */
	uint32_t n_done;
	char dir_path[PATH_MAX]; /* the open one */
	int dir_fd;
	struct txn_site root; /* found last */
	bool found;
};

static void subtrees_clear(struct subtrees *st)
{
	manifest_clear(&st->next);
	free(st->done);
	fs_close_quiet(st->dir_fd);
	free(st);
}
DEFINE_CLEANUP(struct subtrees *, subtrees_clear)

/* Returns 1, 0, or below 0 when that cannot be told. */
static int in_place(struct txn *t, struct txn_site *s, struct error *err)
{
	struct live_object new, name;
	if (s->op.type != 'd')
		return 0;
	int r = look(s->stage_fd, s->new_name, s, &new, err);
	if (r < 0 || s->op.kind == JOURNAL_CREATE)
		return r < 0 ? r : new.type == 0;
	if (s->op.kind != JOURNAL_EXCHANGE || new.type != s->op.old.type ||
	    new.ino != s->op.old.ino)
		return 0;
	r = txn_site_open(t, s, OPEN_PRESENT, err);
	if (r < 0)
		return is_barred(s, r) ? r : 0;
	r = look(s->dir_fd, s->name, s, &name, err);
	return r < 0 ? r : name.type == 'd';
}

static int find_in_place(struct subtrees *st, struct error *err)
{
	struct txn *t = st->t;
	st->done = calloc((size_t)t->journal->n_ops + 1, sizeof(*st->done));
	if (!st->done)
		return error_set(err, -ENOMEM, "no memory for %u operations", t->journal->n_ops);
	for (uint32_t i = 0; i < t->journal->n_ops; i++) {
		struct txn_site s;
		int r = txn_site(t, i, &s, err);
		if (r < 0)
			return r;
		if (r > 0)
			r = in_place(t, &s, err);
		if (r < 0)
			return r;
		if (r > 0)
			st->done[st->n_done++] = i;
	}
	return 0;
}

/* The operation whose subtree an entry of the manifest belongs to. Returns 1, 0 or below 0. */
static int find_root(struct subtrees *st, uint32_t number, const struct txn_site **ret,
		     struct error *err)
{
	*ret = &st->root;
	uint32_t low = 0, high = st->n_done;
	if (st->found && st->root.op.number == number)
		return 1;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int r = txn_site(st->t, st->done[mid], &st->root, err);
		if (r < 0)
			return r;
		st->found = st->root.op.number == number;
		if (st->found)
			return 1;
		if (st->root.op.number < number)
			low = mid + 1;
		else
			high = mid;
	}
	st->found = false;
	return 0;
}

/* The inode that the directory of an entry had: that of its operation, or one of the subtree. */
static uint64_t entry_dir_ino(struct subtrees *st, const struct txn_site *root, const char *path)
{
	struct manifest_entry e;
	struct error ignored;
	size_t len = strlen(path);
	bool above = strncmp(path, root->path, len) == 0 && root->path[len] == '/';
	if (above)
		return st->t->journal->dirs[root->op.dir].ino;
	return manifest_find(&st->next, path, &e, &ignored) > 0 ? e.ino : 0;
}

/* The directory of an entry, on the mount where it was made. Returns the descriptor, -ENOENT when
 * it is not there, or another error: -ELOOP and -ESTALE when something else has its name. */
static int entry_dir(struct subtrees *st, const struct txn_site *root, const char *path)
{
	if (st->dir_fd >= 0 && strcmp(path, st->dir_path) == 0)
		return st->dir_fd;
	fs_close_quiet(st->dir_fd);
	st->dir_fd = -1;
	uint32_t mount = st->t->journal->dirs[root->op.dir].mount;
	struct journal_dir was = {.ino = entry_dir_ino(st, root, path), .mount = mount};
	auto_close int fd = txn_dir_open(st->t, &was, path, OPEN_PRESENT);
	struct error err;
	struct live_mount id;
	int r = fd < 0 ? fd : live_mount(fd, &id, &err);
	if (r < 0)
		return r == -ENOTDIR ? -ENOENT : r;
	if (!live_mount_equal(&id, &st->t->mounts[mount].id))
		return -ENOENT;
	strcpy(st->dir_path, path);
	st->dir_fd = TAKE_FD(fd);
	return st->dir_fd;
}

/* What is left in a directory of ours is not ours. (Where an old file needs the place, it all moves
 * aside and is reported there.) */
static void report_content(struct subtrees *st, int dirfd, const char *name, const char *path)
{
	if (st->root.op.kind == JOURNAL_EXCHANGE)
		return;
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;
	while (dir && (d = readdir(dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		struct manifest_entry e;
		struct error ignored;
		auto_free char *child = fs_join(path, d->d_name);
		if (manifest_find(&st->next, child, &e, &ignored) == 0)
			report(st->t, child);
	}
}

/* One object of a subtree, after all that is in it. */
static int remove_entry(struct subtrees *st, const struct txn_site *root, char type,
			const char *path, struct error *err)
{
	char parent[PATH_MAX];
	const char *name = live_split(path, parent);
	int dirfd = entry_dir(st, root, parent);
	struct live_object there;
	if (dirfd < 0)
		return dirfd == -ENOENT ? 0 : txn_dir_failed(dirfd, parent, err);
	int r = live_look(dirfd, name, &there, NULL);
	if (r < 0)
		return error_set(err, r, "look at %s: %s", path, strerror(-r));
	if (there.type == 0)
		return 0;
	if ((type == 'd') != (there.type == 'd')) {
		report(st->t, path);
		return 0;
	}
	int flags = type == 'd' ? AT_REMOVEDIR : 0;
	r = unlinkat(dirfd, name, flags);
	/* Below the root its directory is ours and goes too: its mode need not stop whoever is not
	 * root. */
	if (r < 0 && errno == EACCES && strcmp(path, root->path) != 0 && fchmod(dirfd, 0700) == 0)
		r = unlinkat(dirfd, name, flags);
	if (r == 0) {
		FAULT("undo: new object removed");
		return 0;
	}
	if (errno == EBUSY) { /* a script has mounted something there */
		report(st->t, path);
		return 0;
	}
	if (errno != ENOTEMPTY && errno != EEXIST)
		return txn_failed("remove", path, err);
	report_content(st, dirfd, name, path);
	return 0;
}

static int one_entry(struct subtrees *st, size_t i, struct error *err)
{
	struct manifest_entry e;
	const struct txn_site *root;
	int r = manifest_at(&st->next, i, &e, err);
	if (r < 0 || e.root == MANIFEST_NO_ROOT)
		return r;
	r = find_root(st, e.root, &root, err);
	if (r <= 0)
		return r;
	char path[PATH_MAX];
	strcpy(path, e.path);
	/* The directory that took a file's place goes by exchanging it back. */
	if (root->op.kind == JOURNAL_EXCHANGE && strcmp(path, root->path) == 0)
		return 0;
	return remove_entry(st, root, e.type, path, err);
}

struct failures {
	struct txn *t;
	unsigned count;
	bool barred; /* subtrees of ours may be left, because they could not be reached */
	struct error first;
};

static void note_failure(struct failures *f, const struct error *err)
{
	if (f->count++ == 0)
		f->first = *err;
	f->t->cautious = true;
	log_warning("undo: %s", err->text);
}

static void note_unreached(struct failures *f, int r, const struct error *err)
{
	f->barred = f->barred || r == ERR_CONFLICT;
	note_failure(f, err);
}

/* By reading the next manifest backwards: what lies in a directory comes before it. */
static void remove_subtrees(struct txn *t, struct failures *f)
{
	struct error err = {0};
	CLEANUP(subtrees_clear_at) struct subtrees *st = xcalloc(1, sizeof(*st));
	st->t = t;
	st->dir_fd = -1;
	st->next = MANIFEST_INIT;
	int r = find_in_place(st, &err);
	if (r >= 0 && st->n_done > 0)
		r = manifest_load(&st->next, t->group_fd, MANIFEST_NEXT, &err);
	if (r < 0)
		note_unreached(f, r, &err);
	for (size_t i = st->next.count; st->n_done > 0 && r >= 0 && i-- > 0;) {
		int e = one_entry(st, i, &err);
		if (e < 0)
			note_unreached(f, e, &err);
	}
}

static void back(struct txn *t, enum txn_pass pass, struct failures *f)
{
	for (uint32_t i = t->journal->n_ops; i-- > 0;) {
		struct error err = {0};
		struct txn_site s;
		int r = txn_site(t, i, &s, &err);
		if (r > 0 && txn_pass(s.op.kind) == pass)
			r = backward[s.op.kind](t, &s, &err);
		if (r < 0)
			note_failure(f, &err);
	}
}

int undo_run(struct txn *t, struct error *err)
{
	struct failures f = {.t = t};
	back(t, PASS_META, &f);
	remove_subtrees(t, &f);
	if (!f.barred) /* what is left of ours would be taken for somebody else's and be kept */
		back(t, PASS_EXCHANGE, &f);
	back(t, PASS_PLAIN, &f);
	if (f.count == 0)
		return 0;
	return error_set(
		err, ERR_UNDO,
		"%u object%s could not be put back, the old state is kept in '%s/" STAGE_PREFIX
		"%s' (%s)",
		f.count, f.count == 1 ? "" : "s",
		t->journal->n_mounts ? t->journal->mounts[0].path : "", t->journal->txid,
		f.first.text);
}

static int rescue_one(struct txn *t, struct txn_site *s, struct error *err)
{
	const char *staged = s->op.kind == JOURNAL_RMDIR ? s->old_name : s->new_name;
	if (s->stage_fd < 0 || unlinkat(s->stage_fd, staged, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return 0; /* not there any more: nothing to rescue */
	int r = txn_site_open(t, s, OPEN_PRESENT, err);
	if (r < 0)
		return r;
	log_warning("'%s' was removed, but something was made in it: kept", s->path);
	if (renameat2(s->stage_fd, staged, s->dir_fd, s->name, RENAME_NOREPLACE) == 0) {
		FAULT("settle: directory put back");
		return 0;
	}
	return move_aside(t, s, s->stage_fd, staged, err);
}

int undo_rescue(struct txn *t, struct error *err)
{
	for (uint32_t i = 0; i < t->journal->n_ops; i++) {
		struct txn_site s;
		int r = txn_site(t, i, &s, err);
		bool dir = r > 0 && s.op.old.type == 'd' &&
			   (s.op.kind == JOURNAL_RMDIR || s.op.kind == JOURNAL_EXCHANGE);
		if (dir)
			r = rescue_one(t, &s, err);
		if (r < 0)
			return r;
	}
	return 0;
}
