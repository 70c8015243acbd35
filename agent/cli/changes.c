// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/changes.h"

#include "agent/cli/cli.h"
#include "agent/cli/table.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PATHS_SHOWN 100
#define DIRS_SHOWN 30
#define LINE_WIDTH 80

/* What the operations come to for somebody who looks at a directory. */
enum column {
	COLUMN_NEW,
	COLUMN_CHANGED,
	COLUMN_REMOVED,
	COLUMN_KEPT,
	COLUMN_REFUSED,
	COLUMN_COUNT
};

static const char *const headings[] = {
	[COLUMN_NEW] = "new",   [COLUMN_CHANGED] = "changed", [COLUMN_REMOVED] = "removed",
	[COLUMN_KEPT] = "kept", [COLUMN_REFUSED] = "refused",
};

static const struct {
	const char *op;
	enum column column;
} ops[] = {
	{"mkdir", COLUMN_NEW},       {"create", COLUMN_NEW},       {"symlink", COLUMN_NEW},
	{"replace", COLUMN_CHANGED}, {"metadata", COLUMN_CHANGED}, {"delete", COLUMN_REMOVED},
	{"rmdir", COLUMN_REMOVED},   {"keep", COLUMN_KEPT},        {"retain", COLUMN_KEPT},
	{"refuse", COLUMN_REFUSED},
};

struct dir {
	char *path;
	uint64_t counts[COLUMN_COUNT], bytes;
};

struct dirs {
	struct dir *list;
	size_t count, room;
};

static const char *member(const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));
	return text ? text : "";
}

static uint64_t bytes_of(const json_t *op)
{
	return (uint64_t)json_integer_value(json_object_get(op, "bytes"));
}

/* ---- a line for each path ---- */

static void print_path(const json_t *op, FILE *out)
{
	char size[32] = "";
	auto_free char *path = cli_clean(member(op, "path"));
	if (bytes_of(op))
		str_human_bytes(bytes_of(op), size, sizeof(size));
	fprintf(out, "  %-9s %s%s%s\n", member(op, "op"), path, *size ? "  " : "", size);
}

static void print_paths(struct spool *operations, FILE *out)
{
	json_t *op;
	spool_rewind(operations);
	while ((op = spool_next(operations))) {
		print_path(op, out);
		json_decref(op);
	}
}

/* ---- a line for each directory ---- */

static void dirs_clear(struct dirs *dirs)
{
	for (size_t i = 0; i < dirs->count; i++)
		free(dirs->list[i].path);
	free(dirs->list);
}

/* "/srv/app" of "/srv/app/file", "/" of "/srv". Caller frees. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash > path ? xstrndup(path, (size_t)(slash - path)) : xstrdup("/");
}

static size_t depth_of(const char *path)
{
	size_t depth = 0;
	for (const char *p = path; *p; p++)
		depth += *p == '/' && p[1];
	return depth;
}

static void add_to(struct dir *dir, const struct dir *other)
{
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		dir->counts[i] += other->counts[i];
	dir->bytes += other->bytes;
}

/* Operations of one directory mostly follow each other. */
static struct dir *dir_for(struct dirs *dirs, const char *path)
{
	auto_free char *parent = parent_of(path);
	if (dirs->count && strcmp(dirs->list[dirs->count - 1].path, parent) == 0)
		return &dirs->list[dirs->count - 1];
	if (dirs->count == dirs->room) {
		dirs->room = dirs->room ? 2 * dirs->room : 64;
		dirs->list = xrealloc_array(dirs->list, dirs->room, sizeof(*dirs->list));
	}
	dirs->list[dirs->count] = (struct dir){.path = TAKE(parent)};
	return &dirs->list[dirs->count++];
}

static void count_operation(struct dirs *dirs, const json_t *op)
{
	struct dir *dir = dir_for(dirs, member(op, "path"));
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (strcmp(ops[i].op, member(op, "op")) == 0)
			dir->counts[ops[i].column]++;
	dir->bytes += bytes_of(op);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct dir *)a)->path, ((const struct dir *)b)->path);
}

/* One line per directory. */
static void unite(struct dirs *dirs)
{
	size_t kept = 0;
	qsort(dirs->list, dirs->count, sizeof(*dirs->list), by_path);
	for (size_t i = 0; i < dirs->count; i++) {
		struct dir *dir = &dirs->list[i];
		if (kept && strcmp(dirs->list[kept - 1].path, dir->path) == 0) {
			add_to(&dirs->list[kept - 1], dir);
			free(dir->path);
		} else {
			dirs->list[kept++] = *dir;
		}
	}
	dirs->count = kept;
}

/* The deepest ones become part of what they are in. Returns false when there is nothing above. */
static bool fold(struct dirs *dirs)
{
	size_t deepest = 0;
	for (size_t i = 0; i < dirs->count; i++) {
		size_t depth = depth_of(dirs->list[i].path);
		deepest = depth > deepest ? depth : deepest;
	}
	for (size_t i = 0; deepest > 1 && i < dirs->count; i++) {
		char **path = &dirs->list[i].path;
		if (depth_of(*path) < deepest)
			continue;
		char *parent = parent_of(*path);
		free(*path);
		*path = parent;
	}
	unite(dirs);
	return deepest > 1;
}

/* The columns in which there is anything. */
static unsigned choose_columns(const struct dirs *dirs, enum column columns[COLUMN_COUNT],
			       bool *ret_bytes)
{
	struct dir sum = {0};
	unsigned n = 0;
	for (size_t i = 0; i < dirs->count; i++)
		add_to(&sum, &dirs->list[i]);
	for (size_t i = 0; i < COLUMN_COUNT; i++)
		if (sum.counts[i])
			columns[n++] = (enum column)i;
	*ret_bytes = sum.bytes;
	return n;
}

static void add_row(struct table *table, const struct dir *dir, const enum column *columns,
		    unsigned n)
{
	char texts[TABLE_COLUMNS_MAX][32];
	const char *cells[TABLE_COLUMNS_MAX] = {dir->path};
	for (unsigned i = 0; i < n; i++) {
		uint64_t count = dir->counts[columns[i]];
		snprintf(texts[i], sizeof(texts[i]), "%" PRIu64, count);
		cells[i + 1] = count ? texts[i] : "";
	}
	if (dir->bytes)
		cells[n + 1] = str_human_bytes(dir->bytes, texts[n], sizeof(texts[n]));
	table_add(table, cells);
}

static void print_table(const struct dirs *dirs, FILE *out)
{
	enum column columns[COLUMN_COUNT];
	bool bytes;
	unsigned n = choose_columns(dirs, columns, &bytes);
	auto_table struct table table = {
		.columns = n + (bytes ? 2 : 1), .indent = 2, .width = LINE_WIDTH};
	const char *cells[TABLE_COLUMNS_MAX] = {"directory"};
	for (unsigned i = 0; i < n; i++)
		cells[i + 1] = headings[columns[i]];
	cells[n + 1] = "to write";
	table_add(&table, cells);
	for (size_t i = 0; i < dirs->count; i++)
		add_row(&table, &dirs->list[i], columns, n);
	table_print(&table, out);
}

void changes_print(struct spool *operations, bool all, FILE *out)
{
	CLEANUP(dirs_clear) struct dirs dirs = {0};
	size_t count = 0;
	json_t *op;
	spool_rewind(operations);
	for (; !all && (op = spool_next(operations)); count++) {
		count_operation(&dirs, op);
		json_decref(op);
	}
	if (count <= PATHS_SHOWN) {
		print_paths(operations, out);
		return;
	}
	unite(&dirs);
	while (dirs.count > DIRS_SHOWN && fold(&dirs))
		continue;
	print_table(&dirs, out);
	fprintf(out, "  %zu paths; with --all or --json each of them\n", count);
}
