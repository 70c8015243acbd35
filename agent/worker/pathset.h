/* SPDX-License-Identifier: Apache-2.0 */
/* An index of paths that are kept in a record stream: 16 bytes per path and slot, no path in
 * memory. A hash that is found is checked by asking the owner for the path at that value. */
#pragma once

#include "common/attr.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct pathset {
	uint64_t key[2]; /* of the hash: nobody outside can make paths collide */
	struct pathset_slot *slots;
	size_t room, count;
};

#define PATHSET_VALUE_BITS 48 /* offset of the record; the 16 bits above are the owner's flags */
#define PATHSET_VALUE(v) ((v) & ((UINT64_C(1) << PATHSET_VALUE_BITS) - 1))
#define PATHSET_FLAGS(v) ((uint16_t)((v) >> PATHSET_VALUE_BITS))

void pathset_init(struct pathset *set);
void pathset_clear(struct pathset *set);
#define auto_pathset CLEANUP(pathset_clear)

/* The path of a value that was added; NULL with err filled when it cannot be read. */
typedef const char *pathset_path_fn(uint64_t value, void *arg, struct error *err);

/* Returns 1 with *ret pointing at the value (good until the next add), 0 when path is not there, or
 * below 0. */
int pathset_find(const struct pathset *set, const char *path, pathset_path_fn *path_of, void *arg,
		 uint64_t **ret, struct error *err) MUST_CHECK;
/* path is not in the set yet. ERR_LIMIT beyond PATHSET_MAX paths, -ENOMEM. */
#define PATHSET_MAX (16 * 1024 * 1024)
int pathset_add(struct pathset *set, const char *path, uint64_t value,
		struct error *err) MUST_CHECK;
