// SPDX-License-Identifier: Apache-2.0
/* Targets: what each host of a deployment did. */
#include "control/api.h"

#include "common/str.h"
#include "control/api-check.h"

#include <inttypes.h>
#include <string.h>

#define BATCH_MAX 25

/* ---- one target ---- */

static json_t *diagnostics_of(const struct store_event *e)
{
	bool ok = e->status == STORE_SUCCEEDED;
	json_t *json = json_object();
	json_set_str(json, "errorCode", wire_error_code_to_api((int)e->error_code));
	json_set_str(json, "scriptName", e->script ? e->script : "");
	json_set_str(json, "message", ok ? "Succeeded" : e->message ? e->message : "");
	json_set_str(json, "logTail", e->log_tail ? e->log_tail : "");
	return json;
}

static json_t *event_to_json(const struct store_event *e)
{
	json_t *json = json_object();
	json_set_str(json, "lifecycleEventName", wire_event_to_string((enum wire_event)e->event));
	if (e->status == STORE_SUCCEEDED || e->status == STORE_FAILED)
		json_object_set_new(json, "diagnostics", diagnostics_of(e));
	json_set_time(json, "startTime", e->started_s);
	json_set_time(json, "endTime", e->ended_s);
	json_set_str(json, "status", store_status_to_string(e->status));
	return json;
}

struct event_list {
	json_t *list;
	unsigned seen; /* bits of enum wire_event */
};

static int add_event(const struct store_event *event, void *arg)
{
	struct event_list *events = arg;
	events->seen |= 1u << event->event;
	json_array_append_new(events->list, event_to_json(event));
	return 0;
}

/* Events without a row have not come, or will not come any more. They follow those that have one:
 * rows are made in order. */
static void add_missing(struct event_list *events, const struct store_target *t)
{
	const enum wire_event *all;
	size_t count = deploy_events(&all);
	bool over = store_status_is_final(t->status);
	for (size_t i = 0; i < count; i++) {
		if (events->seen & 1u << all[i])
			continue;
		struct store_event event = {.event = all[i],
					    .status = over ? STORE_SKIPPED : STORE_PENDING,
					    .ended_s = over ? t->updated_s : 0};
		json_array_append_new(events->list, event_to_json(&event));
	}
}

static int describe(struct api *api, const struct store_target *t, json_t **ret)
{
	const struct settings *settings = &api->control->settings;
	struct ids_place place = {settings->region, settings->account};
	auto_free char *arn = ids_target_arn(&place, t->host);
	struct event_list events = {.list = json_array()};
	auto_json json_t *target = json_object();
	json_set_str(target, "deploymentId", t->deployment_id);
	json_set_str(target, "targetId", t->host);
	json_set_str(target, "targetArn", arn);
	json_set_str(target, "status", store_status_to_string(t->status));
	json_set_time(target, "lastUpdatedAt", t->updated_s);
	json_object_set_new(target, "lifecycleEvents", events.list);
	int r = store_event_each(api->store, t->deployment_id, t->host, add_event, &events,
				 &api->err);
	if (r < 0)
		return r;
	add_missing(&events, t);
	*ret = json_pack("{s:s, s:O}", "deploymentTargetType", "InstanceTarget", "instanceTarget",
			 target);
	return 0;
}

static int find_target(struct api *api, const struct store_deployment *d, const char *id,
		       json_t **ret)
{
	auto_store_target struct store_target t = {0};
	int r = store_target_get(api->store, d->id, id, &t, &api->err);
	if (r == ERR_NOT_FOUND)
		return api_fault(api, "DeploymentTargetDoesNotExistException",
				 "The deployment %s has no target %s", d->id, id);
	return r < 0 ? r : describe(api, &t, ret);
}

static int get_target(struct api *api, json_t **ret)
{
	auto_store_deployment struct store_deployment d = {0};
	int r = api_find_deployment(api, &d);
	json_t *target = NULL;
	if (r == 0)
		r = find_target(api, &d, api_text(api->input, "targetId"), &target);
	if (r == 0)
		*ret = json_pack("{s:o}", "deploymentTarget", target);
	return r;
}

void api_get_deployment_target(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_DEPLOYMENT_ID,
		{"targetId", API_STRING, "DeploymentTargetIdRequiredException",
		 "InvalidDeploymentTargetIdException", 100, NULL, api_is_name},
	};
	api_run(request, input, members, ARRAY_LEN(members), get_target);
}

static int get_targets(struct api *api, json_t **ret)
{
	auto_store_deployment struct store_deployment d = {0};
	int r = api_find_deployment(api, &d);
	auto_json json_t *list = json_array();
	size_t i;
	json_t *id;
	json_array_foreach (api_get(api->input, "targetIds"), i, id) {
		json_t *target = NULL;
		if (r == 0)
			r = find_target(api, &d, json_string_value(id), &target);
		if (r == 0)
			json_array_append_new(list, target);
	}
	if (r == 0)
		*ret = json_pack("{s:O}", "deploymentTargets", list);
	return r;
}

void api_batch_get_deployment_targets(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_DEPLOYMENT_ID,
		{"targetIds", API_STRINGS, "DeploymentTargetIdRequiredException",
		 "DeploymentTargetListSizeExceededException", BATCH_MAX, NULL, NULL},
	};
	api_run(request, input, members, ARRAY_LEN(members), get_targets);
}

/* ---- list ---- */

static int read_status_filter(struct api *api, const json_t *list, unsigned *ret)
{
	static const char *const statuses[] = {"Pending", "InProgress", "Succeeded", "Failed",
					       "Skipped", "Unknown",    "Ready",     NULL};
	static const struct api_member member = {
		"TargetStatus", API_STRINGS, NULL, "InvalidInstanceStatusException", 0,
		statuses,       NULL};
	int r = api_check(api, api_get(api->input, "targetFilters"), &member, 1);
	if (r < 0)
		return r;
	*ret = 0;
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		enum store_status status;
		if (store_status_from_string(json_string_value(item), &status) == 0)
			*ret |= STORE_STATUS_BIT(status);
	}
	return 0;
}

static int read_filters(struct api *api, unsigned *ret)
{
	*ret = STORE_STATUS_ANY;
	int r = 0;
	const char *name;
	json_t *list;
	json_object_foreach (api_get(api->input, "targetFilters"), name, list) {
		if (str_eq(name, "TargetStatus"))
			r = read_status_filter(api, list, ret);
		else if (str_eq(name, "ServerInstanceLabel"))
			r = api_fault(api, "InvalidDeploymentInstanceTypeException",
				      "instance labels are for blue/green deployments only");
		else
			r = api_fault(api, "InvalidTargetFilterNameException",
				      "'%.100s' is not the name of a target filter", name);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_position(struct api *api, int64_t *ret)
{
	auto_free char *after = NULL;
	int r = api_page_start(api, "targets", &after);
	if (r < 0)
		return r;
	*ret = -1;
	if (*after && str_to_i64(after, ret) < 0)
		return api_fault(api, "InvalidNextTokenException", "this nextToken is not valid");
	return 0;
}

static int list_targets(struct api *api, json_t **ret)
{
	auto_store_deployment struct store_deployment d = {0};
	unsigned statuses = 0;
	int64_t position = -1;
	int r = api_find_deployment(api, &d);
	if (r == 0)
		r = read_filters(api, &statuses);
	if (r == 0)
		r = read_position(api, &position);
	if (r < 0)
		return r;
	auto_names struct store_names names = {0};
	r = store_target_list(api->store, d.id, statuses, position, API_PAGE, &names, &position,
			      &api->err);
	if (r < 0)
		return r;
	char last[24];
	snprintf(last, sizeof(last), "%" PRId64, position);
	*ret = api_page("targets", "targetIds", &names, last);
	return 0;
}

void api_list_deployment_targets(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_DEPLOYMENT_ID,
		API_NEXT_TOKEN,
		{"targetFilters", API_OBJECT, NULL, "InvalidTargetFilterNameException", 0, NULL,
		 NULL},
	};
	api_run(request, input, members, ARRAY_LEN(members), list_targets);
}
