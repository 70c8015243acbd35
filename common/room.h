/* SPDX-License-Identifier: Apache-2.0 */
/* Is there room on a file system: asked before something large is begun, and told in figures when
 * it ran out. What root has reserved for itself is left alone; quotas are not asked. */
#pragma once

#include "common/error.h"

#include <stdint.h>

#define ROOM_ENDLESS UINT64_MAX /* no limit, or none that can be known beforehand */

struct room {
	uint64_t bytes;
	uint64_t inodes; /* ROOM_ENDLESS where they are made as they are needed */
};

/* What is free on the file system of fd. One that does not say is endless. */
void room_look(int fd, struct room *ret);

/* Returns 0, or -ENOSPC: "1.5 GB are needed, 12.0 MB are free". */
int room_check(int fd, const struct room *need, struct error *err) MUST_CHECK;

/* Add to an error that says -ENOSPC or -EDQUOT where that is and what to do about it; others stay
 * as they are. Without /proc it only says what to do. Returns the code. */
int room_advise(int fd, struct error *err);
