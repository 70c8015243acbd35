/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: a stream of bytes, and the streams that decompress another one. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <sys/types.h>

struct bundle_stream {
	/* The next bytes, borrowed until the next call: their number, 0 at the end, below 0 on an
	 * error. After the end or an error it is not called again. */
	ssize_t (*next)(struct bundle_stream *s, const void **ret, struct error *err);
	void (*free)(struct bundle_stream *s);
};

static inline void bundle_stream_free(struct bundle_stream *s)
{
	if (s)
		s->free(s);
}
DEFINE_CLEANUP(struct bundle_stream *, bundle_stream_free)
#define auto_bundle_stream CLEANUP(bundle_stream_free_at)

/* From a descriptor's offset to its end; borrowed. */
struct bundle_stream *bundle_stream_fd(int fd);
/* From memory; borrowed. */
struct bundle_stream *bundle_stream_memory(const void *data, size_t len);
/* gzip, with its checksums and lengths checked: they are wrong or missing -> ERR_SIGNATURE or
 * ERR_INPUT. Several members in a row are one stream and zero bytes may follow, as with GNU gzip;
 * anything else after it is an error. Takes inner over. */
struct bundle_stream *bundle_stream_gzip(struct bundle_stream *inner);
/* What libarchive decompresses: bzip2, xz, lzma, lzip, zstd, lz4, compress. name: which. Takes
 * inner over. */
struct bundle_stream *bundle_stream_filter(struct bundle_stream *inner, const char *name);
