// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/live.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

int live_open_dir(const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

/* On overlayfs the birth time is that of the layer which holds the object now: the first change in
 * a directory copies it up, and it becomes another. */
static bool keeps_birth_time(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) < 0 || fs.f_type != OVERLAYFS_SUPER_MAGIC;
}

/* Overlayfs and others have none, and some containers refuse the call: inode and birth time have to
 * do. Any other error is one: what was identified without a handle is not the same with it. */
static bool has_no_handles(int code)
{
	return code == EOPNOTSUPP || code == ENOSYS || code == EOVERFLOW || code == EPERM;
}

int live_ident(int fd, struct live_ident *ret, struct error *err)
{
	struct statx stx;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stx) < 0)
		return error_errno(err, "statx");
	*ret = (struct live_ident){.ino = stx.stx_ino};
	if ((stx.stx_mask & STATX_BTIME) && keeps_birth_time(fd)) {
		ret->btime_s = stx.stx_btime.tv_sec;
		ret->btime_ns = stx.stx_btime.tv_nsec;
	}

	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = {.h.handle_bytes = MAX_HANDLE_SZ};
	int mount_id;
	if (name_to_handle_at(fd, "", &u.h, &mount_id, AT_EMPTY_PATH) < 0)
		return has_no_handles(errno) ? 0 : error_errno(err, "name_to_handle_at");
	static_assert(LIVE_HANDLE_MAX >= MAX_HANDLE_SZ + 4, "a handle must fit");
	uint32_t type = (uint32_t)u.h.handle_type;
	memcpy(ret->handle, &type, 4);
	memcpy(ret->handle + 4, u.h.f_handle, u.h.handle_bytes);
	ret->handle_len = (uint16_t)(4 + u.h.handle_bytes);
	return 0;
}

bool live_ident_equal(const struct live_ident *a, const struct live_ident *b)
{
	return a->ino == b->ino && a->btime_s == b->btime_s && a->btime_ns == b->btime_ns &&
	       a->handle_len == b->handle_len && memcmp(a->handle, b->handle, a->handle_len) == 0;
}

void live_ident_put(struct record_out *out, const struct live_ident *ident)
{
	record_put_u64(out, ident->ino);
	record_put_u64(out, (uint64_t)ident->btime_s);
	record_put_u32(out, ident->btime_ns);
	record_put_bytes(out, ident->handle, ident->handle_len);
}

void live_ident_get(struct record *rec, struct live_ident *ret)
{
	*ret = (struct live_ident){.ino = record_u64(rec)};
	ret->btime_s = (int64_t)record_u64(rec);
	ret->btime_ns = record_u32(rec);
	uint16_t len;
	const uint8_t *handle = record_bytes(rec, &len);
	if (len > sizeof(ret->handle)) {
		rec->bad = true;
		return;
	}
	ret->handle_len = len;
	if (len > 0)
		memcpy(ret->handle, handle, len);
}

static void mount_of(const struct statx *stx, struct live_mount *ret)
{
	ret->mount_id = stx->stx_mnt_id;
	ret->dev = (dev_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
}

int live_mount(int fd, struct live_mount *ret, struct error *err)
{
	struct statx stx;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &stx) < 0)
		return error_errno(err, "statx");
	mount_of(&stx, ret);
	return 0;
}

int live_mount_at(int dirfd, const char *name, struct live_mount *ret)
{
	struct statx stx;
	if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_MNT_ID, &stx) < 0)
		return -errno;
	mount_of(&stx, ret);
	return 0;
}

char live_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 'f';
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	default:
		return 'o';
	}
}

void live_object(const struct stat *st, struct live_object *ret)
{
	*ret = (struct live_object){.type = live_type(st->st_mode),
				    .ino = st->st_ino,
				    .size = (uint64_t)st->st_size,
				    .ctime_s = st->st_ctim.tv_sec,
				    .ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
				    .mode = st->st_mode & 07777,
				    .uid = st->st_uid,
				    .gid = st->st_gid};
}

int live_look(int dirfd, const char *name, struct live_object *ret, struct stat *ret_st)
{
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		live_object(&st, ret);
		if (ret_st)
			*ret_st = st;
		return 0;
	}
	*ret = (struct live_object){0};
	return errno == ENOENT ? 0 : -errno;
}

static bool has_attribute(int dirfd, const char *name, uint64_t attributes)
{
	struct statx stx;
	int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
	return statx(dirfd, name, flags, STATX_TYPE, &stx) == 0 && stx.stx_attributes & attributes;
}

bool live_is_frozen(int dirfd, const char *name)
{
	return has_attribute(dirfd, name, STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND);
}

bool live_is_mount_point(int dirfd, const char *name)
{
	return has_attribute(dirfd, name, STATX_ATTR_MOUNT_ROOT);
}

bool live_same(const struct live_object *a, const struct live_object *b)
{
	return a->type == b->type && a->ino == b->ino && a->size == b->size &&
	       a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns;
}

void live_object_put(struct record_out *out, const struct live_object *o)
{
	record_put_u8(out, (uint8_t)o->type);
	record_put_u64(out, o->ino);
	record_put_u64(out, o->size);
	record_put_u64(out, (uint64_t)o->ctime_s);
	record_put_u32(out, o->ctime_ns);
	record_put_u32(out, o->mode);
	record_put_u32(out, o->uid);
	record_put_u32(out, o->gid);
}

void live_object_get(struct record *rec, struct live_object *o)
{
	o->type = (char)record_u8(rec);
	o->ino = record_u64(rec);
	o->size = record_u64(rec);
	o->ctime_s = (int64_t)record_u64(rec);
	o->ctime_ns = record_u32(rec);
	o->mode = record_u32(rec);
	o->uid = record_u32(rec);
	o->gid = record_u32(rec);
}

static int read_exactly(int fd, char *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, buf + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		done += (size_t)n;
	}
	return 1;
}

int live_bytes_equal(int a, int b, uint64_t size)
{
	char left[32768], right[32768];
	while (size > 0) {
		size_t len = size < sizeof(left) ? (size_t)size : sizeof(left);
		int r = read_exactly(a, left, len);
		if (r > 0)
			r = read_exactly(b, right, len);
		if (r <= 0)
			return r;
		if (memcmp(left, right, len) != 0)
			return 0;
		size -= len;
	}
	return 1;
}

bool live_is_canonical(const char *path)
{
	if (strnlen(path, PATH_MAX) >= PATH_MAX)
		return false;
	do {
		if (*path++ != '/')
			return false;
		size_t n = strcspn(path, "/");
		if (n == 0 || (path[0] == '.' && (n == 1 || (n == 2 && path[1] == '.'))))
			return false;
		path += n;
	} while (*path);
	return true;
}

const char *live_split(const char *path, char *parent)
{
	const char *slash = strrchr(path, '/');
	assert(slash && slash[1] && strlen(path) < PATH_MAX);
	size_t len = slash == path ? 1 : (size_t)(slash - path);
	memcpy(parent, path, len);
	parent[len] = '\0';
	return slash + 1;
}
