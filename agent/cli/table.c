// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/table.h"

#include "agent/cli/cli.h"
#include "common/alloc.h"

#include <assert.h>
#include <string.h>

#define CUT "..."
#define FIRST_MIN 12 /* columns that the first one keeps in any case */

/* Characters, not bytes: as far as a terminal is concerned, near enough. */
static size_t width_of(const char *text)
{
	size_t width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

void table_add(struct table *table, const char *const cells[])
{
	assert(table->columns > 0 && table->columns <= TABLE_COLUMNS_MAX);
	if (table->rows == table->room) {
		table->room = table->room ? 2 * table->room : 16;
		table->cells = xrealloc_array(table->cells, table->room * table->columns,
					      sizeof(*table->cells));
	}
	char **row = table->cells + table->rows++ * table->columns;
	for (unsigned i = 0; i < table->columns; i++)
		row[i] = cli_clean(cells[i] ? cells[i] : "");
}

static void measure(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
	for (size_t i = 0; i < table->rows * table->columns; i++) {
		size_t width = width_of(table->cells[i]);
		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
}

static char *without_beginning(const char *text, size_t width)
{
	for (size_t left = width_of(text) + strlen(CUT); left > width; left--)
		do
			text++;
		while (((unsigned char)*text & 0xc0) == 0x80);
	return xasprintf(CUT "%s", text);
}

/* Cut the first column's cells, so that lines are as short as they are to be. */
static void fit(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
	size_t others = table->indent;
	for (unsigned i = 1; i < table->columns; i++)
		others += widths[i] + 2;
	if (!table->width || others + widths[0] <= table->width)
		return;
	widths[0] = others + FIRST_MIN < table->width ? table->width - others : FIRST_MIN;
	for (size_t row = 0; row < table->rows; row++) {
		char **cell = &table->cells[row * table->columns];
		if (width_of(*cell) <= widths[0])
			continue;
		char *shorter = without_beginning(*cell, widths[0]);
		free(*cell);
		*cell = shorter;
	}
}

void table_print(const struct table *table, FILE *out)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};
	measure(table, widths);
	fit(table, widths);
	for (size_t row = 0; row < table->rows; row++) {
		char *const *cells = table->cells + row * table->columns;
		size_t gap = table->indent; /* not printed before needed: no line ends in blanks */
		for (unsigned i = 0; i < table->columns; i++) {
			if (*cells[i]) {
				fprintf(out, "%*s%s", (int)gap, "", cells[i]);
				gap = 0;
			}
			gap += widths[i] + 2 - width_of(cells[i]);
		}
		fputc('\n', out);
	}
}

void table_clear(struct table *table)
{
	for (size_t i = 0; i < table->rows * table->columns; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){0};
}
