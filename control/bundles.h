/* SPDX-License-Identifier: Apache-2.0 */
/* The bundle store's bytes: DIR/bundles/sha256/ab/abcd..., each file named by the SHA-256 of its
 * content, and DIR/bundles/parts for the parts of multipart uploads; what they are called is in the
 * store. An upload is written to DIR/bundles/tmp while it is hashed, never held in memory, and gets
 * its name after it is durable. What may take seconds is done by two helper threads: one syncs, one
 * joins parts. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bundles;
struct bundle_upload;

#define BUNDLE_NAME_LEN 24 /* of a part's file */

/* dirfd is borrowed for the call. Removes what earlier uploads left half done. */
int bundles_open(int dirfd, struct loop *loop, struct bundles **ret, struct error *err) MUST_CHECK;
/* Waits for what the threads do now; callbacks are not called any more. */
void bundles_close(struct bundles *bundles);

/* The content's file for reading, ERR_NOT_FOUND when it is not there. */
int bundles_fd(const struct bundles *bundles, const char *sha256, struct error *err) MUST_CHECK;
/* Remove the file of a content (its SHA-256) or of a part that nobody needs; missing is success.
 * ERR_BUSY while the same content is on its way: ask again later. */
int bundles_remove(struct bundles *bundles, const char *file, struct error *err) MUST_CHECK;
/* Call fn for each part's file, then it may be removed. Below 0 from fn ends it. */
typedef int bundle_part_fn(const char *file, void *arg);
int bundles_each_part(struct bundles *bundles, bundle_part_fn *fn, void *arg,
		      struct error *err) MUST_CHECK;

struct bundle_digest {
	char sha256[65], md5[33];
	uint64_t size;
};

/* max_bytes: more is ERR_LIMIT. */
int bundle_upload_new(struct bundles *bundles, uint64_t max_bytes, struct bundle_upload **ret,
		      struct error *err) MUST_CHECK;
int bundle_upload_write(struct bundle_upload *upload, const void *data, size_t len,
			struct error *err) MUST_CHECK;
/* All bytes were written: what are they? */
int bundle_upload_end(struct bundle_upload *upload, struct bundle_digest *ret,
		      struct error *err) MUST_CHECK;
/* result is 0 or a code, with the reason in error; called from the loop. The upload is freed after
 * that. */
typedef void bundle_done_fn(int result, const struct error *error, void *arg);
/* Make it durable, give it the name of its content, call done. */
void bundle_upload_store(struct bundle_upload *upload, bundle_done_fn *done, void *arg);
/* Same, as a part: in a file of its own. */
void bundle_upload_keep(struct bundle_upload *upload, char ret_file[BUNDLE_NAME_LEN + 1],
			bundle_done_fn *done, void *arg);
/* Same, filled with bytes of a file, which is taken over; ret_digest is there when result is 0. */
struct bundle_range {
	int fd;
	uint64_t offset, len;
};
void bundle_upload_copy(struct bundle_upload *upload, const struct bundle_range *from,
			struct bundle_digest *ret_digest, char ret_file[BUNDLE_NAME_LEN + 1],
			bundle_done_fn *done, void *arg);
/* Drop it. Not once it is being stored or kept. Accepts NULL. */
void bundle_upload_cancel(struct bundle_upload *upload);

/* Join parts, in this order, to one content. piece: called on a thread for the bytes, in order;
 * may be NULL. done: as above; the digest (without md5) is there when result is 0. files is
 * borrowed until then. */
struct bundle_join {
	const char *const *files;
	size_t count;
	void (*piece)(void *arg, const void *data, size_t len);
	void (*done)(int result, const struct bundle_digest *digest, const struct error *error,
		     void *arg);
	void *arg;
};
void bundles_join(struct bundles *bundles, const struct bundle_join *join);
