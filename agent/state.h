/* SPDX-License-Identifier: Apache-2.0 */
/* What a host remembers of one deployment group: what is installed, which revisions are kept, the
 * deployment that is going on and the last one that ended. Written by the worker under the group's
 * lock, read by anyone. Format: docs/formats/state.md. */
#pragma once

#include "agent/job.h"
#include "agent/paths.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define STATE_MAX_BYTES (4 * 1024 * 1024)
#define STATE_REVISIONS_MAX 500  /* of max_revisions; one takes 1 to 2 KiB */
#define STATE_FINISHED_MAX 64    /* ids of ended deployments that are remembered */
#define STATE_RUNS_MAX 128       /* of scripts, in one deployment; one takes 0.1 to 3 KiB */
#define STATE_RUN_TEXT_MAX 200   /* bytes of a name in them */
#define STATE_CAUSES_MAX 4       /* of one failure; more are not recorded */
#define STATE_CAUSE_TEXT_MAX 400 /* bytes of a text in them */

enum state_step_status {
	STATE_STARTED,
	STATE_SUCCEEDED,
	STATE_FAILED,
	STATE_SKIPPED, /* there was nothing to run */
};
const char *state_step_status_to_string(enum state_step_status status);

/* Begins the message of a step that succeeded and whose scripts left something running, by name. */
#define STATE_LEFT_RUNNING "left running: "

/* Begins the name of a step on the way back. */
#define STATE_ROLLBACK_PREFIX "Rollback: "

/* A script that has ended. Figures are -1 when they are not known. */
struct state_run {
	unsigned number; /* in the names of its output files */
	char *script;    /* as in the AppSpec; long ones lose their beginning */
	bool ok;
	int64_t wall_ms, cpu_ms, memory_peak; /* bytes */
	int64_t tasks;                        /* the most processes and threads at a time */
	char *left_running; /* "nginx (12), nginx (13)"; NULL: nothing. Long ones lose their end */
};

/* What a failure was found to come from. Texts are for people; name is a stable one, evidence a
 * line of the script's output. */
struct state_cause {
	char *name, *text;
	char *evidence; /* NULL: a fact of the host or of the script's end says it */
	char *next;     /* what to do */
};
struct state_causes {
	struct state_cause *list;
	size_t n;
};

struct state_step {
	char *event; /* a lifecycle event, or "Rollback: EVENT" */
	enum state_step_status status;
	double started, ended; /* Unix time; ended is 0 while it runs */
	char *message;         /* NULL: nothing to say */
	struct state_run *runs;
	size_t n_runs;
	struct state_causes causes; /* of a failure on the way back; others are in state_failure */
};

/* Why a deployment failed: the diagnostics of the event, and more for people. */
struct state_failure {
	char *event;
	int code; /* enum wire_error_code */
	char *script_name, *message, *log;
	char *output; /* the last lines that the script printed; NULL: not known */
	struct state_causes causes;
	int exit_code, signal; /* of the script; -1 and 0 when there was none */
	char *shortage;        /* the kernel killed it, or something of it, out of memory: whose, in
				  words; NULL: it did not */
	char *refusal;         /* the kernel refused it a process: whose limit, in words */
	char *error;           /* stable name of our own error, NULL for scripts */
};

enum state_phase {
	STATE_RUNNING,      /* events are walked */
	STATE_COMPLETING,   /* it has succeeded: settle and close, nothing can fail it any more */
	STATE_ROLLING_BACK, /* it has failed: the previous revision is being put back */
	STATE_LEAVING,      /* it has failed: it is being closed as it is */
	STATE_CLOSED,
};

/* One deployment, from its first act to its end. */
struct state_deployment {
	struct job *job;
	enum state_phase phase;
	double started, ended;
	double last_command; /* Unix time at which the last command of the endpoint ended */
	char *archive;    /* deployment whose directory holds the revision, NULL: none unpacked */
	uint64_t bytes;   /* that the revision takes on disk; 0: not known */
	char *appspec;    /* name under which its AppSpec was found */
	char *previous;   /* deployment whose files were in place at its start, NULL: none */
	char *unprepared; /* why the new revision cannot be installed, NULL: it can */
	int unprepared_code;
	char *command, *command_event; /* running command of the endpoint, NULL: none */
	unsigned scripts;              /* that were started: names of output files */
	struct state_step *steps;
	size_t n_steps;
	struct state_failure *failure; /* NULL: none */
	char *rolled_back; /* the rollback is done: deployment whose files are back, "" for none */
	bool undo_failed;  /* a person is needed */
	bool complete;     /* it was the last successful one; traffic events may follow */
	char **left;       /* NULL-terminated: paths that scripts made and that stay; may be NULL */
	bool succeeded;    /* meaning only when closed */
};

/* A revision whose archive is kept. */
struct state_revision {
	char *deployment_id;
	char *archive; /* deployment whose directory holds the archive, often its own */
	char *appspec;
	struct wire_spec *spec;
	bool succeeded;
	double installed; /* Unix time */
	uint64_t bytes;   /* of the archive on disk; 0: not known */
};

struct state {
	char *group_id;
	char *installed;                  /* deployment whose files are in place, NULL: none */
	char *last_successful;            /* the same unless a failed one was left in place */
	char *most_recent;                /* the last that was downloaded */
	struct state_revision *revisions; /* oldest first */
	size_t n_revisions;
	struct state_deployment *open;          /* NULL: none */
	struct state_deployment *last;          /* that ended; NULL: none yet */
	char *finished[STATE_FINISHED_MAX + 1]; /* NULL-terminated, oldest first */
};

/* An empty one. */
struct state *state_new(const char *group_id);
void state_free(struct state *state);
DEFINE_CLEANUP(struct state *, state_free)
#define auto_state CLEANUP(state_free_at)

/**
 * Read state.json of a group directory (host/groups/ID).
 *
 * Returns 0, -ENOENT when nothing was ever deployed in this group, ERR_FORMAT when the file is not
 * what state_save() writes, or another negative errno.
 */
int state_load(int group_dirfd, struct state **ret, struct error *err) MUST_CHECK;
/* Durable before it returns. -EFBIG, and the file stays as it was, when state_load() would refuse
 * the new one. */
int state_save(int group_dirfd, const struct state *state, struct error *err) MUST_CHECK;

/* For the CLI: the state of every group below paths->host, sorted by id, groups without state.json
 * left out. An unreadable one is logged and left out. *ret is the caller's, see state_list_free().
 */
int state_load_all(const struct paths *paths, struct state ***ret, size_t *ret_count,
		   struct error *err) MUST_CHECK;
void state_list_free(struct state **list, size_t count);

json_t *state_to_json(const struct state *state);
int state_from_json(const json_t *doc, struct state **ret, struct error *err) MUST_CHECK;
json_t *state_deployment_to_json(const struct state_deployment *d);
int state_deployment_from_json(const json_t *obj, struct state_deployment **ret,
			       struct error *err) MUST_CHECK;

/* Takes the job over. */
struct state_deployment *state_deployment_new(struct job *job);
void state_deployment_free(struct state_deployment *d);
DEFINE_CLEANUP(struct state_deployment *, state_deployment_free)
#define auto_state_deployment CLEANUP(state_deployment_free_at)
const char *state_deployment_id(const struct state_deployment *d);

/* A new step that has started now; borrowed, valid until the next one is added. */
struct state_step *state_step_start(struct state_deployment *d, const char *event);
/* message is copied; NULL: what the step says already stays. */
void state_step_end(struct state_step *step, enum state_step_status status, const char *message);
/* The last step of that event, NULL when it was never started. */
struct state_step *state_step_find(const struct state_deployment *d, const char *event);
/* Did scripts of the event start? (Not when it was skipped.) */
bool state_step_ran(const struct state_deployment *d, const char *event);
/* A failed deployment whose deeds stand, as was asked: its tree is in place, or its scripts have
 * run and nothing has answered them. */
bool state_is_left(const struct state_deployment *d);
bool state_step_succeeded(const struct state_deployment *d, const char *event);

/* A script of the last step has ended; texts are copied. A run of the same number is replaced; what
 * is more than STATE_RUNS_MAX is not recorded. */
void state_run_add(struct state_deployment *d, const struct state_run *run);

void state_failure_free(struct state_failure *f);

/* Texts are copied; one of a name that is there, or above the ceiling, is left out. */
void state_cause_add(struct state_causes *causes, const struct state_cause *cause);
void state_causes_clear(struct state_causes *causes);
/* New reference. */
json_t *state_causes_to_json(const struct state_causes *causes);
/* From an optional member of that name. */
int state_causes_from_json(const json_t *obj, const char *name, struct state_causes *causes,
			   struct error *err) MUST_CHECK;

/* What people call a group: "APPLICATION/GROUP" of an endpoint's, whose id nobody can remember,
 * else the id. d: a deployment of it, may be NULL. Caller frees. */
char *state_group_label(const struct state_deployment *d, const char *group_id);
/* The same, of the group whose state that is. */
char *state_label(const struct state *state);
/* Do the two names in this specification say more than the id? */
bool state_has_names(const struct wire_spec *spec, const char *group_id);

/* NULL when it is not kept (any more). */
struct state_revision *state_revision_find(const struct state *state, const char *deployment_id);
/* What a rollback goes back to: the newest successful one of another revision than the installed
 * one, which may have been deployed more than once from its archive. NULL: none. */
const struct state_revision *state_revision_before(const struct state *state);
/* Add it as the newest (one of the same deployment is replaced); spec is copied. */
void state_revision_add(struct state *state, const struct state_deployment *d, bool succeeded);
void state_revision_remove(struct state *state, const char *deployment_id);

bool state_has_finished(const struct state *state, const char *deployment_id);
/* Move the open deployment to last: its phase is CLOSED, its end is now. */
void state_close(struct state *state, bool succeeded);
/* The other way: the last one goes on (there is no open one). */
void state_reopen(struct state *state);
