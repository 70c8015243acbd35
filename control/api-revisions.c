// SPDX-License-Identifier: Apache-2.0
/* Revisions: what they are, and registering. A revision's identity is its whole location, so each
 * is brought into one form: known members only, in a fixed order, the ETag without quotes. */
#include "control/api.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/str.h"
#include "control/api-groups.h"

#include <string.h>

#define INVALID "InvalidRevisionException"
#define DESCRIPTION_MAX 256

static const char *const types[] = {"S3", "GitHub", "String", "AppSpecContent", NULL};
static const char *const bundles[] = {"tar", "tgz", "zip", NULL};

void api_revision_clear(struct api_revision *revision)
{
	json_decref(revision->location);
	free(revision->text);
	*revision = (struct api_revision){0};
}

static bool is_bucket(const char *text)
{
	size_t len = strlen(text);
	return len >= 3 && len <= 63 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

static bool is_commit(const char *text)
{
	return strlen(text) == 40 && strspn(text, "0123456789abcdefABCDEF") == 40;
}

static bool is_repository(const char *text)
{
	const char *slash = strchr(text, '/');
	return slash && slash != text && slash[1] && !strchr(slash + 1, '/');
}

/* Copy the text members that are there, in this order. */
static json_t *copy_texts(const json_t *from, const char *const *names)
{
	json_t *to = json_object();
	for (; *names; names++)
		json_set_str(to, *names, api_text(from, *names));
	return to;
}

/* AWS answers with the ETag as it was given; quotes mean nothing. */
static void strip_quotes(json_t *s3)
{
	const char *etag = api_text(s3, "eTag");
	size_t len = etag ? strlen(etag) : 0;
	if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"')
		json_object_set_new(s3, "eTag", json_stringn(etag + 1, len - 2));
}

static int read_s3(struct api *api, const json_t *s3, struct api_revision *ret)
{
	static const struct api_member members[] = {
		{"bucket", API_STRING, INVALID, INVALID, 63, NULL, is_bucket},
		{"key", API_STRING, INVALID, INVALID, 1024, NULL, NULL},
		{"bundleType", API_STRING, INVALID, INVALID, 0, bundles, NULL},
		{"version", API_STRING, NULL, INVALID, 1024, NULL, NULL},
		{"eTag", API_STRING, NULL, INVALID, 128, NULL, NULL},
	};
	static const char *const names[] = {"bucket", "key", "bundleType", "version", "eTag", NULL};
	int r = api_check(api, s3, members, ARRAY_LEN(members));
	if (r < 0)
		return r;
	json_t *copy = copy_texts(s3, names);
	strip_quotes(copy);
	json_object_set_new(ret->location, "s3Location", copy);
	ret->bucket = api_text(copy, "bucket");
	ret->key = api_text(copy, "key");
	ret->version = api_text(copy, "version");
	ret->etag = api_text(copy, "eTag");
	return 0;
}

static int read_github(struct api *api, const json_t *github, struct api_revision *ret)
{
	static const struct api_member members[] = {
		{"repository", API_STRING, INVALID, INVALID, 256, NULL, is_repository},
		{"commitId", API_STRING, INVALID, INVALID, 40, NULL, is_commit},
	};
	static const char *const names[] = {"repository", "commitId", NULL};
	int r = api_check(api, github, members, ARRAY_LEN(members));
	if (r == 0)
		json_object_set_new(ret->location, "gitHubLocation", copy_texts(github, names));
	return r;
}

static int read_location(struct api *api, const json_t *input, struct api_revision *ret)
{
	static const struct api_member members[] = {
		{"revisionType", API_STRING, INVALID, INVALID, 0, types, NULL},
		{"s3Location", API_OBJECT, NULL, INVALID, 0, NULL, NULL},
		{"gitHubLocation", API_OBJECT, NULL, INVALID, 0, NULL, NULL},
	};
	int r = api_check(api, input, members, ARRAY_LEN(members));
	if (r < 0)
		return r;
	const char *type = api_text(input, "revisionType");
	bool s3 = str_eq(type, "S3");
	if (!s3 && !str_eq(type, "GitHub"))
		return api_fault(api, INVALID,
				 "revisions of type %s are not for servers: S3 or GitHub", type);
	const char *member = s3 ? "s3Location" : "gitHubLocation";
	const json_t *place = api_get(input, member);
	if (!place)
		return api_fault(api, INVALID, "a revision of type %s needs '%s'", type, member);
	json_set_str(ret->location, "revisionType", type);
	return s3 ? read_s3(api, place, ret) : read_github(api, place, ret);
}

int api_read_location(struct api *api, const json_t *location, struct api_revision *ret)
{
	ret->location = json_object();
	int r = read_location(api, location, ret);
	if (r == 0)
		ret->text = json_text(ret->location);
	return r;
}

int api_read_revision(struct api *api, struct api_revision *ret)
{
	const json_t *input = api_get(api->input, "revision");
	if (!input)
		return api_fault(api, "RevisionRequiredException", "'revision' is required");
	return api_read_location(api, input, ret);
}

static int register_revision(struct api *api, json_t **ret)
{
	auto_api_revision struct api_revision revision = {0};
	auto_store_app struct store_app app = {0};
	int r = api_read_revision(api, &revision);
	if (r == 0)
		r = api_find_app(api, &app);
	if (r < 0)
		return r;
	const char *description = api_text(api->input, "description");
	return store_revision_put(api->store, app.id, revision.text, description ? description : "",
				  clock_wall(), &api->err);
}

void api_register_application_revision(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {
		API_APPLICATION_NAME,
		{"description", API_STRING, NULL, "DescriptionTooLongException", DESCRIPTION_MAX,
		 NULL, NULL},
		{"revision", API_OBJECT, "RevisionRequiredException", INVALID, 0, NULL, NULL},
	};
	api_run(request, input, members, ARRAY_LEN(members), register_revision);
}
