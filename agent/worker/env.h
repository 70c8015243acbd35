/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a lifecycle script (reference: appspec 6.4): nothing but what is listed here;
 * nothing of the agent's own environment reaches a script. */
#pragma once

#include "agent/settings.h"
#include "common/wire.h"

#include <stdbool.h>

struct env_request {
	const struct settings *settings;
	const struct wire_spec *spec; /* whose ids and revision are told */
	const char *event;
	bool rollback; /* SLIPWAY_ROLLBACK=1 */
};

/* NULL-terminated "K=V"; the caller's, free with str_list_free(). hook_environment_file and
 * hook_environment come first and cannot replace the documented variables. */
char **env_make(const struct env_request *request);
