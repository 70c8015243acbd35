// SPDX-License-Identifier: Apache-2.0
/* state.json <-> struct state. Format: docs/formats/state.md. */
#include "agent/state.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <inttypes.h>
#include <string.h>

#define STATE_VERSION 1
#define LIST_MAX 10000

static const char *const step_names[] = {
	[STATE_STARTED] = "started",
	[STATE_SUCCEEDED] = "succeeded",
	[STATE_FAILED] = "failed",
	[STATE_SKIPPED] = "skipped",
};

static const char *const phase_names[] = {
	[STATE_RUNNING] = "running",
	[STATE_COMPLETING] = "completing",
	[STATE_ROLLING_BACK] = "rolling-back",
	[STATE_LEAVING] = "leaving",
	[STATE_CLOSED] = "closed",
};

const char *state_step_status_to_string(enum state_step_status status)
{
	return step_names[status];
}

static int find_name(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -EINVAL;
}

/* A string member as a copy that the caller owns; what is absent stays as it is. */
static int take_text(const json_t *obj, const char *name, char **ret, struct error *err)
{
	const char *text = NULL;
	int r = json_opt_str(obj, name, &text, err);
	if (r == 0 && text) {
		free(*ret);
		*ret = xstrdup(text);
	}
	return r;
}

static int take_needed(const json_t *obj, const char *name, char **ret, struct error *err)
{
	const char *text = NULL;
	int r = json_need_str(obj, name, &text, err);
	if (r == 0)
		*ret = xstrdup(text);
	return r;
}

struct text_member {
	const char *name;
	char **place;
};

static int take_texts(const json_t *obj, const struct text_member *members, size_t n,
		      struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = take_text(obj, members[i].name, members[i].place, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_int(const json_t *obj, const char *name, int *ret, struct error *err)
{
	int64_t value = *ret;
	int r = json_opt_int(obj, name, &value, err);
	if (r < 0)
		return r;
	if (value < INT32_MIN || value > INT32_MAX)
		return error_set(err, ERR_FORMAT, "'%s' is out of range", name);
	*ret = (int)value;
	return 0;
}

static json_t *list_to_json(char *const *list)
{
	json_t *array = json_array();
	for (size_t i = 0; list[i]; i++)
		json_array_append_new(array, json_string(list[i]));
	return array;
}

static int list_from_json(const json_t *array, size_t max, char **out, struct error *err)
{
	if (json_array_size(array) > max)
		return error_set(err, ERR_FORMAT, "a list has more than %zu items", max);
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *text = json_string_value(json_array_get(array, i));
		if (!text)
			return error_set(err, ERR_FORMAT, "a list has an item that is no string");
		out[i] = xstrdup(text);
	}
	return 0;
}

static void put_figure(json_t *obj, const char *name, int64_t value)
{
	if (value >= 0)
		json_set_int(obj, name, value);
}

/* -1: it is not there. */
static int take_figure(const json_t *obj, const char *name, int64_t *ret, struct error *err)
{
	int64_t value = 0;
	int r = json_opt_int(obj, name, &value, err);
	if (r < 0)
		return r;
	if (value < 0)
		return error_set(err, ERR_FORMAT, "'%s' is below 0", name);
	*ret = json_is_integer(json_object_get(obj, name)) ? value : -1;
	return 0;
}

static json_t *run_to_json(const struct state_run *run)
{
	json_t *obj = json_object();
	json_set_int(obj, "number", run->number);
	json_set_str(obj, "script", run->script);
	json_set_bool(obj, "ok", run->ok);
	put_figure(obj, "wall_ms", run->wall_ms);
	put_figure(obj, "cpu_ms", run->cpu_ms);
	put_figure(obj, "memory_peak", run->memory_peak);
	put_figure(obj, "tasks", run->tasks);
	json_set_str(obj, "left_running", run->left_running);
	return obj;
}

static int run_from_json(const json_t *obj, struct state_deployment *d, struct error *err)
{
	struct state_run run = {0};
	const char *script = NULL, *left = NULL;
	int64_t number = 0;
	int r;
	if ((r = json_need_int(obj, "number", &number, err)) < 0 ||
	    (r = json_need_str(obj, "script", &script, err)) < 0 ||
	    (r = json_opt_bool(obj, "ok", &run.ok, err)) < 0 ||
	    (r = take_figure(obj, "wall_ms", &run.wall_ms, err)) < 0 ||
	    (r = take_figure(obj, "cpu_ms", &run.cpu_ms, err)) < 0 ||
	    (r = take_figure(obj, "memory_peak", &run.memory_peak, err)) < 0 ||
	    (r = take_figure(obj, "tasks", &run.tasks, err)) < 0 ||
	    (r = json_opt_str(obj, "left_running", &left, err)) < 0)
		return r;
	if (number < 1 || number > INT32_MAX)
		return error_set(err, ERR_FORMAT, "'number' is out of range");
	run.number = (unsigned)number;
	run.script = (char *)script;
	run.left_running = (char *)left;
	state_run_add(d, &run);
	return 0;
}

static int runs_from_json(const json_t *obj, struct state_deployment *d, struct error *err)
{
	json_t *runs = NULL;
	int r = json_opt_array(obj, "runs", &runs, err);
	if (r >= 0 && json_array_size(runs) > STATE_RUNS_MAX)
		return error_set(err, ERR_FORMAT, "more than %d runs", STATE_RUNS_MAX);
	for (size_t i = 0; r >= 0 && i < json_array_size(runs); i++)
		r = run_from_json(json_array_get(runs, i), d, err);
	return r;
}

static void put_causes(json_t *obj, const struct state_causes *causes)
{
	if (causes->n)
		json_object_set_new(obj, "causes", state_causes_to_json(causes));
}

static json_t *step_to_json(const struct state_step *s)
{
	json_t *obj = json_object();
	json_set_str(obj, "event", s->event);
	json_set_str(obj, "status", step_names[s->status]);
	json_set_time(obj, "started", s->started);
	json_set_time(obj, "ended", s->ended);
	json_set_str(obj, "message", s->message);
	json_t *runs = json_array();
	for (size_t i = 0; i < s->n_runs; i++)
		json_array_append_new(runs, run_to_json(&s->runs[i]));
	if (s->n_runs)
		json_object_set(obj, "runs", runs);
	json_decref(runs);
	put_causes(obj, &s->causes);
	return obj;
}

static int step_from_json(const json_t *obj, struct state_deployment *d, struct error *err)
{
	const char *event = NULL, *status = NULL;
	int r;
	if ((r = json_need_str(obj, "event", &event, err)) < 0 ||
	    (r = json_need_str(obj, "status", &status, err)) < 0)
		return r;
	int known = find_name(step_names, ARRAY_LEN(step_names), status);
	if (known < 0)
		return error_set(err, ERR_FORMAT, "'status' is '%s'", status);
	struct state_step *step = state_step_start(d, event);
	step->status = (enum state_step_status)known;
	step->started = 0;
	if ((r = json_opt_number(obj, "started", &step->started, err)) < 0 ||
	    (r = json_opt_number(obj, "ended", &step->ended, err)) < 0 ||
	    (r = take_text(obj, "message", &step->message, err)) < 0 ||
	    (r = state_causes_from_json(obj, "causes", &step->causes, err)) < 0)
		return r;
	return runs_from_json(obj, d, err);
}

static json_t *failure_to_json(const struct state_failure *f)
{
	json_t *obj = json_object();
	json_set_str(obj, "event", f->event);
	json_set_int(obj, "error_code", f->code);
	json_set_str(obj, "script_name", f->script_name);
	json_set_str(obj, "message", f->message);
	json_set_str(obj, "log", f->log);
	json_set_str(obj, "error", f->error);
	if (f->exit_code >= 0)
		json_set_int(obj, "exit_code", f->exit_code);
	if (f->signal)
		json_set_int(obj, "signal", f->signal);
	json_set_str(obj, "out_of_memory", f->shortage);
	json_set_str(obj, "out_of_tasks", f->refusal);
	json_set_str(obj, "output", f->output);
	put_causes(obj, &f->causes);
	return obj;
}

static int failure_from_json(const json_t *obj, struct state_failure **ret, struct error *err)
{
	struct state_failure *f = xcalloc(1, sizeof(*f));
	*ret = f;
	f->exit_code = -1;
	const struct text_member texts[] = {
		{"event", &f->event},     {"script_name", &f->script_name},
		{"message", &f->message}, {"log", &f->log},
		{"error", &f->error},     {"out_of_memory", &f->shortage},
		{"output", &f->output},   {"out_of_tasks", &f->refusal},
	};
	int r;
	if ((r = take_texts(obj, texts, ARRAY_LEN(texts), err)) < 0 ||
	    (r = take_int(obj, "error_code", &f->code, err)) < 0 ||
	    (r = take_int(obj, "exit_code", &f->exit_code, err)) < 0 ||
	    (r = state_causes_from_json(obj, "causes", &f->causes, err)) < 0)
		return r;
	return take_int(obj, "signal", &f->signal, err);
}

static void put_outcome(json_t *obj, const struct state_deployment *d)
{
	if (d->phase == STATE_CLOSED)
		json_set_str(obj, "result", d->succeeded ? "succeeded" : "failed");
	if (d->failure)
		json_object_set_new(obj, "failure", failure_to_json(d->failure));
	json_set_str(obj, "rolled_back", d->rolled_back);
	if (d->undo_failed)
		json_set_bool(obj, "undo_failed", true);
	if (d->complete)
		json_set_bool(obj, "complete", true);
	if (d->left)
		json_object_set_new(obj, "left", list_to_json(d->left));
}

json_t *state_deployment_to_json(const struct state_deployment *d)
{
	json_t *obj = json_object();
	json_set_str(obj, "deployment_id", state_deployment_id(d));
	json_object_set_new(obj, "job", job_to_json(d->job));
	json_set_str(obj, "phase", phase_names[d->phase]);
	json_set_time(obj, "started", d->started);
	json_set_time(obj, "ended", d->ended);
	json_set_time(obj, "last_command", d->last_command);
	json_set_str(obj, "archive", d->archive);
	if (d->bytes)
		json_set_int(obj, "bytes", (int64_t)d->bytes);
	json_set_str(obj, "appspec", d->appspec);
	json_set_str(obj, "previous", d->previous);
	json_set_str(obj, "unprepared", d->unprepared);
	if (d->unprepared)
		json_set_str(obj, "unprepared_code", error_name(d->unprepared_code));
	json_set_str(obj, "command", d->command);
	json_set_str(obj, "command_event", d->command_event);
	json_set_int(obj, "scripts", d->scripts);
	json_t *steps = json_array();
	for (size_t i = 0; i < d->n_steps; i++)
		json_array_append_new(steps, step_to_json(&d->steps[i]));
	json_object_set_new(obj, "steps", steps);
	put_outcome(obj, d);
	return obj;
}

static int outcome_from_json(const json_t *obj, struct state_deployment *d, struct error *err)
{
	const char *result = "";
	json_t *failure = NULL, *left = NULL;
	int r;
	if ((r = json_opt_str(obj, "result", &result, err)) < 0 ||
	    (r = json_opt_bool(obj, "undo_failed", &d->undo_failed, err)) < 0 ||
	    (r = json_opt_bool(obj, "complete", &d->complete, err)) < 0 ||
	    (r = json_opt_obj(obj, "failure", &failure, err)) < 0 ||
	    (r = json_opt_array(obj, "left", &left, err)) < 0)
		return r;
	d->succeeded = strcmp(result, "succeeded") == 0;
	if (failure && (r = failure_from_json(failure, &d->failure, err)) < 0)
		return r;
	if (!left)
		return 0;
	d->left = xcalloc(json_array_size(left) + 1, sizeof(*d->left));
	return list_from_json(left, LIST_MAX, d->left, err);
}

static int steps_from_json(const json_t *obj, struct state_deployment *d, struct error *err)
{
	json_t *steps = NULL;
	int r = json_opt_array(obj, "steps", &steps, err);
	for (size_t i = 0; r >= 0 && i < json_array_size(steps); i++)
		r = step_from_json(json_array_get(steps, i), d, err);
	return r;
}

/* Absent: not known. */
static int take_bytes(const json_t *obj, uint64_t *ret, struct error *err)
{
	int64_t bytes = 0;
	int r = json_opt_int(obj, "bytes", &bytes, err);
	*ret = bytes > 0 ? (uint64_t)bytes : 0;
	return r;
}

static int plain_from_json(const json_t *obj, struct state_deployment *d, struct error *err)
{
	const char *phase = NULL, *code = NULL;
	int64_t scripts = 0;
	const struct text_member texts[] = {
		{"archive", &d->archive},         {"appspec", &d->appspec},
		{"previous", &d->previous},       {"unprepared", &d->unprepared},
		{"command", &d->command},         {"command_event", &d->command_event},
		{"rolled_back", &d->rolled_back},
	};
	int r;
	if ((r = json_need_str(obj, "phase", &phase, err)) < 0 ||
	    (r = json_opt_number(obj, "started", &d->started, err)) < 0 ||
	    (r = json_opt_number(obj, "ended", &d->ended, err)) < 0 ||
	    (r = json_opt_number(obj, "last_command", &d->last_command, err)) < 0 ||
	    (r = take_texts(obj, texts, ARRAY_LEN(texts), err)) < 0 ||
	    (r = json_opt_str(obj, "unprepared_code", &code, err)) < 0 ||
	    (r = json_opt_int(obj, "scripts", &scripts, err)) < 0 ||
	    (r = take_bytes(obj, &d->bytes, err)) < 0)
		return r;
	int known = find_name(phase_names, ARRAY_LEN(phase_names), phase);
	if (known < 0)
		return error_set(err, ERR_FORMAT, "'phase' is '%s'", phase);
	d->phase = (enum state_phase)known;
	if (d->unprepared)
		d->unprepared_code = code ? error_from_name(code) : ERR_INPUT;
	if (scripts < 0 || scripts > UINT32_MAX)
		return error_set(err, ERR_FORMAT, "'scripts' is %" PRId64, scripts);
	d->scripts = (unsigned)scripts;
	return 0;
}

int state_deployment_from_json(const json_t *obj, struct state_deployment **ret, struct error *err)
{
	json_t *doc = NULL;
	struct job *job = NULL;
	int r = json_need_obj(obj, "job", &doc, err);
	if (r < 0)
		return r;
	r = job_from_json(doc, &job, err);
	if (r < 0)
		return error_prefix(err, r, "job");
	auto_state_deployment struct state_deployment *d = state_deployment_new(job);
	d->started = 0;
	if ((r = plain_from_json(obj, d, err)) < 0 || (r = steps_from_json(obj, d, err)) < 0 ||
	    (r = outcome_from_json(obj, d, err)) < 0)
		return r;
	*ret = TAKE(d);
	return 0;
}

static json_t *revision_to_json(const struct state_revision *r)
{
	json_t *obj = json_object();
	json_set_str(obj, "deployment_id", r->deployment_id);
	json_set_str(obj, "archive", r->archive);
	json_set_str(obj, "appspec", r->appspec);
	json_set_bool(obj, "succeeded", r->succeeded);
	json_set_time(obj, "installed", r->installed);
	if (r->bytes)
		json_set_int(obj, "bytes", (int64_t)r->bytes);
	json_object_set_new(obj, "specification", wire_spec_to_json(r->spec));
	return obj;
}

static int revision_from_json(const json_t *obj, struct state_revision *out, struct error *err)
{
	json_t *spec = NULL;
	int r;
	if ((r = take_needed(obj, "deployment_id", &out->deployment_id, err)) < 0 ||
	    (r = take_needed(obj, "archive", &out->archive, err)) < 0 ||
	    (r = take_text(obj, "appspec", &out->appspec, err)) < 0 ||
	    (r = json_opt_bool(obj, "succeeded", &out->succeeded, err)) < 0 ||
	    (r = json_opt_number(obj, "installed", &out->installed, err)) < 0 ||
	    (r = take_bytes(obj, &out->bytes, err)) < 0 ||
	    (r = json_need_obj(obj, "specification", &spec, err)) < 0)
		return r;
	return wire_spec_from_json(spec, &out->spec, err);
}

static int revisions_from_json(const json_t *list, struct state *state, struct error *err)
{
	size_t n = json_array_size(list);
	if (n > LIST_MAX)
		return error_set(err, ERR_FORMAT, "more than %d revisions", LIST_MAX);
	state->revisions = xcalloc(n, sizeof(*state->revisions));
	for (size_t i = 0; i < n; i++) {
		state->n_revisions = i + 1;
		int r = revision_from_json(json_array_get(list, i), &state->revisions[i], err);
		if (r < 0)
			return error_prefix(err, r, "revision %zu", i);
	}
	return 0;
}

json_t *state_to_json(const struct state *state)
{
	json_t *doc = json_object();
	json_set_int(doc, "version", STATE_VERSION);
	json_set_str(doc, "group_id", state->group_id);
	json_set_str(doc, "installed", state->installed);
	json_set_str(doc, "last_successful", state->last_successful);
	json_set_str(doc, "most_recent", state->most_recent);
	json_t *revisions = json_array();
	for (size_t i = 0; i < state->n_revisions; i++)
		json_array_append_new(revisions, revision_to_json(&state->revisions[i]));
	json_object_set_new(doc, "revisions", revisions);
	if (state->open)
		json_object_set_new(doc, "open", state_deployment_to_json(state->open));
	if (state->last)
		json_object_set_new(doc, "last", state_deployment_to_json(state->last));
	json_object_set_new(doc, "finished", list_to_json(state->finished));
	return doc;
}

static int parts_from_json(const json_t *doc, struct state *state, struct error *err)
{
	json_t *revisions = NULL, *open = NULL, *last = NULL, *finished = NULL;
	const struct text_member texts[] = {
		{"installed", &state->installed},
		{"last_successful", &state->last_successful},
		{"most_recent", &state->most_recent},
	};
	int r;
	if ((r = take_texts(doc, texts, ARRAY_LEN(texts), err)) < 0 ||
	    (r = json_opt_array(doc, "revisions", &revisions, err)) < 0 ||
	    (r = json_opt_obj(doc, "open", &open, err)) < 0 ||
	    (r = json_opt_obj(doc, "last", &last, err)) < 0 ||
	    (r = json_opt_array(doc, "finished", &finished, err)) < 0 ||
	    (r = revisions_from_json(revisions, state, err)) < 0 ||
	    (r = list_from_json(finished, STATE_FINISHED_MAX, state->finished, err)) < 0)
		return r;
	if (open && (r = state_deployment_from_json(open, &state->open, err)) < 0)
		return error_prefix(err, r, "open");
	if (last && (r = state_deployment_from_json(last, &state->last, err)) < 0)
		return error_prefix(err, r, "last");
	return 0;
}

int state_from_json(const json_t *doc, struct state **ret, struct error *err)
{
	int64_t version = 0;
	const char *group = NULL;
	int r;
	if ((r = json_need_int(doc, "version", &version, err)) < 0 ||
	    (r = json_need_str(doc, "group_id", &group, err)) < 0)
		return r;
	if (version != STATE_VERSION)
		return error_set(err, ERR_FORMAT, "version %" PRId64 " is not known", version);
	auto_state struct state *state = state_new(group);
	r = parts_from_json(doc, state, err);
	if (r < 0)
		return r;
	*ret = TAKE(state);
	return 0;
}
