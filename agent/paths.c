// SPDX-License-Identifier: Apache-2.0
#include "agent/paths.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

static char *absolute(const char *root)
{
	if (root[0] == '/')
		return xstrdup(root);
	auto_free char *cwd = getcwd(NULL, 0);
	return cwd ? xasprintf("%s/%s", cwd, root) : NULL;
}

int paths_init(struct paths *paths, const char *root, struct error *err)
{
	auto_free char *base = root && *root ? absolute(root) : xstrdup("");
	if (!base)
		return error_errno(err, "find the current directory");
	for (size_t len = strlen(base); len > 0 && base[len - 1] == '/'; len--)
		base[len - 1] = '\0';
	*paths = (struct paths){
		.etc = xasprintf("%s/etc/slipway", base),
		.agent_yml = xasprintf("%s/etc/slipway/agent.yml", base),
		.deployment_root = xasprintf("%s/var/lib/slipway/deployment-root", base),
		.host = xasprintf("%s/var/lib/slipway/host", base),
		.agent = xasprintf("%s/var/lib/slipway/agent", base),
		.run = xasprintf("%s/run/slipway", base),
		.log = xasprintf("%s/var/log/slipway", base),
	};
	paths->root = TAKE(base);
	return 0;
}

void paths_clear(struct paths *paths)
{
	free(paths->root);
	free(paths->etc);
	free(paths->agent_yml);
	free(paths->deployment_root);
	free(paths->host);
	free(paths->agent);
	free(paths->run);
	free(paths->log);
	*paths = (struct paths){0};
}
