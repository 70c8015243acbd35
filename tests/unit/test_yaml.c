// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"
#include "common/yaml.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct yaml *parse(const char *text)
{
	struct yaml *doc = NULL;
	struct error err = {0};
	if (yaml_parse("f.yml", text, strlen(text), 1 << 20, &doc, &err) < 0)
		fail_msg("%s", err.text);
	return doc;
}

static void refused(const char *text, const char *why)
{
	struct yaml *doc = NULL;
	struct error err = {0};
	assert_int_equal(yaml_parse("f.yml", text, strlen(text), 1 << 20, &doc, &err), ERR_FORMAT);
	assert_null(doc);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
}

static void nodes_know_their_place(void **state)
{
	auto_yaml struct yaml *doc = parse("version: 0.0\nfiles:\n  - source: a\n    "
					   "destination: \"/b\"\n");
	assert_int_equal(doc->type, YAML_MAP);
	assert_int_equal(doc->count, 2);
	assert_int_equal(doc->key_lines[1], 2);
	const struct yaml *files = yaml_get(doc, "files");
	assert_int_equal(files->type, YAML_LIST);
	const struct yaml *destination = yaml_get(files->items[0], "destination");
	assert_string_equal(destination->text, "/b");
	assert_true(destination->quoted);
	assert_int_equal(destination->line, 4);
	assert_int_equal(destination->column, 18);
	assert_null(yaml_get(files->items[0], "mode"));
	assert_null(yaml_get(files, "source"));
	assert_null(yaml_get(NULL, "source"));
}

static void json_is_yaml(void **state)
{
	auto_yaml struct yaml *doc = parse("{\"a\": [1, {\"b\": null}]}");
	const struct yaml *list = yaml_get(doc, "a");
	assert_int_equal(list->count, 2);
	assert_true(yaml_is_null(yaml_get(list->items[1], "b")));
}

static void empty_documents_have_no_tree(void **state)
{
	assert_null(parse(""));
	assert_null(parse("# nothing\n\n"));
	assert_null(parse("---\n"));
	assert_null(parse("---\n...\n"));
}

static void a_byte_order_mark_is_skipped(void **state)
{
	auto_yaml struct yaml *doc = parse("\xef\xbb\xbfos: linux\r\nversion: 0.0\r\n");
	assert_int_equal(doc->count, 2);
	assert_string_equal(yaml_get(doc, "os")->text, "linux");
}

static void mistakes_are_named_with_line_and_column(void **state)
{
	refused("a: 1\n\tb: 2\n", "f.yml:2:1: ");
	refused("a: [1, 2\n", "f.yml:2:1: ");
	refused("a: 1\na: 2\n", "f.yml:2:1: the key 'a' is here twice, first in line 1");
	refused("a: &x 1\nb: *x\n", "f.yml:2:4: aliases are not supported");
	refused("a: !ruby/object:Gem x\n", "f.yml:1:4: the tag '!ruby/object:Gem' is not");
	refused("!!python/name:x k: 1\n", "f.yml:1:1: the tag");
	refused("a: 1\n---\nb: 2\n", "f.yml:2:1: a second document");
	refused("? [a]\n: 1\n", "f.yml:1:3: a key must be");
	refused("a: \"x\\0y\"\n", "f.yml:1:4: a NUL character");
	refused("a: 1\nbc: \xff\n", "f.yml:2:5: ");
}

static void nesting_has_a_ceiling(void **state)
{
	char text[100];
	memset(text, '[', 33);
	memset(text + 33, ']', 33);
	text[66] = '\0';
	refused(text, "nested deeper than 32");
	memmove(text, text + 1, 64);
	text[64] = '\0';
	auto_yaml struct yaml *doc = parse(text);
	assert_int_equal(doc->type, YAML_LIST);
}

static void a_file_above_its_ceiling_is_refused(void **state)
{
	struct yaml *doc = NULL;
	assert_int_equal(yaml_parse("f", "a: 1", 4, 3, &doc, NULL), -EFBIG);
}

static void thousands_of_keys_take_no_quadratic_time(void **state)
{
	auto_buf struct buf b = BUF_INIT(1 << 20);
	for (int i = 0; i < 40000; i++)
		buf_addf(&b, "k%d: 1\n", i);
	auto_yaml struct yaml *doc = parse(buf_str(&b));
	assert_int_equal(doc->count, 40000);
}

static int64_t number(const char *text)
{
	auto_yaml struct yaml *doc = parse(text);
	int64_t value = 0;
	if (yaml_to_int(doc, &value) < 0)
		fail_msg("'%s' is no number", text);
	return value;
}

static void whole_numbers_follow_yaml_1_1(void **state)
{
	assert_int_equal(number("0644"), 420);
	assert_int_equal(number("0"), 0);
	assert_int_equal(number("-17"), -17);
	assert_int_equal(number("+5"), 5);
	assert_int_equal(number("1_000"), 1000);
	assert_int_equal(number("1,000"), 1000);
	assert_int_equal(number("0x1f"), 31);
	assert_int_equal(number("0b101"), 5);
	assert_int_equal(number("1:30"), 5400);
	assert_int_equal(number("1:30:15"), 5415);
	assert_int_equal(number("9223372036854775807"), INT64_MAX);
	assert_int_equal(number("!!int 12"), 12);
}

static void what_yaml_1_1_takes_for_text_is_no_number(void **state)
{
	static const char *const texts[] = {
		"0o644", "08",  "'0644'", "1:60", "1:2:3:4",  "x",
		"_1",    "1.0", "0x",     "0b2",  "!!str 12", "1 2",
		"1e3",   "~",   "-",      "1:",   ":30",      "9223372036854775808",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		auto_yaml struct yaml *doc = parse(texts[i]);
		int64_t value = 0;
		if (yaml_to_int(doc, &value) != -EINVAL)
			fail_msg("'%s' became %d", texts[i], (int)value);
	}
}

static void fractions_need_a_point(void **state)
{
	double value = 0;
	auto_yaml struct yaml *point = parse("0.0");
	assert_int_equal(yaml_to_number(point, &value), 0);
	assert_true(value == 0);
	auto_yaml struct yaml *exponent = parse("-1_0.5e+1");
	assert_int_equal(yaml_to_number(exponent, &value), 0);
	assert_true(value == -105);
	static const char *const texts[] = {".", "1e3", ".inf", ".nan", "1.0.0", "1.5e3", "1.5x"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		auto_yaml struct yaml *doc = parse(texts[i]);
		assert_int_equal(yaml_to_number(doc, &value), -EINVAL);
	}
}

static void booleans_are_plain_words(void **state)
{
	bool value = false;
	auto_yaml struct yaml *yes = parse("Yes");
	assert_int_equal(yaml_to_bool(yes, &value), 0);
	assert_true(value);
	auto_yaml struct yaml *off = parse("off");
	assert_int_equal(yaml_to_bool(off, &value), 0);
	assert_false(value);
	auto_yaml struct yaml *quoted = parse("'yes'");
	assert_int_equal(yaml_to_bool(quoted, &value), -EINVAL);
	auto_yaml struct yaml *one = parse("1");
	assert_int_equal(yaml_to_bool(one, &value), -EINVAL);
}

static void null_has_three_plain_forms(void **state)
{
	auto_yaml struct yaml *doc = parse("a: ~\nb: Null\nc:\nd: ''\ne: x\n");
	assert_true(yaml_is_null(yaml_get(doc, "a")));
	assert_true(yaml_is_null(yaml_get(doc, "b")));
	assert_true(yaml_is_null(yaml_get(doc, "c")));
	assert_false(yaml_is_null(yaml_get(doc, "d")));
	assert_false(yaml_is_null(yaml_get(doc, "e")));
	assert_false(yaml_is_null(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_know_their_place),
		cmocka_unit_test(json_is_yaml),
		cmocka_unit_test(empty_documents_have_no_tree),
		cmocka_unit_test(a_byte_order_mark_is_skipped),
		cmocka_unit_test(mistakes_are_named_with_line_and_column),
		cmocka_unit_test(nesting_has_a_ceiling),
		cmocka_unit_test(a_file_above_its_ceiling_is_refused),
		cmocka_unit_test(thousands_of_keys_take_no_quadratic_time),
		cmocka_unit_test(whole_numbers_follow_yaml_1_1),
		cmocka_unit_test(what_yaml_1_1_takes_for_text_is_no_number),
		cmocka_unit_test(fractions_need_a_point),
		cmocka_unit_test(booleans_are_plain_words),
		cmocka_unit_test(null_has_three_plain_forms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
