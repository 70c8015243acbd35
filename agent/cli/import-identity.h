/* SPDX-License-Identifier: Apache-2.0 */
/* The on-premises file of the official agent, which that one reads as root and slipwayd as its own
 * user: it stays where it is, is readable by root and the group slipway, and by nobody else. */
#pragma once

#include "agent/cli/import-record.h"
#include "common/buf.h"
#include "common/error.h"

#include <stdbool.h>

enum import_access {
	IMPORT_ACCESS_NONE, /* there is no such file, or nobody else to read it */
	IMPORT_ACCESS_GOOD,
	IMPORT_ACCESS_CHANGE, /* its group and mode will be changed */
};

/* What is to be done, and as lines in advice what only a person can do (credentials that another
 * program refreshes, directories that slipwayd cannot enter). Touches nothing. */
int import_identity_look(const struct paths *paths, const char *path, enum import_access *ret,
			 struct buf *advice, struct error *err) MUST_CHECK;
/* Note in the record how it is now; to be saved before import_identity_change(). */
int import_identity_note(struct import_record *r, struct error *err) MUST_CHECK;
int import_identity_change(const struct import_record *r, struct error *err) MUST_CHECK;
int import_identity_restore(const struct import_record *r, struct error *err) MUST_CHECK;
