/* SPDX-License-Identifier: Apache-2.0 */
/* The official agent's tool for local deployments: its options, said as those of "slipway deploy".
 * Called when the program's own name is codedeploy-local. Rules: reference agent-operations 6,
 * agent-2x 1.2. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>

#define CODEDEPLOY_LOCAL "codedeploy-local"

/* What was asked for. Strings are borrowed from argv, or constants. */
struct codedeploy_local {
	const char *location, *type, *behavior, *group, *group_name, *application, *events;
	const char *config; /* NULL: the default place, which may be missing */
	const char *appspec;
	const char *github_token; /* secret */
	const char *root;         /* of ours: everything below it */
	bool help, version;
};

/* argv: without the program's name. ERR_INPUT. */
int codedeploy_local_parse(int argc, const char *const *argv, struct codedeploy_local *ret,
			   struct error *err) MUST_CHECK;

/* The arguments of slipway that do the same, NULL-terminated, to be freed with str_list_free();
 * the token is not among them. ERR_INPUT where the tool refuses a location or a type before it
 * looks. Pure. */
int codedeploy_local_words(const struct codedeploy_local *asked, char ***ret,
			   struct error *err) MUST_CHECK;

/* main() of it; argv with the name. */
int codedeploy_local_main(int argc, char **argv);
