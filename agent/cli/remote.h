/* SPDX-License-Identifier: Apache-2.0 */
/* Sources of 'deploy' and 'plan' that are not on this host: fetched into a file without a name.
 * Only the program with libcurl has this, so it is reached through a table. */
#pragma once

#include "agent/cli/cli.h"

struct remote;

struct remote_ops {
	/* Understand what was typed, and describe it in the request to the worker. type, sha256:
	 * as said, NULL: not. */
	int (*open)(const char *text, const char *type, const char *sha256, struct remote **ret,
		    json_t *request, struct error *err);
	/* Fetch it, with a bar on a terminal. Returns CLI_DONE with the file, the caller's; else
	 * an exit code, and it has said why. */
	int (*download)(struct cli *cli, struct remote *remote, json_t *request, int *ret_fd);
	void (*free)(struct remote *remote);
};
extern const struct remote_ops remote_ops;
