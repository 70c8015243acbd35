// SPDX-License-Identifier: Apache-2.0
#include "agent/settings.h"
#include "agent/state.h"
#include "common/log.h"
#include "tests/unit/tempdir.h"

/* The file of the official package with everything else that its manual lists. */
static const char official[] =
	"---\n"
	":log_aws_wire: false\n"
	":log_dir: '/var/log/aws/codedeploy-agent/'\n"
	":pid_dir: '/opt/codedeploy-agent/state/.pid/'\n"
	":program_name: codedeploy-agent\n"
	":root_dir: '/opt/codedeploy-agent/deployment-root'\n"
	":verbose: true\n"
	":wait_between_runs: 1\n"
	":wait_after_error: 30\n"
	":http_read_timeout: 60\n"
	":max_revisions: 7\n"
	":on_premises_config_file: /etc/codedeploy-agent/conf/codedeploy.onpremises.yml\n"
	":proxy_uri:\n"
	":enable_deployments_log: true\n"
	":use_fips_mode: false\n"
	":enable_auth_policy: false\n"
	":deploy_control_endpoint: https://control.example:8443\n"
	":s3_endpoint_override:\n"
	":disable_imds_v1: false\n"
	":kill_agent_max_wait_time_seconds: 7200\n"
	":ongoing_deployment_tracking: ongoing-deployment\n"
	":children: 1\n"
	":wait_between_spawning_children: 1\n"
	":wait_after_throttle_error: 60\n"
	":wait_after_connection_problem: 5\n"
	":max_runs_per_worker: 0\n"
	":user:\n"
	":group:\n"
	":plugins: [codedeploy]\n"
	":codedeploy_test_profile: prod\n"
	":use_mock_command_service: false\n"
	":shared_dir:\n"
	":instance_service_region:\n"
	":instance_service_endpoint:\n"
	":instance_service_port:\n"
	":archive_max_extraction_size: 2GB\n"
	":reject_symlinks_in_bundle: true\n"
	":reject_path_traversal_in_bundle: true\n"
	":reject_unsafe_permissions_in_bundle: true\n"
	":reject_unconfined_selinux_in_bundle: true\n"
	":reject_symlink_permission_targets: true\n"
	":ignore_ownership_in_bundle: true\n"
	":enable_command_port: false\n"
	":enable_archive_reuse: true\n"
	":disable_core_dumps: true\n"
	":restrict_agent_dir_permissions: true\n"
	":restrict_log_dir_permissions: true\n"
	":restrict_hook_env_to_allowlist: true\n"
	":strip_loader_env_in_hooks: true\n"
	":disable_powershell_profile_in_hooks: false\n"
	":ssl_verify_peer: true\n"
	":a_key_of_a_later_release: 1\n";

static void write_settings(const struct tempdir *dir, const char *text, struct paths *paths)
{
	struct error err = {0};
	assert_int_equal(paths_init(paths, dir->path, &err), 0);
	auto_close int etc = fs_mkdirs(dir->fd, "etc/slipway", 0755, &err);
	assert_true(etc >= 0);
	if (text)
		tempdir_write(dir, "etc/slipway/agent.yml", text);
}

static void every_official_key_is_taken(void **state)
{
	auto_paths struct paths paths = {0};
	auto_settings struct settings settings = {0};
	struct error err = {0};
	write_settings(*state, official, &paths);
	log_set_level(LOG_ERR);
	if (settings_load(&settings, &paths, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(settings.log_dir, "/var/log/aws/codedeploy-agent/");
	assert_string_equal(settings.root_dir, "/opt/codedeploy-agent/deployment-root");
	assert_true(settings.verbose);
	assert_int_equal(settings.http_read_timeout, 60000);
	assert_int_equal(settings.max_revisions, 7);
	assert_int_equal(settings.archive_max_extraction_size, 2000000000);
	assert_true(settings.reject_symlinks_in_bundle);
	assert_true(settings.reject_path_traversal_in_bundle);
	assert_true(settings.reject_unsafe_permissions_in_bundle);
	assert_true(settings.reject_unconfined_selinux_in_bundle);
	assert_true(settings.reject_symlink_permission_targets);
	assert_true(settings.ignore_ownership_in_bundle);
	assert_null(settings.proxy_uri);
	assert_string_equal(settings.pid_dir, "/opt/codedeploy-agent/state/.pid/");
	assert_string_equal(settings.program_name, "codedeploy-agent");
	assert_string_equal(settings.tracking, "ongoing-deployment");
	assert_true(settings.deployments_log);
	assert_true(settings.restrict_agent_dirs && settings.restrict_log_dir);
	assert_true(settings.restrict_hook_env && settings.strip_loader_env);
	assert_string_equal(settings.endpoint, "https://control.example:8443");
}

static void without_a_file_the_defaults_hold(void **state)
{
	auto_paths struct paths paths = {0};
	auto_settings struct settings settings = {0};
	struct error err = {0};
	write_settings(*state, NULL, &paths);
	assert_int_equal(settings_load(&settings, &paths, &err), 0);
	assert_int_equal(settings.max_revisions, 5);
	assert_int_equal(settings.max_revision_age, 0);
	assert_int_equal(settings.max_revision_bytes, 0);
	assert_true(settings.local_rollback);
	assert_int_equal(settings.orphan_timeout, 600000);
	assert_int_equal(settings.max_parallel, 16);
	assert_int_equal(settings.http_read_timeout, 80000);
	assert_int_equal(settings.archive_max_entries, 1000000);
	assert_int_equal(settings.bundle_max_bytes, 0);
	assert_false(settings.allow_setid);
	assert_false(settings.reject_symlinks_in_bundle);
	assert_false(settings.ignore_ownership_in_bundle);
	assert_null(settings.destination_root);
}

static void our_own_keys_are_taken(void **state)
{
	auto_paths struct paths paths = {0};
	auto_settings struct settings settings = {0};
	struct error err = {0};
	write_settings(*state,
		       "destination_root: /srv/host-a\nhook_environment: {HOST: a}\n"
		       "orphan_timeout: 30s\narchive_max_bytes: 2G\n"
		       "max_revisions: 0\nmax_revision_age: 30d\nmax_revision_bytes: 10G\n",
		       &paths);
	assert_int_equal(settings_load(&settings, &paths, &err), 0);
	assert_string_equal(settings.destination_root, "/srv/host-a");
	assert_string_equal(settings.hook_environment.values[0], "a");
	assert_int_equal(settings.orphan_timeout, 30000);
	assert_int_equal(settings.archive_max_bytes, 2147483648);
	assert_int_equal(settings.max_revisions, 0);
	assert_int_equal(settings.max_revision_age, 30 * INT64_C(86400000));
	assert_int_equal(settings.max_revision_bytes, INT64_C(10) << 30);
}

/* The official agents take any; a host must not stop for one of these. */
static void official_numbers_are_never_too_large(void **state)
{
	static const struct {
		const char *line;
		int64_t revisions;
		uint64_t timeout_ms;
	} rows[] = {{":max_revisions: 100000", STATE_REVISIONS_MAX, 80000},
		    {":http_read_timeout: 86400", 5, 3600000},
		    {":http_read_timeout: 0", 5, 1000}};
	log_set_level(LOG_ERR);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_paths struct paths paths = {0};
		auto_settings struct settings settings = {0};
		struct error err = {0};
		write_settings(*state, rows[i].line, &paths);
		assert_int_equal(settings_load(&settings, &paths, &err), 0);
		assert_int_equal(settings.max_revisions, rows[i].revisions);
		assert_int_equal(settings.http_read_timeout, rows[i].timeout_ms);
	}
}

static void a_mistake_is_named_with_file_and_line(void **state)
{
	auto_paths struct paths paths = {0};
	auto_settings struct settings settings = {0};
	struct error err = {0};
	write_settings(*state, "verbose: true\n:max_revisions: -1\n", &paths);
	assert_int_equal(settings_load(&settings, &paths, &err), ERR_INPUT);
	assert_non_null(strstr(err.text, "/etc/slipway/agent.yml:2: 'max_revisions' must be from "
					 "0 to 500, not -1"));
}

static void an_endpoint_is_reached_by_https_only(void **state)
{
	auto_paths struct paths paths = {0};
	struct error err = {0};
	static const char *const bad[] = {
		"file:///etc/passwd",
		"ftp://a.example",
		"javascript:alert(1)",
		"http://a.example",
		"https://",
		"https:///x",
		"https://u:p@a.example",
		"https://a.example/path",
		"a.example",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_settings struct settings settings = {0};
		auto_free char *text = xasprintf("deploy_control_endpoint: '%s'\n", bad[i]);
		write_settings(*state, text, &paths);
		assert_int_equal(settings_load(&settings, &paths, &err), ERR_INPUT);
		assert_non_null(strstr(err.text, "agent.yml:1: 'deploy_control_endpoint' must be "
						 "https://HOST[:PORT], not '"));
		assert_non_null(strstr(err.text, bad[i]));
		paths_clear(&paths);
	}
	auto_settings struct settings settings = {0};
	write_settings(*state, "deploy_control_endpoint: https://[::1]:8443/\n", &paths);
	assert_int_equal(settings_load(&settings, &paths, &err), 0);
	assert_string_equal(settings.endpoint, "https://[::1]:8443");
}

static void durations_have_a_ceiling(void **state)
{
	auto_paths struct paths paths = {0};
	struct error err = {0};
	static const char *const bad[] = {"http_read_timeout: 99999999999999999999",
					  "orphan_timeout: 8d", "orphan_timeout: 0"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_settings struct settings settings = {0};
		write_settings(*state, bad[i], &paths);
		assert_int_equal(settings_load(&settings, &paths, &err), ERR_INPUT);
		assert_non_null(strstr(err.text, "agent.yml:1: '"));
		paths_clear(&paths);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(every_official_key_is_taken),
		tempdir_test(without_a_file_the_defaults_hold),
		tempdir_test(our_own_keys_are_taken),
		tempdir_test(official_numbers_are_never_too_large),
		tempdir_test(a_mistake_is_named_with_file_and_line),
		tempdir_test(an_endpoint_is_reached_by_https_only),
		tempdir_test(durations_have_a_ceiling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
