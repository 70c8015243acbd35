/* SPDX-License-Identifier: Apache-2.0 */
/* The verb "adopt": a group takes over what another one has installed, all of it or what lies at or
 * below some paths. Records only; no installed object is touched. */
#pragma once

#include "agent/worker/run.h"

run_verb_fn adopt_verb;
