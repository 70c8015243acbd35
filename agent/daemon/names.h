/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a directory that are named by result_name(): 32 hex digits and ".json". */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMES_MAX 10000 /* more are not looked at */

struct name {
	char name[40];
	uint64_t changed_ns; /* modification time */
};

struct names {
	struct name *list;
	size_t count;
};
void names_clear(struct names *names);
#define auto_names CLEANUP(names_clear)

/* Oldest first. Other names are skipped. */
int names_list(int dirfd, struct names *ret, struct error *err) MUST_CHECK;
