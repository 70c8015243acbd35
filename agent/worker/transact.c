// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/transact.h"

#include "agent/worker/prepare.h"
#include "common/fs.h"

#define WAIT_MS ((uint64_t)10 * 60 * 1000)

int transact_lock(struct run *run, struct error *err)
{
	int fd = fs_lock(run->locks_fd, "install", WAIT_MS, err);
	if (fd == ERR_BUSY)
		return error_set(err, ERR_BUSY, "another group has been installing for %d minutes",
				 (int)(WAIT_MS / 60000));
	return fd;
}

static void tell_progress(uint64_t done, uint64_t total, void *arg)
{
	struct group *g = arg;
	caller_progress(&g->run->caller, "install", done, total);
}

/* The live tree may have changed since the plan of the first command: plan again. */
static int plan(struct group *g, const struct hooks_revision *revision, int *ret_archive_fd,
		struct error *err)
{
	struct plan_summary summary;
	if (!revision)
		return prepare_plan(g, -1, NULL, NULL, 0, &summary, err);
	auto_close int archive_fd = group_archive(g, revision->archive, err);
	if (archive_fd < 0)
		return archive_fd;
	auto_spec struct spec *spec = NULL;
	auto_problems struct problems problems = {0};
	int r = spec_load(archive_fd, revision->appspec, &spec, NULL, &problems, err);
	if (r < 0)
		return r;
	r = prepare_plan(g, archive_fd, spec, revision->spec->file_exists, 0, &summary, err);
	if (r < 0)
		return r;
	*ret_archive_fd = TAKE_FD(archive_fd);
	return 0;
}

int transact_install(struct group *g, const struct hooks_revision *revision,
		     const char *deployment_id, struct error *err)
{
	auto_close int lock_fd = transact_lock(g->run, err);
	if (lock_fd < 0)
		return lock_fd;
	auto_close int archive_fd = -1;
	int r = plan(g, revision, &archive_fd, err);
	if (r >= 0)
		r = group_save(g, err);
	if (r >= 0)
		r = install_run(g->fd, archive_fd, deployment_id, tell_progress, g, err);
	return r < 0 ? r : 0;
}

int transact_settle(struct group *g, struct error *err)
{
	enum install_state state;
	int r = install_state(g->fd, &state, NULL, err);
	if (r < 0 || (state != INSTALL_INSTALLED && state != INSTALL_SETTLING))
		return r;
	auto_close int lock_fd = transact_lock(g->run, err);
	if (lock_fd < 0)
		return lock_fd;
	if (state == INSTALL_SETTLING)
		return install_recover(g->fd, &state, err);
	return install_settle(g->fd, err);
}

int transact_undo(struct group *g, install_kept_fn *kept, void *arg, struct error *err)
{
	enum install_state state;
	int r = install_state(g->fd, &state, NULL, err);
	/* Committed: an install that failed and could not even begin to undo. Left like that, the
	 * next recovery would finish it. */
	bool open = state == INSTALL_INSTALLED || state == INSTALL_UNDOING ||
		    state == INSTALL_COMMITTED;
	if (r < 0 || !open)
		return r;
	auto_close int lock_fd = transact_lock(g->run, err);
	if (lock_fd < 0)
		return lock_fd;
	r = install_undo(g->fd, kept, arg, err);
	return r < 0 ? r : 1;
}

int transact_recover(struct group *g, enum install_state *ret, struct error *err)
{
	int r = install_state(g->fd, ret, NULL, err);
	if (r < 0 || *ret == INSTALL_INSTALLED)
		return r;
	/* Nobody else reads what a plan has left in this group. */
	if (*ret == INSTALL_NONE)
		return install_recover(g->fd, ret, err);
	auto_close int lock_fd = transact_lock(g->run, err);
	if (lock_fd < 0)
		return lock_fd;
	return install_recover(g->fd, ret, err);
}

int transact_check_idle(struct group *g, struct error *err)
{
	enum install_state state;
	int r = install_state(g->fd, &state, NULL, err);
	if (r < 0)
		return r;
	if (!g->state->open && state == INSTALL_NONE)
		return 0;
	auto_free char *label = state_label(g->state);
	if (!g->state->open)
		return error_set(err, ERR_BUSY,
				 "group '%s': an install was interrupted; 'slipway recover' puts "
				 "it right",
				 label);
	return error_set(err, ERR_BUSY,
			 "group '%s' is busy: deployment '%s' is going on; 'slipway status' says "
			 "how far it is, and 'slipway recover' finishes what a crash left",
			 label, state_deployment_id(g->state->open));
}
