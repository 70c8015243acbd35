// SPDX-License-Identifier: Apache-2.0
/* syncfs makes durable on every file system, and waits for whatever anybody has written there: an
 * install of one file beside a backup takes as long as the backup's gigabytes. Where metadata are
 * strictly ordered by one log (ext4 with a journal, XFS) there is a cheaper way: the content of
 * what was staged, file by file, and then one file made and synced, with which everything that was
 * done before it is in the log. Only a few files are synced so: each is a commit of its own, so
 * that syncfs is faster for many. */
#include "agent/worker/durable.h"

#include "agent/worker/fault.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define XFS_MAGIC 0x58465342
#define FEW 64 /* files */

/* ext2, ext3 and ext4 have one number; without a journal there is no order. */
static bool has_journal(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return false;
	char device[PATH_MAX];
	auto_free char *link =
		xasprintf("/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	ssize_t n = readlink(link, device, sizeof(device) - 1);
	if (n <= 0)
		return false;
	device[n] = '\0';
	const char *name = strrchr(device, '/');
	auto_free char *task = xasprintf("/sys/fs/ext4%s/journal_task", name ? name : "");
	return name && access(task, F_OK) == 0;
}

static bool is_ordered(int fd)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return false;
	return (unsigned long)fs.f_type == XFS_MAGIC ||
	       (fs.f_type == EXT4_SUPER_MAGIC && has_journal(fd));
}

static int make_nameless(int fd)
{
	return openat(fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
}

/* Not one that is only full. */
static bool is_dead(int code)
{
	return code == EIO || code == EUCLEAN || code == EROFS;
}

/* Everything done before is in the log with this. A disk that dies in the middle of it can let XFS
 * call the file synced; another one cannot be made then. */
static int barrier(int fd, struct error *err)
{
	auto_close int tmp = make_nameless(fd);
	if (tmp < 0 && !is_dead(errno))
		return fs_sync_fs(fd, err);
	if (tmp < 0 || fsync(tmp) < 0)
		return error_errno(err, "sync a file");
	auto_close int again = make_nameless(fd);
	return again < 0 && is_dead(errno) ? error_errno(err, "sync a file") : 0;
}

/* fs_walk_fn; -EFBIG: these are not few. */
static int count_file(const struct fs_entry *entry, void *arg, struct error *err)
{
	unsigned *files = arg;
	if (S_ISREG(entry->st.st_mode) && ++*files > FEW && !FAULT_DEFECT("sync-each"))
		return -EFBIG;
	return 0;
}

/* fs_walk_fn; -EFBIG: cannot be done one by one. */
static int sync_file(const struct fs_entry *entry, void *arg, struct error *err)
{
	if (!S_ISREG(entry->st.st_mode))
		return 0;
	auto_close int fd =
		openat(entry->dirfd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) /* one that its owner, who is not root, may not read */
		return -EFBIG;
	return fsync(fd) < 0 ? error_errno(err, "sync %s", entry->name) : 0;
}

/* Returns -EFBIG when there are many, which are not synced then. */
static int sync_few(int fd, struct error *err)
{
	unsigned files = 0;
	int r = fs_walk(fd, 0, count_file, &files, err);
	return r < 0 ? r : fs_walk(fd, 0, sync_file, NULL, err);
}

/* Too many, or out of reach: in a directory that its owner may not read, deeper than a walk goes.
 */
static bool is_beyond_us(int code)
{
	return code == -EFBIG || code == -EACCES || code == ERR_LIMIT;
}

int durable_tree(int fd, bool content, struct error *err)
{
	struct error why = {0};
	int r = is_ordered(fd) ? 0 : -EFBIG;
	if (r == 0 && content)
		r = sync_few(fd, &why);
	if (is_beyond_us(r))
		return fs_sync_fs(fd, err);
	return r < 0 ? error_set(err, r, "%s", why.text) : barrier(fd, err);
}
