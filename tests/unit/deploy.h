/* SPDX-License-Identifier: Apache-2.0 */
/* Deployments are played through against a real store, with a clock that the test turns and hosts
 * that the test speaks for. */
#pragma once

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
static inline double fake_now(void)
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

static inline void start_deploy(struct fixture *f)
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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
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
static inline void restart(struct fixture *f)
{
	OK(store_commit(f->store, &f->err));
	deploy_stop(f->deploy);
	store_close(f->store);
	OK(store_open(f->dir, &f->store, &f->err));
	start_deploy(f);
}

static inline void enroll(struct fixture *f, const char *name)
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

static inline void on_answer(struct presence_waiter *waiter, const struct wire_command *command)
{
	struct poll *poll = (struct poll *)waiter;
	poll->answered = true;
	snprintf(poll->command, sizeof(poll->command), "%s", command ? command->id : "");
	snprintf(poll->name, sizeof(poll->name), "%s", command ? command->name : "");
}

/* Poll: the command's name, or "" when it was parked. */
static inline const char *poll_host(struct fixture *f, const char *host, struct poll *poll)
{
	*poll = (struct poll){.waiter = {.answer = on_answer}};
	auto_wire_command struct wire_command *command = NULL;
	int r = deploy_poll(f->deploy, host, &poll->waiter, &command, &f->err);
	OK(r);
	if (r > 0)
		on_answer(&poll->waiter, command);
	return poll->name;
}

static inline void leave(struct fixture *f, struct poll *poll)
{
	deploy_leave(f->deploy, &poll->waiter);
}

/* A host that has polled just now and went away again. */
static inline void show_up(struct fixture *f, const char *name)
{
	struct poll poll;
	enroll(f, name);
	poll_host(f, name, &poll);
	leave(f, &poll);
}

static inline void create(struct fixture *f, const char *config)
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

static inline enum wire_status acknowledge(struct fixture *f, const char *host, const char *command,
					   bool noop)
{
	enum wire_status status = WIRE_PENDING;
	OK(deploy_acknowledge(f->deploy, host, command, noop, &status, &f->err));
	return status;
}

static inline void complete(struct fixture *f, const char *host, const char *command, bool ok)
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
static inline int walk(struct fixture *f, const char *host, const char *failing)
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

static inline void load(struct fixture *f, struct store_deployment *d)
{
	OK(store_deployment_get(f->store, f->id, d, &f->err));
	assert_int_equal(d->pending + d->running + d->succeeded + d->failed + d->skipped, d->total);
}

static inline void assert_status(struct fixture *f, enum store_status status)
{
	auto_store_deployment struct store_deployment d = {0};
	load(f, &d);
	assert_string_equal(store_status_to_string(d.status), store_status_to_string(status));
	assert_int_equal(d.completed_s > 0, store_status_is_final(status));
}

static inline void assert_message(struct fixture *f, const char *code, const char *part)
{
	auto_store_deployment struct store_deployment d = {0};
	load(f, &d);
	assert_non_null(d.error_code);
	assert_string_equal(d.error_code, code);
	if (!strstr(d.error_message, part))
		fail_msg("'%s' is not in '%s'", part, d.error_message);
}

static inline void assert_target(struct fixture *f, const char *host, enum store_status status)
{
	auto_store_target struct store_target t = {0};
	OK(store_target_get(f->store, f->id, host, &t, &f->err));
	assert_string_equal(store_status_to_string(t.status), store_status_to_string(status));
}

static inline void tick(struct fixture *f, double seconds)
{
	now_s += seconds;
	OK(deploy_tick(f->deploy, &f->err));
}

#define ONE "CodeDeployDefault.OneAtATime"
#define ALL "CodeDeployDefault.AllAtOnce"

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
