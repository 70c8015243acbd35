// SPDX-License-Identifier: Apache-2.0
/* Every documented example is played through: a deployment is walked by the arithmetic alone, with
 * hosts that succeed or fail as the example says. */
#include "common/cleanup.h"
#include "control/sched.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

struct played {
	enum sched_verdict end; /* SCHED_SUCCESS, SCHED_FAILURE or SCHED_HALT */
	int64_t started, succeeded, failed, skipped;
	int64_t most_at_once;
};

/* fate: one letter per host in its order, '+' or '-'. Hosts end one after the other, the oldest
 * first. */
static struct played play(int64_t minimum, const char *fate)
{
	struct sched_counts c = {.total = (int64_t)strlen(fate), .minimum = minimum};
	c.pending = c.total;
	struct played p = {0};
	int64_t ended = 0;
	bool halted = false;
	for (;;) {
		struct sched_step step = sched_next(&c);
		if (step.verdict == SCHED_START) {
			assert_true(step.start >= 1 && step.start <= c.pending);
			c.pending -= step.start;
			c.running += step.start;
			p.started += step.start;
		} else if (step.verdict == SCHED_HALT) {
			halted = true;
			p.skipped = c.pending;
			c.pending = 0;
		} else if (step.verdict == SCHED_WAIT) {
			assert_true(c.running > 0);
			c.running--;
			if (fate[ended++] == '+')
				c.succeeded++;
			else
				c.failed++;
		} else {
			p.end = halted ? SCHED_HALT : step.verdict;
			p.succeeded = c.succeeded;
			p.failed = c.failed;
			assert_false(halted && step.verdict == SCHED_SUCCESS);
			return p;
		}
		if (c.running > p.most_at_once)
			p.most_at_once = c.running;
		assert_true(c.running + c.failed <= c.total - c.minimum || c.running == 0);
	}
}

static int64_t minimum_of(const char *name, int64_t hosts)
{
	const struct sched_config *config = sched_config_find(name);
	assert_non_null(config);
	return sched_minimum(config, hosts);
}

static struct played play_config(const char *name, const char *fate)
{
	return play(minimum_of(name, (int64_t)strlen(fate)), fate);
}

#define ONE "CodeDeployDefault.OneAtATime"
#define HALF "CodeDeployDefault.HalfAtATime"
#define ALL "CodeDeployDefault.AllAtOnce"

static void one_at_a_time_takes_one_host_at_a_time(void **state)
{
	struct played p = play_config(ONE, "+++++");
	assert_int_equal(p.end, SCHED_SUCCESS);
	assert_int_equal(p.most_at_once, 1);
	assert_int_equal(p.succeeded, 5);
}

static void one_at_a_time_tolerates_the_last_host_only(void **state)
{
	struct played p = play_config(ONE, "++-");
	assert_int_equal(p.end, SCHED_SUCCESS);
	assert_int_equal(p.succeeded, 2);
	p = play_config(ONE, "+-+");
	assert_int_equal(p.end, SCHED_HALT);
	assert_int_equal(p.skipped, 1);
	p = play_config(ONE, "-++");
	assert_int_equal(p.end, SCHED_HALT);
	assert_int_equal(p.skipped, 2);
	assert_int_equal(p.started, 1);
}

static void the_only_host_must_succeed_under_every_built_in_configuration(void **state)
{
	const char *const names[] = {ONE, HALF, ALL};
	for (size_t i = 0; i < 3; i++) {
		struct played p = play_config(names[i], "+");
		assert_int_equal(p.end, SCHED_SUCCESS);
		assert_int_equal(p.most_at_once, 1);
		assert_int_equal(play_config(names[i], "-").end, SCHED_FAILURE);
	}
}

static void half_at_a_time_takes_the_smaller_half_and_needs_the_larger(void **state)
{
	assert_int_equal(minimum_of(HALF, 9), 5);
	struct played p = play_config(HALF, "+++++++++");
	assert_int_equal(p.end, SCHED_SUCCESS);
	assert_int_equal(p.most_at_once, 4);
	/* 4 of 9 may fail, if they are the last */
	assert_int_equal(play_config(HALF, "+++++----").end, SCHED_SUCCESS);
	p = play_config(HALF, "----+++++");
	assert_int_equal(p.end, SCHED_HALT);
	assert_int_equal(p.skipped, 5);
	assert_int_equal(minimum_of(HALF, 2), 1);
	assert_int_equal(minimum_of(HALF, 10), 5);
}

static void all_at_once_takes_all_and_needs_one(void **state)
{
	struct played p = play_config(ALL, "---+------");
	assert_int_equal(p.end, SCHED_SUCCESS);
	assert_int_equal(p.most_at_once, 10);
	assert_int_equal(p.failed, 9);
	p = play_config(ALL, "----------");
	assert_int_equal(p.end, SCHED_FAILURE);
	assert_int_equal(p.skipped, 0);
}

static void ten_of_ten_healthy_cannot_start(void **state)
{
	/* 95 % of 10 is 9.5, so 10 */
	struct sched_config config = {"x", "x", SCHED_FLEET_PERCENT, 95, false};
	assert_int_equal(sched_minimum(&config, 10), 10);
	struct played p = play(10, "++++++++++");
	assert_int_equal(p.end, SCHED_HALT);
	assert_int_equal(p.started, 0);
}

static void nine_of_ten_healthy_goes_one_by_one(void **state)
{
	struct played p = play(9, "++++++++++");
	assert_int_equal(p.end, SCHED_SUCCESS);
	assert_int_equal(p.most_at_once, 1);
	assert_int_equal(play(9, "+++++++++-").end, SCHED_SUCCESS);
	assert_int_equal(play(9, "++++++++-+").end, SCHED_HALT);
}

static void eight_of_ten_healthy_goes_two_by_two(void **state)
{
	struct played p = play(8, "++++++++++");
	assert_int_equal(p.end, SCHED_SUCCESS);
	assert_int_equal(p.most_at_once, 2);
	/* one failure: on with one at a time; it still ends well */
	p = play(8, "-+++++++++");
	assert_int_equal(p.end, SCHED_SUCCESS);
	assert_int_equal(p.succeeded, 9);
	p = play(8, "--++++++++");
	assert_int_equal(p.end, SCHED_HALT);
	assert_int_equal(p.skipped, 8);
}

static void forty_percent_of_nine_is_four(void **state)
{
	struct sched_config config = {"x", "x", SCHED_FLEET_PERCENT, 40, false};
	assert_int_equal(sched_minimum(&config, 9), 4);
	struct played p = play(4, "+++++++++");
	assert_int_equal(p.most_at_once, 5);
	assert_int_equal(play(4, "++++-----").end, SCHED_SUCCESS);
	assert_int_equal(play(4, "-----++++").end, SCHED_HALT);
}

static void a_halted_deployment_lets_running_hosts_finish(void **state)
{
	/* two run; the first fails, then the second: 8 are skipped only after the limit is hit */
	struct sched_counts c = {
		.total = 10, .minimum = 8, .pending = 8, .running = 1, .failed = 1};
	assert_int_equal(sched_next(&c).verdict, SCHED_WAIT);
	c = (struct sched_counts){
		.total = 10, .minimum = 7, .pending = 5, .running = 2, .failed = 3};
	assert_int_equal(sched_next(&c).verdict, SCHED_HALT);
	c.pending = 0;
	assert_int_equal(sched_next(&c).verdict, SCHED_WAIT);
	c.running = 0;
	c.succeeded = 2;
	assert_int_equal(sched_next(&c).verdict, SCHED_FAILURE);
}

static void a_host_count_is_taken_as_it_is(void **state)
{
	struct sched_config config = {"x", "x", SCHED_HOST_COUNT, 3, false};
	assert_int_equal(sched_minimum(&config, 10), 3);
	assert_int_equal(sched_minimum(&config, 1), 3);
	auto_free char *text = sched_describe(&config, 3);
	assert_non_null(strstr(text, "none can be deployed to"));
	config.value = 0;
	assert_int_equal(play(sched_minimum(&config, 2), "--").end, SCHED_FAILURE);
}

static void the_rule_is_told_with_its_numbers(void **state)
{
	auto_free char *text = sched_describe(sched_config_find(ONE), 3);
	assert_string_equal(text,
			    ONE ": of 3 hosts at least 2 stay in service, at most 1 at a time");
	auto_free char *single = sched_describe(sched_config_find(HALF), 1);
	assert_string_equal(single, HALF ": the only host must succeed");
}

static void hosts_are_ordered_by_health_then_revision_then_name(void **state)
{
	struct sched_host hosts[] = {
		{"current", true, "r2"}, {"old-b", true, "r1"}, {"unknown", true, NULL},
		{"old-a", true, "r1"},   {"sick", false, "r2"}, {"new", false, NULL},
	};
	sched_sort(hosts, 6, "r2");
	const char *const expected[] = {"new", "sick", "unknown", "old-a", "old-b", "current"};
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(hosts[i].name, expected[i]);
	sched_sort(hosts, 6, NULL);
	assert_string_equal(hosts[2].name, "unknown");
	assert_string_equal(hosts[3].name, "current");
}

static void built_in_configurations_are_known_by_name(void **state)
{
	assert_string_equal(sched_config_builtin(0)->name, ALL);
	assert_string_equal(sched_config_builtin(2)->name, SCHED_CONFIG_DEFAULT);
	assert_null(sched_config_builtin(3));
	assert_null(sched_config_find("CodeDeployDefault.Nothing"));
	assert_string_equal(sched_config_find(ONE)->id, "00000000-0000-0000-0000-000000000001");
	assert_string_equal(sched_minimum_type_to_string(sched_config_find(ONE)->type),
			    "MOST_CONCURRENCY");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_at_a_time_takes_one_host_at_a_time),
		cmocka_unit_test(one_at_a_time_tolerates_the_last_host_only),
		cmocka_unit_test(the_only_host_must_succeed_under_every_built_in_configuration),
		cmocka_unit_test(half_at_a_time_takes_the_smaller_half_and_needs_the_larger),
		cmocka_unit_test(all_at_once_takes_all_and_needs_one),
		cmocka_unit_test(ten_of_ten_healthy_cannot_start),
		cmocka_unit_test(nine_of_ten_healthy_goes_one_by_one),
		cmocka_unit_test(eight_of_ten_healthy_goes_two_by_two),
		cmocka_unit_test(forty_percent_of_nine_is_four),
		cmocka_unit_test(a_halted_deployment_lets_running_hosts_finish),
		cmocka_unit_test(a_host_count_is_taken_as_it_is),
		cmocka_unit_test(the_rule_is_told_with_its_numbers),
		cmocka_unit_test(hosts_are_ordered_by_health_then_revision_then_name),
		cmocka_unit_test(built_in_configurations_are_known_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
