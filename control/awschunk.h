/* SPDX-License-Identifier: Apache-2.0 */
/* "aws-chunked" bodies, as S3 clients send them over TLS (x-amz-content-sha256:
 * STREAMING-UNSIGNED-PAYLOAD-TRAILER): size in hex CRLF data CRLF ... 0 CRLF trailers CRLF. Fed
 * piece by piece, however the network cut them. */
#pragma once

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define AWSCHUNK_LINE_MAX 512

struct awschunk {
	int state;
	uint64_t left;  /* of the chunk's data */
	uint64_t total; /* of all data so far */
	char line[AWSCHUNK_LINE_MAX];
	size_t line_len;
	/* the last trailer: "x-amz-checksum-crc32", "base64"; "" when none came */
	char trailer_name[64], trailer_value[128];
};

/* Zeroed is the beginning. sink gets the data. Returns 0, ERR_FORMAT, or what sink returned below
 * 0. */
typedef int awschunk_sink(const char *data, size_t len, void *arg, struct error *err);
int awschunk_feed(struct awschunk *c, const char *data, size_t len, awschunk_sink *sink, void *arg,
		  struct error *err) MUST_CHECK;
/* The body has ended: was it whole? */
int awschunk_end(const struct awschunk *c, struct error *err) MUST_CHECK;
