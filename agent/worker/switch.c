// SPDX-License-Identifier: Apache-2.0
/* Operations forward. Each is judged by itself, from the names in the stage and at its destination,
 * so that the first run and every run after a crash are the same code. The tables that this file
 * follows are in docs/formats/journal.md. */
#include "agent/worker/fault.h"
#include "agent/worker/label.h"
#include "agent/worker/txn.h"
#include "agent/worker/way.h"
#include "common/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

enum txn_pass txn_pass(enum journal_kind kind)
{
	return kind == JOURNAL_META       ? PASS_META
	       : kind == JOURNAL_EXCHANGE ? PASS_EXCHANGE
					  : PASS_PLAIN;
}

int txn_site(struct txn *t, uint32_t i, struct txn_site *ret, struct error *err)
{
	struct journal *j = t->journal;
	int r = journal_op_at(j, i, &ret->op, err);
	if (r < 0)
		return r;
	strcpy(ret->path, ret->op.path);
	ret->op.path = ret->path;
	char parent[PATH_MAX];
	ret->name = live_split(ret->path, parent);
	const struct journal_dir *d = &j->dirs[ret->op.dir];
	ret->dir_fd = -1;
	ret->dir_error = 0;
	ret->stage_fd = t->mounts[d->mount].fd;
	stage_new_name(ret->op.number, ret->op.dir, d->inherit, ret->new_name);
	stage_old_name(ret->op.number, ret->old_name);
	return t->mounts[d->mount].gone ? 0 : 1;
}

/* Is it the one that we have made just now? Another of ours that somebody put there is not empty,
 * or nothing is lost with it. */
static bool is_new_dir(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_uid == geteuid() && txn_dir_is_empty(fd) > 0;
}

/* A directory that a script removed, with the owner and mode that it had. */
static int dir_again(const struct journal_dir *d, const char *path, const struct live_ident *stage)
{
	char parent[PATH_MAX];
	const char *name = live_split(path, parent);
	auto_close int up = way_open(parent, stage);
	if (up < 0)
		return up;
	if (mkdirat(up, name, 0700) < 0)
		return -errno;
	FAULT("directory made again");
	auto_close int fd = fs_open_beneath(up, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (!is_new_dir(fd))
		return -ESTALE;
	return fchown(fd, d->uid, d->gid) < 0 || fchmod(fd, d->mode) < 0 ? -errno : TAKE_FD(fd);
}

/* Every directory on the way that is missing: those that the journal does not know get 0755. */
static int dirs_again(const struct journal_dir *d, const char *path, const struct live_ident *stage)
{
	static const struct journal_dir plain = {.mode = 0755};
	int fd = way_open(path, stage);
	if (fd != -ENOENT || !path[1])
		return fd;
	char parent[PATH_MAX];
	live_split(path, parent);
	fd = way_open(parent, stage);
	if (fd == -ENOENT)
		fd = dirs_again(&plain, parent, stage);
	if (fd < 0)
		return fd;
	close(fd);
	return dir_again(d, path, stage);
}

static bool has_ino(int fd, uint64_t ino)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_ino == ino;
}

int txn_dir_open(const struct txn *t, const struct journal_dir *d, const char *path,
		 enum txn_open how)
{
	const struct live_ident *stage = &t->journal->mounts[d->mount].stage;
	auto_close int fd = live_open_dir(path);
	if (how == OPEN_PLANNED || fd == -ELOOP || has_ino(fd, d->ino))
		return TAKE_FD(fd);
	/* Also what is missing may only be missing because somebody else's directory is there. */
	return how == OPEN_AGAIN && !t->cautious ? dirs_again(d, path, stage)
						 : way_open(path, stage);
}

int txn_dir_failed(int fd, const char *path, struct error *err)
{
	if (fd == -ESTALE)
		return error_set(err, ERR_CONFLICT, "%s: somebody else's directory is there now",
				 path);
	if (fd == -ELOOP)
		return error_set(err, ERR_CONFLICT, "%s: a symbolic link is on the way there now",
				 path);
	return error_set(err, live_is_no_dir(fd) ? ERR_CONFLICT : fd, "%s: %s", path,
			 strerror(-fd));
}

int txn_site_open(struct txn *t, struct txn_site *s, enum txn_open how, struct error *err)
{
	if (t->dir_fd >= 0 && t->dir == s->op.dir) {
		s->dir_fd = t->dir_fd;
		return 0;
	}
	fs_close_quiet(t->dir_fd);
	t->dir_fd = -1;
	const struct journal_dir *d = &t->journal->dirs[s->op.dir];
	char path[PATH_MAX];
	live_split(s->path, path);
	int fd = txn_dir_open(t, d, path, how);
	s->dir_error = fd < 0 ? fd : 0;
	if (fd < 0)
		return txn_dir_failed(fd, path, err);

	/* Kept open only when it is the right one. */
	auto_close int owned = fd;
	struct stat st;
	struct live_mount id;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "%s", path);
	int r = live_mount(fd, &id, err);
	if (r < 0)
		return r;
	if (!live_mount_equal(&id, &t->mounts[d->mount].id) ||
	    (st.st_ino != d->ino && how == OPEN_PLANNED))
		return error_set(err, ERR_CONFLICT, "%s: another directory is there now", path);
	s->dir_fd = t->dir_fd = TAKE_FD(owned);
	t->dir = s->op.dir;
	return 0;
}

int txn_dir_is_empty(int fd)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = again < 0 ? NULL : fdopendir(again);
	const struct dirent *d;
	if (!dir)
		return -errno;
	while ((errno = 0, d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			return 0;
	return errno ? -errno : 1;
}

static const char *advice(int e)
{
	switch (e) {
	case EBUSY:
		return "; something is mounted there: unmount it";
	case EPERM:
		return "; it or its directory is immutable or append-only: 'chattr -ia' it";
	case EXDEV:
		return "; its file system does not let it leave its directory (another project, "
		       "encryption, or a lower layer of an overlay)";
	default:
		return "";
	}
}

int txn_failed(const char *what, const char *path, struct error *err)
{
	int e = errno;
	return error_set(err, -e, "%s %s: %s%s", what, path, strerror(e), advice(e));
}

/* The directory, or the deepest that is there of those above it. */
static int open_nearest(const char *path)
{
	char at[PATH_MAX], above[PATH_MAX];
	strcpy(at, path);
	for (;;) {
		int fd = live_open_dir(at);
		if (fd != -ENOENT || !at[1])
			return fd;
		live_split(at, above);
		strcpy(at, above);
	}
}

static int check_mount(struct txn *t, uint32_t mount, const char *path, struct error *err)
{
	struct live_mount id;
	auto_close int fd = open_nearest(path);
	if (fd < 0)
		return live_is_no_dir(fd) ? 0 : error_set(err, fd, "%s: %s", path, strerror(-fd));
	int r = live_mount(fd, &id, err);
	if (r < 0 || live_mount_equal(&id, &t->mounts[mount].id))
		return r;
	return error_set(err, ERR_NOT_MOUNTED,
			 "something else is mounted at or above '%s' now; unmount it and run "
			 "'slipway recover'",
			 path);
}

int txn_check_mounts(struct txn *t, struct error *err)
{
	uint32_t last = UINT32_MAX;
	for (uint32_t i = 0; i < t->journal->n_ops; i++) {
		struct txn_site s;
		int r = txn_site(t, i, &s, err);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		uint32_t mount = t->journal->dirs[s.op.dir].mount;
		char parent[PATH_MAX];
		live_split(s.path, parent);
		r = s.op.dir == last ? 0 : check_mount(t, mount, parent, err);
		last = s.op.dir;
		if (r >= 0 && s.op.kind == JOURNAL_META)
			r = check_mount(t, mount, s.path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What is as it should be is not set again: on a full disk even that may fail. */
static bool has_acl(int fd, enum acl_kind kind, struct acl acl)
{
	struct acl_room there;
	return acl_get(fd, kind, &there) == 0 && acl_equal(acl_of(&there), acl);
}

int txn_meta_set(int fd, const struct txn_meta *m)
{
	if (fchown(fd, m->uid, m->gid) < 0)
		return -errno;
	FAULT("metadata: owner set");
	int r = 0;
	if (m->has_acl && !has_acl(fd, ACL_OF_OBJECT, m->access))
		r = acl_set(fd, m->access, m->mode);
	FAULT("metadata: ACL set");
	if (r >= 0 && m->has_acl && !has_acl(fd, ACL_TO_BEQUEATH, m->bequeath))
		r = acl_set_default(fd, m->bequeath);
	FAULT("metadata: default ACL set");
	if (r >= 0 && m->label[0])
		r = label_set(fd, m->label);
	if (r >= 0 && fchmod(fd, m->mode) < 0)
		r = -errno;
	FAULT("metadata: mode set");
	errno = -r;
	return r;
}

static int conflict(const struct txn_site *s, struct error *err)
{
	return error_set(err, ERR_CONFLICT, "%s: it was changed while the installation ran",
			 s->path);
}

static int look(int dirfd, const char *name, const struct txn_site *s, struct live_object *ret,
		struct error *err)
{
	int r = live_look(dirfd, name, ret, NULL);
	return r < 0 ? error_set(err, r, "look at %s: %s", s->path, strerror(-r)) : 0;
}

/* What the names of an operation are now. */
struct sight {
	struct live_object new, old, name;
};

static int look_stage(struct txn_site *s, struct sight *ret, struct error *err)
{
	*ret = (struct sight){0};
	int r = look(s->stage_fd, s->new_name, s, &ret->new, err);
	return r < 0 ? r : look(s->stage_fd, s->old_name, s, &ret->old, err);
}

/* Also the destination. Not where the stage says that all is done: the directory may have gone into
 * the stage after what was in it. */
static int look_name(struct txn *t, struct txn_site *s, struct sight *ret, struct error *err)
{
	int r = txn_site_open(t, s, OPEN_PLANNED, err);
	return r < 0 ? r : look(s->dir_fd, s->name, s, &ret->name, err);
}

static int look_all(struct txn *t, struct txn_site *s, struct sight *ret, struct error *err)
{
	int r = look_stage(s, ret, err);
	return r < 0 ? r : look_name(t, s, ret, err);
}

/* The staged object is in the stage no more. Was it put in place, or lost? */
static int put_or_lost(const struct txn_site *s, const struct sight *at, struct error *err)
{
	if (at->name.type != 0 && at->name.ino == s->op.new_ino)
		return 0;
	return error_set(err, ERR_CONFLICT, "%s: what was staged for it is lost", s->path);
}

/* For the tests: what a switch would do that repeats its calls without looking. */
static int put_blindly(struct txn *t, struct txn_site *s, struct error *err)
{
	int r = txn_site_open(t, s, OPEN_AGAIN, err);
	if (r < 0)
		return r;
	fs_unlink_quiet(s->stage_fd, s->old_name);
	FAULT("put: old forgotten");
	if (linkat(s->dir_fd, s->name, s->stage_fd, s->old_name, 0) < 0)
		return txn_failed("keep the old", s->path, err);
	FAULT("put: old linked");
	if (renameat(s->stage_fd, s->new_name, s->dir_fd, s->name) < 0)
		return txn_failed("replace", s->path, err);
	FAULT("put: replaced");
	return 0;
}

static int put(struct txn *t, struct txn_site *s, struct error *err)
{
	if (FAULT_DEFECT("blind-switch"))
		return put_blindly(t, s, err);
	struct sight at;
	int r = look_all(t, s, &at, err);
	if (r < 0)
		return r;
	if (at.new.type == 0)
		return at.old.type != 0 ? 0 : put_or_lost(s, &at, err);

	if (at.old.type == 0) {
		if (!live_same(&at.name, &s->op.old))
			return conflict(s, err);
		if (linkat(s->dir_fd, s->name, s->stage_fd, s->old_name, 0) < 0)
			return txn_failed("keep the old", s->path, err);
		FAULT("put: old linked");
		r = look(s->stage_fd, s->old_name, s, &at.old, err);
		if (r < 0)
			return r;
	}
	if (at.old.ino != s->op.old.ino || at.name.ino != s->op.old.ino)
		return conflict(s, err);
	if (renameat(s->stage_fd, s->new_name, s->dir_fd, s->name) < 0 &&
	    !FAULT_DEFECT("ignore-rename"))
		return txn_failed("replace", s->path, err);
	FAULT("put: replaced");
	return 0;
}

static int create(struct txn *t, struct txn_site *s, struct error *err)
{
	struct sight at;
	int r = look_all(t, s, &at, err);
	if (r < 0)
		return r;
	if (at.new.type == 0)
		return put_or_lost(s, &at, err);
	if (at.new.ino != s->op.new_ino)
		return error_set(err, ERR_CONFLICT, "%s: what was staged for it is lost", s->path);
	if (renameat2(s->stage_fd, s->new_name, s->dir_fd, s->name, RENAME_NOREPLACE) < 0)
		return errno == EEXIST ? conflict(s, err) : txn_failed("create", s->path, err);
	FAULT("create: put in place");
	return 0;
}

static int delete (struct txn *t, struct txn_site *s, struct error *err)
{
	struct sight at;
	int r = look_stage(s, &at, err);
	if (r >= 0 && at.old.type == 0)
		r = look_name(t, s, &at, err);
	if (r < 0)
		return r;
	if (at.old.type == 0) {
		if (!live_same(&at.name, &s->op.old))
			return conflict(s, err);
		if (renameat2(s->dir_fd, s->name, s->stage_fd, s->old_name, RENAME_NOREPLACE) < 0)
			return txn_failed("remove", s->path, err);
		FAULT("delete: taken away");
		r = look(s->stage_fd, s->old_name, s, &at.old, err);
		if (r < 0)
			return r;
	}
	/* Another object came with it: walking back returns it. */
	return at.old.ino == s->op.old.ino ? 0 : conflict(s, err);
}

/* Is the directory at name empty? Below 0 when it cannot be opened. */
static int empty_at(int dirfd, const char *name, const struct txn_site *s, struct error *err)
{
	auto_close int fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	int r = fd < 0 ? fd : txn_dir_is_empty(fd);
	return r < 0 ? error_set(err, r, "look into %s: %s", s->path, strerror(-r)) : r;
}

static int remove_dir(struct txn *t, struct txn_site *s, struct error *err)
{
	struct sight at;
	int r = look_stage(s, &at, err);
	if (r < 0)
		return r;
	if (stand_in_is(s, &at.old))
		return stand_in_rmdir(t, s, err);
	if (at.old.type == 0) {
		r = look_name(t, s, &at, err);
		if (r < 0)
			return r;
		if (at.name.type != 'd' || at.name.ino != s->op.old.ino)
			return conflict(s, err);
		r = empty_at(s->dir_fd, s->name, s, err);
		if (r <= 0)
			return r;
		if (renameat2(s->dir_fd, s->name, s->stage_fd, s->old_name, RENAME_NOREPLACE) < 0) {
			if (errno != EXDEV)
				return txn_failed("remove", s->path, err);
			r = stand_in_make(s, err);
			return r < 0 ? r : stand_in_rmdir(t, s, err);
		}
		FAULT("rmdir: taken away");
	}
	/* Something may have been made in it just now. */
	r = empty_at(s->stage_fd, s->old_name, s, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = txn_site_open(t, s, OPEN_PLANNED, err);
	if (r < 0)
		return r;
	if (renameat2(s->stage_fd, s->old_name, s->dir_fd, s->name, RENAME_NOREPLACE) < 0)
		return txn_failed("put back", s->path, err);
	FAULT("rmdir: put back");
	return 0;
}

static int exchange(struct txn *t, struct txn_site *s, struct error *err)
{
	struct sight at;
	int r = look_all(t, s, &at, err);
	if (r < 0)
		return r;
	if (stand_in_is(s, &at.old))
		return stand_in_exchange(t, s, err);
	if (at.new.type == 0)
		return error_set(err, ERR_CONFLICT, "%s: what was staged for it is lost", s->path);
	bool done = at.new.ino == s->op.old.ino &&at.new.type == s->op.old.type;
	if (!done) {
		bool dir = s->op.old.type == 'd';
		if (at.new.ino != s->op.new_ino ||
		    (dir ? at.name.type != 'd' || at.name.ino != s->op.old.ino
			 : !live_same(&at.name, &s->op.old)))
			return conflict(s, err);
		r = dir ? empty_at(s->dir_fd, s->name, s, err) : 1;
		if (r <= 0)
			return r < 0 ? r : conflict(s, err);
		if (renameat2(s->stage_fd, s->new_name, s->dir_fd, s->name, RENAME_EXCHANGE) < 0) {
			if (errno != EXDEV || !dir)
				return txn_failed("exchange", s->path, err);
			r = stand_in_make(s, err);
			return r < 0 ? r : stand_in_exchange(t, s, err);
		}
		FAULT("exchange: exchanged");
		r = look(s->stage_fd, s->new_name, s, &at.new, err);
		if (r < 0)
			return r;
	}
	if (at.new.ino != s->op.old.ino)
		return conflict(s, err);
	if (s->op.old.type != 'd')
		return 0;
	r = empty_at(s->stage_fd, s->new_name, s, err);
	return r < 0 ? r : r ? 0 : conflict(s, err);
}

static bool is_either(struct acl now, struct acl old, struct acl new)
{
	return acl_equal(now, old) || acl_equal(now, new);
}

/* The owner is set first, then the ACL with the nine bits of the mode, then what the directory
 * bequeaths, then the whole mode: each is the old or the new one. */
static int judge_acls(int fd, const struct txn_site *s, mode_t mode, struct error *err)
{
	struct acl_room access, bequeath;
	int r = acl_get(fd, ACL_OF_OBJECT, &access);
	if (r >= 0)
		r = acl_get(fd, ACL_TO_BEQUEATH, &bequeath);
	if (r < 0)
		return error_set(err, r, "read the ACL of %s: %s", s->path, strerror(-r));
	const struct journal_op *op = &s->op;
	mode_t bits = op->mode | op->old.mode;
	bool nine = (mode & 0777) == (op->mode & 0777) && !(mode & 07000 & ~bits);
	if ((mode != op->old.mode && !nine) ||
	    !is_either(acl_of(&access), op->old_access, op->access) ||
	    !is_either(acl_of(&bequeath), op->old_bequeath, op->bequeath))
		return conflict(s, err);
	return 0;
}

static int judge_metadata(int fd, const struct txn_site *s, const struct stat *st,
			  struct error *err)
{
	const struct live_object *old = &s->op.old;
	mode_t mode = st->st_mode & 07777;
	bool new_owner = st->st_uid == s->op.uid && st->st_gid == s->op.gid;
	bool old_owner = st->st_uid == old->uid && st->st_gid == old->gid;
	if (!(new_owner && (s->op.has_acl || mode == s->op.mode || mode == old->mode)) &&
	    !(old_owner && mode == old->mode))
		return conflict(s, err);
	char label[LABEL_MAX];
	int r = s->op.label[0] ? label_get(fd, label) : 0;
	if (r < 0)
		return error_set(err, r, "read the label of %s: %s", s->path, strerror(-r));
	if (s->op.label[0] && strcmp(label, s->op.label) != 0 &&
	    strcmp(label, s->op.old_label) != 0)
		return conflict(s, err);
	return s->op.has_acl ? judge_acls(fd, s, mode, err) : 0;
}

static int metadata(struct txn *t, struct txn_site *s, struct error *err)
{
	int r = txn_site_open(t, s, OPEN_PLANNED, err);
	if (r < 0)
		return r;
	auto_close int fd = fs_open_beneath(s->dir_fd, s->name, O_RDONLY | O_DIRECTORY, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != s->op.old.ino)
		return conflict(s, err);
	r = judge_metadata(fd, s, &st, err);
	if (r < 0)
		return r;
	const struct journal_op *op = &s->op;
	struct txn_meta new = {op->uid,    op->gid,      op->mode, op->has_acl,
			       op->access, op->bequeath, op->label};
	return txn_meta_set(fd, &new) < 0 ? txn_failed("set the metadata of", s->path, err) : 0;
}

typedef int forward_fn(struct txn *t, struct txn_site *s, struct error *err);
static forward_fn *const forward[JOURNAL_KIND_END] = {
	[JOURNAL_PUT] = put,          [JOURNAL_CREATE] = create,     [JOURNAL_DELETE] = delete,
	[JOURNAL_RMDIR] = remove_dir, [JOURNAL_EXCHANGE] = exchange, [JOURNAL_META] = metadata,
};

int switch_run(struct txn *t, struct error *err)
{
	for (enum txn_pass pass = PASS_PLAIN; pass < PASS_COUNT; pass++) {
		for (uint32_t i = 0; i < t->journal->n_ops; i++) {
			struct txn_site s;
			int r = txn_site(t, i, &s, err);
			if (r < 0)
				return r;
			if (r == 0 || txn_pass(s.op.kind) != pass)
				continue;
			r = forward[s.op.kind](t, &s, err);
			if (r < 0)
				return r;
			txn_progress(t);
		}
	}
	return 0;
}
