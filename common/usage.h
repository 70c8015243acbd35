/* SPDX-License-Identifier: Apache-2.0 */
/* What --help looks like: text that fits a terminal of 80 columns, options and commands in two
 * columns. */
#pragma once

#include <stdio.h>

#define USAGE_COLUMNS 79

/* Paragraphs, broken between words and indented; each '\n' of text begins a new line, and a line
 * that begins with a blank is printed as it is. */
void usage_text(FILE *out, unsigned indent, const char *text);

/* left at the margin of a list (two blanks), what it means from column on. When left is too long,
 * its meaning begins in the next line. */
void usage_item(FILE *out, const char *left, unsigned column, const char *text);

/* usage_item() for an option: "-n, --count N"; letter 0: none, arg NULL: a flag. */
void usage_option(FILE *out, char letter, const char *name, const char *arg, const char *text);

/* Lines of a person's own typing, under the heading "Example:" or "Examples:". */
void usage_example(FILE *out, const char *lines);
