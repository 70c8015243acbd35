/* SPDX-License-Identifier: Apache-2.0 */
/* "aws-chunked" bodies, as S3 clients send them: size in hex [;chunk-signature=...] CRLF data CRLF
 * ... 0 CRLF trailers CRLF. Fed piece by piece, however the network cut them. The forms, as
 * x-amz-content-sha256 names them:
 *
 *     STREAMING-UNSIGNED-PAYLOAD-TRAILER             nothing is signed, a checksum follows
 *     STREAMING-AWS4-HMAC-SHA256-PAYLOAD             every chunk is signed
 *     STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER     so are the trailers */
#pragma once

#include "common/error.h"
#include "common/sigv4.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AWSCHUNK_LINE_MAX 512

struct digest;

struct awschunk {
	/* set at the beginning, else zeroed */
	struct sigv4_chunks *chain; /* NULL: chunks are not signed; borrowed */
	bool signed_trailer;

	int state;
	uint64_t left;  /* of the chunk's data */
	uint64_t total; /* of all data so far */
	char line[AWSCHUNK_LINE_MAX];
	size_t line_len;
	struct digest *hash; /* of the chunk's data */
	char signature[65];  /* of the chunk */
	char canonical[AWSCHUNK_LINE_MAX];
	bool trailer_proved;
	/* the last trailer: "x-amz-checksum-crc32", "base64"; "" when none came */
	char trailer_name[64], trailer_value[128];
};

/* sink gets the data (of a signed chunk before its signature is known: nothing may be done with it
 * before the end). Returns 0, ERR_FORMAT, ERR_SIGNATURE, or what sink returned below 0. */
typedef int awschunk_sink(const char *data, size_t len, void *arg, struct error *err);
int awschunk_feed(struct awschunk *c, const char *data, size_t len, awschunk_sink *sink, void *arg,
		  struct error *err) MUST_CHECK;
/* The body has ended: was it whole, and signed where it must be? */
int awschunk_end(const struct awschunk *c, struct error *err) MUST_CHECK;
void awschunk_clear(struct awschunk *c);
