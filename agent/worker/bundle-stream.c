// SPDX-License-Identifier: Apache-2.0
/* Streams from descriptors and from memory, and gzip. libarchive ignores the checksum and the
 * length at the end of a gzip stream, so that is read by zlib itself, which checks both when it is
 * read up to Z_STREAM_END. */
#include "agent/worker/bundle-stream.h"

#include "common/alloc.h"
#include "common/attr.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define STEP ((size_t)256 * 1024) /* fits the second-level cache */

/* A descriptor */

struct fd_stream {
	struct bundle_stream base;
	int fd;
	unsigned char step[STEP];
};

static ssize_t fd_next(struct bundle_stream *base, const void **ret, struct error *err)
{
	struct fd_stream *s = (struct fd_stream *)base;
	for (;;) {
		ssize_t n = read(s->fd, s->step, sizeof(s->step));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "read the bundle");
		*ret = s->step;
		return n;
	}
}

static void plain_free(struct bundle_stream *base)
{
	free(base);
}

struct bundle_stream *bundle_stream_fd(int fd)
{
	struct fd_stream *s = xcalloc(1, sizeof(*s));
	s->base = (struct bundle_stream){.next = fd_next, .free = plain_free};
	s->fd = fd;
	return &s->base;
}

/* Memory */

struct memory_stream {
	struct bundle_stream base;
	const void *data;
	size_t len;
};

static ssize_t memory_next(struct bundle_stream *base, const void **ret, struct error *err)
{
	struct memory_stream *s = (struct memory_stream *)base;
	size_t len = s->len;
	*ret = s->data;
	s->len = 0;
	return (ssize_t)len;
}

struct bundle_stream *bundle_stream_memory(const void *data, size_t len)
{
	struct memory_stream *s = xcalloc(1, sizeof(*s));
	*s = (struct memory_stream){
		.base = {.next = memory_next, .free = plain_free}, .data = data, .len = len};
	return &s->base;
}

/* gzip */

enum gzip_state {
	GZIP_MEMBER, /* inside one */
	GZIP_AFTER,  /* one has ended: another one, zeros, or the end follow */
	GZIP_ZEROS,
};

struct gzip_stream {
	struct bundle_stream base;
	struct bundle_stream *inner;
	z_stream z;
	enum gzip_state state;
	bool inner_ended;
	unsigned char out[STEP];
};

/* Have input: 1, 0 at the end, below 0 on an error. */
static int fill(struct gzip_stream *s, struct error *err)
{
	if (s->z.avail_in > 0)
		return 1;
	if (s->inner_ended)
		return 0;
	const void *data = NULL;
	ssize_t n = s->inner->next(s->inner, &data, err);
	if (n < 0)
		return (int)n;
	assert((size_t)n <= UINT_MAX);
	s->inner_ended = n == 0;
	s->z.next_in = (unsigned char *)data;
	s->z.avail_in = (unsigned)n;
	return n > 0;
}

static int gzip_failed(struct gzip_stream *s, int z, struct error *err)
{
	const char *why = s->z.msg ? s->z.msg : zError(z);
	if (z == Z_MEM_ERROR)
		return error_set(err, -ENOMEM, "gzip: out of memory");
	bool sum = s->z.msg && (strstr(s->z.msg, "data check") || strstr(s->z.msg, "length check"));
	if (sum)
		return error_set(err, ERR_SIGNATURE,
				 "the checksum or length of the gzip stream is wrong (%s): the "
				 "bundle is damaged",
				 why);
	return error_set(err, ERR_INPUT, "the gzip stream is damaged (%s)", why);
}

/* Between members: decide by the next byte. 1: go on, 0: the end. */
static int gzip_after(struct gzip_stream *s, struct error *err)
{
	for (;;) {
		int r = fill(s, err);
		if (r <= 0)
			return r;
		unsigned char c = *s->z.next_in;
		if (c == 0x1f && s->state == GZIP_AFTER) {
			s->state = GZIP_MEMBER;
			inflateReset(&s->z);
			return 1;
		}
		if (c != 0)
			return error_set(err, ERR_INPUT, "garbage follows the gzip stream");
		s->state = GZIP_ZEROS;
		s->z.next_in++;
		s->z.avail_in--;
	}
}

/* One call of inflate, with input to work on: 1 to go on, 0 when the output is worth handing over,
 * below 0 on an error. */
static int gzip_step(struct gzip_stream *s, struct error *err)
{
	int r = fill(s, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_INPUT, "the gzip stream is truncated");
	int z = inflate(&s->z, Z_NO_FLUSH);
	if (z == Z_STREAM_END)
		s->state = GZIP_AFTER;
	else if (z != Z_OK)
		return gzip_failed(s, z, err);
	return s->z.avail_out > 0;
}

static ssize_t gzip_next(struct bundle_stream *base, const void **ret, struct error *err)
{
	struct gzip_stream *s = (struct gzip_stream *)base;
	s->z.next_out = s->out;
	s->z.avail_out = sizeof(s->out);
	for (int r = 1; r > 0;) {
		r = s->state == GZIP_MEMBER ? gzip_step(s, err) : gzip_after(s, err);
		if (r < 0)
			return r;
	}
	*ret = s->out;
	return (ssize_t)(sizeof(s->out) - s->z.avail_out);
}

static void gzip_free(struct bundle_stream *base)
{
	struct gzip_stream *s = (struct gzip_stream *)base;
	inflateEnd(&s->z);
	bundle_stream_free(s->inner);
	free(s);
}

struct bundle_stream *bundle_stream_gzip(struct bundle_stream *inner)
{
	struct gzip_stream *s = xcalloc(1, sizeof(*s));
	s->base = (struct bundle_stream){.next = gzip_next, .free = gzip_free};
	s->inner = inner;
	/* 16: a gzip header and trailer are wanted, and checked */
	int z = inflateInit2(&s->z, 16 + MAX_WBITS);
	assert(z == Z_OK || z == Z_MEM_ERROR);
	if (z != Z_OK)
		abort();
	return &s->base;
}
