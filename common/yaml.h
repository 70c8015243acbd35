/* SPDX-License-Identifier: Apache-2.0 */
/* YAML into a tree of nodes that know their line and column (libyaml). YAML 1.1 core as far as
 * configuration and AppSpec files need it: scalars keep their text and style; what a plain scalar
 * means is asked by the caller (yaml_to_*). Refused: aliases, tags other than the core ones, more
 * than one document, duplicate keys, nesting above 32, a file above its ceiling, a byte order mark
 * is skipped. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml {
	enum yaml_type type;
	unsigned line, column; /* from 1 */
	/* scalar */
	char *text;  /* may hold NUL bytes from "\0" escapes: refused by the parser, so a plain C
			string */
	bool quoted; /* single or double quoted, or a block scalar */
	/* list: items; map: keys[i] -> items[i], in file order */
	size_t count;
	char **keys;
	unsigned *key_lines, *key_columns;
	struct yaml **items;
};

/* Parse bytes. name stands in front of every message: "name:3:5: ...". *ret is NULL for an empty
 * document (no content, only comments, or "---"). ERR_FORMAT with line and column on bad input;
 * -EFBIG above max. */
int yaml_parse(const char *name, const char *text, size_t len, size_t max, struct yaml **ret,
	       struct error *err) MUST_CHECK;
/* The same, but keys that are there twice are given to tell, and the first one counts. */
typedef void yaml_twice_fn(const char *key, unsigned line, unsigned column, unsigned first_line,
			   void *arg);
int yaml_parse_telling(const char *name, const char *text, size_t len, size_t max,
		       yaml_twice_fn *tell, void *arg, struct yaml **ret,
		       struct error *err) MUST_CHECK;
/* Not yaml_free: libyaml has a function of that name, and would call ours for its own memory. */
void yaml_node_free(struct yaml *node);
DEFINE_CLEANUP(struct yaml *, yaml_node_free)
#define auto_yaml CLEANUP(yaml_node_free_at)

/* Value of a key in a map; NULL when absent (or node is no map). */
const struct yaml *yaml_get(const struct yaml *map, const char *key);
/* null, ~, or empty plain scalar. */
bool yaml_is_null(const struct yaml *node);
/* The value of a plain scalar by YAML 1.1 (as Ruby's Psych reads it: 0644 is octal 420, 0o644 is
 * text, 1:30 is 5400 ...). Return 0, or -EINVAL when it is not of that type (quoted scalars are
 * text). */
int yaml_to_int(const struct yaml *node, int64_t *ret) MUST_CHECK;
int yaml_to_number(const struct yaml *node, double *ret) MUST_CHECK;
int yaml_to_bool(const struct yaml *node, bool *ret) MUST_CHECK;
