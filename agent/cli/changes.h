/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a plan, for people: a line for each path, or, when there are many, for each
 * directory. */
#pragma once

#include "agent/cli/spool.h"

#include <stdbool.h>
#include <stdio.h>

/* operations: events "operation" (docs/formats/worker.md). all: each path has its line, however
 * many there are. */
void changes_print(struct spool *operations, bool all, FILE *out);
