// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/queue.h"
#include "tests/unit/unit.h"

static void the_oldest_goes_first(void **state)
{
	struct queue q = {0};
	uint64_t due;
	queue_add(&q, "b", "d-2", 20);
	queue_add(&q, "c", "d-3", 30);
	queue_add(&q, "a", "d-1", 10);
	assert_string_equal(queue_next(&q, 0, &due)->name, "a");
	queue_remove(&q, "a");
	assert_string_equal(queue_next(&q, 0, &due)->name, "b");
	queue_clear(&q);
}

static void equal_ages_are_ordered_by_name(void **state)
{
	struct queue q = {0};
	uint64_t due;
	queue_add(&q, "b", "d-1", 10);
	queue_add(&q, "a", "d-1", 10);
	assert_string_equal(queue_next(&q, 0, &due)->name, "a");
	queue_clear(&q);
}

static void a_result_is_queued_once(void **state)
{
	struct queue q = {0};
	assert_true(queue_add(&q, "a", "d-1", 10));
	assert_false(queue_add(&q, "a", "d-1", 10));
	assert_int_equal(q.count, 1);
	queue_clear(&q);
}

static void within_a_deployment_nothing_overtakes(void **state)
{
	struct queue q = {0};
	uint64_t due;
	queue_add(&q, "a", "d-1", 10);
	queue_add(&q, "b", "d-1", 20);
	queue_add(&q, "c", "d-2", 30);
	queue_find(&q, "a")->sending = true;
	struct queue_item *next = queue_next(&q, 0, &due);
	assert_string_equal(next->name, "c");
	next->sending = true;
	assert_null(queue_next(&q, 0, &due));
	assert_true(due == UINT64_MAX);
	assert_int_equal(queue_sending(&q), 2);
	queue_remove(&q, "a");
	assert_string_equal(queue_next(&q, 0, &due)->name, "b");
	queue_clear(&q);
}

static void one_that_waits_holds_up_its_deployment_only(void **state)
{
	struct queue q = {0};
	uint64_t due;
	queue_add(&q, "a", "d-1", 10);
	queue_add(&q, "b", "d-1", 20);
	queue_add(&q, "c", "d-2", 30);
	queue_find(&q, "a")->due_us = 500;
	queue_find(&q, "c")->due_us = 700;
	assert_null(queue_next(&q, 499, &due));
	assert_int_equal(due, 500);
	assert_string_equal(queue_next(&q, 500, &due)->name, "a");
	queue_find(&q, "a")->due_us = 900;
	assert_string_equal(queue_next(&q, 700, &due)->name, "c");
	queue_hurry(&q);
	assert_string_equal(queue_next(&q, 0, &due)->name, "a");
	queue_clear(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_goes_first),
		cmocka_unit_test(equal_ages_are_ordered_by_name),
		cmocka_unit_test(a_result_is_queued_once),
		cmocka_unit_test(within_a_deployment_nothing_overtakes),
		cmocka_unit_test(one_that_waits_holds_up_its_deployment_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
