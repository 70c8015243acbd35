/* SPDX-License-Identifier: Apache-2.0 */
/* The verb "verify": what a person asks about installed files. Nothing is touched but a directory
 * below host/tmp, and nobody waits for it: a group is locked only while it is looked up, and a
 * deployment that begins meanwhile makes its answer "busy". */
#pragma once

#include "agent/worker/run.h"

run_verb_fn inspect_verify_verb;
