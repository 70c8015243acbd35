/* SPDX-License-Identifier: Apache-2.0 */
/* host/history.jsonl: one line per deployment that ended (docs/formats/state.md). */
#pragma once

#include "agent/state.h"
#include "common/error.h"

/* Append the line of state->last, unless it is there already. Not synced: state.json has the same,
 * and the next worker of the group looks again. */
int history_ensure(int host_fd, const struct state *state, struct error *err) MUST_CHECK;
