// SPDX-License-Identifier: Apache-2.0
#include "agent/paths.h"

#include "common/alloc.h"
#include "common/fs.h"

#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
		.agent_run = xasprintf("%s/run/slipway/agent", base),
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
	free(paths->agent_run);
	free(paths->log);
	*paths = (struct paths){0};
}

/* As tmpfiles.d has it, for a host where nobody has run that. */
static int give_to_daemon(int fd, const struct paths *paths, struct error *err)
{
	struct stat st;
	if (*paths->root || geteuid() != 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "look at '%s'", paths->host);
	const struct group *daemon = st.st_gid == 0 ? getgrnam(PATHS_DAEMON_USER) : NULL;
	if (daemon && (fchown(fd, 0, daemon->gr_gid) < 0 || fchmod(fd, 02750) < 0))
		return error_errno(err, "give '%s' to group '" PATHS_DAEMON_USER "'", paths->host);
	return 0;
}

int paths_open_host(const struct paths *paths, struct error *err)
{
	auto_free char *parent = xstrdup(paths->host);
	*strrchr(parent, '/') = '\0';
	int r = fs_mkdirs_path(parent, 0755, err);
	if (r < 0)
		return r;
	r = fs_mkdirs_path(paths->host, 0750, err);
	if (r < 0)
		return r;
	auto_close int fd = open(paths->host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "open '%s'", paths->host);
	r = give_to_daemon(fd, paths, err);
	return r < 0 ? r : TAKE_FD(fd);
}
