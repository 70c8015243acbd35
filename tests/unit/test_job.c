// SPDX-License-Identifier: Apache-2.0
#include "agent/job.h"
#include "common/alloc.h"
#include "common/json.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct job *make_job(enum job_verb verb, const char *creator, const char *type)
{
	auto_json json_t *doc = json_pack(
		"{s:s,s:s,s:s,s:s,s:s,s:s,s:{s:s,s:{s:s,s:s}}}", "DeploymentId", "d-A1",
		"DeploymentGroupId", "g", "DeploymentGroupName", "G", "ApplicationName", "app",
		"DeploymentCreator", creator, "DeploymentType", type, "Revision", "RevisionType",
		"Local File", "LocalRevision", "Location", "x", "BundleType", "tgz");
	struct job *job = xcalloc(1, sizeof(*job));
	struct error err = {0};
	assert_int_equal(wire_spec_from_json(doc, &job->spec, &err), 0);
	job->verb = verb;
	return job;
}

static struct job *endpoint_job(void)
{
	return make_job(JOB_ENDPOINT, "user", "IN_PLACE");
}

static void scripts_come_from_the_revision_that_the_table_names(void **state)
{
	static const struct {
		const char *event;
		enum job_revision normal, blue_green_rollback, downloaded;
	} rows[] = {
		{"BeforeBlockTraffic", JOB_PREVIOUS, JOB_MOST_RECENT, JOB_NEW},
		{"AfterBlockTraffic", JOB_PREVIOUS, JOB_MOST_RECENT, JOB_NEW},
		{"ApplicationStop", JOB_PREVIOUS, JOB_PREVIOUS, JOB_NEW},
		{"BeforeInstall", JOB_NEW, JOB_NEW, JOB_NEW},
		{"AfterInstall", JOB_NEW, JOB_NEW, JOB_NEW},
		{"ApplicationStart", JOB_NEW, JOB_NEW, JOB_NEW},
		{"ValidateService", JOB_NEW, JOB_NEW, JOB_NEW},
		{"BeforeAllowTraffic", JOB_NEW, JOB_PREVIOUS, JOB_NEW},
		{"AfterAllowTraffic", JOB_NEW, JOB_PREVIOUS, JOB_NEW},
		{"Migrate", JOB_NEW, JOB_NEW, JOB_NEW},
	};
	auto_job struct job *plain = endpoint_job();
	auto_job struct job *back = make_job(JOB_ENDPOINT, "codeDeployRollback", "BLUE_GREEN");
	auto_job struct job *in_place = make_job(JOB_ENDPOINT, "codeDeployRollback", "IN_PLACE");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(job_revision(plain, rows[i].event, false), rows[i].normal);
		assert_int_equal(job_revision(in_place, rows[i].event, false), rows[i].normal);
		assert_int_equal(job_revision(back, rows[i].event, false),
				 rows[i].blue_green_rollback);
		assert_int_equal(job_revision(back, rows[i].event, true), rows[i].downloaded);
	}
}

static void the_order_of_events_is_kept(void **state)
{
	static const struct {
		const char *walked[4];
		size_t n;
		const char *event;
		int code;
	} rows[] = {
		{{NULL}, 0, "ApplicationStop", 0},
		{{NULL}, 0, "BeforeBlockTraffic", 0},
		{{NULL}, 0, "DownloadBundle", 0},
		{{NULL}, 0, "BeforeInstall", -EINVAL},
		{{NULL}, 0, "Install", -EINVAL},
		{{"ApplicationStop", "DownloadBundle"}, 2, "Install", 0},
		{{"ApplicationStop", "DownloadBundle"}, 2, "ApplicationStop", -EINVAL},
		{{"ApplicationStop", "DownloadBundle"}, 2, "DownloadBundle", -EINVAL},
		{{"ApplicationStop", "DownloadBundle"}, 2, "AfterInstall", -EINVAL},
		{{"DownloadBundle", "Install"}, 2, "BeforeInstall", -EINVAL},
		{{"DownloadBundle", "Install"}, 2, "ValidateService", 0},
		{{"DownloadBundle", "Install"}, 2, "AfterAllowTraffic", 0},
		{{NULL}, 0, "BlockTraffic", -EINVAL},
		{{NULL}, 0, "UpdateDeploymentAgent", -EINVAL},
	};
	auto_job struct job *job = endpoint_job();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = {0};
		assert_int_equal(
			job_check_next(job, rows[i].walked, rows[i].n, rows[i].event, &err),
			rows[i].code);
	}
}

static void an_event_out_of_order_says_what_it_needs(void **state)
{
	auto_job struct job *job = endpoint_job();
	struct error err = {0};
	assert_int_equal(job_check_next(job, NULL, 0, "Install", &err), -EINVAL);
	assert_string_equal(err.text,
			    "'Install' cannot come before 'DownloadBundle' has succeeded");
}

static void only_standard_hook_events_are_commands(void **state)
{
	assert_true(job_is_command("Install"));
	assert_true(job_is_command("ValidateService"));
	assert_false(job_is_command("AllowTraffic"));
	assert_false(job_is_command("UpdateDeploymentAgent"));
	assert_false(job_is_command(""));
}

static void a_deployment_is_complete_after_validate_service(void **state)
{
	auto_job struct job *job = endpoint_job();
	assert_true(job_completes(job, "ValidateService"));
	assert_false(job_completes(job, "Install"));
	assert_false(job_completes(job, "AfterAllowTraffic"));
}

static void without_validate_service_the_last_command_completes(void **state)
{
	static char *all[] = {"DownloadBundle", "AllowTraffic", "Install", "ApplicationStop", NULL};
	auto_job struct job *job = endpoint_job();
	job->spec->all_events = all;
	assert_true(job_completes(job, "Install"));
	assert_false(job_completes(job, "DownloadBundle"));
	job->spec->all_events = NULL;
}

static void a_local_deployment_is_complete_after_its_last_event(void **state)
{
	auto_job struct job *job = make_job(JOB_DEPLOY, "user", "IN_PLACE");
	struct error err = {0};
	const char *given[] = {"ValidateService", "Migrate", NULL};
	assert_int_equal(job_local_events(given, &job->events, &err), 0);
	assert_true(job_completes(job, "Migrate"));
	assert_false(job_completes(job, "ValidateService"));
	assert_int_equal(job_kind(job, "Migrate"), JOB_HOOKS);
	assert_int_equal(job_kind(job, "Other"), JOB_FOREIGN);
}

static char *joined(char **list)
{
	static char text[1024];
	text[0] = '\0';
	for (size_t i = 0; list[i]; i++) {
		strcat(text, i ? "," : "");
		strcat(text, list[i]);
	}
	return text;
}

static void local_events_get_download_and_install(void **state)
{
	static const struct {
		const char *given[5];
		const char *want; /* NULL: refused */
	} rows[] = {
		{{NULL}, "DownloadBundle,Install"},
		{{"ApplicationStop"}, "DownloadBundle,Install,ApplicationStop"},
		{{"ApplicationStop", "DownloadBundle", "Install"},
		 "ApplicationStop,DownloadBundle,Install"},
		{{"ApplicationStop", "DownloadBundle", "AfterInstall"},
		 "ApplicationStop,DownloadBundle,Install,AfterInstall"},
		{{"DownloadBundle", "BeforeInstall", "Install"},
		 "DownloadBundle,BeforeInstall,Install"},
		{{"Install", "Migrate"}, "DownloadBundle,Install,Migrate"},
		{{"BeforeInstall", "DownloadBundle", "Install"}, NULL},
		{{"Install", "DownloadBundle"}, NULL},
		{{"DownloadBundle", "AfterInstall", "Install"}, NULL},
		{{"AllowTraffic"}, NULL},
		{{"Install", "Install"}, NULL},
		{{""}, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = {0};
		char **events = NULL;
		int r = job_local_events(rows[i].given, &events, &err);
		assert_int_equal(r, rows[i].want ? 0 : ERR_INPUT);
		if (rows[i].want)
			assert_string_equal(joined(events), rows[i].want);
		job_events_free(events);
	}
}

static void by_default_a_local_deployment_walks_the_eleven_events(void **state)
{
	struct error err = {0};
	char **events = NULL;
	assert_int_equal(job_local_events(NULL, &events, &err), 0);
	assert_string_equal(joined(events),
			    "BeforeBlockTraffic,AfterBlockTraffic,ApplicationStop,DownloadBundle,"
			    "BeforeInstall,Install,AfterInstall,ApplicationStart,ValidateService,"
			    "BeforeAllowTraffic,AfterAllowTraffic");
	job_events_free(events);
}

static void only_failures_up_to_application_stop_can_be_ignored(void **state)
{
	assert_true(job_failure_is_ignorable("BeforeBlockTraffic"));
	assert_true(job_failure_is_ignorable("ApplicationStop"));
	assert_false(job_failure_is_ignorable("DownloadBundle"));
	assert_false(job_failure_is_ignorable("Migrate"));
}

static void a_blue_green_traffic_event_needs_no_bundle(void **state)
{
	auto_job struct job *plain = endpoint_job();
	auto_job struct job *green = make_job(JOB_ENDPOINT, "user", "BLUE_GREEN");
	assert_true(job_needs_bundle(plain, "BeforeBlockTraffic"));
	assert_false(job_needs_bundle(green, "BeforeBlockTraffic"));
	assert_true(job_needs_bundle(green, "ApplicationStop"));
}

static void a_job_survives_its_json(void **state)
{
	auto_job struct job *job = make_job(JOB_ROLLBACK, "user", "IN_PLACE");
	struct error err = {0};
	job->rollback = true;
	assert_int_equal(job_local_events(NULL, &job->events, &err), 0);
	auto_json json_t *doc = job_to_json(job);
	auto_job struct job *again = NULL;
	assert_int_equal(job_from_json(doc, &again, &err), 0);
	assert_int_equal(again->verb, JOB_ROLLBACK);
	assert_true(again->rollback);
	assert_string_equal(again->spec->deployment_id, "d-A1");
	assert_string_equal(joined(again->events), joined(job->events));
}

static void a_local_id_is_a_file_name_of_its_form(void **state)
{
	char id[JOB_LOCAL_ID_LEN];
	job_local_id(id);
	assert_int_equal(strlen(id), 17);
	assert_memory_equal(id, "d-", 2);
	assert_string_equal(id + 11, "-local");
	assert_int_equal(strspn(id + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts_come_from_the_revision_that_the_table_names),
		cmocka_unit_test(the_order_of_events_is_kept),
		cmocka_unit_test(an_event_out_of_order_says_what_it_needs),
		cmocka_unit_test(only_standard_hook_events_are_commands),
		cmocka_unit_test(a_deployment_is_complete_after_validate_service),
		cmocka_unit_test(without_validate_service_the_last_command_completes),
		cmocka_unit_test(a_local_deployment_is_complete_after_its_last_event),
		cmocka_unit_test(local_events_get_download_and_install),
		cmocka_unit_test(by_default_a_local_deployment_walks_the_eleven_events),
		cmocka_unit_test(only_failures_up_to_application_stop_can_be_ignored),
		cmocka_unit_test(a_blue_green_traffic_event_needs_no_bundle),
		cmocka_unit_test(a_job_survives_its_json),
		cmocka_unit_test(a_local_id_is_a_file_name_of_its_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
