// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/bundle-size.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZIP_END_LEN 22 /* without its comment */
#define ZIP_COMMENT_MAX 0xffff
#define ZIP_LOCATOR_LEN 20 /* before the end, of a zip64 */
#define ZIP_END64_LEN 56
#define ZIP_ENTRY_LEN 46 /* without name, extra fields and comment */
#define ZIP_WINDOW ((size_t)256 * 1024)
#define ZIP_IN_EXTRA UINT32_MAX

/* Little-endian. */
static uint64_t get(const unsigned char *at, size_t len)
{
	uint64_t value = 0;
	for (size_t i = len; i-- > 0;)
		value = value << 8 | at[i];
	return value;
}

static bool read_at(int fd, void *out, size_t len, uint64_t offset)
{
	return offset <= INT64_MAX && pread(fd, out, len, (off_t)offset) == (ssize_t)len;
}

uint64_t bundle_size_gzip(int fd, uint64_t total)
{
	unsigned char tail[4];
	if (total < sizeof(tail) || !read_at(fd, tail, sizeof(tail), total - sizeof(tail)))
		return 0;
	return get(tail, sizeof(tail));
}

uint64_t bundle_size_zstd(const void *head, size_t len)
{
	static const size_t dictionary_len[] = {0, 1, 2, 4}, size_len[] = {0, 2, 4, 8};
	const unsigned char *bytes = head;
	if (len < 5)
		return 0;
	unsigned flags = bytes[4];
	bool single = flags & 0x20;
	size_t n = flags >> 6 ? size_len[flags >> 6] : single;
	size_t at = 5 + !single + dictionary_len[flags & 3];
	if (n == 0 || at + n > len)
		return 0;
	return get(bytes + at, n) + (n == 2 ? 256 : 0);
}

/* The end of central directory record, which may be followed by a comment. */
static bool find_end(const unsigned char *tail, size_t len, size_t *ret)
{
	size_t at = len < ZIP_END_LEN ? 0 : len - ZIP_END_LEN + 1;
	while (at > 0) {
		if (memcmp(tail + --at, "PK\5\6", 4) != 0)
			continue;
		*ret = at;
		return true;
	}
	return false;
}

/* Where the directory begins, and how long it is. */
struct directory {
	uint64_t offset, len;
};

static bool find_directory(int fd, uint64_t total, struct directory *ret)
{
	size_t len = ZIP_END_LEN + ZIP_COMMENT_MAX, at;
	if (len > total)
		len = (size_t)total;
	auto_free unsigned char *tail = xcalloc(1, len + 1);
	if (!read_at(fd, tail, len, total - len) || !find_end(tail, len, &at))
		return false;
	*ret = (struct directory){get(tail + at + 16, 4), get(tail + at + 12, 4)};
	unsigned char end64[ZIP_END64_LEN];
	if (at >= ZIP_LOCATOR_LEN && memcmp(tail + at - ZIP_LOCATOR_LEN, "PK\6\7", 4) == 0 &&
	    read_at(fd, end64, sizeof(end64), get(tail + at - ZIP_LOCATOR_LEN + 8, 8)) &&
	    memcmp(end64, "PK\6\6", 4) == 0)
		*ret = (struct directory){get(end64 + 48, 8), get(end64 + 40, 8)};
	return true;
}

/* Of an entry whose 32 bits say "in the extra field": the first number of the zip64 one. */
static uint64_t size_in_extra(const unsigned char *extra, size_t len)
{
	while (len >= 4) {
		size_t field = (size_t)get(extra + 2, 2);
		if (field > len - 4)
			return 0;
		if (get(extra, 2) == 1)
			return field >= 8 ? get(extra + 4, 8) : 0;
		extra += 4 + field;
		len -= 4 + field;
	}
	return 0;
}

static void add_entry(struct room *sum, uint64_t bytes)
{
	sum->inodes++;
	sum->bytes = bytes > ROOM_ENDLESS - 1 - sum->bytes ? ROOM_ENDLESS - 1 : sum->bytes + bytes;
}

static void check_name(struct bundle_zip *zip, const unsigned char *name, size_t len)
{
	if (zip->has_cut || !memchr(name, 0, len))
		return;
	zip->has_cut = true;
	memcpy(zip->cut, name, len < sizeof(zip->cut) ? len : sizeof(zip->cut) - 1);
}

/* Add the entries that are whole in the window; returns how many bytes they take. */
static size_t add_entries(const unsigned char *window, size_t len, struct bundle_zip *ret)
{
	size_t at = 0;
	while (len - at >= ZIP_ENTRY_LEN && memcmp(window + at, "PK\1\2", 4) == 0) {
		const unsigned char *entry = window + at;
		size_t name = (size_t)get(entry + 28, 2), extra = (size_t)get(entry + 30, 2);
		size_t all = ZIP_ENTRY_LEN + name + extra + (size_t)get(entry + 32, 2);
		if (all > len - at)
			break;
		uint64_t bytes = get(entry + 24, 4);
		if (bytes == ZIP_IN_EXTRA)
			bytes = size_in_extra(entry + ZIP_ENTRY_LEN + name, extra);
		add_entry(&ret->need, bytes);
		check_name(ret, entry + ZIP_ENTRY_LEN, name);
		at += all;
	}
	return at;
}

void bundle_size_zip(int fd, struct bundle_zip *ret)
{
	*ret = (struct bundle_zip){0};
	struct stat st;
	struct directory directory;
	if (fstat(fd, &st) < 0 || !find_directory(fd, (uint64_t)st.st_size, &directory))
		return;
	auto_free unsigned char *window = xcalloc(1, ZIP_WINDOW);
	while (directory.len > 0) {
		size_t len = directory.len < ZIP_WINDOW ? (size_t)directory.len : ZIP_WINDOW;
		size_t done = read_at(fd, window, len, directory.offset)
				      ? add_entries(window, len, ret)
				      : 0;
		if (done == 0)
			return;
		directory.offset += done;
		directory.len -= done;
	}
}
