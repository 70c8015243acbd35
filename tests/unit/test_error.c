// SPDX-License-Identifier: Apache-2.0
#include "common/error.h"
#include "tests/unit/unit.h"

#include <string.h>

static void a_set_error_returns_its_code_and_keeps_its_text(void **state)
{
	struct error err = {0};
	assert_int_equal(error_set(&err, ERR_FORMAT, "line %d", 3), ERR_FORMAT);
	assert_int_equal(err.code, ERR_FORMAT);
	assert_string_equal(err.text, "line 3");
}

static void an_errno_is_appended_in_words(void **state)
{
	struct error err = {0};
	errno = ENOENT;
	assert_int_equal(error_errno(&err, "open '%s'", "x"), -ENOENT);
	assert_string_equal(err.text, "open 'x': No such file or directory");
}

static void a_prefix_keeps_the_code_and_the_old_text(void **state)
{
	struct error err = {0};
	int r = error_set(&err, -EIO, "short read");
	assert_int_equal(error_prefix(&err, r, "state.json"), -EIO);
	assert_string_equal(err.text, "state.json: short read");
}

static void a_missing_struct_is_allowed(void **state)
{
	errno = EPERM;
	assert_int_equal(error_errno(NULL, "x"), -EPERM);
	assert_int_equal(error_set(NULL, ERR_BUSY, "x"), ERR_BUSY);
	assert_int_equal(error_prefix(NULL, ERR_BUSY, "x"), ERR_BUSY);
}

static void a_long_text_is_cut_between_characters(void **state)
{
	char text[700] = "";
	for (int i = 0; i < 300; i++)
		strcat(text, "\xc3\xa4");
	struct error err = {0};
	int r = error_set(&err, ERR_FORMAT, "%s", text);
	assert_int_equal(r, ERR_FORMAT);
	assert_int_equal(strlen(err.text), 510);
	assert_memory_equal(err.text + 508, "\xc3\xa4", 3);
}

static void names_and_codes_go_both_ways(void **state)
{
	assert_string_equal(error_name(ERR_SIGNATURE), "signature_mismatch");
	assert_int_equal(error_from_name("signature_mismatch"), ERR_SIGNATURE);
	assert_string_equal(error_name(-ENOSPC), "ENOSPC");
	assert_int_equal(error_from_name("ENOSPC"), -ENOSPC);
	assert_string_equal(error_name(-999), "unknown");
	assert_int_equal(error_from_name("no such name"), -EINVAL);
}

static void a_failure_is_the_same_whatever_its_numbers(void **state)
{
	const struct error known = {ERR_NETWORK, "connect to h port 80 after 12 ms: refused"};
	static const struct {
		struct error error;
		bool like;
	} cases[] = {
		{{ERR_NETWORK, "connect to h port 80 after 12 ms: refused"}, true},
		{{ERR_NETWORK, "connect to h port 80 after 1003 ms: refused"}, true},
		{{ERR_DENIED, "connect to h port 80 after 12 ms: refused"}, false},
		{{ERR_NETWORK, "connect to h port 80 after 12 ms"}, false},
		{{ERR_NETWORK, "connect to h port 80 after ms: refused"}, false},
		{{ERR_NETWORK, "connect to h port 80 after 12 ms: refused 7"}, false},
		{{0, ""}, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(error_is_like(&known, &cases[i].error), cases[i].like);
		assert_int_equal(error_is_like(&cases[i].error, &known), cases[i].like);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_error_returns_its_code_and_keeps_its_text),
		cmocka_unit_test(an_errno_is_appended_in_words),
		cmocka_unit_test(a_prefix_keeps_the_code_and_the_old_text),
		cmocka_unit_test(a_missing_struct_is_allowed),
		cmocka_unit_test(a_long_text_is_cut_between_characters),
		cmocka_unit_test(a_failure_is_the_same_whatever_its_numbers),
		cmocka_unit_test(names_and_codes_go_both_ways),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
