// SPDX-License-Identifier: Apache-2.0
/* Hosts that are late, gone, stopped or not who they say; and restarts in the middle. */
#include "tests/unit/deploy.h"

/* ---- hosts that are not there ---- */

static void a_host_that_never_polled_fails_at_once_and_is_named(void **state)
{
	struct fixture *f = *state;
	enroll(f, "a");
	show_up(f, "b");
	create(f, ONE);
	assert_status(f, STORE_FAILED);
	assert_target(f, "a", STORE_FAILED);
	assert_target(f, "b", STORE_SKIPPED);
	assert_message(f, "HEALTH_CONSTRAINTS",
		       "host 'a', event 'ApplicationStop': CodeDeploy agent is not there: the host "
		       "has never polled");
}

static void a_host_that_stopped_polling_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	now_s += 119;
	create(f, ONE);
	assert_status(f, STORE_IN_PROGRESS);
	bool ended;
	OK(deploy_interrupt(f->deploy, f->id, "stop", "MANUAL_STOP", "x", &ended, &f->err));
	now_s += 1200;
	create(f, ONE);
	assert_status(f, STORE_FAILED);
	assert_message(f, "HEALTH_CONSTRAINTS", "the host last polled 21 min ago");
}

static void a_host_that_is_at_work_counts_as_there(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &poll);
	acknowledge(f, "a", poll.command, false);
	now_s += 1000;
	struct store_group other = {.id = (char *)"group-2",
				    .app_id = (char *)"app-id",
				    .name = (char *)"other",
				    .config_name = (char *)"c",
				    .settings = (char *)"{\"onPremisesInstanceTagFilters\":"
							"[{\"Key\":\"role\"}]}"};
	OK(store_group_add(f->store, &other, &f->err));
	auto_store_group struct store_group group = {0};
	OK(store_group_get_id(f->store, "group-2", &group, &f->err));
	struct deploy_request request = {.app = &f->app,
					 .group = &group,
					 .config = sched_config_find(ONE),
					 .creator = "user",
					 .revision = REVISION,
					 .options = "{}",
					 .size = -1};
	OK(deploy_create(f->deploy, &request, f->id, &f->err));
	assert_status(f, STORE_IN_PROGRESS);
}

static void after_a_restart_hosts_have_time_to_come_back(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	restart(f);
	now_s += 100;
	create(f, ONE);
	assert_status(f, STORE_IN_PROGRESS);
}

/* ---- leases and time ---- */

static void an_unacknowledged_command_is_offered_again_after_its_lease(void **state)
{
	struct fixture *f = *state;
	struct poll first, early, late;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &first);
	now_s += 29;
	assert_string_equal(poll_host(f, "a", &early), "");
	leave(f, &early);
	now_s += 1;
	assert_string_equal(poll_host(f, "a", &late), "ApplicationStop");
	assert_string_equal(late.command, first.command);
	acknowledge(f, "a", late.command, false);
	now_s += 100;
	assert_string_equal(poll_host(f, "a", &early), "");
	leave(f, &early);
}

static void a_parked_poll_has_the_command_when_the_lease_ends(void **state)
{
	struct fixture *f = *state;
	struct poll first, parked;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &first);
	poll_host(f, "a", &parked);
	assert_true(deploy_next(f->deploy) == now_s + 30);
	tick(f, 29);
	assert_false(parked.answered);
	tick(f, 1);
	assert_true(parked.answered);
	assert_string_equal(parked.command, first.command);
}

static void an_event_that_is_not_picked_up_fails_after_five_minutes(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &poll);
	acknowledge(f, "a", poll.command, false);
	complete(f, "a", poll.command, true);
	tick(f, 299);
	assert_status(f, STORE_IN_PROGRESS);
	tick(f, 1);
	assert_status(f, STORE_FAILED);
	assert_message(f, "HEALTH_CONSTRAINTS",
		       "event 'DownloadBundle': CodeDeploy agent was not able to receive the "
		       "lifecycle event. Host 'a' did not pick it up within 300 s; the host last "
		       "polled 5 min ago");
}

static void a_host_that_takes_its_first_command_and_never_answers_has_five_minutes_too(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	show_up(f, "a");
	create(f, ONE);
	for (int i = 0; i < 10; i++) {
		assert_string_equal(poll_host(f, "a", &poll), "ApplicationStop");
		assert_status(f, STORE_IN_PROGRESS);
		tick(f, 30);
	}
	assert_status(f, STORE_FAILED);
	assert_message(f, "HEALTH_CONSTRAINTS", "Host 'a' did not pick it up within 300 s");
}

/* Its cable is pulled when its turn comes: its poll seems to wait, and has the command. */
static void a_host_that_goes_as_its_turn_comes_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	enroll(f, "a");
	poll_host(f, "a", &poll);
	tick(f, 50);
	create(f, ONE);
	assert_string_equal(poll.name, "ApplicationStop");
	tick(f, 30);
	assert_status(f, STORE_IN_PROGRESS);
	assert_true(deploy_next(f->deploy) == now_s + 90);
	tick(f, 90);
	assert_status(f, STORE_FAILED);
	assert_message(f, "HEALTH_CONSTRAINTS",
		       "host 'a', event 'ApplicationStop': CodeDeploy agent is not there: the host "
		       "last polled 2 min ago");
	/* it comes back with the command in its hand */
	assert_int_equal(acknowledge(f, "a", poll.command, false), WIRE_FAILED);
	assert_int_equal(walk(f, "a", NULL), 0);
}

static void a_host_that_went_before_its_turn_came_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	show_up(f, "b");
	now_s += 100;
	create(f, ALL);
	assert_true(deploy_next(f->deploy) == now_s + 20);
	now_s += 10;
	assert_int_equal(walk(f, "b", NULL), 7);
	tick(f, 10);
	assert_target(f, "a", STORE_FAILED);
	assert_target(f, "b", STORE_SUCCEEDED);
	assert_status(f, STORE_SUCCEEDED);
}

static void an_event_that_never_ends_fails_after_an_hour(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &poll);
	acknowledge(f, "a", poll.command, false);
	assert_true(deploy_next(f->deploy) == now_s + 3600);
	tick(f, 3600);
	assert_status(f, STORE_FAILED);
	assert_message(f, "HEALTH_CONSTRAINTS", "has not reported the end of this event");
	/* its late result changes nothing */
	complete(f, "a", poll.command, true);
	assert_status(f, STORE_FAILED);
}

static void a_deployment_ends_after_twelve_hours(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	show_up(f, "a");
	create(f, ONE);
	for (int i = 0; i < 6; i++) {
		poll_host(f, "a", &poll);
		acknowledge(f, "a", poll.command, false);
		now_s += 3500;
		complete(f, "a", poll.command, true);
	}
	now_s += 6 * 3700;
	poll_host(f, "a", &poll);
	acknowledge(f, "a", poll.command, false);
	OK(deploy_tick(f->deploy, &f->err));
	assert_status(f, STORE_IN_PROGRESS);
	complete(f, "a", poll.command, false);
	assert_status(f, STORE_FAILED);
	assert_message(f, "TIMEOUT", "12 hours");
}

static void parked_polls_are_answered_empty_in_time(void **state)
{
	struct fixture *f = *state;
	struct poll poll = {.waiter = {.answer = on_answer}};
	struct presence *presence = presence_new();
	presence_park(presence, "a", &poll.waiter, 1000);
	assert_int_equal(presence_deadline_us(presence), 1000);
	assert_null(presence_expire(presence, 999));
	assert_true(presence_is_parked(presence, "a"));
	assert_ptr_equal(presence_expire(presence, 1000), &poll.waiter);
	assert_false(presence_is_parked(presence, "a"));
	presence_leave(presence, &poll.waiter);
	presence_free(presence);
	OK(deploy_tick(f->deploy, &f->err));
}

/* ---- restarts ---- */

static void a_restart_in_the_middle_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct poll poll, again;
	show_up(f, "a");
	show_up(f, "b");
	create(f, ONE);
	poll_host(f, "a", &poll);
	restart(f);
	acknowledge(f, "a", poll.command, false);
	restart(f);
	assert_true(deploy_next(f->deploy) == now_s + 3600);
	complete(f, "a", poll.command, true);
	restart(f);
	assert_string_equal(poll_host(f, "a", &again), "DownloadBundle");
	complete(f, "a", again.command, true);
	assert_int_equal(walk(f, "a", NULL), 5);
	restart(f);
	assert_int_equal(walk(f, "b", NULL), 7);
	assert_status(f, STORE_SUCCEEDED);
}

static void a_turn_that_was_rolled_back_is_as_if_it_had_not_been(void **state)
{
	struct fixture *f = *state;
	struct poll poll, again;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &poll);
	OK(store_commit(f->store, &f->err));
	acknowledge(f, "a", poll.command, false);
	complete(f, "a", poll.command, true);
	store_rollback(f->store);
	deploy_changed(f->deploy);
	assert_true(deploy_next(f->deploy) == now_s + 30);
	tick(f, 30);
	assert_string_equal(poll_host(f, "a", &again), "ApplicationStop");
	assert_string_equal(again.command, poll.command);
}

/* ---- stop ---- */

static bool stop(struct fixture *f)
{
	bool ended = false;
	OK(deploy_interrupt(f->deploy, f->id, "stop", "MANUAL_STOP", "stopped by 'me'", &ended,
			    &f->err));
	return ended;
}

static void a_stop_waits_for_events_that_run(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	show_up(f, "a");
	show_up(f, "b");
	create(f, ONE);
	poll_host(f, "a", &poll);
	acknowledge(f, "a", poll.command, false);
	assert_false(stop(f));
	assert_status(f, STORE_IN_PROGRESS);
	assert_target(f, "b", STORE_SKIPPED);
	assert_false(stop(f));
	complete(f, "a", poll.command, true);
	assert_status(f, STORE_STOPPED);
	assert_message(f, "MANUAL_STOP", "stopped by 'me'");
	assert_target(f, "a", STORE_FAILED);
	struct poll next;
	assert_string_equal(poll_host(f, "a", &next), "");
	leave(f, &next);
}

static void a_stop_takes_back_what_no_host_has_acknowledged(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	show_up(f, "a");
	create(f, ONE);
	poll_host(f, "a", &poll);
	assert_true(stop(f));
	assert_status(f, STORE_STOPPED);
	assert_target(f, "a", STORE_SKIPPED);
	assert_int_equal(acknowledge(f, "a", poll.command, false), WIRE_FAILED);
}

static void automatic_rollback_is_explained_not_performed(void **state)
{
	struct fixture *f = *state;
	f->options = "{\"autoRollbackConfiguration\":{\"enabled\":true,\"events\":"
		     "[\"DEPLOYMENT_FAILURE\"]}}";
	show_up(f, "a");
	create(f, ONE);
	walk(f, "a", "ApplicationStop");
	auto_store_deployment struct store_deployment d = {0};
	load(f, &d);
	assert_string_equal(d.rollback_message, DEPLOY_NO_ROLLBACK);
}

/* ---- whose command it is ---- */

static void a_host_speaks_for_itself_only(void **state)
{
	struct fixture *f = *state;
	struct poll poll;
	enum wire_status status;
	struct wire_diagnostics d = {0};
	show_up(f, "a");
	enroll(f, "b");
	show_up(f, "c");
	create(f, ALL);
	poll_host(f, "a", &poll);
	assert_int_equal(deploy_acknowledge(f->deploy, "b", poll.command, false, &status, &f->err),
			 ERR_DENIED);
	assert_int_equal(deploy_complete(f->deploy, "b", poll.command, true, &d, &f->err),
			 ERR_DENIED);
	assert_int_equal(deploy_command_status(f->deploy, "b", poll.command, &status, &f->err),
			 ERR_DENIED);
	auto_store_event struct store_event event = {0};
	OK(store_event_get(f->store, f->id, "a", WIRE_APPLICATION_STOP, &event, &f->err));
	assert_int_equal(event.status, STORE_PENDING);
}

static void identifiers_that_nobody_gave_out_are_refused(void **state)
{
	struct fixture *f = *state;
	enum wire_status status;
	show_up(f, "a");
	create(f, ALL);
	struct ids_command forged = {.event = WIRE_INSTALL, .attempt = 1};
	strcpy(forged.deployment_id, f->id);
	strcpy(forged.host, "a");
	auto_free char *not_yet = ids_command_format(&forged);
	const char *const bad[] = {"", "x", "W10", "not base64!", not_yet};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
			deploy_acknowledge(f->deploy, "a", bad[i], false, &status, &f->err),
			ERR_DENIED);
}

static void a_specification_is_for_targets_only(void **state)
{
	struct fixture *f = *state;
	struct ids_place place = {"us-east-1", "123456789012"};
	show_up(f, "a");
	create(f, ALL);
	show_up(f, "b");
	auto_free char *execution = ids_execution(&place, f->id);
	auto_store_deployment struct store_deployment d = {0}, none = {0};
	OK(deploy_of_execution(f->deploy, "a", execution, &d, &f->err));
	assert_string_equal(d.id, f->id);
	assert_int_equal(deploy_of_execution(f->deploy, "b", execution, &none, &f->err),
			 ERR_DENIED);
	assert_int_equal(deploy_of_execution(f->deploy, "a", "CodeDeploy/x/y/d-1", &none, &f->err),
			 ERR_DENIED);
}

static void a_revoked_host_fails_without_waiting(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	create(f, ONE);
	OK(store_host_revoke(f->store, "a", (int64_t)now_s, &f->err));
	deploy_changed(f->deploy);
	assert_status(f, STORE_FAILED);
	assert_message(f, "HEALTH_CONSTRAINTS", "deregistered or revoked");
}

static void a_host_that_was_revoked_before_its_turn_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	show_up(f, "a");
	show_up(f, "b");
	create(f, ONE);
	OK(store_host_revoke(f->store, "b", (int64_t)now_s, &f->err));
	deploy_changed(f->deploy);
	assert_int_equal(walk(f, "a", NULL), 7);
	assert_target(f, "b", STORE_FAILED);
	assert_status(f, STORE_SUCCEEDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_host_that_never_polled_fails_at_once_and_is_named),
		TEST(a_host_that_stopped_polling_is_not_waited_for),
		TEST(a_host_that_is_at_work_counts_as_there),
		TEST(after_a_restart_hosts_have_time_to_come_back),
		TEST(an_unacknowledged_command_is_offered_again_after_its_lease),
		TEST(a_parked_poll_has_the_command_when_the_lease_ends),
		TEST(an_event_that_is_not_picked_up_fails_after_five_minutes),
		TEST(a_host_that_takes_its_first_command_and_never_answers_has_five_minutes_too),
		TEST(a_host_that_goes_as_its_turn_comes_is_not_waited_for),
		TEST(a_host_that_went_before_its_turn_came_is_not_waited_for),
		TEST(an_event_that_never_ends_fails_after_an_hour),
		TEST(a_deployment_ends_after_twelve_hours),
		TEST(parked_polls_are_answered_empty_in_time),
		TEST(a_restart_in_the_middle_changes_nothing),
		TEST(a_turn_that_was_rolled_back_is_as_if_it_had_not_been),
		TEST(a_stop_waits_for_events_that_run),
		TEST(a_stop_takes_back_what_no_host_has_acknowledged),
		TEST(automatic_rollback_is_explained_not_performed),
		TEST(a_host_speaks_for_itself_only),
		TEST(identifiers_that_nobody_gave_out_are_refused),
		TEST(a_specification_is_for_targets_only),
		TEST(a_revoked_host_fails_without_waiting),
		TEST(a_host_that_was_revoked_before_its_turn_is_not_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
