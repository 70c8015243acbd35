/* SPDX-License-Identifier: Apache-2.0 */
/* The bundle store's bytes: DIR/bundles/sha256/ab/abcd..., each file named by the SHA-256 of its
 * content; what they are called is in the store. An upload is written to DIR/bundles/tmp while it
 * is hashed, never held in memory, and gets its name after it is durable. Syncing may take seconds:
 * it is done by the one helper thread of the endpoint. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"
#include "common/loop.h"

#include <stddef.h>
#include <stdint.h>

struct bundles;
struct bundle_upload;

/* dirfd is borrowed for the call. Removes what earlier uploads left half done. */
int bundles_open(int dirfd, struct loop *loop, struct bundles **ret, struct error *err) MUST_CHECK;
/* Waits for the sync that runs; callbacks are not called any more. */
void bundles_close(struct bundles *bundles);

/* The content's file for reading, ERR_NOT_FOUND when it is not there. */
int bundles_fd(const struct bundles *bundles, const char *sha256, struct error *err) MUST_CHECK;

struct bundle_digest {
	char sha256[65], md5[33];
	uint32_t crc32;
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
/* Make it durable and give it its name, then call done from the loop: result is 0 or a code, with
 * the reason in error. The upload is freed after that. */
typedef void bundle_done_fn(int result, const struct error *error, void *arg);
void bundle_upload_store(struct bundle_upload *upload, bundle_done_fn *done, void *arg);
/* Drop it. While it is being stored: done will not be called. Accepts NULL. */
void bundle_upload_cancel(struct bundle_upload *upload);
