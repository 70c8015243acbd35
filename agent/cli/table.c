// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/table.h"

#include "agent/cli/cli.h"
#include "common/alloc.h"

#include <assert.h>

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

void table_print(const struct table *table, FILE *out)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};
	for (size_t i = 0; i < table->rows * table->columns; i++) {
		size_t width = width_of(table->cells[i]);
		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	for (size_t row = 0; row < table->rows; row++) {
		char *const *cells = table->cells + row * table->columns;
		size_t gap = 0; /* not printed before it is needed: no line ends in blanks */
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
