// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/exposition.h"

#include "common/str.h"

#include <inttypes.h>
#include <stdio.h>

/* Bytes of a value: "APPLICATION/GROUP" of AWS, so that no two groups become one series. */
#define LABEL_MAX 201

void exposition_family(struct exposition *e, const char *name, const char *kind, const char *help)
{
	bool info = str_eq(kind, "info");
	e->counter = str_eq(kind, "counter");
	e->family = name;
	const char *tail = e->openmetrics ? "" : e->counter ? "_total" : info ? "_info" : "";
	buf_addf(&e->text, "# TYPE %s%s %s\n", name, tail,
		 info && !e->openmetrics ? "gauge" : kind);
	buf_addf(&e->text, "# HELP %s%s %s\n", name, tail, help);
}

/* Backslash, quote and newline are escaped; a character is never cut within. */
static void add_value(struct buf *text, const char *value)
{
	size_t len = 0;
	for (const char *p = value; *p; p++, len++) {
		if (len >= LABEL_MAX && ((unsigned char)*p & 0xc0) != 0x80)
			return;
		if (*p == '\n')
			buf_adds(text, "\\n");
		else if (*p == '\\' || *p == '"')
			buf_addf(text, "\\%c", *p);
		else
			buf_addc(text, *p);
	}
}

void exposition_sample(struct exposition *e, const char *suffix, const char *const labels[],
		       double value)
{
	buf_addf(&e->text, "%s%s%s", e->family, e->counter ? "_total" : "", suffix);
	for (size_t i = 0; labels && labels[i]; i += 2) {
		buf_addf(&e->text, "%s%s=\"", i ? "," : "{", labels[i]);
		add_value(&e->text, labels[i + 1]);
		buf_addc(&e->text, '"');
	}
	if (labels && labels[0])
		buf_addc(&e->text, '}');
	if (value > -1e15 && value < 1e15 && (double)(int64_t)value == value)
		buf_addf(&e->text, " %" PRId64 "\n", (int64_t)value);
	else
		buf_addf(&e->text, " %.15g\n", value);
}

void exposition_end(struct exposition *e)
{
	if (e->openmetrics)
		buf_adds(&e->text, "# EOF\n");
}
