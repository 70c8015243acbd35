// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/share.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#define STEP ((uint64_t)16 * 1024 * 1024)    /* what btrfs takes at once */
#define SMALLEST ((off_t)16 * 1024)          /* below it, the look costs more than the blocks */
#define TIME_US ((uint64_t)10 * 1000 * 1000) /* somebody waits for the end of this */

struct sharing {
	int earlier_fd;
	uint64_t bytes;
	uint64_t until_us;
};

static int open_file(int dirfd, const char *path)
{
	return fs_open_beneath(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
}

/* As much as is the same from the beginning on. The kernel compares page by page and would wait for
 * each of them, so both are asked for beforehand. Returns 0, or negative errno when there is no use
 * in trying others. */
static int share_file(struct sharing *sharing, int from, int to, uint64_t size)
{
	union {
		struct file_dedupe_range range;
		char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
	} u;
	for (uint64_t at = 0; at < size && clock_mono_us() <= sharing->until_us;) {
		u.range = (struct file_dedupe_range){
			.src_offset = at,
			.src_length = size - at < STEP ? size - at : STEP,
			.dest_count = 1,
		};
		u.range.info[0] = (struct file_dedupe_range_info){.dest_fd = to, .dest_offset = at};
		posix_fadvise(from, (off_t)at, (off_t)u.range.src_length, POSIX_FADV_WILLNEED);
		posix_fadvise(to, (off_t)at, (off_t)u.range.src_length, POSIX_FADV_WILLNEED);
		if (ioctl(from, FIDEDUPERANGE, &u.range) < 0)
			return -errno;
		const struct file_dedupe_range_info *info = &u.range.info[0];
		if (info->status == -EOPNOTSUPP || info->status == -EXDEV)
			return info->status;
		if (info->status != FILE_DEDUPE_RANGE_SAME || info->bytes_deduped == 0)
			return 0;
		at += info->bytes_deduped;
		sharing->bytes += info->bytes_deduped;
	}
	return 0;
}

/* fs_walk_fn */
static int share_entry(const struct fs_entry *entry, void *arg, struct error *err)
{
	struct sharing *sharing = arg;
	struct stat st;
	if (clock_mono_us() > sharing->until_us)
		return error_set(err, -ETIME, "it takes too long");
	if (!S_ISREG(entry->st.st_mode) || entry->st.st_size < SMALLEST)
		return 0;
	auto_close int from = open_file(sharing->earlier_fd, entry->path);
	if (from < 0 || fstat(from, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size != entry->st.st_size)
		return 0;
	auto_close int to = open_file(entry->dirfd, entry->name);
	return to < 0 ? 0 : share_file(sharing, from, to, (uint64_t)st.st_size);
}

void share_unchanged(int archive_fd, int earlier_fd)
{
	struct sharing sharing = {.earlier_fd = earlier_fd, .until_us = clock_mono_us() + TIME_US};
	struct error ignored;
	char text[32];
	int r = fs_walk(archive_fd, 0, share_entry, &sharing, &ignored);
	if (r >= 0 || r == -ETIME)
		log_debug("%s are shared with the revision before",
			  str_human_bytes(sharing.bytes, text, sizeof(text)));
}
