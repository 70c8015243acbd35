// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/env.h"

#include "agent/worker/env-file.h"
#include "common/alloc.h"
#include "common/log.h"

#include <string.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define OWN_MAX 16

struct pair {
	const char *key, *value; /* value NULL: left out */
};

static bool is_ours(const struct pair *own, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (own[i].value && strcmp(own[i].key, key) == 0)
			return true;
	return false;
}

static size_t describe(const struct env_request *request, struct pair out[OWN_MAX])
{
	const struct wire_spec *s = request->spec;
	bool s3 = s->revision_type == WIRE_REVISION_S3;
	bool github = s->revision_type == WIRE_REVISION_GITHUB;
	const struct pair own[] = {
		{"LIFECYCLE_EVENT", request->event},
		{"DEPLOYMENT_ID", s->deployment_id},
		{"APPLICATION_NAME", s->application},
		{"DEPLOYMENT_GROUP_NAME", s->group_name},
		{"DEPLOYMENT_GROUP_ID", s->group_id},
		{"BUNDLE_BUCKET", s3 ? s->bucket : NULL},
		{"BUNDLE_KEY", s3 ? s->key : NULL},
		{"BUNDLE_VERSION", s3 ? s->version : NULL},
		{"BUNDLE_ETAG", s3 ? s->etag : NULL},
		{"BUNDLE_COMMIT", github ? s->commit : NULL},
		{"SLIPWAY_DESTINATION_ROOT", request->settings->destination_root},
		{"SLIPWAY_ROLLBACK", request->rollback ? "1" : NULL},
	};
	_Static_assert(ARRAY_LEN(own) <= OWN_MAX, "room for every variable");
	memcpy(out, own, sizeof(own));
	return ARRAY_LEN(own);
}

static bool is_stripped(const struct settings *settings, const char *key)
{
	static const char *const loader[] = {"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"};
	for (size_t i = 0; settings->strip_loader_env && i < ARRAY_LEN(loader); i++)
		if (strcmp(key, loader[i]) == 0)
			return true;
	return false;
}

/* A script without them may fail, a rollback without its scripts does. */
static void read_file(const struct settings *settings, struct conf_map *ret)
{
	const char *path = settings->hook_environment_file;
	struct error err = {0};
	unsigned bad = 0;
	if (!path || settings->restrict_hook_env)
		return;
	if (env_file_load(path, ret, &bad, &err) < 0)
		log_warning("scripts get no variables of hook_environment_file: %s", err.text);
	else if (bad)
		log_warning("%s:%u: is no NAME=VALUE line, and left out", path, bad);
}

struct list {
	char **env;
	size_t n;
	bool has_path;
};

static void add(struct list *list, const char *key, const char *value)
{
	list->has_path |= strcmp(key, "PATH") == 0;
	list->env[list->n++] = xasprintf("%s=%s", key, value);
}

static bool has_key(const struct conf_map *map, const char *key)
{
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i], key) == 0)
			return true;
	return false;
}

char **env_make(const struct env_request *request)
{
	struct pair own[OWN_MAX];
	size_t n_own = describe(request, own);
	const struct settings *settings = request->settings;
	const struct conf_map *named = &settings->hook_environment;
	auto_env_file struct conf_map file = {0};
	read_file(settings, &file);
	const struct conf_map *const maps[] = {&file, named};
	struct list list = {0};
	list.env = xcalloc(n_own + file.count + named->count + 2, sizeof(*list.env));
	for (size_t m = 0; m < ARRAY_LEN(maps); m++)
		for (size_t i = 0; i < maps[m]->count; i++) {
			const char *key = maps[m]->keys[i];
			if (!is_ours(own, n_own, key) && !is_stripped(settings, key) &&
			    !(maps[m] == &file && has_key(named, key)))
				add(&list, key, maps[m]->values[i]);
		}
	if (!list.has_path)
		add(&list, "PATH", DEFAULT_PATH);
	for (size_t i = 0; i < n_own; i++)
		if (own[i].value)
			add(&list, own[i].key, own[i].value);
	return list.env;
}
