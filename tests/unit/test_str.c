// SPDX-License-Identifier: Apache-2.0
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/str.h"
#include "tests/unit/unit.h"

#include <string.h>

static void null_equals_only_null(void **state)
{
	assert_true(str_eq(NULL, NULL));
	assert_false(str_eq(NULL, ""));
	assert_true(str_eq("a", "a"));
	assert_true(str_starts("abc", "ab"));
	assert_false(str_starts("a", "ab"));
	assert_true(str_ends("x.tgz", ".tgz"));
	assert_false(str_ends("gz", ".tgz"));
}

static void numbers_are_taken_whole_or_not_at_all(void **state)
{
	uint64_t u = 7;
	assert_int_equal(str_to_u64("18446744073709551615", &u), 0);
	assert_true(u == UINT64_MAX);
	assert_int_equal(str_to_u64("18446744073709551616", &u), -ERANGE);
	static const char *const bad[] = {"", " 1", "1 ", "-1", "+1", "0x1", "1.0", "1e3"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(str_to_u64(bad[i], &u), -EINVAL);
	assert_true(u == UINT64_MAX);
}

static void signed_numbers_reach_both_ends(void **state)
{
	int64_t i;
	assert_int_equal(str_to_i64("-9223372036854775808", &i), 0);
	assert_true(i == INT64_MIN);
	assert_int_equal(str_to_i64("9223372036854775807", &i), 0);
	assert_true(i == INT64_MAX);
	assert_int_equal(str_to_i64("9223372036854775808", &i), -ERANGE);
	assert_int_equal(str_to_i64("--1", &i), -EINVAL);
}

static void booleans_have_eight_words(void **state)
{
	bool b = false;
	assert_int_equal(str_to_bool("Yes", &b), 0);
	assert_true(b);
	assert_int_equal(str_to_bool("off", &b), 0);
	assert_false(b);
	assert_int_equal(str_to_bool("2", &b), -EINVAL);
}

static void sizes_are_powers_of_1024(void **state)
{
	uint64_t n;
	assert_int_equal(str_to_size("64k", &n), 0);
	assert_int_equal(n, 65536);
	assert_int_equal(str_to_size("2G", &n), 0);
	assert_true(n == 2ULL << 30);
	assert_int_equal(str_to_size("20000000T", &n), -ERANGE);
	static const struct {
		const char *text;
		uint64_t bytes;
	} official[] = {{"7B", 7},         {"2KB", 2000},          {"2KiB", 2048},
			{"3MB", 3000000},  {"3MiB", 3 << 20},      {"2GB", 2000000000},
			{"1GiB", 1 << 30}, {"1TB", 1000000000000}, {"1TiB", INT64_C(1) << 40}};
	for (size_t i = 0; i < ARRAY_LEN(official); i++) {
		assert_int_equal(str_to_size(official[i].text, &n), 0);
		assert_int_equal(n, official[i].bytes);
	}
	assert_int_equal(str_to_size("5KBB", &n), -EINVAL);
	assert_int_equal(str_to_size("16EiB", &n), -EINVAL);
	assert_int_equal(str_to_size("1.5G", &n), -EINVAL);
	assert_int_equal(str_to_size("k", &n), -EINVAL);
}

static void percentages_need_no_sign(void **state)
{
	uint64_t n;
	assert_int_equal(str_to_percent("150%", &n), 0);
	assert_int_equal(n, 150);
	assert_int_equal(str_to_percent("5", &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(str_to_percent("1.5%", &n), -EINVAL);
	assert_int_equal(str_to_percent("%", &n), -EINVAL);
	assert_int_equal(str_to_percent("-1%", &n), -EINVAL);
}

/* Each of them in the middle of a word, and their neighbours, which are letters. */
static void what_turns_the_direction_of_text_is_neutralised(void **state)
{
	static const char *const bad[] = {
		"\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202b",
		"\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069",
	};
	static const char *const good[] = {"\u061b", "\u061d", "\u200d", "\u2010",
					   "\u2027", "\u202f", "\u2065", "\u206a"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_free char *text = xasprintf("a%sb", bad[i]);
		auto_free char *clean = str_to_utf8(text, strlen(text));
		assert_string_equal(clean, "a?b");
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		auto_free char *clean = str_to_utf8(good[i], strlen(good[i]));
		assert_string_equal(clean, good[i]);
	}
}

static void durations_are_seconds_unless_they_say_otherwise(void **state)
{
	uint64_t ms;
	assert_int_equal(str_to_duration("90", &ms), 0);
	assert_int_equal(ms, 90000);
	assert_int_equal(str_to_duration("500ms", &ms), 0);
	assert_int_equal(ms, 500);
	assert_int_equal(str_to_duration("10m", &ms), 0);
	assert_int_equal(ms, 600000);
	assert_int_equal(str_to_duration("10 m", &ms), -EINVAL);
}

static void hex_goes_both_ways(void **state)
{
	char text[7];
	str_hex("\x00\xab\xff", 3, text);
	assert_string_equal(text, "00abff");
	unsigned char bytes[3];
	assert_int_equal(str_unhex("00ABff", bytes, 3), 3);
	assert_memory_equal(bytes, "\x00\xab\xff", 3);
	assert_int_equal(str_unhex("0", bytes, 3), -EINVAL);
	assert_int_equal(str_unhex("zz", bytes, 3), -EINVAL);
	assert_int_equal(str_unhex("00112233", bytes, 3), -ENOSPC);
}

static void only_real_utf8_is_utf8(void **state)
{
	assert_true(str_is_utf8("gr\xc3\xbc\xc3\x9f\xf0\x9f\x98\x80", 10));
	assert_false(str_is_utf8("\xc0\xaf", 2));         /* overlong */
	assert_false(str_is_utf8("\xed\xa0\x80", 3));     /* surrogate */
	assert_false(str_is_utf8("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
	assert_false(str_is_utf8("\xc3", 1));             /* cut */
	assert_false(str_is_utf8("a\0b", 3));
}

static void bytes_become_text_that_drives_no_terminal(void **state)
{
	auto_free char *line = str_to_line("a\tb\n\033", 5);
	assert_string_equal(line, "a?b??");
	auto_free char *text = str_to_utf8("a\xff\x1b[2J\tb\n\xc2\x9b\0z", 13);
	assert_string_equal(text, "a\xef\xbf\xbd?[2J\tb\n??z");
	assert_true(str_is_utf8(text, strlen(text)));
}

static void splitting_keeps_empty_parts(void **state)
{
	char **list = str_split(",a,,b", ',');
	assert_string_equal(list[0], "");
	assert_string_equal(list[1], "a");
	assert_string_equal(list[2], "");
	assert_string_equal(list[3], "b");
	assert_null(list[4]);
	str_list_free(list);
	list = str_split("", ',');
	assert_string_equal(list[0], "");
	assert_null(list[1]);
	str_list_free(list);
	str_list_free(NULL);
}

static void percent_encoding_leaves_what_is_unreserved(void **state)
{
	auto_free char *kept = str_uri_encode("a/b c~\xc3\xbc", 8, true);
	assert_string_equal(kept, "a/b%20c~%C3%BC");
	auto_free char *all = str_uri_encode("a/b", 3, false);
	assert_string_equal(all, "a%2Fb");
}

static void a_file_name_cannot_climb(void **state)
{
	assert_true(str_is_filename("d-ABC..1"));
	assert_false(str_is_filename(""));
	assert_false(str_is_filename("."));
	assert_false(str_is_filename(".."));
	assert_false(str_is_filename("a/b"));
	char name[257] = "";
	memset(name, 'x', 256);
	assert_false(str_is_filename(name));
	name[255] = '\0';
	assert_true(str_is_filename(name));
}

static void people_read_bytes_with_one_decimal(void **state)
{
	char out[32];
	assert_string_equal(str_human_bytes(999, out, sizeof(out)), "999 B");
	assert_string_equal(str_human_bytes(1500, out, sizeof(out)), "1.5 kB");
	assert_string_equal(str_human_bytes(999999, out, sizeof(out)), "1.0 MB");
	assert_string_equal(str_human_bytes(UINT64_MAX, out, sizeof(out)), "18.4 EB");
}

static void random_text_has_the_asked_form(void **state)
{
	char one[10], two[10], uuid[37];
	str_random(one, 9);
	str_random(two, 9);
	assert_int_equal(strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), 9);
	assert_string_not_equal(one, two);
	str_uuid(uuid);
	assert_int_equal(strlen(uuid), 36);
	assert_int_equal(uuid[14], '4');
	assert_non_null(strchr("89ab", uuid[19]));
}

static void the_word_that_was_meant_is_found(void **state)
{
	assert_string_equal(str_nearer("depoly", NULL, "deploy"), "deploy");
	assert_string_equal(str_nearer("DEPLOY", NULL, "deploy"), "deploy");
	assert_null(str_nearer("xyzzy", NULL, "deploy"));
	assert_null(str_nearer("pln", NULL, "on"));
	assert_string_equal(str_nearer("stauts", "status", "start"), "status");
	assert_string_equal(str_nearer("stat", "status", "start"), "start");
}

static void a_word_for_the_shell_is_quoted_where_it_must_be(void **state)
{
	static const struct {
		const char *word, *typed;
	} rows[] = {
		{"shop", "shop"},
		{"/srv/app/a-b_c.1", "/srv/app/a-b_c.1"},
		{"My App/prod", "'My App/prod'"},
		{"it's", "'it'\\''s'"},
		{"$(reboot)", "'$(reboot)'"},
		{"", "''"},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *typed = str_shell_word(rows[i].word);
		assert_string_equal(typed, rows[i].typed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_equals_only_null),
		cmocka_unit_test(numbers_are_taken_whole_or_not_at_all),
		cmocka_unit_test(signed_numbers_reach_both_ends),
		cmocka_unit_test(booleans_have_eight_words),
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(percentages_need_no_sign),
		cmocka_unit_test(what_turns_the_direction_of_text_is_neutralised),
		cmocka_unit_test(durations_are_seconds_unless_they_say_otherwise),
		cmocka_unit_test(hex_goes_both_ways),
		cmocka_unit_test(only_real_utf8_is_utf8),
		cmocka_unit_test(bytes_become_text_that_drives_no_terminal),
		cmocka_unit_test(splitting_keeps_empty_parts),
		cmocka_unit_test(percent_encoding_leaves_what_is_unreserved),
		cmocka_unit_test(a_file_name_cannot_climb),
		cmocka_unit_test(people_read_bytes_with_one_decimal),
		cmocka_unit_test(random_text_has_the_asked_form),
		cmocka_unit_test(the_word_that_was_meant_is_found),
		cmocka_unit_test(a_word_for_the_shell_is_quoted_where_it_must_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
