// SPDX-License-Identifier: Apache-2.0
/* What goes into the stage. Every object gets its final content, owner and mode here, so that the
 * switch only moves names. The stage belongs to us alone (0700) and no planned path leads through a
 * symlink, so paths below it are used as they are. */
#include "agent/worker/fault.h"
#include "agent/worker/inherit-flags.h"
#include "agent/worker/label.h"
#include "agent/worker/txn.h"
#include "common/alloc.h"
#include "common/fs.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#define SMALL (128 * 1024) /* below it, one read and one write beat every cleverness */

/* A directory that one rename will put in place with all that is in it. */
struct root {
	uint32_t number, dir;
};

struct stager {
	struct txn *t;
	struct record_file plan;
	struct manifest_writer manifest;
	struct root *roots; /* by number */
	uint32_t n_roots;
	int copies_fd;    /* the stage that was last seen unable to share blocks with the archive */
	bool closed_dirs; /* there are directories that their owner may not write */
	bool labels;      /* SELinux is enabled */
	uint32_t label_dir; /* whose label new objects get now; PLAN_NONE: nobody's */
	char *buffer;       /* SMALL + 1 bytes */
};

static const struct root *root_find(const struct stager *s, uint32_t number)
{
	uint32_t low = 0, high = s->n_roots;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (s->roots[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low < s->n_roots && s->roots[low].number == number ? &s->roots[low] : NULL;
}

static int root_add(struct stager *s, const struct plan_entry *e, struct error *err)
{
	if ((s->n_roots & (s->n_roots + 1)) == 0) { /* room ends at 1, 3, 7, ... */
		size_t room = ((size_t)s->n_roots + 1) * 2 - 1;
		void *grown = reallocarray(s->roots, room, sizeof(*s->roots));
		if (!grown)
			return error_set(err, -ENOMEM, "no memory for %zu directories", room);
		s->roots = grown;
	}
	s->roots[s->n_roots++] = (struct root){e->number, e->dir};
	return 0;
}

/* Where e is staged: below the returned descriptor. */
static int stage_place(const struct stager *s, const struct plan_entry *e, char out[PATH_MAX],
		       struct error *err)
{
	struct root at = {e->number, e->dir};
	const struct journal *j = s->t->journal;
	if (e->inside) {
		const struct root *root = root_find(s, e->root);
		if (!root)
			return error_set(err, ERR_FORMAT, "plan: %s has no subtree", e->path);
		at = *root;
	}
	if (at.dir >= j->n_dirs)
		return error_set(err, ERR_FORMAT, "plan: %s has no directory", e->path);
	char name[STAGE_NAME_MAX];
	stage_new_name(at.number, at.dir, j->dirs[at.dir].inherit, name);
	int n = snprintf(out, PATH_MAX, "%s%s", name, e->inside ? e->path + e->root_len : "");
	if (n >= PATH_MAX)
		return error_set(err, -ENAMETOOLONG, "%s", e->path);
	return s->t->mounts[j->dirs[at.dir].mount].fd;
}

/* An object gets the label of the directory that it, or its subtree, is put in. The policy's choice
 * depends on who makes it, and is meant for daemons that write their own files. */
static void label_as_in_place(struct stager *s, const struct plan_entry *e)
{
	const struct root *root = e->inside ? root_find(s, e->root) : NULL;
	uint32_t dir = root ? root->dir : e->dir;
	if (!s->labels || dir == s->label_dir || dir >= s->t->journal->n_dirs)
		return;
	char name[STAGE_NAME_MAX], label[LABEL_MAX];
	int stage_fd = s->t->mounts[s->t->journal->dirs[dir].mount].fd;
	stage_heir_name(dir, name);
	s->label_dir = dir;
	label_create(label_get_at(stage_fd, name, label) == 0 && label[0] ? label : NULL);
}

static int changed(const struct plan_entry *e, struct error *err)
{
	return error_set(err, ERR_CONFLICT,
			 "%s: it changed in the revision since the plan was made", e->source);
}

static int copy_small(struct stager *s, const struct plan_entry *e, int in, int out,
		      struct error *err)
{
	size_t n = 0;
	while (n <= e->size) {
		ssize_t got = read(in, s->buffer + n, e->size + 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, "read %s", e->source);
		if (got == 0)
			break;
		n += (size_t)got;
		if (n == e->size && (size_t)got < e->size + 1)
			break;
	}
	if (n != e->size)
		return changed(e, err);
	int r = fs_write_all(out, s->buffer, n);
	return r < 0 ? error_set(err, r, "stage %s: %s", e->path, strerror(-r)) : 0;
}

/* Where the file system can, the kept revision and what is installed share their blocks: that is as
 * fast as copying for every size, since the archive is synced. */
static bool share_content(struct stager *s, const struct plan_entry *e, int stage_fd, int in,
			  int out)
{
	if (s->copies_fd == stage_fd || e->size == 0)
		return false;
	if (ioctl(out, FICLONE, in) == 0)
		return true;
	if (errno == EOPNOTSUPP || errno == EXDEV || errno == ENOTTY)
		s->copies_fd = stage_fd;
	return false;
}

static int copy_content(struct stager *s, const struct plan_entry *e, int stage_fd, int out,
			struct error *err)
{
	/* The revision may have directories of other users: a FIFO must not stop us. */
	auto_close int in = fs_open_beneath(s->t->archive_fd, e->source,
					    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct stat from;
	if (in < 0)
		return error_set(err, in, "open %s: %s", e->source, strerror(-in));
	if (fstat(in, &from) < 0)
		return error_errno(err, "look at %s", e->source);
	if (!S_ISREG(from.st_mode) || from.st_ino != e->from.ino)
		return changed(e, err);
	bool shared = share_content(s, e, stage_fd, in, out);
	if (!shared && e->size <= SMALL)
		return copy_small(s, e, in, out, err);
	int r = shared ? 0 : fs_copy_content(in, out, FS_COPY_LAST_READ, err);
	if (r < 0)
		return error_prefix(err, r, "stage %s", e->path);
	struct stat st;
	if (fstat(out, &st) < 0)
		return error_errno(err, "stage %s", e->path);
	return (uint64_t)st.st_size == e->size ? 0 : changed(e, err);
}

static int set_acl(int fd, const struct plan_entry *e, struct error *err)
{
	int r = acl_set(fd, e->access, e->mode);
	if (r >= 0 && e->type == 'd')
		r = acl_set_default(fd, e->bequeath);
	if (r < 0)
		return error_set(err, r, "set the ACL of %s: %s", e->path, strerror(-r));
	FAULT("stage ACL set");
	return 0;
}

static int set_label(int fd, const struct plan_entry *e, struct error *err)
{
	int r = e->label[0] ? label_set(fd, e->label) : 0;
	if (r < 0)
		return error_set(err, r, "give %s the label '%s': %s", e->path, e->label,
				 strerror(-r));
	return 0;
}

/* Owner first: changing it clears set-id bits. An inherited ACL has its say in the plain mode bits;
 * permissions have the last word. */
static int set_metadata(int fd, const struct plan_entry *e, struct stat *st, struct error *err)
{
	if ((e->uid != geteuid() || e->gid != getegid()) && fchown(fd, e->uid, e->gid) < 0)
		return error_errno(err, "give %s to its owner", e->path);
	int r = e->acl_fixed && e->type != 'd' ? set_acl(fd, e, err) : 0;
	if (r >= 0 && e->type != 'd')
		r = set_label(fd, e, err);
	if (r < 0)
		return r;
	if (fstat(fd, st) < 0)
		return error_errno(err, "stage %s", e->path);
	mode_t mode = e->mode_fixed ? e->mode : (st->st_mode & 0777) | (e->mode & 07000);
	if (mode != (st->st_mode & 07777) && fchmod(fd, mode) < 0)
		return error_errno(err, "set the mode of %s", e->path);
	st->st_mode = (st->st_mode & S_IFMT) | mode;
	return 0;
}

static int stage_file(struct stager *s, const struct plan_entry *e, int dirfd, const char *at,
		      struct stat *st, struct error *err)
{
	auto_close int fd = openat(dirfd, at, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				   e->mode & 0777);
	if (fd < 0)
		return error_errno(err, "stage %s", e->path);
	FAULT("stage file made");
	int r = copy_content(s, e, dirfd, fd, err);
	if (r < 0)
		return r;
	FAULT("stage file copied");
	r = set_metadata(fd, e, st, err);
	if (r < 0)
		return r;
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					  {.tv_sec = e->mtime_s, .tv_nsec = e->mtime_ns}};
	if (futimens(fd, times) < 0)
		return error_errno(err, "set the time of %s", e->path);
	FAULT("stage file finished");
	st->st_mtim = times[1];
	st->st_size = (off_t)e->size;
	return 0;
}

/* Its final mode may forbid to fill it, and what is made in it does not inherit what permissions
 * make it bequeath: then they come later, see close_dir(). */
static bool closes_later(const struct plan_entry *e)
{
	return (e->mode & 0700) != 0700 || e->acl_fixed || e->label[0];
}

static int stage_dir(struct stager *s, const struct plan_entry *e, int dirfd, const char *at,
		     struct stat *st, struct error *err)
{
	struct plan_entry open = *e;
	if (closes_later(e)) {
		s->closed_dirs = true;
		open.mode |= 0700;
	}
	if (mkdirat(dirfd, at, open.mode & 0777) < 0)
		return error_errno(err, "stage %s", e->path);
	FAULT("stage directory made");
	auto_close int fd = openat(dirfd, at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "stage %s", e->path);
	int r = set_metadata(fd, &open, st, err);
	FAULT("stage directory finished");
	st->st_mode &= ~(mode_t)0700 | (e->mode & 0700); /* as it will be */
	return r;
}

static int stage_symlink(struct stager *s, const struct plan_entry *e, int dirfd, const char *at,
			 struct stat *st, struct error *err)
{
	char text[PATH_MAX];
	auto_close int in = fs_open_beneath(s->t->archive_fd, e->source, O_PATH | O_NOFOLLOW, 0);
	ssize_t n = in < 0 ? -1 : readlinkat(in, "", text, sizeof(text) - 1);
	if (n < 0)
		return error_set(err, in < 0 ? in : -errno, "read the link %s: %s", e->source,
				 strerror(in < 0 ? -in : errno));
	text[n] = '\0';
	if (symlinkat(text, dirfd, at) < 0)
		return error_errno(err, "stage %s", e->path);
	FAULT("stage symlink made");
	if ((e->uid != geteuid() || e->gid != getegid()) &&
	    fchownat(dirfd, at, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "give %s to its owner", e->path);
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					  {.tv_sec = e->mtime_s, .tv_nsec = e->mtime_ns}};
	if (utimensat(dirfd, at, times, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(dirfd, at, st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "stage %s", e->path);
	FAULT("stage symlink finished");
	return 0;
}

static int stage_object(struct stager *s, const struct plan_entry *e, struct stat *st,
			struct error *err)
{
	char at[PATH_MAX];
	int dirfd = stage_place(s, e, at, err);
	if (dirfd < 0)
		return dirfd;
	label_as_in_place(s, e);
	switch (e->type) {
	case 'f':
		return stage_file(s, e, dirfd, at, st, err);
	case 'd':
		return stage_dir(s, e, dirfd, at, st, err);
	case 'l':
		return stage_symlink(s, e, dirfd, at, st, err);
	default:
		return error_set(err, ERR_FORMAT, "plan: %s has no type", e->path);
	}
}

static bool is_staged(const struct plan_entry *e)
{
	static const bool staged[PLAN_OP_COUNT] = {[PLAN_MKDIR] = true,
						   [PLAN_CREATE] = true,
						   [PLAN_REPLACE] = true,
						   [PLAN_SYMLINK] = true};
	return staged[e->op] || (e->op == PLAN_METADATA && e->type != 'd');
}

/* 0: nothing to switch. */
static enum journal_kind kind_of(const struct plan_entry *e)
{
	switch (e->op) {
	case PLAN_DELETE:
		return JOURNAL_DELETE;
	case PLAN_RMDIR:
		return JOURNAL_RMDIR;
	case PLAN_METADATA:
		return e->type == 'd' ? JOURNAL_META : JOURNAL_PUT;
	case PLAN_KEEP:
	case PLAN_RETAIN:
		return 0;
	default:
		if (e->old.type == 0)
			return JOURNAL_CREATE;
		return e->type == 'd' || e->old.type == 'd' ? JOURNAL_EXCHANGE : JOURNAL_PUT;
	}
}

static int to_journal(struct stager *s, const struct plan_entry *e, const struct stat *st,
		      struct error *err)
{
	struct journal_op op = {.kind = kind_of(e),
				.type = e->type,
				.number = e->number,
				.dir = e->dir,
				.old = e->old,
				.new_ino = is_staged(e) ? st->st_ino : 0,
				.mode = e->mode,
				.uid = e->uid,
				.gid = e->gid,
				.path = e->path,
				.access = e->access,
				.bequeath = e->bequeath,
				.old_access = e->old_access,
				.old_bequeath = e->old_bequeath,
				.label = e->label,
				.old_label = e->old_label};
	if (op.kind == 0 || e->inside)
		return 0;
	if (e->dir >= s->t->journal->n_dirs)
		return error_set(err, ERR_FORMAT, "plan: %s has no directory", e->path);
	return journal_add_op(s->t->journal, &op, err);
}

static int to_manifest(struct stager *s, const struct plan_entry *e, const struct stat *st,
		       struct error *err)
{
	if (e->op == PLAN_DELETE || e->op == PLAN_RMDIR || e->op == PLAN_RETAIN)
		return 0;
	struct manifest_entry m = {.type = e->type,
				   .root = e->root,
				   .mode = e->op == PLAN_KEEP ? e->old.mode : e->mode,
				   .uid = e->uid,
				   .gid = e->gid,
				   .ino = e->old.ino,
				   .size = e->old.size,
				   .mtime_s = e->mtime_s,
				   .mtime_ns = e->mtime_ns,
				   .path = e->path,
				   .access = e->access,
				   .bequeath = e->bequeath,
				   .label = e->label};
	if (is_staged(e)) {
		m.mode = st->st_mode & 07777;
		m.ino = st->st_ino;
		m.size = (uint64_t)st->st_size;
		m.mtime_s = st->st_mtim.tv_sec;
		m.mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	}
	return manifest_add(&s->manifest, &m, err);
}

static int on_op(struct stager *s, struct record *rec, struct error *err)
{
	struct plan_entry e;
	struct stat st = {0};
	int r = plan_entry_get(rec, &e, err);
	if (r < 0)
		return r;
	if (e.type == 'd' && e.root == e.number)
		r = root_add(s, &e, err);
	if (r >= 0 && is_staged(&e))
		r = stage_object(s, &e, &st, err);
	if (r >= 0)
		r = to_journal(s, &e, &st, err);
	if (r >= 0)
		r = to_manifest(s, &e, &st, err);
	txn_progress(s->t);
	return r;
}

/* Where all of a file system has one label (NFS, a mount with context=) none can be set. */
static int copy_label(int to, int from, struct error *err)
{
	char label[LABEL_MAX], now[LABEL_MAX];
	int r = label_get(from, label);
	if (r >= 0)
		r = label_get(to, now);
	if (r >= 0 && label[0] && strcmp(label, now) != 0)
		r = label_set(to, label);
	if (r == -ENOTSUP)
		return 0;
	return r < 0 ? error_set(err, r, "give it a label: %s", strerror(-r)) : 0;
}

/* Objects whose parent has something to bequeath are made in a directory that has it too: the
 * kernel knows best what they inherit. */
static int make_heir(struct stager *s, const struct plan_dir *d, struct error *err)
{
	char name[STAGE_NAME_MAX];
	struct stat st;
	auto_close int live = live_open_dir(d->path);
	if (live < 0 || fstat(live, &st) < 0 || st.st_ino != d->ino)
		return error_set(err, ERR_CONFLICT, "%s: it changed since the plan was made",
				 d->path);
	int stage_fd = s->t->mounts[d->mount].fd;
	stage_heir_name(d->index, name);
	if (mkdirat(stage_fd, name, 0700) < 0)
		return error_errno(err, "stage what '%s' bequeaths", d->path);
	FAULT("heir made");
	auto_close int fd = openat(stage_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "stage what '%s' bequeaths", d->path);
	int r = d->bequeath.len > 0 ? acl_set_default(fd, d->bequeath) : 0;
	if (r < 0)
		(void)error_set(err, r, "set a default ACL: %s", strerror(-r));
	else
		r = inherit_flags_copy(fd, live, err);
	if (r >= 0 && s->labels)
		r = copy_label(fd, live, err);
	FAULT("heir finished");
	return r < 0 ? error_prefix(err, r, "stage what '%s' bequeaths", d->path) : 0;
}

static int on_dir(struct stager *s, struct record *rec, struct error *err)
{
	struct plan_dir d;
	int r = plan_dir_get(rec, &d, err);
	if (r >= 0)
		r = journal_add_dir(s->t->journal, &d, err);
	return r >= 0 && d.inherit ? make_heir(s, &d, err) : r;
}

typedef int record_fn(struct stager *s, struct record *rec, struct error *err);

/* All operations, or those and the directories: in the plan's order. */
static int each_record(struct stager *s, record_fn *dir_fn, record_fn *op_fn, struct error *err)
{
	record_rewind(&s->plan);
	for (;;) {
		struct record rec;
		int r = plan_next(&s->plan, &rec, err);
		if (r < 0 || rec.type == PLAN_REC_END)
			return r < 0 ? r : 0;
		if (rec.type == PLAN_REC_DIR && dir_fn)
			r = dir_fn(s, &rec, err);
		else if (rec.type == PLAN_REC_OP)
			r = op_fn(s, &rec, err);
		if (r < 0)
			return r;
	}
}

static int close_dir(struct stager *s, struct record *rec, struct error *err)
{
	struct plan_entry e;
	int r = plan_entry_get(rec, &e, err);
	if (r < 0 || e.type != 'd' || !is_staged(&e) || !closes_later(&e))
		return r;
	char at[PATH_MAX];
	struct stat st;
	int dirfd = stage_place(s, &e, at, err);
	if (dirfd < 0)
		return dirfd;
	auto_close int fd = openat(dirfd, at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, "set the mode of %s", e.path);
	r = e.acl_fixed ? set_acl(fd, &e, err) : 0;
	if (r >= 0)
		r = set_label(fd, &e, err);
	if (r < 0)
		return r;
	mode_t mode = e.acl_fixed ? e.mode : (st.st_mode & 07077) | (e.mode & 0700);
	if (fchmod(fd, mode) < 0)
		return error_errno(err, "set the mode of %s", e.path);
	FAULT("stage directory closed");
	return 0;
}

static void stager_clear(struct stager *s)
{
	record_close(&s->plan);
	manifest_writer_clear(&s->manifest);
	free(s->roots);
	free(s->buffer);
	free(s);
}
DEFINE_CLEANUP(struct stager *, stager_clear)

int stage_plan(struct txn *t, struct error *err)
{
	CLEANUP(stager_clear_at) struct stager *s = xcalloc(1, sizeof(*s));
	s->t = t;
	s->copies_fd = -1;
	s->labels = label_is_enabled(NULL);
	s->label_dir = PLAN_NONE;
	s->plan = s->manifest.file = RECORD_FILE_INIT;
	s->buffer = xcalloc(1, SMALL + 1);
	int r = plan_open(t->group_fd, &s->plan, err);
	if (r >= 0)
		r = manifest_create(&s->manifest, t->group_fd, MANIFEST_NEXT, err);
	FAULT("next manifest made");

	/* Modes are exact, whatever the umask of whoever started us. */
	mode_t mask = umask(0);
	if (r >= 0)
		r = each_record(s, on_dir, on_op, err);
	if (r >= 0 && s->closed_dirs)
		r = each_record(s, NULL, close_dir, err);
	umask(mask);
	if (s->labels)
		label_create(NULL);
	if (r >= 0 && !FAULT_DEFECT("no-stage-sync"))
		r = stage_sync(t, true, err);
	if (r >= 0)
		r = manifest_finish(&s->manifest, err);
	FAULT("next manifest durable");
	return r;
}
