// SPDX-License-Identifier: Apache-2.0
/* Where each mount stages, and whether there is room. The staging directory belongs in the nearest
 * directory above all operations of the mount that is not the application's own and that nobody but
 * root (or we) may write: someone who may write there could move it away under us. */
#include "agent/worker/plan-build.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/room.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#define MARGIN_BYTES (64 * 1024)
#define MARGIN_INODES 4
#define INODE_BYTES \
	1024 /* what an object's inode and name may cost where inodes are made of space */

/* Shorten a to the deepest directory that is b or above both. */
static void common_prefix(char *a, const char *b)
{
	size_t i = 0, slash = 0;
	for (; a[i] && a[i] == b[i]; i++)
		if (a[i] == '/')
			slash = i;
	if (!a[i] && (b[i] == '/' || !b[i] || i == 1))
		return;
	if (!b[i] && a[i] == '/')
		slash = i;
	a[slash ? slash : 1] = '\0';
}

int plan_mount_use(struct plan_build *b, const char *dir_path, uint32_t *ret, struct error *err)
{
	for (uint32_t i = 0; i < b->n_mounts; i++) {
		if (!live_mount_equal(&b->mounts[i].id, &b->dir_mount))
			continue;
		common_prefix(b->mounts[i].common, dir_path);
		*ret = i;
		return 0;
	}
	if (b->n_mounts == PLAN_MOUNTS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d file systems", PLAN_MOUNTS_MAX);
	if (!b->mounts)
		b->mounts = xcalloc(PLAN_MOUNTS_MAX, sizeof(*b->mounts));
	int fd = dup(b->dir_fd);
	if (fd < 0)
		return error_errno(err, "%s", dir_path);
	*ret = b->n_mounts++;
	b->mounts[*ret] = (struct plan_build_mount){
		.id = b->dir_mount, .fd = fd, .common = xstrdup(dir_path)};
	return 0;
}

static bool inside_application(struct plan_build *b, const char *path)
{
	struct manifest_entry e;
	struct error err;
	if (manifest_find(&b->manifest, path, &e, &err) > 0)
		return true;
	for (uint32_t i = 0; i < b->n_destinations; i++) {
		char destination[PATH_MAX];
		if (plan_node_path(b, b->destinations[i], destination, &err) < 0)
			continue;
		size_t len = strlen(destination);
		if (strncmp(path, destination, len) == 0 && (path[len] == '/' || !path[len]))
			return true;
	}
	return false;
}

/* Nobody else may move names about in it. */
static bool guarded(const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return false;
	return !(st->st_mode & 022) || ((st->st_mode & S_ISVTX) && st->st_uid == geteuid());
}

/* A mount that begins in a directory of the application's user: there is no better place. What its
 * owner could do to the stage is found by its identity. */
static bool tolerable(const struct stat *st)
{
	return !(st->st_mode & 022) || (st->st_mode & S_ISVTX);
}

static const char *no_place(bool frozen)
{
	return frozen ? "it is immutable or append-only, so nothing can be staged on this file "
			"system; "
			"'chattr -ia' it first"
		      : "everybody may write here, so nothing can be staged safely on this file "
			"system; take away write permission or set the sticky bit";
}

/* Go up from path to the first directory that will do; ret_fd is it. */
static int choose(struct plan_build *b, const struct plan_build_mount *m, char *path, int *ret_fd,
		  struct error *err)
{
	bool outside = false;
	for (;;) {
		auto_close int fd = live_open_dir(path);
		struct stat st;
		if (fd < 0 || fstat(fd, &st) < 0)
			return error_set(err, fd < 0 ? fd : -errno, "%s: %s", path,
					 strerror(fd < 0 ? -fd : errno));
		char above[PATH_MAX] = "/";
		if (path[1])
			live_split(path, above);
		auto_close int up = live_open_dir(above);
		struct live_mount id = {0};
		if (up >= 0 && live_mount(up, &id, err) < 0)
			return err->code;
		bool top = !path[1] || !live_mount_equal(&id, &m->id);
		outside = outside || !inside_application(b, path);
		bool frozen = live_is_frozen(fd, "");
		bool good = (outside && guarded(&st)) || (top && (guarded(&st) || tolerable(&st)));
		if (good && !frozen) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
		if (top) {
			problems_add(b->problems, PROBLEM_ERROR, path, "%s", no_place(frozen));
			return PLAN_SKIP;
		}
		strcpy(path, above);
	}
}

/* fs_walk_fn: ends the walk at the first file that has content. */
static int try_clone(const struct fs_entry *entry, void *arg, struct error *err)
{
	const struct plan_build_mount *m = arg;
	if (!S_ISREG(entry->st.st_mode) || entry->st.st_blocks == 0)
		return 0;
	auto_close int in =
		openat(entry->dirfd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return in >= 0 && fs_can_clone(in, m->fd) ? -ECANCELED : -EXDEV;
}

/* Will what is staged there share its blocks with the kept revision? */
static bool shares_blocks(const struct plan_build *b, const struct plan_build_mount *m)
{
	struct error ignored;
	int fd = b->request->archive_fd;
	return fd >= 0 && fs_walk(fd, 0, try_clone, (void *)m, &ignored) == -ECANCELED;
}

static void check_room(struct plan_build *b, const struct plan_build_mount *m, const char *path)
{
	struct statvfs vfs;
	struct room room;
	struct error err;
	if (fstatvfs(m->fd, &vfs) == 0 && (vfs.f_flag & ST_RDONLY)) {
		problems_add(b->problems, PROBLEM_ERROR, path, "the file system is read-only");
		return;
	}
	room_look(m->fd, &room);
	/* where inodes are made of space, small files lie in them */
	uint64_t content = room.inodes == ROOM_ENDLESS ? m->bytes : m->blocks;
	uint64_t names = m->objects * INODE_BYTES + MARGIN_BYTES;
	struct room need = {.bytes = content + names, .inodes = m->objects + MARGIN_INODES};
	if (need.bytes > room.bytes && names <= room.bytes && shares_blocks(b, m))
		need.bytes = names;
	if (room_check(m->fd, &need, &err) < 0) {
		room_advise(m->fd, &err);
		problems_add(b->problems, PROBLEM_ERROR, path, "%s", err.text);
	}
}

void plan_mount_point(const char *path, char *out)
{
	struct live_mount id, above;
	char up[PATH_MAX];
	strcpy(out, path);
	if (live_mount_at(AT_FDCWD, out, &id) < 0)
		return;
	while (out[1]) {
		live_split(out, up);
		if (live_mount_at(AT_FDCWD, up, &above) < 0 || !live_mount_equal(&above, &id))
			return;
		strcpy(out, up);
	}
}

static int finish_one(struct plan_build *b, uint32_t index, struct error *err)
{
	struct plan_build_mount *m = &b->mounts[index];
	char path[PATH_MAX];
	strcpy(path, m->common);
	auto_close int fd = -1;
	int r = choose(b, m, path, &fd, err);
	if (r != 0)
		return r;
	check_room(b, m, path);

	struct plan_mount rec = {.index = index, .path = path};
	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return error_errno(err, "%s", path);
	rec.magic = (uint32_t)fs.f_type;
	r = live_ident(fd, &rec.parent, err);
	if (r < 0)
		return r;
	record_start(&b->out, PLAN_REC_MOUNT);
	plan_mount_put(&b->out, &rec);
	return record_append(&b->plan, &b->out, NULL, err);
}

int plan_mounts_finish(struct plan_build *b, struct error *err)
{
	for (uint32_t i = 0; i < b->n_mounts; i++) {
		int r = finish_one(b, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

void plan_mounts_clear(struct plan_build *b)
{
	for (uint32_t i = 0; i < b->n_mounts; i++) {
		fs_close_quiet(b->mounts[i].fd);
		free(b->mounts[i].common);
	}
	free(b->mounts);
	b->mounts = NULL;
	b->n_mounts = 0;
}
