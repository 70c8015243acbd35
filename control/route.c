// SPDX-License-Identifier: Apache-2.0
#include "control/route.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire.h"
#include "control/api.h"
#include "control/s3.h"

#include <string.h>
#include <strings.h>

/* clang-format off */
#define OPERATION(name, who, fn) \
	{ .operation = name, .api = fn, .roles = who, .body_max = ROUTE_JSON_MAX }

/* All 47 operations of CodeDeploy_20141006. NULL: known, not offered by this release. */
static const struct route management[] = {
	OPERATION("AddTagsToOnPremisesInstances", ROLE_ADMIN, api_add_tags_to_on_premises_instances),
	OPERATION("BatchGetApplicationRevisions", ROLE_ADMIN, api_batch_get_application_revisions),
	OPERATION("BatchGetApplications", ROLE_ADMIN, api_batch_get_applications),
	OPERATION("BatchGetDeploymentGroups", ROLE_ADMIN, api_batch_get_deployment_groups),
	OPERATION("BatchGetDeploymentInstances", ROLE_ADMIN, NULL),
	OPERATION("BatchGetDeploymentTargets", ROLE_ADMIN, api_batch_get_deployment_targets),
	OPERATION("BatchGetDeployments", ROLE_ADMIN, api_batch_get_deployments),
	OPERATION("BatchGetOnPremisesInstances", ROLE_ADMIN, api_batch_get_on_premises_instances),
	OPERATION("ContinueDeployment", ROLE_ADMIN, NULL),
	OPERATION("CreateApplication", ROLE_ADMIN, api_create_application),
	OPERATION("CreateDeployment", ROLE_ADMIN, api_create_deployment),
	OPERATION("CreateDeploymentConfig", ROLE_ADMIN, NULL),
	OPERATION("CreateDeploymentGroup", ROLE_ADMIN, api_create_deployment_group),
	OPERATION("DeleteApplication", ROLE_ADMIN, api_delete_application),
	OPERATION("DeleteDeploymentConfig", ROLE_ADMIN, NULL),
	OPERATION("DeleteDeploymentGroup", ROLE_ADMIN, api_delete_deployment_group),
	OPERATION("DeleteGitHubAccountToken", ROLE_ADMIN, NULL),
	OPERATION("DeleteResourcesByExternalId", ROLE_ADMIN, NULL),
	OPERATION("DeregisterOnPremisesInstance", ROLE_ADMIN, NULL),
	OPERATION("GetApplication", ROLE_ADMIN, api_get_application),
	OPERATION("GetApplicationRevision", ROLE_ADMIN, api_get_application_revision),
	OPERATION("GetDeployment", ROLE_ADMIN, api_get_deployment),
	OPERATION("GetDeploymentConfig", ROLE_ADMIN, api_get_deployment_config),
	OPERATION("GetDeploymentGroup", ROLE_ADMIN, api_get_deployment_group),
	OPERATION("GetDeploymentInstance", ROLE_ADMIN, NULL),
	OPERATION("GetDeploymentTarget", ROLE_ADMIN, api_get_deployment_target),
	OPERATION("GetOnPremisesInstance", ROLE_ADMIN, api_get_on_premises_instance),
	OPERATION("ListApplicationRevisions", ROLE_ADMIN, api_list_application_revisions),
	OPERATION("ListApplications", ROLE_ADMIN, api_list_applications),
	OPERATION("ListDeploymentConfigs", ROLE_ADMIN, api_list_deployment_configs),
	OPERATION("ListDeploymentGroups", ROLE_ADMIN, api_list_deployment_groups),
	OPERATION("ListDeploymentInstances", ROLE_ADMIN, NULL),
	OPERATION("ListDeploymentTargets", ROLE_ADMIN, api_list_deployment_targets),
	OPERATION("ListDeployments", ROLE_ADMIN, api_list_deployments),
	OPERATION("ListGitHubAccountTokenNames", ROLE_ADMIN, NULL),
	OPERATION("ListOnPremisesInstances", ROLE_ADMIN, api_list_on_premises_instances),
	OPERATION("ListTagsForResource", ROLE_ADMIN, NULL),
	OPERATION("PutLifecycleEventHookExecutionStatus", ROLE_ADMIN, NULL),
	OPERATION("RegisterApplicationRevision", ROLE_ADMIN, api_register_application_revision),
	OPERATION("RegisterOnPremisesInstance", ROLE_ADMIN, NULL),
	OPERATION("RemoveTagsFromOnPremisesInstances", ROLE_ADMIN, api_remove_tags_from_on_premises_instances),
	OPERATION("SkipWaitTimeForInstanceTermination", ROLE_ADMIN, NULL),
	OPERATION("StopDeployment", ROLE_ADMIN, api_stop_deployment),
	OPERATION("TagResource", ROLE_ADMIN, NULL),
	OPERATION("UntagResource", ROLE_ADMIN, NULL),
	OPERATION("UpdateApplication", ROLE_ADMIN, NULL),
	OPERATION("UpdateDeploymentGroup", ROLE_ADMIN, api_update_deployment_group),
};

/* CodeDeployCommandService_v20141006, and CodeDeployCommandService for agents with enable_auth_policy. */
static const struct route commands[] = {
	OPERATION("PollHostCommand", ROLE_HOST, api_poll_host_command),
	OPERATION("GetDeploymentSpecification", ROLE_HOST, api_get_deployment_specification),
	OPERATION("PutHostCommandAcknowledgement", ROLE_HOST, api_put_host_command_acknowledgement),
	OPERATION("PostHostCommandUpdate", ROLE_HOST, api_post_host_command_update),
	OPERATION("PutHostCommandComplete", ROLE_HOST, api_put_host_command_complete),
};
#undef OPERATION

static const struct {
	const char *prefix;
	const struct route *routes;
	size_t count;
} services[] = {
	{ WIRE_TARGET_MANAGEMENT, management, ARRAY_LEN(management) },
	{ WIRE_TARGET_COMMANDS, commands, ARRAY_LEN(commands) },
	{ WIRE_TARGET_COMMANDS "-secure", commands, ARRAY_LEN(commands) },
	{ "CodeDeployCommandService", commands, ARRAY_LEN(commands) },
};

/* The first whose path matches and whose method is the request's. */
static const struct route paths[] = {
	{ .method = "POST", .path = "/slipway/v1/enroll", .api = api_enroll,
	  .roles = ROLE_NOBODY, .body_max = 64 * 1024 },
	{ .method = "POST", .path = "/slipway/v1/renew", .api = api_renew,
	  .roles = ROLE_HOST, .body_max = 64 * 1024 },
	{ .method = "", .path = "/slipway/*" },
	{ .method = "GET", .path = "/*", .handler = api_s3,
	  .roles = ROLE_HOST | ROLE_ADMIN, .s3 = true },
	{ .method = "HEAD", .path = "/*", .handler = api_s3,
	  .roles = ROLE_HOST | ROLE_ADMIN, .s3 = true },
	{ .method = "PUT", .path = "/*", .handler = api_s3,
	  .roles = ROLE_ADMIN, .s3 = true, .streamed = true },
	{ .method = "POST", .path = "/*", .handler = api_s3,
	  .roles = ROLE_ADMIN, .s3 = true, .body_max = ROUTE_XML_MAX },
	{ .method = "DELETE", .path = "/*", .handler = api_s3,
	  .roles = ROLE_ADMIN, .s3 = true, .body_max = ROUTE_XML_MAX },
};
/* clang-format on */

static enum route_miss find_operation(const char *target, const struct route **ret)
{
	const char *dot = strrchr(target, '.');
	if (!dot)
		return ROUTE_UNKNOWN_OPERATION;
	for (size_t s = 0; s < ARRAY_LEN(services); s++) {
		if (strlen(services[s].prefix) != (size_t)(dot - target) ||
		    strncmp(services[s].prefix, target, (size_t)(dot - target)) != 0)
			continue;
		for (size_t i = 0; i < services[s].count; i++)
			if (strcmp(services[s].routes[i].operation, dot + 1) == 0) {
				*ret = &services[s].routes[i];
				return ROUTE_FOUND;
			}
	}
	return ROUTE_UNKNOWN_OPERATION;
}

static bool path_matches(const char *pattern, const char *path)
{
	size_t len = strlen(pattern);
	if (pattern[len - 1] == '*')
		return strncmp(pattern, path, len - 1) == 0;
	return strcmp(pattern, path) == 0;
}

enum route_miss route_find(const char *method, const char *path, const char *target,
			   const struct route **ret)
{
	bool post = strcmp(method, "POST") == 0;
	if (strcmp(path, "/") == 0 && post)
		return target ? find_operation(target, ret) : ROUTE_NO_TARGET;

	bool known = false;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (!path_matches(paths[i].path, path))
			continue;
		if (strcmp(paths[i].method, method) == 0) {
			*ret = &paths[i];
			return ROUTE_FOUND;
		}
		if (paths[i].method[0] == '\0')
			return known ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
		known = true;
	}
	return known ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}

void route_reply_fault(const struct route *route, struct request *request, int status,
		       const char *type, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *message = xvasprintf(fmt, ap);
	va_end(ap);
	if (route && route->s3)
		s3_reply_fault(request, status, type, message);
	else
		request_reply_fault(request, status, type, "%s", message);
}

void route_reply_miss(struct request *request, enum route_miss miss, const char *target)
{
	switch (miss) {
	case ROUTE_NO_TARGET:
		request_reply_fault(request, 400, "UnknownOperationException",
				    "the request has no X-Amz-Target header");
		break;
	case ROUTE_UNKNOWN_OPERATION:
		request_reply_fault(request, 400, "UnknownOperationException",
				    "unknown operation '%s'", target);
		break;
	case ROUTE_NO_METHOD:
		request_reply_fault(request, 405, "MethodNotAllowed",
				    "%s is not possible on this path", request->method);
		break;
	default:
		request_reply_fault(request, 404, "NotFound", "nothing is served on this path");
	}
}

/* What is about other kinds of deployments than ours, in the words of the model. */
static const char *fault_of(const char *operation)
{
	static const char *const actions[] = {"ContinueDeployment",
					      "PutLifecycleEventHookExecutionStatus",
					      "SkipWaitTimeForInstanceTermination"};
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(operation, actions[i]) == 0)
			return "UnsupportedActionForDeploymentTypeException";
	return "OperationNotSupportedException";
}

static void call_api(const struct route *route, struct request *request)
{
	struct error err = {0};
	auto_json json_t *input = NULL;
	if (request->body.len == 0)
		input = json_object();
	else if (json_parse(request->body.data, request->body.len, route->body_max, &input, &err) <
		 0) {
		request_reply_fault(request, 400, "SerializationException", "%s", err.text);
		return;
	}
	buf_clear(&request->body);
	if (!json_is_object(input)) {
		request_reply_fault(request, 400, "SerializationException",
				    "the body must be a JSON object");
		return;
	}
	if (route->api)
		route->api(request, input);
	else
		request_reply_fault(request, 400, fault_of(route->operation),
				    "%s is not offered by this version", route->operation);
}

void route_call(const struct route *route, struct request *request)
{
	if (route->handler)
		route->handler(request);
	else
		call_api(route, request);
}
