// SPDX-License-Identifier: Apache-2.0
#include "common/usage.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/str.h"

#include <stdlib.h>
#include <string.h>

#define MARGIN 2
#define OPTION_COLUMN 29

/* One line of text, cut between words. at: the column that the output has reached. */
static void put_line(FILE *out, unsigned indent, unsigned at, const char *line, size_t len)
{
	bool first = true;
	while (len > 0) {
		size_t word = strcspn(line, " \n");
		word = word < len ? word : len;
		if (!first && at + 1 + word > USAGE_COLUMNS) {
			fputc('\n', out);
			at = 0;
			first = true;
		}
		if (first && at < indent)
			fprintf(out, "%*s", (int)(indent - at), "");
		at = first ? (at < indent ? indent : at) : at + 1;
		fprintf(out, "%s%.*s", first ? "" : " ", (int)word, line);
		at += (unsigned)word;
		first = false;
		line += word;
		len -= word;
		while (len > 0 && *line == ' ') {
			line++;
			len--;
		}
	}
	fputc('\n', out);
}

static void put_text(FILE *out, unsigned indent, unsigned at, const char *text)
{
	for (;;) {
		size_t len = strcspn(text, "\n");
		if (*text == ' ')
			fprintf(out, "%*s%.*s\n", (int)indent, "", (int)len, text);
		else
			put_line(out, indent, at, text, len);
		if (!text[len])
			return;
		text += len + 1;
		at = 0;
	}
}

void usage_text(FILE *out, unsigned indent, const char *text)
{
	put_text(out, indent, 0, text);
}

void usage_item(FILE *out, const char *left, unsigned column, const char *text)
{
	unsigned at = MARGIN + (unsigned)strlen(left);
	fprintf(out, "%*s%s", MARGIN, "", left);
	if (at + 1 > column) {
		fputc('\n', out);
		at = 0;
	}
	put_text(out, column, at, text);
}

void usage_option(FILE *out, char letter, const char *name, const char *arg, const char *text)
{
	char front[8] = "    ";
	if (letter)
		snprintf(front, sizeof(front), "-%c, ", letter);
	auto_free char *left = xasprintf("%s--%s%s%s", front, name, arg ? " " : "", arg ? arg : "");
	usage_item(out, left, OPTION_COLUMN, text);
}

void usage_example(FILE *out, const char *lines)
{
	bool several = false;
	for (const char *end = strchr(lines, '\n'); end; end = strchr(end + 1, '\n'))
		several |= end[1] != ' '; /* else the line goes on */
	fprintf(out, "%s:\n", several ? "Examples" : "Example");
	for (;;) {
		size_t len = strcspn(lines, "\n");
		fprintf(out, "  %.*s\n", (int)len, lines);
		if (!lines[len])
			return;
		lines += len + 1;
	}
}
