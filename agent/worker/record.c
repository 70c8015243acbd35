// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/record.h"

#include "agent/worker/fault.h"
#include "common/alloc.h"
#include "common/checksum.h"
#include "common/fs.h"

#include <assert.h>
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_LEN 16
#define HEAD_LEN 8 /* length and checksum in front of a payload */
#define ROOM (64 * 1024)
#define JUMP 4096
#define RESERVE 4096
#define BACK (ROOM - HEAD_LEN - RECORD_MAX)

static uint32_t get_u32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static void set_u32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

/* Over the length too: a length that a torn write changed must not pass. */
static uint32_t checksum(const uint8_t head[4], const uint8_t *payload, size_t len)
{
	return checksum_crc32(checksum_crc32(0, head, 4), payload, len);
}

static void put(struct record_out *out, const void *data, size_t len)
{
	if (out->overflow || len > sizeof(out->data) - out->len) {
		out->overflow = true;
		return;
	}
	memcpy(out->data + out->len, data, len);
	out->len += len;
}

void record_start(struct record_out *out, uint8_t type)
{
	out->len = 0;
	out->overflow = false;
	record_put_u8(out, type);
}

void record_put_u8(struct record_out *out, uint8_t v)
{
	put(out, &v, 1);
}

void record_put_u16(struct record_out *out, uint16_t v)
{
	v = htole16(v);
	put(out, &v, sizeof(v));
}

void record_put_u32(struct record_out *out, uint32_t v)
{
	v = htole32(v);
	put(out, &v, sizeof(v));
}

void record_put_u64(struct record_out *out, uint64_t v)
{
	v = htole64(v);
	put(out, &v, sizeof(v));
}

void record_put_text(struct record_out *out, const char *text)
{
	size_t len = strlen(text);
	if (len > UINT16_MAX) {
		out->overflow = true;
		return;
	}
	record_put_u16(out, (uint16_t)len);
	put(out, text, len + 1);
}

void record_put_bytes(struct record_out *out, const void *data, uint16_t len)
{
	record_put_u16(out, len);
	put(out, data, len);
}

static const uint8_t *take(struct record *r, size_t len)
{
	static const uint8_t zeros[8];

	if (r->bad || len > (size_t)(r->end - r->p)) {
		r->bad = true;
		return len <= sizeof(zeros) ? zeros : NULL;
	}
	const uint8_t *p = r->p;
	r->p += len;
	return p;
}

uint8_t record_u8(struct record *r)
{
	return *take(r, 1);
}

uint16_t record_u16(struct record *r)
{
	uint16_t v;
	memcpy(&v, take(r, sizeof(v)), sizeof(v));
	return le16toh(v);
}

uint32_t record_u32(struct record *r)
{
	return get_u32(take(r, 4));
}

uint64_t record_u64(struct record *r)
{
	uint64_t v;
	memcpy(&v, take(r, sizeof(v)), sizeof(v));
	return le64toh(v);
}

const uint8_t *record_bytes(struct record *r, uint16_t *ret_len)
{
	uint16_t len = record_u16(r);
	const uint8_t *p = take(r, len);
	*ret_len = r->bad ? 0 : len;
	return p;
}

const char *record_text(struct record *r)
{
	uint16_t len = record_u16(r);
	const char *text = (const char *)take(r, (size_t)len + 1);
	if (!r->bad && strnlen(text, (size_t)len + 1) == len)
		return text;
	r->bad = true;
	return "";
}

int record_check(const struct record *r, const char *what, struct error *err)
{
	if (r->bad || r->p != r->end)
		return error_set(err, ERR_FORMAT, "%s: a record of type %u has the wrong length",
				 what, r->type);
	return 0;
}

void record_close(struct record_file *f)
{
	free(f->out);
	free(f->window);
	fs_close_quiet(f->fd);
	*f = RECORD_FILE_INIT;
}

static void header_make(uint8_t header[HEADER_LEN], enum record_kind kind, uint32_t version)
{
	memcpy(header, "SLIPWAY", 7);
	header[7] = (uint8_t)kind;
	set_u32(header + 8, version);
	set_u32(header + 12, checksum_crc32(0, header, 12));
}

static void adopt(struct record_file *f, int fd)
{
	*f = (struct record_file){.fd = fd, .end = HEADER_LEN, .pos = HEADER_LEN};
}

int record_create(struct record_file *f, int fd, enum record_kind kind, struct error *err)
{
	adopt(f, fd);
	f->out = xcalloc(1, ROOM);
	f->version = RECORD_VERSION;
	header_make(f->out, kind, f->version);
	f->out_len = HEADER_LEN;
	return record_flush(f, err);
}

/* Which file it is (the plan, the manifest, the journal), and where: a full disk is looked for
 * there. */
static int failed(const struct record_file *f, const char *what, struct error *err)
{
	int e = errno;
	char link[32], path[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	return error_set(err, -e, "%s %s: %s", what, n < 0 ? "a record stream" : path, strerror(e));
}

int record_open(struct record_file *f, int fd, enum record_kind kind, struct error *err)
{
	adopt(f, fd);

	struct stat st;
	if (fstat(fd, &st) < 0)
		return failed(f, "stat", err);
	uint8_t got[HEADER_LEN], want[HEADER_LEN];
	ssize_t n = pread(fd, got, sizeof(got), 0);
	if (n < 0)
		return failed(f, "read", err);
	if (n < HEADER_LEN)
		return error_set(err, -ENODATA, "the header is cut off");

	uint32_t version = get_u32(got + 8);
	header_make(want, kind, version);
	if (memcmp(got, want, sizeof(got)) != 0)
		return error_set(err, ERR_FORMAT, "the header is not that of this kind of file");
	if (version < RECORD_VERSION_MIN || version > RECORD_VERSION)
		return error_set(err, ERR_FORMAT,
				 "version %u was written by another release; this "
				 "one reads versions %d to %d",
				 version, RECORD_VERSION_MIN, RECORD_VERSION);
	f->version = (uint8_t)version;
	f->end = (uint64_t)st.st_size;
	return 0;
}

int record_flush(struct record_file *f, struct error *err)
{
	if (f->out_len == 0)
		return 0;
	uint64_t at = f->end - f->out_len;
	for (size_t done = 0; done < f->out_len;) {
		ssize_t n = pwrite(f->fd, f->out + done, f->out_len - done, (off_t)(at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(f, "write", err);
		done += FAULT_DEFECT("trust-write") ? f->out_len : (size_t)n;
	}
	f->out_len = 0;
	return 0;
}

int record_sync(struct record_file *f, struct error *err)
{
	int r = record_flush(f, err);
	if (r < 0)
		return r;
	return fsync(f->fd) < 0 ? failed(f, "fsync", err) : 0;
}

int record_append(struct record_file *f, const struct record_out *out, uint64_t *ret_offset,
		  struct error *err)
{
	if (out->overflow)
		return error_set(err, ERR_LIMIT, "a record is longer than %d bytes", RECORD_MAX);
	if (!f->out)
		f->out = xcalloc(1, ROOM);
	if (f->out_len + HEAD_LEN + out->len > ROOM) {
		int r = record_flush(f, err);
		if (r < 0)
			return r;
	}

	uint8_t *p = f->out + f->out_len;
	set_u32(p, (uint32_t)out->len);
	set_u32(p + 4, checksum(p, out->data, out->len));
	memcpy(p + HEAD_LEN, out->data, out->len);
	if (ret_offset)
		*ret_offset = f->end;
	f->out_len += HEAD_LEN + out->len;
	f->end += HEAD_LEN + out->len;
	return 0;
}

/* Bytes at offset: from what is not written yet, else from the window, which is filled from there
 * on. Returns how many of want there are. */
static ssize_t look(struct record_file *f, uint64_t offset, size_t want, const uint8_t **ret)
{
	uint64_t written = f->end - f->out_len;
	if (f->out_len > 0 && offset >= written) {
		*ret = f->out + (offset - written);
		return (ssize_t)(f->end - offset);
	}
	if (offset >= f->window_at && offset + want <= f->window_at + f->window_len) {
		*ret = f->window + (offset - f->window_at);
		return (ssize_t)(f->window_at + f->window_len - offset);
	}
	if (!f->window)
		f->window = xcalloc(1, ROOM);
	/* Walking on fills the window, walking back puts the record near its end, and a jump
	 * anywhere else reads little. */
	uint64_t at = offset;
	size_t ask = want > JUMP ? want : JUMP;
	if (offset >= f->window_at && offset <= f->window_at + f->window_len)
		ask = ROOM;
	else if (offset < f->window_at && f->window_at - offset < ROOM) {
		ask = ROOM;
		at = offset > BACK ? offset - BACK : 0;
	}
	f->window_len = 0;
	uint64_t room = written > at ? written - at : 0;
	ask = room < ask ? (size_t)room : ask;
	ssize_t n = ask ? pread(f->fd, f->window, ask, (off_t)at) : 0;
	if (n < 0)
		return n;
	f->window_at = at;
	f->window_len = (size_t)n;
	if (at + f->window_len < offset)
		return 0;
	*ret = f->window + (offset - at);
	return (ssize_t)(at + f->window_len - offset);
}

int record_at(struct record_file *f, uint64_t offset, struct record *ret, struct error *err)
{
	const uint8_t *p;
	if (offset + HEAD_LEN > f->end)
		return 0;
	ssize_t n = look(f, offset, HEAD_LEN, &p);
	if (n < 0)
		return failed(f, "read", err);
	if (n < HEAD_LEN)
		return 0;
	size_t len = get_u32(p);
	if (len == 0 || len > RECORD_MAX || len > f->end - offset - HEAD_LEN)
		return 0;
	n = look(f, offset, HEAD_LEN + len, &p);
	if (n < 0)
		return failed(f, "read", err);
	if ((size_t)n < HEAD_LEN + len ||
	    (!f->unchecked && checksum(p, p + HEAD_LEN, len) != get_u32(p + 4)))
		return 0;

	*ret = (struct record){.type = p[HEAD_LEN],
			       .version = f->version,
			       .p = p + HEAD_LEN + 1,
			       .end = p + HEAD_LEN + len,
			       .offset = offset,
			       .next = offset + HEAD_LEN + len};
	return 1;
}

int record_next(struct record_file *f, struct record *ret, struct error *err)
{
	int r = record_at(f, f->pos, ret, err);
	if (r > 0)
		f->pos = ret->next;
	return r;
}

void record_rewind(struct record_file *f)
{
	f->pos = HEADER_LEN;
}

int record_patch(struct record_file *f, uint64_t offset, const struct record_out *out,
		 struct error *err)
{
	struct record old;
	int r = record_at(f, offset, &old, err);
	if (r < 0)
		return r;
	assert(r == 1 && !out->overflow && old.next - old.offset == HEAD_LEN + out->len);

	r = record_flush(f, err);
	if (r < 0)
		return r;
	uint8_t bytes[HEAD_LEN + RECORD_MAX];
	set_u32(bytes, (uint32_t)out->len);
	set_u32(bytes + 4, checksum(bytes, out->data, out->len));
	memcpy(bytes + HEAD_LEN, out->data, out->len);
	size_t len = HEAD_LEN + out->len;
	f->window_len = 0;
	if (pwrite(f->fd, bytes, len, (off_t)offset) != (ssize_t)len)
		return failed(f, "write", err);
	return 0;
}

int record_reserve(struct record_file *f, struct error *err)
{
	int r = record_flush(f, err);
	if (r < 0)
		return r;
	if (fallocate(f->fd, FALLOC_FL_KEEP_SIZE, (off_t)f->end, RESERVE) == 0 ||
	    errno == EOPNOTSUPP || errno == ENOSYS)
		return 0;
	return failed(f, "reserve room in", err);
}

int record_cut(struct record_file *f, struct error *err)
{
	f->out_len = 0;
	f->window_len = 0;
	f->end = f->pos;
	if (ftruncate(f->fd, (off_t)f->pos) < 0)
		return failed(f, "cut", err);
	return 0;
}
