// SPDX-License-Identifier: Apache-2.0
/* One command, in the order of docs/formats/worker.md. Until the state is saved for the first time,
 * inside the first step that acts, nothing has happened: a worker that dies before is as if it had
 * never been. */
#include "agent/worker/command.h"

#include "agent/messages.h"
#include "agent/result.h"
#include "agent/worker/fetched.h"
#include "agent/worker/finish.h"
#include "agent/worker/layout.h"
#include "agent/worker/lifecycle.h"
#include "agent/worker/prepare.h"
#include "agent/worker/recover.h"
#include "agent/worker/report.h"
#include "agent/worker/reuse.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/room.h"
#include "common/str.h"

#include <string.h>


/* What is known of the command while it is carried out. */
struct command {
	struct run *run;
	struct wire_command *wire;
	struct wire_spec *spec; /* NULL until verified, and once the job has it */
	bool acked;
	struct group g;
};

static void command_clear(struct command *c)
{
	wire_command_free(c->wire);
	wire_spec_free(c->spec);
	group_clear(&c->g);
}

static void name_result(struct command *c, json_t *result)
{
	char name[40];
	result_name(c->wire->id, name);
	enum wire_status status = WIRE_FAILED;
	if (!report_exists(c->run, c->wire->id, &status))
		return;
	json_set_str(result, "file", name);
	json_set_str(result, "status", wire_status_to_string(status));
}

/* The command has its result already. */
static bool say_known(struct command *c, json_t *result)
{
	if (!report_exists(c->run, c->wire->id, NULL))
		return false;
	char name[40];
	result_name(c->wire->id, name);
	json_t *event = caller_event("known");
	json_set_str(event, "result", name);
	caller_say(&c->run->caller, event);
	name_result(c, result);
	return true;
}

/* Nothing is run; the endpoint hears why. */
static int refuse(struct command *c, int exit_code, json_t *result, struct error *err)
{
	const char *const fields[] = {"GROUP_ID", c->g.id, NULL};
	log_event(LOG_WARNING, MESSAGE_COMMAND_REFUSED, fields, "command refused: %s", err->text);
	const struct report report = {
		.command_id = c->wire->id,
		.event = c->wire->name,
		.group_id = c->g.id,
		.deployment_id = c->spec ? c->spec->deployment_id : NULL,
		.code = WIRE_UNKNOWN_ERROR,
		.message = err->text,
		/* Another deployment may be open: orphan_timeout goes on for that one. */
		.open = c->g.state && c->g.state->open,
	};
	struct error quiet = {0};
	if (report_write(c->run, &report, &quiet) < 0)
		log_error("%s", quiet.text);
	name_result(c, result);
	return exit_code;
}

static int parse(struct run *run, const json_t *message, struct command *c, struct error *err)
{
	json_t *command = NULL;
	int r;
	if ((r = json_need_obj(message, "command", &command, err)) < 0 ||
	    (r = json_opt_bool(message, "acked", &c->acked, err)) < 0)
		return r;
	c->run = run;
	return wire_command_from_json(command, &c->wire, err);
}

enum belongs { BELONGS_NEW, BELONGS_OPEN, BELONGS_LAST };

/* Which deployment of the group the command is for; below 0 when it may not go on. */
static int find_deployment(struct command *c, struct error *err)
{
	const struct state *state = c->g.state;
	const char *id = c->spec->deployment_id, *event = c->wire->name;
	if (state->open && strcmp(state_deployment_id(state->open), id) == 0)
		return BELONGS_OPEN;
	const struct state_deployment *last = state->last;
	if (!last || strcmp(state_deployment_id(last), id) != 0)
		return state_has_finished(state, id)
			       ? error_set(err, -EINVAL, "deployment '%s' has ended on this host",
					   id)
			       : BELONGS_NEW;
	bool later = job_position(event) >
		     job_position(last->failure ? last->failure->event
						: wire_event_to_string(WIRE_VALIDATE_SERVICE));
	bool goes_on =
		last->succeeded ? last->complete : job_failure_is_ignorable(last->failure->event);
	if (later && goes_on && !state->open)
		return BELONGS_LAST;
	if (last->succeeded)
		return error_set(err, -EINVAL, "deployment '%s' is complete on this host", id);
	return error_set(err, -EINVAL, "deployment '%s' has failed on this host already: %s", id,
			 last->failure->message);
}

static struct state_deployment *new_deployment(struct command *c)
{
	struct job *job = xcalloc(1, sizeof(*job));
	job->verb = JOB_ENDPOINT;
	job->spec = TAKE(c->spec);
	job->rollback = c->run->settings.local_rollback;
	struct state_deployment *d = state_deployment_new(job);
	d->previous = xstrdup_null(c->g.state->installed);
	return d;
}

/* Not the ETag: the first command may have learnt it from the download. */
static bool is_same_revision(const struct wire_spec *a, const struct wire_spec *b)
{
	if (a->sha256 || b->sha256)
		return str_eq(a->sha256, b->sha256);
	return a->revision_type == b->revision_type && str_eq(a->bucket, b->bucket) &&
	       str_eq(a->key, b->key) && str_eq(a->version, b->version) &&
	       str_eq(a->account, b->account) && str_eq(a->repository, b->repository) &&
	       str_eq(a->commit, b->commit);
}

static int check_same_revision(struct command *c, struct error *err)
{
	if (is_same_revision(c->g.state->open->job->spec, c->spec))
		return 0;
	return error_set(err, ERR_SIGNATURE,
			 "deployment '%s' names another bundle than in its first command",
			 c->spec->deployment_id);
}

/* An older deployment that the endpoint has left for this one ends before anything of this one. */
static int make_open(struct command *c, int belongs, struct error *err)
{
	struct state *state = c->g.state;
	if (belongs == BELONGS_OPEN)
		return 0;
	if (state->open) {
		auto_free char *why = xasprintf("the endpoint went on with deployment '%s'",
						c->spec->deployment_id);
		int r = recover_abandon(&c->g, why, err);
		if (r < 0)
			return r;
	}
	if (belongs == BELONGS_LAST)
		state_reopen(state);
	else
		state->open = new_deployment(c);
	return 0;
}

/* Asked before anything is changed: as if the deployment were open. */
static bool is_noop(struct command *c, int belongs)
{
	struct state *state = c->g.state;
	if (belongs == BELONGS_OPEN)
		return lifecycle_is_noop(&c->g, c->wire->name);
	struct state_deployment *open = TAKE(state->open);
	state->open = belongs == BELONGS_LAST ? TAKE(state->last) : new_deployment(c);
	bool noop = lifecycle_is_noop(&c->g, c->wire->name);
	if (belongs == BELONGS_LAST) {
		state->last = TAKE(state->open);
	} else {
		c->spec = TAKE(state->open->job->spec);
		state_deployment_free(TAKE(state->open));
	}
	state->open = open;
	return noop;
}

/* Returns 1 to go on, 0 when the caller said no. */
static int acknowledge(struct command *c, int belongs, struct error *err)
{
	if (c->acked)
		return 1;
	json_t *ready = caller_event("ready");
	json_set_bool(ready, "noop", is_noop(c, belongs));
	json_set_bool(ready, "open", belongs == BELONGS_OPEN);
	json_set_str(ready, "deployment", c->spec->deployment_id);
	json_set_str(ready, "group", c->g.id);
	json_set_str(ready, "event_name", c->wire->name);
	auto_json json_t *answer = NULL;
	int r = fetched_ask(&c->g, c->wire->name, ready, &answer, NULL, err);
	if (r <= 0)
		return r;
	const char *verb = NULL;
	r = json_need_str(answer, "verb", &verb, err);
	return r < 0 ? r : strcmp(verb, "go") == 0;
}

/* Returns 1 to go on, 0 when the caller went away or has to send the command again. A revision that
 * cannot be installed is recorded: the events say so. */
static int prepare(struct command *c, struct error *err)
{
	struct state_deployment *d = c->g.state->open;
	if (d->archive || d->unprepared || !job_needs_bundle(d->job, c->wire->name))
		return 1;
	if (job_check_next(d->job, NULL, 0, c->wire->name, err) < 0)
		return 1; /* the walk refuses it with the same words */
	struct error why = {0};
	int r = reuse_archive(&c->g);
	if (r == 0)
		r = fetched_unpack(&c->g, c->wire->name, &why);
	if (r == 0 || r == ERR_BUSY) {
		*err = why;
		return 0;
	}
	struct plan_summary summary;
	if (r > 0)
		r = prepare_check(&c->g, &summary, &why);
	if (r >= 0)
		return 1;
	prepare_discard(&c->g);
	log_warning("the new revision cannot be installed: %s", why.text);
	d->unprepared = xstrdup(why.text);
	d->unprepared_code = why.code;
	return 1;
}

/* The step itself, and what follows from it. */
static int carry_out(struct command *c, struct error *err)
{
	struct group *g = &c->g;
	struct state_deployment *d = g->state->open;
	d->command = xstrdup(c->wire->id);
	d->command_event = xstrdup(c->wire->name);
	layout_track(g);
	const char *message = NULL;
	int r = lifecycle_walk(g, c->wire->name, &message, err);
	return finish_walked(g, r, message, err);
}

static int report_outcome(struct command *c, json_t *result, struct error *err)
{
	const struct state *state = c->g.state;
	name_result(c, result);
	json_set_str(result, "event_name", c->wire->name);
	if (state->open) {
		finish_describe(result, &c->g, state->open);
		return 0;
	}
	finish_describe(result, &c->g, state->last);
	int code = finish_exit_code(state->last);
	if (code)
		error_set(err, finish_error_code(state->last), "%s", state->last->failure->message);
	return code;
}

static int run_command(struct command *c, int belongs, json_t *result, struct error *err)
{
	int r = acknowledge(c, belongs, err);
	if (r <= 0)
		return r < 0 ? run_exit_code(r) : 0;
	r = make_open(c, belongs, err);
	if (r == ERR_NOT_MOUNTED || r == ERR_BUSY)
		return 6;
	if (r < 0)
		return refuse(c, run_exit_code(r), result, err);
	r = prepare(c, err);
	if (r == 0)
		return 6;
	*err = (struct error){0};
	r = carry_out(c, err);
	if (r < 0) {
		name_result(c, result);
		return run_exit_code(r);
	}
	*err = (struct error){0};
	return report_outcome(c, result, err);
}

/* Not before a person who waits for it, however many commands come. */
static int open_group(struct command *c, struct error *err)
{
	int r = group_open(c->run, c->spec->group_id, c->wire->name, false, &c->g, err);
	if (r < 0 || !group_is_claimed(&c->g))
		return r;
	return error_set(err, ERR_BUSY, "a person on this host goes first; try again later");
}

int command_verb(struct run *run, const json_t *message, int fd, json_t *result, struct error *err)
{
	CLEANUP(command_clear)
	struct command c = {.g = {.lock_fd = -1, .fd = -1, .dir_fd = -1}};
	if (parse(run, message, &c, err) < 0)
		return 2;
	log_field("COMMAND", c.wire->name);
	if (say_known(&c, result))
		return 0;
	json_t *specification = NULL;
	int r = json_need_obj(message, "specification", &specification, err);
	if (r >= 0)
		r = command_verify(run, c.wire, specification, &c.spec, err);
	if (r < 0)
		return refuse(&c, 2, result, err);
	log_field("DEPLOYMENT_ID", c.spec->deployment_id);
	log_field("GROUP_ID", c.spec->group_id);
	if (!job_is_command(c.wire->name)) {
		error_set(err, -EINVAL, "'%s' is not a command that this agent carries out",
			  c.wire->name);
		return refuse(&c, 1, result, err);
	}
	r = open_group(&c, err);
	if (r == ERR_BUSY)
		return 6;
	if (r < 0)
		return refuse(&c, run_exit_code(r), result, err);
	r = recover_group(&c.g, NULL, err);
	if (r == ERR_NOT_MOUNTED || r == ERR_BUSY)
		return 6;
	if (r < 0)
		return refuse(&c, run_exit_code(r), result, err);
	if (say_known(&c, result))
		return 0;
	int belongs = find_deployment(&c, err);
	if (belongs == BELONGS_OPEN)
		belongs = check_same_revision(&c, err) < 0 ? -EINVAL : belongs;
	if (belongs < 0)
		return refuse(&c, 1, result, err);
	return run_command(&c, belongs, result, err);
}
