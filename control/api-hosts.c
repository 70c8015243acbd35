// SPDX-License-Identifier: Apache-2.0
/* On-premises instances: every host that is enrolled here is one, whatever its name begins with. */
#include "control/api.h"

#include "common/alloc.h"
#include "common/str.h"
#include "control/api-check.h"
#include "control/api-groups.h"
#include "control/tags.h"

#include <string.h>

#define NAMES_MAX 100 /* hosts that one call tags */
#define PAGE_FULL 1

static const char *const registration[] = {"Registered", "Deregistered", NULL};

static json_t *tags_to_json(const struct store_host *host)
{
	json_t *list = json_array();
	for (size_t i = 0; i < host->tag_count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "Key", host->tags[i].key,
						      "Value", host->tags[i].value));
	return list;
}

static int not_registered(struct api *api, const char *name)
{
	return api_fault(api, "InstanceNotRegisteredException",
			 "The on-premises instance %s is not registered", name);
}

/* ---- get ---- */

/* Beside the documented members, under our own name: whether the host is there. */
static int put_state(struct api *api, const struct store_host *host, json_t *info)
{
	double last_s = 0;
	bool online = false;
	if (host->deregistered_s)
		return 0;
	int r = deploy_host_state(api->control->deploy, host->name, &last_s, &online, &api->err);
	if (r < 0)
		return r;
	json_t *state = json_object();
	json_set_time(state, "lastPollTime", last_s);
	json_set_bool(state, "online", online);
	json_object_set_new(info, "slipway", state);
	return 0;
}

static int describe(struct api *api, const void *arg, const char *name, json_t **ret)
{
	auto_store_host struct store_host host = {0};
	int r = store_host_get(api->store, name, &host, &api->err);
	if (r < 0)
		return r;
	auto_json json_t *info = json_object();
	json_set_str(info, "instanceName", host.name);
	json_set_str(info, "instanceArn", host.arn);
	json_set_time(info, "registerTime", (double)host.registered_s);
	json_set_time(info, "deregisterTime", (double)host.deregistered_s);
	json_object_set_new(info, "tags", tags_to_json(&host));
	r = put_state(api, &host, info);
	if (r == 0)
		*ret = TAKE(info);
	return r;
}

static int get_instance(struct api *api, json_t **ret)
{
	json_t *info = NULL;
	const char *name = api_text(api->input, "instanceName");
	int r = describe(api, NULL, name, &info);
	if (r == ERR_NOT_FOUND)
		return not_registered(api, name);
	if (r == 0)
		*ret = json_pack("{s:o}", "instanceInfo", info);
	return r;
}

void api_get_on_premises_instance(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		{"instanceName", API_STRING, "InstanceNameRequiredException",
		 "InvalidInstanceNameException", 100, NULL, api_is_name},
	};
	api_run(request, input, members, ARRAY_LEN(members), get_instance);
}

static int get_instances(struct api *api, json_t **ret)
{
	static const struct api_batch batch = {.member = "instanceNames",
					       .output = "instanceInfos",
					       .invalid = "InvalidInstanceNameException",
					       .valid = api_is_name,
					       .describe = describe};
	return api_batch(api, &batch, NULL, ret);
}

void api_batch_get_on_premises_instances(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_BATCH_MEMBER("instanceNames", "InstanceNameRequiredException")};
	api_run(request, input, members, ARRAY_LEN(members), get_instances);
}

/* ---- list ---- */

struct listing {
	const json_t *filters; /* NULL: every host */
	struct store_names names;
};

static int add_name(const struct store_host *host, void *arg)
{
	struct listing *listing = arg;
	if (listing->filters && !tags_match_list(listing->filters, host->tag_count, host->tags))
		return 0;
	struct store_names *names = &listing->names;
	names->names = xrealloc_array(names->names, names->count + 1, sizeof(*names->names));
	names->names[names->count++] = xstrdup(host->name);
	return names->count == API_PAGE ? -PAGE_FULL : 0;
}

static int list_instances(struct api *api, json_t **ret)
{
	const json_t *filters = api_get(api->input, "tagFilters");
	const char *status = api_text(api->input, "registrationStatus");
	auto_free char *after = NULL;
	int r = api_check_filters(api, filters, "InvalidTagFilterException");
	if (r == 0)
		r = api_page_start(api, "instances", &after);
	if (r < 0)
		return r;
	enum store_host_which which = STORE_HOSTS_ALL;
	if (status)
		which = str_eq(status, "Registered") ? STORE_HOSTS_REGISTERED
						     : STORE_HOSTS_DEREGISTERED;
	struct listing listing = {.filters = json_array_size(filters) ? filters : NULL};
	r = store_host_each(api->store, which, after, 0, add_name, &listing, &api->err);
	if (r == 0 || r == -PAGE_FULL) {
		size_t n = listing.names.count;
		*ret = api_page("instances", "instanceNames", &listing.names,
				n ? listing.names.names[n - 1] : "");
		r = 0;
	}
	store_names_clear(&listing.names);
	return r;
}

void api_list_on_premises_instances(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		{"registrationStatus", API_STRING, NULL, "InvalidRegistrationStatusException", 0,
		 registration, NULL},
		{"tagFilters", API_LIST, NULL, "InvalidTagFilterException", 0, NULL, NULL},
		API_NEXT_TOKEN,
	};
	api_run(request, input, members, ARRAY_LEN(members), list_instances);
}

/* ---- tags: everything is checked before anything is written ---- */

static const struct api_member tagging[] = {
	{"tags", API_LIST, "TagRequiredException", "TagLimitExceededException", STORE_HOST_TAGS_MAX,
	 NULL, NULL},
	{"instanceNames", API_STRINGS, "InstanceNameRequiredException",
	 "InstanceLimitExceededException", NAMES_MAX, NULL, NULL},
};

static bool has_tag(const struct store_host *host, const char *key)
{
	for (size_t i = 0; i < host->tag_count; i++)
		if (strcmp(host->tags[i].key, key) == 0)
			return true;
	return false;
}

static size_t count_new(const struct store_host *host, const json_t *tags)
{
	size_t n = 0, i, j;
	json_t *tag;
	json_array_foreach (tags, i, tag) {
		const char *key = api_text(tag, "Key");
		bool again = has_tag(host, key);
		for (j = 0; j < i && !again; j++)
			again = str_eq(key, api_text(json_array_get(tags, j), "Key"));
		n += !again;
	}
	return n;
}

static int check_host(struct api *api, const char *name, bool adding)
{
	auto_store_host struct store_host host = {0};
	if (!api_is_name(name))
		return api_fault(api, "InvalidInstanceNameException",
				 "'%.200s' is not the name of an instance", name);
	int r = store_host_get(api->store, name, &host, &api->err);
	if (r == ERR_NOT_FOUND || (r == 0 && host.deregistered_s))
		return not_registered(api, name);
	if (r == 0 && adding &&
	    host.tag_count + count_new(&host, api_get(api->input, "tags")) > STORE_HOST_TAGS_MAX)
		return api_fault(api, "TagLimitExceededException",
				 "The on-premises instance %s would have more than %d tags", name,
				 STORE_HOST_TAGS_MAX);
	return r;
}

static int write_tag(struct api *api, const char *name, const json_t *tag, bool adding)
{
	const char *key = api_text(tag, "Key");
	if (adding)
		return store_host_tag_set(api->store, name, key, api_text(tag, "Value"), &api->err);
	return store_host_tag_remove(api->store, name, key, &api->err);
}

static int write_tags(struct api *api, const char *name, bool adding)
{
	int r = 0;
	size_t i;
	json_t *tag;
	json_array_foreach (api_get(api->input, "tags"), i, tag)
		if (r == 0)
			r = write_tag(api, name, tag, adding);
	return r;
}

static int change_tags(struct api *api, bool adding)
{
	const json_t *names = api_get(api->input, "instanceNames");
	int r = api_check_tags(api, api_get(api->input, "tags"), STORE_HOST_TAGS_MAX,
			       "InvalidTagException");
	size_t i;
	json_t *name;
	json_array_foreach (names, i, name)
		if (r == 0)
			r = check_host(api, json_string_value(name), adding);
	json_array_foreach (names, i, name)
		if (r == 0)
			r = write_tags(api, json_string_value(name), adding);
	return r;
}

static int add_tags(struct api *api, json_t **ret)
{
	return change_tags(api, true);
}

void api_add_tags_to_on_premises_instances(struct request *request, const json_t *input)
{
	api_run(request, input, tagging, ARRAY_LEN(tagging), add_tags);
}

static int remove_tags(struct api *api, json_t **ret)
{
	return change_tags(api, false);
}

void api_remove_tags_from_on_premises_instances(struct request *request, const json_t *input)
{
	api_run(request, input, tagging, ARRAY_LEN(tagging), remove_tags);
}
