// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/spec-match.h"

#include "common/str.h"

#include <string.h>

/* '*' is any run of characters, everything else is itself. */
static bool glob(const char *pattern, const char *name)
{
	const char *star = NULL, *resume = NULL;
	while (*name) {
		if (*pattern == '*') {
			star = pattern++;
			resume = name;
		} else if (*pattern == *name) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star + 1;
			name = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool spec_match_below(const char *path, const char *object, const char **ret_rel)
{
	size_t len = object[1] ? strlen(object) : 0;
	if (strncmp(path, object, len) != 0 || path[len] != '/' || !path[len + 1])
		return false;
	*ret_rel = path + len + 1;
	return true;
}

bool spec_match(const struct spec_permission *permission, char kind, const char *object,
		const char *path, char type)
{
	if (kind == 'f')
		return strcmp(path, object) == 0;
	const char *rel;
	if (kind != 'd' || !spec_match_below(path, object, &rel))
		return false;
	if (type == 'd' ? !permission->directories : !permission->files)
		return false;
	bool here = !strchr(rel, '/');
	if (!str_eq(permission->pattern, "**") && !(here && glob(permission->pattern, rel)))
		return false;
	for (char **except = permission->except; except && *except && here; except++)
		if (glob(*except, rel))
			return false;
	return true;
}
