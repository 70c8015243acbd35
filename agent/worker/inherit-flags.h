/* SPDX-License-Identifier: Apache-2.0 */
/* What an object inherits from its directory besides an ACL: flags of the file system (chattr) and
 * the project that its space counts for. A file system refuses to move an object into a directory
 * with a project unless it has the same one already. */
#pragma once

#include "common/error.h"

#include <stdbool.h>

/* Does the open directory bequeath any? */
bool inherit_flags_any(int dirfd);
/* Make the directory to bequeath what from does: its project, and the flags that can be had. */
int inherit_flags_copy(int to, int from, struct error *err) MUST_CHECK;
/* Make it bequeath nothing, where that can be had: with a project of its own it would refuse
 * objects of another. */
void inherit_flags_none(int dirfd);
