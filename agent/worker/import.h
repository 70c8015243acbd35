/* SPDX-License-Identifier: Apache-2.0 */
/* The verb "import": what the official agent has installed becomes these groups' own, and, the
 * other way, its files say what they have installed now. Records only: no installed object is
 * touched, no script runs. Each group changes by one rename, so it can be ended anywhere and done
 * again. Format: docs/formats/official.md. */
#pragma once

#include "agent/worker/run.h"

#define IMPORT_NOTE "official" /* in the group's directory: semanage's rules, to be given back */

run_verb_fn import_verb;
