/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the hook module: a file that a script writes to may grow as it likes, but takes no more of
 * the disk than its first bytes up to a ceiling and its last ones. The script notices nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct hook_cut {
	uint64_t head;   /* the ceiling: what is kept from the beginning */
	uint64_t end;    /* what lies between head and this is gone; 0: nothing is */
	bool impossible; /* the file system cannot do it, a warning has said so */
};

void hook_cut_init(struct hook_cut *cut, uint64_t ceiling);
/* The file has size bytes: give back what is too much. fd: open for writing, not for appending;
 * name: for a warning. */
void hook_cut_grown(struct hook_cut *cut, int fd, uint64_t size, const char *name);
/* The script has ended: a line in the file says how much is missing, and where the file system can,
 * the hole goes. Returns by how many bytes the file has become shorter. */
uint64_t hook_cut_finish(struct hook_cut *cut, int fd);
/* How many bytes of the output were left out. */
uint64_t hook_cut_bytes(const struct hook_cut *cut);
