/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are. --root DIR puts all of them under DIR; the default root is "". */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#define PATHS_DAEMON_USER "slipway" /* slipwayd's user and group, where there is one */

struct paths {
	char *root;            /* "" or absolute, no trailing '/' */
	char *etc;             /* ROOT/etc/slipway */
	char *agent_yml;       /* ROOT/etc/slipway/agent.yml */
	char *deployment_root; /* ROOT/var/lib/slipway/deployment-root */
	char *host;            /* ROOT/var/lib/slipway/host: root's, the daemon reads results */
	char *agent;           /* ROOT/var/lib/slipway/agent: the daemon's */
	char *run;             /* ROOT/run/slipway: root's */
	char *agent_run;       /* ROOT/run/slipway/agent: the daemon's */
	char *log;             /* ROOT/var/log/slipway */
};

/* root NULL or "": the system's own. Made absolute when relative. Makes no directory. */
int paths_init(struct paths *paths, const char *root, struct error *err) MUST_CHECK;
void paths_clear(struct paths *paths);
#define auto_paths CLEANUP(paths_clear)

/* Open host/, made when missing. Below the system's own root its group is the daemon's, which what
 * is made in it inherits. Returns the descriptor or below 0. */
int paths_open_host(const struct paths *paths, struct error *err) MUST_CHECK;
