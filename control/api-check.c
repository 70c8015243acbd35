// SPDX-License-Identifier: Apache-2.0
#include "control/api-check.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/log.h"
#include "common/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int api_fault(struct api *api, const char *type, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(api->message, sizeof(api->message), fmt, ap);
	va_end(ap);
	api->fault = type;
	return ERR_INPUT;
}

/* ---- members ---- */

json_t *api_get(const json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);
	return json_is_null(value) ? NULL : value;
}

const char *api_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

bool api_flag(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

double api_number(const json_t *object, const char *name, double def)
{
	const json_t *value = json_object_get(object, name);
	return json_is_number(value) ? json_number_value(value) : def;
}

bool api_in(const char *text, const char *const *choices)
{
	for (; *choices; choices++)
		if (strcmp(text, *choices) == 0)
			return true;
	return false;
}

size_t api_length(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

bool api_is_name(const char *text)
{
	return *text && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					  "0123456789+=,.@_-")] == '\0';
}

static bool is_strings(const json_t *value)
{
	size_t i;
	json_t *item;
	json_array_foreach (value, i, item)
		if (!json_is_string(item))
			return false;
	return json_is_array(value);
}

static bool has_type(const json_t *value, enum api_type type)
{
	switch (type) {
	case API_STRING:
		return json_is_string(value);
	case API_BOOL:
		return json_is_boolean(value);
	case API_INT:
		return json_is_integer(value);
	case API_TIME:
		return json_is_number(value);
	case API_OBJECT:
		return json_is_object(value);
	case API_LIST:
		return json_is_array(value);
	case API_STRINGS:
		return is_strings(value);
	}
	return false;
}

static const char *const type_names[] = {
	[API_STRING] = "a string",
	[API_BOOL] = "true or false",
	[API_INT] = "an integer",
	[API_TIME] = "a number",
	[API_OBJECT] = "an object",
	[API_LIST] = "a list",
	[API_STRINGS] = "a list of strings",
};

static bool is_empty(const json_t *value)
{
	return (json_is_string(value) && json_string_length(value) == 0) ||
	       (json_is_array(value) && json_array_size(value) == 0);
}

static int check_text(struct api *api, const char *text, const struct api_member *m)
{
	if (m->max && api_length(text) > m->max)
		return api_fault(api, m->invalid, "'%s' has more than %zu characters", m->name,
				 m->max);
	if (m->choices && !api_in(text, m->choices))
		return api_fault(api, m->invalid, "'%.200s' is not a possible value of '%s'", text,
				 m->name);
	if (m->valid && !m->valid(text))
		return api_fault(api, m->invalid, "'%.200s' is not valid for '%s'", text, m->name);
	return 0;
}

static int check_texts(struct api *api, const json_t *list, const struct api_member *m)
{
	struct api_member each = *m;
	each.max = 0;
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		int r = check_text(api, json_string_value(item), &each);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_member(struct api *api, const json_t *input, const struct api_member *m)
{
	const json_t *value = api_get(input, m->name);
	if (value && !has_type(value, m->type))
		return api_fault(api, "SerializationException", "'%s' must be %s", m->name,
				 type_names[m->type]);
	if (m->missing && (!value || is_empty(value)))
		return api_fault(api, m->missing, "'%s' is required", m->name);
	if (!value)
		return 0;
	if (json_is_array(value) && m->max && json_array_size(value) > m->max)
		return api_fault(api, m->invalid, "'%s' has more than %zu elements", m->name,
				 m->max);
	if (m->type == API_STRING)
		return check_text(api, json_string_value(value), m);
	return m->type == API_STRINGS ? check_texts(api, value, m) : 0;
}

int api_check(struct api *api, const json_t *input, const struct api_member *members, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r = check_member(api, input, &members[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int api_check_tags(struct api *api, const json_t *tags, size_t max, const char *invalid)
{
	const struct api_member members[] = {
		{"Key", API_STRING, invalid, invalid, 128, NULL, NULL},
		{"Value", API_STRING, NULL, invalid, 256, NULL, NULL},
	};
	if (json_array_size(tags) > max)
		return api_fault(api, invalid, "there are more than %zu tags", max);
	size_t i;
	json_t *tag;
	json_array_foreach (tags, i, tag) {
		if (!json_is_object(tag))
			return api_fault(api, "SerializationException", "a tag must be an object");
		int r = api_check(api, tag, members, ARRAY_LEN(members));
		if (r < 0)
			return r;
		if (!api_text(tag, "Value"))
			return api_fault(api, invalid, "tag '%s' has no value",
					 api_text(tag, "Key"));
	}
	return 0;
}

/* ---- performing ---- */

void api_answer(struct api *api, struct request *request, int r, const json_t *output)
{
	if (r >= 0 && output) {
		request_reply_json(request, 200, output);
	} else if (r >= 0) {
		request_reply_empty(request);
	} else if (api->fault) {
		request_reply_fault(request, 400, api->fault, "%s", api->message);
	} else {
		log_error("request '%s': %s", request->id, api->err.text);
		store_fail(api->store, &api->err);
		request_reply_fault(request, 500, "InternalFailure",
				    "the endpoint failed; its log names request '%s'", request->id);
	}
}

struct api api_begin(struct request *request, const json_t *input)
{
	return (struct api){.control = request->control,
			    .store = request->control->store,
			    .caller = &request->caller,
			    .input = input};
}

void api_run(struct request *request, const json_t *input, const struct api_member *members,
	     size_t count, api_operation_fn *perform)
{
	struct api api = api_begin(request, input);
	auto_json json_t *output = NULL;
	int r = api_check(&api, input, members, count);
	if (r == 0)
		r = perform(&api, &output);
	api_answer(&api, request, r, output);
}

int api_parse_stored(struct api *api, const char *text, json_t **ret)
{
	return json_parse(text, strlen(text), SIZE_MAX, ret, &api->err);
}

/* ---- finding ---- */

int api_find_app_named(struct api *api, const char *name, struct store_app *ret)
{
	int r = store_app_get(api->store, name, ret, &api->err);
	if (r == ERR_NOT_FOUND)
		return api_fault(api, "ApplicationDoesNotExistException",
				 "No application found for name: %s", name);
	return r;
}

int api_find_app(struct api *api, struct store_app *ret)
{
	return api_find_app_named(api, api_text(api->input, "applicationName"), ret);
}

int api_find_group(struct api *api, const char *app_id, const char *name, struct store_group *ret)
{
	int r = store_group_get(api->store, app_id, name, ret, &api->err);
	if (r == ERR_NOT_FOUND)
		return api_fault(api, "DeploymentGroupDoesNotExistException",
				 "No Deployment Group found for name: %s", name);
	return r;
}

int api_find_deployment(struct api *api, struct store_deployment *ret)
{
	const char *id = api_text(api->input, "deploymentId");
	bool hidden = true;
	int r = store_deployment_hidden(api->store, id, &hidden, &api->err);
	if (r < 0)
		return r;
	if (hidden)
		return api_fault(api, "DeploymentDoesNotExistException",
				 "The deployment %s could not be found", id);
	return store_deployment_get(api->store, id, ret, &api->err);
}

/* ---- batches ---- */

static int describe_each(struct api *api, const struct api_batch *batch, const void *arg,
			 json_t *list, struct buf *missing)
{
	size_t i;
	json_t *item;
	json_array_foreach (api_get(api->input, batch->member), i, item) {
		json_t *found = NULL;
		const char *text = json_string_value(item);
		if (!batch->valid(text))
			return api_fault(api, batch->invalid, "'%.200s' is not valid in '%s'", text,
					 batch->member);
		int r = batch->describe(api, arg, text, &found);
		if (r < 0 && r != ERR_NOT_FOUND)
			return r;
		if (r < 0)
			buf_addf(missing, "%s%s", missing->len ? ", " : "", text);
		else
			json_array_append_new(list, found);
	}
	return 0;
}

int api_batch(struct api *api, const struct api_batch *batch, const void *arg, json_t **ret)
{
	auto_buf struct buf missing = BUF_INIT(API_BATCH_MAX * 256);
	auto_json json_t *list = json_array();
	int r = describe_each(api, batch, arg, list, &missing);
	if (r < 0)
		return r;
	*ret = json_pack("{s:O}", batch->output, list);
	if (batch->tells && missing.len) {
		auto_free char *text = xasprintf("not found: %s", buf_str(&missing));
		json_set_str(*ret, "errorMessage", text);
	}
	return 0;
}

/* ---- pages ---- */

int api_page_start(struct api *api, const char *list, char **ret_after)
{
	const char *token = api_text(api->input, "nextToken");
	if (str_empty(token)) {
		*ret_after = xstrdup("");
		return 0;
	}
	if (ids_page_parse(list, token, ret_after) < 0)
		return api_fault(api, "InvalidNextTokenException",
				 "this nextToken was not given out for this list");
	return 0;
}

json_t *api_page(const char *list, const char *member, const struct store_names *names,
		 const char *after)
{
	json_t *array = json_array();
	for (size_t i = 0; i < names->count; i++)
		json_array_append_new(array, json_string(names->names[i]));
	json_t *page = json_object();
	json_object_set_new(page, member, array);
	if (names->count < API_PAGE)
		return page;
	auto_free char *token = ids_page_format(list, after);
	json_object_set_new(page, "nextToken", json_string(token));
	return page;
}
