/* SPDX-License-Identifier: Apache-2.0 */
/* The install transaction: carry a plan out so that after kill -9 or a power cut at any instant,
 * once install_recover() has run, every destination is exactly the old tree or exactly the new one.
 * Journal: docs/formats/journal.md, in group_fd; states staged -> committed -> installed ->
 * settled, or undoing -> undone.
 * The caller holds the group's lock and the lock of the install. */
#pragma once

#include "common/error.h"

#include <stdint.h>

enum install_state {
	INSTALL_NONE,      /* no transaction: nothing to do */
	INSTALL_STAGED,    /* begun, not committed: recovery discards the stage */
	INSTALL_COMMITTED, /* recovery rolls forward */
	INSTALL_INSTALLED, /* new tree in place, old one still in the stage: may be undone or
			      settled */
	INSTALL_UNDOING,   /* recovery finishes the undo */
	INSTALL_SETTLING,  /* the new tree stands; recovery finishes the settle */
};

/* Which transaction this group has on disk, and for which deployment (ret_deployment may be NULL;
 * caller frees). */
int install_state(int group_fd, enum install_state *ret, char **ret_deployment,
		  struct error *err) MUST_CHECK;

/* Stage, commit and switch the plan in group_fd. archive_fd: the revision it was made from. Returns
 * 0: installed, not settled. On error the tree is the old one again and no transaction is left (the
 * code tells why: ERR_CONFLICT, -ENOSPC ...), except ERR_UNDO: the undo failed, the stage is kept,
 * a person is needed; and ERR_NOT_MOUNTED. progress may be NULL. */
typedef void install_progress_fn(uint64_t done, uint64_t total, void *arg);
int install_run(int group_fd, int archive_fd, const char *deployment_id,
		install_progress_fn *progress, void *arg, struct error *err) MUST_CHECK;

/* From INSTALL_INSTALLED (or _UNDOING): put the old tree back; ends in INSTALL_NONE, the manifest
 * is the previous one. What others put into directories that the new revision made stays; kept (may
 * be NULL) is called for each such path. ERR_UNDO as above. Where the old tree is back and only the
 * stage cannot be removed, that is left to install_recover(). */
typedef void install_kept_fn(const char *path, void *arg);
int install_undo(int group_fd, install_kept_fn *kept, void *arg, struct error *err) MUST_CHECK;

/* From INSTALL_INSTALLED: the new tree stands. The manifest becomes the new one (durably) before
 * the first unlink of the stage. Ends in INSTALL_NONE. */
int install_settle(int group_fd, struct error *err) MUST_CHECK;

/* After a crash: bring the transaction to INSTALL_NONE (tree is old) or INSTALL_INSTALLED (tree is
 * new), in the direction that the journal has recorded; finishes a settle that had begun.
 * ERR_NOT_MOUNTED: a destination's file system is not there; nothing was done, try later. */
int install_recover(int group_fd, enum install_state *ret, struct error *err) MUST_CHECK;

/* The group's manifest (what it has installed) as it is now: path is absolute, type 'f' 'd' 'l'. */
typedef int install_manifest_fn(const char *path, char type, void *arg);
int install_manifest_each(int group_fd, install_manifest_fn *fn, void *arg,
			  struct error *err) MUST_CHECK;
