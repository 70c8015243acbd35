/* SPDX-License-Identifier: Apache-2.0 */
/* A deployment group while a worker has it: its lock, its directories, its state. */
#pragma once

#include "agent/state.h"
#include "agent/worker/run.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>

#define GROUP_ARCHIVE "deployment-archive"

struct group {
	struct run *run;
	char *id;
	int lock_fd;
	int fd;     /* host/groups/ID */
	int dir_fd; /* deployment-root/ID */
	struct state *state;
};

/* Can it name files, and is it none of the names that deployment-root has for itself? ERR_INPUT. */
int group_check_id(const char *id, struct error *err) MUST_CHECK;

/* What people call the group of that id, by its state, which needs no lock. Caller frees. */
char *group_label_of(struct run *run, const char *id);

/* Only the lock; ERR_BUSY names who has it. Returns the descriptor that holds it. */
int group_lock(struct run *run, const char *id, const char *purpose, struct error *err) MUST_CHECK;

/* Take the lock (ERR_BUSY names who has it), open or make the directories, load the state (an empty
 * one for a new group). purpose stands in the lock file, for that message. must_exist:
 * ERR_NOT_FOUND when nothing was ever deployed in that group. */
int group_open(struct run *run, const char *id, const char *purpose, bool must_exist,
	       struct group *ret, struct error *err) MUST_CHECK;
/* The same for a person at a terminal, who goes before a worker that only waits for the daemon:
 * that has run nothing of its command, and the daemon sends it again. */
int group_claim(struct run *run, const char *id, const char *purpose, bool must_exist,
		struct group *ret, struct error *err) MUST_CHECK;
/* Whether it is claimed so. */
bool group_is_claimed(const struct group *g);
/* Say in the lock file whether this worker only waits; that is what may be claimed. */
void group_say_waiting(const struct group *g, const char *purpose, bool waiting);
void group_clear(struct group *g);
#define auto_group CLEANUP(group_clear)

/* The open deployment; NULL: none. */
static inline struct state_deployment *group_open_deployment(const struct group *g)
{
	return g->state->open;
}

/* Durable. */
int group_save(struct group *g, struct error *err) MUST_CHECK;

/* deployment-root/ID/DEPLOYMENT, made when missing. Returns the descriptor. */
int group_deployment_dir(struct group *g, const char *deployment_id, struct error *err) MUST_CHECK;
/* Its logs directory, made when missing. */
int group_logs_dir(struct group *g, const char *deployment_id, struct error *err) MUST_CHECK;
/* The unpacked revision in the directory of that deployment. -ENOENT when it is gone. */
int group_archive(struct group *g, const char *deployment_id, struct error *err) MUST_CHECK;
char *group_archive_path(const struct group *g, const char *deployment_id);
