// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "common/json.h"
#include "tests/unit/tempdir.h"

static int parse(const char *text, json_t **ret, struct error *err)
{
	return json_parse(text, strlen(text), 1 << 20, ret, err);
}

static void refused(const char *text, const char *because)
{
	json_t *value = NULL;
	struct error err = {0};
	assert_int_equal(parse(text, &value, &err), ERR_FORMAT);
	assert_null(value);
	if (!strstr(err.text, because))
		fail_msg("'%s' does not say '%s'", err.text, because);
}

static void what_is_no_strict_json_is_refused_with_its_place(void **state)
{
	refused("{\n \"a\": }", "line 2, column 7");
	refused("{\"a\":1,\"a\":2}", "duplicate");
	refused("{\"a\":\"\\u0000\"}", "NUL");
	refused("{} x", "end of file expected");
	refused("", "line 1");
	refused("7", "'[' or '{'");
	refused("{\"a\":\"\xff\"}", "unable to decode");
}

static void nesting_has_a_ceiling(void **state)
{
	char text[200];
	memset(text, '[', 65);
	text[65] = '\0';
	refused(text, "deeper than 64");
	memset(text + 64, ']', 64);
	text[128] = '\0';
	auto_json json_t *value = NULL;
	assert_int_equal(parse(text, &value, NULL), 0);
}

static void brackets_in_strings_are_no_nesting(void **state)
{
	auto_buf struct buf b = BUF_INIT(1000);
	buf_adds(&b, "[\"\\\"");
	for (int i = 0; i < 100; i++)
		buf_addc(&b, '[');
	buf_adds(&b, "\"]");
	auto_json json_t *value = NULL;
	assert_int_equal(parse(buf_str(&b), &value, NULL), 0);
}

static void a_text_above_its_ceiling_is_refused(void **state)
{
	json_t *value = NULL;
	assert_int_equal(json_parse("[1,2]", 5, 4, &value, NULL), -EFBIG);
}

static void members_are_checked_by_name_and_type(void **state)
{
	auto_json json_t *obj = NULL;
	assert_int_equal(parse("{\"s\":\"x\",\"i\":7,\"n\":null,\"b\":true,\"r\":1.5,\"o\":{},"
			       "\"l\":[]}",
			       &obj, NULL),
			 0);
	struct error err = {0};
	const char *s = "before";
	assert_int_equal(json_need_str(obj, "s", &s, &err), 0);
	assert_string_equal(s, "x");
	assert_int_equal(json_opt_str(obj, "absent", &s, &err), 0);
	assert_int_equal(json_opt_str(obj, "n", &s, &err), 0);
	assert_string_equal(s, "x");
	assert_int_equal(json_need_str(obj, "n", &s, &err), ERR_FORMAT);
	assert_string_equal(err.text, "'n' is missing");
	assert_int_equal(json_opt_str(obj, "i", &s, &err), ERR_FORMAT);
	assert_string_equal(err.text, "'i' must be a string");
	int64_t i = 0;
	assert_int_equal(json_need_int(obj, "i", &i, &err), 0);
	assert_int_equal(i, 7);
	assert_int_equal(json_opt_int(obj, "r", &i, &err), ERR_FORMAT);
	double n = 0;
	assert_int_equal(json_opt_number(obj, "i", &n, &err), 0);
	assert_true(n == 7);
	bool b = false;
	assert_int_equal(json_opt_bool(obj, "b", &b, &err), 0);
	assert_true(b);
	assert_int_equal(json_opt_bool(obj, "s", &b, &err), ERR_FORMAT);
	json_t *child = NULL;
	assert_int_equal(json_need_obj(obj, "o", &child, &err), 0);
	assert_int_equal(json_opt_array(obj, "l", &child, &err), 0);
	assert_int_equal(json_opt_array(obj, "o", &child, &err), ERR_FORMAT);
	assert_string_equal(err.text, "'o' must be a list");
}

static void a_value_that_is_no_object_has_no_members(void **state)
{
	auto_json json_t *list = json_array();
	const char *s;
	assert_int_equal(json_need_str(list, "s", &s, NULL), ERR_FORMAT);
	assert_int_equal(json_need_str(NULL, "s", &s, NULL), ERR_FORMAT);
}

static void optional_members_are_left_out_and_bytes_become_text(void **state)
{
	auto_json json_t *obj = json_object();
	json_set_str(obj, "z", "a\xff");
	json_set_str(obj, "none", NULL);
	json_set_int(obj, "i", -5);
	json_set_bool(obj, "b", false);
	json_set_time(obj, "t", 1700000000.1234);
	json_set_time(obj, "never", 0);
	auto_free char *text = json_text(obj);
	assert_string_equal(text, "{\"z\":\"a\xef\xbf\xbd\",\"i\":-5,\"b\":false,"
				  "\"t\":1700000000.123}");
}

static void a_file_is_written_sorted_and_read_back(void **state)
{
	struct tempdir *dir = *state;
	auto_json json_t *obj = json_pack("{s:i,s:s}", "b", 1, "a", "x");
	struct error err = {0};
	assert_int_equal(json_write_file(dir->fd, "f.json", obj, 0640, &err), 0);
	auto_free char *text = tempdir_read(dir, "f.json");
	assert_string_equal(text, "{\n  \"a\": \"x\",\n  \"b\": 1\n}\n");
	auto_json json_t *back = NULL;
	assert_int_equal(json_read_file(dir->fd, "f.json", 1000, &back, &err), 0);
	assert_true(json_equal(obj, back));
	json_t *none = NULL;
	assert_int_equal(json_read_file(dir->fd, "g.json", 1000, &none, &err), -ENOENT);
	tempdir_write(dir, "g.json", "{");
	assert_int_equal(json_read_file(dir->fd, "g.json", 1000, &none, &err), ERR_FORMAT);
	assert_memory_equal(err.text, "g.json: line 1", 14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_strict_json_is_refused_with_its_place),
		cmocka_unit_test(nesting_has_a_ceiling),
		cmocka_unit_test(brackets_in_strings_are_no_nesting),
		cmocka_unit_test(a_text_above_its_ceiling_is_refused),
		cmocka_unit_test(members_are_checked_by_name_and_type),
		cmocka_unit_test(a_value_that_is_no_object_has_no_members),
		cmocka_unit_test(optional_members_are_left_out_and_bytes_become_text),
		tempdir_test(a_file_is_written_sorted_and_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
