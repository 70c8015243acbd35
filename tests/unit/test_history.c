// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/history.h"
#include "common/json.h"
#include "tests/unit/tempdir.h"

#include <sys/file.h>

static struct state *make_state(const char *id)
{
	auto_json json_t *doc = json_pack(
		"{s:i,s:s,s:{s:s,s:s,s:f,s:{s:s,s:{s:s,s:s,s:s,s:s,s:{s:s,s:{s:s,s:s}}}}}}",
		"version", 1, "group_id", "g", "last", "phase", "closed", "result", "succeeded",
		"ended", 1767225600.125, "job", "verb", "deploy", "specification", "DeploymentId",
		id, "DeploymentGroupId", "g", "DeploymentGroupName", "G", "ApplicationName", "app",
		"Revision", "RevisionType", "Local File", "LocalRevision", "Location", "x",
		"BundleType", "tgz");
	struct error err = {0};
	struct state *s = NULL;
	if (state_from_json(doc, &s, &err) < 0)
		fail_msg("%s", err.text);
	return s;
}

static void ensure(const struct tempdir *dir, const char *id)
{
	auto_state struct state *s = make_state(id);
	struct error err = {0};
	assert_int_equal(history_ensure(dir->fd, s, &err), 0);
}

/* The ids in it, in order; "?" for a line that is no JSON. */
static char *ids_of(const struct tempdir *dir)
{
	auto_free char *text = tempdir_read(dir, "history.jsonl");
	char *ids = xstrdup("");
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		auto_json json_t *doc = json_loads(line, 0, NULL);
		const char *id = json_string_value(json_object_get(doc, "deployment_id"));
		char *longer = xasprintf("%s%s%s", ids, *ids ? " " : "", id ? id : "?");
		free(ids);
		ids = longer;
	}
	return ids;
}

static void a_deployment_has_one_line(void **state)
{
	const struct tempdir *dir = *state;
	ensure(dir, "d-A");
	ensure(dir, "d-A");
	ensure(dir, "d-B");
	ensure(dir, "d-A");
	auto_free char *ids = ids_of(dir);
	assert_string_equal(ids, "d-A d-B");
}

static void a_line_names_its_group(void **state)
{
	const struct tempdir *dir = *state;
	ensure(dir, "d-A");
	auto_free char *text = tempdir_read(dir, "history.jsonl");
	auto_json json_t *doc = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(doc, "group_id")), "g");
	assert_string_equal(json_string_value(json_object_get(doc, "result")), "succeeded");
}

static void nothing_is_written_for_a_group_without_deployments(void **state)
{
	const struct tempdir *dir = *state;
	auto_state struct state *s = state_new("g");
	struct error err = {0};
	assert_int_equal(history_ensure(dir->fd, s, &err), 0);
	assert_int_not_equal(faccessat(dir->fd, "history.jsonl", F_OK, 0), 0);
}

static void a_torn_line_does_not_swallow_the_next(void **state)
{
	const struct tempdir *dir = *state;
	ensure(dir, "d-A");
	auto_free char *text = tempdir_read(dir, "history.jsonl");
	text[strlen(text) - 20] = '\0';
	tempdir_write(dir, "history.jsonl", text);
	ensure(dir, "d-A");
	auto_free char *ids = ids_of(dir);
	assert_string_equal(ids, "? d-A");
}

static void a_large_file_is_put_aside(void **state)
{
	const struct tempdir *dir = *state;
	ensure(dir, "d-A");
	auto_free char *path = xasprintf("%s/history.jsonl", dir->path);
	assert_int_equal(truncate(path, (off_t)8 << 20), 0);
	ensure(dir, "d-B");
	auto_free char *ids = ids_of(dir);
	assert_string_equal(ids, "d-B");
	assert_int_equal(faccessat(dir->fd, "history.jsonl.1", F_OK, 0), 0);
}

/* Lines of others, in between or before a rotation, hide nothing. */
static void an_early_line_is_found_again(void **state)
{
	const struct tempdir *dir = *state;
	ensure(dir, "d-A");
	auto_free char *path = xasprintf("%s/history.jsonl", dir->path);
	auto_close int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	char others[64 * 1024];
	memset(others, 'x', sizeof(others));
	others[sizeof(others) - 1] = '\n';
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(write(fd, others, sizeof(others)), sizeof(others));
	struct stat before, after;
	assert_int_equal(stat(path, &before), 0);
	ensure(dir, "d-A");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
}

static void a_line_before_a_rotation_is_found_again(void **state)
{
	const struct tempdir *dir = *state;
	ensure(dir, "d-A");
	assert_int_equal(renameat(dir->fd, "history.jsonl", dir->fd, "history.jsonl.1"), 0);
	ensure(dir, "d-A");
	ensure(dir, "d-B");
	auto_free char *ids = ids_of(dir);
	assert_string_equal(ids, "d-B");
}

/* The daemon may read the file, and so lock it for as long as it likes. */
static void a_reader_that_locks_the_file_stops_nobody(void **state)
{
	const struct tempdir *dir = *state;
	ensure(dir, "d-A");
	auto_close int fd = openat(dir->fd, "history.jsonl", O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_SH), 0);
	alarm(30);
	ensure(dir, "d-B");
	alarm(0);
	auto_free char *ids = ids_of(dir);
	assert_string_equal(ids, "d-A d-B");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(a_deployment_has_one_line),
		tempdir_test(a_line_names_its_group),
		tempdir_test(nothing_is_written_for_a_group_without_deployments),
		tempdir_test(a_torn_line_does_not_swallow_the_next),
		tempdir_test(a_large_file_is_put_aside),
		tempdir_test(an_early_line_is_found_again),
		tempdir_test(a_line_before_a_rotation_is_found_again),
		tempdir_test(a_reader_that_locks_the_file_stops_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
