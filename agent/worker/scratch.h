/* SPDX-License-Identifier: Apache-2.0 */
/* A directory below host/tmp for verbs that only look: they work with a group's manifest and write
 * beside a link to it, never into the group's own directory. */
#pragma once

#include "agent/worker/run.h"
#include "common/cleanup.h"

struct scratch {
	int tmp_fd; /* host/tmp */
	char name[32];
	int fd; /* locked as long as it is in use */
};
#define SCRATCH_INIT ((struct scratch){.tmp_fd = -1, .fd = -1})

int scratch_open(struct scratch *s, struct run *run, struct error *err) MUST_CHECK;
/* The manifest of that group, as it is now, under its own name; none when it has none. */
int scratch_link_manifest(struct scratch *s, struct run *run, const char *group,
			  struct error *err) MUST_CHECK;
/* Removes it. */
void scratch_clear(struct scratch *s);
#define auto_scratch CLEANUP(scratch_clear)

/* Remove what killed workers left in host/tmp. Best effort. */
void scratch_clear_unused(struct run *run);
