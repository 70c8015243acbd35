// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/lines.h"

#include "agent/cli/cli.h"
#include "common/alloc.h"
#include "common/cleanup.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#define LEAST_WIDTH 20
#define TEXT_COLUMN 11

unsigned lines_width(FILE *out)
{
	struct winsize size;
	if (fileno(out) < 0 || ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return LINES_WIDTH;
	return size.ws_col < LEAST_WIDTH ? LEAST_WIDTH : size.ws_col;
}

/* From U+3000 on, where the wide ones are: rather too many than one too few. */
static unsigned columns_of(unsigned char first)
{
	return first >= 0xe3 ? 2 : 1;
}

size_t lines_cut(const char *text, unsigned columns)
{
	size_t len = 0;
	while (text[len]) {
		unsigned char c = (unsigned char)text[len];
		unsigned width = (c & 0xc0) == 0x80 ? 0 : columns_of(c);
		if (width > columns)
			return len;
		columns -= width;
		len++;
	}
	return len;
}

/* The part of the text that the next line takes; at least a word. */
static size_t next_line(const char *text, unsigned columns)
{
	size_t fits = lines_cut(text, columns), line = strcspn(text, "\n");
	if (line <= fits)
		return line;
	for (size_t len = fits; len > 0; len--)
		if (text[len] == ' ')
			return len;
	return strcspn(text, " \n");
}

void lines_text(FILE *out, unsigned indent, const char *text)
{
	auto_free char *clean = cli_clean_lines(text);
	unsigned width = lines_width(out), least = LEAST_WIDTH / 2;
	for (const char *p = clean;;) {
		size_t len = next_line(p, width > indent + least ? width - indent : least);
		fprintf(out, "%.*s\n", (int)len, p);
		p += len;
		p += *p ? strspn(p, "\n ") : 0;
		if (!*p)
			return;
		fprintf(out, "%*s", (int)indent, "");
	}
}

void lines_item(FILE *out, const char *label, const char *text)
{
	fprintf(out, "  %-*s", TEXT_COLUMN - 2, label);
	lines_text(out, TEXT_COLUMN, text);
}

void lines_below(FILE *out, unsigned indent, const char *text)
{
	fprintf(out, "%*s", (int)indent, "");
	lines_text(out, indent, text);
}

void lines_itemf(FILE *out, const char *label, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	lines_item(out, label, text);
}
