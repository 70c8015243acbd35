// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/health.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <syslog.h>

#define URL "https://ep:8443"

static const struct error refused = {.code = ERR_NETWORK, .text = "connection refused"};
static const struct error broken = {.code = ERR_HTTP, .text = "HTTP 502"};
static const struct error denied = {.code = ERR_DENIED, .text = "revoked"};

static struct health_now at(uint64_t seconds)
{
	return (struct health_now){.mono_us = seconds * 1000000,
				   .wall_s = 1767225600 + (int64_t)seconds};
}

static void the_first_answer_is_said_once(void **state)
{
	struct health h = {0};
	struct health_line line;
	assert_true(health_note(&h, OUTCOME_OK, NULL, URL, at(1), &line));
	assert_string_equal(line.text, "endpoint 'https://ep:8443' is reachable");
	assert_int_equal(line.level, LOG_NOTICE);
	assert_false(health_note(&h, OUTCOME_OK, NULL, URL, at(61), &line));
	assert_int_equal(h.state, HEALTH_REACHABLE);
	assert_int_equal(h.since_s, at(1).wall_s);
}

static void a_loss_is_said_once_and_the_return_tells_how_long_it_lasted(void **state)
{
	struct health h = {0};
	struct health_line line;
	health_note(&h, OUTCOME_OK, NULL, URL, at(1), &line);
	assert_true(health_note(&h, OUTCOME_UNREACHABLE, &refused, URL, at(10), &line));
	assert_string_equal(line.text, "endpoint 'https://ep:8443' is unreachable: connection "
				       "refused; trying again until it answers");
	assert_int_equal(line.level, LOG_WARNING);
	for (unsigned i = 0; i < 5; i++)
		assert_false(health_note(&h, i % 2 ? OUTCOME_UNREACHABLE : OUTCOME_BROKEN,
					 i % 2 ? &refused : &broken, URL, at(20 + i), &line));
	assert_string_equal(h.error.text, "HTTP 502");
	assert_true(health_note(&h, OUTCOME_OK, NULL, URL, at(210), &line));
	assert_string_equal(line.text,
			    "endpoint 'https://ep:8443' is reachable again after 3 min 20 s");
}

static void a_host_that_starts_without_its_endpoint_says_so_once(void **state)
{
	struct health h = {0};
	struct health_line line;
	assert_true(health_note(&h, OUTCOME_UNREACHABLE, &refused, URL, at(0), &line));
	assert_false(health_note(&h, OUTCOME_UNREACHABLE, &refused, URL, at(1), &line));
	assert_true(health_note(&h, OUTCOME_OK, NULL, URL, at(45), &line));
	assert_non_null(strstr(line.text, "again after 45 s"));
}

static void a_refusal_is_a_state_of_its_own_and_needs_a_person(void **state)
{
	struct health h = {0};
	struct health_line line;
	health_note(&h, OUTCOME_UNREACHABLE, &refused, URL, at(0), &line);
	assert_true(health_note(&h, OUTCOME_DENIED, &denied, URL, at(100), &line));
	assert_int_equal(line.level, LOG_ERR);
	assert_non_null(strstr(line.text, "revoked"));
	assert_non_null(strstr(line.text, "slipway enroll"));
	assert_false(health_note(&h, OUTCOME_DENIED, &denied, URL, at(200), &line));
	assert_string_equal(health_state_to_string(h.state), "refused");
	/* the whole time without the endpoint counts */
	assert_true(health_note(&h, OUTCOME_OK, NULL, URL, at(3900), &line));
	assert_non_null(strstr(line.text, "after 1 h 5 min"));
}

static void durations_read_well(void **state)
{
	char out[32];
	assert_string_equal(health_duration(0, out, sizeof(out)), "0 s");
	assert_string_equal(health_duration(59, out, sizeof(out)), "59 s");
	assert_string_equal(health_duration(60, out, sizeof(out)), "1 min");
	assert_string_equal(health_duration(7500, out, sizeof(out)), "2 h 5 min");
	assert_string_equal(health_duration(86400 * 3 + 4 * 3600 + 59, out, sizeof(out)),
			    "3 d 4 h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_answer_is_said_once),
		cmocka_unit_test(a_loss_is_said_once_and_the_return_tells_how_long_it_lasted),
		cmocka_unit_test(a_host_that_starts_without_its_endpoint_says_so_once),
		cmocka_unit_test(a_refusal_is_a_state_of_its_own_and_needs_a_person),
		cmocka_unit_test(durations_read_well),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
