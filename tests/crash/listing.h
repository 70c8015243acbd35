/* SPDX-License-Identifier: Apache-2.0 */
/* A directory and everything in it as text, a line for each object: to see whether anything has
 * happened to it. */
#pragma once

#include <stdbool.h>

/* exact: with inode, mode, owner, links and times; else name, type, content and link text alone. Of
 * a file that is called "victim" others may make names: links and change time are left out. What
 * cannot be read is in the text, too. Caller frees. */
char *listing_make(const char *path, bool exact);
/* Tells the first difference as a TAP comment. */
bool listing_compare(const char *what, const char *was, const char *is);
