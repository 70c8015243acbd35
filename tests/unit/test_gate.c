// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/gate.h"
#include "tests/unit/unit.h"

#define S UINT64_C(1000000)

static void an_open_gate_holds_nobody(void **state)
{
	struct gate gate = {0};
	assert_int_equal(gate_wait_ms(&gate, 5 * S, UINT32_MAX), 0);
}

static void it_shuts_for_a_second_doubling_to_thirty(void **state)
{
	static const uint64_t expected_ms[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
	struct gate gate = {0};
	uint64_t now_us = 7 * S;
	for (size_t i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++) {
		gate_trip(&gate, now_us);
		assert_int_equal(gate_wait_ms(&gate, now_us, 0), expected_ms[i]);
		assert_int_equal(gate_wait_ms(&gate, now_us, UINT32_MAX),
				 expected_ms[i] + expected_ms[i] / 4);
		now_us += expected_ms[i] * 1000;
		assert_int_equal(gate_wait_ms(&gate, now_us, UINT32_MAX), 0);
	}
}

static void requests_that_were_on_their_way_do_not_make_it_longer(void **state)
{
	struct gate gate = {0};
	gate_trip(&gate, S);
	gate_trip(&gate, S + S / 2);
	assert_int_equal(gate_wait_ms(&gate, S + S / 2, 0), 500);
}

static void a_success_opens_it_and_begins_again(void **state)
{
	struct gate gate = {0};
	gate_trip(&gate, S);
	gate_trip(&gate, 3 * S);
	gate_open(&gate);
	assert_int_equal(gate_wait_ms(&gate, 3 * S, 0), 0);
	gate_trip(&gate, 4 * S);
	assert_int_equal(gate_wait_ms(&gate, 4 * S, 0), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_gate_holds_nobody),
		cmocka_unit_test(it_shuts_for_a_second_doubling_to_thirty),
		cmocka_unit_test(requests_that_were_on_their_way_do_not_make_it_longer),
		cmocka_unit_test(a_success_opens_it_and_begins_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
