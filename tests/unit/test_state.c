// SPDX-License-Identifier: Apache-2.0
#include "agent/state.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"

#include <stdio.h>
#include <string.h>

static struct state_deployment *make_deployment(const char *id)
{
	auto_json json_t *doc =
		json_pack("{s:s,s:s,s:s,s:s,s:{s:s,s:{s:s,s:s,s:s}}}", "DeploymentId", id,
			  "DeploymentGroupId", "g", "DeploymentGroupName", "G", "ApplicationName",
			  "app", "Revision", "RevisionType", "S3", "S3Revision", "Bucket", "b",
			  "Key", "k", "BundleType", "tgz");
	struct job *job = xcalloc(1, sizeof(*job));
	struct error err = {0};
	assert_int_equal(wire_spec_from_json(doc, &job->spec, &err), 0);
	job->rollback = true;
	return state_deployment_new(job);
}

static void fill(struct state_deployment *d)
{
	d->archive = xstrdup(state_deployment_id(d));
	d->appspec = xstrdup("appspec.yaml");
	d->previous = xstrdup("d-OLD");
	d->command = xstrdup("command");
	d->command_event = xstrdup("AfterInstall");
	d->scripts = 7;
	d->bytes = INT64_C(5) << 30;
	d->last_command = 1767225600.25;
	d->unprepared = xstrdup("no AppSpec");
	d->unprepared_code = ERR_INPUT;
	state_step_end(state_step_start(d, "ApplicationStop"), STATE_SKIPPED, NULL);
	state_step_end(state_step_start(d, "Install"), STATE_SUCCEEDED, "fine");
	state_step_start(d, "AfterInstall");
	const struct state_run runs[] = {
		{1, "scripts/a.sh", true, 1234, 0, 12 << 20, 3, NULL},
		{2, "scripts/b.sh", false, -1, -1, -1, -1, "server (12)"},
	};
	for (size_t i = 0; i < ARRAY_LEN(runs); i++)
		state_run_add(d, &runs[i]);
	d->failure = xcalloc(1, sizeof(*d->failure));
	*d->failure = (struct state_failure){
		.shortage = xstrdup("its limit is 64 MiB"),
		.refusal = xstrdup("its limit is 100 tasks"),
		.event = xstrdup("AfterInstall"),
		.code = WIRE_SCRIPT_FAILED,
		.script_name = xstrdup("s.sh"),
		.message = xstrdup("failed"),
		.log = xstrdup("[stdout]x\n"),
		.exit_code = 3,
	};
	const struct state_cause causes[] = {
		{"port_in_use", "port 80 is in use", "bind: in use", "look who listens"},
		{"signal", "it crashed", NULL, NULL},
		{"port_in_use", "once more", NULL, NULL},
	};
	d->failure->output = xstrdup("[stdout]x\n[stderr]y\n");
	for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
		state_cause_add(&d->failure->causes, &causes[i]);
		state_cause_add(&d->steps[2].causes, &causes[i]);
	}
	d->left = xcalloc(2, sizeof(*d->left));
	d->left[0] = xstrdup("/srv/app/cache");
}

static void everything_survives_the_disk(void **state)
{
	const struct tempdir *dir = *state;
	auto_state struct state *s = state_new("g");
	s->installed = xstrdup("d-OLD");
	s->last_successful = xstrdup("d-OLDER");
	s->most_recent = xstrdup("d-NEW");
	s->open = make_deployment("d-NEW");
	fill(s->open);
	state_revision_add(s, s->open, true);
	struct error err = {0};
	assert_int_equal(state_save(dir->fd, s, &err), 0);
	auto_state struct state *again = NULL;
	assert_int_equal(state_load(dir->fd, &again, &err), 0);
	auto_json json_t *before = state_to_json(s);
	auto_json json_t *after = state_to_json(again);
	auto_free char *text_before = json_text(before);
	auto_free char *text_after = json_text(after);
	assert_string_equal(text_before, text_after);
	const struct state_deployment *d = again->open;
	assert_int_equal(d->failure->exit_code, 3);
	assert_string_equal(d->failure->shortage, "its limit is 64 MiB");
	assert_string_equal(d->failure->refusal, "its limit is 100 tasks");
	assert_int_equal(d->failure->code, WIRE_SCRIPT_FAILED);
	assert_string_equal(d->failure->output, "[stdout]x\n[stderr]y\n");
	assert_int_equal(d->failure->causes.n, 2);
	assert_string_equal(d->failure->causes.list[0].evidence, "bind: in use");
	assert_null(d->failure->causes.list[1].next);
	assert_int_equal(d->steps[2].causes.n, 2);
	assert_int_equal(d->unprepared_code, ERR_INPUT);
	assert_string_equal(d->left[0], "/srv/app/cache");
	assert_null(d->left[1]);
	assert_int_equal(d->scripts, 7);
	assert_int_equal(d->bytes, INT64_C(5) << 30);
	assert_true(d->job->rollback);
	assert_int_equal(again->n_revisions, 1);
	assert_string_equal(again->revisions[0].spec->bucket, "b");
	assert_int_equal(d->steps[1].n_runs, 0);
	assert_int_equal(d->steps[2].n_runs, 2);
	const struct state_run *runs = d->steps[2].runs;
	assert_string_equal(runs[0].script, "scripts/a.sh");
	assert_true(runs[0].ok && runs[0].number == 1 && runs[0].wall_ms == 1234);
	assert_true(runs[0].cpu_ms == 0 && runs[0].memory_peak == 12 << 20);
	assert_true(runs[0].tasks == 3 && runs[1].tasks == -1);
	assert_null(runs[0].left_running);
	assert_true(!runs[1].ok && runs[1].wall_ms == -1 && runs[1].cpu_ms == -1);
	assert_int_equal(runs[1].memory_peak, -1);
	assert_string_equal(runs[1].left_running, "server (12)");
}

/* What the release before this one wrote: no causes, no output of its own. */
static void a_failure_of_an_earlier_release_is_read(void **state)
{
	auto_state_deployment struct state_deployment *d = make_deployment("d-A");
	fill(d);
	auto_json json_t *doc = state_deployment_to_json(d);
	json_t *failure = json_object_get(doc, "failure");
	json_object_del(failure, "causes");
	json_object_del(failure, "output");
	struct state_deployment *again = NULL;
	struct error err = {0};
	assert_int_equal(state_deployment_from_json(doc, &again, &err), 0);
	auto_state_deployment struct state_deployment *owned = again;
	assert_int_equal(owned->failure->causes.n, 0);
	assert_null(owned->failure->output);
	assert_string_equal(owned->failure->log, "[stdout]x\n");
}

static void texts_and_number_of_causes_are_bounded(void **state)
{
	struct state_causes causes = {0};
	char name[2] = "a", text[2 * STATE_CAUSE_TEXT_MAX];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text + STATE_CAUSE_TEXT_MAX - 1, "\xc3\xa4", 2);
	const struct state_cause cause = {name, text, text, NULL};
	for (; *name < 'z'; (*name)++)
		state_cause_add(&causes, &cause);
	assert_int_equal(causes.n, STATE_CAUSES_MAX);
	assert_int_equal(strlen(causes.list[0].text), STATE_CAUSE_TEXT_MAX - 1);
	assert_true(str_is_utf8(causes.list[0].text, strlen(causes.list[0].text)));
	state_causes_clear(&causes);
}

static void a_group_without_a_file_has_no_state(void **state)
{
	const struct tempdir *dir = *state;
	struct error err = {0};
	struct state *s = NULL;
	fs_unlink_quiet(dir->fd, "state.json");
	assert_int_equal(state_load(dir->fd, &s, &err), -ENOENT);
}

static void what_is_no_state_is_refused(void **state)
{
	const struct tempdir *dir = *state;
	const char *const bad[] = {
		"{\"version\":1}",
		"{\"version\":2,\"group_id\":\"g\"}",
		"{\"version\":1,\"group_id\":\"g\",\"revisions\":[{}]}",
		"{\"version\":1,\"group_id\":\"g\",\"open\":{\"phase\":\"running\"}}",
		"{\"version\":1,\"group_id\":\"g\",\"finished\":[1]}",
		"not JSON",
	};
	struct error err = {0};
	struct state *s = NULL;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(
			fs_write_atomic(dir->fd, "state.json", bad[i], strlen(bad[i]), 0600, &err),
			0);
		assert_int_equal(state_load(dir->fd, &s, &err), ERR_FORMAT);
	}
	fs_unlink_quiet(dir->fd, "state.json");
}

/* Reads a deployment whose one step has these runs. */
static int read_runs(const char *runs, struct state_deployment **ret)
{
	auto_state_deployment struct state_deployment *d = make_deployment("d-A");
	state_step_start(d, "AfterInstall");
	auto_json json_t *doc = state_deployment_to_json(d);
	json_t *list = json_loads(runs, 0, NULL);
	assert_non_null(list);
	json_object_set_new(json_array_get(json_object_get(doc, "steps"), 0), "runs", list);
	struct error err = {0};
	return state_deployment_from_json(doc, ret, &err);
}

static void runs_that_nobody_writes_are_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[1]",
		"[{\"number\":1}]",
		"[{\"script\":\"s\"}]",
		"[{\"number\":0,\"script\":\"s\"}]",
		"[{\"number\":4294967297,\"script\":\"s\"}]",
		"[{\"number\":1,\"script\":\"s\",\"ok\":1}]",
		"[{\"number\":1,\"script\":\"s\",\"wall_ms\":-1}]",
		"[{\"number\":1,\"script\":\"s\",\"cpu_ms\":0.5}]",
		"[{\"number\":1,\"script\":\"s\",\"memory_peak\":\"1\"}]",
		"[{\"number\":1,\"script\":\"s\",\"left_running\":[]}]",
	};
	struct state_deployment *d = NULL;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (read_runs(bad[i], &d) != ERR_FORMAT)
			fail_msg("%s is read", bad[i]);
	auto_json json_t *many = json_array();
	for (int i = 0; i <= STATE_RUNS_MAX; i++)
		json_array_append_new(many, json_pack("{s:i,s:s}", "number", i + 1, "script", "s"));
	auto_free char *text = json_text(many);
	assert_int_equal(read_runs(text, &d), ERR_FORMAT);
	assert_int_equal(read_runs("[{\"number\":1,\"script\":\"s\"}]", &d), 0);
	assert_int_equal(d->steps[0].runs[0].wall_ms, -1);
	assert_int_equal(d->steps[0].runs[0].tasks, -1); /* of an older worker */
	state_deployment_free(d);
}

static void a_run_is_recorded_once_and_only_so_many(void **state)
{
	auto_state_deployment struct state_deployment *d = make_deployment("d-A");
	state_step_start(d, "BeforeInstall");
	struct state_run run = {.number = 1, .script = "s.sh"};
	state_run_add(d, &run);
	run.ok = true;
	state_run_add(d, &run);
	assert_int_equal(d->steps[0].n_runs, 1);
	assert_true(d->steps[0].runs[0].ok);
	state_step_start(d, "AfterInstall");
	for (run.number = 2; run.number < STATE_RUNS_MAX + 3; run.number++)
		state_run_add(d, &run);
	assert_int_equal(d->steps[1].n_runs, STATE_RUNS_MAX - 1);
}

static void long_names_of_a_run_are_cut_between_characters(void **state)
{
	auto_state_deployment struct state_deployment *d = make_deployment("d-A");
	state_step_start(d, "AfterInstall");
	char name[3 * STATE_RUN_TEXT_MAX + 1] = "";
	for (size_t i = 0; i < STATE_RUN_TEXT_MAX; i++)
		memcpy(name + 3 * i, "\xe2\x82\xac", 4);
	const struct state_run run = {.number = 1, .script = name, .left_running = name};
	state_run_add(d, &run);
	const char *cut[] = {d->steps[0].runs[0].script, d->steps[0].runs[0].left_running};
	for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
		assert_int_equal(strlen(cut[i]), STATE_RUN_TEXT_MAX / 3 * 3);
		assert_true(str_is_utf8(cut[i], strlen(cut[i])));
	}
}

static void steps_tell_what_ran(void **state)
{
	auto_state_deployment struct state_deployment *d = make_deployment("d-A");
	state_step_end(state_step_start(d, "ApplicationStop"), STATE_SKIPPED, NULL);
	state_step_start(d, "AfterInstall");
	assert_false(state_step_ran(d, "ApplicationStop"));
	assert_true(state_step_succeeded(d, "ApplicationStop"));
	assert_true(state_step_ran(d, "AfterInstall"));
	assert_false(state_step_succeeded(d, "AfterInstall"));
	assert_null(state_step_find(d, "Install"));
}

static void a_closed_deployment_is_the_last_and_has_finished(void **state)
{
	auto_state struct state *s = state_new("g");
	s->open = make_deployment("d-A");
	state_close(s, true);
	assert_null(s->open);
	assert_string_equal(state_deployment_id(s->last), "d-A");
	assert_true(s->last->succeeded);
	assert_int_equal(s->last->phase, STATE_CLOSED);
	assert_true(state_has_finished(s, "d-A"));
	assert_false(state_has_finished(s, "d-B"));
}

static void only_so_many_finished_ids_are_remembered(void **state)
{
	auto_state struct state *s = state_new("g");
	for (int i = 0; i < STATE_FINISHED_MAX + 2; i++) {
		char id[16];
		snprintf(id, sizeof(id), "d-%d", i);
		s->open = make_deployment(id);
		state_close(s, false);
	}
	assert_false(state_has_finished(s, "d-1"));
	assert_true(state_has_finished(s, "d-2"));
	assert_string_equal(s->finished[STATE_FINISHED_MAX - 1], "d-65");
	assert_null(s->finished[STATE_FINISHED_MAX]);
}

static void a_reopened_deployment_has_forgotten_its_failure(void **state)
{
	auto_state struct state *s = state_new("g");
	s->open = make_deployment("d-A");
	fill(s->open);
	state_close(s, false);
	state_reopen(s);
	assert_null(s->last);
	assert_null(s->open->failure);
	assert_int_equal(s->open->phase, STATE_RUNNING);
	assert_int_equal(s->open->n_steps, 3);
	state_close(s, true);
	assert_string_equal(s->finished[0], "d-A");
	assert_null(s->finished[1]);
}

static void a_revision_is_kept_once(void **state)
{
	auto_state struct state *s = state_new("g");
	const char *const ids[] = {"d-A", "d-B", "d-A"};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		auto_state_deployment struct state_deployment *d = make_deployment(ids[i]);
		d->archive = xstrdup("d-A");
		state_revision_add(s, d, i == 2);
	}
	assert_int_equal(s->n_revisions, 2);
	assert_string_equal(s->revisions[1].deployment_id, "d-A");
	assert_true(state_revision_find(s, "d-A")->succeeded);
	state_revision_remove(s, "d-B");
	assert_int_equal(s->n_revisions, 1);
	assert_null(state_revision_find(s, "d-B"));
	assert_null(state_revision_find(s, NULL));
}

/* With names that take the most room. */
static struct state_deployment *full_of_runs(const char *id)
{
	struct state_deployment *d = make_deployment(id);
	char name[STATE_RUN_TEXT_MAX + 1] = "";
	memset(name, 1, STATE_RUN_TEXT_MAX);
	state_step_start(d, "AfterInstall");
	for (unsigned i = 1; i <= STATE_RUNS_MAX; i++) {
		const struct state_run run = {i,         name,      true,      INT64_MAX,
					      INT64_MAX, INT64_MAX, INT64_MAX, name};
		state_run_add(d, &run);
	}
	return d;
}

static void as_many_revisions_as_the_settings_allow_can_be_read_again(void **state)
{
	const struct tempdir *dir = *state;
	auto_state struct state *s = state_new("g");
	for (unsigned i = 0; i < STATE_REVISIONS_MAX + 2; i++) {
		auto_free char *id = xasprintf("d-%0100u", i);
		auto_state_deployment struct state_deployment *d = make_deployment(id);
		d->archive = xstrdup(id);
		state_revision_add(s, d, true);
	}
	s->open = full_of_runs("d-A");
	s->last = full_of_runs("d-B");
	struct error err = {0};
	assert_int_equal(state_save(dir->fd, s, &err), 0);
	auto_state struct state *back = NULL;
	assert_int_equal(state_load(dir->fd, &back, &err), 0);
	assert_int_equal(back->n_revisions, STATE_REVISIONS_MAX + 2);
	assert_int_equal(back->open->steps[0].n_runs, STATE_RUNS_MAX);
}

static void what_could_not_be_read_again_is_not_written(void **state)
{
	const struct tempdir *dir = *state;
	auto_state struct state *s = state_new("g");
	struct error err = {0};
	assert_int_equal(state_save(dir->fd, s, &err), 0);
	s->installed = xcalloc(1, STATE_MAX_BYTES + 1);
	memset(s->installed, 'x', STATE_MAX_BYTES);
	assert_int_equal(state_save(dir->fd, s, &err), -EFBIG);
	assert_non_null(strstr(err.text, "lower max_revisions"));
	auto_state struct state *back = NULL;
	assert_int_equal(state_load(dir->fd, &back, &err), 0);
	assert_null(back->installed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(everything_survives_the_disk),
		tempdir_test(a_failure_of_an_earlier_release_is_read),
		tempdir_test(texts_and_number_of_causes_are_bounded),
		tempdir_test(a_group_without_a_file_has_no_state),
		tempdir_test(what_is_no_state_is_refused),
		tempdir_test(runs_that_nobody_writes_are_refused),
		tempdir_test(a_run_is_recorded_once_and_only_so_many),
		tempdir_test(long_names_of_a_run_are_cut_between_characters),
		tempdir_test(steps_tell_what_ran),
		tempdir_test(a_closed_deployment_is_the_last_and_has_finished),
		tempdir_test(only_so_many_finished_ids_are_remembered),
		tempdir_test(a_reopened_deployment_has_forgotten_its_failure),
		tempdir_test(a_revision_is_kept_once),
		tempdir_test(as_many_revisions_as_the_settings_allow_can_be_read_again),
		tempdir_test(what_could_not_be_read_again_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
