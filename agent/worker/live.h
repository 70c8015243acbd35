/* SPDX-License-Identifier: Apache-2.0 */
/* The live tree, seen without following a symbolic link: opening directories by their canonical
 * path, and telling whether an object is still the one that was seen before, also after a boot. */
#pragma once

#include "agent/worker/record.h"
#include "common/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* A directory by its canonical absolute path; a symbolic link anywhere in it is -ELOOP. Readable,
 * close-on-exec. Returns the descriptor or negative errno. */
int live_open_dir(const char *path) MUST_CHECK;
/* Does this answer of it mean that there is no such directory, rather than that one cannot tell? */
static inline bool live_is_no_dir(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP;
}

/* Names an object on its file system for good: no device or mount number, they change at boot. */
#define LIVE_HANDLE_MAX 132
struct live_ident {
	uint64_t ino;
	int64_t btime_s;
	uint32_t btime_ns;
	uint16_t handle_len;
	uint8_t handle[LIVE_HANDLE_MAX];
};
int live_ident(int fd, struct live_ident *ret, struct error *err) MUST_CHECK;
bool live_ident_equal(const struct live_ident *a, const struct live_ident *b);
void live_ident_put(struct record_out *out, const struct live_ident *ident);
void live_ident_get(struct record *rec, struct live_ident *ret);

/* Where renames work: the same mount and the same device (subvolumes of btrfs share a mount). */
struct live_mount {
	uint64_t mount_id;
	dev_t dev;
};
int live_mount(int fd, struct live_mount *ret, struct error *err) MUST_CHECK;
/* Of a name in dirfd, not followed. Returns 0 or negative errno. */
int live_mount_at(int dirfd, const char *name, struct live_mount *ret) MUST_CHECK;
static inline bool live_mount_equal(const struct live_mount *a, const struct live_mount *b)
{
	return a->mount_id == b->mount_id && a->dev == b->dev;
}

/* An object as the plan saw it. */
struct live_object {
	char type; /* 'f' 'd' 'l', 'o' for others, 0: nothing there */
	uint64_t ino, size;
	int64_t ctime_s;
	uint32_t ctime_ns;
	uint32_t mode, uid, gid; /* mode: the permission bits */
};
char live_type(mode_t mode);
void live_object(const struct stat *st, struct live_object *ret);
/* What is at name; type 0 when nothing is. Returns 0 or negative errno. */
int live_look(int dirfd, const char *name, struct live_object *ret, struct stat *ret_st) MUST_CHECK;
/* Is it guarded against every change, also by root (chattr +i, +a)? "": dirfd itself. */
bool live_is_frozen(int dirfd, const char *name);
/* Is something mounted right there? Then it cannot be renamed, nor anything over it. */
bool live_is_mount_point(int dirfd, const char *name);
/* Same type, inode, size and change time. */
bool live_same(const struct live_object *a, const struct live_object *b);
void live_object_put(struct record_out *out, const struct live_object *o);
void live_object_get(struct record *rec, struct live_object *o);

/* Are the first size bytes of two files, which is all that both had a moment ago, the same? Returns
 * 1, 0 or negative errno. */
int live_bytes_equal(int a, int b, uint64_t size) MUST_CHECK;

/* Absolute, shorter than PATH_MAX, and no component is empty, "." or "..". The root is none:
 * nothing is ever done to it. What is read from a file is checked with this. */
bool live_is_canonical(const char *path);
/* Split a canonical path: parent into room (PATH_MAX), returns the name in path. */
const char *live_split(const char *path, char *parent);
