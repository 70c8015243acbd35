/* SPDX-License-Identifier: Apache-2.0 */
/* Make durable what was written below a directory, without waiting for what others write. */
#pragma once

#include "common/error.h"

#include <stdbool.h>

/* All that this process has done to the file system of fd, a directory, is durable. content: also
 * that of the files below it; without it only names and metadata have changed there, or what is new
 * was synced before. */
int durable_tree(int fd, bool content, struct error *err) MUST_CHECK;
