// SPDX-License-Identifier: Apache-2.0
/* The CRCs are all of the reflected kind, begin with all ones and end inverted: one loop over a
 * table of the polynomial does them, eight bytes at a time. */
#include "control/s3-checksum.h"

#include "common/alloc.h"
#include "common/digest.h"
#include "common/str.h"
#include "control/s3.h"

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct algorithm {
	const char *header;
	int (*digest)(struct digest **ret, struct error *err); /* NULL: a CRC */
	uint64_t polynomial;
	unsigned bits;
};

static const struct algorithm algorithms[] = {
	{S3_CHECKSUM_HEADER "crc32", NULL, 0xEDB88320, 32},
	{S3_CHECKSUM_HEADER "crc32c", NULL, 0x82F63B78, 32},
	{S3_CHECKSUM_HEADER "crc64nvme", NULL, 0x9A6C9329AC4BC9B5, 64},
	{S3_CHECKSUM_HEADER "sha1", digest_new_sha1, 0, 0},
	{S3_CHECKSUM_HEADER "sha256", digest_new_sha256, 0, 0},
};

struct s3_checksum {
	const struct algorithm *algorithm;
	struct digest *digest;
	uint64_t crc;
	uint64_t table[8][256];
};

/* table[0]: one byte; table[k]: that byte, then k zeros. */
static void fill_table(struct s3_checksum *sum)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		uint64_t crc = byte;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ sum->algorithm->polynomial : crc >> 1;
		sum->table[0][byte] = crc;
	}
	for (unsigned k = 1; k < 8; k++)
		for (unsigned byte = 0; byte < 256; byte++) {
			uint64_t crc = sum->table[k - 1][byte];
			sum->table[k][byte] = crc >> 8 ^ sum->table[0][crc & 255];
		}
}

int s3_checksum_new(const char *header, struct s3_checksum **ret, struct error *err)
{
	const struct algorithm *algorithm = NULL;
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
		if (strcasecmp(algorithms[i].header, header) == 0)
			algorithm = &algorithms[i];
	if (!algorithm)
		return error_set(err, ERR_NOT_FOUND, "'%.64s' is no checksum that is known here",
				 header);
	auto_s3_checksum struct s3_checksum *sum = xcalloc(1, sizeof(*sum));
	sum->algorithm = algorithm;
	if (algorithm->digest) {
		int r = algorithm->digest(&sum->digest, err);
		if (r < 0)
			return r;
	} else {
		sum->crc = algorithm->bits == 64 ? UINT64_MAX : UINT32_MAX;
		fill_table(sum);
	}
	*ret = TAKE(sum);
	return 0;
}

void s3_checksum_free(struct s3_checksum *sum)
{
	if (!sum)
		return;
	digest_free(sum->digest);
	free(sum);
}

static void update_crc(struct s3_checksum *sum, const uint8_t *data, size_t len)
{
	uint64_t crc = sum->crc;
	for (; len >= 8; data += 8, len -= 8) {
		uint64_t eight;
		memcpy(&eight, data, sizeof(eight));
		crc ^= le64toh(eight);
		eight = 0;
		for (unsigned k = 0; k < 8; k++)
			eight ^= sum->table[7 - k][crc >> 8 * k & 255];
		crc = eight;
	}
	for (; len > 0; data++, len--)
		crc = crc >> 8 ^ sum->table[0][(crc ^ *data) & 255];
	sum->crc = crc;
}

void s3_checksum_update(struct s3_checksum *sum, const void *data, size_t len)
{
	if (sum->digest)
		digest_update(sum->digest, data, len);
	else
		update_crc(sum, data, len);
}

char *s3_checksum_base64(struct s3_checksum *sum)
{
	char hex[DIGEST_SHA256_HEX];
	if (sum->digest)
		digest_hex(sum->digest, hex);
	else if (sum->algorithm->bits == 64)
		snprintf(hex, sizeof(hex), "%016jx", (uintmax_t)~sum->crc);
	else
		snprintf(hex, sizeof(hex), "%08x", (unsigned)~sum->crc);
	return s3_base64_of_hex(hex);
}

const char *s3_checksum_header(const struct s3_checksum *sum)
{
	return sum->algorithm->header;
}

const char *s3_checksum_known(size_t i)
{
	return i < ARRAY_LEN(algorithms) ? algorithms[i].header : NULL;
}
