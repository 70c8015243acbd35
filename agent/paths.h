/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are. --root DIR puts all of them under DIR; the default root is "". */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

struct paths {
	char *root;            /* "" or absolute, no trailing '/' */
	char *etc;             /* ROOT/etc/slipway */
	char *agent_yml;       /* ROOT/etc/slipway/agent.yml */
	char *deployment_root; /* ROOT/var/lib/slipway/deployment-root */
	char *host;            /* ROOT/var/lib/slipway/host: root's own state */
	char *agent;           /* ROOT/var/lib/slipway/agent: the daemon's */
	char *run;             /* ROOT/run/slipway */
	char *log;             /* ROOT/var/log/slipway */
};

/* root NULL or "": the system's own. Made absolute when relative. Makes no directory. */
int paths_init(struct paths *paths, const char *root, struct error *err) MUST_CHECK;
void paths_clear(struct paths *paths);
#define auto_paths CLEANUP(paths_clear)
