// SPDX-License-Identifier: Apache-2.0
/* What follows from what has happened: the pure parts of the lifecycle, as tables. */
#include "agent/worker/env-file.h"
#include "agent/worker/env.h"
#include "agent/worker/prepare.h"
#include "agent/worker/rollback.h"
#include "agent/worker/run.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"

#include <stdlib.h>
#include <string.h>

static void a_rollback_does_what_the_facts_ask_for(void **state)
{
	static const struct {
		const char *name;
		struct rollback_facts facts;
		struct rollback_plan plan;
	} rows[] = {
		{"nothing has happened", {.previous = true}, {0}},
		{"first deployment, only installed", {.installed = true}, {.undo = true}},
		{"first deployment, started",
		 {.installed = true, .scripts_prepared = true, .started = true},
		 {.stop_new = true, .undo = true}},
		{"the old one was stopped, nothing installed",
		 {.previous = true, .previous_stopped = true},
		 {.application_start = true, .validate_service = true}},
		{"same, after BeforeInstall of the new one",
		 {.previous = true, .previous_stopped = true, .scripts_prepared = true},
		 {.application_start = true, .validate_service = true}},
		{"BeforeInstall failed, the old one was never stopped",
		 {.previous = true, .scripts_prepared = true},
		 {0}},
		{"installed, no script of the new one",
		 {.previous = true, .installed = true},
		 {.undo = true, .application_start = true, .validate_service = true}},
		{"AfterInstall failed",
		 {.previous = true,
		  .installed = true,
		  .previous_stopped = true,
		  .scripts_prepared = true},
		 {.undo = true,
		  .after_install = true,
		  .application_start = true,
		  .validate_service = true}},
		{"ValidateService failed",
		 {.previous = true,
		  .installed = true,
		  .previous_stopped = true,
		  .scripts_prepared = true,
		  .started = true},
		 {.stop_new = true,
		  .undo = true,
		  .after_install = true,
		  .application_start = true,
		  .validate_service = true}},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rollback_plan seen = rollback_plan(&rows[i].facts);
		if (memcmp(&seen, &rows[i].plan, sizeof(seen)) != 0)
			fail_msg("%s", rows[i].name);
	}
}

static struct state_deployment *deployment_with(const char *const *steps)
{
	struct job *job = xcalloc(1, sizeof(*job));
	struct state_deployment *d = state_deployment_new(job);
	for (size_t i = 0; steps[i]; i++) {
		enum state_step_status status = STATE_SUCCEEDED;
		const char *name = steps[i];
		if (*name == '-') {
			status = STATE_SKIPPED;
			name++;
		} else if (*name == '!') {
			status = STATE_FAILED;
			name++;
		}
		state_step_end(state_step_start(d, name), status, NULL);
	}
	return d;
}

static void facts_are_read_from_the_steps(void **state)
{
	static const struct {
		const char *steps[8];
		struct rollback_facts facts;
	} rows[] = {
		{{"-ApplicationStop", "DownloadBundle"}, {0}},
		{{"ApplicationStop", "DownloadBundle", "!BeforeInstall"},
		 {.previous_stopped = true, .scripts_prepared = true}},
		{{"ApplicationStop", "DownloadBundle", "!Install"}, {.previous_stopped = true}},
		{{"-ApplicationStop", "DownloadBundle", "Install", "!AfterInstall"},
		 {.installed = true, .scripts_prepared = true}},
		{{"Install", "-AfterInstall", "!ApplicationStart"},
		 {.installed = true, .started = true}},
		{{"Install", "-ApplicationStart", "!ValidateService"},
		 {.installed = true, .started = true}},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_state_deployment struct state_deployment *d = deployment_with(rows[i].steps);
		struct rollback_facts seen = rollback_facts(d);
		assert_memory_equal(&seen, &rows[i].facts, sizeof(seen));
	}
}

static const char *value_of(char **env, const char *key)
{
	size_t len = strlen(key);
	for (size_t i = 0; env[i]; i++)
		if (strncmp(env[i], key, len) == 0 && env[i][len] == '=')
			return env[i] + len + 1;
	return NULL;
}

static const struct wire_spec s3_spec = {
	.deployment_id = "d-A",
	.group_id = "gid",
	.group_name = "G",
	.application = "app",
	.revision_type = WIRE_REVISION_S3,
	.bucket = "b",
	.key = "k",
	.etag = "e",
};

static void scripts_see_the_documented_variables(void **state)
{
	char *keys[] = {"PORT", "DEPLOYMENT_ID"}, *values[] = {"80", "forged"};
	const struct settings settings = {
		.destination_root = "/srv/tree",
		.hook_environment = {.count = 2, .keys = keys, .values = values},
	};
	const struct env_request request = {
		.settings = &settings, .spec = &s3_spec, .event = "AfterInstall"};
	char **env = env_make(&request);
	assert_string_equal(value_of(env, "LIFECYCLE_EVENT"), "AfterInstall");
	assert_string_equal(value_of(env, "DEPLOYMENT_ID"), "d-A");
	assert_string_equal(value_of(env, "DEPLOYMENT_GROUP_ID"), "gid");
	assert_string_equal(value_of(env, "DEPLOYMENT_GROUP_NAME"), "G");
	assert_string_equal(value_of(env, "APPLICATION_NAME"), "app");
	assert_string_equal(value_of(env, "BUNDLE_BUCKET"), "b");
	assert_string_equal(value_of(env, "BUNDLE_KEY"), "k");
	assert_string_equal(value_of(env, "BUNDLE_ETAG"), "e");
	assert_null(value_of(env, "BUNDLE_VERSION"));
	assert_null(value_of(env, "BUNDLE_COMMIT"));
	assert_null(value_of(env, "SLIPWAY_ROLLBACK"));
	assert_string_equal(value_of(env, "SLIPWAY_DESTINATION_ROOT"), "/srv/tree");
	assert_string_equal(value_of(env, "PORT"), "80");
	assert_non_null(value_of(env, "PATH"));
	str_list_free(env);
}

static void nothing_of_the_agents_environment_leaks(void **state)
{
	setenv("AWS_SECRET_KEY", "secret", 1);
	const struct settings settings = {0};
	struct wire_spec github = s3_spec;
	github.revision_type = WIRE_REVISION_GITHUB;
	github.commit = (char *)"abc";
	const struct env_request request = {
		.settings = &settings, .spec = &github, .event = "X", .rollback = true};
	char **env = env_make(&request);
	assert_null(value_of(env, "AWS_SECRET_KEY"));
	assert_null(value_of(env, "HOME"));
	assert_null(value_of(env, "BUNDLE_BUCKET"));
	assert_string_equal(value_of(env, "BUNDLE_COMMIT"), "abc");
	assert_string_equal(value_of(env, "SLIPWAY_ROLLBACK"), "1");
	size_t n = 0;
	while (env[n])
		n++;
	assert_int_equal(n, 8);
	str_list_free(env);
}

static void a_file_of_variables_is_read_as_others_read_it(void **state)
{
	static const char text[] = "# proxy\n\nexport HTTP_PROXY=http://p:1\nA=one two  \r\n"
				   "B=\"x \\\"y\\\" $HOME \\n\"\nC=' \"c\" '\n  D=\n"
				   "1X=no\nE=\"open\nnothing\nA-B=no\nA=last";
	auto_env_file struct conf_map map = {0};
	unsigned bad = 0;
	struct error err = {0};
	assert_int_equal(env_file_parse(text, &map, &bad, &err), 0);
	static const char *const wanted[][2] = {{"HTTP_PROXY", "http://p:1"},
						{"A", "last"},
						{"B", "x \"y\" $HOME \\n"},
						{"C", " \"c\" "},
						{"D", ""}};
	assert_int_equal(map.count, ARRAY_LEN(wanted));
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		assert_string_equal(map.keys[i], wanted[i][0]);
		assert_string_equal(map.values[i], wanted[i][1]);
	}
	assert_int_equal(bad, 8);
}

static void a_file_of_too_many_variables_is_refused(void **state)
{
	auto_buf struct buf text = BUF_INIT(100000);
	auto_env_file struct conf_map map = {0};
	unsigned bad;
	struct error err = {0};
	for (int i = 0; i <= ENV_FILE_VARIABLES_MAX; i++)
		buf_addf(&text, "V%d=x\n", i);
	assert_int_equal(env_file_parse(buf_str(&text), &map, &bad, &err), ERR_LIMIT);
}

static char **env_with(const struct settings *settings)
{
	const struct env_request request = {
		.settings = settings, .spec = &s3_spec, .event = "AfterInstall"};
	return env_make(&request);
}

static void a_file_gives_scripts_their_variables(void **state)
{
	const struct tempdir *dir = *state;
	tempdir_write(dir, "vars", "PORT=1\nSITE=here\nDEPLOYMENT_ID=forged\nLD_PRELOAD=x.so\n");
	auto_free char *path = xasprintf("%s/vars", dir->path);
	char *keys[] = {"PORT", "LD_AUDIT"}, *values[] = {"80", "y.so"};
	struct settings settings = {.hook_environment_file = path,
				    .hook_environment = {2, keys, values}};
	char **env = env_with(&settings);
	assert_string_equal(value_of(env, "SITE"), "here");
	assert_string_equal(value_of(env, "PORT"), "80");
	assert_string_equal(value_of(env, "DEPLOYMENT_ID"), "d-A");
	assert_string_equal(value_of(env, "LD_PRELOAD"), "x.so");
	str_list_free(env);
	settings.strip_loader_env = true;
	env = env_with(&settings);
	assert_null(value_of(env, "LD_PRELOAD"));
	assert_null(value_of(env, "LD_AUDIT"));
	assert_string_equal(value_of(env, "SITE"), "here");
	str_list_free(env);
	settings.restrict_hook_env = true;
	env = env_with(&settings);
	assert_null(value_of(env, "SITE"));
	assert_string_equal(value_of(env, "PORT"), "80");
	str_list_free(env);
}

static void hook_names_must_be_events_of_the_deployment(void **state)
{
	struct spec_event events[] = {{.name = "AfterInstall"}, {.name = "Migrate", .line = 9}};
	const struct spec spec = {.events = events, .n_events = 2};
	char *const with[] = {"Install", "Migrate", NULL};
	char *const without[] = {"Install", "AfterInstall", NULL};
	char *const more[] = {"Migrate", "Warm", NULL};
	struct error err = {0};
	assert_int_equal(prepare_check_events(&spec, "appspec.yml", NULL, &err), 0);
	assert_int_equal(prepare_check_events(&spec, "appspec.yml", with, &err), 0);
	assert_int_equal(prepare_check_events(&spec, "appspec.yml", without, &err), ERR_INPUT);
	assert_string_equal(err.text,
			    "appspec.yml:9: 'Migrate' is no lifecycle event of this deployment");
	assert_int_equal(prepare_check_events(&spec, "appspec.yml", more, &err), ERR_INPUT);
	assert_string_equal(err.text, "appspec.yml: event 'Warm' of this deployment has no hooks");
}

static void errors_become_the_exit_codes_of_the_command_line(void **state)
{
	static const struct {
		int code, exit;
	} rows[] = {
		{ERR_INPUT, 2},   {ERR_SIGNATURE, 2},   {ERR_TRUST, 2}, {ERR_EXPIRED, 2},
		{ERR_DENIED, 2},  {ERR_REFUSED, 3},     {ERR_UNDO, 4},  {ERR_BUSY, 6},
		{ERR_NETWORK, 6}, {ERR_NOT_MOUNTED, 6}, {-ENOSPC, 1},   {ERR_SCRIPT, 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(run_exit_code(rows[i].code), rows[i].exit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rollback_does_what_the_facts_ask_for),
		cmocka_unit_test(facts_are_read_from_the_steps),
		cmocka_unit_test(scripts_see_the_documented_variables),
		cmocka_unit_test(nothing_of_the_agents_environment_leaks),
		cmocka_unit_test(a_file_of_variables_is_read_as_others_read_it),
		cmocka_unit_test(a_file_of_too_many_variables_is_refused),
		tempdir_test(a_file_gives_scripts_their_variables),
		cmocka_unit_test(hook_names_must_be_events_of_the_deployment),
		cmocka_unit_test(errors_become_the_exit_codes_of_the_command_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
