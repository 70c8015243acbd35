/* SPDX-License-Identifier: Apache-2.0 */
/* The two revisions of the crash tests: some 250 objects that differ in every way in which two
 * revisions can, and of every kind that can be installed. */
#pragma once

#include "agent/worker/spec.h"

#include <stdbool.h>
#include <stddef.h>

/* How long a path below the destination's own directory may get: with a destination of so many
 * bytes, its longest names are near the system's limit. */
#define OBJECTS_LONGEST 4000

/* Make revision A or B in an empty directory. scale: objects of a kind that has many are made so
 * many times. dest_len: bytes of the path that they will be installed to. */
void objects_make(int dirfd, bool b, unsigned scale, size_t dest_len);

/* What the AppSpec of A or B says about them, installed in app. Returns how many, at most
 * OBJECTS_GRANTED. */
#define OBJECTS_GRANTED 7
size_t objects_permissions(bool b, const char *app, struct spec_permission *out);
void objects_permissions_free(struct spec_permission *list, size_t n);

/* What the host had before, in the directory that holds the destination "app". */
void objects_foreign(int dirfd);

/* A is installed in dirfd and has been used: somebody gave some objects that B replaces, moves or
 * removes what only a file system can keep, extended attributes, an ACL, a capability. The same
 * each time. Needs root; false: without it, or where the file system has none of that. */
bool objects_wear(int dirfd);
