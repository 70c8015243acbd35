// SPDX-License-Identifier: Apache-2.0
/* Deployments are played through against a real store, with a clock that the test turns and hosts
 * that the test speaks for. */
#include "control/deploy.h"
#include "tests/unit/unit.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define OK(call)                                                \
	do {                                                    \
		if ((call) < 0)                                 \
			fail_msg("%s: %s", #call, f->err.text); \
	} while (0)
#define REVISION "{\"revisionType\":\"S3\"}"

static double now_s;
static double fake_now(void)
{
	return now_s;
}

struct fixture {
	char dir[64];
	struct store *store;
	struct deploy *deploy;
	struct error err;
	struct store_app app;
	char group_id[40];
	const char *options;
	char id[IDS_DEPLOYMENT_LEN + 1]; /* of the deployment */
};

/* A parked poll of a host, and what it was answered. */
struct poll {
	struct presence_waiter waiter;
	bool answered;
	char command[512], name[32];
};

static void start_deploy(struct fixture *f)
{
	struct deploy_options options = {.store = f->store,
					 .place = {"us-east-1", "123456789012"},
					 .lease_ms = 30000,
					 .poll_ms = 60000,
					 .offline_ms = 120000,
					 .event_start_ms = 300000,
					 .event_run_ms = 3600000,
					 .now = fake_now};
	OK(deploy_new(&options, &f->deploy, &f->err));
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	log_init("test", LOG_EMERG);
	now_s = 1000000;
	snprintf(f->dir, sizeof(f->dir), "/tmp/slipway-deploy-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	OK(store_open(f->dir, &f->store, &f->err));
	start_deploy(f);
	f->options = "{}";
	f->app = (struct store_app){(char *)"app-id", (char *)"app", (char *)"[]", 1};
	OK(store_app_add(f->store, &f->app, &f->err));
	struct store_group group = {.id = (char *)"group-id",
				    .app_id = (char *)"app-id",
				    .name = (char *)"web",
				    .config_name = (char *)"c",
				    .settings = (char *)"{\"onPremisesInstanceTagFilters\":"
							"[{\"Key\":\"role\",\"Value\":\"web\"}]}",
				    .created_s = 1};
	OK(store_group_add(f->store, &group, &f->err));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	deploy_stop(f->deploy);
	store_close(f->store);
	auto_close int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	OK(fs_remove_tree(tmp, f->dir + strlen("/tmp/"), &f->err));
	free(f);
	return 0;
}

/* Commit, close, open: what a restart of the endpoint does. */
static void restart(struct fixture *f)
{
	OK(store_commit(f->store, &f->err));
	deploy_stop(f->deploy);
	store_close(f->store);
	OK(store_open(f->dir, &f->store, &f->err));
	start_deploy(f);
}

static void enroll(struct fixture *f, const char *name)
{
	struct store_tag tag = {(char *)"role", (char *)"web"};
	struct store_enroll enroll = {.name = name,
				      .arn = "arn",
				      .serial = name,
				      .now_s = 1,
				      .tag_count = 1,
				      .tags = &tag};
	OK(store_host_enroll(f->store, &enroll, &f->err));
}

static void on_answer(struct presence_waiter *waiter, const struct wire_command *command)
{
	struct poll *poll = (struct poll *)waiter;
	poll->answered = true;
	snprintf(poll->command, sizeof(poll->command), "%s", command ? command->id : "");
	snprintf(poll->name, sizeof(poll->name), "%s", command ? command->name : "");
}

/* Poll: the command's name, or "" when it was parked. */
static const char *poll_host(struct fixture *f, const char *host, struct poll *poll)
{
	*poll = (struct poll){.waiter = {.answer = on_answer}};
	auto_wire_command struct wire_command *command = NULL;
	int r = deploy_poll(f->deploy, host, &poll->waiter, &command, &f->err);
	OK(r);
	if (r > 0)
		on_answer(&poll->waiter, command);
	return poll->name;
}

static void leave(struct fixture *f, struct poll *poll)
{
	deploy_leave(f->deploy, &poll->waiter);
}

/* A host that has polled just now and went away again. */
static void show_up(struct fixture *f, const char *name)
{
	struct poll poll;
	enroll(f, name);
	poll_host(f, name, &poll);
	leave(f, &poll);
}

static void create(struct fixture *f, const char *config)
{
	auto_store_group struct store_group group = {0};
	OK(store_group_get_id(f->store, "group-id", &group, &f->err));
	struct deploy_request request = {.app = &f->app,
					 .group = &group,
					 .config = sched_config_find(config),
					 .creator = "user",
					 .revision = REVISION,
					 .options = f->options,
					 .size = -1,
					 .outdated_only = strstr(f->options, "Outdated") != NULL};
	OK(deploy_create(f->deploy, &request, f->id, &f->err));
}

static enum wire_status acknowledge(struct fixture *f, const char *host, const char *command,
				    bool noop)
{
	enum wire_status status = WIRE_PENDING;
	OK(deploy_acknowledge(f->deploy, host, command, noop, &status, &f->err));
	return status;
}

static void complete(struct fixture *f, const char *host, const char *command, bool ok)
{
	struct wire_diagnostics d = {
		.error_code = ok ? WIRE_SUCCESS : WIRE_SCRIPT_FAILED,
		.script_name = (char *)(ok ? "" : "scripts/check.sh"),
		.message = (char *)(ok ? "Succeeded: "
				       : "Script at specified location: scripts/check.sh failed "
					 "with exit code 7"),
		.log = (char *)""};
	OK(deploy_complete(f->deploy, host, command, ok, &d, &f->err));
}

/* Walk one host through events until it has none or the given event fails; returns how many it ran.
 */
static int walk(struct fixture *f, const char *host, const char *failing)
{
	for (int n = 0;; n++) {
		struct poll poll;
		const char *name = poll_host(f, host, &poll);
		if (*name == '\0') {
			leave(f, &poll);
			return n;
		}
		bool fails = failing && strcmp(name, failing) == 0;
		assert_int_equal(acknowledge(f, host, poll.command, false), WIRE_IN_PROGRESS);
		complete(f, host, poll.command, !fails);
	}
}

static void load(struct fixture *f, struct store_deployment *d)
{
	OK(store_deployment_get(f->store, f->id, d, &f->err));
	assert_int_equal(d->pending + d->running + d->succeeded + d->failed + d->skipped, d->total);
}

static void assert_status(struct fixture *f, enum store_status status)
{
	auto_store_deployment struct store_deployment d = {0};
	load(f, &d);
	assert_string_equal(store_status_to_string(d.status), store_status_to_string(status));
	assert_int_equal(d.completed_s > 0, store_status_is_final(status));
}

static void assert_message(struct fixture *f, const char *code, const char *part)
{
	auto_store_deployment struct store_deployment d = {0};
	load(f, &d);
	assert_non_null(d.error_code);
	assert_string_equal(d.error_code, code);
	if (!strstr(d.error_message, part))
		fail_msg("'%s' is not in '%s'", part, d.error_message);
}

static void assert_target(struct fixture *f, const char *host, enum store_status status)
{
	auto_store_target struct store_target t = {0};
	OK(store_target_get(f->store, f->id, host, &t, &f->err));
	assert_string_equal(store_status_to_string(t.status), store_status_to_string(status));
}

static void tick(struct fixture *f, double seconds)
{
	now_s += seconds;
	OK(deploy_tick(f->deploy, &f->err));
}

#define ONE "CodeDeployDefault.OneAtATime"
#define ALL "CodeDeployDefault.AllAtOnce"

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
	show_up(f, "a");
	create(f, ONE);
	tick(f, 299);
	assert_status(f, STORE_IN_PROGRESS);
	tick(f, 1);
	assert_status(f, STORE_FAILED);
	assert_message(f, "HEALTH_CONSTRAINTS",
		       "Host 'a' did not pick it up within 300 s; the host last polled 5 min ago");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		TEST(a_host_that_never_polled_fails_at_once_and_is_named),
		TEST(a_host_that_stopped_polling_is_not_waited_for),
		TEST(a_host_that_is_at_work_counts_as_there),
		TEST(after_a_restart_hosts_have_time_to_come_back),
		TEST(an_unacknowledged_command_is_offered_again_after_its_lease),
		TEST(a_parked_poll_has_the_command_when_the_lease_ends),
		TEST(an_event_that_is_not_picked_up_fails_after_five_minutes),
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
		TEST(unhealthy_hosts_come_first_the_next_time),
		TEST(a_thousand_hosts_take_linear_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
