/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: makes what an archive's entries say, below one directory and nowhere
 * else (openat2 beneath it, through no symlink). Counts what is really written. */
#pragma once

#include "agent/worker/bundle.h"
#include "common/buf.h"
#include "common/room.h"

#include <limits.h>
#include <sys/types.h>
#include <time.h>

struct bundle_entry {
	const char *path; /* as in the archive */
	mode_t mode;      /* with the type; not looked at when hardlink is set */
	uid_t uid;        /* applied when the writer is privileged */
	gid_t gid;
	bool has_mtime;
	struct timespec mtime;
	const char *symlink;  /* text of a symlink */
	const char *hardlink; /* name of the entry that this is another name of, or NULL */
	dev_t device;
};

struct bundle_writer {
	int root_fd; /* borrowed */
	struct bundle_limits limits;
	bool privileged; /* owners are applied */
	uid_t uid;       /* of what this process makes */
	gid_t gid;
	uint64_t entries, bytes;
	uint64_t unasked;      /* bytes since it was last looked whether there is room */
	uint64_t capabilities; /* entries that had some: they are not set */

	/* the entry at work */
	char path[PATH_MAX]; /* normalised */
	char *base;          /* its last part, inside path */
	char parent[PATH_MAX];
	int parent_fd; /* of the directory parent, O_PATH; -1: none is open */
	int file_fd;   /* a regular file that gets its data; -1 */
	struct bundle_entry entry;
	uint64_t end;   /* of the data written */
	uint64_t begun; /* up to here the disk was asked to begin */

	int dirs_fd; /* records of directories, for the end */
	struct buf dirs;
};

int bundle_writer_init(struct bundle_writer *w, int root_fd, const struct bundle_limits *limits,
		       struct error *err) MUST_CHECK;
void bundle_writer_clear(struct bundle_writer *w);
#define auto_bundle_writer CLEANUP(bundle_writer_clear)

/* Before the first entry, where it is known how much comes: is it allowed, and is there room for it?
 * ERR_LIMIT, -ENOSPC */
int bundle_write_expect(struct bundle_writer *w, const struct room *need,
			struct error *err) MUST_CHECK;
/* Make one entry. Of a regular file the data comes afterwards, by _data() in any order of offsets,
 * ended by _end(), which is harmless after other entries. Strings of entry are borrowed until then.
 * What the entry's name held before is replaced. */
int bundle_write_entry(struct bundle_writer *w, const struct bundle_entry *entry,
		       struct error *err) MUST_CHECK;
int bundle_write_data(struct bundle_writer *w, const void *data, size_t len, uint64_t offset,
		      struct error *err) MUST_CHECK;
/* size_bytes: the file's size; more than was written is a hole at its end. */
int bundle_write_end(struct bundle_writer *w, uint64_t size_bytes, struct error *err) MUST_CHECK;
/* After the last entry: owner, mode and time of directories. */
int bundle_write_finish(struct bundle_writer *w, struct error *err) MUST_CHECK;
/* Count bytes that get into the entry by other ways than _data(). */
int bundle_write_count(struct bundle_writer *w, uint64_t bytes, struct error *err) MUST_CHECK;
