// SPDX-License-Identifier: Apache-2.0
/* Applications: create, get, batch, list, delete. */
#include "control/api.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/str.h"
#include "control/api-groups.h"

#include <string.h>

#define TAGS_MAX 50 /* of an application or group */

static const char *const platforms[] = {"Server", "Lambda", "ECS", NULL};

static int refuse_platform(struct api *api)
{
	const char *platform = api_text(api->input, "computePlatform");
	if (!platform || str_eq(platform, "Server"))
		return 0;
	return api_fault(api, "InvalidComputePlatformException",
			 "this endpoint deploys to servers: computePlatform must be Server, not %s",
			 platform);
}

static int create_application(struct api *api, json_t **ret)
{
	const char *name = api_text(api->input, "applicationName");
	const json_t *tags = api_get(api->input, "tags");
	int r = refuse_platform(api);
	if (r == 0)
		r = api_check_tags(api, tags, TAGS_MAX, "InvalidTagsToAddException");
	if (r < 0)
		return r;
	char id[37];
	str_uuid(id);
	auto_free char *text = tags ? json_text(tags) : xstrdup("[]");
	struct store_app app = {
		.id = id, .name = (char *)name, .tags = text, .created_s = clock_wall()};
	r = store_app_add(api->store, &app, &api->err);
	if (r == ERR_EXISTS)
		return api_fault(api, "ApplicationAlreadyExistsException",
				 "Application already exists: %s", name);
	*ret = json_pack("{s:s}", "applicationId", id);
	return r;
}

void api_create_application(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_APPLICATION_NAME,
		{"computePlatform", API_STRING, NULL, "InvalidComputePlatformException", 0,
		 platforms, NULL},
		{"tags", API_LIST, NULL, "InvalidTagsToAddException", TAGS_MAX, NULL, NULL},
	};
	api_run(request, input, members, ARRAY_LEN(members), create_application);
}

static const struct api_member name_only[] = {API_APPLICATION_NAME};

static int describe(struct api *api, const void *arg, const char *name, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	int r = api_find_app_named(api, name, &app);
	if (r < 0)
		return r;
	json_t *info = json_object();
	json_set_str(info, "applicationId", app.id);
	json_set_str(info, "applicationName", app.name);
	json_set_time(info, "createTime", app.created_s);
	json_set_bool(info, "linkedToGitHub", false);
	json_set_str(info, "computePlatform", "Server");
	*ret = info;
	return 0;
}

static int get_application(struct api *api, json_t **ret)
{
	json_t *info = NULL;
	int r = describe(api, NULL, api_text(api->input, "applicationName"), &info);
	if (r == 0)
		*ret = json_pack("{s:o}", "application", info);
	return r;
}

void api_get_application(struct request *request, const json_t *input)
{
	api_run(request, input, name_only, ARRAY_LEN(name_only), get_application);
}

static int get_applications(struct api *api, json_t **ret)
{
	static const struct api_batch batch = {.member = "applicationNames",
					       .output = "applicationsInfo",
					       .invalid = "InvalidApplicationNameException",
					       .valid = api_is_name,
					       .describe = describe};
	return api_batch(api, &batch, NULL, ret);
}

void api_batch_get_applications(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_BATCH_MEMBER("applicationNames", "ApplicationNameRequiredException")};
	api_run(request, input, members, ARRAY_LEN(members), get_applications);
}

static int list_applications(struct api *api, json_t **ret)
{
	auto_free char *after = NULL;
	int r = api_page_start(api, "applications", &after);
	if (r < 0)
		return r;
	auto_names struct store_names names = {0};
	r = store_app_list(api->store, after, API_PAGE, &names, &api->err);
	if (r < 0)
		return r;
	*ret = api_page("applications", "applications", &names,
			names.count ? names.names[names.count - 1] : "");
	return 0;
}

void api_list_applications(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {API_NEXT_TOKEN};
	api_run(request, input, members, ARRAY_LEN(members), list_applications);
}

/* ---- deletion: a deployment that runs in what is deleted is ended ---- */

int api_end_active(struct api *api, const char *group_id, const char *code, const char *message)
{
	auto_store_group struct store_group group = {0};
	int r = store_group_get_id(api->store, group_id, &group, &api->err);
	if (r < 0 || !group.active)
		return r;
	bool ended;
	return deploy_interrupt(api->control->deploy, group.active, "deleted", code, message,
				&ended, &api->err);
}

static int end_groups(struct api *api, const char *app_id)
{
	auto_free char *after = xstrdup("");
	for (;;) {
		auto_names struct store_names names = {0};
		int r = store_group_list(api->store, app_id, after, API_PAGE, &names, &api->err);
		for (size_t i = 0; i < names.count && r == 0; i++) {
			auto_store_group struct store_group group = {0};
			r = store_group_get(api->store, app_id, names.names[i], &group, &api->err);
			if (r == 0)
				r = api_end_active(api, group.id, "APPLICATION_MISSING",
						   "The application was deleted.");
		}
		if (r < 0 || names.count < API_PAGE)
			return r;
		free(after);
		after = xstrdup(names.names[names.count - 1]);
	}
}

static int delete_application(struct api *api, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	int r = store_app_get(api->store, api_text(api->input, "applicationName"), &app, &api->err);
	if (r == ERR_NOT_FOUND)
		return 0;
	if (r == 0)
		r = end_groups(api, app.id);
	return r < 0 ? r : store_app_delete(api->store, app.id, clock_wall(), &api->err);
}

void api_delete_application(struct request *request, const json_t *input)
{
	api_run(request, input, name_only, ARRAY_LEN(name_only), delete_application);
}
