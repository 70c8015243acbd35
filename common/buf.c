// SPDX-License-Identifier: Apache-2.0
#include "common/buf.h"

#include "common/alloc.h"

#include <stdarg.h>
#include <string.h>

#define BUF_FIRST 64
#define BUF_READ_STEP ((size_t)64 * 1024)

void buf_clear(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT(b->ceiling);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = 0;
	if (b->data)
		b->data[0] = '\0';
}

/* Make room for more bytes and the NUL. */
static int reserve(struct buf *b, size_t more)
{
	if (b->failed)
		return b->failed;
	if (more > b->ceiling || b->len > b->ceiling - more)
		return b->failed = -EFBIG;
	size_t need = b->len + more + 1;
	if (need <= b->room)
		return 0;
	size_t room = b->room ? b->room : BUF_FIRST;
	while (room < need)
		room = room > b->ceiling / 2 ? b->ceiling + 1 : room * 2;
	char *data = realloc(b->data, room);
	if (!data)
		return b->failed = -ENOMEM;
	b->data = data;
	b->room = room;
	return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	int r = reserve(b, len);
	if (r < 0)
		return r;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

static int PRINTF_LIKE(2, 0) add_formatted(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return b->failed = -ENOMEM;
	int r = reserve(b, (size_t)n);
	if (r < 0)
		return r;
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int r = add_formatted(b, fmt, ap);
	va_end(ap);
	return r;
}

/* One read of at most step bytes. Returns 1, 0 at the end, or below 0. */
static int read_step(struct buf *b, int fd, size_t step)
{
	int r = reserve(b, step);
	if (r < 0)
		return r;
	ssize_t n;
	do
		n = read(fd, b->data + b->len, step);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	b->len += (size_t)n;
	b->data[b->len] = '\0';
	return n > 0;
}

/* At the ceiling: is there one more byte? */
static int expect_end(struct buf *b, int fd)
{
	char c;
	ssize_t n;
	do
		n = read(fd, &c, 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n > 0 ? (b->failed = -EFBIG) : 0;
}

int buf_read_fd(struct buf *b, int fd)
{
	if (b->failed)
		return b->failed;
	for (;;) {
		size_t left = b->ceiling - b->len;
		if (left == 0)
			return expect_end(b, fd);
		int r = read_step(b, fd, left < BUF_READ_STEP ? left : BUF_READ_STEP);
		if (r <= 0)
			return r;
	}
}

const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

int buf_check(const struct buf *b, const char *what, struct error *err)
{
	if (!b->failed)
		return 0;
	if (b->failed == -EFBIG)
		return error_set(err, -EFBIG, "%s is larger than %zu bytes", what, b->ceiling);
	return error_set(err, b->failed, "%s: out of memory", what);
}

char *buf_take(struct buf *b)
{
	if (b->failed) {
		buf_clear(b);
		return NULL;
	}
	char *data = b->data ? b->data : xstrdup("");
	*b = BUF_INIT(b->ceiling);
	return data;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}
