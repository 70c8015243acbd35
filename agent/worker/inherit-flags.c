// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/inherit-flags.h"

#include "common/log.h"

#include <linux/fs.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

/* Each file system passes some of these on to what is made in a directory, and keeps or ignores the
 * others. (Journalled data needs a power that the worker has not.) */
#define FLAGS                                                                                     \
	(FS_SYNC_FL | FS_DIRSYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_COMPR_FL | FS_NOCOMP_FL | \
	 FS_NOCOW_FL | FS_CASEFOLD_FL | FS_DAX_FL | FS_SECRM_FL | FS_UNRM_FL)
#define XFLAGS                                                                                     \
	(FS_XFLAG_PROJINHERIT | FS_XFLAG_EXTSZINHERIT | FS_XFLAG_RTINHERIT | FS_XFLAG_COWEXTSIZE | \
	 FS_XFLAG_NODEFRAG | FS_XFLAG_NOSYMLINKS)

struct bequest {
	int flags;
	struct fsxattr more;
};

/* Where there is none of it, all is zero. */
static void load(int fd, struct bequest *ret)
{
	*ret = (struct bequest){0};
	if (ioctl(fd, FS_IOC_GETFLAGS, &ret->flags) < 0)
		ret->flags = 0;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &ret->more) < 0)
		memset(&ret->more, 0, sizeof(ret->more));
	ret->flags &= FLAGS;
	ret->more.fsx_xflags &= XFLAGS;
}

bool inherit_flags_any(int dirfd)
{
	struct bequest b;
	load(dirfd, &b);
	return b.flags != 0 || b.more.fsx_xflags != 0;
}

/* Objects work without them as well. */
static void set_flags(int fd, int flags)
{
	int now;
	if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
		return;
	int wanted = (now & ~FLAGS) | flags;
	if (wanted != now && ioctl(fd, FS_IOC_SETFLAGS, &wanted) < 0)
		log_debug("flags of the file system are not inherited: %s", strerror(errno));
}

static int set_more(int fd, const struct fsxattr *more)
{
	struct fsxattr now;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &now) < 0)
		return more->fsx_xflags ? -errno : 0;
	uint32_t project = more->fsx_xflags & FS_XFLAG_PROJINHERIT ? more->fsx_projid : 0;
	if ((now.fsx_xflags & XFLAGS) == more->fsx_xflags && now.fsx_projid == project)
		return 0;
	now.fsx_xflags = (now.fsx_xflags & ~XFLAGS) | more->fsx_xflags;
	now.fsx_projid = project;
	now.fsx_extsize = more->fsx_extsize;
	now.fsx_cowextsize = more->fsx_cowextsize;
	return ioctl(fd, FS_IOC_FSSETXATTR, &now) < 0 ? -errno : 0;
}

int inherit_flags_copy(int to, int from, struct error *err)
{
	struct bequest b;
	load(from, &b);
	set_flags(to, b.flags);
	int r = set_more(to, &b.more);
	return r < 0 ? error_set(err, r, "set the project: %s", strerror(-r)) : 0;
}

void inherit_flags_none(int dirfd)
{
	static const struct fsxattr none;
	set_flags(dirfd, 0);
	int r = set_more(dirfd, &none);
	if (r < 0)
		log_debug("a staging directory keeps the project of its parent: %s", strerror(-r));
}
