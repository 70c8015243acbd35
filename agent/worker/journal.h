/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of an install transaction. Format, states and what recovery does in each:
 * docs/formats/journal.md. */
#pragma once

#include "agent/worker/live.h"
#include "agent/worker/plan-file.h"
#include "agent/worker/record.h"

#define JOURNAL "journal"
#define JOURNAL_TXID_LEN 16

enum journal_state {
	JOURNAL_STAGED, /* no state record yet */
	JOURNAL_COMMITTED,
	JOURNAL_INSTALLED,
	JOURNAL_UNDOING,
	JOURNAL_UNDONE,
	JOURNAL_SETTLED,
	JOURNAL_STATE_COUNT
};
const char *journal_state_to_string(enum journal_state state);

enum journal_kind {
	JOURNAL_PUT = 1, /* a file or symlink over another */
	JOURNAL_CREATE,
	JOURNAL_DELETE,
	JOURNAL_RMDIR,
	JOURNAL_EXCHANGE, /* file against directory, either way */
	JOURNAL_META,     /* owner and mode of a directory */
	JOURNAL_KIND_END
};

struct journal_op {
	enum journal_kind kind;
	char type; /* of the new object, 0: none */
	uint32_t number, dir;
	struct live_object old;
	uint64_t new_ino;
	uint32_t mode, uid, gid; /* JOURNAL_META: the new values */
	/* Borrowed until the next call on the journal. */
	const char *path;
	bool has_acl; /* JOURNAL_META: the ACLs are part of it */
	struct acl access, bequeath, old_access, old_bequeath;
	const char *label, *old_label; /* JOURNAL_META, SELinux; label "": not touched */
};

struct journal_mount {
	char *path; /* of the stage's parent */
	uint32_t magic;
	struct live_ident parent, stage;
	bool has_stage;
};

struct journal_dir {
	uint64_t ino;
	uint32_t mount, mode, uid, gid;
	bool inherit;
};

struct journal {
	int group_fd; /* borrowed */
	struct record_file file;
	char txid[JOURNAL_TXID_LEN + 1];
	char *deployment;
	bool same_boot; /* it was begun since this boot */
	enum journal_state state;
	struct journal_mount *mounts;
	uint32_t n_mounts;
	struct journal_dir *dirs;
	uint32_t n_dirs;
	uint64_t *ops; /* offsets */
	uint32_t n_ops;
	uint64_t state_at; /* of the state that was set, or tried to be set, last */
	struct record_out out;
};
void journal_free(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_free)
#define auto_journal CLEANUP(journal_free_at)

/* A new one with the mounts of the plan, durable before it returns. -EEXIST when there is one.
 * mounts are taken over, also on error. */
int journal_begin(int group_fd, const char *deployment, struct journal_mount *mounts,
		  uint32_t n_mounts, struct journal **ret, struct error *err) MUST_CHECK;
/* -ENOENT when there is no transaction. */
int journal_load(int group_fd, struct journal **ret, struct error *err) MUST_CHECK;

/* Before committed; not durable by themselves. */
int journal_add_stage(struct journal *j, uint32_t mount, const struct live_ident *stage,
		      struct error *err) MUST_CHECK;
int journal_add_dir(struct journal *j, const struct plan_dir *dir, struct error *err) MUST_CHECK;
int journal_add_op(struct journal *j, const struct journal_op *op, struct error *err) MUST_CHECK;

/* Append a state, durable before it returns. */
int journal_set_state(struct journal *j, enum journal_state state, struct error *err) MUST_CHECK;
/* After journal_set_state() has failed: make sure that nobody finds that state later. It may be on
 * disk, whatever the failure was. */
int journal_retract(struct journal *j, struct error *err) MUST_CHECK;

/* Operation i of n_ops. */
int journal_op_at(struct journal *j, uint32_t i, struct journal_op *ret,
		  struct error *err) MUST_CHECK;

/* The end of the transaction: the file goes. */
int journal_remove(struct journal *j, struct error *err) MUST_CHECK;
