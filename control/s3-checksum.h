/* SPDX-License-Identifier: Apache-2.0 */
/* The checksums that S3's clients send beside a body: crc32, crc32c, crc64nvme, sha1, sha256, as
 * x-amz-checksum-NAME in a header or a trailer, in base64, most significant byte first. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stddef.h>

#define S3_CHECKSUM_HEADER "x-amz-checksum-"

struct s3_checksum;

/* header: "x-amz-checksum-crc32c", any case. ERR_NOT_FOUND when it names no algorithm. */
int s3_checksum_new(const char *header, struct s3_checksum **ret, struct error *err) MUST_CHECK;
void s3_checksum_free(struct s3_checksum *sum); /* accepts NULL */
DEFINE_CLEANUP(struct s3_checksum *, s3_checksum_free)
#define auto_s3_checksum CLEANUP(s3_checksum_free_at)
void s3_checksum_update(struct s3_checksum *sum, const void *data, size_t len);
/* Ends it. Caller frees. */
char *s3_checksum_base64(struct s3_checksum *sum);
/* "x-amz-checksum-crc32c" */
const char *s3_checksum_header(const struct s3_checksum *sum);
/* The i-th header name that there is, NULL at the end. */
const char *s3_checksum_known(size_t i);
