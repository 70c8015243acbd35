/* SPDX-License-Identifier: Apache-2.0 */
/* File system helpers that work from directory descriptors: atomic write, confined opening, safe
 * walks. */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Write beside (".NAME.new"), fsync, rename over name, fsync the directory. name has no '/'. After
 * a crash the file is the whole old or the whole new one; what was written beside may be left, and
 * the next write of the same name uses it up. Returns 0 or negative errno. */
int fs_write_atomic(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
		    struct error *err) MUST_CHECK;

/* Open what must be a regular file: -EINVAL for anything else, none of which is waited for; follows
 * no final symlink. flags: O_RDONLY or O_RDWR. Returns the descriptor or below 0. */
int fs_open_regular(int dirfd, const char *name, int flags, struct error *err) MUST_CHECK;
/* Whole file into a NUL-terminated buffer, refusing more than max bytes (-EFBIG). Caller frees
 * *ret. -ENOENT when missing. Refuses what is not a regular file (-EINVAL); follows no final
 * symlink. */
int fs_read_file(int dirfd, const char *name, size_t max, char **ret, size_t *ret_len,
		 struct error *err) MUST_CHECK;
/* The same of a path that a person named: through symlinks, configuration management places them.
 */
int fs_read_path(const char *path, size_t max, char **ret, size_t *ret_len,
		 struct error *err) MUST_CHECK;
/* Same from an open descriptor, from its current offset. */
int fs_read_fd(int fd, size_t max, char **ret, size_t *ret_len, struct error *err) MUST_CHECK;

/* All of data to fd, at fd's offset. */
int fs_write_all(int fd, const void *data, size_t len) MUST_CHECK;

/* openat2: relative to dirfd, never above it (RESOLVE_BENEATH) and through no symlink
 * (RESOLVE_NO_SYMLINKS), close-on-exec. Returns the descriptor or negative errno (-ELOOP: a symlink
 * in the path; -EXDEV: it climbs). */
int fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode) MUST_CHECK;
/* Same, but symlinks inside are followed as long as they stay beneath dirfd. */
int fs_open_inside(int dirfd, const char *path, int flags, mode_t mode) MUST_CHECK;

/* mkdir -p below dirfd (through no symlink); directories that are made get mode (exactly, whatever
 * the umask; a set-group-id bit of the parent is inherited). Returns an O_DIRECTORY descriptor of
 * the last one, or negative errno. path "" or "." gives dirfd again. */
int fs_mkdirs(int dirfd, const char *path, mode_t mode, struct error *err) MUST_CHECK;
/* mkdir -p of an absolute or cwd-relative path; follows existing symlinks (it is the caller's own
 * root). */
int fs_mkdirs_path(const char *path, mode_t mode, struct error *err) MUST_CHECK;

/* Remove name below dirfd, whatever it is, with all below it; follows no symlink, crosses no mount.
 * Missing is success. */
int fs_remove_tree(int dirfd, const char *name, struct error *err) MUST_CHECK;

/* Best effort, by name: the failure is meant to be dropped. */
void fs_unlink_quiet(int dirfd, const char *name);
void fs_close_quiet(int fd);

int fs_sync_dir(int dirfd, struct error *err) MUST_CHECK; /* fsync of a directory descriptor */
int fs_sync_fs(int fd, struct error *err) MUST_CHECK;     /* syncfs */

enum fs_copy {
	FS_COPY_PLAIN,
	FS_COPY_LAST_READ, /* in is synced and not read again soon: of a large file, the page cache
			    * keeps the copy only */
};
/* Copy all bytes of in (from its offset 0) to out: reflink, else copy_file_range, else read and
 * write; holes stay holes. The disk begins to write a large file while it is copied. */
int fs_copy_content(int in, int out, enum fs_copy how, struct error *err) MUST_CHECK;

/* Would such a copy of in to a new file in the directory share its blocks, and so take no room? */
bool fs_can_clone(int in, int dirfd);

/* One entry of a walk; name and path are borrowed until the callback returns. */
struct fs_entry {
	int dirfd;        /* of the directory that holds it */
	const char *name; /* in dirfd */
	const char *path; /* relative to the walk's root; "" for the root itself is not visited */
	struct stat st;   /* lstat */
	bool leaving; /* a directory, visited again after its content (only with FS_WALK_POST) */
};
enum { FS_WALK_POST = 1, FS_WALK_SORTED = 2 };
/* Visit everything below dirfd, parents before content; follows no symlink, crosses no mount; a
 * level may not have more names than memory holds, depth is at most 256. The callback returns 0 to
 * go on, FS_WALK_SKIP not to enter this directory, below 0 to stop with that code. */
#define FS_WALK_SKIP 1
typedef int fs_walk_fn(const struct fs_entry *entry, void *arg, struct error *err);
int fs_walk(int dirfd, int flags, fs_walk_fn *fn, void *arg, struct error *err) MUST_CHECK;

/* What is below dirfd takes on disk, blocks that are shared counted in full. A hard link is counted
 * as often as it is there. */
int fs_tree_bytes(int dirfd, uint64_t *ret, struct error *err) MUST_CHECK;

/* Join with exactly one '/'; an empty part adds nothing. Caller frees. */
char *fs_join(const char *a, const char *b);
/* Absolute path without ".", "..", "//" and trailing "/" (text only, symlinks are not looked at).
 * -EINVAL when path is not absolute or climbs above "/". Caller frees. */
int fs_normalise(const char *path, char **ret) MUST_CHECK;

/* Exclusive lock on a file (made when missing, 0600), held until the descriptor is closed. wait_ms
 * 0: do not wait. Returns the descriptor, ERR_BUSY when someone else holds it, or negative errno.
 */
int fs_lock(int dirfd, const char *name, uint64_t wait_ms, struct error *err) MUST_CHECK;
