// SPDX-License-Identifier: Apache-2.0
/* The command API: what hosts ask and report. A host speaks for itself only; whoever tries to speak
 * for another is refused and logged. */
#include "control/api.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "control/api-check.h"
#include "control/ca.h"
#include "control/messages.h"

#include <string.h>

#define SPEC_LIFE_S (24 * 3600) /* a signed specification is good for so long */
#define CLIENT "ClientException"

static struct ids_place place_of(const struct api *api)
{
	const struct settings *settings = &api->control->settings;
	return (struct ids_place){settings->region, settings->account};
}

static int refuse(struct api *api, const char *why)
{
	log_event(LOG_WARNING, MESSAGE_HOST_REFUSED,
		  (const char *const[]){"HOST_ID", api->caller->name, NULL},
		  "host '%s' (certificate '%s', from %s) is refused: %s", api->caller->name,
		  api->caller->serial, api->caller->peer, why);
	return api_fault(api, "AccessDeniedException", "%s", why);
}

/* r of a call of deploy.h: a denial becomes a fault. */
static int or_refuse(struct api *api, int r)
{
	if (r != ERR_DENIED)
		return r;
	auto_free char *why = xstrdup(api->err.text);
	return refuse(api, why);
}

static int check_caller(struct api *api)
{
	if (api->caller->kind == CALLER_HOST)
		return 0;
	return api_fault(api, "AccessDeniedException", "only an enrolled host may do this");
}

/* The HostIdentifier of the input must be the caller's own. */
static int check_identifier(struct api *api)
{
	int r = check_caller(api);
	if (r < 0)
		return r;
	struct ids_place place = place_of(api);
	auto_free char *own = ids_host_arn(&place, api->caller->name);
	if (str_eq(own, api_text(api->input, "HostIdentifier")))
		return 0;
	return refuse(api, "the HostIdentifier is not the caller's own");
}

#define HOST_IDENTIFIER                                                               \
	{                                                                             \
		"HostIdentifier", API_STRING, CLIENT, CLIENT, WIRE_ID_MAX, NULL, NULL \
	}
#define COMMAND_IDENTIFIER                                                                   \
	{                                                                                    \
		"HostCommandIdentifier", API_STRING, CLIENT, CLIENT, WIRE_ID_MAX, NULL, NULL \
	}

/* ---- PollHostCommand ---- */

struct parked {
	struct presence_waiter waiter;
	struct request *request;
	struct deploy *deploy;
};

static json_t *poll_answer(const struct wire_command *command)
{
	json_t *answer = json_object();
	if (command)
		json_object_set_new(answer, "HostCommand", wire_command_to_json(command));
	return answer;
}

static void on_answer(struct presence_waiter *waiter, const struct wire_command *command)
{
	struct parked *parked = (struct parked *)waiter;
	auto_json json_t *answer = poll_answer(command);
	struct request *request = parked->request;
	free(parked);
	request_reply_json(request, 200, answer);
}

static void on_close(struct request *request, void *arg)
{
	struct parked *parked = arg;
	deploy_leave(parked->deploy, &parked->waiter);
	free(parked);
}

/* 0: *ret is the answer, or NULL: the request is parked. */
static int poll_host_command(struct api *api, struct request *request, json_t **ret)
{
	struct deploy *deploy = api->control->deploy;
	auto_wire_command struct wire_command *command = NULL;
	auto_free struct parked *parked = xcalloc(1, sizeof(*parked));
	*parked = (struct parked){{.answer = on_answer}, request, deploy};
	int r = deploy_poll(deploy, api->caller->name, &parked->waiter, &command, &api->err);
	if (r > 0)
		*ret = poll_answer(command);
	else if (r == 0)
		request_park(request, on_close, TAKE(parked));
	return r < 0 ? r : 0;
}

void api_poll_host_command(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {HOST_IDENTIFIER};
	struct api api = api_begin(request, input);
	auto_json json_t *output = NULL;
	int r = api_check(&api, input, members, ARRAY_LEN(members));
	if (r == 0)
		r = check_identifier(&api);
	if (r == 0)
		r = poll_host_command(&api, request, &output);
	if (r < 0 || output)
		api_answer(&api, request, r, output);
}

/* ---- GetDeploymentSpecification ---- */

static char **all_events(void)
{
	char **list = xcalloc(WIRE_EVENT_COUNT + 1, sizeof(*list));
	for (int i = 0; i < WIRE_EVENT_COUNT; i++)
		list[i] = xstrdup(wire_event_to_string((enum wire_event)i));
	return list;
}

static char *dup_text(const json_t *object, const char *name)
{
	return xstrdup_null(api_text(object, name));
}

static void put_revision(struct wire_spec *spec, const json_t *revision)
{
	const json_t *s3 = json_object_get(revision, "s3Location");
	const json_t *github = json_object_get(revision, "gitHubLocation");
	spec->revision_type = s3 ? WIRE_REVISION_S3 : WIRE_REVISION_GITHUB;
	spec->bucket = dup_text(s3, "bucket");
	spec->key = dup_text(s3, "key");
	spec->bundle_type = dup_text(s3, "bundleType");
	spec->version = dup_text(s3, "version");
	spec->etag = dup_text(s3, "eTag");
	if (s3)
		return;
	const char *repository = api_text(github, "repository"), *slash = strchr(repository, '/');
	spec->account = xstrndup(repository, (size_t)(slash - repository));
	spec->repository = xstrdup(slash + 1);
	spec->commit = dup_text(github, "commitId");
}

static int make_spec(struct api *api, const struct store_deployment *d, struct wire_spec **ret)
{
	auto_json json_t *revision = NULL, *options = NULL;
	int r = api_parse_stored(api, d->revision, &revision);
	if (r == 0)
		r = api_parse_stored(api, d->options, &options);
	if (r < 0)
		return r;
	const char *file_exists = api_text(options, "fileExistsBehavior");
	struct wire_spec *spec = xcalloc(1, sizeof(*spec));
	*spec = (struct wire_spec){
		.deployment_id = xstrdup(d->id),
		.group_id = xstrdup(d->group_id),
		.group_name = xstrdup(d->group),
		.application = xstrdup(d->application),
		.creator = xstrdup(d->creator),
		.deployment_type = xstrdup("IN_PLACE"),
		.file_exists = xstrdup(file_exists ? file_exists : "DISALLOW"),
		.all_events = all_events(),
		.host = xstrdup(api_text(api->input, "HostIdentifier")),
		.not_after_s = clock_wall_s() + SPEC_LIFE_S,
		.sha256 = xstrdup_null(d->sha256),
		.size_bytes = d->size,
	};
	put_revision(spec, revision);
	*ret = spec;
	return 0;
}

static int sign_spec(struct api *api, const struct wire_spec *spec, json_t **ret)
{
	auto_json json_t *json = wire_spec_to_json(spec);
	auto_free char *text = json_text(json), *pem = NULL;
	int r = ca_sign(api->control->ca, text, strlen(text), &pem, &api->err);
	if (r == 0)
		*ret = json_pack("{s:s, s:{s:{s:s, s:s}}}", "DeploymentSystem", "CodeDeploy",
				 "DeploymentSpecification", "GenericEnvelope", "Format",
				 "PKCS7/JSON", "Payload", pem);
	return r;
}

static int get_specification(struct api *api, json_t **ret)
{
	auto_store_deployment struct store_deployment d = {0};
	auto_wire_spec struct wire_spec *spec = NULL;
	int r = check_identifier(api);
	if (r == 0)
		r = or_refuse(api,
			      deploy_of_execution(api->control->deploy, api->caller->name,
						  api_text(api->input, "DeploymentExecutionId"), &d,
						  &api->err));
	if (r == 0)
		r = make_spec(api, &d, &spec);
	return r < 0 ? r : sign_spec(api, spec, ret);
}

void api_get_deployment_specification(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		{"DeploymentExecutionId", API_STRING, CLIENT, CLIENT, WIRE_ID_MAX, NULL, NULL},
		HOST_IDENTIFIER,
	};
	api_run(request, input, members, ARRAY_LEN(members), get_specification);
}

/* ---- diagnostics ---- */

/* The payload as text; NULL when there are none. */
static int read_envelope(struct api *api, const char **ret)
{
	static const struct api_member members[] = {
		{"Format", API_STRING, NULL, CLIENT, 64, NULL, NULL},
		{"Payload", API_STRING, NULL, CLIENT, WIRE_PAYLOAD_MAX, NULL, NULL},
	};
	const json_t *envelope = api_get(api->input, "Diagnostics");
	int r = envelope ? api_check(api, envelope, members, ARRAY_LEN(members)) : 0;
	if (r < 0)
		return r;
	const char *format = api_text(envelope, "Format");
	*ret = api_text(envelope, "Payload");
	if (*ret && format && !str_eq(format, "JSON"))
		return api_fault(api, CLIENT, "diagnostics of format '%s' are not understood",
				 format);
	return 0;
}

static int read_noop(struct api *api, bool *ret)
{
	const char *payload = NULL;
	int r = read_envelope(api, &payload);
	if (r < 0 || !payload)
		return r;
	auto_json json_t *json = NULL;
	struct error err = {0};
	if (json_parse(payload, strlen(payload), WIRE_MESSAGE_MAX, &json, &err) < 0)
		return api_fault(api, CLIENT, "diagnostics: %s", err.text);
	*ret = api_flag(json, "IsCommandNoop");
	return 0;
}

/* ---- PutHostCommandAcknowledgement, PostHostCommandUpdate ---- */

static json_t *status_answer(enum wire_status status)
{
	return json_pack("{s:s}", "CommandStatus", wire_status_to_string(status));
}

static int acknowledge(struct api *api, json_t **ret)
{
	bool noop = false;
	enum wire_status status;
	int r = check_caller(api);
	if (r == 0)
		r = read_noop(api, &noop);
	if (r == 0)
		r = or_refuse(api, deploy_acknowledge(api->control->deploy, api->caller->name,
						      api_text(api->input, "HostCommandIdentifier"),
						      noop, &status, &api->err));
	if (r == 0)
		*ret = status_answer(status);
	return r;
}

static const struct api_member command_and_diagnostics[] = {
	COMMAND_IDENTIFIER,
	{"Diagnostics", API_OBJECT, NULL, CLIENT, 0, NULL, NULL},
};

void api_put_host_command_acknowledgement(struct request *request, const json_t *input)
{
	api_run(request, input, command_and_diagnostics, ARRAY_LEN(command_and_diagnostics),
		acknowledge);
}

static int update(struct api *api, json_t **ret)
{
	enum wire_status status;
	int r = check_caller(api);
	if (r == 0)
		r = or_refuse(api,
			      deploy_command_status(api->control->deploy, api->caller->name,
						    api_text(api->input, "HostCommandIdentifier"),
						    &status, &api->err));
	if (r == 0)
		*ret = status_answer(status);
	return r;
}

void api_post_host_command_update(struct request *request, const json_t *input)
{
	api_run(request, input, command_and_diagnostics, ARRAY_LEN(command_and_diagnostics),
		update);
}

/* ---- PutHostCommandComplete ---- */

/* What cannot be read is kept as the message: a result is too dear to be refused for its form. */
static int read_diagnostics(struct api *api, bool succeeded, struct wire_diagnostics *ret)
{
	const char *payload = NULL;
	int r = read_envelope(api, &payload);
	if (r < 0)
		return r;
	if (payload && wire_diagnostics_parse(payload, ret, NULL) == 0)
		return 0;
	ret->error_code = succeeded ? WIRE_SUCCESS : WIRE_UNKNOWN_ERROR;
	ret->message = xstrdup(payload ? payload : "");
	return 0;
}

static int complete(struct api *api, json_t **ret)
{
	bool succeeded = str_eq(api_text(api->input, "CommandStatus"), "Succeeded");
	auto_wire_diagnostics struct wire_diagnostics diagnostics = {0};
	int r = check_caller(api);
	if (r == 0)
		r = read_diagnostics(api, succeeded, &diagnostics);
	if (r == 0)
		r = or_refuse(api, deploy_complete(api->control->deploy, api->caller->name,
						   api_text(api->input, "HostCommandIdentifier"),
						   succeeded, &diagnostics, &api->err));
	if (r == 0)
		*ret = json_object();
	return r;
}

void api_put_host_command_complete(struct request *request, const json_t *input)
{
	static const char *const results[] = {"Succeeded", "Failed", NULL};
	static const struct api_member members[] = {
		COMMAND_IDENTIFIER,
		{"CommandStatus", API_STRING, CLIENT, CLIENT, 0, results, NULL},
		{"Diagnostics", API_OBJECT, NULL, CLIENT, 0, NULL, NULL},
	};
	api_run(request, input, members, ARRAY_LEN(members), complete);
}
