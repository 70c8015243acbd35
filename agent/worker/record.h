/* SPDX-License-Identifier: Apache-2.0 */
/* Record streams: a versioned header, then records with length and checksum, so that the torn tail
 * of a crash is recognised. Plan, manifest and journal are such streams; paths stay in them and not
 * in memory. Format: docs/formats/journal.md. */
#pragma once

#include "common/attr.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_MAX 16384 /* bytes of one payload */

enum record_kind { RECORD_PLAN = 'P', RECORD_MANIFEST = 'M', RECORD_JOURNAL = 'J' };

/* A payload in the making. What does not fit is dropped and found by record_append(). */
struct record_out {
	size_t len;
	bool overflow;
	uint8_t data[RECORD_MAX];
};
void record_start(struct record_out *out, uint8_t type);
void record_put_u8(struct record_out *out, uint8_t v);
void record_put_u16(struct record_out *out, uint16_t v);
void record_put_u32(struct record_out *out, uint32_t v);
void record_put_u64(struct record_out *out, uint64_t v);
void record_put_text(struct record_out *out, const char *text);
void record_put_bytes(struct record_out *out, const void *data, uint16_t len);

/* A payload being read; points into its file's window and is good until the next call on that file.
 * Reading past the end gives zeros and sets bad, so that a whole record is checked once. */
struct record {
	uint8_t type;
	bool bad;
	uint8_t version; /* of its file */
	const uint8_t *p, *end;
	uint64_t offset, next; /* of this record and of the one after it */
};
uint8_t record_u8(struct record *r);
uint16_t record_u16(struct record *r);
uint32_t record_u32(struct record *r);
uint64_t record_u64(struct record *r);
const char *record_text(struct record *r); /* never NULL */
const uint8_t *record_bytes(struct record *r, uint16_t *ret_len);
/* 0, or ERR_FORMAT when the record was shorter or longer than what was read. */
int record_check(const struct record *r, const char *what, struct error *err) MUST_CHECK;

struct record_file {
	int fd; /* owned; -1: closed */
	uint8_t version;
	uint64_t end; /* where the next record goes */
	uint64_t pos; /* of record_next() */
	uint8_t *out; /* appended and not yet written: out_len bytes that end at end */
	size_t out_len;
	uint8_t *window; /* what was read last */
	uint64_t window_at;
	size_t window_len;
	bool unchecked; /* the checksums need no second look: ours alone, or read through before */
};
#define RECORD_FILE_INIT ((struct record_file){.fd = -1})
void record_close(struct record_file *f);
#define auto_record_file CLEANUP(record_close)

/* A new stream in an empty, readable and writable file; fd is taken over, also on error. */
int record_create(struct record_file *f, int fd, enum record_kind kind,
		  struct error *err) MUST_CHECK;
/* The version that is written; the one before is read, too. */
#define RECORD_VERSION 2
#define RECORD_VERSION_MIN 1

/* An existing one. ERR_FORMAT when it is not of this kind and a version that we read; a file too
 * short for a header is -ENODATA. */
int record_open(struct record_file *f, int fd, enum record_kind kind, struct error *err) MUST_CHECK;

/* Buffered; ret_offset may be NULL. */
int record_append(struct record_file *f, const struct record_out *out, uint64_t *ret_offset,
		  struct error *err) MUST_CHECK;
int record_flush(struct record_file *f, struct error *err) MUST_CHECK;
/* record_flush() and fsync. */
int record_sync(struct record_file *f, struct error *err) MUST_CHECK;

/* The record at an offset that record_append() or an earlier record gave. Returns 1, 0 at the end
 * (also before a torn tail: then f->pos < the file's size), or below 0. */
int record_at(struct record_file *f, uint64_t offset, struct record *ret,
	      struct error *err) MUST_CHECK;
/* The next one, from the first after record_open() or record_rewind(). */
int record_next(struct record_file *f, struct record *ret, struct error *err) MUST_CHECK;
void record_rewind(struct record_file *f);
/* Put another payload of the same length in the place of the one at offset. */
int record_patch(struct record_file *f, uint64_t offset, const struct record_out *out,
		 struct error *err) MUST_CHECK;
/* Room for some more short records, so that they can be appended to on a disk that is full by then;
 * where the file system knows how. */
int record_reserve(struct record_file *f, struct error *err) MUST_CHECK;
/* Forget everything from f->pos on, written or not: after reading to the end, the torn tail. */
int record_cut(struct record_file *f, struct error *err) MUST_CHECK;
