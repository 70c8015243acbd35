// SPDX-License-Identifier: Apache-2.0
/* What follows from what hosts report. */
#include "tests/unit/deploy.h"

/* ---- the happy path ---- */

static void a_host_walks_seven_events_in_order(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	create(f, ONE);
	static const char *const names[] = {"ApplicationStop", "DownloadBundle", "BeforeInstall",
					    "Install",         "AfterInstall",   "ApplicationStart",
					    "ValidateService"};
	for (int i = 0; i < 7; i++) {
		struct poll poll;
		assert_string_equal(poll_host(f, "a", &poll), names[i]);
		acknowledge(f, "a", poll.command, false);
		assert_status(f, STORE_IN_PROGRESS);
		complete(f, "a", poll.command, true);
	}
	assert_status(f, STORE_SUCCEEDED);
	assert_target(f, "a", STORE_SUCCEEDED);
	auto_store_group struct store_group group = {0};
	OK(store_group_get_id(f->store, "group-id", &group, &f->err));
	assert_string_equal(group.revision, REVISION);
	assert_string_equal(group.last_successful, f->id);
	assert_null(group.active);
	assert_true(deploy_next(f->deploy) == 0);
}

static void a_parked_poll_has_its_command_at_once(void **state)
{
	struct fixture *f = *state;
	struct poll first, second;
	enroll(f, "a");
	poll_host(f, "a", &first);
	assert_false(first.answered);
	create(f, ONE);
	assert_true(first.answered);
	assert_string_equal(first.name, "ApplicationStop");
	acknowledge(f, "a", first.command, false);
	poll_host(f, "a", &second);
	assert_false(second.answered);
	complete(f, "a", first.command, true);
	assert_string_equal(second.name, "DownloadBundle");
}

static void an_event_with_nothing_to_do_is_closed_by_its_acknowledgement(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &poll);
	assert_int_equal(acknowledge(f, "a", poll.command, true), WIRE_SUCCEEDED);
	auto_store_event struct store_event event = {0};
	OK(store_event_get(f->store, f->id, "a", WIRE_APPLICATION_STOP, &event, &f->err));
	assert_int_equal(event.status, STORE_SUCCEEDED);
	assert_true(event.ended_s == now_s);
	struct poll next;
	assert_string_equal(poll_host(f, "a", &next), "DownloadBundle");
}

static void the_first_result_is_kept(void **state)
{
	struct fixture *f = *state;
	struct poll poll, again;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &poll);
	acknowledge(f, "a", poll.command, false);
	complete(f, "a", poll.command, true);
	complete(f, "a", poll.command, true);
	complete(f, "a", poll.command, false);
	assert_status(f, STORE_IN_PROGRESS);
	assert_string_equal(poll_host(f, "a", &again), "DownloadBundle");
	assert_int_equal(acknowledge(f, "a", poll.command, false), WIRE_SUCCEEDED);
}

static void a_result_without_acknowledgement_counts(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &poll);
	complete(f, "a", poll.command, false);
	assert_status(f, STORE_FAILED);
}

/* ---- failures ---- */

static void a_failure_names_host_event_script_and_exit(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	create(f, ONE);
	assert_int_equal(walk(f, "a", "ValidateService"), 7);
	assert_status(f, STORE_FAILED);
	assert_message(f, "HEALTH_CONSTRAINTS",
		       "First failure: host 'a', event 'ValidateService', script "
		       "'scripts/check.sh': Script at specified location: scripts/check.sh failed "
		       "with exit code 7");
	assert_message(f, "HEALTH_CONSTRAINTS",
		       "The overall deployment failed because too many individual instances failed "
		       "deployment");
	assert_message(f, "HEALTH_CONSTRAINTS",
		       "0 of 1 hosts succeeded, 1 failed, 0 were skipped. " ONE
		       ": the only host must succeed.");
}

static void one_at_a_time_stops_at_the_first_host_that_fails(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	show_up(f, "b");
	show_up(f, "c");
	create(f, ONE);
	assert_int_equal(walk(f, "b", NULL), 0);
	assert_int_equal(walk(f, "a", "Install"), 4);
	assert_status(f, STORE_FAILED);
	assert_target(f, "a", STORE_FAILED);
	assert_target(f, "b", STORE_SKIPPED);
	assert_target(f, "c", STORE_SKIPPED);
}

static void one_at_a_time_goes_from_host_to_host(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	show_up(f, "b");
	create(f, ONE);
	assert_int_equal(walk(f, "b", NULL), 0);
	assert_int_equal(walk(f, "a", NULL), 7);
	assert_int_equal(walk(f, "b", "Install"), 4);
	/* the last one may fail */
	assert_status(f, STORE_SUCCEEDED);
	assert_target(f, "b", STORE_FAILED);
}

static void failures_leave_less_room_for_hosts_at_once(void **state)
{
	struct fixture *f = *state;
	const char *const names[] = {"a", "b", "c", "d"};
	for (int i = 0; i < 4; i++)
		show_up(f, names[i]);
	create(f, "CodeDeployDefault.HalfAtATime");
	walk(f, "a", "ApplicationStop");
	assert_status(f, STORE_IN_PROGRESS);
	walk(f, "b", "Install");
	assert_status(f, STORE_FAILED);
	/* again with five: two may be out of service */
	now_s += 1;
	show_up(f, "e");
	create(f, "CodeDeployDefault.HalfAtATime");
	assert_status(f, STORE_IN_PROGRESS);
	assert_int_equal(walk(f, "a", "ApplicationStop"), 1);
	assert_int_equal(walk(f, "b", NULL), 7);
	assert_int_equal(walk(f, "c", NULL), 7);
	assert_int_equal(walk(f, "d", NULL), 7);
	assert_int_equal(walk(f, "e", NULL), 7);
	assert_status(f, STORE_SUCCEEDED);
}

static void application_stop_may_be_allowed_to_fail(void **state)
{
	struct fixture *f = *state;
	f->options = "{\"ignoreApplicationStopFailures\":true}";
	show_up(f, "a");
	create(f, ONE);
	struct poll poll, next;
	poll_host(f, "a", &poll);
	complete(f, "a", poll.command, false);
	assert_status(f, STORE_IN_PROGRESS);
	assert_string_equal(poll_host(f, "a", &next), "DownloadBundle");
	complete(f, "a", next.command, false);
	assert_status(f, STORE_FAILED);
}

static void no_matching_host_fails_at_once_and_says_what_was_looked_for(void **state)
{
	struct fixture *f = *state;
	create(f, ONE);
	assert_status(f, STORE_FAILED);
	assert_message(f, "NO_INSTANCES", "'web' selects on-premises hosts with 'role=web'");
	auto_store_group struct store_group group = {0};
	OK(store_group_get_id(f->store, "group-id", &group, &f->err));
	assert_null(group.active);
}

static void a_rule_that_cannot_be_kept_touches_no_host(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	auto_store_group struct store_group group = {0};
	OK(store_group_get_id(f->store, "group-id", &group, &f->err));
	struct sched_config config = {"mine", "id", SCHED_HOST_COUNT, 1, false};
	struct deploy_request request = {.app = &f->app,
					 .group = &group,
					 .config = &config,
					 .creator = "user",
					 .revision = REVISION,
					 .options = "{}",
					 .size = -1};
	OK(deploy_create(f->deploy, &request, f->id, &f->err));
	assert_message(f, "HEALTH_CONSTRAINTS_INVALID", "1 of 1 hosts would have to stay");
	assert_target(f, "a", STORE_SKIPPED);
}

static void only_outdated_hosts_are_deployed_to_when_asked(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	create(f, ALL);
	walk(f, "a", NULL);
	assert_status(f, STORE_SUCCEEDED);
	show_up(f, "b");
	f->options = "{\"updateOutdatedInstancesOnly\":true}";
	create(f, ALL);
	walk(f, "b", NULL);
	assert_status(f, STORE_SUCCEEDED);
	auto_store_deployment struct store_deployment d = {0};
	load(f, &d);
	assert_int_equal(d.total, 1);
	create(f, ALL);
	assert_message(f, "NO_INSTANCES", "All 2 hosts");
}

/* ---- order and size ---- */

static void unhealthy_hosts_come_first_the_next_time(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	show_up(f, "b");
	create(f, ONE);
	walk(f, "a", NULL);
	walk(f, "b", "Install");
	assert_status(f, STORE_SUCCEEDED);
	create(f, ONE);
	auto_store_target struct store_target t = {0};
	OK(store_target_get(f->store, f->id, "b", &t, &f->err));
	assert_int_equal(t.position, 0);
}

#define MANY 1000

static void a_thousand_hosts_take_linear_time(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < MANY; i++) {
		char name[16];
		snprintf(name, sizeof(name), "h%04d", i);
		show_up(f, name);
	}
	uint64_t begin_us = clock_mono_us();
	create(f, ALL);
	for (int i = 0; i < MANY; i++) {
		char name[16];
		snprintf(name, sizeof(name), "h%04d", i);
		assert_int_equal(walk(f, name, i % 10 ? NULL : "ValidateService"), 7);
	}
	assert_status(f, STORE_SUCCEEDED);
	uint64_t took_us = clock_mono_us() - begin_us;
	auto_store_deployment struct store_deployment d = {0};
	load(f, &d);
	assert_int_equal(d.failed, MANY / 10);
	print_message("# %d hosts, 7 events each: %u ms\n", MANY, (unsigned)(took_us / 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_host_walks_seven_events_in_order),
		TEST(a_parked_poll_has_its_command_at_once),
		TEST(an_event_with_nothing_to_do_is_closed_by_its_acknowledgement),
		TEST(the_first_result_is_kept),
		TEST(a_result_without_acknowledgement_counts),
		TEST(a_failure_names_host_event_script_and_exit),
		TEST(one_at_a_time_stops_at_the_first_host_that_fails),
		TEST(one_at_a_time_goes_from_host_to_host),
		TEST(failures_leave_less_room_for_hosts_at_once),
		TEST(application_stop_may_be_allowed_to_fail),
		TEST(no_matching_host_fails_at_once_and_says_what_was_looked_for),
		TEST(a_rule_that_cannot_be_kept_touches_no_host),
		TEST(only_outdated_hosts_are_deployed_to_when_asked),
		TEST(unhealthy_hosts_come_first_the_next_time),
		TEST(a_thousand_hosts_take_linear_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
