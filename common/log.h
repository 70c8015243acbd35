/* SPDX-License-Identifier: Apache-2.0 */
/* Logging: journal fields when stderr is the journal (JOURNAL_STREAM), plain lines "LEVEL: text" on
 * stderr elsewhere. error needs a person; warning was survived; notice is a state change an
 * operator follows; info is the story of a deployment; debug is for us. Lines start lower case,
 * name things in single quotes. Secrets never reach a log call. */
#pragma once

#include "common/attr.h"

#include <stdbool.h>
#include <syslog.h>

/* name: the program's; it is the syslog identifier. max_level: LOG_ERR .. LOG_DEBUG. */
void log_init(const char *name, int max_level);
void log_set_level(int max_level);
int log_get_level(void);
/* Also hand every line to fn, which logs nothing itself; NULL: to nobody. */
typedef void log_sink_fn(int level, const char *text, void *arg);
void log_to_sink(log_sink_fn *fn, void *arg);

/* Fields of this process, repeated with every later line: log_field("DEPLOYMENT_ID", id). value
 * NULL removes it. At most 8 names; name is borrowed (a literal), value is copied. */
void log_field(const char *name, const char *value);

/* What went over the network, one line for each request: to fn alone, and only while there is one.
 * Never a header's value, a body, or a URL's query. */
void log_wire_to_sink(log_sink_fn *fn, void *arg);
bool log_has_wire(void);
void log_wire(const char *fmt, ...) PRINTF_LIKE(1, 2);

void log_line(int level, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* One line with own fields: NULL-terminated list of name, value pairs. message_id: 32 hex digits or
 * NULL. */
void log_event(int level, const char *message_id, const char *const fields[], const char *fmt, ...)
	PRINTF_LIKE(4, 5);

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
