/* SPDX-License-Identifier: Apache-2.0 */
/* The body of an S3 upload on its way to the disk: taken out of its chunks, hashed, and held
 * against everything that the request says of it: x-amz-content-sha256, Content-MD5,
 * Content-Length, x-amz-checksum-*, the signatures of chunks. */
#pragma once

#include "control/awschunk.h"
#include "control/bundles.h"
#include "control/s3-checksum.h"
#include "control/server.h"

struct s3_fault {
	int status;
	const char *code; /* "BadDigest" */
	char text[512];
};

struct s3_body {
	struct bundle_upload *upload; /* NULL once it was handed on */
	struct bundle_digest digest;  /* after s3_body_end() */
	char checksum[96];            /* the same, in base64; "" without one */
	const char *checksum_header;  /* its name, or NULL */
	/* inside only */
	char sha256[65]; /* that was signed; "" for none */
	char *md5, *claimed;
	struct s3_checksum *sum;
	bool chunked;
	uint64_t expected; /* bytes, when chunked */
	struct awschunk chunk;
	struct sigv4_chunks chain;
};

/* All return 0, or -EINVAL with *fault set. */
int s3_body_begin(struct s3_body *body, struct request *request, struct s3_fault *fault) MUST_CHECK;
int s3_body_take(struct s3_body *body, const char *data, size_t len,
		 struct s3_fault *fault) MUST_CHECK;
int s3_body_end(struct s3_body *body, struct s3_fault *fault) MUST_CHECK;
void s3_body_clear(struct s3_body *body); /* drops the upload */

/* A whole small body against the same claims; of_object: but x-amz-checksum-* is about something
 * else. */
int s3_body_check(struct request *request, bool of_object, struct s3_fault *fault) MUST_CHECK;
