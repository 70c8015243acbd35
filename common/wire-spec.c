// SPDX-License-Identifier: Apache-2.0
/* The deployment specification: what a host is asked to do. The standard members are those that the
 * official agents read; ours stand together under "Slipway". */
#include "common/wire.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire-text.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

/* Deployment and group ids name files and directories, with room for a suffix. */
#define FILE_ID_MAX 200

static const char *const revision_types[] = {
	[WIRE_REVISION_S3] = "S3",
	[WIRE_REVISION_GITHUB] = "GitHub",
	[WIRE_REVISION_LOCAL_FILE] = "Local File",
	[WIRE_REVISION_LOCAL_DIRECTORY] = "Local Directory",
};

static const char *const archive_types[] = {"tar", "tgz", "zip", NULL};
static const char *const local_types[] = {"tar", "tgz", "zip", "directory", NULL};

void wire_spec_free(struct wire_spec *s)
{
	if (!s)
		return;
	char *const owned[] = {
		s->deployment_id,   s->group_id,     s->group_name,  s->application, s->creator,
		s->deployment_type, s->appspec_name, s->file_exists, s->bucket,      s->key,
		s->version,         s->etag,         s->account,     s->repository,  s->commit,
		s->bundle_type,     s->location,     s->host,        s->sha256,      s->reuse_from,
	};
	for (size_t i = 0; i < ARRAY_LEN(owned); i++)
		free(owned[i]);
	wire_texts_free(s->all_events);
	free(s);
}

static void put_revision(json_t *revision, const struct wire_spec *s)
{
	json_set_str(revision, "RevisionType", revision_types[s->revision_type]);
	json_t *place = json_object();
	switch (s->revision_type) {
	case WIRE_REVISION_S3:
		json_set_str(place, "Bucket", s->bucket);
		json_set_str(place, "Key", s->key);
		json_set_str(place, "BundleType", s->bundle_type);
		json_set_str(place, "Version", s->version);
		json_set_str(place, "ETag", s->etag);
		json_object_set_new(revision, "S3Revision", place);
		break;
	case WIRE_REVISION_GITHUB:
		json_set_str(place, "Account", s->account);
		json_set_str(place, "Repository", s->repository);
		json_set_str(place, "CommitId", s->commit);
		json_set_str(place, "BundleType", s->bundle_type);
		json_object_set_new(revision, "GitHubRevision", place);
		break;
	case WIRE_REVISION_LOCAL_FILE:
	case WIRE_REVISION_LOCAL_DIRECTORY:
		json_set_str(place, "Location", s->location);
		json_set_str(place, "BundleType", s->bundle_type);
		json_object_set_new(revision, "LocalRevision", place);
		break;
	}
}

static json_t *texts_to_json(char **list)
{
	json_t *array = json_array();
	for (size_t i = 0; list[i]; i++)
		json_array_append_new(array, json_string(list[i]));
	return array;
}

static void put_own_members(json_t *obj, const struct wire_spec *s)
{
	if (!s->host && !s->not_after_s && !s->sha256 && s->size_bytes < 0)
		return;
	json_t *own = json_object();
	json_set_str(own, "Host", s->host);
	if (s->not_after_s)
		json_set_int(own, "NotAfter", s->not_after_s);
	json_set_str(own, "BundleSha256", s->sha256);
	if (s->size_bytes >= 0)
		json_set_int(own, "BundleSize", s->size_bytes);
	json_object_set_new(obj, "Slipway", own);
}

json_t *wire_spec_to_json(const struct wire_spec *s)
{
	json_t *obj = json_object();
	json_set_str(obj, "DeploymentId", s->deployment_id);
	json_set_str(obj, "DeploymentGroupId", s->group_id);
	json_set_str(obj, "DeploymentGroupName", s->group_name);
	json_set_str(obj, "ApplicationName", s->application);
	json_set_str(obj, "DeploymentCreator", s->creator);
	json_set_str(obj, "DeploymentType", s->deployment_type);
	json_set_str(obj, "AppSpecFilename", s->appspec_name);
	if (s->file_exists)
		json_object_set_new(obj, "AgentActionOverrides",
				    json_pack("{s:{s:s}}", "AgentOverrides", "FileExistsBehavior",
					      s->file_exists));
	if (s->all_events)
		json_object_set_new(obj, "AllPossibleLifecycleEvents",
				    texts_to_json(s->all_events));
	json_t *revision = json_object();
	put_revision(revision, s);
	json_object_set_new(obj, "Revision", revision);
	json_set_str(obj, "ReuseArchiveFromDeploymentId", s->reuse_from);
	put_own_members(obj, s);
	return obj;
}

/* arn:aws:codedeploy:REGION:ACCOUNT:deployment/ID gives ID. */
static void strip_arn(char **id)
{
	if (!str_starts(*id, "arn:"))
		return;
	const char *field = *id;
	for (int i = 0; i < 5 && field; i++) {
		field = strchr(field, ':');
		field = field ? field + 1 : NULL;
	}
	const char *slash = field ? strchr(field, '/') : NULL;
	if (!slash)
		return;
	char *rest = xstrdup(slash + 1);
	free(*id);
	*id = rest;
}

static int check_file_id(const char *name, const char *id, struct error *err)
{
	bool good = str_is_filename(id) && strlen(id) <= FILE_ID_MAX;
	for (const char *p = id; good && *p; p++)
		good = (unsigned char)*p > 0x20 && *p != 0x7f;
	if (!good)
		return error_set(err, ERR_FORMAT, "'%s' cannot be used as a file name", name);
	return 0;
}

static int take_ids(struct wire_spec *s, const json_t *obj, struct error *err)
{
	int r = wire_need_text(obj, "DeploymentId", WIRE_ID_MAX, &s->deployment_id, err);
	if (r < 0)
		return r;
	strip_arn(&s->deployment_id);
	r = check_file_id("DeploymentId", s->deployment_id, err);
	if (r < 0)
		return r;
	r = wire_need_text(obj, "DeploymentGroupId", WIRE_ID_MAX, &s->group_id, err);
	if (r < 0)
		return r;
	r = check_file_id("DeploymentGroupId", s->group_id, err);
	if (r < 0)
		return r;
	r = wire_need_text(obj, "DeploymentGroupName", WIRE_ID_MAX, &s->group_name, err);
	if (r < 0)
		return r;
	return wire_need_text(obj, "ApplicationName", WIRE_ID_MAX, &s->application, err);
}

static int take_file_exists(struct wire_spec *s, const json_t *obj, struct error *err)
{
	json_t *actions = NULL, *overrides = NULL;
	int r = json_opt_obj(obj, "AgentActionOverrides", &actions, err);
	if (r >= 0 && actions)
		r = json_opt_obj(actions, "AgentOverrides", &overrides, err);
	if (r >= 0 && overrides)
		r = wire_opt_text(overrides, "FileExistsBehavior", 64, &s->file_exists, err);
	for (char *p = s->file_exists; r >= 0 && p && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return r;
}

/* A wish: what cannot be one is none, and no mistake. */
static void take_reuse(struct wire_spec *s, const json_t *obj)
{
	const char *id = json_string_value(json_object_get(obj, "ReuseArchiveFromDeploymentId"));
	if (str_empty(id) || strlen(id) > WIRE_ID_MAX)
		return;
	s->reuse_from = xstrdup(id);
	strip_arn(&s->reuse_from);
}

static int take_options(struct wire_spec *s, const json_t *obj, struct error *err)
{
	s->creator = xstrdup("user");
	s->deployment_type = xstrdup("IN_PLACE");
	int r = wire_opt_text(obj, "DeploymentCreator", 64, &s->creator, err);
	if (r < 0)
		return r;
	r = wire_opt_text(obj, "DeploymentType", 64, &s->deployment_type, err);
	if (r < 0)
		return r;
	r = wire_opt_text(obj, "AppSpecFilename", WIRE_ID_MAX, &s->appspec_name, err);
	if (r < 0)
		return r;
	r = take_file_exists(s, obj, err);
	if (r < 0)
		return r;
	take_reuse(s, obj);
	return wire_opt_texts(obj, "AllPossibleLifecycleEvents", 64, &s->all_events, err);
}

static int check_bundle_type(const char *type, const char *const *allowed, struct error *err)
{
	for (size_t i = 0; allowed[i]; i++)
		if (str_eq(type, allowed[i]))
			return 0;
	return error_set(err, ERR_FORMAT, "'BundleType' is '%s', expected %s", type,
			 allowed == local_types ? "tar, tgz, zip or directory" : "tar, tgz or zip");
}

static int take_s3(struct wire_spec *s, const json_t *revision, struct error *err)
{
	json_t *place = NULL;
	int r = json_need_obj(revision, "S3Revision", &place, err);
	if (r < 0)
		return r;
	r = wire_need_text(place, "Bucket", WIRE_ID_MAX, &s->bucket, err);
	if (r < 0)
		return r;
	r = wire_need_text(place, "Key", WIRE_ID_MAX, &s->key, err);
	if (r < 0)
		return r;
	r = wire_need_text(place, "BundleType", 64, &s->bundle_type, err);
	if (r < 0)
		return r;
	r = wire_opt_text(place, "Version", WIRE_ID_MAX, &s->version, err);
	if (r < 0)
		return r;
	r = wire_opt_text(place, "ETag", WIRE_ID_MAX, &s->etag, err);
	if (r < 0)
		return r;
	return check_bundle_type(s->bundle_type, archive_types, err);
}

static int take_github(struct wire_spec *s, const json_t *revision, struct error *err)
{
	json_t *place = NULL;
	int r = json_need_obj(revision, "GitHubRevision", &place, err);
	if (r < 0)
		return r;
	r = wire_need_text(place, "Account", WIRE_ID_MAX, &s->account, err);
	if (r < 0)
		return r;
	r = wire_need_text(place, "Repository", WIRE_ID_MAX, &s->repository, err);
	if (r < 0)
		return r;
	r = wire_need_text(place, "CommitId", WIRE_ID_MAX, &s->commit, err);
	if (r < 0)
		return r;
	r = wire_opt_text(place, "BundleType", 64, &s->bundle_type, err);
	if (r < 0)
		return r;
	if (json_is_false(json_object_get(place, "Anonymous")) &&
	    !json_object_get(place, "OAuthToken"))
		return error_set(err, ERR_FORMAT,
				 "'OAuthToken' is missing, and 'Anonymous' is false");
	return s->bundle_type ? check_bundle_type(s->bundle_type, archive_types, err) : 0;
}

static int take_local(struct wire_spec *s, const json_t *revision, struct error *err)
{
	json_t *place = NULL;
	int r = json_need_obj(revision, "LocalRevision", &place, err);
	if (r < 0)
		return r;
	r = wire_need_text(place, "Location", 4096, &s->location, err);
	if (r < 0)
		return r;
	r = wire_need_text(place, "BundleType", 64, &s->bundle_type, err);
	if (r < 0)
		return r;
	return check_bundle_type(s->bundle_type, local_types, err);
}

static int take_revision(struct wire_spec *s, const json_t *obj, struct error *err)
{
	static int (*const readers[])(struct wire_spec *, const json_t *, struct error *) = {
		[WIRE_REVISION_S3] = take_s3,
		[WIRE_REVISION_GITHUB] = take_github,
		[WIRE_REVISION_LOCAL_FILE] = take_local,
		[WIRE_REVISION_LOCAL_DIRECTORY] = take_local,
	};
	json_t *revision = NULL;
	int r = json_need_obj(obj, "Revision", &revision, err);
	if (r < 0)
		return r;
	const char *type = NULL;
	r = json_need_str(revision, "RevisionType", &type, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(revision_types); i++) {
		if (str_eq(type, revision_types[i])) {
			s->revision_type = i;
			return readers[i](s, revision, err);
		}
	}
	return error_set(err, ERR_FORMAT,
			 "'RevisionType' is '%s', expected S3, GitHub, Local File or "
			 "Local Directory",
			 type);
}

static bool is_sha256_hex(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static int take_own_members(struct wire_spec *s, const json_t *obj, struct error *err)
{
	json_t *own = NULL;
	int r = json_opt_obj(obj, "Slipway", &own, err);
	if (r < 0 || !own)
		return r;
	r = wire_opt_text(own, "Host", WIRE_ID_MAX, &s->host, err);
	if (r < 0)
		return r;
	r = json_opt_int(own, "NotAfter", &s->not_after_s, err);
	if (r < 0)
		return r;
	r = wire_opt_text(own, "BundleSha256", 64, &s->sha256, err);
	if (r < 0)
		return r;
	if (s->sha256 && !is_sha256_hex(s->sha256))
		return error_set(err, ERR_FORMAT,
				 "'BundleSha256' must be 64 lower-case hex digits");
	r = json_opt_int(own, "BundleSize", &s->size_bytes, err);
	if (r < 0)
		return r;
	if (s->size_bytes < -1 || s->not_after_s < 0)
		return error_set(err, ERR_FORMAT, "'Slipway' has a negative number");
	return 0;
}

int wire_spec_from_json(const json_t *obj, struct wire_spec **ret, struct error *err)
{
	auto_wire_spec struct wire_spec *s = xcalloc(1, sizeof(*s));
	s->size_bytes = -1;
	int r = take_ids(s, obj, err);
	if (r >= 0)
		r = take_options(s, obj, err);
	if (r >= 0)
		r = take_revision(s, obj, err);
	if (r >= 0)
		r = take_own_members(s, obj, err);
	if (r < 0)
		return error_prefix(err, r, "deployment specification");
	*ret = TAKE(s);
	return 0;
}
