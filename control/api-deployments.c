// SPDX-License-Identifier: Apache-2.0
/* Deployments: create, get, batch, list, stop. */
#include "control/api.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/str.h"
#include "control/api-groups.h"

#include <inttypes.h>
#include <string.h>

static const char *const exists_behaviours[] = {"DISALLOW", "OVERWRITE", "RETAIN", NULL};
static const char *const deployment_statuses[] = {"Created", "Queued",    "InProgress",
						  "Baking",  "Succeeded", "Failed",
						  "Stopped", "Ready",     NULL};

/* ---- create ---- */

/* An object of our own store: its bytes are named in the signed specification. One that we do not
 * have may be elsewhere; the host will tell. */
static int find_object(struct api *api, const struct api_revision *revision,
		       struct store_object *object)
{
	if (!revision->bucket)
		return ERR_NOT_FOUND;
	int r = store_object_get(api->store, revision->bucket, revision->key, revision->version,
				 object, &api->err);
	if (r < 0 || !revision->etag || str_eq(revision->etag, object->etag))
		return r;
	return api_fault(api, "InvalidRevisionException",
			 "the object s3://%s/%s has ETag '%s', the revision says '%s'",
			 revision->bucket, revision->key, object->etag, revision->etag);
}

static int refuse_options(struct api *api)
{
	int r = api_check_rollback(api, api_get(api->input, "autoRollbackConfiguration"));
	if (r == 0)
		r = api_check_alarms(api, api_get(api->input, "overrideAlarmConfiguration"));
	if (r < 0 || !api_get(api->input, "targetInstances"))
		return r;
	return api_fault(api, "InvalidTargetInstancesException",
			 "targetInstances are for blue/green deployments: this group deploys in "
			 "place");
}

/* What is shown again by GetDeployment, and what events go by. */
static int gather_options(struct api *api, const struct store_group *group, char **ret)
{
	static const char *const kept[] = {"description",
					   "ignoreApplicationStopFailures",
					   "updateOutdatedInstancesOnly",
					   "fileExistsBehavior",
					   "autoRollbackConfiguration",
					   "overrideAlarmConfiguration"};
	auto_json json_t *settings = NULL;
	int r = api_parse_stored(api, group->settings, &settings);
	if (r < 0)
		return r;
	auto_json json_t *options = json_object();
	if (api_get(settings, "autoRollbackConfiguration"))
		json_object_set(options, "autoRollbackConfiguration",
				api_get(settings, "autoRollbackConfiguration"));
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (api_get(api->input, kept[i]))
			json_object_set(options, kept[i], api_get(api->input, kept[i]));
	*ret = json_text(options);
	return 0;
}

static int start(struct api *api, struct deploy_request *request,
		 const struct api_revision *revision, char *id)
{
	auto_free char *options = NULL;
	auto_store_object struct store_object object = {0};
	int r = gather_options(api, request->group, &options);
	if (r == 0)
		r = find_object(api, revision, &object);
	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	request->options = options;
	request->sha256 = r == 0 ? object.sha256 : NULL;
	request->size = r == 0 ? (int64_t)object.size : -1;
	r = deploy_create(api->control->deploy, request, id, &api->err);
	if (r < 0)
		return r;
	auto_free char *description =
		xasprintf("Application revision registered by Deployment ID: %s", id);
	return store_revision_use(api->store, request->app->id, revision->text, description,
				  clock_wall(), &api->err);
}

static int create_deployment(struct api *api, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	auto_store_group struct store_group group = {0};
	auto_api_revision struct api_revision revision = {0};
	const struct sched_config *config = NULL;
	int r = api_find_app(api, &app);
	if (r == 0)
		r = api_find_group(api, app.id, api_text(api->input, "deploymentGroupName"),
				   &group);
	if (r == 0)
		r = api_read_revision(api, &revision);
	if (r == 0)
		r = api_find_config(api, group.config_name, &config);
	if (r == 0)
		r = refuse_options(api);
	if (r == 0 && group.active)
		r = api_fault(api, "DeploymentLimitExceededException",
			      "The Deployment Group '%s' already has an active Deployment '%s'",
			      group.name, group.active);
	if (r < 0)
		return r;
	struct deploy_request request = {
		.app = &app,
		.group = &group,
		.config = config,
		.creator = "user",
		.revision = revision.text,
		.bucket = revision.bucket,
		.object_key = revision.key,
		.object_version = revision.version,
		.outdated_only = api_flag(api->input, "updateOutdatedInstancesOnly"),
	};
	char id[IDS_DEPLOYMENT_LEN + 1];
	r = start(api, &request, &revision, id);
	if (r == 0)
		*ret = json_pack("{s:s}", "deploymentId", id);
	return r;
}

void api_create_deployment(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_APPLICATION_NAME,
		API_GROUP_NAME,
		{"revision", API_OBJECT, "RevisionRequiredException", "InvalidRevisionException", 0,
		 NULL, NULL},
		{"deploymentConfigName", API_STRING, NULL, "InvalidDeploymentConfigNameException",
		 100, NULL, api_is_name},
		{"description", API_STRING, NULL, "DescriptionTooLongException", 256, NULL, NULL},
		{"ignoreApplicationStopFailures", API_BOOL, NULL, NULL, 0, NULL, NULL},
		{"updateOutdatedInstancesOnly", API_BOOL, NULL, NULL, 0, NULL, NULL},
		{"fileExistsBehavior", API_STRING, NULL, "InvalidFileExistsBehaviorException", 0,
		 exists_behaviours, NULL},
		{"targetInstances", API_OBJECT, NULL, NULL, 0, NULL, NULL},
		{"autoRollbackConfiguration", API_OBJECT, NULL, NULL, 0, NULL, NULL},
		{"overrideAlarmConfiguration", API_OBJECT, NULL, NULL, 0, NULL, NULL},
	};
	api_run(request, input, members, ARRAY_LEN(members), create_deployment);
}

/* ---- get ---- */

static json_t *overview_of(const struct store_deployment *d)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "Pending", (json_int_t)d->pending,
			 "InProgress", (json_int_t)d->running, "Succeeded",
			 (json_int_t)d->succeeded, "Failed", (json_int_t)d->failed, "Skipped",
			 (json_int_t)d->skipped, "Ready", (json_int_t)0);
}

static void put_error(json_t *info, const struct store_deployment *d)
{
	/* a deployment that is being stopped has its reason already */
	if (!d->error_code || !store_status_is_final(d->status))
		return;
	json_t *error = json_object();
	json_set_str(error, "code", d->error_code);
	json_set_str(error, "message", d->error_message);
	json_object_set_new(info, "errorInformation", error);
}

static void add_message(json_t *list, char *text)
{
	json_array_append_new(list, json_string(text));
	free(text);
}

/* The rule that is applied, how it stands, and what went wrong first. */
static void put_messages(json_t *info, const struct store_deployment *d)
{
	if (d->total == 0)
		return;
	json_t *list = json_array();
	const struct sched_config *config = sched_config_find(d->config_name);
	if (config)
		add_message(list, sched_describe(config, d->total));
	add_message(list, xasprintf("%" PRId64 " succeeded, %" PRId64 " failed, %" PRId64
				    " in progress, %" PRId64 " pending, %" PRId64 " skipped",
				    d->succeeded, d->failed, d->running, d->pending, d->skipped));
	if (d->first_failure)
		add_message(list, xasprintf("First failure: %s", d->first_failure));
	if (!str_empty(d->halt) && !store_status_is_final(d->status))
		add_message(list, xasprintf("No further host is started; %" PRId64
					    " still at work are waited for",
					    d->running));
	json_object_set_new(info, "deploymentStatusMessages", list);
}

static int put_stored(struct api *api, json_t *info, const char *member, const char *text)
{
	json_t *value = NULL;
	int r = text ? api_parse_stored(api, text, &value) : 0;
	if (value)
		json_object_set_new(info, member, value);
	return r;
}

static void put_times(json_t *info, const struct store_deployment *d)
{
	json_set_time(info, "createTime", d->created_s);
	json_set_time(info, "startTime", d->started_s);
	json_set_time(info, "completeTime", d->completed_s);
}

static void put_rest(json_t *info, const struct store_deployment *d, const json_t *options)
{
	json_t *rollback = json_object();
	json_set_str(rollback, "rollbackMessage", d->rollback_message);
	json_object_set_new(info, "rollbackInfo", rollback);
	json_object_set_new(info, "deploymentStyle",
			    json_pack("{s:s, s:s}", "deploymentType", "IN_PLACE",
				      "deploymentOption", "WITHOUT_TRAFFIC_CONTROL"));
	json_set_bool(info, "instanceTerminationWaitTimeStarted", false);
	json_object_update_missing(info, (json_t *)options);
	if (!json_object_get(info, "ignoreApplicationStopFailures"))
		json_set_bool(info, "ignoreApplicationStopFailures", false);
	if (!json_object_get(info, "updateOutdatedInstancesOnly"))
		json_set_bool(info, "updateOutdatedInstancesOnly", false);
	if (!json_object_get(info, "fileExistsBehavior"))
		json_set_str(info, "fileExistsBehavior", "DISALLOW");
}

static int describe(struct api *api, const struct store_deployment *d, json_t *info)
{
	auto_json json_t *options = NULL;
	json_set_str(info, "applicationName", d->application);
	json_set_str(info, "deploymentGroupName", d->group);
	json_set_str(info, "deploymentConfigName", d->config_name);
	json_set_str(info, "deploymentId", d->id);
	json_set_str(info, "status", store_status_to_string(d->status));
	json_set_str(info, "creator", d->creator);
	json_set_str(info, "computePlatform", "Server");
	put_error(info, d);
	put_times(info, d);
	if (d->started_s > 0)
		json_object_set_new(info, "deploymentOverview", overview_of(d));
	put_messages(info, d);
	int r = put_stored(api, info, "revision", d->revision);
	if (r == 0)
		r = put_stored(api, info, "previousRevision", d->previous_revision);
	if (r == 0)
		r = api_parse_stored(api, d->options, &options);
	if (r == 0)
		put_rest(info, d, options);
	return r;
}

static int get_deployment(struct api *api, json_t **ret)
{
	auto_store_deployment struct store_deployment d = {0};
	int r = api_find_deployment(api, &d);
	if (r < 0)
		return r;
	auto_json json_t *info = json_object();
	r = describe(api, &d, info);
	if (r == 0)
		*ret = json_pack("{s:O}", "deploymentInfo", info);
	return r;
}

void api_get_deployment(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {API_DEPLOYMENT_ID};
	api_run(request, input, members, ARRAY_LEN(members), get_deployment);
}

static int describe_id(struct api *api, const void *arg, const char *id, json_t **ret)
{
	auto_store_deployment struct store_deployment d = {0};
	bool hidden = true;
	int r = store_deployment_hidden(api->store, id, &hidden, &api->err);
	if (r == 0 && hidden)
		return ERR_NOT_FOUND;
	if (r == 0)
		r = store_deployment_get(api->store, id, &d, &api->err);
	if (r < 0)
		return r;
	auto_json json_t *info = json_object();
	r = describe(api, &d, info);
	if (r == 0)
		*ret = TAKE(info);
	return r;
}

static int get_deployments(struct api *api, json_t **ret)
{
	static const struct api_batch batch = {.member = "deploymentIds",
					       .output = "deploymentsInfo",
					       .invalid = "InvalidDeploymentIdException",
					       .valid = ids_is_deployment,
					       .describe = describe_id};
	return api_batch(api, &batch, NULL, ret);
}

void api_batch_get_deployments(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_BATCH_MEMBER("deploymentIds", "DeploymentIdRequiredException")};
	api_run(request, input, members, ARRAY_LEN(members), get_deployments);
}

/* ---- list ---- */

/* Application and group come together or not at all. */
static int find_scope(struct api *api, struct store_group *group, bool *ret_all)
{
	const char *app_name = api_text(api->input, "applicationName");
	const char *group_name = api_text(api->input, "deploymentGroupName");
	*ret_all = !app_name && !group_name;
	if (*ret_all)
		return 0;
	if (!app_name)
		return api_fault(api, "ApplicationNameRequiredException",
				 "'applicationName' is required with 'deploymentGroupName'");
	if (!group_name)
		return api_fault(api, "DeploymentGroupNameRequiredException",
				 "'deploymentGroupName' is required with 'applicationName'");
	auto_store_app struct store_app app = {0};
	int r = api_find_app(api, &app);
	return r < 0 ? r : api_find_group(api, app.id, group_name, group);
}

static int read_range(struct api *api, struct store_deployment_filter *filter)
{
	static const struct api_member members[] = {
		{"start", API_TIME, NULL, NULL, 0, NULL, NULL},
		{"end", API_TIME, NULL, NULL, 0, NULL, NULL},
	};
	const json_t *range = api_get(api->input, "createTimeRange");
	if (!range)
		return 0;
	int r = api_check(api, range, members, ARRAY_LEN(members));
	if (r < 0)
		return r;
	filter->from_s = api_number(range, "start", 0);
	filter->before_s = api_number(range, "end", 0);
	if (filter->before_s > 0 && filter->from_s > filter->before_s)
		return api_fault(api, "InvalidTimeRangeException",
				 "the start of createTimeRange is after its end");
	return 0;
}

static unsigned read_statuses(const json_t *list)
{
	unsigned statuses = 0;
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		enum store_status status;
		if (store_status_from_string(json_string_value(item), &status) == 0)
			statuses |= STORE_STATUS_BIT(status);
	}
	return json_array_size(list) ? statuses : STORE_STATUS_ANY;
}

static int read_page(struct api *api, int64_t *ret_seq)
{
	auto_free char *after = NULL;
	int r = api_page_start(api, "deployments", &after);
	if (r < 0 || *after == '\0')
		return r;
	if (str_to_i64(after, ret_seq) < 0)
		return api_fault(api, "InvalidNextTokenException", "this nextToken is not valid");
	return 0;
}

static int list_deployments(struct api *api, json_t **ret)
{
	auto_store_group struct store_group group = {0};
	struct store_deployment_filter filter = {
		.statuses = read_statuses(api_get(api->input, "includeOnlyStatuses")),
		.limit = API_PAGE,
	};
	bool all = false;
	int r = find_scope(api, &group, &all);
	if (r == 0)
		r = read_range(api, &filter);
	if (r == 0)
		r = read_page(api, &filter.seq);
	if (r < 0)
		return r;
	filter.group_id = all ? NULL : group.id;
	auto_names struct store_names names = {0};
	int64_t seq = 0;
	r = store_deployment_list(api->store, &filter, &names, &seq, &api->err);
	if (r < 0)
		return r;
	auto_free char *last = xasprintf("%" PRId64, seq);
	*ret = api_page("deployments", "deployments", &names, last);
	return 0;
}

void api_list_deployments(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		{"applicationName", API_STRING, NULL, "InvalidApplicationNameException", 100, NULL,
		 api_is_name},
		{"deploymentGroupName", API_STRING, NULL, "InvalidDeploymentGroupNameException",
		 100, NULL, api_is_name},
		{"includeOnlyStatuses", API_STRINGS, NULL, "InvalidDeploymentStatusException", 0,
		 deployment_statuses, NULL},
		{"createTimeRange", API_OBJECT, NULL, "InvalidTimeRangeException", 0, NULL, NULL},
		API_NEXT_TOKEN,
	};
	api_run(request, input, members, ARRAY_LEN(members), list_deployments);
}

/* ---- stop ---- */

#define STOPPED_TEXT "No more commands will be scheduled for execution in the deployment instances"
#define STOPPING_TEXT \
	"No more hosts will be started; lifecycle events that run on hosts are waited for"

static json_t *stop_answer(bool ended)
{
	return json_pack("{s:s, s:s}", "status", ended ? "Succeeded" : "Pending", "statusMessage",
			 ended ? STOPPED_TEXT : STOPPING_TEXT);
}

/* Kept before the deployment ends, so that it says so when it has. */
static int note_rollback(struct api *api, struct store_deployment *d)
{
	if (!api_flag(api->input, "autoRollbackEnabled") || d->rollback_message)
		return 0;
	d->rollback_message = xstrdup(DEPLOY_NO_ROLLBACK);
	return store_deployment_save(api->store, d, &api->err);
}

static int stop_deployment(struct api *api, json_t **ret)
{
	auto_store_deployment struct store_deployment d = {0};
	int r = api_find_deployment(api, &d);
	if (r < 0)
		return r;
	if (store_status_is_final(d.status) && d.status != STORE_STOPPED)
		return api_fault(api, "DeploymentAlreadyCompletedException",
				 "The deployment %s has already completed", d.id);
	auto_free char *message =
		xasprintf("The deployment was stopped by '%s'.", api->caller->name);
	bool ended = true;
	if (d.status != STORE_STOPPED)
		r = note_rollback(api, &d);
	if (d.status != STORE_STOPPED && r == 0)
		r = deploy_interrupt(api->control->deploy, d.id, "stop", "MANUAL_STOP", message,
				     &ended, &api->err);
	if (r == 0)
		*ret = stop_answer(ended);
	return r;
}

void api_stop_deployment(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_DEPLOYMENT_ID,
		{"autoRollbackEnabled", API_BOOL, NULL, NULL, 0, NULL, NULL},
	};
	api_run(request, input, members, ARRAY_LEN(members), stop_deployment);
}
