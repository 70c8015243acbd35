/* SPDX-License-Identifier: Apache-2.0 */
/* One worker process: where it works, who called it, and the one verb that it carries out. */
#pragma once

#include "agent/paths.h"
#include "agent/settings.h"
#include "agent/worker/caller.h"
#include "common/error.h"

#include <jansson.h>

struct run {
	struct paths paths;
	struct settings settings;
	struct caller caller;
	int host_fd, groups_fd, results_fd, locks_fd; /* below paths.host */
	int root_fd;                                  /* the deployment root */
	char *root_path;
	uint64_t refused; /* paths, of such a plan */
	bool looks;       /* a plan is all that is wanted: each problem is told when it is found */
};

/* A verb: does what message asks, adds its members to the last message ("result"), and returns the
 * exit code of the command line, 0 to 6; err holds the reason when it is not 0. fd came beside the
 * message, -1: none; borrowed. */
typedef int run_verb_fn(struct run *run, const json_t *message, int fd, json_t *result,
			struct error *err);

/* The exit code that belongs to an error when nothing was touched: 2, 3, 4, 6, or 1. */
int run_exit_code(int code);

/* Everything that main() does: arguments, the first message, the verb. Returns the exit code of the
 * process, which is 0 whenever the caller could be told the outcome. */
int run_main(int argc, char **argv);
