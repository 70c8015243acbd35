// SPDX-License-Identifier: Apache-2.0
#include "control/guard.h"
#include "tests/unit/unit.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <stdio.h>

static void an_address_may_fail_a_few_times(void **state)
{
	auto_free struct guard *guard = xcalloc(1, sizeof(*guard));
	for (int i = 0; i < GUARD_FAILURES; i++) {
		assert_false(guard_blocks(guard, "192.0.2.1", 1000));
		guard_failed(guard, "192.0.2.1", 1000);
	}
	assert_true(guard_blocks(guard, "192.0.2.1", 1000));
	assert_false(guard_blocks(guard, "192.0.2.2", 1000));
}

static void it_regains_one_attempt_after_a_while(void **state)
{
	auto_free struct guard *guard = xcalloc(1, sizeof(*guard));
	for (int i = 0; i < GUARD_FAILURES; i++)
		guard_failed(guard, "192.0.2.1", 1000);
	assert_true(guard_blocks(guard, "192.0.2.1", 1000));
	assert_false(guard_blocks(guard, "192.0.2.1", 1000 + GUARD_REGAIN_S));
	guard_failed(guard, "192.0.2.1", 1000 + GUARD_REGAIN_S);
	assert_true(guard_blocks(guard, "192.0.2.1", 1000 + GUARD_REGAIN_S));
}

static void all_is_forgotten_in_the_end(void **state)
{
	auto_free struct guard *guard = xcalloc(1, sizeof(*guard));
	for (int i = 0; i < GUARD_FAILURES; i++)
		guard_failed(guard, "192.0.2.1", 1000);
	for (int i = 0; i < GUARD_FAILURES; i++) {
		assert_false(guard_blocks(guard, "192.0.2.1", 5000));
		guard_failed(guard, "192.0.2.1", 5000);
	}
	assert_true(guard_blocks(guard, "192.0.2.1", 5000));
}

static void many_addresses_do_not_push_out_the_worst(void **state)
{
	auto_free struct guard *guard = xcalloc(1, sizeof(*guard));
	for (int i = 0; i < GUARD_FAILURES; i++)
		guard_failed(guard, "192.0.2.1", 1000);
	for (int i = 0; i < 4 * GUARD_SLOTS; i++) {
		char address[32];
		snprintf(address, sizeof(address), "198.51.100.%d", i);
		guard_failed(guard, address, 1000);
	}
	assert_true(guard_blocks(guard, "192.0.2.1", 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_may_fail_a_few_times),
		cmocka_unit_test(it_regains_one_attempt_after_a_while),
		cmocka_unit_test(all_is_forgotten_in_the_end),
		cmocka_unit_test(many_addresses_do_not_push_out_the_worst),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
