// SPDX-License-Identifier: Apache-2.0
/* What is known of revisions: get, batch, list. */
#include "control/api.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/str.h"
#include "control/api-groups.h"

#include <string.h>

#define INVALID "InvalidRevisionException"
#define BATCH_MAX 25

/* ---- one ---- */

static int put_groups(struct api *api, const char *app_id, const char *location, json_t *info)
{
	auto_names struct store_names names = {0};
	int r = store_revision_groups(api->store, app_id, location, &names, &api->err);
	json_t *list = json_array();
	for (size_t i = 0; i < names.count; i++)
		json_array_append_new(list, json_string(names.names[i]));
	json_object_set_new(info, "deploymentGroups", list);
	return r;
}

/* A GenericRevisionInfo. ERR_NOT_FOUND. */
static int describe(struct api *api, const char *app_id, const char *location, json_t **ret)
{
	auto_store_revision struct store_revision found = {0};
	int r = store_revision_get(api->store, app_id, location, &found, &api->err);
	if (r < 0)
		return r;
	auto_json json_t *info = json_object();
	json_set_str(info, "description", found.description);
	json_set_time(info, "firstUsedTime", found.first_used_s);
	json_set_time(info, "lastUsedTime", found.last_used_s);
	json_set_time(info, "registerTime", found.registered_s);
	r = put_groups(api, app_id, location, info);
	if (r == 0)
		*ret = TAKE(info);
	return r;
}

static int get_revision(struct api *api, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	auto_api_revision struct api_revision revision = {0};
	json_t *info = NULL;
	int r = api_read_revision(api, &revision);
	if (r == 0)
		r = api_find_app(api, &app);
	if (r == 0)
		r = describe(api, app.id, revision.text, &info);
	if (r == ERR_NOT_FOUND)
		return api_fault(api, "RevisionDoesNotExistException",
				 "No such revision of application '%s' is registered", app.name);
	if (r == 0)
		*ret = json_pack("{s:s, s:O, s:o}", "applicationName", app.name, "revision",
				 revision.location, "revisionInfo", info);
	return r;
}

void api_get_application_revision(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_APPLICATION_NAME,
		{"revision", API_OBJECT, "RevisionRequiredException", INVALID, 0, NULL, NULL},
	};
	api_run(request, input, members, ARRAY_LEN(members), get_revision);
}

/* ---- several ---- */

/* Appends to list, or to missing when it is not known. */
static int describe_one(struct api *api, const char *app_id, const json_t *location, json_t *list,
			json_t *missing)
{
	auto_api_revision struct api_revision revision = {0};
	json_t *info = NULL;
	if (!json_is_object(location))
		return api_fault(api, "SerializationException", "a revision must be an object");
	int r = api_read_location(api, location, &revision);
	if (r == 0)
		r = describe(api, app_id, revision.text, &info);
	if (r == ERR_NOT_FOUND)
		return json_array_append(missing, revision.location);
	if (r == 0)
		json_array_append_new(list,
				      json_pack("{s:O, s:o}", "revisionLocation", revision.location,
						"genericRevisionInfo", info));
	return r;
}

static int get_revisions(struct api *api, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	auto_json json_t *list = json_array();
	auto_json json_t *missing = json_array();
	int r = api_find_app(api, &app);
	size_t i;
	json_t *location;
	json_array_foreach (api_get(api->input, "revisions"), i, location)
		if (r == 0)
			r = describe_one(api, app.id, location, list, missing);
	if (r < 0)
		return r;
	*ret = json_pack("{s:s, s:O}", "applicationName", app.name, "revisions", list);
	if (json_array_size(missing)) {
		auto_free char *text = json_text(missing);
		auto_free char *message = xasprintf("not registered: %s", text);
		json_set_str(*ret, "errorMessage", message);
	}
	return 0;
}

void api_batch_get_application_revisions(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_APPLICATION_NAME,
		{"revisions", API_LIST, "RevisionRequiredException", "BatchLimitExceededException",
		 BATCH_MAX, NULL, NULL},
	};
	api_run(request, input, members, ARRAY_LEN(members), get_revisions);
}

/* ---- list ---- */

static const char *const sort_by[] = {[STORE_BY_REGISTERED] = "registerTime",
				      [STORE_BY_FIRST_USED] = "firstUsedTime",
				      [STORE_BY_LAST_USED] = "lastUsedTime",
				      NULL};
static const char *const sort_orders[] = {"ascending", "descending", NULL};
static const char *const deployed_filters[] = {[STORE_ANY_USE] = "ignore",
					       [STORE_DEPLOYED] = "include",
					       [STORE_NOT_DEPLOYED] = "exclude",
					       NULL};

struct listing {
	struct api *api;
	const char *bucket, *prefix;
	json_t *page;
	char *last; /* location of the last one */
};

static bool is_place_wanted(const struct listing *listing, const json_t *location)
{
	const json_t *s3 = api_get(location, "s3Location");
	if (!listing->bucket)
		return true;
	return s3 && str_eq(api_text(s3, "bucket"), listing->bucket) &&
	       (!listing->prefix || str_starts(api_text(s3, "key"), listing->prefix));
}

static int add_revision(const struct store_revision *revision, void *arg)
{
	struct listing *listing = arg;
	auto_json json_t *location = NULL;
	int r = api_parse_stored(listing->api, revision->location, &location);
	if (r < 0 || !is_place_wanted(listing, location))
		return r;
	json_array_append(listing->page, location);
	free(listing->last);
	listing->last = xstrdup(revision->location);
	return json_array_size(listing->page) == API_PAGE;
}

static size_t index_of(const char *text, const char *const *list)
{
	size_t i = 0;
	while (list[i] && !str_eq(text, list[i]))
		i++;
	return list[i] ? i : 0;
}

/* A page begins after a revision; where that one stands, its row says. */
static int read_start(struct api *api, struct store_revision_range *range, char **ret_after)
{
	auto_store_revision struct store_revision at = {0};
	int r = api_page_start(api, "revisions", ret_after);
	if (r < 0 || **ret_after == '\0')
		return r;
	r = store_revision_get(api->store, range->app_id, *ret_after, &at, &api->err);
	if (r == ERR_NOT_FOUND)
		return api_fault(api, "InvalidNextTokenException",
				 "this nextToken was not given out for this list");
	range->after_s = range->order == STORE_BY_REGISTERED   ? at.registered_s
			 : range->order == STORE_BY_FIRST_USED ? at.first_used_s
							       : at.last_used_s;
	return r;
}

static int list_revisions(struct api *api, json_t **ret)
{
	auto_store_app struct store_app app = {0};
	auto_free char *after = NULL;
	struct listing listing = {.api = api,
				  .bucket = api_text(api->input, "s3Bucket"),
				  .prefix = api_text(api->input, "s3KeyPrefix")};
	if (listing.prefix && !listing.bucket)
		return api_fault(api, "BucketNameFilterRequiredException",
				 "'s3Bucket' is required with 's3KeyPrefix'");
	int r = api_find_app(api, &app);
	if (r < 0)
		return r;
	struct store_revision_range range = {
		.app_id = app.id,
		.use = index_of(api_text(api->input, "deployed"), deployed_filters),
		.order = index_of(api_text(api->input, "sortBy"), sort_by),
		.descending = str_eq(api_text(api->input, "sortOrder"), "descending"),
	};
	r = read_start(api, &range, &after);
	if (r < 0)
		return r;
	range.after = after;
	listing.page = json_array();
	r = store_revision_each(api->store, &range, add_revision, &listing, &api->err);
	bool full = json_array_size(listing.page) == API_PAGE;
	auto_free char *token = full ? ids_page_format("revisions", listing.last) : NULL;
	*ret = json_pack("{s:o}", "revisions", listing.page);
	json_set_str(*ret, "nextToken", token);
	free(listing.last);
	return r;
}

void api_list_application_revisions(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_APPLICATION_NAME,
		{"sortBy", API_STRING, NULL, "InvalidSortByException", 0, sort_by, NULL},
		{"sortOrder", API_STRING, NULL, "InvalidSortOrderException", 0, sort_orders, NULL},
		{"s3Bucket", API_STRING, NULL, "InvalidBucketNameFilterException", 63, NULL, NULL},
		{"s3KeyPrefix", API_STRING, NULL, "InvalidKeyPrefixFilterException", 1024, NULL,
		 NULL},
		{"deployed", API_STRING, NULL, "InvalidDeployedStateFilterException", 0,
		 deployed_filters, NULL},
		API_NEXT_TOKEN,
	};
	api_run(request, input, members, ARRAY_LEN(members), list_revisions);
}
