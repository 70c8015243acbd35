// SPDX-License-Identifier: Apache-2.0
#include "agent/result.h"
#include "tests/unit/tempdir.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static const struct result sample = {
	.command_id = "cmd-1",
	.deployment_id = "d-A",
	.event = "Install",
	.status = WIRE_SUCCEEDED,
	.payload = "{\"error_code\":0,\"message\":\"Succeeded: \xc3\xa4\"}",
	.finished_s = 1767225600,
	.open = true,
	.group_id = "g",
};

static size_t count_files(const struct tempdir *dir)
{
	size_t n = 0;
	DIR *list = opendir(dir->path);
	struct dirent *entry;
	while ((entry = readdir(list)))
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(list);
	return n;
}

static void a_name_is_32_digits_of_the_digest(void **state)
{
	char name[40];
	result_name("abc", name);
	assert_string_equal(name, "ba7816bf8f01cfea414140de5dae2223.json");
	assert_true(result_is_name(name));
	assert_false(result_is_name(".ba7816bf8f01cfea414140de5dae2223.json.77"));
	assert_false(result_is_name("ba7816bf.json"));
}

static void a_result_is_read_as_it_was_written(void **state)
{
	const struct tempdir *dir = *state;
	struct error err = {0};
	assert_int_equal(result_write(dir->fd, &sample, &err), 0);
	char name[40];
	result_name(sample.command_id, name);
	auto_result struct result *r = NULL;
	assert_int_equal(result_read(dir->fd, name, &r, &err), 0);
	assert_string_equal(r->command_id, sample.command_id);
	assert_string_equal(r->payload, sample.payload);
	assert_string_equal(r->event, "Install");
	assert_string_equal(r->group_id, "g");
	assert_string_equal(r->deployment_id, "d-A");
	assert_int_equal(r->status, WIRE_SUCCEEDED);
	assert_int_equal(r->finished_s, 1767225600);
	assert_true(r->open);
}

static void the_first_result_stands(void **state)
{
	const struct tempdir *dir = *state;
	struct error err = {0};
	struct result other = sample;
	other.command_id = (char *)"cmd-2";
	assert_int_equal(result_write(dir->fd, &other, &err), 0);
	size_t files = count_files(dir);
	other.payload = (char *)"{}";
	other.status = WIRE_FAILED;
	assert_int_equal(result_write(dir->fd, &other, &err), -EEXIST);
	char name[40];
	result_name("cmd-2", name);
	auto_result struct result *r = NULL;
	assert_int_equal(result_read(dir->fd, name, &r, &err), 0);
	assert_int_equal(r->status, WIRE_SUCCEEDED);
	assert_string_equal(r->payload, sample.payload);
	assert_int_equal(count_files(dir), files);
}

static void a_missing_result_is_told_from_a_bad_one(void **state)
{
	const struct tempdir *dir = *state;
	struct error err = {0};
	struct result *r = NULL;
	assert_int_equal(result_read(dir->fd, "none.json", &r, &err), -ENOENT);
	const char *const bad[] = {
		"{}",
		"{\"version\":2,\"command_id\":\"x\",\"status\":\"Failed\",\"payload\":\"\","
		"\"finished_s\":1}",
		"{\"version\":1,\"command_id\":\"x\",\"status\":\"Maybe\",\"payload\":\"\","
		"\"finished_s\":1}",
		"{\"version\":1,\"command_id\":5,\"status\":\"Failed\",\"payload\":\"\","
		"\"finished_s\":1}",
		"[1]",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(
			fs_write_atomic(dir->fd, "bad.json", bad[i], strlen(bad[i]), 0600, &err),
			0);
		assert_int_equal(result_read(dir->fd, "bad.json", &r, &err), ERR_FORMAT);
	}
	assert_null(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(a_name_is_32_digits_of_the_digest),
		tempdir_test(a_result_is_read_as_it_was_written),
		tempdir_test(the_first_result_stands),
		tempdir_test(a_missing_result_is_told_from_a_bad_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
