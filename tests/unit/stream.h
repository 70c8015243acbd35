/* SPDX-License-Identifier: Apache-2.0 */
/* A record stream as another release would have begun it. */
#pragma once

#include "common/cleanup.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

/* The header of an existing stream with another version, and its own checksum. */
static inline void stream_set_version(int dirfd, const char *name, char kind, uint8_t version)
{
	uint8_t header[] = {'S', 'L', 'I', 'P', 'W', 'A', 'Y', (uint8_t)kind, version, 0, 0, 0};
	uint32_t crc = 0xffffffff;
	for (size_t i = 0; i < sizeof(header); i++) {
		crc ^= header[i];
		for (int k = 0; k < 8; k++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	crc = ~crc;
	uint8_t sum[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
			  (uint8_t)(crc >> 24)};
	auto_close int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, header, sizeof(header), 0), sizeof(header));
	assert_int_equal(pwrite(fd, sum, sizeof(sum), 12), sizeof(sum));
}
