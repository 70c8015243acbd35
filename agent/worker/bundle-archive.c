// SPDX-License-Identifier: Apache-2.0
/* Only the formats and filters that a bundle may have are switched on: libarchive would also run
 * external programs for some. Its warnings are errors here, for it only warns of a wrong checksum
 * of a zip entry; the one exception is a name that cannot be converted, of which we take the
 * bytes. */
#include "agent/worker/bundle-archive.h"

#include "agent/worker/bundle-size.h"
#include "common/alloc.h"
#include "common/str.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

#define TAR_BLOCK 512
#define ZIP_STEP ((size_t)256 * 1024)
#define DRAIN_MAX ((uint64_t)64 * 1024 * 1024) /* bytes after the end of a tar */

static void reader_free(struct archive *a)
{
	archive_read_free(a);
}
DEFINE_CLEANUP(struct archive *, reader_free)
#define auto_archive CLEANUP(reader_free_at)

/* A stream as libarchive reads it; keeps the stream's own reason for a failure. */
struct feed {
	struct bundle_stream *stream;
	bool ended;
	struct error err;
};

static ssize_t feed_read(struct archive *a, void *arg, const void **ret)
{
	struct feed *feed = arg;
	if (feed->ended)
		return 0;
	ssize_t n = feed->stream->next(feed->stream, ret, &feed->err);
	feed->ended = n <= 0;
	if (n >= 0)
		return n;
	archive_set_error(a, -1, "%s", feed->err.text);
	return -1;
}

static const char *reason(struct archive *a)
{
	const char *why = archive_error_string(a);
	return why ? why : "the reason is not known";
}

/* What went wrong in the archive, or before it in its stream. what: "tar archive". */
static int archive_failed(struct archive *a, const struct feed *feed, const char *what,
			  struct error *err)
{
	if (feed && feed->err.code < 0)
		return error_set(err, feed->err.code, "%s", feed->err.text);
	const char *why = reason(a);
	if (strstr(why, "CRC"))
		return error_set(err, ERR_SIGNATURE, "the %s is damaged: %s", what, why);
	if (strstr(why, "runcated"))
		return error_set(err, ERR_INPUT, "the %s is truncated: %s", what, why);
	if (strstr(why, "nrecognized archive format"))
		return error_set(err, ERR_INPUT, "the bundle is not a %s, or it is truncated",
				 what);
	return error_set(err, ERR_INPUT, "the %s is damaged: %s", what, why);
}

/* Entries */

struct reading {
	struct archive *a;
	const struct feed *feed;
	const char *what; /* "tar archive" */
	struct bundle_writer *w;
	bool own; /* entries belong to whoever unpacks them */
	bundle_owner_fn *owner;
	void *owner_arg;
	/* the last name looked up: neighbours in an archive have the same owner */
	char *names[2];
	int64_t ids[2];
};

static void reading_clear(struct reading *reading)
{
	free(reading->names[0]);
	free(reading->names[1]);
}

/* Names count before numbers, as with GNU tar. */
static int64_t find_owner(struct reading *reading, bool group, const char *name, int64_t id)
{
	if (!str_empty(name) && reading->owner) {
		if (!str_eq(name, reading->names[group])) {
			free(reading->names[group]);
			reading->names[group] = xstrdup(name);
			reading->ids[group] = reading->owner(group, name, reading->owner_arg);
		}
		if (reading->ids[group] >= 0)
			return reading->ids[group];
	}
	return id;
}

static void set_owner(struct reading *reading, struct archive_entry *from, struct bundle_entry *to)
{
	to->uid = reading->w->uid;
	to->gid = reading->w->gid;
	if (reading->own || !reading->w->privileged)
		return;
	int64_t uid =
		find_owner(reading, false, archive_entry_uname(from), archive_entry_uid(from));
	int64_t gid = find_owner(reading, true, archive_entry_gname(from), archive_entry_gid(from));
	/* the last number means "nobody in particular" to chown */
	if (uid >= 0 && uid < UINT32_MAX)
		to->uid = (uid_t)uid;
	if (gid >= 0 && gid < UINT32_MAX)
		to->gid = (gid_t)gid;
}

/* Names as bytes; as UTF-8 where they cannot be converted. */
static const char *entry_path(struct archive_entry *entry)
{
	const char *path = archive_entry_pathname(entry);
	return path ? path : archive_entry_pathname_utf8(entry);
}

static bool has_capabilities(struct archive_entry *entry)
{
	const char *name = NULL;
	const void *value;
	size_t len;
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK)
		if (name && strcmp(name, "security.capability") == 0)
			return true;
	return false;
}

static int describe(struct reading *reading, struct archive_entry *from, struct bundle_entry *to,
		    struct error *err)
{
	*to = (struct bundle_entry){.path = entry_path(from)};
	if (str_empty(to->path))
		return error_set(err, ERR_INPUT, "an entry of the %s has no usable name",
				 reading->what);
	if (archive_entry_is_encrypted(from))
		return error_set(err, ERR_INPUT, "entry '%.200s' is encrypted: bundles must not be",
				 to->path);
	to->mode = archive_entry_mode(from);
	to->has_mtime = archive_entry_mtime_is_set(from);
	to->mtime = (struct timespec){.tv_sec = archive_entry_mtime(from),
				      .tv_nsec = archive_entry_mtime_nsec(from)};
	to->device = archive_entry_rdev(from);
	to->hardlink = archive_entry_hardlink(from);
	if (!to->hardlink)
		to->hardlink = archive_entry_hardlink_utf8(from);
	to->symlink = archive_entry_symlink(from);
	if (!to->symlink)
		to->symlink = archive_entry_symlink_utf8(from);
	if (!to->hardlink && S_ISLNK(to->mode) && str_empty(to->symlink))
		return error_set(err, ERR_INPUT, "the symlink '%.200s' has no target", to->path);
	set_owner(reading, from, to);
	reading->w->capabilities += has_capabilities(from);
	return 0;
}

static int copy_data(struct reading *reading, struct archive_entry *entry, struct error *err)
{
	for (;;) {
		const void *data = NULL;
		size_t len = 0;
		la_int64_t offset = 0;
		int r = archive_read_data_block(reading->a, &data, &len, &offset);
		if (r == ARCHIVE_EOF)
			break;
		if (r != ARCHIVE_OK) {
			r = archive_failed(reading->a, reading->feed, reading->what, err);
			return error_prefix(err, r, "entry '%.200s'", entry_path(entry));
		}
		if (len == 0)
			continue;
		if (offset < 0)
			return error_set(err, ERR_INPUT, "entry '%.200s' has data before its start",
					 entry_path(entry));
		r = bundle_write_data(reading->w, data, len, (uint64_t)offset, err);
		if (r < 0)
			return r;
	}
	la_int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
	return bundle_write_end(reading->w, size > 0 ? (uint64_t)size : 0, err);
}

/* 1: an entry, 0: the end, below 0: an error. */
static int next_entry(struct reading *reading, struct archive_entry **ret, struct error *err)
{
	int r = archive_read_next_header(reading->a, ret);
	if (r == ARCHIVE_OK)
		return 1;
	if (r == ARCHIVE_EOF)
		return 0;
	if (r == ARCHIVE_WARN && strstr(reason(reading->a), "converted"))
		return 1;
	r = archive_failed(reading->a, reading->feed, reading->what, err);
	const char *path = *ret ? entry_path(*ret) : NULL; /* it may have got as far as that */
	if (!str_empty(path))
		return error_prefix(err, r, "entry '%.200s'", path);
	return *reading->w->path ? error_prefix(err, r, "after entry '%.200s'", reading->w->path)
				 : r;
}

static int read_entry(struct reading *reading, struct archive_entry *from, struct error *err)
{
	struct bundle_entry entry;
	int r = describe(reading, from, &entry, err);
	if (r == 0)
		r = bundle_write_entry(reading->w, &entry, err);
	if (r == 0 && !entry.hardlink && S_ISREG(entry.mode))
		r = copy_data(reading, from, err);
	return r;
}

/* tar */

/* After a tar's end: the rest must be readable, whatever it is (GNU tar ignores it as well). */
static int drain(struct feed *feed, struct error *err)
{
	uint64_t seen = 0;
	while (!feed->ended) {
		const void *data = NULL;
		ssize_t n = feed->stream->next(feed->stream, &data, err);
		if (n < 0)
			return (int)n;
		feed->ended = n == 0;
		seen += (uint64_t)n;
		if (seen > DRAIN_MAX)
			return error_set(err, ERR_LIMIT,
					 "more than %llu bytes follow the end of the archive",
					 (unsigned long long)DRAIN_MAX);
	}
	return 0;
}

static int open_tar(struct archive *a, struct feed *feed, struct error *err)
{
	archive_read_support_format_tar(a);
	archive_read_set_read_callback(a, feed_read);
	archive_read_set_callback_data(a, feed);
	return archive_read_open1(a) == ARCHIVE_OK ? 0
						   : archive_failed(a, feed, "tar archive", err);
}

/* libarchive takes the end of the input for the end of the archive as well. With an end mark it has
 * read a block after the last entry. */
static int check_end_mark(struct archive *a, la_int64_t last_end, struct error *err)
{
	if (archive_filter_bytes(a, 0) >= last_end + TAR_BLOCK)
		return 0;
	return error_set(err, ERR_INPUT,
			 "the tar archive is truncated: its end-of-archive mark is missing");
}

static int read_tar(struct reading *reading, bool complete, struct error *err)
{
	la_int64_t last_end = 0;
	for (;;) {
		struct archive_entry *entry = NULL;
		int r = next_entry(reading, &entry, err);
		if (r < 0)
			return r;
		if (r == 0)
			return complete ? 0 : check_end_mark(reading->a, last_end, err);
		r = read_entry(reading, entry, err);
		if (r < 0)
			return r;
		if (archive_read_data_skip(reading->a) != ARCHIVE_OK)
			return archive_failed(reading->a, reading->feed, reading->what, err);
		last_end = archive_filter_bytes(reading->a, 0);
	}
}

int bundle_read_tar(struct bundle_stream *s, bool complete, struct bundle_writer *w,
		    bundle_owner_fn *owner, void *arg, struct error *err)
{
	struct feed feed = {.stream = s};
	auto_archive struct archive *a = archive_read_new();
	if (!a)
		return error_set(err, -ENOMEM, "libarchive: out of memory");
	int r = open_tar(a, &feed, err);
	if (r < 0)
		return r;
	struct reading reading = {.a = a,
				  .feed = &feed,
				  .what = "tar archive",
				  .w = w,
				  .own = w->limits.ignore_owners,
				  .owner = owner,
				  .owner_arg = arg};
	r = read_tar(&reading, complete, err);
	reading_clear(&reading);
	if (r == 0)
		r = drain(&feed, err);
	return r < 0 ? r : bundle_write_finish(w, err);
}

/* zip */

int bundle_read_zip(int fd, struct bundle_writer *w, struct error *err)
{
	auto_archive struct archive *a = archive_read_new();
	if (!a)
		return error_set(err, -ENOMEM, "libarchive: out of memory");
	archive_read_support_format_zip_seekable(a);
	struct reading reading = {.a = a, .what = "zip archive", .w = w, .own = true};
	struct bundle_zip said;
	bundle_size_zip(fd, &said);
	if (said.has_cut)
		return error_set(err, ERR_INPUT, "an entry '%s...' has a NUL in its name",
				 said.cut);
	int expected = bundle_write_expect(w, &said.need, err);
	if (expected < 0)
		return expected;
	if (archive_read_open_fd(a, fd, ZIP_STEP) != ARCHIVE_OK)
		return archive_failed(a, NULL, reading.what, err);
	for (;;) {
		struct archive_entry *entry = NULL;
		int r = next_entry(&reading, &entry, err);
		if (r == 0)
			return bundle_write_finish(w, err);
		if (r > 0)
			r = read_entry(&reading, entry, err);
		if (r < 0)
			return r;
	}
}

/* Other compressions, by libarchive's filters around its format "raw" */

struct filter_stream {
	struct bundle_stream base;
	struct bundle_stream *inner;
	struct feed feed;
	struct archive *a;
	const char *name;
	bool opened;
};

static int filter_open(struct filter_stream *s, struct error *err)
{
	archive_read_support_format_raw(s->a);
	archive_read_support_filter_bzip2(s->a);
	archive_read_support_filter_compress(s->a);
	archive_read_support_filter_lz4(s->a);
	archive_read_support_filter_lzip(s->a);
	archive_read_support_filter_lzma(s->a);
	archive_read_support_filter_xz(s->a);
	archive_read_support_filter_zstd(s->a);
	archive_read_set_read_callback(s->a, feed_read);
	archive_read_set_callback_data(s->a, &s->feed);
	struct archive_entry *entry = NULL;
	s->opened = true;
	int r = archive_read_open1(s->a);
	if (r == ARCHIVE_OK)
		r = archive_read_next_header(s->a, &entry);
	if (r != ARCHIVE_OK)
		return archive_failed(s->a, &s->feed, s->name, err);
	/* the filter, and what libarchive puts below it */
	if (archive_filter_count(s->a) != 2)
		return error_set(err, ERR_INPUT, "the bundle is not one %s", s->name);
	return 0;
}

static ssize_t filter_next(struct bundle_stream *base, const void **ret, struct error *err)
{
	struct filter_stream *s = (struct filter_stream *)base;
	int r = s->opened ? 0 : filter_open(s, err);
	if (r < 0)
		return r;
	for (;;) {
		size_t len = 0;
		la_int64_t offset = 0;
		r = archive_read_data_block(s->a, ret, &len, &offset);
		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return archive_failed(s->a, &s->feed, s->name, err);
		if (len > 0)
			return (ssize_t)len;
	}
}

static void filter_free(struct bundle_stream *base)
{
	struct filter_stream *s = (struct filter_stream *)base;
	archive_read_free(s->a);
	bundle_stream_free(s->inner);
	free(s);
}

struct bundle_stream *bundle_stream_filter(struct bundle_stream *inner, const char *name)
{
	struct filter_stream *s = xcalloc(1, sizeof(*s));
	s->base = (struct bundle_stream){.next = filter_next, .free = filter_free};
	s->inner = inner;
	s->feed.stream = inner;
	s->name = name;
	s->a = archive_read_new();
	if (!s->a)
		abort();
	return &s->base;
}
