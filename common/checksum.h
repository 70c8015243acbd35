/* SPDX-License-Identifier: Apache-2.0 */
/* A checksum against accidents, where nobody attacks: CRC-32 as in gzip, zip and S3, over zlib. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Begins with crc 0, goes on with what it returned. */
uint32_t checksum_crc32(uint32_t crc, const void *data, size_t len);
