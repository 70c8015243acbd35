// SPDX-License-Identifier: Apache-2.0
/* Every function that ends with command_end() or retry() may free the command or hang up on its
 * worker: nothing of it is touched afterwards. */
#include "agent/daemon/command.h"

#include "agent/daemon/amazon.h"
#include "agent/daemon/claim.h"
#include "agent/daemon/commands.h"
#include "agent/daemon/metrics.h"
#include "agent/daemon/orphans.h"
#include "agent/daemon/recovery.h"
#include "agent/daemon/report.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <inttypes.h>
#include <string.h>

enum {
	SPECIFICATION_ATTEMPTS_MAX = 5,
	START_ATTEMPTS_MAX = 6, /* of a worker that does not start */
	ACK_ATTEMPTS_MAX = 3,   /* with the worker waiting; then it is hung up on */
	WORKER_DEATHS_MAX = 3,
};

static const char *const state_names[] = {
	[COMMAND_SPECIFICATION] = "specification",
	[COMMAND_WAITING] = "waiting",
	[COMMAND_PREPARING] = "preparing",
	[COMMAND_ACKNOWLEDGING] = "acknowledging",
	[COMMAND_RUNNING] = "running",
	[COMMAND_RETRYING] = "retrying",
};

const char *command_state_to_string(enum command_state state)
{
	return state_names[state];
}

static void set_state(struct command *command, enum command_state state)
{
	command->state = state;
	command->since_s = clock_wall_s();
}

struct command *command_new(struct daemon *daemon, struct inflight *inflight)
{
	struct command *command = xcalloc(1, sizeof(*command));
	command->daemon = daemon;
	command->inflight = *inflight;
	command->saved = inflight->stored;
	*inflight = (struct inflight){0};
	result_name(command->inflight.command->id, command->name);
	set_state(command, COMMAND_SPECIFICATION);
	return command;
}

static void hang_up(struct command *command)
{
	service_cancel(TAKE(command->call));
	fetch_cancel(TAKE(command->fetch));
	dialogue_free(TAKE(command->dialogue));
	loop_timer_off(command->timer);
}

void command_free(struct command *command)
{
	if (!command)
		return;
	hang_up(command);
	sd_event_source_disable_unref(command->timer);
	inflight_clear(&command->inflight);
	free(command->group);
	free(command->deployment);
	free(command);
}

/* "Install of deployment 'd-1'" */
static const char *subject(const struct command *command, char out[256])
{
	snprintf(out, 256, "%.64s of deployment '%.128s'", command->inflight.command->name,
		 command->deployment ? command->deployment
				     : command->inflight.command->execution_id);
	return out;
}

/* After a start, who this host is at AWS takes a moment. */
static bool service_comes(const struct command *command)
{
	return !command->daemon->service && amazon_is_on(command->daemon->amazon);
}

static int no_service(const struct command *command, struct error *err)
{
	return error_set(err, ERR_NETWORK,
			 service_comes(command) ? "AWS cannot be asked yet"
						: "this host is not enrolled");
}

/* It has its result, or needs none. */
static void command_end(struct command *command)
{
	struct commands *commands = command->daemon->commands;
	inflight_remove(commands_inflight_dirfd(commands), command->name);
	commands_remove(commands, command);
}

static void acknowledge(struct command *command);

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct command *command = arg;
	if (command->state == COMMAND_ACKNOWLEDGING)
		acknowledge(command);
	else
		command_start(command);
	return 0;
}

void command_hurry(struct command *command)
{
	struct error err = {0};
	if (loop_timer(&command->daemon->loop, &command->timer, 0, 1, on_timer, command, &err) < 0)
		log_debug("%s", err.text);
}

/* Begin again later. commands_kick() may shorten the wait. */
static void retry(struct command *command, enum outcome outcome, const struct error *why)
{
	hang_up(command);
	set_state(command, COMMAND_RETRYING);
	command->ack_attempts = 0;
	uint64_t ms = backoff_next_ms(&command->backoff, outcome, backoff_random());
	char text[256];
	log_info("%s: %s; begins again in %.0f s", subject(command, text), why->text,
		 (double)ms / 1000);
	struct error err = {0};
	if (loop_timer(&command->daemon->loop, &command->timer, ms, ms / 10, on_timer, command,
		       &err) < 0)
		log_error("%s: %s; restart slipwayd", subject(command, text), err.text);
	daemon_work_changed(command->daemon);
}

void command_service_goes(struct command *command)
{
	struct error why = {0};
	error_set(&why, ERR_NETWORK, "the endpoint was left");
	if (command->call || command->fetch)
		retry(command, OUTCOME_UNREACHABLE, &why);
}

/* A result for a command that no worker ran. The first one of a command stands. */
static int write_own_result(struct command *command, enum wire_status status, int error_code,
			    const char *message, struct error *err)
{
	const struct wire_diagnostics diagnostics = {.error_code = error_code,
						     .message = (char *)message};
	auto_free char *payload = wire_diagnostics_format(&diagnostics);
	const struct result result = {
		.command_id = command->inflight.command->id,
		.deployment_id = command->deployment ? command->deployment : (char *)"",
		.group_id = command->group ? command->group : (char *)"",
		.event = command->inflight.command->name,
		.status = status,
		.payload = payload,
		.finished_s = clock_wall_s(),
	};
	int r = report_write_own(command->daemon->report, &result, err);
	return r == -EEXIST ? 0 : r;
}

/* It can never run: tell the endpoint why. */
static void give_up(struct command *command, int error_code, const struct error *why)
{
	char text[256];
	log_error("%s failed: %s", subject(command, text), why->text);
	struct error err = {0};
	if (write_own_result(command, WIRE_FAILED, error_code, why->text, &err) < 0)
		retry(command, OUTCOME_UNREACHABLE, &err);
	else
		command_end(command);
}

static void drop(struct command *command, const char *why)
{
	char text[256];
	log_info("%s is not run: %s", subject(command, text), why);
	auto_json json_t *message = json_object();
	json_set_str(message, "verb", "drop");
	struct error err = {0};
	/* A closed socket says the same. */
	if (command->dialogue && dialogue_send(command->dialogue, message, -1, &err) < 0)
		log_debug("drop: %s", err.text);
	command_end(command);
}

/* Commands of the AWS service that no worker carries out. */
static const struct {
	const char *name, *answer;
} declined[] = {
	{"UpdateDeploymentAgent",
	 "this agent (slipway " VERSION
	 ") comes as a package of the host's operator and is updated "
	 "by the package manager, not by the service: nothing was changed"},
};

static const char *declined_answer(const struct command *command)
{
	for (size_t i = 0; i < ARRAY_LEN(declined); i++)
		if (str_eq(declined[i].name, command->inflight.command->name))
			return declined[i].answer;
	return NULL;
}

/* Acknowledgement */

/* Before the acknowledgement, and while the worker starts: both take their time. */
static int save(struct command *command, struct error *err)
{
	if (command->saved && !command->stale)
		return 0;
	int r = inflight_save(commands_inflight_dirfd(command->daemon->commands), command->name,
			      &command->inflight, err);
	if (r == 0) {
		command->saved = true;
		command->stale = false;
	}
	return r;
}

static void go(struct command *command)
{
	command->inflight.acked = true;
	auto_json json_t *message = json_object();
	json_set_str(message, "verb", "go");
	struct error err = {0};
	if (inflight_mark_acked(commands_inflight_dirfd(command->daemon->commands), command->name,
				&err) < 0) {
		retry(command, OUTCOME_UNREACHABLE, &err);
		return;
	}
	const char *declines = declined_answer(command);
	if (declines) {
		error_set(&err, ERR_DENIED, "%s", declines);
		give_up(command, WIRE_UNKNOWN_ERROR, &err);
		return;
	}
	/* A worker that is gone is heard of by the end of the dialogue. */
	if (dialogue_send(command->dialogue, message, -1, &err) < 0)
		log_debug("go: %s", err.text);
	set_state(command, COMMAND_RUNNING);
	backoff_reset(&command->backoff);
	if (command->group)
		orphans_command(command->daemon->orphans, command->group);
	daemon_show_status(command->daemon);
}

/* A no-op that the endpoint counts as done already, or as failed though nothing failed (7.3 of the
 * protocol). The worker walks it where the deployment is open: it may be the event that completes
 * it. */
static void walk_noop(struct command *command, bool succeeded)
{
	struct error err = {0};
	if (command->open) {
		if (succeeded)
			report_expect_known(command->daemon->report, command->name);
		go(command);
		return;
	}
	if (!succeeded && write_own_result(command, WIRE_SUCCEEDED, WIRE_SUCCESS,
					   "Succeeded: CompletedNoopCommand", &err) < 0)
		log_warning("the completion of a no-op cannot be kept: %s", err.text);
	drop(command, "it has nothing to run");
}

static void on_ack_status(struct command *command, enum wire_status status)
{
	bool ended = status == WIRE_SUCCEEDED || status == WIRE_FAILED;
	if (!ended)
		go(command);
	else if (command->noop)
		walk_noop(command, status == WIRE_SUCCEEDED);
	else
		drop(command, status == WIRE_SUCCEEDED
				      ? "the endpoint has its success already"
				      : "the endpoint counts it as failed already");
}

static void ack_failed(struct command *command, const struct answer *answer)
{
	if (answer->outcome == OUTCOME_REFUSED) {
		drop(command, answer->error.text);
		return;
	}
	struct error err = answer->error;
	if (++command->ack_attempts < ACK_ATTEMPTS_MAX && answer->outcome != OUTCOME_DENIED) {
		uint64_t ms = backoff_next_ms(&command->backoff, answer->outcome, backoff_random());
		if (loop_timer(&command->daemon->loop, &command->timer, ms, ms / 10, on_timer,
			       command, &err) == 0)
			return;
	}
	retry(command, answer->outcome, &err);
}

static void on_ack(const struct answer *answer, void *arg)
{
	struct command *command = arg;
	command->call = NULL;
	struct answer judged = *answer;
	enum wire_status status = WIRE_PENDING;
	const char *name = NULL;
	if (answer->outcome == OUTCOME_OK &&
	    json_opt_str(answer->body, "CommandStatus", &name, &judged.error) < 0) {
		error_set(&judged.error, ERR_NETWORK,
			  "the answer to the acknowledgement makes no sense");
		judged.outcome = OUTCOME_BROKEN;
	}
	/* One that nobody knows is none that says not to run it. */
	if (name && wire_status_from_string(name, &status) < 0)
		log_warning("the acknowledgement's status '%.40s' is not known", name);
	if (judged.outcome == OUTCOME_OK)
		on_ack_status(command, status);
	else
		ack_failed(command, &judged);
}

static void acknowledge(struct command *command)
{
	set_state(command, COMMAND_ACKNOWLEDGING);
	auto_json json_t *input =
		json_pack("{s:s, s:{s:s, s:s}}", "HostCommandIdentifier",
			  command->inflight.command->id, "Diagnostics", "Format", "JSON", "Payload",
			  command->noop ? "{\"IsCommandNoop\":true}" : "{\"IsCommandNoop\":false}");
	const struct service_request request = {.operation = "PutHostCommandAcknowledgement",
						.input = input};
	struct error err = {0};
	if (!command->daemon->service)
		no_service(command, &err);
	else if (service_start(command->daemon->service, &request, on_ack, command, &command->call,
			       &err) == 0)
		return;
	retry(command, OUTCOME_UNREACHABLE, &err);
}

static void on_ready(struct command *command, const json_t *message)
{
	struct error err = {0};
	if (json_opt_bool(message, "noop", &command->noop, &err) < 0 ||
	    json_opt_bool(message, "open", &command->open, &err) < 0)
		log_debug("ready: %s", err.text);
	/* Else the worker was told that the endpoint knows already. */
	if (!command->inflight.acked)
		acknowledge(command);
}

/* The bundle */

static void tell(struct command *command, json_t *message, int fd)
{
	auto_json json_t *owned = message;
	struct error err = {0};
	if (dialogue_send(command->dialogue, owned, fd, &err) < 0)
		log_warning("the worker does not hear of its bundle: %s", err.text);
}

static json_t *say(const char *verb)
{
	json_t *message = json_object();
	json_set_str(message, "verb", verb);
	return message;
}

static void send_bundle_failed(struct command *command, const struct error *why)
{
	json_t *message = say("bundle-failed");
	json_set_str(message, "code", error_name(why->code));
	json_set_str(message, "text", why->text);
	tell(command, message, -1);
}

static void on_again(int fd, void *arg)
{
	auto_close int bundle = fd;
	tell(arg, say("bundle-again"), bundle);
}

/* Of a stream the worker has what was said at its beginning; a whole file comes only now. */
static void on_fetched(const struct fetch_end *end, void *arg)
{
	struct command *command = arg;
	command->fetch = NULL;
	auto_close int bundle = end->fd;
	metrics_downloaded(command->daemon->metrics, !end->error, end->bytes);
	if (end->error && end->error->code == -EPIPE)
		return; /* the worker wants no more, and will say why */
	if (end->error) {
		send_bundle_failed(command, end->error);
		return;
	}
	json_t *message = say(bundle < 0 ? "bundle-end" : "bundle");
	json_set_str(message, "type", end->type);
	json_set_int(message, "size", (int64_t)end->bytes);
	json_set_str(message, "etag", end->etag);
	if (end->etag_is_opaque)
		json_set_bool(message, "etag_is_opaque", true);
	tell(command, message, bundle);
}

/* The token is a secret: it is neither kept nor logged, and the worker has no use for it. */
static int read_order(const struct command *command, const json_t *message,
		      struct fetch_order *order, bool *ret_stream, struct fetch_source *ret,
		      struct error *err)
{
	json_t *revision = NULL;
	auto_claim_token char *token = claim_github_token(command->inflight.specification);
	int r;
	if ((r = json_need_obj(message, "revision", &revision, err)) < 0 ||
	    (r = json_opt_int(message, "size", &order->size_bytes, err)) < 0 ||
	    (r = json_opt_bool(message, "stream", ret_stream, err)) < 0)
		return r;
	return fetch_source_from_revision(revision, token, ret, err);
}

static int start_fetch(struct command *command, const json_t *message, struct error *err)
{
	struct daemon *daemon = command->daemon;
	struct fetch_order order = {.settings = &daemon->settings, .size_bytes = -1, .dirfd = -1};
	auto_fetch_source struct fetch_source source = {0};
	bool stream = false;
	int r = read_order(command, message, &order, &stream, &source, err);
	if (r < 0)
		return r;
	if (!daemon->service)
		return no_service(command, err);
	order.aws = service_aws(daemon->service);
	if (!order.aws) {
		order.store = service_http(daemon->service);
		order.endpoint = service_endpoint(daemon->service);
	}
	if (!stream)
		order.dirfd = commands_downloads_dirfd(daemon->commands);
	auto_free char *type = xstrdup(source.type);
	const struct fetch_handler handler = {
		.again = on_again, .done = on_fetched, .arg = command};
	auto_close int bundle = -1;
	r = fetch_start(&daemon->loop, &source, &order, &handler, &command->fetch, &bundle, err);
	if (r < 0 || !stream)
		return r;
	json_t *answer = say("bundle");
	json_set_str(answer, "type", type);
	json_set_bool(answer, "stream", true);
	tell(command, answer, bundle);
	return 0;
}

static void on_fetch(struct command *command, const json_t *message)
{
	struct error err = {0};
	if (command->fetch)
		return; /* asked twice: one answer is on its way */
	if (service_comes(command)) {
		no_service(command, &err);
		retry(command, OUTCOME_UNREACHABLE, &err);
		return;
	}
	if (start_fetch(command, message, &err) < 0)
		send_bundle_failed(command, &err);
}

/* The worker */

static void on_known(struct command *command, const json_t *message)
{
	char text[256];
	log_info("%s has its result already; it is sent again", subject(command, text));
	report_resend(command->daemon->report, command->name);
	command_end(command);
}

/* Without a file the worker has refused to begin: then the reason is ours to report. A busy group,
 * or a result that we cannot see (yet), is none. */
static void on_result(struct command *command, const json_t *message)
{
	struct error err = {0};
	const char *file = NULL, *code = NULL, *reason = "the worker gave no reason";
	if (json_opt_str(message, "file", &file, &err) < 0 ||
	    json_opt_str(message, "code", &code, &err) < 0 ||
	    json_opt_str(message, "text", &reason, &err) < 0)
		log_warning("a worker's result: %s", err.text);
	report_note(command->daemon->report, command->name);
	if (report_has_result(command->daemon->report, command->name)) {
		command_end(command);
		return;
	}
	if (file)
		error_set(&err, ERR_BUSY, "the worker's result '%s' is not there", file);
	else
		error_set(&err, code ? error_from_name(code) : -EIO, "%s", reason);
	if (err.code == ERR_BUSY || err.code == ERR_NOT_MOUNTED)
		retry(command, OUTCOME_UNREACHABLE, &err);
	else
		give_up(command, WIRE_UNKNOWN_ERROR, &err);
}

static const struct {
	const char *event;
	void (*handle)(struct command *command, const json_t *message);
} handlers[] = {
	{"fetch", on_fetch},
	{"ready", on_ready},
	{"known", on_known},
	{"result", on_result},
};

static void on_event(const char *event, const json_t *message, void *arg)
{
	dialogue_log(event, message);
	for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
		if (str_eq(handlers[i].event, event)) {
			handlers[i].handle(arg, message);
			return;
		}
	}
}

/* The worker was killed: what it had begun is finished or undone by recovery, which writes the
 * result of a command that had begun to run. */
static void on_worker_gone(void *arg)
{
	struct command *command = arg;
	struct daemon *daemon = command->daemon;
	struct error err = {0};
	error_set(&err, -EPIPE, "the worker ended without a result");
	report_note(daemon->report, command->name);
	if (report_has_result(daemon->report, command->name))
		command_end(command);
	else if (++command->worker_deaths >= WORKER_DEATHS_MAX)
		give_up(command, WIRE_FAILED_AFTER_RESTART, &err);
	else
		retry(command, OUTCOME_UNREACHABLE, &err);
	recovery_run(daemon->recovery);
}

static json_t *order_for_worker(const struct command *command)
{
	json_t *first = json_object();
	json_set_str(first, "verb", "command");
	json_object_set_new(first, "command", wire_command_to_json(command->inflight.command));
	json_object_set(first, "specification", command->inflight.specification);
	if (command->inflight.acked)
		json_set_bool(first, "acked", true);
	return first;
}

void command_run(struct command *command)
{
	set_state(command, command->inflight.acked ? COMMAND_RUNNING : COMMAND_PREPARING);
	auto_json json_t *first = order_for_worker(command);
	const struct dialogue_handler handler = {on_event, on_worker_gone, command};
	struct error err = {0};
	int r = dialogue_start(&command->daemon->loop, &command->daemon->paths, first, &handler,
			       &command->dialogue, &err);
	if (r == 0) {
		if (save(command, &err) < 0)
			retry(command, OUTCOME_UNREACHABLE, &err);
		return;
	}
	if (command->backoff.failures < START_ATTEMPTS_MAX)
		retry(command, OUTCOME_UNREACHABLE, &err);
	else
		give_up(command, WIRE_UNKNOWN_ERROR, &err);
}

/* Specification */

static void wait_for_group(struct command *command)
{
	set_state(command, COMMAND_WAITING);
	daemon_work_changed(command->daemon);
}

static int take_specification(struct command *command, const struct answer *answer,
			      struct error *err)
{
	const char *system = NULL, *text = NULL;
	json_t *specification = NULL, *envelope = NULL;
	int r = json_opt_str(answer->body, "DeploymentSystem", &system, err);
	if (r == 0)
		r = json_need_obj(answer->body, "DeploymentSpecification", &specification, err);
	if (r == 0)
		r = json_need_obj(specification, "GenericEnvelope", &envelope, err);
	if (r == 0)
		r = json_need_str(envelope, "Format", &text, err);
	if (r == 0)
		r = json_need_str(envelope, "Payload", &text, err);
	if (r == 0 && system && !str_eq(system, "CodeDeploy"))
		r = error_set(err, ERR_FORMAT, "deployment system '%.40s' is not 'CodeDeploy'",
			      system);
	if (r < 0)
		return error_prefix(err, r, "deployment specification");
	auto_claim_token char *token = claim_github_token(envelope);
	command->inflight.secret = token;
	command->stale = !token && !json_equal(command->inflight.specification, envelope);
	json_decref(command->inflight.specification);
	command->inflight.specification = json_incref(envelope);
	return 0;
}

static void read_claim(struct command *command)
{
	free(TAKE(command->group));
	free(TAKE(command->deployment));
	claim_read(command->inflight.specification, &command->group, &command->deployment);
}

static void specification_failed(struct command *command, enum outcome outcome,
				 const struct error *why)
{
	bool again = command->backoff.failures < SPECIFICATION_ATTEMPTS_MAX;
	bool answered = outcome != OUTCOME_UNREACHABLE && outcome != OUTCOME_THROTTLED;
	bool final = outcome == OUTCOME_REFUSED && !command->inflight.acked;
	/* One that we have on disk may have been acknowledged: it is never let go. */
	if (!final && (again || (command->saved && !answered))) {
		retry(command, outcome, why);
	} else if (answered) { /* else the endpoint would offer it for ever */
		give_up(command, WIRE_UNKNOWN_ERROR, why);
	} else {
		char text[256];
		log_warning("%s is let go, the endpoint may offer it again: %s",
			    subject(command, text), why->text);
		command_end(command);
	}
}

static void on_specification(const struct answer *answer, void *arg)
{
	struct command *command = arg;
	command->call = NULL;
	struct error err = answer->error;
	enum outcome outcome = answer->outcome;
	if (outcome == OUTCOME_OK && take_specification(command, answer, &err) < 0)
		outcome = OUTCOME_REFUSED; /* it is what the endpoint means */
	if (outcome != OUTCOME_OK) {
		specification_failed(command, outcome, &err);
		return;
	}
	read_claim(command);
	wait_for_group(command);
}

static void ask_specification(struct command *command)
{
	struct daemon *daemon = command->daemon;
	struct error err = {0};
	if (daemon->service) {
		auto_json json_t *input = json_object();
		json_set_str(input, "DeploymentExecutionId",
			     command->inflight.command->execution_id);
		json_set_str(input, "HostIdentifier", daemon->identity->host_identifier);
		const struct service_request request = {.operation = "GetDeploymentSpecification",
							.input = input};
		if (service_start(daemon->service, &request, on_specification, command,
				  &command->call, &err) == 0)
			return;
	} else {
		no_service(command, &err);
	}
	specification_failed(command, OUTCOME_UNREACHABLE, &err);
}

/* It is on disk before the endpoint counts on an answer. */
static void decline(struct command *command)
{
	struct error err = {0};
	if (save(command, &err) < 0)
		retry(command, OUTCOME_UNREACHABLE, &err);
	else
		acknowledge(command);
}

void command_start(struct command *command)
{
	/* first: one that waits for its next attempt is removed by its result, see
	 * commands_result_seen() */
	set_state(command, COMMAND_SPECIFICATION);
	if (report_has_result(command->daemon->report, command->name)) {
		on_known(command, NULL);
		return;
	}
	if (declined_answer(command)) {
		decline(command);
		return;
	}
	if (!command->inflight.acked || !command->inflight.specification) {
		ask_specification(command);
		return;
	}
	read_claim(command);
	wait_for_group(command);
}
