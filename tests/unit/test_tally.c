// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/exposition.h"
#include "agent/daemon/tally.h"
#include "common/json.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* A line of the history; more: further members, each with a comma before it. */
static char *line(const char *group, const char *id, const char *more)
{
	return xasprintf("{\"group_id\":\"%s\",\"deployment_id\":\"%s\",\"phase\":\"closed\","
			 "\"started\":100,\"ended\":200,\"job\":{\"verb\":\"deploy\","
			 "\"rollback\":true,\"events\":[\"Install\"],\"specification\":"
			 "{\"DeploymentId\":\"%s\",\"DeploymentGroupId\":\"%s\","
			 "\"ApplicationName\":\"%s\",\"DeploymentGroupName\":\"%s\","
			 "\"DeploymentCreator\":\"user\",\"DeploymentType\":\"IN_PLACE\","
			 "\"Revision\":{\"RevisionType\":\"Local File\",\"LocalRevision\":{"
			 "\"Location\":\"/x\",\"BundleType\":\"tgz\"}}}}%s}",
			 group, id, id, group, group, group, more);
}

#define STEP(event, status, from, to)                                                             \
	"{\"event\":\"" event "\",\"status\":\"" status "\",\"started\":" #from ",\"ended\":" #to \
	"}"

static void add(struct tally *tally, const char *group, const char *id, const char *more)
{
	struct error err = {0};
	auto_free char *text = line(group, id, more);
	auto_json json_t *obj = NULL;
	if (json_parse(text, strlen(text), 65536, &obj, &err) < 0)
		fail_msg("%s", err.text);
	tally_add(tally, obj);
}

static void each_end_is_told_apart(void **state)
{
	auto_tally struct tally tally = {0};
	add(&tally, "shop", "d-1", ",\"result\":\"succeeded\",\"steps\":[]");
	add(&tally, "shop", "d-2", ",\"result\":\"failed\",\"rolled_back\":\"d-1\",\"steps\":[]");
	add(&tally, "shop", "d-3", ",\"result\":\"failed\",\"steps\":[]");
	add(&tally, "shop", "d-4",
	    ",\"result\":\"failed\",\"steps\":[" STEP("Install", "succeeded", 1, 2) "]");
	add(&tally, "shop", "d-5", ",\"result\":\"failed\",\"undo_failed\":true,\"steps\":[]");
	assert_int_equal(tally.n_groups, 1);
	assert_int_equal(tally.groups[0].deployments[TALLY_SUCCEEDED], 1);
	assert_int_equal(tally.groups[0].deployments[TALLY_FAILED], 2);
	assert_int_equal(tally.groups[0].deployments[TALLY_LEFT], 1);
	assert_int_equal(tally.groups[0].deployments[TALLY_UNDO], 1);
}

static void durations_fall_into_buckets_and_what_did_not_run_does_not(void **state)
{
	auto_tally struct tally tally = {0};
	add(&tally, "shop", "d-1",
	    ",\"result\":\"succeeded\",\"steps\":[" STEP(
		    "Install", "succeeded", 10.0,
		    10.1) "," STEP("Install", "failed", 20,
				   4000) "," STEP("AfterInstall", "skipped", 1,
						  2) "," STEP("Nonsense", "succeeded", 1, 2) "]");
	assert_int_equal(tally.n_events, 1);
	assert_string_equal(tally.events[0].name, "Install");
	assert_int_equal(tally.events[0].counts[0] + tally.events[0].counts[1], 1);
	assert_int_equal(tally.events[0].counts[TALLY_BUCKETS], 1);
	assert_true(tally.events[0].sum_s > 3980 && tally.events[0].sum_s < 3981);
}

static void a_deployment_that_went_on_is_one_and_its_steps_count_once(void **state)
{
	auto_tally struct tally tally = {0};
	add(&tally, "shop", "d-1",
	    ",\"result\":\"succeeded\",\"steps\":[" STEP("Install", "succeeded", 1, 2) "]");
	add(&tally, "shop", "d-1",
	    ",\"result\":\"succeeded\",\"steps\":[" STEP("Install", "succeeded", 1, 2) "," STEP(
		    "AllowTraffic", "succeeded", 3, 4) "]");
	assert_int_equal(tally.groups[0].deployments[TALLY_SUCCEEDED], 1);
	assert_int_equal(tally.n_events, 2);
	assert_int_equal(tally.events[0].counts[1], 1);
}

static void more_groups_than_are_told_apart_are_one(void **state)
{
	auto_tally struct tally tally = {0};
	for (int i = 0; i < TALLY_GROUPS_MAX + 20; i++) {
		char name[32];
		snprintf(name, sizeof(name), "g%d", i);
		add(&tally, name, "d-1", ",\"result\":\"succeeded\",\"steps\":[]");
	}
	assert_int_equal(tally.n_groups, TALLY_GROUPS_MAX + 1);
	assert_string_equal(tally.groups[TALLY_GROUPS_MAX].name, "other");
}

static void nonsense_is_passed_over(void **state)
{
	static const char *const lines[] = {"{}", "[]", "{\"group_id\":1}",
					    "{\"group_id\":\"a\",\"deployment_id\":\"b\"}"};
	auto_tally struct tally tally = {0};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		auto_json json_t *obj = NULL;
		assert_int_equal(json_parse(lines[i], strlen(lines[i]), 4096, &obj, NULL), 0);
		tally_add(&tally, obj);
	}
	assert_int_equal(tally.n_groups, 0);
}

static void append(const struct tempdir *dir, const char *name, const char *text)
{
	auto_close int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void append_line(const struct tempdir *dir, const char *id, const char *end)
{
	auto_free char *text = line("shop", id, ",\"result\":\"succeeded\",\"steps\":[]");
	append(dir, "history.jsonl", text);
	append(dir, "history.jsonl", end);
}

static uint64_t succeeded(const struct tally *tally)
{
	return tally->n_groups ? tally->groups[0].deployments[TALLY_SUCCEEDED] : 0;
}

static void each_line_is_counted_once_also_over_a_restart(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_tally struct tally tally = {0}, again = {0};
	assert_int_equal(tally_read(&tally, dir->fd, &err), 0);
	append_line(dir, "d-1", "\n");
	append_line(dir, "d-2", "\n");
	append_line(dir, "d-3", ""); /* not whole yet */
	assert_int_equal(tally_read(&tally, dir->fd, &err), 2);
	assert_int_equal(tally_read(&tally, dir->fd, &err), 0);
	auto_json json_t *saved = tally_to_json(&tally);
	assert_int_equal(tally_from_json(saved, &again, &err), 0);
	append(dir, "history.jsonl", "\n");
	assert_int_equal(tally_read(&again, dir->fd, &err), 1);
	assert_int_equal(succeeded(&again), 3);
}

static void a_rotation_loses_nothing_and_counts_nothing_twice(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_tally struct tally tally = {0};
	append_line(dir, "d-1", "\n");
	assert_int_equal(tally_read(&tally, dir->fd, &err), 1);
	append_line(dir, "d-2", "\n");
	assert_int_equal(renameat(dir->fd, "history.jsonl", dir->fd, "history.jsonl.1"), 0);
	append_line(dir, "d-3", "\n");
	assert_int_equal(tally_read(&tally, dir->fd, &err), 2);
	assert_int_equal(succeeded(&tally), 3);
}

static void the_first_look_counts_the_older_file_as_well(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_tally struct tally tally = {0};
	append_line(dir, "d-1", "\n");
	assert_int_equal(renameat(dir->fd, "history.jsonl", dir->fd, "history.jsonl.1"), 0);
	append_line(dir, "d-2", "\n");
	assert_int_equal(tally_read(&tally, dir->fd, &err), 2);
}

static void another_version_of_the_count_is_refused(void **state)
{
	auto_json json_t *obj = json_pack("{s:i,s:i,s:i}", "version", 2, "inode", 1, "offset", 1);
	struct tally tally;
	assert_int_equal(tally_from_json(obj, &tally, NULL), ERR_FORMAT);
}

static void both_formats_name_what_they_have_to(void **state)
{
	static const char *const labels[] = {"group", "a\"b\\c\nd", NULL};
	static const struct {
		bool openmetrics;
		const char *text;
	} rows[] = {
		{true, "# TYPE x counter\n# HELP x Help.\n"
		       "x_total{group=\"a\\\"b\\\\c\\nd\"} 3\n# EOF\n"},
		{false, "# TYPE x_total counter\n# HELP x_total Help.\n"
			"x_total{group=\"a\\\"b\\\\c\\nd\"} 3\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct exposition e = {.text = BUF_INIT(4096), .openmetrics = rows[i].openmetrics};
		exposition_family(&e, "x", "counter", "Help.");
		exposition_sample(&e, "", labels, 3);
		exposition_end(&e);
		assert_string_equal(buf_str(&e.text), rows[i].text);
		buf_clear(&e.text);
	}
}

static void long_names_stay_apart_and_seconds_exact(void **state)
{
	char a[202], b[202];
	snprintf(a, sizeof(a), "%0100d/%0100d", 0, 1);
	snprintf(b, sizeof(b), "%0100d/%0100d", 0, 2);
	struct exposition e = {.text = BUF_INIT(4096)};
	exposition_family(&e, "x", "gauge", "Help.");
	exposition_sample(&e, "", (const char *const[]){"group", a, NULL}, 1);
	exposition_sample(&e, "", (const char *const[]){"group", b, NULL}, 1234567.25);
	assert_non_null(strstr(buf_str(&e.text), a));
	assert_non_null(strstr(buf_str(&e.text), b));
	assert_non_null(strstr(buf_str(&e.text), " 1234567.25\n"));
	buf_clear(&e.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_end_is_told_apart),
		cmocka_unit_test(durations_fall_into_buckets_and_what_did_not_run_does_not),
		cmocka_unit_test(a_deployment_that_went_on_is_one_and_its_steps_count_once),
		cmocka_unit_test(more_groups_than_are_told_apart_are_one),
		cmocka_unit_test(nonsense_is_passed_over),
		tempdir_test(each_line_is_counted_once_also_over_a_restart),
		tempdir_test(a_rotation_loses_nothing_and_counts_nothing_twice),
		tempdir_test(the_first_look_counts_the_older_file_as_well),
		cmocka_unit_test(another_version_of_the_count_is_refused),
		cmocka_unit_test(both_formats_name_what_they_have_to),
		cmocka_unit_test(long_names_stay_apart_and_seconds_exact),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
