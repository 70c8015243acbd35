// SPDX-License-Identifier: Apache-2.0
#include "common/digest.h"

#include "common/alloc.h"
#include "common/str.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_STEP ((size_t)128 * 1024)

struct digest {
	EVP_MD_CTX *ctx;
};

static int digest_new(const EVP_MD *type, struct digest **ret, struct error *err)
{
	auto_digest struct digest *d = xcalloc(1, sizeof(*d));
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, type, NULL) != 1)
		return error_set(err, ERR_CRYPTO, "OpenSSL offers no %s", EVP_MD_get0_name(type));
	*ret = TAKE(d);
	return 0;
}

int digest_new_sha256(struct digest **ret, struct error *err)
{
	return digest_new(EVP_sha256(), ret, err);
}

int digest_new_md5(struct digest **ret, struct error *err)
{
	return digest_new(EVP_md5(), ret, err);
}

int digest_new_sha1(struct digest **ret, struct error *err)
{
	return digest_new(EVP_sha1(), ret, err);
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

/* Once a digest was begun, OpenSSL fails only for want of memory. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

void digest_update(struct digest *d, const void *data, size_t len)
{
	must(EVP_DigestUpdate(d->ctx, data, len));
}

void digest_hex(struct digest *d, char out[DIGEST_SHA256_HEX])
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	must(EVP_DigestFinal_ex(d->ctx, sum, &len));
	if (len > DIGEST_SHA256_LEN)
		abort();
	str_hex(sum, len, out);
}

void digest_sha256(const void *data, size_t len, uint8_t out[DIGEST_SHA256_LEN])
{
	must(EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL));
}

void digest_sha256_hex(const void *data, size_t len, char out[DIGEST_SHA256_HEX])
{
	uint8_t sum[DIGEST_SHA256_LEN];
	digest_sha256(data, len, sum);
	str_hex(sum, sizeof(sum), out);
}

void digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
			uint8_t out[DIGEST_SHA256_LEN])
{
	/* a NULL key means "the same key again" to OpenSSL */
	must(HMAC(EVP_sha256(), key_len ? key : "", (int)key_len, data, len, out, NULL) != NULL);
}

int digest_sha256_fd(int fd, char out[DIGEST_SHA256_HEX], uint64_t *ret_size, struct error *err)
{
	auto_digest struct digest *d = NULL;
	int r = digest_new_sha256(&d, err);
	if (r < 0)
		return r;
	auto_free char *step = xcalloc(1, READ_STEP);
	uint64_t size = 0;
	for (;;) {
		ssize_t n = pread(fd, step, READ_STEP, (off_t)size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "read what is to be hashed");
		if (n == 0)
			break;
		digest_update(d, step, (size_t)n);
		size += (uint64_t)n;
	}
	digest_hex(d, out);
	if (ret_size)
		*ret_size = size;
	return 0;
}

int digest_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
