// SPDX-License-Identifier: Apache-2.0
/* libyaml's events become a tree by recursive descent: one function per kind of node, each entered
 * with the event that begins it. Aliases are refused, so the tree is never larger than its text. */
#include "common/yaml.h"

#include "common/alloc.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#define YAML_DEPTH_MAX 32
#define TAG_CORE "tag:yaml.org,2002:"
#define BOM "\xef\xbb\xbf"

struct parser {
	yaml_parser_t lib;
	const char *name, *text;
	size_t len;
	yaml_event_t event; /* the current one; owned */
	bool has_event;
	yaml_twice_fn *tell; /* NULL: a key that is there twice is an error */
	void *tell_arg;
	struct error *err;
};

static int PRINTF_LIKE(3, 4) refuse(struct parser *p, const yaml_mark_t *mark, const char *fmt, ...)
{
	char what[sizeof(p->err->text)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return error_set(p->err, ERR_FORMAT, "%s:%zu:%zu: %s", p->name, mark->line + 1,
			 mark->column + 1, what);
}

/* Bytes that are no characters have an offset instead of a mark. */
static yaml_mark_t mark_at(const struct parser *p, size_t offset)
{
	yaml_mark_t mark = {0};
	for (size_t i = 0; i < offset && i < p->len; i++) {
		bool is_end = p->text[i] == '\n';
		mark.line += is_end;
		mark.column = is_end ? 0 : mark.column + 1;
	}
	return mark;
}

/* libyaml speaks of tokens; this is what people do. */
static const struct hint {
	const char *problem, *hint;
} hints[] = {
	{"mapping values are not allowed in this context",
	 "is a blank missing after a ':' above, or quotes?"},
	{"found character that cannot start any token", "text that begins with it needs quotes"},
	{"did not find expected '-' indicator", "is it indented like the lines above?"},
	{"did not find expected key", "is it indented like the lines above?"},
	{"did not find expected alphabetic or numeric character",
	 "text that begins with '*' or '&' needs quotes"},
};

/* Is the mark at a tab with nothing but blanks before it in the line? Then bytes are columns. */
static bool is_indenting_tab(const struct parser *p, const yaml_mark_t *mark)
{
	size_t at = 0;
	for (size_t line = 0; line < mark->line && at < p->len; at++)
		line += p->text[at] == '\n';
	for (size_t column = 0; at < p->len; at++, column++) {
		if (p->text[at] == '\t' && column >= mark->column)
			return true;
		if (p->text[at] != ' ' && p->text[at] != '\t')
			return false;
	}
	return false;
}

static const char *hint_of(const struct parser *p, const char *problem)
{
	if (is_indenting_tab(p, &p->lib.problem_mark))
		return "a tab: YAML is indented with blanks only";
	for (size_t i = 0; i < ARRAY_LEN(hints); i++)
		if (strcmp(hints[i].problem, problem) == 0)
			return hints[i].hint;
	return NULL;
}

static int refuse_syntax(struct parser *p)
{
	const yaml_parser_t *lib = &p->lib;
	if (lib->error == YAML_MEMORY_ERROR)
		return error_set(p->err, -ENOMEM, "%s: out of memory", p->name);
	const char *problem = lib->problem ? lib->problem : "this is not YAML";
	if (lib->error == YAML_READER_ERROR) {
		yaml_mark_t mark = mark_at(p, lib->problem_offset);
		return refuse(p, &mark, "%s", problem);
	}
	const char *hint = hint_of(p, problem);
	if (hint)
		return refuse(p, &lib->problem_mark, "%s; %s", problem, hint);
	/* A quote or bracket that is never closed is noticed at the end of the file. */
	if (lib->context && lib->context_mark.index != lib->problem_mark.index)
		return refuse(p, &lib->problem_mark, "%s, %s that begins at %zu:%zu", problem,
			      lib->context, lib->context_mark.line + 1,
			      lib->context_mark.column + 1);
	if (lib->context)
		return refuse(p, &lib->problem_mark, "%s, %s", problem, lib->context);
	return refuse(p, &lib->problem_mark, "%s", problem);
}

static int next(struct parser *p)
{
	if (p->has_event)
		yaml_event_delete(&p->event);
	p->has_event = yaml_parser_parse(&p->lib, &p->event) == 1;
	return p->has_event ? 0 : refuse_syntax(p);
}

static struct yaml *node_new(enum yaml_type type, const yaml_mark_t *mark)
{
	struct yaml *node = xcalloc(1, sizeof(*node));
	node->type = type;
	node->line = (unsigned)mark->line + 1;
	node->column = (unsigned)mark->column + 1;
	return node;
}

void yaml_node_free(struct yaml *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->count; i++) {
		yaml_node_free(node->items[i]);
		if (node->keys)
			free(node->keys[i]);
	}
	free(node->items);
	free(node->keys);
	free(node->key_lines);
	free(node->key_columns);
	free(node->text);
	free(node);
}

/* Returns 1 when the tag makes the scalar text, 2 when it makes it plain, 0 without a tag. */
static int read_tag(struct parser *p, const yaml_char_t *raw, enum yaml_type type)
{
	static const struct {
		const char *tag;
		enum yaml_type type;
		int meaning;
	} core[] = {
		{"!", YAML_SCALAR, 1},
		{"!", YAML_LIST, 0},
		{"!", YAML_MAP, 0},
		{TAG_CORE "str", YAML_SCALAR, 1},
		{TAG_CORE "int", YAML_SCALAR, 2},
		{TAG_CORE "float", YAML_SCALAR, 2},
		{TAG_CORE "bool", YAML_SCALAR, 2},
		{TAG_CORE "null", YAML_SCALAR, 2},
		{TAG_CORE "seq", YAML_LIST, 0},
		{TAG_CORE "map", YAML_MAP, 0},
	};
	const char *tag = (const char *)raw;
	if (!tag)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(core); i++)
		if (core[i].type == type && strcmp(core[i].tag, tag) == 0)
			return core[i].meaning;
	return refuse(p, &p->event.start_mark, "the tag '%s' is not supported here: remove it",
		      tag);
}

/* The current event's scalar as a C string. */
static int scalar_text(struct parser *p, char **ret)
{
	const char *value = (const char *)p->event.data.scalar.value;
	size_t len = p->event.data.scalar.length;
	if (memchr(value, '\0', len))
		return refuse(p, &p->event.start_mark, "a NUL character is not allowed");
	*ret = xstrndup(value, len);
	return 0;
}

static int read_scalar(struct parser *p, struct yaml **ret)
{
	int tag = read_tag(p, p->event.data.scalar.tag, YAML_SCALAR);
	if (tag < 0)
		return tag;
	auto_yaml struct yaml *node = node_new(YAML_SCALAR, &p->event.start_mark);
	int r = scalar_text(p, &node->text);
	if (r < 0)
		return r;
	bool styled = p->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	node->quoted = tag ? tag == 1 : styled;
	*ret = TAKE(node);
	return 0;
}

static int read_node(struct parser *p, unsigned depth, struct yaml **ret);

static void grow(struct yaml *node)
{
	/* a power of two, and every one: the arrays are full */
	if (node->count & (node->count - 1))
		return;
	size_t room = node->count ? node->count * 2 : 1;
	node->items = xrealloc_array(node->items, room, sizeof(*node->items));
	if (node->type != YAML_MAP)
		return;
	node->keys = xrealloc_array(node->keys, room, sizeof(*node->keys));
	node->key_lines = xrealloc_array(node->key_lines, room, sizeof(*node->key_lines));
	node->key_columns = xrealloc_array(node->key_columns, room, sizeof(*node->key_columns));
}

static int read_list(struct parser *p, unsigned depth, struct yaml **ret)
{
	int r = read_tag(p, p->event.data.sequence_start.tag, YAML_LIST);
	if (r < 0)
		return r;
	auto_yaml struct yaml *node = node_new(YAML_LIST, &p->event.start_mark);
	for (;;) {
		r = next(p);
		if (r < 0)
			return r;
		if (p->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		struct yaml *item = NULL;
		r = read_node(p, depth, &item);
		if (r < 0)
			return r;
		grow(node);
		node->items[node->count++] = item;
	}
	*ret = TAKE(node);
	return 0;
}

/* One key, and then its value. */
static int read_pair(struct parser *p, unsigned depth, struct yaml *node)
{
	if (p->event.type == YAML_ALIAS_EVENT)
		return refuse(p, &p->event.start_mark, "aliases are not supported");
	if (p->event.type != YAML_SCALAR_EVENT)
		return refuse(p, &p->event.start_mark, "a key must be a plain word or a string");
	auto_free char *key = NULL;
	unsigned line = (unsigned)p->event.start_mark.line + 1;
	unsigned column = (unsigned)p->event.start_mark.column + 1;
	int r = read_tag(p, p->event.data.scalar.tag, YAML_SCALAR);
	if (r >= 0)
		r = scalar_text(p, &key);
	if (r == 0)
		r = next(p);
	struct yaml *value = NULL;
	if (r == 0)
		r = read_node(p, depth, &value);
	if (r < 0)
		return r;
	grow(node);
	node->items[node->count] = value;
	node->key_lines[node->count] = line;
	node->key_columns[node->count] = column;
	node->keys[node->count++] = TAKE(key);
	return 0;
}

struct key_at {
	const char *key;
	size_t index;
};

static int by_key(const void *a, const void *b)
{
	const struct key_at *one = a, *other = b;
	int r = strcmp(one->key, other->key);
	return r ? r : (one->index > other->index) - (one->index < other->index);
}

static void drop_pair(struct yaml *node, size_t i)
{
	free(node->keys[i]);
	node->keys[i] = NULL;
	yaml_node_free(node->items[i]);
	node->items[i] = NULL;
}

/* Close the gaps that drop_pair() left. */
static void close_gaps(struct yaml *node)
{
	size_t n = 0;
	for (size_t i = 0; i < node->count; i++) {
		if (!node->keys[i])
			continue;
		node->keys[n] = node->keys[i];
		node->items[n] = node->items[i];
		node->key_lines[n] = node->key_lines[i];
		node->key_columns[n++] = node->key_columns[i];
	}
	node->count = n;
}

/* Sorted first: a hostile file may have as many keys as it has bytes. */
static int refuse_duplicates(struct parser *p, struct yaml *node)
{
	auto_free struct key_at *keys = xcalloc(node->count, sizeof(*keys));
	for (size_t i = 0; i < node->count; i++)
		keys[i] = (struct key_at){node->keys[i], i};
	qsort(keys, node->count, sizeof(*keys), by_key);
	size_t first = 0;
	for (size_t i = 1; i < node->count; i++) {
		if (strcmp(keys[i].key, keys[first].key) != 0) {
			first = i;
			continue;
		}
		size_t again = keys[i].index;
		unsigned line = node->key_lines[again], column = node->key_columns[again];
		unsigned first_line = node->key_lines[keys[first].index];
		if (!p->tell)
			return error_set(p->err, ERR_FORMAT,
					 "%s:%u:%u: the key '%s' is here twice, first in line %u",
					 p->name, line, column, keys[i].key, first_line);
		p->tell(keys[i].key, line, column, first_line, p->tell_arg);
		drop_pair(node, again);
	}
	close_gaps(node);
	return 0;
}

static int read_map(struct parser *p, unsigned depth, struct yaml **ret)
{
	int r = read_tag(p, p->event.data.mapping_start.tag, YAML_MAP);
	if (r < 0)
		return r;
	auto_yaml struct yaml *node = node_new(YAML_MAP, &p->event.start_mark);
	for (;;) {
		r = next(p);
		if (r < 0)
			return r;
		if (p->event.type == YAML_MAPPING_END_EVENT)
			break;
		r = read_pair(p, depth, node);
		if (r < 0)
			return r;
	}
	r = refuse_duplicates(p, node);
	if (r < 0)
		return r;
	*ret = TAKE(node);
	return 0;
}

static int read_node(struct parser *p, unsigned depth, struct yaml **ret)
{
	if (depth >= YAML_DEPTH_MAX)
		return refuse(p, &p->event.start_mark, "nested deeper than %d levels",
			      YAML_DEPTH_MAX);
	switch (p->event.type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(p, ret);
	case YAML_SEQUENCE_START_EVENT:
		return read_list(p, depth + 1, ret);
	case YAML_MAPPING_START_EVENT:
		return read_map(p, depth + 1, ret);
	case YAML_ALIAS_EVENT:
		return refuse(p, &p->event.start_mark, "aliases are not supported");
	default:
		return refuse(p, &p->event.start_mark, "a value was expected");
	}
}

/* "---" alone: a document whose content is nothing. */
static bool is_nothing(const struct yaml *node)
{
	return node->type == YAML_SCALAR && !node->quoted && !*node->text;
}

static int read_stream(struct parser *p, struct yaml **ret)
{
	int r = next(p); /* the stream begins */
	if (r == 0)
		r = next(p);
	if (r < 0 || p->event.type == YAML_STREAM_END_EVENT)
		return r;
	r = next(p); /* the document begins */
	auto_yaml struct yaml *root = NULL;
	if (r == 0)
		r = read_node(p, 0, &root);
	if (r == 0)
		r = next(p); /* the document ends */
	if (r == 0)
		r = next(p);
	if (r < 0)
		return r;
	if (p->event.type != YAML_STREAM_END_EVENT)
		return refuse(p, &p->event.start_mark,
			      "a second document begins here: only one "
			      "is allowed");
	if (!is_nothing(root))
		*ret = TAKE(root);
	return 0;
}

int yaml_parse(const char *name, const char *text, size_t len, size_t max, struct yaml **ret,
	       struct error *err)
{
	return yaml_parse_telling(name, text, len, max, NULL, NULL, ret, err);
}

int yaml_parse_telling(const char *name, const char *text, size_t len, size_t max,
		       yaml_twice_fn *tell, void *arg, struct yaml **ret, struct error *err)
{
	if (len > max)
		return error_set(err, -EFBIG, "%s is larger than %zu bytes", name, max);
	/* libyaml would count the mark as a column and find the first key indented */
	if (len >= strlen(BOM) && memcmp(text, BOM, strlen(BOM)) == 0) {
		text += strlen(BOM);
		len -= strlen(BOM);
	}
	struct parser p = {
		.name = name, .text = text, .len = len, .tell = tell, .tell_arg = arg, .err = err};
	if (!yaml_parser_initialize(&p.lib))
		return error_set(err, -ENOMEM, "%s: out of memory", name);
	yaml_parser_set_encoding(&p.lib, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.lib, (const unsigned char *)text, len);
	struct yaml *root = NULL;
	int r = read_stream(&p, &root);
	if (p.has_event)
		yaml_event_delete(&p.event);
	yaml_parser_delete(&p.lib);
	if (r < 0)
		return r;
	*ret = root;
	return 0;
}

const struct yaml *yaml_get(const struct yaml *map, const char *key)
{
	if (!map || map->type != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i], key) == 0)
			return map->items[i];
	return NULL;
}

static bool is_plain(const struct yaml *node)
{
	return node && node->type == YAML_SCALAR && !node->quoted;
}

bool yaml_is_null(const struct yaml *node)
{
	return is_plain(node) && (!*node->text || strcmp(node->text, "~") == 0 ||
				  strcasecmp(node->text, "null") == 0);
}
