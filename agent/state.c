// SPDX-License-Identifier: Apache-2.0
#include "agent/state.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define STATE_FILE "state.json"

struct state *state_new(const char *group_id)
{
	struct state *state = xcalloc(1, sizeof(*state));
	state->group_id = xstrdup(group_id);
	return state;
}

static void revision_clear(struct state_revision *r)
{
	free(r->deployment_id);
	free(r->archive);
	free(r->appspec);
	wire_spec_free(r->spec);
}

bool state_has_names(const struct wire_spec *spec, const char *group_id)
{
	return !str_empty(spec->group_name) && !str_empty(spec->application) &&
	       !str_eq(spec->group_name, group_id) &&
	       !str_eq(spec->group_name, JOB_LOCAL_GROUP_NAME);
}

char *state_group_label(const struct state_deployment *d, const char *group_id)
{
	const struct wire_spec *spec = d ? d->job->spec : NULL;
	return spec && state_has_names(spec, group_id)
		       ? xasprintf("%s/%s", spec->application, spec->group_name)
		       : xstrdup(group_id);
}

char *state_label(const struct state *state)
{
	return state_group_label(state->open ? state->open : state->last, state->group_id);
}

void state_free(struct state *state)
{
	if (!state)
		return;
	free(state->group_id);
	free(state->installed);
	free(state->last_successful);
	free(state->most_recent);
	for (size_t i = 0; i < state->n_revisions; i++)
		revision_clear(&state->revisions[i]);
	free(state->revisions);
	state_deployment_free(state->open);
	state_deployment_free(state->last);
	for (size_t i = 0; state->finished[i]; i++)
		free(state->finished[i]);
	free(state);
}

void state_failure_free(struct state_failure *f)
{
	if (!f)
		return;
	free(f->event);
	free(f->script_name);
	free(f->message);
	free(f->log);
	free(f->output);
	state_causes_clear(&f->causes);
	free(f->error);
	free(f->shortage);
	free(f->refusal);
	free(f);
}

struct state_deployment *state_deployment_new(struct job *job)
{
	struct state_deployment *d = xcalloc(1, sizeof(*d));
	d->job = job;
	d->started = clock_wall();
	return d;
}

static void run_clear(struct state_run *run)
{
	free(run->script);
	free(run->left_running);
}

static void step_clear(struct state_step *step)
{
	free(step->event);
	free(step->message);
	state_causes_clear(&step->causes);
	for (size_t i = 0; i < step->n_runs; i++)
		run_clear(&step->runs[i]);
	free(step->runs);
}

void state_deployment_free(struct state_deployment *d)
{
	if (!d)
		return;
	job_free(d->job);
	char *const owned[] = {d->archive, d->appspec,       d->previous,   d->unprepared,
			       d->command, d->command_event, d->rolled_back};
	for (size_t i = 0; i < ARRAY_LEN(owned); i++)
		free(owned[i]);
	for (size_t i = 0; i < d->n_steps; i++)
		step_clear(&d->steps[i]);
	free(d->steps);
	state_failure_free(d->failure);
	str_list_free(d->left);
	free(d);
}

const char *state_deployment_id(const struct state_deployment *d)
{
	return d->job->spec->deployment_id;
}

int state_load(int group_dirfd, struct state **ret, struct error *err)
{
	auto_json json_t *doc = NULL;
	int r = json_read_file(group_dirfd, STATE_FILE, STATE_MAX_BYTES, &doc, err);
	if (r < 0)
		return error_prefix(err, r, STATE_FILE);
	r = state_from_json(doc, ret, err);
	return r < 0 ? error_prefix(err, r, STATE_FILE) : 0;
}

int state_save(int group_dirfd, const struct state *state, struct error *err)
{
	auto_json json_t *doc = state_to_json(state);
	int r = json_write_file_max(group_dirfd, STATE_FILE, doc, STATE_MAX_BYTES, 0640, err);
	if (r == -EFBIG)
		return error_set(err, r,
				 STATE_FILE ": %zu revisions are too many to remember; lower "
					    "max_revisions in agent.yml",
				 state->n_revisions);
	return r < 0 ? error_prefix(err, r, STATE_FILE) : 0;
}

static int by_group(const void *a, const void *b)
{
	const struct state *const *x = a, *const *y = b;
	return strcmp((*x)->group_id, (*y)->group_id);
}

static void load_one(int groups_fd, const char *name, struct state ***list, size_t *count)
{
	auto_close int fd =
		openat(groups_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	struct error err = {0};
	struct state *state = NULL;
	int r = state_load(fd, &state, &err);
	if (r < 0) {
		if (r != -ENOENT)
			log_warning("group '%s' is left out: %s", name, err.text);
		return;
	}
	*list = xrealloc_array(*list, *count + 1, sizeof(**list));
	(*list)[(*count)++] = state;
}

int state_load_all(const struct paths *paths, struct state ***ret, size_t *ret_count,
		   struct error *err)
{
	struct state **list = NULL;
	size_t count = 0;
	auto_free char *path = fs_join(paths->host, "groups");
	auto_closedir DIR *dir = opendir(path);
	if (!dir && errno != ENOENT)
		return error_errno(err, "open '%s'", path);
	struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			load_one(dirfd(dir), entry->d_name, &list, &count);
	if (count)
		qsort(list, count, sizeof(*list), by_group);
	*ret = list;
	*ret_count = count;
	return 0;
}

void state_list_free(struct state **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		state_free(list[i]);
	free(list);
}

struct state_step *state_step_start(struct state_deployment *d, const char *event)
{
	d->steps = xrealloc_array(d->steps, d->n_steps + 1, sizeof(*d->steps));
	struct state_step *step = &d->steps[d->n_steps++];
	*step = (struct state_step){.event = xstrdup(event), .started = clock_wall()};
	return step;
}

void state_step_end(struct state_step *step, enum state_step_status status, const char *message)
{
	step->status = status;
	step->ended = clock_wall();
	if (!message)
		return;
	free(step->message);
	step->message = xstrdup(message);
}

/* The run's place in the last step; NULL: there is no more room. */
static struct state_run *run_place(struct state_deployment *d, unsigned number)
{
	struct state_step *step = &d->steps[d->n_steps - 1];
	size_t total = 0;
	for (size_t i = 0; i < step->n_runs; i++)
		if (step->runs[i].number == number)
			return &step->runs[i];
	for (size_t i = 0; i < d->n_steps; i++)
		total += d->steps[i].n_runs;
	if (total >= STATE_RUNS_MAX)
		return NULL;
	step->runs = xrealloc_array(step->runs, step->n_runs + 1, sizeof(*step->runs));
	struct state_run *place = &step->runs[step->n_runs++];
	*place = (struct state_run){0};
	return place;
}

static bool is_inside_char(const char *p)
{
	return ((unsigned char)*p & 0xc0) == 0x80;
}

/* The file's name says more than its directory. */
static char *copy_end(const char *text)
{
	size_t len = strlen(text);
	text += len > STATE_RUN_TEXT_MAX ? len - STATE_RUN_TEXT_MAX : 0;
	while (is_inside_char(text))
		text++;
	return xstrdup(text);
}

static char *copy_beginning(const char *text)
{
	size_t len = strlen(text);
	if (len > STATE_RUN_TEXT_MAX)
		for (len = STATE_RUN_TEXT_MAX; len > 0 && is_inside_char(text + len);)
			len--;
	return xstrndup(text, len);
}

void state_run_add(struct state_deployment *d, const struct state_run *run)
{
	struct state_run *place = run_place(d, run->number);
	if (!place)
		return;
	run_clear(place);
	*place = *run;
	place->script = copy_end(run->script);
	place->left_running = run->left_running ? copy_beginning(run->left_running) : NULL;
}

struct state_step *state_step_find(const struct state_deployment *d, const char *event)
{
	for (size_t i = d->n_steps; i-- > 0;)
		if (strcmp(d->steps[i].event, event) == 0)
			return &d->steps[i];
	return NULL;
}

bool state_step_ran(const struct state_deployment *d, const char *event)
{
	const struct state_step *step = state_step_find(d, event);
	return step && step->status != STATE_SKIPPED;
}

bool state_step_succeeded(const struct state_deployment *d, const char *event)
{
	const struct state_step *step = state_step_find(d, event);
	return step && (step->status == STATE_SUCCEEDED || step->status == STATE_SKIPPED);
}

bool state_is_left(const struct state_deployment *d)
{
	if (d->succeeded || d->rolled_back)
		return false;
	if (state_step_succeeded(d, "Install"))
		return true;
	for (size_t i = 0; i < d->n_steps && !d->job->rollback; i++)
		if (d->steps[i].status != STATE_SKIPPED &&
		    !str_eq(d->steps[i].event, "DownloadBundle") &&
		    !str_eq(d->steps[i].event, "Install"))
			return true;
	return false;
}

struct state_revision *state_revision_find(const struct state *state, const char *deployment_id)
{
	for (size_t i = 0; deployment_id && i < state->n_revisions; i++)
		if (strcmp(state->revisions[i].deployment_id, deployment_id) == 0)
			return &state->revisions[i];
	return NULL;
}

void state_revision_remove(struct state *state, const char *deployment_id)
{
	struct state_revision *r = state_revision_find(state, deployment_id);
	if (!r)
		return;
	revision_clear(r);
	size_t after = state->n_revisions - (size_t)(r - state->revisions) - 1;
	memmove(r, r + 1, after * sizeof(*r));
	state->n_revisions--;
}

static struct wire_spec *copy_spec(const struct wire_spec *spec)
{
	auto_json json_t *doc = wire_spec_to_json(spec);
	struct wire_spec *copy = NULL;
	struct error err = {0};
	if (wire_spec_from_json(doc, &copy, &err) < 0)
		log_error("a specification does not survive a copy: %s", err.text);
	return copy;
}

const struct state_revision *state_revision_before(const struct state *state)
{
	const char *installed = state->installed ? state->installed : "";
	const struct state_revision *now = state_revision_find(state, installed);
	for (size_t i = state->n_revisions; i-- > 0;) {
		const struct state_revision *r = &state->revisions[i];
		if (r->succeeded && !str_eq(r->deployment_id, installed) &&
		    !(now && str_eq(r->archive, now->archive)))
			return r;
	}
	return NULL;
}

void state_revision_add(struct state *state, const struct state_deployment *d, bool succeeded)
{
	const char *id = state_deployment_id(d);
	struct wire_spec *spec = d->archive ? copy_spec(d->job->spec) : NULL;
	if (!spec)
		return;
	state_revision_remove(state, id);
	state->revisions =
		xrealloc_array(state->revisions, state->n_revisions + 1, sizeof(*state->revisions));
	state->revisions[state->n_revisions++] = (struct state_revision){
		.deployment_id = xstrdup(id),
		.archive = xstrdup(d->archive),
		.appspec = xstrdup_null(d->appspec),
		.spec = spec,
		.succeeded = succeeded,
		.installed = clock_wall(),
		.bytes = d->bytes,
	};
}

bool state_has_finished(const struct state *state, const char *deployment_id)
{
	for (size_t i = 0; state->finished[i]; i++)
		if (strcmp(state->finished[i], deployment_id) == 0)
			return true;
	return false;
}

static void remember_finished(struct state *state, const char *deployment_id)
{
	if (state_has_finished(state, deployment_id))
		return;
	size_t n = 0;
	while (state->finished[n])
		n++;
	if (n == STATE_FINISHED_MAX) {
		free(state->finished[0]);
		memmove(state->finished, state->finished + 1, n * sizeof(state->finished[0]));
		n--;
	}
	state->finished[n] = xstrdup(deployment_id);
}

void state_close(struct state *state, bool succeeded)
{
	struct state_deployment *d = TAKE(state->open);
	d->phase = STATE_CLOSED;
	d->succeeded = succeeded;
	d->ended = clock_wall();
	remember_finished(state, state_deployment_id(d));
	state_deployment_free(state->last);
	state->last = d;
}

void state_reopen(struct state *state)
{
	assert(!state->open && state->last);
	struct state_deployment *d = TAKE(state->last);
	d->phase = STATE_RUNNING;
	d->ended = 0;
	d->succeeded = false;
	d->undo_failed = false;
	free(d->rolled_back);
	d->rolled_back = NULL;
	state_failure_free(d->failure);
	d->failure = NULL;
	state->open = d;
}
