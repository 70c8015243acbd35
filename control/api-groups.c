// SPDX-License-Identifier: Apache-2.0
/* Deployment groups: create, update, get, batch, list, delete. */
#include "control/api.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/str.h"
#include "control/api-groups.h"

#include <string.h>

static const char *const strategies[] = {"UPDATE", "IGNORE", NULL};

static int create_group(struct api *api, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	auto_json json_t *settings = NULL;
	const struct sched_config *config;
	int r = api_find_app(api, &app);
	if (r == 0)
		r = api_find_config(api, SCHED_CONFIG_DEFAULT, &config);
	if (r == 0)
		r = api_group_settings(api, &settings);
	if (r < 0)
		return r;
	char id[37];
	str_uuid(id);
	auto_free char *text = json_text(settings);
	struct store_group group = {
		.id = id,
		.app_id = app.id,
		.name = (char *)api_text(api->input, "deploymentGroupName"),
		.config_name = (char *)config->name,
		.settings = text,
		.created_s = clock_wall(),
	};
	r = store_group_add(api->store, &group, &api->err);
	if (r == ERR_EXISTS)
		return api_fault(api, "DeploymentGroupAlreadyExistsException",
				 "Deployment group already exists: %s", group.name);
	*ret = json_pack("{s:s}", "deploymentGroupId", id);
	return r;
}

/* What a group can be told when it is made and later; each fault but the names' is checked with the
 * member's content. */
#define MEMBER(name, type)                            \
	{                                             \
		name, type, NULL, NULL, 0, NULL, NULL \
	}
#define SETTINGS                                                                                  \
	{"deploymentConfigName",                                                                  \
	 API_STRING,                                                                              \
	 NULL,                                                                                    \
	 "InvalidDeploymentConfigNameException",                                                  \
	 100,                                                                                     \
	 NULL,                                                                                    \
	 api_is_name},                                                                            \
		{"outdatedInstancesStrategy",                                                     \
		 API_STRING,                                                                      \
		 NULL,                                                                            \
		 "InvalidInputException",                                                         \
		 0,                                                                               \
		 strategies,                                                                      \
		 NULL},                                                                           \
		MEMBER("ec2TagFilters", API_LIST), MEMBER("ec2TagSet", API_OBJECT),               \
		MEMBER("onPremisesInstanceTagFilters", API_LIST),                                 \
		MEMBER("onPremisesTagSet", API_OBJECT), MEMBER("autoScalingGroups", API_STRINGS), \
		MEMBER("triggerConfigurations", API_LIST),                                        \
		MEMBER("alarmConfiguration", API_OBJECT),                                         \
		MEMBER("autoRollbackConfiguration", API_OBJECT),                                  \
		MEMBER("deploymentStyle", API_OBJECT),                                            \
		MEMBER("blueGreenDeploymentConfiguration", API_OBJECT),                           \
		MEMBER("loadBalancerInfo", API_OBJECT), MEMBER("ecsServices", API_LIST),          \
		MEMBER("terminationHookEnabled", API_BOOL)

void api_create_deployment_group(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_APPLICATION_NAME,
		API_GROUP_NAME,
		{"serviceRoleArn", API_STRING, "RoleRequiredException", "InvalidRoleException",
		 2048, NULL, NULL},
		SETTINGS,
		MEMBER("tags", API_LIST),
	};
	api_run(request, input, members, ARRAY_LEN(members), create_group);
}

/* ---- update ---- */

/* What is given replaces what was kept; the whole is checked as if it were new. */
static int merge_settings(struct api *api, const struct store_group *group, json_t **ret)
{
	auto_json json_t *merged = NULL;
	int r = api_parse_stored(api, group->settings, &merged);
	if (r < 0)
		return r;
	const json_t *input = api->input;
	const char *name;
	json_t *value;
	json_object_foreach ((json_t *)input, name, value)
		if (!json_is_null(value) && !str_eq(name, "tags"))
			json_object_set(merged, name, value);
	api->input = merged;
	r = api_group_settings(api, ret);
	api->input = input;
	return r;
}

static int update_group(struct api *api, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	auto_store_group struct store_group group = {0};
	auto_json json_t *settings = NULL;
	const struct sched_config *config = NULL;
	const char *name = api_text(api->input, "newDeploymentGroupName");
	int r = api_find_app(api, &app);
	if (r == 0)
		r = api_find_group(api, app.id, api_text(api->input, "currentDeploymentGroupName"),
				   &group);
	if (r == 0)
		r = api_find_config(api, group.config_name, &config);
	if (r == 0)
		r = merge_settings(api, &group, &settings);
	if (r < 0)
		return r;
	auto_free char *text = json_text(settings);
	const struct store_group changed = {.id = group.id,
					    .name = name ? (char *)name : group.name,
					    .config_name = (char *)config->name,
					    .settings = text};
	r = store_group_update(api->store, &changed, &api->err);
	if (r == ERR_EXISTS)
		return api_fault(api, "DeploymentGroupAlreadyExistsException",
				 "Deployment group already exists: %s", name);
	*ret = json_pack("{s:[]}", "hooksNotCleanedUp");
	return r;
}

void api_update_deployment_group(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_APPLICATION_NAME,
		{"currentDeploymentGroupName", API_STRING, "DeploymentGroupNameRequiredException",
		 "InvalidDeploymentGroupNameException", 100, NULL, api_is_name},
		{"newDeploymentGroupName", API_STRING, NULL, "InvalidDeploymentGroupNameException",
		 100, NULL, api_is_name},
		{"serviceRoleArn", API_STRING, NULL, "InvalidRoleException", 2048, NULL, NULL},
		SETTINGS,
	};
	api_run(request, input, members, ARRAY_LEN(members), update_group);
}
#undef SETTINGS
#undef MEMBER

/* ---- get ---- */

/* Lists that AWS always answers with, and defaults of what was not given. */
static void set_defaults(json_t *info)
{
	static const char *const lists[] = {"ec2TagFilters", "onPremisesInstanceTagFilters",
					    "autoScalingGroups", "triggerConfigurations"};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (!json_object_get(info, lists[i]))
			json_object_set_new(info, lists[i], json_array());
	if (!json_object_get(info, "outdatedInstancesStrategy"))
		json_set_str(info, "outdatedInstancesStrategy", "UPDATE");
	if (!json_object_get(info, "terminationHookEnabled"))
		json_set_bool(info, "terminationHookEnabled", false);
	json_object_set_new(info, "deploymentStyle",
			    json_pack("{s:s, s:s}", "deploymentType", "IN_PLACE",
				      "deploymentOption", "WITHOUT_TRAFFIC_CONTROL"));
	json_object_del(info, "tags");
}

static int put_last(struct api *api, json_t *info, const char *member, const char *id)
{
	if (!id)
		return 0;
	auto_store_deployment struct store_deployment d = {0};
	int r = store_deployment_get(api->store, id, &d, &api->err);
	if (r < 0)
		return r;
	json_t *last = json_object();
	json_set_str(last, "deploymentId", d.id);
	json_set_str(last, "status", store_status_to_string(d.status));
	json_set_time(last, "endTime", d.completed_s);
	json_set_time(last, "createTime", d.created_s);
	json_object_set_new(info, member, last);
	return 0;
}

static int describe(struct api *api, const struct store_app *app, const struct store_group *group,
		    json_t *info)
{
	json_set_str(info, "applicationName", app->name);
	json_set_str(info, "deploymentGroupId", group->id);
	json_set_str(info, "deploymentGroupName", group->name);
	json_set_str(info, "deploymentConfigName", group->config_name);
	json_set_str(info, "computePlatform", "Server");
	set_defaults(info);
	if (group->target_revision) {
		json_t *revision = NULL;
		int r = api_parse_stored(api, group->target_revision, &revision);
		if (r < 0)
			return r;
		json_object_set_new(info, "targetRevision", revision);
	}
	int r = put_last(api, info, "lastSuccessfulDeployment", group->last_successful);
	return r < 0 ? r : put_last(api, info, "lastAttemptedDeployment", group->last_attempted);
}

static int describe_stored(struct api *api, const struct store_app *app,
			   const struct store_group *group, json_t **ret)
{
	auto_json json_t *info = NULL;
	int r = api_parse_stored(api, group->settings, &info);
	if (r == 0)
		r = describe(api, app, group, info);
	if (r == 0)
		*ret = TAKE(info);
	return r;
}

static int get_group(struct api *api, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	auto_store_group struct store_group group = {0};
	json_t *info = NULL;
	int r = api_find_app(api, &app);
	if (r == 0)
		r = api_find_group(api, app.id, api_text(api->input, "deploymentGroupName"),
				   &group);
	if (r == 0)
		r = describe_stored(api, &app, &group, &info);
	if (r == 0)
		*ret = json_pack("{s:o}", "deploymentGroupInfo", info);
	return r;
}

static const struct api_member app_and_group[] = {API_APPLICATION_NAME, API_GROUP_NAME};

void api_get_deployment_group(struct request *request, const json_t *input)
{
	api_run(request, input, app_and_group, ARRAY_LEN(app_and_group), get_group);
}

static int describe_named(struct api *api, const void *arg, const char *name, json_t **ret)
{
	const struct store_app *app = arg;
	auto_store_group struct store_group group = {0};
	int r = store_group_get(api->store, app->id, name, &group, &api->err);
	return r < 0 ? r : describe_stored(api, app, &group, ret);
}

static int get_groups(struct api *api, json_t **ret)
{
	static const struct api_batch batch = {.member = "deploymentGroupNames",
					       .output = "deploymentGroupsInfo",
					       .invalid = "InvalidDeploymentGroupNameException",
					       .valid = api_is_name,
					       .describe = describe_named,
					       .tells = true};
	auto_store_app struct store_app app = {0};
	int r = api_find_app(api, &app);
	return r < 0 ? r : api_batch(api, &batch, &app, ret);
}

void api_batch_get_deployment_groups(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_APPLICATION_NAME,
		API_BATCH_MEMBER("deploymentGroupNames", "DeploymentGroupNameRequiredException")};
	api_run(request, input, members, ARRAY_LEN(members), get_groups);
}

/* ---- list, delete ---- */

static int list_groups(struct api *api, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	auto_free char *after = NULL;
	int r = api_find_app(api, &app);
	if (r == 0)
		r = api_page_start(api, "groups", &after);
	if (r < 0)
		return r;
	auto_names struct store_names names = {0};
	r = store_group_list(api->store, app.id, after, API_PAGE, &names, &api->err);
	if (r < 0)
		return r;
	*ret = api_page("groups", "deploymentGroups", &names,
			names.count ? names.names[names.count - 1] : "");
	json_set_str(*ret, "applicationName", app.name);
	return 0;
}

void api_list_deployment_groups(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {API_APPLICATION_NAME, API_NEXT_TOKEN};
	api_run(request, input, members, ARRAY_LEN(members), list_groups);
}

/* Deleting what is not there succeeds: no other answer is modelled. */
static int delete_found(struct api *api)
{
	auto_store_app struct store_app app = {0};
	auto_store_group struct store_group group = {0};
	int r = store_app_get(api->store, api_text(api->input, "applicationName"), &app, &api->err);
	if (r == 0)
		r = store_group_get(api->store, app.id, api_text(api->input, "deploymentGroupName"),
				    &group, &api->err);
	if (r == ERR_NOT_FOUND)
		return 0;
	if (r == 0)
		r = api_end_active(api, group.id, "DEPLOYMENT_GROUP_MISSING",
				   "The deployment group was deleted.");
	return r < 0 ? r : store_group_delete(api->store, group.id, clock_wall(), &api->err);
}

static int delete_group(struct api *api, json_t **ret)
{
	int r = delete_found(api);
	if (r == 0)
		*ret = json_pack("{s:[]}", "hooksNotCleanedUp");
	return r;
}

void api_delete_deployment_group(struct request *request, const json_t *input)
{
	api_run(request, input, app_and_group, ARRAY_LEN(app_and_group), delete_group);
}
