/* SPDX-License-Identifier: Apache-2.0 */
/* codedeployagent.yml of the official agent, and the agent.yml that says the same. */
#pragma once

#include "agent/paths.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <jansson.h>

struct import_config {
	char *file; /* NULL: there is none, and the defaults of the official agent count */
	/* What the official agent uses, all absolute. */
	char *root_dir, *pid_file, *lock_file, *on_premises;
	char *tracking; /* name of a directory in root_dir */
	char *text;     /* of the new agent.yml */
	json_t *notes;  /* texts: keys that are not taken over, and why */
};
void import_config_clear(struct import_config *c);
#define auto_import_config CLEANUP(import_config_clear)

/* from: where to look, NULL: below the root. ERR_INPUT with file and line when it is no
 * configuration, ERR_NOT_FOUND when nothing of an official agent is there. */
int import_config_read(const char *from, const struct paths *paths, struct import_config *ret,
		       struct error *err) MUST_CHECK;
/* The same from bytes, below prefix where it names no paths. */
int import_config_parse(const char *file, const char *text, size_t len, const char *prefix,
			struct import_config *ret, struct error *err) MUST_CHECK;
