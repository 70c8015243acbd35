// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/bar.h"
#include "agent/cli/lines.h"
#include "common/alloc.h"
#include "common/attr.h"
#include "common/cleanup.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define S 1000000ULL

static void check(const struct bar *bar, uint64_t now_us, unsigned columns, const char *wanted)
{
	auto_free char *line = bar_line(bar, now_us, columns);
	assert_string_equal(line, wanted);
	assert_true(strlen(line) <= columns);
}

static void a_bar_fits_its_terminal(void **state)
{
	struct bar bar;
	bar_start(&bar, "unpack", true, 5 * S);
	bar_set(&bar, 10 * 1000 * 1000, 40 * 1000 * 1000);
	check(&bar, 7 * S, 200,
	      "  unpack    [#######.......................]  25 %  10.0 MB of 40.0 MB  5.0 MB/s  "
	      "6.5 s left");
	check(&bar, 7 * S, 79,
	      "  unpack    [####.............]  25 %  10.0 MB of 40.0 MB  5.0 MB/s  6.5 s left");
	check(&bar, 7 * S, 60, "  unpack    [##........]  25 %  10.0 MB of 40.0 MB  5.0 MB/s");
	check(&bar, 7 * S, 59, "  unpack    [####...............]  25 %  10.0 MB of 40.0 MB");
	check(&bar, 7 * S, 39, "  unpack    [####...............]  25 %");
	check(&bar, 7 * S, 19, "  unpack    [##....");
}

static void a_rate_is_told_only_when_it_was_measured(void **state)
{
	struct bar bar;
	bar_start(&bar, "unpack", true, 5 * S);
	bar_set(&bar, 1000, 2000);
	check(&bar, 5 * S + S / 2, 60,
	      "  unpack    [###########...........]  50 %  1.0 kB of 2.0 kB");
	bar_start(&bar, "install", false, 5 * S);
	bar_set(&bar, 5, 20);
	check(&bar, 30 * S, 60, "  install   [#######.......................]  25 %  5 of 20");
}

static void without_a_total_there_is_no_bar(void **state)
{
	struct bar bar;
	bar_start(&bar, "copy", true, 0);
	bar_set(&bar, 3000000, 0);
	check(&bar, 2 * S, 79, "  copy        3.0 MB  1.5 MB/s");
	bar_start(&bar, "plan", false, 0);
	bar_set(&bar, 0, 0);
	check(&bar, 2 * S, 79, "  plan      ");
}

static void it_never_goes_back_and_is_full_only_at_the_end(void **state)
{
	struct bar bar;
	bar_start(&bar, "install", false, 0);
	bar_set(&bar, 50, 100);
	bar_set(&bar, 50, 200);
	check(&bar, S, 41, "  install   [#####.....]  50 %  50 of 100");
	bar_set(&bar, 199, 200);
	check(&bar, S, 44, "  install   [###########.]  99 %  199 of 200");
	bar_set(&bar, 200, 200);
	check(&bar, S, 44, "  install   [############] 100 %  200 of 200");
	bar_set(&bar, UINT64_MAX, 1);
	auto_free char *line = bar_line(&bar, S, 79);
	assert_non_null(strstr(line, "100 %"));
}

static void text_is_cut_to_columns(void **state)
{
	static const struct {
		const char *text;
		unsigned columns;
		size_t len;
	} rows[] = {
		{"abc", 10, 3},
		{"abc", 2, 2},
		{"", 5, 0},
		{"\xc3\xa4\xc3\xa4", 1, 2},
		{"\xe6\x97\xa5\xe6\x9c\xac", 3, 3}, /* two columns each */
		{"abc", 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(lines_cut(rows[i].text, rows[i].columns), rows[i].len);
}

static void sentences_are_broken_between_words(void **state)
{
	auto_free char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	lines_item(
		out, "cause",
		"port 8080 is in use: nginx (812), of nginx.service listens on it, as it seems to "
		"be\x1b[2J and "
		"/a/path/that/is/long/enough/to/fill/a/line/of/its/own/and/is/not/broken/because/"
		"of/that\n"
		"next");
	fclose(out);
	assert_string_equal(
		text,
		"  cause    port 8080 is in use: nginx (812), of nginx.service listens on it, as\n"
		"           it seems to be?[2J and\n"
		"           "
		"/a/path/that/is/long/enough/to/fill/a/line/of/its/own/and/is/not/broken/because/"
		"of/that\n"
		"           next\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bar_fits_its_terminal),
		cmocka_unit_test(a_rate_is_told_only_when_it_was_measured),
		cmocka_unit_test(without_a_total_there_is_no_bar),
		cmocka_unit_test(it_never_goes_back_and_is_full_only_at_the_end),
		cmocka_unit_test(text_is_cut_to_columns),
		cmocka_unit_test(sentences_are_broken_between_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
