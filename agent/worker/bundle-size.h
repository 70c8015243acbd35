/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: what an archive says of its own size before it is unpacked. All of it
 * may be a lie, and is good for one thing: to refuse at once what there is no room for. */
#pragma once

#include "common/room.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The least that the stream in a .gz unpacks to, by its last four bytes (RFC 1952, ISIZE): its
 * length modulo 4 GiB, of the last member only. 0: not known. total: of the file. */
uint64_t bundle_size_gzip(int fd, uint64_t total);
/* The least that a .zst unpacks to, by the header of its first frame (RFC 8878, 3.1.1.1), which
 * does not always tell. 0: not known. */
uint64_t bundle_size_zstd(const void *head, size_t len);
/* All of a zip, by its central directory. A file without one is all zeros. */
struct bundle_zip {
	struct room need;
	char cut[64]; /* beginning of the first name that has a NUL in it, which would end it */
	bool has_cut;
};
void bundle_size_zip(int fd, struct bundle_zip *ret);
