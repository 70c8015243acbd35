// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/env-file.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void env_file_clear(struct conf_map *map)
{
	for (size_t i = 0; i < map->count; i++) {
		free(map->keys[i]);
		free(map->values[i]);
	}
	free(map->keys);
	free(map->values);
	*map = (struct conf_map){0};
}

static void set(struct conf_map *map, char *key, char *value)
{
	for (size_t i = 0; i < map->count; i++) {
		if (strcmp(map->keys[i], key) != 0)
			continue;
		free(map->values[i]);
		map->values[i] = value;
		free(key);
		return;
	}
	map->keys = xrealloc_array(map->keys, map->count + 1, sizeof(*map->keys));
	map->values = xrealloc_array(map->values, map->count + 1, sizeof(*map->values));
	map->keys[map->count] = key;
	map->values[map->count++] = value;
}

static size_t name_len(const char *s)
{
	size_t len = 0;
	if (isdigit((unsigned char)*s))
		return 0;
	while (isalnum((unsigned char)s[len]) || s[len] == '_')
		len++;
	return len;
}

/* NULL: a quote does not end. Caller frees. */
static char *unquote(const char *s, size_t len)
{
	char quote = len > 0 && (*s == '"' || *s == '\'') ? *s : 0;
	if (!quote)
		return xstrndup(s, len);
	if (len < 2 || s[len - 1] != quote)
		return NULL;
	char *out = xcalloc(1, len);
	size_t n = 0;
	for (size_t i = 1; i < len - 1; i++) {
		if (quote == '"' && s[i] == '\\' && i + 1 < len - 1 && strchr("\\\"$`", s[i + 1]))
			i++;
		out[n++] = s[i];
	}
	return out;
}

static bool take_line(const char *line, size_t len, struct conf_map *map)
{
	static const char export[] = "export ";
	while (len > 0 && isspace((unsigned char)line[len - 1]))
		len--;
	while (len > 0 && isspace((unsigned char)*line)) {
		line++;
		len--;
	}
	if (len == 0 || *line == '#')
		return true;
	if (str_starts(line, export)) {
		line += strlen(export);
		len -= strlen(export) < len ? strlen(export) : len;
	}
	size_t name = name_len(line);
	if (name == 0 || name >= len || line[name] != '=')
		return false;
	char *value = unquote(line + name + 1, len - name - 1);
	if (value)
		set(map, xstrndup(line, name), value);
	return value;
}

int env_file_parse(const char *text, struct conf_map *ret, unsigned *ret_bad, struct error *err)
{
	auto_env_file struct conf_map map = {0};
	unsigned number = 0, bad = 0;
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		number++;
		if (!take_line(line, len, &map) && !bad)
			bad = number;
		if (map.count > ENV_FILE_VARIABLES_MAX)
			return error_set(err, ERR_LIMIT, "has more than %d variables",
					 ENV_FILE_VARIABLES_MAX);
		line += len + (line[len] == '\n');
	}
	*ret = map;
	map = (struct conf_map){0};
	*ret_bad = bad;
	return 0;
}

int env_file_load(const char *path, struct conf_map *ret, unsigned *ret_bad, struct error *err)
{
	auto_free char *text = NULL;
	size_t len;
	int r = fs_read_path(path, ENV_FILE_MAX, &text, &len, err);
	if (r < 0)
		return r;
	r = env_file_parse(text, ret, ret_bad, err);
	return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}
