/* SPDX-License-Identifier: Apache-2.0 */
/* What S3's clients expect of a path-style endpoint: names, ranges, XML faults. Pure text. */
#pragma once

#include "common/error.h"
#include "control/server.h"

#include <stdbool.h>
#include <stdint.h>

#define S3_KEY_MAX 1024 /* bytes, decoded */

/* "/bucket/key" with percent encoding into bucket and key. The key may be empty (the bucket
 * itself). ERR_INPUT when the bucket is no DNS label of 3 to 63 characters or the key is too long,
 * no UTF-8, or holds NUL. */
struct s3_path {
	char bucket[64];
	char key[S3_KEY_MAX + 1];
};
int s3_path_parse(const char *path, struct s3_path *ret, struct error *err) MUST_CHECK;

/* A Range header for an object of that size. Returns 0: the whole object (no header, not bytes, or
 * several ranges, as S3 does); 1: *ret_offset and *ret_len are set; ERR_INPUT: cannot be satisfied
 * (416). */
int s3_range_parse(const char *range, uint64_t size, uint64_t *ret_offset,
		   uint64_t *ret_len) MUST_CHECK;

/* Base64 of bytes given in hex, as Content-MD5 has it. Caller frees. */
char *s3_base64_of_hex(const char *hex);

/* <Error><Code>...: the types of the JSON services are renamed. */
void s3_reply_fault(struct request *request, int status, const char *type, const char *message);
