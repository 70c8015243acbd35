/* SPDX-License-Identifier: Apache-2.0 */
/* GROUP-install.json and GROUP-cleanup as the official agents write them: what has put the group's
 * files in place, and what would have to be removed before the next revision. For tools, and for
 * going back to such an agent, which removes by the second. Made from the manifest and the AppSpec
 * of the revision that is in place, so they can be made at any time. */
#pragma once

#include "agent/worker/group.h"
#include "common/error.h"

/* Write both, or remove both when nothing is installed. */
int instructions_write(struct group *g, struct error *err) MUST_CHECK;
