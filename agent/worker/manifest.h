/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest: what a deployment group has installed. Format: docs/formats/journal.md. */
#pragma once

#include "agent/worker/acl.h"
#include "agent/worker/pathset.h"
#include "agent/worker/record.h"

#define MANIFEST "manifest"
#define MANIFEST_NEXT "manifest.next"
#define MANIFEST_NO_ROOT UINT32_MAX

struct manifest_entry {
	char type;     /* 'f' 'd' 'l' */
	uint32_t root; /* operation that put its subtree in place, or MANIFEST_NO_ROOT */
	uint32_t mode, uid, gid;
	uint64_t ino, size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	/* Borrowed: good until the next call on the same manifest. */
	const char *path;
	bool has_acl;                /* false: written by a release that did not record ACLs */
	struct acl access, bequeath; /* bequeath: the default ACL of a directory */
	const char *label; /* SELinux, what 'context' of the AppSpec asked for; "": nothing */
};

struct manifest {
	struct record_file file;
	struct pathset paths;
	uint64_t *offsets; /* of the entries, in their order */
	size_t count;
};
#define MANIFEST_INIT ((struct manifest){.file = RECORD_FILE_INIT})
void manifest_clear(struct manifest *m);
#define auto_manifest CLEANUP(manifest_clear)

/* Open and index it; a missing one is empty. ERR_FORMAT when it is damaged. */
int manifest_load(struct manifest *m, int dirfd, const char *name, struct error *err) MUST_CHECK;
/* Entry i of count. */
int manifest_at(struct manifest *m, size_t i, struct manifest_entry *ret,
		struct error *err) MUST_CHECK;
/* Returns 1, 0 when path is not in it, or below 0. */
int manifest_find(struct manifest *m, const char *path, struct manifest_entry *ret,
		  struct error *err) MUST_CHECK;

/* Stream the entries without an index; -ENOENT when there is no such file. fn returns 0 to go on or
 * below 0 to stop with that code. */
typedef int manifest_fn(const struct manifest_entry *entry, void *arg, struct error *err);
int manifest_stream(int dirfd, const char *name, manifest_fn *fn, void *arg,
		    struct error *err) MUST_CHECK;

/* Write one: create (over what is there), add in an order in which directories come first, finish
 * (end record, fsync; not the directory). */
struct manifest_writer {
	struct record_file file;
	uint64_t count;
	struct record_out out;
};
int manifest_create(struct manifest_writer *w, int dirfd, const char *name,
		    struct error *err) MUST_CHECK;
int manifest_add(struct manifest_writer *w, const struct manifest_entry *entry,
		 struct error *err) MUST_CHECK;
int manifest_finish(struct manifest_writer *w, struct error *err) MUST_CHECK;
void manifest_writer_clear(struct manifest_writer *w);
#define auto_manifest_writer CLEANUP(manifest_writer_clear)
