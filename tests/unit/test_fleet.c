// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/fleet-pushed.h"
#include "agent/cli/fleet-view.h"
#include "agent/cli/table.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

static json_t *parse(const char *text)
{
	json_t *doc = NULL;
	struct error err = {0};
	if (json_parse(text, strlen(text), 1 << 20, &doc, &err) < 0)
		fail_msg("%s", err.text);
	return doc;
}

#define DONE(event) "{\"lifecycleEventName\":\"" event "\",\"status\":\"Succeeded\"}"

static const char info_text[] =
	"{\"deploymentId\":\"d-1\",\"status\":\"Failed\",\"createTime\":100.0,\"completeTime\":"
	"102.5,\"errorInformation\":{\"code\":\"HEALTH_CONSTRAINTS\",\"message\":\"too many "
	"failed: host 'web2': exit code 7. 0 of 4 hosts succeeded.\"}}";
static const char hosts_text[] =
	"[{\"targetId\":\"web1\",\"status\":\"Failed\",\"lifecycleEvents\":[" DONE(
		"Install") ","
			   "{\"lifecycleEventName\":\"ValidateService\",\"status\":\"Failed\","
			   "\"endTime\":102.0,"
			   "\"diagnostics\":{\"errorCode\":\"ScriptFailed\",\"scriptName\":\"late."
			   "sh\","
			   "\"message\":\"late\",\"logTail\":\"\"}},"
			   "{\"lifecycleEventName\":\"AfterAllowTraffic\",\"status\":\"Skipped\"}]}"
			   ","
			   "{\"targetId\":\"web2\",\"status\":\"Failed\",\"lifecycleEvents\":["
			   "{\"lifecycleEventName\":\"AfterInstall\",\"status\":\"Failed\","
			   "\"endTime\":101.0,"
			   "\"diagnostics\":{\"errorCode\":\"ScriptFailed\",\"scriptName\":\"first."
			   "sh\","
			   "\"message\":\"exit code "
			   "7\",\"logTail\":\"[stderr]a\\n[stderr]b\\u001b[31m\\n\"}}]},"
			   "{\"targetId\":\"web3\",\"status\":\"InProgress\",\"lifecycleEvents\":"
			   "[" DONE("Install") ","
					       "{\"lifecycleEventName\":\"AfterInstall\","
					       "\"status\":\"InProgress\"},"
					       "{\"lifecycleEventName\":\"ApplicationStart\","
					       "\"status\":\"Pending\"}]},"
					       "{\"targetId\":\"web4\",\"status\":\"Pending\","
					       "\"lifecycleEvents\":[]}]";

static struct fleet_view a_view(void)
{
	return (struct fleet_view){.info = parse(info_text), .hosts = parse(hosts_text)};
}

static void the_first_failure_is_the_earliest_not_the_first_host(void **state)
{
	auto_fleet_view struct fleet_view view = a_view();
	struct fleet_failure failure;
	assert_true(fleet_view_failure(&view, &failure));
	assert_string_equal(failure.host, "web2");
	assert_string_equal(failure.event, "AfterInstall");
	assert_string_equal(failure.script, "first.sh");
	assert_string_equal(failure.message, "exit code 7");
}

static void a_host_shows_what_runs_else_what_failed_else_what_ended(void **state)
{
	auto_fleet_view struct fleet_view view = a_view();
	const char *const expected[] = {"ValidateService", "AfterInstall", "AfterInstall"};
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		const json_t *event = fleet_host_event(json_array_get(view.hosts, i));
		assert_string_equal(fleet_text(event, "lifecycleEventName"), expected[i]);
	}
	assert_null(fleet_host_event(json_array_get(view.hosts, 3)));
}

static void the_outcome_names_host_event_script_and_log(void **state)
{
	auto_fleet_view struct fleet_view view = a_view();
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	fleet_view_print_outcome(&view, memory);
	fclose(memory);
	assert_string_equal(text, "Deployment d-1: Failed after 2.5 s, 4 hosts: 2 failed, "
				  "1 in progress, 1 waiting\n"
				  "First failure: host web2, event AfterInstall, script first.sh\n"
				  "  exit code 7\n"
				  "  the end of its output:\n"
				  "    [stderr]a\n"
				  "    [stderr]b?[31m\n"
				  "0 of 4 hosts succeeded.\n");
	assert_int_equal(fleet_view_exit(&view), CLI_FAILED);
	assert_true(fleet_view_is_over(&view));
}

static void the_failure_that_the_endpoint_tells_is_told_once(void **state)
{
	auto_fleet_view struct fleet_view view = a_view();
	json_set_str(json_object_get(view.info, "errorInformation"), "message",
		     "First failure: host 'web1': late. 0 of 4 hosts succeeded.");
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	fleet_view_print_outcome(&view, memory);
	fclose(memory);
	assert_non_null(strstr(text, "First failure: host web1, event ValidateService"));
	assert_non_null(strstr(text, "\n0 of 4 hosts succeeded.\n"));
	assert_null(strstr(text, "web2"));
}

static void a_deployment_is_over_only_in_its_last_states(void **state)
{
	static const char *const going[] = {"Created", "Queued", "InProgress", "Baking", "Ready"};
	auto_fleet_view struct fleet_view view = a_view();
	for (size_t i = 0; i < ARRAY_LEN(going); i++) {
		json_set_str(view.info, "status", going[i]);
		assert_false(fleet_view_is_over(&view));
	}
	json_set_str(view.info, "status", "Stopped");
	assert_true(fleet_view_is_over(&view));
	assert_int_equal(fleet_view_exit(&view), CLI_FAILED);
	json_set_str(view.info, "status", "Succeeded");
	assert_int_equal(fleet_view_exit(&view), CLI_DONE);
}

static void the_outcome_as_json_has_the_first_failure(void **state)
{
	auto_fleet_view struct fleet_view view = a_view();
	auto_json json_t *obj = fleet_view_to_json(&view);
	const json_t *first = json_object_get(obj, "first_failure");
	assert_string_equal(fleet_text(first, "host"), "web2");
	assert_string_equal(fleet_text(first, "script"), "first.sh");
	assert_int_equal(json_array_size(json_object_get(obj, "hosts")), 4);
	assert_string_equal(fleet_text(obj, "status"), "Failed");
}

static void a_revision_is_read_from_its_address(void **state)
{
	static const struct {
		const char *text, *key, *type, *version;
	} good[] = {
		{"s3://b/k.tgz", "k.tgz", "tgz", ""},
		{"s3://b/a/b c/k.tar.gz", "a/b c/k.tar.gz", "tgz", ""},
		{"s3://b/k.tar", "k.tar", "tar", ""},
		{"s3://b/k.zip?versionId=v1", "k.zip", "zip", "v1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		auto_json json_t *revision = NULL;
		assert_int_equal(fleet_revision_parse(good[i].text, &revision, NULL), 0);
		const json_t *place = json_object_get(revision, "s3Location");
		assert_string_equal(fleet_text(revision, "revisionType"), "S3");
		assert_string_equal(fleet_text(place, "bucket"), "b");
		assert_string_equal(fleet_text(place, "key"), good[i].key);
		assert_string_equal(fleet_text(place, "bundleType"), good[i].type);
		assert_string_equal(fleet_text(place, "version"), good[i].version);
	}
	static const char *const bad[] = {
		"", "k.tgz", "s3://b", "s3://b/", "s3:///k.tgz", "s3://b/k", "s3://b/k.rpm"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		json_t *revision = NULL;
		assert_int_equal(fleet_revision_parse(bad[i], &revision, NULL), ERR_INPUT);
	}
}

static void what_was_pushed_last_is_remembered_for_each_application(void **state)
{
	struct tempdir *dir = *state;
	setenv("XDG_STATE_HOME", dir->path, 1);
	auto_json json_t *a = fleet_revision("b", "a.tgz", "tgz", "e", NULL);
	auto_json json_t *b = fleet_revision("b", "b.tgz", "tgz", NULL, "v");
	auto_json json_t *back = NULL;
	struct error err = {0};
	assert_int_equal(fleet_pushed_load("https://e:1", "shop", &back, &err), ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "--revision"));
	assert_int_equal(fleet_pushed_save("https://e:1", "shop", a, &err), 0);
	assert_int_equal(fleet_pushed_save("https://e:1", "blog", b, &err), 0);
	assert_int_equal(fleet_pushed_load("https://e:1", "shop", &back, &err), 0);
	assert_true(json_equal(back, a));
	json_t *none = NULL;
	assert_int_equal(fleet_pushed_load("https://e:2", "shop", &none, &err), ERR_NOT_FOUND);
	tempdir_write(dir, "slipway/pushed.json", "broken");
	assert_int_equal(fleet_pushed_load("https://e:1", "shop", &none, &err), ERR_NOT_FOUND);
	assert_int_equal(fleet_pushed_save("https://e:1", "shop", b, &err), 0);
}

static void columns_are_as_wide_as_their_content(void **state)
{
	auto_table struct table table = {.columns = 3};
	table_add(&table, (const char *const[]){"A", "LONGER", "C"});
	table_add(&table, (const char *const[]){"\xc3\xa4\xc3\xb6", NULL, "x\033[2J"});
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	table_print(&table, memory);
	fclose(memory);
	assert_string_equal(text, "A   LONGER  C\n"
				  "\xc3\xa4\xc3\xb6          x?[2J\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_failure_is_the_earliest_not_the_first_host),
		cmocka_unit_test(a_host_shows_what_runs_else_what_failed_else_what_ended),
		cmocka_unit_test(the_outcome_names_host_event_script_and_log),
		cmocka_unit_test(a_deployment_is_over_only_in_its_last_states),
		cmocka_unit_test(the_failure_that_the_endpoint_tells_is_told_once),
		cmocka_unit_test(the_outcome_as_json_has_the_first_failure),
		cmocka_unit_test(a_revision_is_read_from_its_address),
		tempdir_test(what_was_pushed_last_is_remembered_for_each_application),
		cmocka_unit_test(columns_are_as_wide_as_their_content),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
