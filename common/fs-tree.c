// SPDX-License-Identifier: Apache-2.0
/* Whole trees: walk and removal. Both work from descriptors only and expect a hostile tree: every
 * directory is opened from its parent's descriptor through no symlink and over no mount.
 *
 * A walk keeps one descriptor a level, and therefore has a ceiling of depth. Removal must not have
 * one: what is deeper than REMOVE_DEPTH is renamed up to the top of the doomed tree, where it gets
 * its turn later. */
#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define WALK_DEPTH_MAX 256
#define NAMES_MAX_BYTES ((size_t)1 << 30)
#define REMOVE_DEPTH 64
#define REMOVE_PASSES 64

/* A directory entry below dirfd. Returns the descriptor or negative errno; -EXDEV: a mount point.
 */
static int enter(int dirfd, const char *name, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* A stream of its own over the same directory: dirfd keeps its offset. */
static DIR *open_stream(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	DIR *dir = fdopendir(fd);
	if (!dir)
		close(fd);
	return dir;
}

/* Walk */

struct walk {
	int flags;
	fs_walk_fn *fn;
	void *arg;
	struct buf path;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All names of a directory, each with its NUL, in one buffer. */
static int read_names(int dirfd, struct buf *names, size_t *ret_count, struct error *err)
{
	auto_closedir DIR *dir = open_stream(dirfd);
	if (!dir)
		return error_errno(err, "open a directory");
	size_t count = 0;
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (!entry)
			break;
		if (is_dot(entry->d_name))
			continue;
		buf_add(names, entry->d_name, strlen(entry->d_name) + 1);
		count++;
	}
	if (errno)
		return error_errno(err, "read a directory");
	*ret_count = count;
	return buf_check(names, "the list of names in one directory", err);
}

static int list_names(const struct walk *walk, const struct buf *names, size_t count,
		      const char ***ret, struct error *err)
{
	const char **list = reallocarray(NULL, count + 1, sizeof(*list));
	if (!list)
		return error_set(err, -ENOMEM, "a directory of %zu names: out of memory", count);
	const char *p = buf_str(names);
	for (size_t i = 0; i < count; i++, p += strlen(p) + 1)
		list[i] = p;
	list[count] = NULL;
	if (walk->flags & FS_WALK_SORTED)
		qsort(list, count, sizeof(*list), by_name);
	*ret = list;
	return 0;
}

static int walk_level(struct walk *walk, int dirfd, unsigned depth, struct error *err);

static int walk_into(struct walk *walk, struct fs_entry *entry, unsigned depth, struct error *err)
{
	if (depth >= WALK_DEPTH_MAX)
		return error_set(err, ERR_LIMIT, "'%s' is deeper than %d directories", entry->path,
				 WALK_DEPTH_MAX);
	auto_close int fd = enter(entry->dirfd, entry->name, O_RDONLY);
	if (fd == -EXDEV)
		return 0; /* another file system begins here */
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return error_set(err, fd, "open '%s': %s", entry->path, strerror(-fd));
	int r = walk_level(walk, fd, depth + 1, err);
	if (r < 0 || !(walk->flags & FS_WALK_POST))
		return r;
	entry->leaving = true;
	entry->path = buf_str(&walk->path);
	r = walk->fn(entry, walk->arg, err);
	return r < 0 ? r : 0;
}

static int walk_entry(struct walk *walk, int dirfd, const char *name, unsigned depth,
		      struct error *err)
{
	struct fs_entry entry = {.dirfd = dirfd, .name = name};
	entry.path = buf_str(&walk->path);
	if (fstatat(dirfd, name, &entry.st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
		if (errno == ENOENT)
			return 0; /* gone since the directory was read */
		return error_errno(err, "look at '%s'", entry.path);
	}
	int r = walk->fn(&entry, walk->arg, err);
	if (r != 0 || !S_ISDIR(entry.st.st_mode))
		return r < 0 ? r : 0;
	return walk_into(walk, &entry, depth, err);
}

static int walk_level(struct walk *walk, int dirfd, unsigned depth, struct error *err)
{
	auto_buf struct buf names = BUF_INIT(NAMES_MAX_BYTES);
	size_t count = 0;
	int r = read_names(dirfd, &names, &count, err);
	auto_free const char **list = NULL;
	if (r == 0)
		r = list_names(walk, &names, count, &list, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		size_t len = walk->path.len;
		buf_addf(&walk->path, "%s%s", len ? "/" : "", list[i]);
		r = buf_check(&walk->path, "a path", err);
		if (r == 0)
			r = walk_entry(walk, dirfd, list[i], depth, err);
		walk->path.len = len;
		if (walk->path.data)
			walk->path.data[len] = '\0';
	}
	return r;
}

int fs_walk(int dirfd, int flags, fs_walk_fn *fn, void *arg, struct error *err)
{
	struct walk walk = {.flags = flags, .fn = fn, .arg = arg};
	walk.path = BUF_INIT((size_t)WALK_DEPTH_MAX * (NAME_MAX + 1) + NAME_MAX);
	int r = walk_level(&walk, dirfd, 0, err);
	buf_clear(&walk.path);
	return r;
}

/* fs_walk_fn */
static int add_blocks(const struct fs_entry *entry, void *arg, struct error *err)
{
	*(uint64_t *)arg += (uint64_t)entry->st.st_blocks * 512;
	return 0;
}

int fs_tree_bytes(int dirfd, uint64_t *ret, struct error *err)
{
	uint64_t bytes = 0;
	int r = fs_walk(dirfd, 0, add_blocks, &bytes, err);
	if (r >= 0)
		*ret = bytes;
	return r;
}

/* Removal */

struct removal {
	int topfd;
	unsigned moved; /* how many were renamed up, for fresh names */
};

/* Our own directories, or those of a bundle, may lack the permissions that we need in them. */
static void allow_removal(int fd)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700) {
		int r UNUSED = fchmod(fd, 0700);
	}
}

static int enter_doomed(int dirfd, const char *name)
{
	int fd = enter(dirfd, name, O_RDONLY);
	if (fd != -EACCES)
		return fd;
	auto_close int handle = enter(dirfd, name, O_PATH);
	if (handle < 0)
		return handle;
	char self[64];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", handle);
	if (chmod(self, 0700) < 0)
		return -errno;
	return enter(dirfd, name, O_RDONLY);
}

static int remove_entry(struct removal *removal, int dirfd, const char *name, unsigned depth);

/* One pass over a directory; what appears or is overlooked meanwhile is the next pass's. */
static int empty_once(struct removal *removal, int dirfd, unsigned depth)
{
	auto_closedir DIR *dir = open_stream(dirfd);
	if (!dir)
		return -errno;
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (!entry)
			return -errno;
		if (is_dot(entry->d_name))
			continue;
		int r = remove_entry(removal, dirfd, entry->d_name, depth);
		if (r < 0)
			return r;
	}
}

static int move_up(struct removal *removal, int dirfd, const char *name)
{
	for (;;) {
		char fresh[32];
		snprintf(fresh, sizeof(fresh), ".deep-%u", removal->moved++);
		if (renameat2(dirfd, name, removal->topfd, fresh, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}
}

static int remove_directory(struct removal *removal, int dirfd, const char *name, unsigned depth)
{
	auto_close int fd = enter_doomed(dirfd, name);
	if (fd < 0)
		return fd;
	allow_removal(fd);
	if (removal->topfd < 0)
		removal->topfd = fd;
	for (int pass = 0;; pass++) {
		unsigned moved = removal->moved;
		int r = empty_once(removal, fd, depth);
		if (r < 0)
			return r;
		if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if ((errno != ENOTEMPTY && errno != EEXIST) || pass == REMOVE_PASSES)
			return -errno;
		if (removal->moved != moved)
			pass = 0; /* progress: the tree is deep, nobody is adding to it */
	}
}

static int remove_entry(struct removal *removal, int dirfd, const char *name, unsigned depth)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth < REMOVE_DEPTH) {
		int r = remove_directory(removal, dirfd, name, depth + 1);
		return r == -ENOTDIR ? -EPERM : r;
	}
	return move_up(removal, dirfd, name);
}

int fs_remove_tree(int dirfd, const char *name, struct error *err)
{
	struct removal removal = {.topfd = -1};
	int r = remove_entry(&removal, dirfd, name, 0);
	if (r == -EXDEV)
		return error_set(err, r, "remove '%s': a file system is mounted in it", name);
	if (r < 0)
		return error_set(err, r, "remove '%s': %s", name, strerror(-r));
	return 0;
}
