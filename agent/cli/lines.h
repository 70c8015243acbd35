/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences in the width of the terminal. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#define LINES_WIDTH 80 /* where there is no terminal */

/* Columns of the terminal that out is, else LINES_WIDTH; at least 20. */
unsigned lines_width(FILE *out);

/* How many bytes of the text fill so many columns. Wide characters count as two columns, and
 * so do some that are not: a line that is cut here stays on one row. */
size_t lines_cut(const char *text, unsigned columns);

/* "  LABEL    TEXT", broken between words, what follows the first line below the text. A word that
 * is too long stays whole: people copy it. The text loses its control characters. */
void lines_item(FILE *out, const char *label, const char *text);
/* From behind the indent of the first line, which stands there already. */
void lines_text(FILE *out, unsigned indent, const char *text);
/* Below that indent and without a label. */
void lines_below(FILE *out, unsigned indent, const char *text);
/* As lines_item(), with the text made by a format. */
void lines_itemf(FILE *out, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
