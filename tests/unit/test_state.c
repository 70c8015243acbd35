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
	d->last_command = 1767225600.25;
	d->unprepared = xstrdup("no AppSpec");
	d->unprepared_code = ERR_INPUT;
	state_step_end(state_step_start(d, "ApplicationStop"), STATE_SKIPPED, NULL);
	state_step_end(state_step_start(d, "Install"), STATE_SUCCEEDED, "fine");
	state_step_start(d, "AfterInstall");
	d->failure = xcalloc(1, sizeof(*d->failure));
	*d->failure = (struct state_failure){
		.shortage = xstrdup("its limit is 64 MiB"),
		.event = xstrdup("AfterInstall"),
		.code = WIRE_SCRIPT_FAILED,
		.script_name = xstrdup("s.sh"),
		.message = xstrdup("failed"),
		.log = xstrdup("[stdout]x\n"),
		.exit_code = 3,
	};
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
	assert_int_equal(d->failure->code, WIRE_SCRIPT_FAILED);
	assert_int_equal(d->unprepared_code, ERR_INPUT);
	assert_string_equal(d->left[0], "/srv/app/cache");
	assert_null(d->left[1]);
	assert_int_equal(d->scripts, 7);
	assert_true(d->job->rollback);
	assert_int_equal(again->n_revisions, 1);
	assert_string_equal(again->revisions[0].spec->bucket, "b");
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
	struct error err = {0};
	assert_int_equal(state_save(dir->fd, s, &err), 0);
	auto_state struct state *back = NULL;
	assert_int_equal(state_load(dir->fd, &back, &err), 0);
	assert_int_equal(back->n_revisions, STATE_REVISIONS_MAX + 2);
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
		tempdir_test(a_group_without_a_file_has_no_state),
		tempdir_test(what_is_no_state_is_refused),
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
