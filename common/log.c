// SPDX-License-Identifier: Apache-2.0
/* Where lines go is a property of the process, so this file keeps state: set once by log_init(),
 * before there is a second thread. */
#include "common/log.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define LOG_TEXT_MAX 4096
#define LOG_FIELDS_MAX 8
#define LOG_EVENT_FIELDS_MAX 16

static struct {
	const char *name;
	int max_level;
	bool journal;
	log_sink_fn *sink;
	void *sink_arg;
	log_sink_fn *wire;
	void *wire_arg;
	struct {
		const char *name;
		char *value;
	} fields[LOG_FIELDS_MAX];
} state = {.name = "slipway", .max_level = LOG_INFO};

static const char *level_name(int level)
{
	static const char *const names[] = {
		[LOG_EMERG] = "error", [LOG_ALERT] = "error",     [LOG_CRIT] = "error",
		[LOG_ERR] = "error",   [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
		[LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
	};
	return level >= 0 && level < (int)ARRAY_LEN(names) ? names[level] : "debug";
}

/* systemd sets JOURNAL_STREAM to the device and inode of the stream it made our stderr; a
 * redirected stderr is another one. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	char own[64];
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(stream, own) == 0;
}

void log_init(const char *name, int max_level)
{
	state.name = name;
	state.max_level = max_level;
	state.journal = stderr_is_journal();
}

void log_set_level(int max_level)
{
	state.max_level = max_level;
}

int log_get_level(void)
{
	return state.max_level;
}

void log_to_sink(log_sink_fn *fn, void *arg)
{
	state.sink = fn;
	state.sink_arg = arg;
}

void log_wire_to_sink(log_sink_fn *fn, void *arg)
{
	state.wire = fn;
	state.wire_arg = arg;
}

bool log_has_wire(void)
{
	return state.wire;
}

void log_wire(const char *fmt, ...)
{
	if (!state.wire)
		return;
	va_list ap;
	va_start(ap, fmt);
	char text[LOG_TEXT_MAX];
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	state.wire(LOG_INFO, text, state.wire_arg);
}

void log_field(const char *name, const char *value)
{
	size_t free_slot = LOG_FIELDS_MAX;
	for (size_t i = LOG_FIELDS_MAX; i-- > 0;) {
		if (!state.fields[i].name) {
			free_slot = i;
			continue;
		}
		if (strcmp(state.fields[i].name, name) != 0)
			continue;
		free_slot = i;
		break;
	}
	if (free_slot == LOG_FIELDS_MAX)
		return;
	free(state.fields[free_slot].value);
	state.fields[free_slot].value = xstrdup_null(value);
	state.fields[free_slot].name = value ? name : NULL;
}

/* A line stays one line, and drives no terminal. Takes it over. */
static void write_line(int fd, char *line)
{
	auto_free char *owned = line;
	auto_free char *plain = str_to_utf8(owned, strlen(owned));
	for (char *p = plain; *p; p++)
		if (*p == '\n')
			*p = ' ';
	auto_free char *whole = xasprintf("%s\n", plain);
	ssize_t written UNUSED = write(fd, whole, strlen(whole));
}

static void write_plain(int level, const char *text)
{
	write_line(STDERR_FILENO, xasprintf("%s: %s", level_name(level), text));
}

struct entry {
	struct iovec iov[4 + LOG_FIELDS_MAX + LOG_EVENT_FIELDS_MAX];
	int count;
};

static void entry_add(struct entry *entry, const char *name, const char *value)
{
	if (entry->count == (int)ARRAY_LEN(entry->iov))
		return;
	char *text = xasprintf("%s=%s", name, value);
	entry->iov[entry->count++] = (struct iovec){.iov_base = text, .iov_len = strlen(text)};
}

static void entry_clear(struct entry *entry)
{
	for (int i = 0; i < entry->count; i++)
		free(entry->iov[i].iov_base);
}

/* An event's own field takes the place of the process's. */
static bool names_field(const char *const fields[], const char *name)
{
	for (size_t i = 0; fields && fields[i]; i += 2)
		if (fields[i + 1] && strcmp(fields[i], name) == 0)
			return true;
	return false;
}

static void write_journal(int level, const char *message_id, const char *const fields[],
			  const char *text)
{
	CLEANUP(entry_clear) struct entry entry = {.count = 0};
	char priority[2] = {(char)('0' + (level & LOG_PRIMASK)), '\0'};
	entry_add(&entry, "MESSAGE", text);
	entry_add(&entry, "PRIORITY", priority);
	entry_add(&entry, "SYSLOG_IDENTIFIER", state.name);
	if (message_id)
		entry_add(&entry, "MESSAGE_ID", message_id);
	for (size_t i = 0; i < LOG_FIELDS_MAX; i++)
		if (state.fields[i].name && !names_field(fields, state.fields[i].name))
			entry_add(&entry, state.fields[i].name, state.fields[i].value);
	for (size_t i = 0; fields && fields[i] && i < 2 * LOG_EVENT_FIELDS_MAX; i += 2)
		if (fields[i + 1])
			entry_add(&entry, fields[i], fields[i + 1]);
	if (sd_journal_sendv(entry.iov, entry.count) < 0)
		write_plain(level, text);
}

static void PRINTF_LIKE(4, 0) emit(int level, const char *message_id, const char *const fields[],
				   const char *fmt, va_list ap)
{
	if (level > state.max_level)
		return;
	int saved = errno;
	char text[LOG_TEXT_MAX];
	vsnprintf(text, sizeof(text), fmt, ap);
	if (state.journal)
		write_journal(level, message_id, fields, text);
	else
		write_plain(level, text);
	if (state.sink)
		state.sink(level, text, state.sink_arg);
	errno = saved;
}

void log_line(int level, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	emit(level, NULL, NULL, fmt, ap);
	va_end(ap);
}

void log_event(int level, const char *message_id, const char *const fields[], const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	emit(level, message_id, fields, fmt, ap);
	va_end(ap);
}
