// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/spool.h"
#include "common/json.h"
#include "tests/unit/unit.h"

#include <string.h>

static void add(struct spool *s, int n)
{
	struct error err = {0};
	auto_json json_t *obj = json_pack("{s:i,s:s}", "n", n, "text", "a\nb");
	assert_int_equal(spool_add(s, obj, &err), 0);
}

static int next(struct spool *s)
{
	auto_json json_t *obj = spool_next(s);
	return obj ? (int)json_integer_value(json_object_get(obj, "n")) : -1;
}

static void what_was_added_is_read_in_its_order(void **state)
{
	CLEANUP(spool_clear) struct spool s = {0};
	(void)state;
	assert_int_equal(next(&s), -1);
	for (int i = 0; i < 5000; i++)
		add(&s, i);
	spool_rewind(&s);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(next(&s), i);
	assert_int_equal(next(&s), -1);
}

static void what_was_added_since_the_mark_can_be_forgotten(void **state)
{
	CLEANUP(spool_clear) struct spool s = {0};
	(void)state;
	spool_mark(&s, false);
	add(&s, 1);
	spool_mark(&s, true);
	add(&s, 2);
	add(&s, 3);
	spool_mark(&s, false);
	add(&s, 4);
	spool_mark(&s, true);
	add(&s, 5);
	spool_mark(&s, false);
	spool_rewind(&s);
	assert_int_equal(next(&s), 1);
	assert_int_equal(next(&s), 4);
	assert_int_equal(next(&s), -1);
}

static void it_prints_as_a_list(void **state)
{
	CLEANUP(spool_clear) struct spool s = {0};
	auto_free char *text = NULL;
	size_t len;
	(void)state;
	add(&s, 1);
	add(&s, 2);
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	spool_print(&s, out);
	fclose(out);
	assert_string_equal(text, "{\"n\":1,\"text\":\"a\\nb\"},{\"n\":2,\"text\":\"a\\nb\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_read_in_its_order),
		cmocka_unit_test(what_was_added_since_the_mark_can_be_forgotten),
		cmocka_unit_test(it_prints_as_a_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
