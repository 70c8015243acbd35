// SPDX-License-Identifier: Apache-2.0
/* Where a script is a service, it and its result outlive the worker. What the next worker needs is
 * in the note, which is always durable before what it tells of:
 *
 *     note: step, unit, number   ->  state: the step is started  ->  StartTransientUnit
 *     note: started              ->  the script ends, its unit waits as "exited"
 *     note: the result           ->  the unit is taken away  ->  state: what it took, with the
 *                                                                next script or the step's end
 *
 * So whoever finds a step that is started, and its note, knows: without "started" and without a
 * unit it has never run; with a unit it runs or has ended there; with a result it is over. */
#include "agent/worker/hooks.h"

#include "agent/messages.h"
#include "agent/worker/cause.h"
#include "agent/worker/env.h"
#include "agent/worker/hook-note.h"
#include "agent/worker/hook.h"
#include "agent/worker/roll.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool hooks_revision_new(const struct group *g, struct hooks_revision *ret)
{
	const struct state_deployment *d = g->state->open;
	if (!d || !d->archive)
		return false;
	*ret = (struct hooks_revision){
		.deployment_id = state_deployment_id(d),
		.archive = d->archive,
		.appspec = d->appspec,
		.spec = d->job->spec,
	};
	return true;
}

bool hooks_revision_kept(const struct group *g, const char *deployment_id,
			 struct hooks_revision *ret)
{
	const struct state_revision *r = state_revision_find(g->state, deployment_id);
	if (!r)
		return false;
	*ret = (struct hooks_revision){
		.deployment_id = r->deployment_id,
		.archive = r->archive,
		.appspec = r->appspec,
		.spec = r->spec,
	};
	return true;
}

void hooks_clear(struct hooks *h)
{
	fs_close_quiet(h->archive_fd);
	spec_free(h->spec);
	*h = (struct hooks){.archive_fd = -1};
}

int hooks_load(struct group *g, const struct hooks_revision *revision, const char *event,
	       struct hooks *ret, struct error *err)
{
	auto_hooks struct hooks h = {.revision = *revision, .archive_fd = -1};
	h.archive_fd = group_archive(g, revision->archive, err);
	if (h.archive_fd < 0)
		return h.archive_fd;
	auto_problems struct problems problems = {0};
	int r = spec_load(h.archive_fd, revision->appspec, &h.spec, NULL, &problems, err);
	if (r < 0)
		return error_prefix(err, r, "revision of '%s'", revision->deployment_id);
	h.event = spec_event(h.spec, event);
	if (h.event && !h.event->n_hooks)
		h.event = NULL;
	*ret = h;
	h = (struct hooks){.archive_fd = -1};
	return 0;
}

static bool uses_units(const struct group *g)
{
	return hook_unit_used(g->run->paths.root);
}

/* The step that runs, or that a killed worker has left. */
static struct state_step *last_step(const struct group *g)
{
	struct state_deployment *d = g->state->open;
	return d && d->n_steps ? &d->steps[d->n_steps - 1] : NULL;
}

static int64_t to_ms(double seconds)
{
	return seconds < 0 ? -1 : (int64_t)(seconds * 1000 + 0.5);
}

/* What the script of the note took, into the last step. */
static void record_run(struct group *g, const struct hook_note *note)
{
	const struct hook_result *r = &note->result;
	const struct state_run run = {
		.number = note->number,
		.script = note->script,
		.ok = r->code == WIRE_SUCCESS,
		.wall_ms = to_ms(r->wall_s),
		.cpu_ms = to_ms(r->cpu_s),
		.memory_peak = r->memory_peak_bytes,
		.tasks = r->tasks_peak,
		.left_running = r->left_running,
	};
	state_run_add(g->state->open, &run);
}

void hooks_recall(struct group *g)
{
	const struct state_deployment *d = g->state->open;
	const struct state_step *step = last_step(g);
	auto_hook_note struct hook_note note = {0};
	if (step && hook_note_load(g->fd, &note) && note.ended && note.script &&
	    str_eq(note.deployment, state_deployment_id(d)) && str_eq(note.step, step->event) &&
	    note.number >= d->scripts && note.number > 0)
		record_run(g, &note);
}

char *hooks_interrupted(const struct group *g)
{
	const struct state_deployment *d = g->state->open;
	auto_hook_note struct hook_note note = {0};
	if (!d || !uses_units(g) || !hook_note_load(g->fd, &note) || !note.unit ||
	    strcmp(note.deployment, state_deployment_id(d)) != 0)
		return NULL;
	/* A script has its number from the moment of its note; the first one of a step is in the
	 * state as well. A note with a lower one is of an earlier time. */
	return note.number >= d->scripts ? TAKE(note.step) : NULL;
}

bool hooks_may_run(const struct group *g)
{
	auto_hook_note struct hook_note note = {0};
	return hook_note_load(g->fd, &note) && note.unit && !note.ended;
}

/* "Rollback: AfterInstall" */
static const char *event_of(const char *step)
{
	const char *colon = strstr(step, ": ");
	return colon ? colon + strlen(": ") : step;
}

void hooks_kill_leftover(struct group *g)
{
	auto_hook_note struct hook_note note = {0};
	if (!hook_note_load(g->fd, &note) || note.ended)
		return;
	if (note.unit && uses_units(g))
		hook_unit_stop(note.unit);
	else if (note.pid > 0)
		hook_kill_leftover(note.pid, note.start_time,
				   &(struct hook_whose){
					   .deployment_id = note.told ? note.told : note.deployment,
					   .root = g->run->settings.destination_root,
					   .event = event_of(note.step)});
	hook_note_remove(g->fd);
}

void hooks_stop(struct group *g, const char *deployment_id)
{
	if (uses_units(g))
		hook_unit_sweep(g->id, deployment_id, true);
	else
		hook_left_stop(g->fd,
			       &(struct hook_whose){.deployment_id = deployment_id,
						    .root = g->run->settings.destination_root});
}

void hooks_tidy(struct group *g)
{
	hook_note_remove(g->fd);
	if (uses_units(g))
		hook_unit_sweep(g->id, NULL, false);
	else
		hook_left_tidy(g->fd, g->run->settings.destination_root);
}

/* The scripts of one event, one after the other. */
struct walk {
	struct group *g;
	const struct hooks_request *request;
	struct hook_note note; /* of the script that runs */
	char *log;             /* what the event has printed so far */
	bool resumed;          /* the script that runs is another worker's */
	uint64_t oom_kills;    /* of the host, when the script began; 0: not known */
	struct state_failure **ret_failure;
};

static void walk_clear(struct walk *w)
{
	hook_note_clear(&w->note);
	free(w->log);
}

static void tell_line(const char *stream, const char *line, size_t len, void *arg)
{
	struct walk *w = arg;
	caller_output(&w->g->run->caller, stream, line, len);
}

/* On a full disk the application must still be started: then a crash is what is not survived. */
static void save_note(struct walk *w)
{
	struct error err = {0};
	if (hook_note_save(w->g->fd, &w->note, &err) >= 0)
		return;
	hook_note_remove(w->g->fd); /* one of another script would be a lie */
	log_warning("could not note script %u: it would not be found after a crash: %s",
		    w->note.number, err.text);
}

static void note_start(pid_t pid, uint64_t start_time, void *arg)
{
	struct walk *w = arg;
	w->note.pid = pid;
	w->note.start_time = start_time;
	w->note.started = true;
	save_note(w);
}

static void find_causes(const struct walk *w, const struct spec_hook *hook,
			struct state_causes *ret)
{
	const struct hook_result *result = &w->note.result;
	const struct cause_request request = {
		.event = w->request->event,
		.archive_fd = w->request->hooks->archive_fd,
		.location = hook->location,
		.runas = hook->runas,
		.timeout_s = hook->timeout_s,
		.timed_out = result->code == WIRE_SCRIPT_TIMED_OUT,
		.missing = result->code == WIRE_SCRIPT_MISSING,
		.started = result->exit_code >= 0 || result->signal || result->timed_out,
		.message = result->message,
		.shortage = result->shortage,
		.refusal = result->refusal,
		.exit_code = result->signal ? -1 : result->exit_code,
		.signal = result->signal,
		.output = result->output,
		.proc_net = uses_units(w->g) ? "/proc/1/net" : "/proc/self/net",
		.oom_kills = w->oom_kills ? cause_oom_kills() - w->oom_kills : 0,
	};
	cause_find(&request, ret);
}

static struct state_failure *describe_failure(const struct walk *w, const struct spec_hook *hook)
{
	const struct hook_result *result = &w->note.result;
	struct state_failure *f = xcalloc(1, sizeof(*f));
	f->event = xstrdup(w->request->event);
	f->code = result->code;
	f->script_name = xstrdup(hook->location_text);
	f->message = xstrdup_null(result->message);
	f->log = xstrdup_null(result->log_tail);
	f->exit_code = result->signal ? -1 : result->exit_code;
	f->signal = result->signal;
	f->shortage = xstrdup_null(result->shortage);
	f->refusal = xstrdup_null(result->refusal);
	f->output = result->output ? xstrdup(cause_last_lines(result->output)) : NULL;
	find_causes(w, hook, &f->causes);
	return f;
}

/* In a rollback the application comes first, as above. */
static int save_step(struct walk *w, struct error *err)
{
	int r = group_save(w->g, err);
	if (r >= 0 || !w->request->rollback)
		return r;
	log_warning("'%s' could not be recorded: after a crash it runs again: %s",
		    last_step(w->g)->event, err->text);
	return 0;
}

/* Below 0, in a rollback: its output is lost, but not the script. */
static int open_logs(struct walk *w, struct error *err)
{
	int fd = group_logs_dir(w->g, state_deployment_id(w->g->state->open), err);
	if (fd < 0 && w->request->rollback)
		log_warning("no directory for output: %s", err->text);
	return fd;
}

/* What the event's scripts before this one took. Only figures: no reason not to go on. */
static void save_runs(struct walk *w)
{
	struct error err = {0};
	if (group_save(w->g, &err) < 0)
		log_warning("what the scripts of '%s' took could not be recorded: %s",
			    last_step(w->g)->event, err.text);
}

/* A new note, and for the first script of the event the state, which has the step. */
static int begin_script(struct walk *w, unsigned index, const struct spec_hook *hook,
			struct error *err)
{
	struct group *g = w->g;
	struct state_deployment *d = g->state->open;
	const char *id = state_deployment_id(d);
	if (index > 0)
		save_runs(w);
	auto_free char *left = TAKE(w->note.left);
	hook_note_clear(&w->note);
	hook_note_init(&w->note, id, last_step(g)->event);
	w->note.index = index;
	w->note.number = ++d->scripts;
	w->note.left = TAKE(left);
	w->note.script = xstrdup(hook->location_text);
	if (!str_eq(w->request->identity->deployment_id, id))
		w->note.told = xstrdup_null(w->request->identity->deployment_id);
	w->note.log_before = xstrdup_null(w->log);
	if (uses_units(g)) {
		w->note.unit = hook_unit_name(id, w->request->event, w->note.number);
		save_note(w);
	}
	return index == 0 ? save_step(w, err) : 0;
}

/* Returns with the result in the note. */
static int run_script(struct walk *w, const struct spec_hook *hook, struct error *err)
{
	struct group *g = w->g;
	const struct hooks_request *request = w->request;
	const char *id = state_deployment_id(g->state->open);
	const struct env_request env_request = {
		.settings = &g->run->settings,
		.spec = request->identity,
		.event = request->event,
		.rollback = request->rollback,
	};
	auto_close int logs_fd = open_logs(w, err);
	if (logs_fd < 0 && !request->rollback)
		return logs_fd;
	auto_close int all_fd = roll_open_deployments_log(g->run);
	if (logs_fd >= 0)
		roll(logs_fd, "scripts.log", ROLL_BYTES);
	auto_close int marks_fd = w->note.unit ? hook_note_open_marks(g->fd, w->resumed) : -1;
	auto_free char *path = group_archive_path(g, request->hooks->revision.archive);
	char **env = env_make(&env_request);
	auto_free char *label = state_label(g->state);
	const struct spec_limits host = spec_limits_of_host(&g->run->settings);
	const struct hook_request run = {
		.archive_fd = request->hooks->archive_fd,
		.archive_path = path,
		.location = hook->location,
		.location_text = hook->location_text,
		.event = request->event,
		.group_id = g->id,
		.group_label = label,
		.deployment_id = id,
		.unit = w->note.unit,
		.attach = w->resumed,
		.started = w->note.started,
		.marks_fd = marks_fd,
		.runas = hook->runas,
		.timeout_s = hook->timeout_s,
		.limits = spec_limits_join(&host, &hook->limits),
		.env = (const char *const *)env,
		.logs_fd = logs_fd,
		.all_fd = all_fd,
		.output_max = g->run->settings.script_output_max,
		.number = w->note.number,
		.log_before = w->log,
		.on_line = tell_line,
		.on_start = note_start,
		.arg = w,
	};
	w->oom_kills = w->resumed ? 0 : cause_oom_kills();
	int r = hook_run(&run, &w->note.result, err);
	str_list_free(env);
	return r;
}

/* What still runs is told by name, with the step. */
static void note_left_running(struct walk *w)
{
	struct hook_note *note = &w->note;
	if (!note->result.left_running || note->ended)
		return; /* the latter: another worker's note has it */
	char *all = note->left ? xasprintf("%s, %s", note->left, note->result.left_running)
			       : xstrdup(note->result.left_running);
	free(note->left);
	note->left = all;
	if (!note->unit)
		hook_left_add(w->g->fd, note);
}

static void show_left_running(struct walk *w)
{
	struct state_step *step = last_step(w->g);
	if (!w->note.left)
		return;
	free(step->message);
	step->message = xasprintf(STATE_LEFT_RUNNING "%s", w->note.left);
}

/* The result is durable before the unit goes that holds it. */
static void end_script(struct walk *w)
{
	note_left_running(w);
	w->note.ended = true;
	if (!w->note.unit) {
		hook_note_remove(w->g->fd);
		return;
	}
	save_note(w);
	hook_unit_collect(w->note.unit);
}

static void log_end(const struct walk *w, const struct spec_hook *hook)
{
	const struct hook_result *r = &w->note.result;
	double cpu_s = r->cpu_s > 0 ? r->cpu_s : 0;
	if (r->wall_s < 0)
		return;
	if (r->memory_peak_bytes >= 0)
		log_info("script '%s' took %.3f s, %.3f s of CPU time, %lld KiB of memory",
			 hook->location_text, r->wall_s, cpu_s,
			 (long long)r->memory_peak_bytes / 1024);
	else
		log_info("script '%s' took %.3f s, %.3f s of CPU time", hook->location_text,
			 r->wall_s, cpu_s);
}

/* For who wants to know later which code of which revision ran as whom. */
static void log_start(const struct walk *w, const struct spec_hook *hook)
{
	const char *id = state_deployment_id(w->g->state->open), *event = w->request->event;
	auto_free char *source = hook_own_user();
	const char *target = hook->runas ? hook->runas : source;
	const char *const fields[] = {"DEPLOYMENT_ID",
				      id,
				      "GROUP_ID",
				      w->g->id,
				      "HOOK",
				      event,
				      "SCRIPT",
				      hook->location_text,
				      "SOURCE_USER",
				      source,
				      "TARGET_USER",
				      target,
				      "SUDO",
				      hook->sudo ? "yes" : "no",
				      NULL};
	log_event(LOG_INFO, MESSAGE_SCRIPT_STARTS, fields,
		  "script '%s' is started for %s of '%s' as user '%s', by '%s', sudo: %s",
		  hook->location_text, event, id, target, source, hook->sudo ? "yes" : "no");
}

static int run_one(struct walk *w, unsigned index, struct error *err)
{
	const struct spec_hook *hook = &w->request->hooks->event->hooks[index];
	int r = w->resumed ? 0 : begin_script(w, index, hook, err);
	if (r < 0)
		return r;
	if (!w->note.ended) {
		if (!w->note.started)
			log_start(w, hook);
		r = run_script(w, hook, err);
		if (r < 0)
			return r;
		log_end(w, hook);
	}
	end_script(w);
	if (w->note.script)
		record_run(w->g, &w->note);
	w->resumed = false;
	const struct hook_result *result = &w->note.result;
	free(w->log);
	w->log = xstrdup_null(result->log_tail);
	if (result->code == WIRE_SUCCESS)
		return 0;
	*w->ret_failure = describe_failure(w, hook);
	return error_set(err, ERR_SCRIPT, "%s",
			 result->message ? result->message : "script failed");
}

/* Returns the index of the script to begin with. */
static unsigned resume(struct walk *w)
{
	if (!w->request->resume || !hook_note_load(w->g->fd, &w->note))
		return 0;
	w->resumed = true;
	w->g->state->open->scripts = w->note.number;
	w->log = xstrdup_null(w->note.log_before);
	log_notice("'%s' goes on, its script '%s' is waited for", w->note.step, w->note.unit);
	return w->note.index;
}

int hooks_run(struct group *g, const struct hooks_request *request,
	      struct state_failure **ret_failure, struct error *err)
{
	CLEANUP(walk_clear)
	struct walk w = {.g = g, .request = request, .ret_failure = ret_failure};
	const struct spec_event *event = request->hooks->event;
	unsigned i = resume(&w);
	if (w.resumed && i >= event->n_hooks)
		return error_set(err, ERR_FORMAT, "the note of script %u does not fit the AppSpec",
				 w.note.number);
	int r = 0;
	for (; r >= 0 && i < event->n_hooks; i++)
		r = run_one(&w, i, err);
	show_left_running(&w);
	return r;
}
