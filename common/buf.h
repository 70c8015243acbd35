/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes with a ceiling: everything that input sizes goes through here. A buffer that would
 * pass its ceiling, or for which there is no memory, turns "failed": later appends do nothing, and
 * buf_check() tells. Always NUL-terminated. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data; /* NULL while nothing was appended; else data[len] is NUL */
	size_t len;
	size_t room;
	size_t ceiling; /* bytes, without the NUL */
	int failed;     /* 0, -EFBIG or -ENOMEM */
};

#define BUF_INIT(max_bytes) ((struct buf){.ceiling = (max_bytes)})

void buf_clear(struct buf *b); /* frees; the ceiling stays */
void buf_reset(struct buf *b); /* empties, keeps the memory; the failure is forgotten */
#define auto_buf CLEANUP(buf_clear)

/* Append; returns 0, -EFBIG or -ENOMEM. The failure also sticks, so a run of appends may be checked
 * once at its end. */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Read fd until its end. Returns 0, -EFBIG, -ENOMEM or a read error. */
int buf_read_fd(struct buf *b, int fd) MUST_CHECK;

/* Never NULL: "" when empty. */
const char *buf_str(const struct buf *b);

/* The sticky state: 0, or the code with err filled; what names the content in the message. */
int buf_check(const struct buf *b, const char *what, struct error *err) MUST_CHECK;

/* Hand the bytes on: caller frees. Never NULL on an unfailed buffer; NULL on a failed one. */
char *buf_take(struct buf *b);

/* Drop the first n bytes. */
void buf_consume(struct buf *b, size_t n);
