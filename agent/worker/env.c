// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/env.h"

#include "common/alloc.h"

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

char **env_make(const struct env_request *request)
{
	struct pair own[OWN_MAX];
	size_t n_own = describe(request, own);
	const struct conf_map *extra = &request->settings->hook_environment;
	char **env = xcalloc(n_own + extra->count + 2, sizeof(*env));
	size_t n = 0;
	bool has_path = false;
	for (size_t i = 0; i < extra->count; i++) {
		if (is_ours(own, n_own, extra->keys[i]))
			continue;
		has_path |= strcmp(extra->keys[i], "PATH") == 0;
		env[n++] = xasprintf("%s=%s", extra->keys[i], extra->values[i]);
	}
	if (!has_path)
		env[n++] = xstrdup("PATH=" DEFAULT_PATH);
	for (size_t i = 0; i < n_own; i++)
		if (own[i].value)
			env[n++] = xasprintf("%s=%s", own[i].key, own[i].value);
	return env;
}
