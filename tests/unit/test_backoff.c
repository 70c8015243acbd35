// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/backoff.h"
#include "tests/unit/unit.h"

#define MIDDLE (UINT32_MAX / 2)

static void waits_grow_and_stay_at_ninety_seconds(void **state)
{
	static const uint64_t expected_s[] = {1, 2, 4, 8, 16, 30, 60, 90, 90, 90};
	struct backoff b = {0};
	for (size_t i = 0; i < ARRAY_LEN(expected_s); i++) {
		uint64_t ms = backoff_next_ms(&b, OUTCOME_UNREACHABLE, MIDDLE);
		assert_in_range(ms, expected_s[i] * 1000 - 1, expected_s[i] * 1000);
	}
}

static void the_spread_is_a_quarter_to_both_sides(void **state)
{
	struct backoff low = {0}, high = {0};
	assert_int_equal(backoff_next_ms(&low, OUTCOME_BROKEN, 0), 750);
	assert_int_equal(backoff_next_ms(&high, OUTCOME_BROKEN, UINT32_MAX), 1250);
	low.failures = high.failures = 100;
	assert_int_equal(backoff_next_ms(&low, OUTCOME_BROKEN, 0), 67500);
	assert_int_equal(backoff_next_ms(&high, OUTCOME_BROKEN, UINT32_MAX), 112500);
}

static void a_success_begins_again_at_one_second(void **state)
{
	struct backoff b = {0};
	for (int i = 0; i < 6; i++)
		backoff_next_ms(&b, OUTCOME_UNREACHABLE, MIDDLE);
	backoff_reset(&b);
	assert_in_range(backoff_next_ms(&b, OUTCOME_UNREACHABLE, MIDDLE), 999, 1000);
}

static void a_throttled_agent_waits_longer_from_the_first_time_on(void **state)
{
	struct backoff b = {0};
	assert_in_range(backoff_next_ms(&b, OUTCOME_THROTTLED, MIDDLE), 15999, 16000);
	assert_in_range(backoff_next_ms(&b, OUTCOME_THROTTLED, MIDDLE), 29999, 30000);
}

static void a_refused_host_never_asks_more_than_once_a_minute(void **state)
{
	struct backoff b = {0};
	for (int i = 0; i < 20; i++)
		assert_true(backoff_next_ms(&b, OUTCOME_DENIED, 0) >= 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_grow_and_stay_at_ninety_seconds),
		cmocka_unit_test(the_spread_is_a_quarter_to_both_sides),
		cmocka_unit_test(a_success_begins_again_at_one_second),
		cmocka_unit_test(a_throttled_agent_waits_longer_from_the_first_time_on),
		cmocka_unit_test(a_refused_host_never_asks_more_than_once_a_minute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
