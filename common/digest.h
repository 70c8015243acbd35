/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, MD5 and SHA-1 (only where S3's clients ask for them) and HMAC, over OpenSSL. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SHA256_LEN 32
#define DIGEST_SHA256_HEX 65 /* with the NUL */

struct digest; /* a running digest */
int digest_new_sha256(struct digest **ret, struct error *err) MUST_CHECK;
int digest_new_md5(struct digest **ret, struct error *err) MUST_CHECK;
int digest_new_sha1(struct digest **ret, struct error *err) MUST_CHECK;
void digest_free(struct digest *d);
DEFINE_CLEANUP(struct digest *, digest_free)
#define auto_digest CLEANUP(digest_free_at)
void digest_update(struct digest *d, const void *data, size_t len);
/* Lower-case hex into out (65 bytes are always enough); ends the digest. */
void digest_hex(struct digest *d, char out[DIGEST_SHA256_HEX]);

void digest_sha256(const void *data, size_t len, uint8_t out[DIGEST_SHA256_LEN]);
void digest_sha256_hex(const void *data, size_t len, char out[DIGEST_SHA256_HEX]);
void digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
			uint8_t out[DIGEST_SHA256_LEN]);
/* The whole descriptor from offset 0 (pread), and its size in bytes; ret_size may be NULL. */
int digest_sha256_fd(int fd, char out[DIGEST_SHA256_HEX], uint64_t *ret_size,
		     struct error *err) MUST_CHECK;
/* Constant time. */
int digest_equal(const void *a, const void *b, size_t len);
