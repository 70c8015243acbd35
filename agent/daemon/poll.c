// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/poll.h"

#include "agent/daemon/backoff.h"
#include "agent/daemon/commands.h"
#include "agent/daemon/metrics.h"
#include "agent/rival.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <string.h>

/* An empty answer that comes sooner is no long poll; nor is the same command again and again. Both
 * are slowed down like errors, without being one. */
enum { LONG_POLL_US = 1000000 };

/* A poll is answered after a minute; whether somebody listens is known much sooner. After one that
 * failed early, a poll that is sent and not turned away for so long counts as an answer; a
 * connection that cannot be made takes its time to fail. */
enum { CONFIRM_MS = 2000, CONNECT_FAILS_MS = 20000 };

struct poll {
	struct daemon *daemon;
	struct service_call *call;
	sd_event_source *timer, *confirm;
	bool waiting;     /* the timer runs */
	bool failed_late; /* the last poll: the next one has to come to its end */
	uint64_t sent_us;
	struct backoff backoff, pace;
	struct health health;
};

struct poll *poll_new(struct daemon *daemon)
{
	struct poll *poll = xcalloc(1, sizeof(*poll));
	poll->daemon = daemon;
	poll->health.since_s = clock_wall_s();
	return poll;
}

void poll_reset(struct poll *poll)
{
	service_cancel(TAKE(poll->call));
	loop_timer_off(poll->timer);
	loop_timer_off(poll->confirm);
	poll->waiting = poll->failed_late = false;
	backoff_reset(&poll->backoff);
	backoff_reset(&poll->pace);
	poll->health = (struct health){.since_s = clock_wall_s()};
}

void poll_free(struct poll *poll)
{
	if (!poll)
		return;
	service_cancel(poll->call);
	sd_event_source_disable_unref(poll->timer);
	sd_event_source_disable_unref(poll->confirm);
	free(poll);
}

const struct health *poll_health(const struct poll *poll)
{
	return &poll->health;
}

int poll_read_answer(const json_t *body, const char *host, struct wire_command **ret,
		     struct error *err)
{
	json_t *obj = NULL;
	auto_wire_command struct wire_command *command = NULL;
	int r = json_opt_obj(body, "HostCommand", &obj, err);
	if (r == 0 && obj)
		r = wire_command_from_json(obj, &command, err);
	if (r < 0)
		return error_prefix(err, ERR_NETWORK, "the answer to a poll makes no sense");
	if (command && (str_empty(command->host) || !strstr(host, command->host)))
		return error_set(err, ERR_NETWORK,
				 "the answer to a poll is for another host ('%.200s')",
				 command->host ? command->host : "");
	if (command && (str_empty(command->id) || str_empty(command->name) ||
			str_empty(command->execution_id)))
		return error_set(err, ERR_NETWORK,
				 "the answer to a poll makes no sense: an empty member");
	*ret = TAKE(command);
	return 0;
}

static void note(struct poll *poll, enum outcome outcome, const struct error *why)
{
	struct health_line line;
	const struct health_now now = {clock_mono_us(), clock_wall_s()};
	const char *endpoint = service_endpoint(poll->daemon->service);
	poll->health.aws = service_is_aws(poll->daemon->service);
	if (health_note(&poll->health, outcome, why, endpoint, now, &line))
		log_event(line.level, line.message_id,
			  (const char *const[]){"ENDPOINT", endpoint, NULL}, "%s", line.text);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct poll *poll = arg;
	poll->waiting = false;
	poll_go_on(poll);
	return 0;
}

static void wait_ms(struct poll *poll, uint64_t ms)
{
	struct error err = {0};
	if (loop_timer(&poll->daemon->loop, &poll->timer, ms, ms / 10, on_timer, poll, &err) < 0)
		log_error("polling has stopped: %s; restart slipwayd", err.text);
	poll->waiting = true;
}

static void failed(struct poll *poll, enum outcome outcome, const struct error *why)
{
	note(poll, outcome, why);
	log_debug("poll: %s", why->text);
	uint64_t early_ms = outcome == OUTCOME_UNREACHABLE ? CONNECT_FAILS_MS : CONFIRM_MS;
	poll->failed_late = clock_mono_us() - poll->sent_us >= early_ms * 1000;
	wait_ms(poll, backoff_next_ms(&poll->backoff, outcome, backoff_random()));
	daemon_show_status(poll->daemon);
}

/* What is left of wait_between_runs after a poll of AWS that found nothing. */
static uint64_t rest_ms(const struct poll *poll)
{
	uint64_t apart_ms = poll->daemon->settings.wait_between_runs;
	uint64_t took_ms = (clock_mono_us() - poll->sent_us) / 1000;
	return service_is_aws(poll->daemon->service) && took_ms < apart_ms ? apart_ms - took_ms : 0;
}

static void pause_before_next(struct poll *poll, bool found, bool at_once)
{
	uint64_t pace_ms = 0, apart_ms = found ? 0 : rest_ms(poll);
	if (at_once)
		backoff_reset(&poll->pace);
	else
		pace_ms = backoff_next_ms(&poll->pace, OUTCOME_OK, backoff_random());
	if (pace_ms || apart_ms)
		wait_ms(poll, pace_ms > apart_ms ? pace_ms : apart_ms);
}

/* Takes command over; NULL: there is none. */
static void succeeded(struct poll *poll, struct wire_command *command)
{
	struct daemon *daemon = poll->daemon;
	bool was_reachable = poll->health.state == HEALTH_REACHABLE;
	note(poll, OUTCOME_OK, NULL);
	poll->health.last_ok_s = clock_wall_s();
	poll->failed_late = false;
	backoff_reset(&poll->backoff);
	bool found = command;
	bool at_once = command ? commands_offer(daemon->commands, command)
			       : clock_mono_us() - poll->sent_us >= LONG_POLL_US;
	pause_before_next(poll, found, at_once);
	daemon_endpoint_answers(daemon, !was_reachable);
	poll_go_on(poll);
}

static void on_answer(const struct answer *answer, void *arg)
{
	struct poll *poll = arg;
	poll->call = NULL;
	loop_timer_off(poll->confirm);
	struct wire_command *command = NULL;
	struct error err = answer->error;
	enum outcome outcome = answer->outcome;
	if (outcome == OUTCOME_OK &&
	    poll_read_answer(answer->body, poll->daemon->identity->host_identifier, &command,
			     &err) < 0)
		outcome = OUTCOME_BROKEN;
	struct metrics *metrics = poll->daemon->metrics;
	if (outcome == OUTCOME_OK)
		succeeded(poll, command);
	else
		failed(poll, outcome, &err);
	metrics_polled(metrics, outcome);
}

static int on_confirm(sd_event_source *source, uint64_t usec, void *arg)
{
	struct poll *poll = arg;
	if (!poll->call || !service_is_sent(poll->call))
		return 0;
	note(poll, OUTCOME_OK, NULL);
	daemon_endpoint_answers(poll->daemon, true);
	return 0;
}

static void confirm_soon(struct poll *poll)
{
	struct error err = {0};
	if (poll->failed_late ||
	    (poll->health.state != HEALTH_CONNECTING && poll->health.state != HEALTH_UNREACHABLE))
		return;
	if (loop_timer(&poll->daemon->loop, &poll->confirm, CONFIRM_MS, 100, on_confirm, poll,
		       &err) < 0)
		log_debug("%s", err.text);
}

void poll_go_on(struct poll *poll)
{
	struct daemon *daemon = poll->daemon;
	if (!daemon->running || !daemon->service || poll->call || poll->waiting ||
	    !commands_have_room(daemon->commands))
		return;
	auto_json json_t *input = json_object();
	json_set_str(input, "HostIdentifier", daemon->identity->host_identifier);
	const struct service_request request = {
		.operation = "PollHostCommand",
		.input = input,
		.timeout_ms = daemon->settings.http_read_timeout,
		.connected = poll->health.state == HEALTH_REACHABLE,
	};
	struct error err = {0};
	poll->sent_us = clock_mono_us();
	if (service_is_aws(daemon->service) &&
	    rival_check(&daemon->paths, daemon->settings.pid_dir, daemon->settings.program_name,
			&err) < 0) /* it was started meanwhile */
		failed(poll, OUTCOME_UNREACHABLE, &err);
	else if (service_start(daemon->service, &request, on_answer, poll, &poll->call, &err) < 0)
		failed(poll, OUTCOME_UNREACHABLE, &err);
	else
		confirm_soon(poll);
}
