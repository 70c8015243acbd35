// SPDX-License-Identifier: Apache-2.0
#include "common/room.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

void room_look(int fd, struct room *ret)
{
	struct statvfs vfs;
	*ret = (struct room){ROOM_ENDLESS, ROOM_ENDLESS};
	if (fstatvfs(fd, &vfs) < 0)
		return;
	if (vfs.f_blocks > 0)
		ret->bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	if (vfs.f_files > 0)
		ret->inodes = vfs.f_favail;
}

int room_check(int fd, const struct room *need, struct error *err)
{
	struct room is;
	char needed[32], there[32];
	room_look(fd, &is);
	if (need->bytes > is.bytes)
		return error_set(err, -ENOSPC, "%s are needed, %s are free",
				 str_human_bytes(need->bytes, needed, sizeof(needed)),
				 str_human_bytes(is.bytes, there, sizeof(there)));
	if (need->inodes > is.inodes)
		return error_set(err, -ENOSPC, "%llu inodes are needed, %llu are free",
				 (unsigned long long)need->inodes, (unsigned long long)is.inodes);
	return 0;
}

/* A line of /proc/self/mountinfo, proc(5):
 *     36 35 98:0 /below /mnt rw,noatime master:1 - ext3 /dev/root rw
 * Is it of that mount? Then its mount point, type and source are copied, as the kernel escapes
 * them. */
static bool read_mount(const char *line, uint64_t id, char *out, size_t size)
{
	char *after, point[200], type[40], source[120];
	const char *rest = strstr(line, " - ");
	if (strtoull(line, &after, 10) != id || !rest ||
	    sscanf(after, "%*s %*s %*s %199s", point) != 1 ||
	    sscanf(rest, " - %39s %119s", type, source) != 2)
		return false;
	snprintf(out, size, "'%s' (%s on %s)", point, type, source);
	return true;
}

static bool describe_mount(int fd, char *out, size_t size)
{
	struct statx stx;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0)
		return false;
	auto_fclose FILE *mounts = fopen("/proc/self/mountinfo", "re");
	auto_free char *line = NULL;
	size_t room = 0;
	while (mounts && getline(&line, &room, mounts) > 0)
		if (read_mount(line, stx.stx_mnt_id, out, size))
			return true;
	return false;
}

int room_advise(int fd, struct error *err)
{
	char where[400];
	if (err->code != -ENOSPC && err->code != -EDQUOT)
		return err->code;
	char text[sizeof(err->text)];
	snprintf(text, sizeof(text), "%s", err->text);
	if (!describe_mount(fd, where, sizeof(where)))
		return error_set(err, err->code, "%.300s; make room and try again", text);
	return error_set(err, err->code,
			 "%.250s on the file system at %s; make room there and try again", text,
			 where);
}
