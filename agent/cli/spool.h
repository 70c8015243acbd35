/* SPDX-License-Identifier: Apache-2.0 */
/* A list of JSON objects that may be long: kept in a file that has no name, read back one by one.
 * So a worker never waits for whoever reads our output, and memory stays small. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct spool {
	FILE *file; /* NULL: nothing was added yet */
	off_t marked;
};
void spool_clear(struct spool *s);

int spool_add(struct spool *s, const json_t *obj, struct error *err) MUST_CHECK;
/* What was added since the last mark stays, or is forgotten. */
void spool_mark(struct spool *s, bool keep);

/* From the beginning; then the next one: a new reference, NULL at the end. */
void spool_rewind(struct spool *s);
json_t *spool_next(struct spool *s);
/* All of them, with commas between. */
void spool_print(struct spool *s, FILE *out);
