// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/durable.h"
#include "agent/worker/fault.h"
#include "agent/worker/inherit-flags.h"
#include "agent/worker/txn.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define TMPFS 0x01021994u
#define RAMFS 0x858458f6u
#define DEPTH_MAX 300

void stage_new_name(uint32_t number, uint32_t dir, bool inherit, char *out)
{
	if (inherit)
		snprintf(out, STAGE_NAME_MAX, "%x.in/%x.new", dir, number);
	else
		snprintf(out, STAGE_NAME_MAX, "%x.new", number);
}

void stage_heir_name(uint32_t dir, char *out)
{
	snprintf(out, STAGE_NAME_MAX, "%x.in", dir);
}

void stage_old_name(uint32_t number, char *out)
{
	snprintf(out, STAGE_NAME_MAX, "%x.old", number);
}

static void stage_name(const struct txn *t, char *out)
{
	snprintf(out, STAGE_NAME_MAX, STAGE_PREFIX "%s", t->journal->txid);
}

static void mounts_prepare(struct txn *t)
{
	if (t->mounts)
		return;
	t->mounts = xcalloc(t->journal->n_mounts, sizeof(*t->mounts));
	for (uint32_t i = 0; i < t->journal->n_mounts; i++)
		t->mounts[i] = (struct txn_mount){.parent_fd = -1, .fd = -1};
}

/* Returns 1 when it is the recorded one, 0 when it is not (*err says which), or below 0. */
static int parent_open(struct txn *t, uint32_t i, struct error *err)
{
	const struct journal_mount *m = &t->journal->mounts[i];
	struct live_ident ident;
	int fd = live_open_dir(m->path);
	if (fd < 0) {
		int r = error_set(err, fd, "%s: %s", m->path, strerror(-fd));
		return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? 0 : r;
	}
	t->mounts[i].parent_fd = fd;
	int r = live_ident(fd, &ident, err);
	if (r < 0)
		return r;
	if (live_ident_equal(&ident, &m->parent))
		return 1;
	(void)error_set(err, ERR_NOT_MOUNTED, "%s: another directory is there", m->path);
	return 0;
}

static int not_mounted(const struct txn *t, uint32_t i, struct error *err)
{
	return error_prefix(err, ERR_NOT_MOUNTED,
			    "the file system that holds '%s' is not the one of this installation; "
			    "mount it and run 'slipway recover'",
			    t->journal->mounts[i].path);
}

static bool made_of_memory(const struct journal_mount *m)
{
	return m->magic == TMPFS || m->magic == RAMFS;
}

/* "1f.new", "1f.in": what is staged. */
static bool is_staged(const char *name)
{
	size_t digits = strspn(name, "0123456789abcdef");
	return digits && (str_eq(name + digits, ".new") || str_eq(name + digits, ".in"));
}

/* Until its identity is recorded, a staging directory is known by its name alone. Whoever may write
 * beside it can put another directory there, also one of root's: that one is only as good if
 * nothing is in it but what we put there. staged: that may be more than what stage_probe() makes,
 * because the record of the identity was lost; by then its mode had been set. */
static int check_ours(int fd, bool staged, const char *path, struct error *err)
{
	struct stat st;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir || fstat(fd, &st) < 0)
		return error_errno(err, "look into the staging directory in '%s'", path);
	bool good = st.st_uid == geteuid() && !(staged && (st.st_mode & 0077));
	const struct dirent *d;
	errno = 0;
	while (good && (d = readdir(dir)))
		good = str_eq(d->d_name, ".") || str_eq(d->d_name, "..") ||
		       str_starts(d->d_name, "probe.") || (staged && is_staged(d->d_name));
	if (good && errno)
		return error_errno(err, "read the staging directory in '%s'", path);
	return good ? 0
		    : error_set(err, ERR_CONFLICT,
				"the staging directory in '%s' is not the one that was made; who "
				"else writes there?",
				path);
}

/* A staging directory is nobody's business: no group, no ACL that its parent would bequeath. */
static int stage_guard(int fd, struct error *err)
{
	if (fchown(fd, geteuid(), getegid()) < 0 || fchmod(fd, 0700) < 0)
		return error_errno(err, "set up the staging directory");
	FAULT("stage guarded");
	inherit_flags_none(fd);
	int r = acl_set_default(fd, (struct acl){0});
	if (r >= 0)
		r = acl_set(fd, (struct acl){0}, 0700);
	return r < 0 ? error_set(err, r, "remove an ACL: %s", strerror(-r)) : 0;
}

/* What the switch needs of the file system, tried out before anything depends on it. */
static int stage_probe(int fd, const char *path, struct error *err)
{
	auto_close int a = openat(fd, "probe.a", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (a < 0 || mkdirat(fd, "probe.d", 0700) < 0)
		return error_errno(err, "%s", path);
	FAULT("probe made");
	if (linkat(fd, "probe.a", fd, "probe.b", 0) < 0)
		return error_errno(err,
				   "%s: the file system has no hard links, and a file cannot "
				   "be replaced safely without",
				   path);
	FAULT("probe linked");
	if (renameat2(fd, "probe.a", fd, "probe.c", RENAME_NOREPLACE) < 0 ||
	    renameat2(fd, "probe.b", fd, "probe.d", RENAME_EXCHANGE) < 0)
		return error_errno(err, "%s: the file system cannot exchange two names in one step",
				   path);
	FAULT("probe renamed");
	if (unlinkat(fd, "probe.c", 0) < 0 || unlinkat(fd, "probe.d", 0) < 0 ||
	    unlinkat(fd, "probe.b", AT_REMOVEDIR) < 0)
		return error_errno(err, "%s", path);
	FAULT("probe removed");
	return 0;
}

/* Two mounts may show the same directory: then they have one staging directory, which each of them
 * reaches in its own way. */
static bool is_shared(const struct txn *t, uint32_t i)
{
	struct stat mine, other;
	for (uint32_t k = 0; k < i; k++)
		if (fstat(t->mounts[i].parent_fd, &mine) == 0 &&
		    fstat(t->mounts[k].parent_fd, &other) == 0 && mine.st_ino == other.st_ino &&
		    mine.st_dev == other.st_dev)
			return true;
	return false;
}

static int make_one(struct txn *t, uint32_t i, struct error *err)
{
	const char *path = t->journal->mounts[i].path;
	struct txn_mount *m = &t->mounts[i];
	char name[STAGE_NAME_MAX];
	stage_name(t, name);
	int r = parent_open(t, i, err);
	if (r <= 0)
		return r < 0 ? r : not_mounted(t, i, err);

	if (mkdirat(m->parent_fd, name, 0700) < 0 && !(errno == EEXIST && is_shared(t, i)))
		return error_errno(err, "make a staging directory in '%s'", path);
	FAULT("stage made");
	m->fd = fs_open_beneath(m->parent_fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (m->fd < 0)
		return error_set(err, m->fd, "open the staging directory in '%s': %s", path,
				 strerror(-m->fd));
	struct live_ident ident;
	if (!FAULT_DEFECT("any-stage") && (r = check_ours(m->fd, false, path, err)) < 0) {
		fs_close_quiet(TAKE_FD(m->fd)); /* what is in it is not ours to remove */
		return r;
	}
	r = stage_guard(m->fd, err);
	if (r >= 0)
		r = stage_probe(m->fd, path, err);
	if (r >= 0)
		r = live_mount(m->fd, &m->id, err);
	if (r >= 0)
		r = live_ident(m->fd, &ident, err);
	return r < 0 ? r : journal_add_stage(t->journal, i, &ident, err);
}

int stage_make(struct txn *t, struct error *err)
{
	mounts_prepare(t);
	for (uint32_t i = 0; i < t->journal->n_mounts; i++) {
		int r = make_one(t, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* fd: what there is in its place, or below 0. ERR_CONFLICT: it is another. */
static int look_at_stage(const struct journal_mount *jm, int fd, const char *name,
			 struct error *err)
{
	if (fd == -ENOTDIR || fd == -ELOOP)
		return error_set(err, ERR_CONFLICT, "the staging directory %s/%s: %s", jm->path,
				 name, strerror(-fd));
	if (fd < 0)
		return error_set(err, ERR_UNDO, "the staging directory %s/%s: %s", jm->path, name,
				 strerror(-fd));
	if (!jm->has_stage)
		return check_ours(fd, true, jm->path, err);
	struct live_ident ident;
	int r = live_ident(fd, &ident, err);
	if (r >= 0 && !live_ident_equal(&ident, &jm->stage))
		return error_set(err, ERR_CONFLICT,
				 "%s/%s is not the staging directory that was made", jm->path,
				 name);
	return r;
}

static int open_one(struct txn *t, uint32_t i, bool needed, struct error *err)
{
	const struct journal_mount *jm = &t->journal->mounts[i];
	struct txn_mount *m = &t->mounts[i];
	bool lost = made_of_memory(jm) && !t->journal->same_boot;
	char name[STAGE_NAME_MAX];
	stage_name(t, name);
	int r = parent_open(t, i, err);
	if (r < 0)
		return r;
	if (r == 0 && !lost)
		return not_mounted(t, i, err);
	if (r == 0) {
		m->gone = true;
		return 0;
	}

	m->fd = fs_open_beneath(m->parent_fd, name, O_RDONLY | O_DIRECTORY, 0);
	if (m->fd == -ENOENT && (lost || !needed)) {
		m->gone = needed;
		return 0;
	}
	r = look_at_stage(jm, m->fd, name, err);
	if (r == ERR_CONFLICT && !needed) {
		/* whoever owns the parent has put it there; the tree is whole without ours */
		log_warning("%s; it stays", err->text);
		fs_close_quiet(TAKE_FD(m->fd));
		m->gone = true;
		return 0;
	}
	if (r == ERR_CONFLICT)
		return err->code = ERR_UNDO;
	return r < 0 ? r : live_mount(m->fd, &m->id, err);
}

int stage_open(struct txn *t, bool needed, struct error *err)
{
	mounts_prepare(t);
	for (uint32_t i = 0; i < t->journal->n_mounts; i++) {
		int r = t->mounts[i].parent_fd >= 0 ? 0 : open_one(t, i, needed, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int stage_sync(struct txn *t, bool content, struct error *err)
{
	for (uint32_t i = 0; i < t->journal->n_mounts; i++) {
		bool again = t->mounts[i].fd < 0;
		for (uint32_t k = 0; k < i && !content; k++)
			again = again || t->mounts[k].id.dev == t->mounts[i].id.dev;
		int r = again ? 0 : durable_tree(t->mounts[i].fd, content, err);
		if (r < 0 && !FAULT_DEFECT("ignore-sync"))
			return error_prefix(err, r, "%s", t->journal->mounts[i].path);
		FAULT("file system synced");
	}
	return 0;
}

static int remove_name(int dirfd, const char *name, unsigned depth, struct error *err);

/* A directory without write permission stops its owner, unless that is root. Best effort: removing
 * tells. */
static void make_writable(int fd)
{
	if (geteuid() != 0 && fchmod(fd, 0700) < 0)
		log_debug("cannot make a directory of the stage writable");
}

/* Of the directory name, which "." may be. */
static int remove_content(int dirfd, const char *name, unsigned depth, struct error *err)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return error_errno(err, "%s", name);
	make_writable(fd);
	const struct dirent *d;
	while ((d = readdir(dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		int r = remove_name(fd, d->d_name, depth + 1, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int remove_name(int dirfd, const char *name, unsigned depth, struct error *err)
{
	if (depth > DEPTH_MAX)
		return error_set(err, ERR_LIMIT, "%s: too deep", name);
	int r = unlinkat(dirfd, name, 0);
	/* Again when a name was missed: reading a directory that shrinks promises little. */
	for (int i = 0; i < 8 && r < 0 && (errno == EISDIR || errno == ENOTEMPTY); i++) {
		r = remove_content(dirfd, name, depth, err);
		if (r < 0)
			return r;
		r = unlinkat(dirfd, name, AT_REMOVEDIR);
	}
	if (r < 0 && errno != ENOENT)
		return error_errno(err, "remove %s", name);
	FAULT("stage object removed");
	return 0;
}

/* XFS that has shut down after an I/O error still says that a directory was synced; but it refuses
 * to be looked at. */
static int sync_parent(int fd, struct error *err)
{
	struct stat st;
	int r = fs_sync_dir(fd, err);
	if (r < 0)
		return r;
	return fstat(fd, &st) < 0 ? error_errno(err, "sync a directory") : 0;
}

/* Empty it by its descriptor: where the parent belongs to somebody else, its name may be given to
 * any directory in there at any moment. Taking away one that is empty does no harm. */
static int remove_stage(const struct txn_mount *m, const char *name, struct error *err)
{
	if (FAULT_DEFECT("stage-by-name"))
		return remove_name(m->parent_fd, name, 0, err);
	int r = m->fd < 0 ? 0 : remove_content(m->fd, ".", 0, err);
	if (r < 0)
		return r;
	if (unlinkat(m->parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTDIR || errno == ENOTEMPTY) {
		struct live_object now;
		struct stat st;
		if (m->fd < 0 || fstat(m->fd, &st) < 0 ||
		    live_look(m->parent_fd, name, &now, NULL) < 0 || now.ino != st.st_ino)
			return error_set(err, -ESTALE, "the staging directory %s was moved away",
					 name);
		errno = ENOTEMPTY;
	}
	return error_errno(err, "remove %s", name);
}

/* Removed, and durably so: the journal goes after it. */
int stage_remove(struct txn *t, struct error *err)
{
	char name[STAGE_NAME_MAX];
	stage_name(t, name);
	for (uint32_t i = 0; i < t->journal->n_mounts; i++) {
		struct txn_mount *m = &t->mounts[i];
		if (m->gone || m->parent_fd < 0)
			continue;
		int r = remove_stage(m, name, err);
		FAULT("stage object removed");
		if (r >= 0)
			r = sync_parent(m->parent_fd, err);
		if (r < 0)
			return error_prefix(err, r, "%s", t->journal->mounts[i].path);
		FAULT("stage removed");
	}
	return 0;
}

void txn_free(struct txn *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; t->mounts && i < t->journal->n_mounts; i++) {
		fs_close_quiet(t->mounts[i].parent_fd);
		fs_close_quiet(t->mounts[i].fd);
	}
	free(t->mounts);
	fs_close_quiet(t->dir_fd);
	journal_free(t->journal);
	free(t);
}

void txn_progress(struct txn *t)
{
	t->done++;
	if (t->progress && (t->done % 64 == 0 || t->done == t->total))
		t->progress(t->done, t->total, t->progress_arg);
}
