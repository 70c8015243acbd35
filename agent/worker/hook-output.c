// SPDX-License-Identifier: Apache-2.0
/* A script writes to EVENT-N.stdout and EVENT-N.stderr itself, so nothing that it leaves running
 * can lose its output when we end. From there whole lines go three ways: to scripts.log as bytes,
 * to the caller as they come, and into the tail.
 *
 * The tail is text: what is not UTF-8 has been replaced. It holds whole entries, less than
 * WIRE_LOG_TAIL_MAX bytes as with the official agent; but a long line, which there drives out
 * itself and everything before it, is cut. */
#include "agent/worker/hook-output.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define STEP ((size_t)64 * 1024)
#define LINE_MAX_BYTES STEP /* a longer line is handed on in pieces */
#define LOG_FLUSH ((size_t)256 * 1024)
#define ENTRY_MAX ((size_t)1023)       /* of a line in the tail */
#define RECENT_MAX ((size_t)64 * 1024) /* of the output that is looked through for a reason */
#define CUT_MARK "..."
#define FILE_MODE 0640
#define REPLAY ((uint64_t)64 * 1024) /* what is read again for the tail, after another worker */
#define MARKS_LEN 41                 /* "%020llu %020llu": how far stdout and stderr were copied */

/* Files */

/* An event's name is free text; a file's is not. */
static void file_name(const struct hook_request *request, const char *stream, char out[256])
{
	char event[200];
	snprintf(event, sizeof(event), "%s", request->event);
	for (char *c = event; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			*c = '_';
	snprintf(out, 256, "%s-%u.%s", event, request->number, stream);
}

/* A script that another worker has begun to follow. The marks stand at the ends of lines. */
static void read_marks(struct hook_output *out)
{
	char text[MARKS_LEN + 1] = {0};
	unsigned long long marks[2];
	if (!out->request->attach || out->request->marks_fd < 0 ||
	    pread(out->request->marks_fd, text, MARKS_LEN, 0) != MARKS_LEN ||
	    sscanf(text, "%llu %llu", &marks[0], &marks[1]) != 2)
		return;
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		out->streams[i].marked = marks[i];
	out->again = true;
}

/* Not synced: it is of use only as long as this boot lasts. Between the log and this, a worker that
 * is killed leaves a few lines to be copied twice, none to be lost. */
static void write_marks(struct hook_output *out)
{
	char text[MARKS_LEN + 1];
	uint64_t at[2];
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		const struct hook_stream *s = &out->streams[i];
		at[i] = s->offset - s->line.len;
		at[i] = at[i] > s->marked ? at[i] : s->marked;
	}
	snprintf(text, sizeof(text), "%020llu %020llu", (unsigned long long)at[0],
		 (unsigned long long)at[1]);
	if (out->request->marks_fd >= 0 &&
	    pwrite(out->request->marks_fd, text, MARKS_LEN, 0) != MARKS_LEN)
		log_debug("what was copied of the output is not noted");
}

static uint64_t ceiling(const struct hook_request *request)
{
	return request->output_max ? request->output_max : HOOK_OUTPUT_MAX;
}

static uint64_t replay_from(const struct hook_stream *s)
{
	return s->marked > REPLAY ? s->marked - REPLAY : 0;
}

static void open_stream(struct hook_output *out, struct hook_stream *s, uid_t owner)
{
	char name[256];
	struct stat st;
	file_name(out->request, s->name, name);
	s->write_fd = openat(out->request->logs_fd, name,
			     O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	s->read_fd = openat(out->request->logs_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	hook_cut_init(&s->cut, ceiling(out->request));
	if (s->write_fd < 0 || s->read_fd < 0 || fstat(s->read_fd, &st) < 0) {
		log_warning("cannot write '%s', the output of '%s' is lost: %s", name,
			    out->request->location_text, strerror(errno));
		fs_close_quiet(TAKE_FD(s->read_fd));
		fs_close_quiet(s->write_fd);
		s->write_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		return;
	}
	s->offset = out->request->attach ? replay_from(s) : (uint64_t)st.st_size;
	s->seen = s->offset;
	if (owner != st.st_uid && fchown(s->write_fd, owner, (gid_t)-1) < 0)
		log_debug("cannot give '%s' to its script: %s", name, strerror(errno));
	if (out->inotify_fd >= 0) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", s->read_fd);
		if (inotify_add_watch(out->inotify_fd, path, IN_MODIFY) < 0)
			fs_close_quiet(TAKE_FD(out->inotify_fd));
	}
}

static void log_entry(struct hook_output *out, const char *stream, const char *data, size_t len);
static void tail_entry(struct hook_output *out, const char *stream, const char *data, size_t len);

static void add_header(struct hook_output *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add_header(struct hook_output *out, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *entry = xvasprintf(fmt, ap);
	va_end(ap);
	if (!out->again) /* then the log has it */
		log_entry(out, NULL, entry, strlen(entry));
	tail_entry(out, NULL, entry, strlen(entry));
}

void hook_output_init(struct hook_output *out)
{
	*out = (struct hook_output){.streams = {{.name = "stdout", .write_fd = -1, .read_fd = -1},
						{.name = "stderr", .write_fd = -1, .read_fd = -1}},
				    .log_fd = -1,
				    .inotify_fd = -1,
				    .log = BUF_INIT(4 * LOG_FLUSH),
				    .all = BUF_INIT(8 * LOG_FLUSH),
				    .tail = BUF_INIT(4 * (size_t)WIRE_LOG_TAIL_MAX),
				    .recent = BUF_INIT(3 * RECENT_MAX)};
	for (size_t i = 0; i < ARRAY_LEN(out->streams); i++)
		out->streams[i].line = BUF_INIT(LINE_MAX_BYTES);
}

void hook_output_open(struct hook_output *out, const struct hook_request *request, uid_t owner)
{
	out->request = request;
	out->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	out->log_fd = openat(request->logs_fd, "scripts.log",
			     O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (out->log_fd < 0)
		log_warning("cannot write scripts.log: %s", strerror(errno));
	read_marks(out);
	for (size_t i = 0; i < ARRAY_LEN(out->streams); i++)
		open_stream(out, &out->streams[i], owner);
	if (request->log_before)
		buf_adds(&out->tail, request->log_before);
	else
		add_header(out, "LifecycleEvent - %s\n", request->event);
	add_header(out, "Script - %s\n", request->location_text);
}

void hook_output_close(struct hook_output *out)
{
	for (size_t i = 0; i < ARRAY_LEN(out->streams); i++) {
		fs_close_quiet(out->streams[i].write_fd);
		fs_close_quiet(out->streams[i].read_fd);
		buf_clear(&out->streams[i].line);
	}
	fs_close_quiet(out->log_fd);
	fs_close_quiet(out->inotify_fd);
	buf_clear(&out->log);
	buf_clear(&out->all);
	buf_clear(&out->tail);
	buf_clear(&out->recent);
}

/* scripts.log */

static void flush_log(struct hook_output *out)
{
	int r = out->log_fd < 0 ? 0 : fs_write_all(out->log_fd, buf_str(&out->log), out->log.len);
	if (r < 0) {
		log_warning("cannot write scripts.log, the rest of it is lost: %s", strerror(-r));
		fs_close_quiet(TAKE_FD(out->log_fd));
	}
	buf_reset(&out->log);
	r = out->all.len ? fs_write_all(out->request->all_fd, buf_str(&out->all), out->all.len) : 0;
	if (r < 0) {
		log_warning("cannot write the log of all deployments: %s", strerror(-r));
		out->all_lost = true;
	}
	buf_reset(&out->all);
}

static const char *stamp(struct hook_output *out)
{
	int64_t now = clock_wall_s();
	if (now != out->stamp_s || !*out->stamp)
		clock_format_local(now, out->stamp);
	out->stamp_s = now;
	return out->stamp;
}

/* Whole lines at a time: workers of other groups write to that file, too. */
static void log_entry_of_all(struct hook_output *out, const char *stream, const char *data,
			     size_t len)
{
	if (out->request->all_fd < 0 || out->all_lost)
		return;
	double now = clock_wall();
	while (len > 0 && isspace((unsigned char)data[len - 1]))
		len--;
	buf_addf(&out->all, "[%s.%03d] [%s]", stamp(out),
		 (int)((now - (double)(int64_t)now) * 1000), out->request->deployment_id);
	if (stream)
		buf_addf(&out->all, "[%s]", stream);
	buf_add(&out->all, data, len);
	buf_addc(&out->all, '\n');
}

static void log_entry(struct hook_output *out, const char *stream, const char *data, size_t len)
{
	log_entry_of_all(out, stream, data, len);
	buf_addf(&out->log, "%s ", stamp(out));
	if (stream)
		buf_addf(&out->log, "[%s]", stream);
	buf_add(&out->log, data, len);
	if (len == 0 || data[len - 1] != '\n')
		buf_addc(&out->log, '\n'); /* the next record is to have a line of its own */
	if (out->log.len >= LOG_FLUSH)
		flush_log(out);
}

/* The tail */

/* Text of at most max bytes, cut between characters. */
static void cut(char *text, size_t max)
{
	size_t len = strlen(text);
	if (len <= max)
		return;
	len = max - strlen(CUT_MARK "\n");
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	memcpy(text + len, CUT_MARK "\n", sizeof(CUT_MARK "\n"));
}

/* Rarely cut, and by a lot: each time all of it is moved. */
static void remember(struct hook_output *out, const char *entry)
{
	buf_adds(&out->recent, entry);
	if (out->recent.len < 2 * RECENT_MAX)
		return;
	const char *from = out->recent.data + out->recent.len - RECENT_MAX;
	const char *end = strchr(from, '\n');
	buf_consume(&out->recent, (size_t)((end ? end + 1 : from) - out->recent.data));
}

static void tail_entry(struct hook_output *out, const char *stream, const char *data, size_t len)
{
	/* what cut() takes away need not be looked at */
	auto_free char *clean = str_to_utf8(data, len < 2 * ENTRY_MAX ? len : 2 * ENTRY_MAX);
	bool ends = str_ends(clean, "\n");
	auto_free char *entry = stream ? xasprintf("[%s]%s%s", stream, clean, ends ? "" : "\n")
				       : xasprintf("%s%s", clean, ends ? "" : "\n");
	cut(entry, ENTRY_MAX);
	if (stream)
		remember(out, entry);
	buf_adds(&out->tail, entry);
	while (out->tail.len >= WIRE_LOG_TAIL_MAX) {
		const char *end = memchr(out->tail.data, '\n', out->tail.len);
		buf_consume(&out->tail, end ? (size_t)(end + 1 - out->tail.data) : out->tail.len);
	}
}

char *hook_output_tail(const struct hook_output *out)
{
	return xstrdup(buf_str(&out->tail));
}

char *hook_output_recent(const struct hook_output *out)
{
	return xstrdup(buf_str(&out->recent));
}

/* Lines */

static void add_line_to_tail(struct hook_output *out, const struct hook_stream *s, const char *data,
			     size_t len)
{
	if (!s->in_line) /* of a line that comes in pieces the first is more than enough */
		tail_entry(out, s->name, data, len);
}

static void announce_full(struct hook_output *out)
{
	char line[200];
	snprintf(line, sizeof(line),
		 "more than %llu bytes of output: the rest is only in the files beside this one\n",
		 (unsigned long long)ceiling(out->request));
	log_entry(out, "slipway", line, strlen(line));
	out->full = true;
}

/* data: a line with its end, or a part of one that is too long. */
static void add_line(struct hook_output *out, struct hook_stream *s, const char *data, size_t len)
{
	if (s->seen + len <= s->marked) {
		add_line_to_tail(out, s, data, len);
		s->seen += len;
		return;
	}
	s->seen += len;
	add_line_to_tail(out, s, data, len);
	if (out->full)
		return;
	log_entry(out, s->name, data, len);
	size_t bare = len > 0 && data[len - 1] == '\n' ? len - 1 : len;
	if (out->request->on_line)
		out->request->on_line(s->name, data, bare, out->request->arg);
	out->copied += len;
	if (out->copied > ceiling(out->request))
		announce_full(out);
}

static void end_line(struct hook_output *out, struct hook_stream *s)
{
	if (s->line.len > 0) {
		add_line(out, s, buf_str(&s->line), s->line.len);
		s->in_line = s->line.data[s->line.len - 1] != '\n';
	}
	buf_reset(&s->line);
}

static void take_bytes(struct hook_output *out, struct hook_stream *s, const char *data, size_t len)
{
	while (len > 0) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end + 1 - data) : len;
		if (n > LINE_MAX_BYTES - s->line.len)
			n = LINE_MAX_BYTES - s->line.len;
		buf_add(&s->line, data, n);
		if (data[n - 1] == '\n' || s->line.len == LINE_MAX_BYTES)
			end_line(out, s);
		data += n;
		len -= n;
	}
}

/* Is what comes next of use for the tail alone? Then only the last of it is. */
static bool is_beyond(const struct hook_output *out, const struct hook_stream *s, uint64_t size)
{
	return size - s->offset > REPLAY &&
	       (out->full || (s->offset >= s->cut.head && s->offset < s->cut.end));
}

static void skip(struct hook_output *out, struct hook_stream *s, uint64_t size)
{
	end_line(out, s);
	if (!out->full)
		announce_full(out);
	s->offset = s->seen = size - REPLAY;
	s->in_line = false;
}

/* One step; never over the ceiling and into the hole behind it. Returns false at the end. */
static bool follow_step(struct hook_output *out, struct hook_stream *s)
{
	char step[STEP];
	size_t len = sizeof(step);
	if (s->offset < s->cut.head && s->cut.head - s->offset < len)
		len = (size_t)(s->cut.head - s->offset);
	ssize_t n = pread(s->read_fd, step, len, (off_t)s->offset);
	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	s->offset += (uint64_t)n;
	take_bytes(out, s, step, (size_t)n);
	return true;
}

/* Up to the end that the file has now: what else still writes to it must not keep us here. But who
 * listens to us may be slow, so it is cut meanwhile. Who empties its own file (truncate) is
 * followed from the beginning. */
static void follow_stream(struct hook_output *out, struct hook_stream *s)
{
	struct stat st;
	uint64_t end = 0;
	bool more = s->read_fd >= 0;
	for (bool first = true; more && fstat(s->read_fd, &st) == 0; first = false) {
		uint64_t size = (uint64_t)st.st_size;
		if (first)
			end = size;
		if (size < s->offset)
			s->offset = s->seen = s->marked = 0;
		hook_cut_grown(&s->cut, s->read_fd, size, s->name);
		if (is_beyond(out, s, size))
			skip(out, s, size);
		more = s->offset < end && follow_step(out, s);
	}
}

/* What the marks count from is there no more. */
static void finish_cut(struct hook_output *out, struct hook_stream *s)
{
	uint64_t shorter = hook_cut_finish(&s->cut, s->read_fd);
	uint64_t *const counts[] = {&s->offset, &s->seen, &s->marked};
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		*counts[i] = *counts[i] > shorter ? *counts[i] - shorter : 0;
	if (!hook_cut_bytes(&s->cut))
		return;
	char line[200];
	snprintf(line, sizeof(line), "%llu bytes were left out of the file of its %s\n",
		 (unsigned long long)hook_cut_bytes(&s->cut), s->name);
	log_entry(out, "slipway", line, strlen(line));
}

void hook_output_follow(struct hook_output *out)
{
	for (size_t i = 0; i < ARRAY_LEN(out->streams); i++)
		follow_stream(out, &out->streams[i]);
	flush_log(out);
	write_marks(out);
}

void hook_output_finish(struct hook_output *out)
{
	for (size_t i = 0; i < ARRAY_LEN(out->streams); i++) {
		follow_stream(out, &out->streams[i]);
		end_line(out, &out->streams[i]);
		finish_cut(out, &out->streams[i]);
	}
	flush_log(out);
	write_marks(out);
}
