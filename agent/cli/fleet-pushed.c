// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/fleet-pushed.h"

#include "agent/cli/fleet.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "pushed.json"
#define FILE_MAX (1024 * 1024)

json_t *fleet_revision(const char *bucket, const char *key, const char *type, const char *etag,
		       const char *version)
{
	json_t *place = json_object(), *revision = json_object();
	json_set_str(place, "bucket", bucket);
	json_set_str(place, "key", key);
	json_set_str(place, "bundleType", type);
	json_set_str(place, "eTag", str_empty(etag) ? NULL : etag);
	json_set_str(place, "version", str_empty(version) ? NULL : version);
	json_set_str(revision, "revisionType", "S3");
	json_object_set_new(revision, "s3Location", place);
	return revision;
}

static const char *type_of(const char *key)
{
	static const struct {
		const char *end, *type;
	} ends[] = {{".tgz", "tgz"}, {".tar.gz", "tgz"}, {".tar", "tar"}, {".zip", "zip"}};
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (str_ends(key, ends[i].end))
			return ends[i].type;
	return NULL;
}

int fleet_revision_parse(const char *text, json_t **ret, struct error *err)
{
	static const char scheme[] = "s3://", mark[] = "?versionId=";
	const char *bucket = str_starts(text, scheme) ? text + strlen(scheme) : "";
	size_t len = strcspn(bucket, "/");
	if (len == 0 || !bucket[len] || !bucket[len + 1])
		return error_set(err, ERR_INPUT, "revision '%s' is not of the form s3://BUCKET/KEY",
				 text);
	auto_free char *name = xstrndup(bucket, len);
	auto_free char *key = xstrdup(bucket + len + 1);
	char *version = strstr(key, mark);
	if (version) {
		*version = '\0';
		version += strlen(mark);
	}
	const char *type = type_of(key);
	if (!type)
		return error_set(err, ERR_INPUT,
				 "revision '%s' must end in .tgz, .tar.gz, .tar or .zip, which "
				 "tells how it is packed",
				 text);
	*ret = fleet_revision(name, key, type, NULL, version);
	return 0;
}

char *fleet_revision_text(const json_t *revision)
{
	const json_t *place = json_object_get(revision, "s3Location");
	return xasprintf("s3://%s/%s", fleet_text(place, "bucket"), fleet_text(place, "key"));
}

static char *state_dir(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	if (!str_empty(state) && state[0] == '/')
		return xasprintf("%s/slipway", state);
	return xasprintf("%s/.local/state/slipway", home ? home : "");
}

static json_t *load_all(int dirfd)
{
	json_t *all = NULL;
	int r = json_read_file(dirfd, FILE_NAME, FILE_MAX, &all, NULL);
	if (r >= 0 && json_is_object(all))
		return all;
	json_decref(r >= 0 ? all : NULL);
	return json_object();
}

int fleet_pushed_save(const char *endpoint, const char *app, const json_t *revision,
		      struct error *err)
{
	auto_free char *dir = state_dir();
	int r = fs_mkdirs_path(dir, 0700, err);
	if (r < 0)
		return r;
	auto_close int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return error_errno(err, "open '%s'", dir);
	auto_json json_t *all = load_all(dirfd);
	auto_free char *name = xasprintf("%s %s", endpoint, app);
	json_object_set(all, name, (json_t *)revision);
	return json_write_file(dirfd, FILE_NAME, all, 0600, err);
}

int fleet_pushed_load(const char *endpoint, const char *app, json_t **ret, struct error *err)
{
	auto_free char *dir = state_dir();
	auto_close int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_json json_t *all = dirfd < 0 ? NULL : load_all(dirfd);
	auto_free char *name = xasprintf("%s %s", endpoint, app);
	json_t *revision = json_object_get(all, name);
	if (!json_is_object(revision))
		return error_set(err, ERR_NOT_FOUND,
				 "nothing was pushed for '%s' from here: say which revision with "
				 "--revision s3://BUCKET/KEY",
				 app);
	*ret = json_incref(revision);
	return 0;
}
