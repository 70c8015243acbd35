/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles: unpacked in a contained child (no network, no privilege it does not need, one writable
 * directory), confined, counted, checked; nothing has its final name before the hash is right. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

enum bundle_type {
	BUNDLE_AUTO,
	BUNDLE_DIRECTORY,
	BUNDLE_TAR,
	BUNDLE_TGZ,
	BUNDLE_TAR_ZST,
	BUNDLE_ZIP
};
const char *
bundle_type_to_string(enum bundle_type t); /* "directory" "tar" "tgz" "tar.zst" "zip" "auto" */
int bundle_type_from_string(const char *name, enum bundle_type *ret) MUST_CHECK;
/* By file name: .tar .tgz .tar.gz .tar.zst .zip; -EINVAL for others. */
int bundle_type_from_path(const char *path, enum bundle_type *ret) MUST_CHECK;

/* A bundle that comes through a pipe while it is fetched. */
struct bundle_feed {
	/* Called all the time while it is unpacked: below 0 ends that. */
	int (*tick)(void *arg, struct error *err);
	/* The pipe has ended after so many bytes. 0: that is all; *ret_etag, the source's until
	 * then, may be exchanged, and NULL stands for one that says nothing of the bytes. Below 0:
	 * it is not. */
	int (*ended)(void *arg, uint64_t bytes, const char **ret_etag, struct error *err);
	void *arg;
};

struct bundle_source {
	int fd; /* the file, or the directory for BUNDLE_DIRECTORY; borrowed; read with pread from
		 * offset 0, may belong to someone hostile: every byte is read once, and what is
		 * hashed is what is unpacked */
	enum bundle_type type; /* BUNDLE_TAR: compression is detected, as GNU tar does */
	const char *name;      /* for messages */
	const char *sha256; /* lower-case hex, NULL: not known (then a gzip stream's CRC and length
			       are checked by us) */
	const char *etag;   /* S3 ETag when it is a plain MD5, compared as AWS does; NULL: none.
			       Ignored when sha256 is given */
	int64_t size_bytes; /* -1: not known */
	const struct bundle_feed *feed; /* fd is a pipe; NULL: a file or directory */
};

struct bundle_limits {
	uint64_t max_bytes;   /* really written; 0: no ceiling */
	uint64_t max_entries; /* 0: no ceiling */
	bool allow_setid;     /* set-id bits and device nodes */
	bool refuse_setid;    /* set-id bits in any case */
	bool refuse_links;    /* symbolic and hard links */
	bool refuse_outward;  /* symbolic links that lead out of the revision */
	bool ignore_owners;   /* those of an archive: everything is this process's */
};

struct bundle_stats {
	uint64_t entries, bytes; /* unpacked */
	uint64_t capabilities;   /* entries of an archive whose file capabilities were left out */
	char sha256[65];         /* of the bundle's bytes; "" for a directory */
};

/* Unpack below parent_fd under a temporary name, hoist a single top-level directory that holds an
 * AppSpec (agent-protocol 10.4), check the hash, then rename to name ("deployment-archive"). What
 * was there under name before is replaced. On error nothing stays. Errors name the entry:
 * ERR_SIGNATURE (hash, ETag, CRC), ERR_INPUT (truncated, encrypted, climbing, not an archive of
 * that type), ERR_LIMIT, -ENOSPC ... progress (may be NULL) is called now and then with bytes of
 * the bundle consumed. */
typedef void bundle_progress_fn(uint64_t done, uint64_t total, void *arg);
int bundle_unpack(const struct bundle_source *source, int parent_fd, const char *name,
		  const struct bundle_limits *limits, bundle_progress_fn *progress, void *arg,
		  struct bundle_stats *ret, struct error *err) MUST_CHECK;
/* Is there anything in an unpacked revision that these limits refuse? As bundle_unpack() asks it.
 */
int bundle_check_tree(int dir_fd, const struct bundle_limits *limits, struct error *err) MUST_CHECK;
/* Remove what an unpacking that was killed has left in this place. Returns 1 when there was
 * something, else 0. */
int bundle_discard(int parent_fd, const char *name, struct error *err) MUST_CHECK;

/* Pack a directory that has an AppSpec into out_fd as tgz or zip: reproducible (sorted, owner 0,
 * times of the files kept). */
int bundle_pack(int dir_fd, enum bundle_type type, int out_fd, struct bundle_stats *ret,
		struct error *err) MUST_CHECK;
