/* SPDX-License-Identifier: Apache-2.0 */
/* The way back: every group of this host becomes one of the official agent. */
#pragma once

#include "agent/worker/run.h"

/* Is any group busy, or an install left half way? Touches nothing; tells each group. */
int import_give_check(struct run *run, struct error *err) MUST_CHECK;
/* Write the files of the official layout, then forget the groups. Can be repeated. */
int import_give(struct run *run, struct error *err) MUST_CHECK;
