/* SPDX-License-Identifier: Apache-2.0 */
/* The verb "plan": what "deploy" would do. Nothing is touched but a directory below host/tmp. */
#pragma once

#include "agent/worker/run.h"

run_verb_fn preview_verb;
