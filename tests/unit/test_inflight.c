// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/claim.h"
#include "agent/daemon/inflight.h"
#include "agent/result.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char dir[64];
static int dirfd_ = -1;

static int set_up(void **state)
{
	strcpy(dir, "/tmp/slipway-test.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dirfd_ < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	fs_close_quiet(dirfd_);
	auto_close int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fs_remove_tree(tmp, dir + strlen("/tmp/"), NULL);
}

static void save(const char *id, bool acked, char name[40])
{
	struct wire_command command = {.id = (char *)id,
				       .host = (char *)"h",
				       .execution_id = (char *)"a/b/c/d-1",
				       .name = (char *)"Install",
				       .nonce = 7};
	auto_json json_t *specification =
		json_pack("{s:s,s:s}", "Format", "TEXT/JSON", "Payload", "{}");
	const struct inflight inflight = {.command = &command, .specification = specification};
	struct error err = {0};
	result_name(id, name);
	assert_int_equal(inflight_save(dirfd_, name, &inflight, &err), 0);
	if (acked)
		assert_int_equal(inflight_mark_acked(dirfd_, name, &err), 0);
}

static void what_was_saved_is_loaded(void **state)
{
	char name[40];
	save("command-1", true, name);
	auto_inflight struct inflight back = {0};
	struct error err = {0};
	assert_int_equal(inflight_load(dirfd_, name, &back, &err), 0);
	assert_string_equal(back.command->id, "command-1");
	assert_int_equal(back.command->nonce, 7);
	assert_true(back.acked);
	assert_string_equal(json_string_value(json_object_get(back.specification, "Format")),
			    "TEXT/JSON");
}

static void an_old_acknowledgement_is_not_that_of_a_new_command(void **state)
{
	char name[40];
	save("command-1", true, name);
	save("command-1", false, name);
	auto_inflight struct inflight back = {0};
	struct error err = {0};
	assert_int_equal(inflight_load(dirfd_, name, &back, &err), 0);
	assert_false(back.acked);
	inflight_remove(dirfd_, name);
	assert_int_equal(inflight_load(dirfd_, name, &back, &err), -ENOENT);
}

static void collect(const char *name, struct inflight *inflight, void *arg)
{
	strcat(arg, inflight->command->id);
	strcat(arg, " ");
}

static void whatever_else_lies_there_is_set_aside(void **state)
{
	char first[40], second[40];
	save("one", false, first);
	save("two", false, second);
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	assert_int_equal(utimensat(dirfd_, second, old, 0), 0);
	struct error err = {0};
	const char *const bad[] = {
		"00000000000000000000000000000000.json", "00000000000000000000000000000001.json",
		"00000000000000000000000000000002.json", "00000000000000000000000000000003.json"};
	assert_int_equal(fs_write_atomic(dirfd_, bad[0], "", 0, 0600, &err), 0);
	assert_int_equal(fs_write_atomic(dirfd_, bad[1], "[\0\xff", 3, 0600, &err), 0);
	assert_int_equal(mkdirat(dirfd_, bad[2], 0700), 0);
	assert_int_equal(mkfifoat(dirfd_, bad[3], 0600), 0);
	assert_int_equal(fs_write_atomic(dirfd_, "note.txt", "x", 1, 0600, &err), 0);

	char seen[256] = "";
	log_set_level(LOG_ERR);
	assert_int_equal(inflight_each(dirfd_, collect, seen, &err), 0);
	log_set_level(LOG_INFO);
	assert_non_null(strstr(seen, "two "));
	assert_true(strstr(seen, "two ") < strstr(seen, "one "));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_free char *aside = xasprintf("%s.bad", bad[i]);
		assert_int_equal(faccessat(dirfd_, bad[i], F_OK, AT_SYMLINK_NOFOLLOW), -1);
		assert_int_equal(faccessat(dirfd_, aside, F_OK, AT_SYMLINK_NOFOLLOW), 0);
	}
	assert_int_equal(faccessat(dirfd_, "note.txt", F_OK, 0), 0);
}

static json_t *with_token(const char *value)
{
	auto_free char *payload =
		xasprintf("{\"DeploymentId\":\"d-1\",\"GitHubAccessToken\":%s}", value);
	return json_pack("{s:s,s:s}", "Format", "TEXT/JSON", "Payload", payload);
}

static void a_specification_with_a_token_is_not_written(void **state)
{
	struct wire_command command = {.id = (char *)"secret",
				       .host = (char *)"h",
				       .execution_id = (char *)"a/b/c/d-1",
				       .name = (char *)"Install"};
	auto_json json_t *specification = with_token("\"ghp_marked\"");
	auto_claim_token char *token = claim_github_token(specification);
	assert_string_equal(token, "ghp_marked");
	const struct inflight inflight = {
		.command = &command, .specification = specification, .secret = true};
	char name[40];
	result_name(command.id, name);
	assert_int_equal(inflight_save(dirfd_, name, &inflight, NULL), 0);
	auto_free char *text = NULL;
	size_t len;
	assert_int_equal(fs_read_file(dirfd_, name, 65536, &text, &len, NULL), 0);
	assert_null(strstr(text, "marked"));
	auto_inflight struct inflight back = {0};
	assert_int_equal(inflight_load(dirfd_, name, &back, NULL), 0);
	assert_null(back.specification);
	assert_true(back.stored);
	static const char *const none[] = {"null", "\"\"", "7", "{}"};
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		auto_json json_t *without = with_token(none[i]);
		assert_null(claim_github_token(without));
	}
	assert_null(claim_github_token(NULL));
	inflight_remove(dirfd_, name);
}

static void claims_are_read_without_being_believed(void **state)
{
	auto_json json_t *good = json_pack(
		"{s:s,s:s}", "Format", "TEXT/JSON", "Payload",
		"{\"DeploymentGroupId\":\"g-1\",\"DeploymentId\":\"arn:aws:codedeploy:r:1:"
		"deployment/d-9\"}");
	auto_free char *group = NULL, *deployment = NULL;
	claim_read(good, &group, &deployment);
	assert_string_equal(group, "g-1");
	assert_string_equal(deployment, "d-9");
	auto_json json_t *bad =
		json_pack("{s:s,s:s}", "Format", "PKCS7/JSON", "Payload", "not a message");
	char *none = NULL, *neither = NULL;
	claim_read(bad, &none, &neither);
	assert_null(none);
	assert_null(neither);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_saved_is_loaded),
		cmocka_unit_test(an_old_acknowledgement_is_not_that_of_a_new_command),
		cmocka_unit_test(whatever_else_lies_there_is_set_aside),
		cmocka_unit_test(claims_are_read_without_being_believed),
		cmocka_unit_test(a_specification_with_a_token_is_not_written),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
