/* SPDX-License-Identifier: Apache-2.0 */
/* Text in columns, as wide as their content. */
#pragma once

#include "common/cleanup.h"

#include <stdio.h>

#define TABLE_COLUMNS_MAX 8

struct table {
	unsigned columns;
	unsigned indent;
	unsigned width; /* of a line, if that can be: the first column loses beginnings; 0: any */
	size_t rows, room;
	char **cells; /* rows * columns, owned */
};

/* The first row is the heading. cells: as many as the table has columns; NULL is "". What comes
 * from elsewhere loses its control characters. */
void table_add(struct table *table, const char *const cells[]);
void table_print(const struct table *table, FILE *out);
void table_clear(struct table *table);
#define auto_table CLEANUP(table_clear)
