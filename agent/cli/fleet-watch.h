/* SPDX-License-Identifier: Apache-2.0 */
/* Follow a deployment until it is over. */
#pragma once

#include "agent/cli/fleet.h"

/* On a terminal a table that is drawn again and again, elsewhere a line for each change; then how
 * it ended. With --json only the outcome, as one object. Returns the exit code. */
int fleet_watch(struct cli *cli, struct fleet *fleet, const char *deployment_id);
