// SPDX-License-Identifier: Apache-2.0
/* The transaction, phase by phase. What is durable before what, and what recovery does after each,
 * is in docs/formats/journal.md. */
#include "agent/worker/install.h"

#include "agent/worker/fault.h"
#include "agent/worker/txn.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

static struct txn *txn_new(int group_fd)
{
	struct txn *t = xcalloc(1, sizeof(*t));
	t->group_fd = group_fd;
	t->archive_fd = t->dir_fd = -1;
	return t;
}

static int unlink_group(struct txn *t, const char *name, struct error *err)
{
	if (unlinkat(t->group_fd, name, 0) < 0 && errno != ENOENT)
		return error_errno(err, "remove %s", name);
	FAULT("group file removed");
	return 0;
}

/* The last step of every transaction whose tree is the old one. */
static int drop(struct txn *t, struct error *err)
{
	int r = stage_remove(t, err);
	if (r >= 0)
		r = unlink_group(t, MANIFEST_NEXT, err);
	if (r >= 0)
		r = unlink_group(t, PLAN, err);
	return r < 0 ? r : journal_remove(t->journal, err);
}

/* Read the plan once for its mounts and its size; nothing is done with one that is cut off. */
static int plan_mounts(int group_fd, struct journal_mount **ret, uint32_t *ret_n, uint64_t *ret_ops,
		       struct error *err)
{
	auto_record_file struct record_file f = RECORD_FILE_INIT;
	auto_free struct journal_mount *mounts = NULL;
	uint32_t n = 0;
	int r = plan_open(group_fd, &f, err);
	while (r >= 0) {
		struct record rec;
		struct plan_mount m;
		struct plan_end end;
		r = plan_next(&f, &rec, err);
		if (r >= 0 && rec.type == PLAN_REC_MOUNT) {
			r = plan_mount_get(&rec, &m, err);
			if (r < 0)
				break;
			mounts = xrealloc_array(mounts, (size_t)n + 1, sizeof(*mounts));
			mounts[n++] = (struct journal_mount){
				.path = xstrdup(m.path), .magic = m.magic, .parent = m.parent};
		} else if (r >= 0 && rec.type == PLAN_REC_END) {
			r = plan_end_get(&rec, &end, err);
			if (r < 0)
				break;
			*ret = TAKE(mounts);
			*ret_n = n;
			*ret_ops = end.ops;
			return 0;
		}
	}
	for (uint32_t i = 0; i < n; i++)
		free(mounts[i].path);
	return r;
}

/* Its name must be durable with the journal's, see journal_begin(). */
static int make_next_manifest(int group_fd, struct error *err)
{
	if (faccessat(group_fd, JOURNAL, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return error_set(err, ERR_BUSY,
				 "another installation has not ended; run 'slipway recover'");
	auto_close int fd = openat(group_fd, MANIFEST_NEXT,
				   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, "create %s", MANIFEST_NEXT);
	FAULT("next manifest named");
	return 0;
}

static int begin(struct txn *t, const char *deployment_id, struct error *err)
{
	struct journal_mount *mounts = NULL;
	uint32_t n = 0;
	uint64_t ops = 0;
	int r = make_next_manifest(t->group_fd, err);
	if (r >= 0)
		r = plan_mounts(t->group_fd, &mounts, &n, &ops, err);
	if (r >= 0)
		r = journal_begin(t->group_fd, deployment_id, mounts, n, &t->journal, err);
	t->total = 2 * ops; /* the switch is counted when it is known */
	if (r < 0 && r != ERR_BUSY && r != -EEXIST) {
		fs_unlink_quiet(t->group_fd, MANIFEST_NEXT);
		fs_unlink_quiet(t->group_fd, PLAN);
	}
	return r;
}

/* The old tree is back and durable: what is left is for the next recovery. */
static void drop_or_leave(struct txn *t)
{
	struct error err = {0};
	if (drop(t, &err) < 0)
		log_warning("cannot take the stage away: %s", err.text);
}

/* Walk back, make it durable, take the stage away. */
static int undo(struct txn *t, struct error *err)
{
	int r = t->journal->state == JOURNAL_UNDOING
			? 0
			: journal_set_state(t->journal, JOURNAL_UNDOING, err);
	if (r >= 0)
		r = txn_check_mounts(t, err);
	if (r >= 0 && !FAULT_DEFECT("undo-nothing"))
		r = undo_run(t, err);
	if (r >= 0)
		r = stage_sync(t, false, err);
	if (r >= 0)
		r = journal_set_state(t->journal, JOURNAL_UNDONE, err);
	if (r < 0)
		return r == ERR_UNDO || r == ERR_NOT_MOUNTED ? r
							     : error_prefix(err, ERR_UNDO, "undo");
	drop_or_leave(t);
	return 0;
}

/* After a failure past committed: the old tree again, and the failure stays the reason. */
static int back_out(struct txn *t, int r, struct error *err)
{
	struct error why = {0};
	int u = undo(t, &why);
	if (u >= 0)
		return r;
	return error_prefix(err, u, "%s; after", why.text);
}

static int switch_all(struct txn *t, struct error *err)
{
	int r = switch_run(t, err);
	if (r >= 0)
		r = stage_sync(t, false, err);
	return r < 0 ? r : journal_set_state(t->journal, JOURNAL_INSTALLED, err);
}

/* ERR_UNDO: it may have been committed or not, only recovery can tell. The stage must stay. */
static int commit(struct txn *t, struct error *err)
{
	struct error why = {0};
	if (FAULT_DEFECT("no-commit-record"))
		return 0;
	int r = journal_set_state(t->journal, JOURNAL_COMMITTED, err);
	if (r >= 0 || journal_retract(t->journal, &why) >= 0)
		return r;
	return error_prefix(err, ERR_UNDO,
			    "nothing was changed yet, but the journal does not take it back (%s); "
			    "run 'slipway recover'; after",
			    why.text);
}

int install_run(int group_fd, int archive_fd, const char *deployment_id,
		install_progress_fn *progress, void *arg, struct error *err)
{
	auto_txn struct txn *t = txn_new(group_fd);
	struct error local = {0};
	err = err ? err : &local;
	t->archive_fd = archive_fd;
	t->progress = progress;
	t->progress_arg = arg;

	int r = begin(t, deployment_id, err);
	if (r < 0)
		return r;
	r = stage_make(t, err);
	if (r >= 0)
		r = stage_plan(t, err);
	if (r >= 0)
		r = commit(t, err);
	if (r == ERR_UNDO)
		return r;
	if (r < 0) {
		drop_or_leave(t);
		return r;
	}
	t->total = t->done + t->journal->n_ops;
	r = switch_all(t, err);
	return r < 0 ? back_out(t, r, err) : 0;
}

/* The transaction of the group. Returns 1, 0 when there is none, or below 0. */
static int load(int group_fd, struct txn **ret, struct error *err)
{
	auto_txn struct txn *t = txn_new(group_fd);
	int r = journal_load(group_fd, &t->journal, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret = TAKE(t);
	return 1;
}

static const enum install_state states[JOURNAL_STATE_COUNT] = {
	[JOURNAL_STAGED] = INSTALL_STAGED,       [JOURNAL_COMMITTED] = INSTALL_COMMITTED,
	[JOURNAL_INSTALLED] = INSTALL_INSTALLED, [JOURNAL_UNDOING] = INSTALL_UNDOING,
	[JOURNAL_UNDONE] = INSTALL_UNDOING,      [JOURNAL_SETTLED] = INSTALL_SETTLING,
};

int install_state(int group_fd, enum install_state *ret, char **ret_deployment, struct error *err)
{
	auto_txn struct txn *t = NULL;
	int r = load(group_fd, &t, err);
	if (r < 0)
		return r;
	*ret = r ? states[t->journal->state] : INSTALL_NONE;
	if (ret_deployment)
		*ret_deployment = r ? xstrdup(t->journal->deployment) : NULL;
	return 0;
}

static int finish_settle(struct txn *t, struct error *err)
{
	if (renameat(t->group_fd, MANIFEST_NEXT, t->group_fd, MANIFEST) < 0 && errno != ENOENT)
		return error_errno(err, "put the manifest in place");
	FAULT("manifest replaced");
	int r = fs_sync_dir(t->group_fd, err);
	FAULT("manifest durable");
	if (r >= 0)
		r = undo_rescue(t, err);
	if (r >= 0)
		r = stage_remove(t, err);
	if (r >= 0)
		r = unlink_group(t, PLAN, err);
	return r < 0 ? r : journal_remove(t->journal, err);
}

int install_settle(int group_fd, struct error *err)
{
	auto_txn struct txn *t = NULL;
	int r = load(group_fd, &t, err);
	if (r < 0)
		return r;
	if (r == 0 ||
	    (t->journal->state != JOURNAL_INSTALLED && t->journal->state != JOURNAL_SETTLED))
		return error_set(err, -EINVAL, "there is no finished installation to settle");
	r = stage_open(t, false, err);
	if (r >= 0 && t->journal->state == JOURNAL_INSTALLED)
		r = journal_set_state(t->journal, JOURNAL_SETTLED, err);
	return r < 0 ? r : finish_settle(t, err);
}

static int undo_loaded(struct txn *t, struct error *err)
{
	if (t->journal->state == JOURNAL_UNDONE) {
		int r = stage_open(t, false, err);
		return r < 0 ? r : drop(t, err);
	}
	int r = stage_open(t, true, err);
	return r < 0 ? r : undo(t, err);
}

int install_undo(int group_fd, install_kept_fn *kept, void *arg, struct error *err)
{
	struct error local = {0};
	err = err ? err : &local;
	auto_txn struct txn *t = NULL;
	int r = load(group_fd, &t, err);
	if (r < 0)
		return r;
	if (r == 0 || t->journal->state == JOURNAL_STAGED || t->journal->state == JOURNAL_SETTLED)
		return error_set(err, -EINVAL, "there is no installation to undo");
	t->kept = kept;
	t->kept_arg = arg;
	bool undone = t->journal->state == JOURNAL_UNDONE;
	r = undo_loaded(t, err);
	if (r < 0 && undone) {
		log_warning("cannot take the stage away: %s", err->text);
		r = 0;
	}
	return r;
}

static int discard(struct txn *t, struct error *err)
{
	int r = stage_open(t, false, err);
	return r < 0 ? r : drop(t, err);
}

/* Forward, or back when the tree has changed since. */
static int roll_forward(struct txn *t, enum install_state *ret, struct error *err)
{
	int r = stage_open(t, true, err);
	if (r < 0)
		return r;
	r = txn_check_mounts(t, err);
	if (r < 0)
		return r;
	r = switch_all(t, err);
	if (r >= 0) {
		*ret = INSTALL_INSTALLED;
		return 0;
	}
	log_warning("the interrupted installation cannot be finished and is undone: %s", err->text);
	*ret = INSTALL_NONE;
	return undo(t, err);
}

int install_recover(int group_fd, enum install_state *ret, struct error *err)
{
	struct error local = {0};
	err = err ? err : &local;
	auto_txn struct txn *t = NULL;
	int r = load(group_fd, &t, err);
	if (r < 0)
		return r;
	enum install_state end = INSTALL_NONE;
	if (r == 0) {
		/* Killed before it began: these two belong to nothing. */
		fs_unlink_quiet(group_fd, MANIFEST_NEXT);
		fs_unlink_quiet(group_fd, PLAN);
	}
	switch (r == 0 ? JOURNAL_STATE_COUNT : t->journal->state) {
	case JOURNAL_STAGED:
		r = discard(t, err);
		break;
	case JOURNAL_COMMITTED:
		r = roll_forward(t, &end, err);
		break;
	case JOURNAL_INSTALLED:
		end = INSTALL_INSTALLED;
		break;
	case JOURNAL_UNDOING:
	case JOURNAL_UNDONE:
		r = undo_loaded(t, err);
		break;
	case JOURNAL_SETTLED:
		r = stage_open(t, false, err);
		if (r >= 0)
			r = finish_settle(t, err);
		break;
	default:
		break;
	}
	if (r < 0)
		return r;
	*ret = end;
	return 0;
}

struct each {
	install_manifest_fn *fn;
	void *arg;
};

static int each_entry(const struct manifest_entry *e, void *arg, struct error *err)
{
	const struct each *each = arg;
	(void)err;
	return each->fn(e->path, e->type, each->arg);
}

int install_manifest_each(int group_fd, install_manifest_fn *fn, void *arg, struct error *err)
{
	struct each each = {fn, arg};
	int r = manifest_stream(group_fd, MANIFEST, each_entry, &each, err);
	return r == -ENOENT ? 0 : r;
}
