// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/log-line.h"
#include "common/attr.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "tests/unit/unit.h"

#include <string.h>

#define AT "2026-11-21 18:40:18 "

static void lines_know_their_script(void **state)
{
	static const struct {
		const char *line, *json; /* NULL: a heading */
	} rows[] = {
		{"torn", "{\"line\":\"torn\"}"},
		{AT "[stdout]early\n",
		 "{\"line\":\"early\",\"stream\":\"stdout\",\"time\":\"2026-11-21 18:40:18\"}"},
		{AT "LifecycleEvent - Start\n", NULL},
		{AT "Script - a.sh\n", NULL},
		{AT "[stdout]x\n",
		 "{\"event\":\"Start\",\"line\":\"x\",\"script\":\"a.sh\",\"stream\":"
		 "\"stdout\",\"time\":\"2026-11-21 18:40:18\"}"},
		{AT "[stderr]Script - b.sh",
		 "{\"event\":\"Start\",\"line\":\"Script - b.sh\",\"script\":\"a.sh\",\"stream\":"
		 "\"stderr\",\"time\":\"2026-11-21 18:40:18\"}"},
		{AT "Script - c.sh\n", NULL},
		{AT "[slipway]\xff\x1b\n",
		 "{\"event\":\"Start\",\"line\":\"\xef\xbf\xbd?\",\"script\":\"c.sh\",\"stream\":"
		 "\"slipway\",\"time\":\"2026-11-21 18:40:18\"}"},
		{"", "{\"line\":\"\"}"},
	};
	CLEANUP(log_place_clear) struct log_place place = {0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_json json_t *line =
			log_line_to_json(&place, rows[i].line, strlen(rows[i].line));
		if (!rows[i].json) {
			assert_null(line);
			continue;
		}
		auto_json json_t *wanted = json_loads(rows[i].json, 0, NULL);
		assert_non_null(wanted);
		assert_true(json_equal(line, wanted));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_know_their_script),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
