/* SPDX-License-Identifier: Apache-2.0 */
/* What an import has changed on this host, and how it was before: durable before the first act, so
 * that the same command finishes what a crash left, and --undo takes it back. Format:
 * docs/formats/official.md. */
#pragma once

#include "agent/paths.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

enum import_phase {
	IMPORT_NONE, /* no record */
	IMPORT_BEGUN,
	IMPORT_TAKEN, /* all is here: only slipwayd has to start with it */
	IMPORT_DONE,
	IMPORT_UNDOING,
};

struct import_record {
	enum import_phase phase;
	char *root_dir, *tracking, *on_premises;
	bool had_agent_yml; /* it lies beside the new one now */
	/* The official agent's service. */
	bool had_unit, was_active, was_masked;
	bool conditioned; /* a drop-in keeps it from starting, as its unit cannot be masked */
	/* Ours. */
	bool slipwayd_was_active;
	/* The on-premises file, when its access was changed. */
	bool identity_changed;
	int64_t identity_gid, identity_mode;
};
void import_record_clear(struct import_record *r);
#define auto_import_record CLEANUP(import_record_clear)

/* One import or undo at a time: returns the lock's descriptor, or ERR_BUSY. */
int import_record_lock(const struct paths *paths, struct error *err) MUST_CHECK;
/* phase is IMPORT_NONE when there is none. */
int import_record_load(const struct paths *paths, struct import_record *ret,
		       struct error *err) MUST_CHECK;
int import_record_save(const struct paths *paths, const struct import_record *r,
		       struct error *err) MUST_CHECK;
int import_record_remove(const struct paths *paths, struct error *err) MUST_CHECK;
