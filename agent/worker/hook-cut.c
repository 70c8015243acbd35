// SPDX-License-Identifier: Apache-2.0
/* What lies between the first and the last bytes is given back to the file system by punching a
 * hole, while the file grows: for a writer that appends nothing changes. In the end the hole itself
 * goes, where the file system can take blocks out of the middle (ext4, XFS); elsewhere it stays,
 * and takes no room.
 *
 *     | head: up to the ceiling | one block: the mark |       hole       | at least CUT_TAIL |
 *
 * How large the file is tells all that the next worker has to know. */
#include "agent/worker/hook-cut.h"

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK ((uint64_t)4096)
#define CUT_TAIL ((uint64_t)1024 * 1024) /* of the end, always kept */
#define CUT_STEP ((uint64_t)1024 * 1024) /* less is not worth a call */

void hook_cut_init(struct hook_cut *cut, uint64_t ceiling)
{
	*cut = (struct hook_cut){.head = (ceiling + BLOCK - 1) / BLOCK * BLOCK};
}

void hook_cut_grown(struct hook_cut *cut, int fd, uint64_t size, const char *name)
{
	if (size < cut->end) /* its writer has emptied it */
		cut->end = 0;
	if (cut->impossible || size < cut->head + BLOCK + CUT_STEP + CUT_TAIL)
		return;
	uint64_t from = cut->end ? cut->end : cut->head;
	uint64_t to = (size - CUT_TAIL) / BLOCK * BLOCK;
	if (to < from + CUT_STEP)
		return;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
		      (off_t)(to - from)) < 0) {
		log_warning("'%s' is larger than script_output_max, and cannot be cut on this file "
			    "system: %s",
			    name, strerror(errno));
		cut->impossible = true;
		return;
	}
	cut->end = to;
}

uint64_t hook_cut_bytes(const struct hook_cut *cut)
{
	return cut->end ? cut->end - cut->head : 0;
}

uint64_t hook_cut_finish(struct hook_cut *cut, int fd)
{
	if (!cut->end)
		return 0;
	char mark[BLOCK];
	memset(mark, ' ', sizeof(mark));
	int n = snprintf(mark, sizeof(mark), "\n[slipway] %llu bytes of output were left out here",
			 (unsigned long long)hook_cut_bytes(cut));
	mark[n] = ' ';
	mark[sizeof(mark) - 1] = '\n';
	if (pwrite(fd, mark, sizeof(mark), (off_t)cut->head) != (ssize_t)sizeof(mark))
		log_debug("a cut is not marked: %s", strerror(errno));
	uint64_t from = cut->head + BLOCK, len = cut->end - from;
	if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, (off_t)from, (off_t)len) == 0)
		return len;
	log_debug("a hole stays in a script's output: %s", strerror(errno));
	return 0;
}
