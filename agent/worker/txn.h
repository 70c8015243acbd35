/* SPDX-License-Identifier: Apache-2.0 */
/* A transaction at work; only install.c, stage*.c, switch.c and undo.c include this.
 *
 *   install.c       the phases in order, and recovery
 *   stage.c         staging directories: made, found again, removed
 *   stage-object.c  what goes into them
 *   switch.c        operations forward
 *   stand-in.c      directories that no rename takes away
 *   undo.c          operations backward
 */
#pragma once

#include "agent/worker/install.h"
#include "agent/worker/journal.h"
#include "agent/worker/manifest.h"

#include <limits.h>

#define STAGE_NAME_MAX 64
#define STAGE_PREFIX ".slipway-"

struct txn_mount {
	int parent_fd;
	int fd; /* the staging directory; -1: it is not there */
	struct live_mount id;
	bool gone; /* a file system in memory that did not survive the boot */
};

struct txn {
	int group_fd, archive_fd;
	struct journal *journal;  /* owned */
	struct txn_mount *mounts; /* as the journal's */

	/* The destination directory that was opened last. */
	uint32_t dir;
	int dir_fd;

	install_progress_fn *progress;
	void *progress_arg;
	uint64_t done, total;

	/* Something could not be put back: now nothing is made again and nothing moves aside. What
	 * is in the way may go when the undo is repeated. */
	bool cautious;

	install_kept_fn *kept;
	void *kept_arg;
};
void txn_free(struct txn *t);
DEFINE_CLEANUP(struct txn *, txn_free)
#define auto_txn CLEANUP(txn_free_at)
void txn_progress(struct txn *t);

/* stage.c */
/* Make the staging directory of every mount and journal it; ERR_NOT_MOUNTED when a parent is not
 * the one of the plan. */
int stage_make(struct txn *t, struct error *err) MUST_CHECK;
/* Open the parents, check that they are the journalled ones (ERR_NOT_MOUNTED), and the staging
 * directories. needed: each must be there, and be ours. */
int stage_open(struct txn *t, bool needed, struct error *err) MUST_CHECK;
int stage_remove(struct txn *t, struct error *err) MUST_CHECK;
/* Make durable what was done on every mount; content: of what was staged, too. Without it only
 * names and metadata have changed since the last time. */
int stage_sync(struct txn *t, bool content, struct error *err) MUST_CHECK;
/* Of an operation: the name of its staged object (inherit: its parent bequeaths something) and of
 * the old object. out has STAGE_NAME_MAX bytes. */
void stage_new_name(uint32_t number, uint32_t dir, bool inherit, char *out);
void stage_old_name(uint32_t number, char *out);
/* The directory of the staged objects of a parent that has something to bequeath. */
void stage_heir_name(uint32_t dir, char *out);

/* stage-object.c */
/* Everything that the plan wants: objects into the stage, directories and operations into the
 * journal, the result into manifest.next (finished and synced). */
int stage_plan(struct txn *t, struct error *err) MUST_CHECK;

/* What an operation acts on. */
struct txn_site {
	struct journal_op op;
	char path[PATH_MAX]; /* op.path points here */
	const char *name;    /* in dir_fd */
	int dir_fd;          /* borrowed; -1 when backward and it cannot be made again */
	int dir_error;       /* why it could not be opened: negative errno */
	int stage_fd;
	char new_name[STAGE_NAME_MAX], old_name[STAGE_NAME_MAX];
};
/* Read operation i. Returns 1, or 0 when its mount is gone. Opens no directory. */
int txn_site(struct txn *t, uint32_t i, struct txn_site *ret, struct error *err) MUST_CHECK;
/* Open its destination directory. */
enum txn_open {
	OPEN_PLANNED, /* it must be the planned one (ERR_CONFLICT) */
	OPEN_PRESENT, /* it may have been replaced, on the same mount */
	OPEN_AGAIN,   /* and is made again when it is missing */
};
int txn_site_open(struct txn *t, struct txn_site *s, enum txn_open how,
		  struct error *err) MUST_CHECK;
/* Returns 1, 0 or negative errno. */
int txn_dir_is_empty(int fd) MUST_CHECK;
/* From errno, with what a person can do about it. Returns the code. */
int txn_failed(const char *what, const char *path, struct error *err);
/* Is something else mounted over a destination since the plan? ERR_NOT_MOUNTED: it has to go before
 * anything can be done. */
int txn_check_mounts(struct txn *t, struct error *err) MUST_CHECK;
/* The same for a directory by its path and what the journal remembers of it. Where it is not the
 * planned one, nobody may have put another's there (see way.h); OPEN_AGAIN: it, and those above
 * that are missing, are made again. Returns the descriptor or negative errno, for txn_dir_failed().
 */
int txn_dir_open(const struct txn *t, const struct journal_dir *d, const char *path,
		 enum txn_open how) MUST_CHECK;
int txn_dir_failed(int fd, const char *path, struct error *err);

/* Metadata of an open directory. Returns 0 or negative errno, also in errno. */
struct txn_meta {
	uint32_t uid, gid, mode;
	bool has_acl; /* else they are left alone */
	struct acl access, bequeath;
	const char *label; /* "": left alone */
};
int txn_meta_set(int fd, const struct txn_meta *m) MUST_CHECK;

/* switch.c */
int switch_run(struct txn *t, struct error *err) MUST_CHECK;
/* The object of an operation, forward or backward, in the order: plain operations, exchanges,
 * metadata. */
enum txn_pass { PASS_PLAIN, PASS_EXCHANGE, PASS_META, PASS_COUNT };
enum txn_pass txn_pass(enum journal_kind kind);

/* stand-in.c: a directory that cannot be renamed into the stage. N.old is a new one then. */
bool stand_in_is(const struct txn_site *s, const struct live_object *old);
int stand_in_make(struct txn_site *s, struct error *err) MUST_CHECK;
int stand_in_drop(struct txn_site *s, struct error *err) MUST_CHECK;
/* Forward, once it is made. */
int stand_in_rmdir(struct txn *t, struct txn_site *s, struct error *err) MUST_CHECK;
int stand_in_exchange(struct txn *t, struct txn_site *s, struct error *err) MUST_CHECK;

/* undo.c */
/* Walk back. Goes on after a failure, so that as much as possible is the old tree; then below 0. */
int undo_run(struct txn *t, struct error *err) MUST_CHECK;
/* Directories that the switch took away and in which something appeared since: put back, before the
 * stage is removed. */
int undo_rescue(struct txn *t, struct error *err) MUST_CHECK;
