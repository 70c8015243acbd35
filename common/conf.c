// SPDX-License-Identifier: Apache-2.0
#include "common/conf.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "common/usage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONF_FILE_MAX ((size_t)256 * 1024)
#define CONF_MAP_MAX 1000
#define CONF_LIST_MAX 4096 /* of mistakes in one message, which is cut again where it is shown */

static void *member_of(const struct conf_option *option, void *settings)
{
	return (char *)settings + option->offset;
}

static void map_clear(struct conf_map *map)
{
	for (size_t i = 0; i < map->count; i++) {
		free(map->keys[i]);
		free(map->values[i]);
	}
	free(map->keys);
	free(map->values);
	*map = (struct conf_map){0};
}

/* A key that is there already gets the new value. */
static int map_set(struct conf_map *map, const char *key, const char *value, struct error *err)
{
	for (size_t i = 0; i < map->count; i++) {
		if (strcmp(map->keys[i], key) != 0)
			continue;
		free(map->values[i]);
		map->values[i] = xstrdup(value);
		return 0;
	}
	if (map->count == CONF_MAP_MAX)
		return error_set(err, ERR_LIMIT, "has more than %d entries", CONF_MAP_MAX);
	map->keys = xrealloc_array(map->keys, map->count + 1, sizeof(*map->keys));
	map->values = xrealloc_array(map->values, map->count + 1, sizeof(*map->values));
	map->keys[map->count] = xstrdup(key);
	map->values[map->count++] = xstrdup(value);
	return 0;
}

static void set_string(const struct conf_option *option, void *settings, const char *value)
{
	char **member = member_of(option, settings);
	free(*member);
	*member = xstrdup_null(value);
}

static bool has_limits(const struct conf_option *option)
{
	return option->min || option->max;
}

static int set_int(const struct conf_option *option, void *settings, const char *value,
		   struct error *err)
{
	int64_t number;
	if (str_to_i64(value, &number) < 0)
		return error_set(err, ERR_INPUT, "must be a whole number, not '%s'", value);
	if (option->clamp && number > option->max) {
		log_warning("'%s': %s is more than this agent takes, %" PRId64 " is used",
			    option->name, value, option->max);
		number = option->max;
	}
	if (has_limits(option) && (number < option->min || number > option->max))
		return error_set(err, ERR_INPUT, "must be from %" PRId64 " to %" PRId64 ", not %s",
				 option->min, option->max, value);
	*(int64_t *)member_of(option, settings) = number;
	return 0;
}

static uint64_t nearest(const struct conf_option *option, uint64_t amount)
{
	if (amount < (uint64_t)option->min)
		return (uint64_t)option->min;
	return amount > (uint64_t)option->max ? (uint64_t)option->max : amount;
}

static int set_amount(const struct conf_option *option, void *settings, const char *value,
		      struct error *err)
{
	bool is_size = option->type == CONF_SIZE;
	uint64_t amount;
	if ((is_size ? str_to_size(value, &amount) : str_to_duration(value, &amount)) < 0)
		return error_set(err, ERR_INPUT, "must be a %s such as %s, not '%s'",
				 is_size ? "size" : "duration",
				 is_size ? "64k or 2G" : "90s or 10m", value);
	if (option->clamp && nearest(option, amount) != amount) {
		log_warning("'%s': %s is out of range, the nearest is used", option->name, value);
		amount = nearest(option, amount);
	}
	if (has_limits(option) &&
	    (amount < (uint64_t)option->min || amount > (uint64_t)option->max))
		return error_set(err, ERR_INPUT,
				 "must be from %" PRId64 " to %" PRId64 " %s, not %s", option->min,
				 option->max, is_size ? "bytes" : "milliseconds", value);
	*(uint64_t *)member_of(option, settings) = amount;
	return 0;
}

static int set_percent(const struct conf_option *option, void *settings, const char *value,
		       struct error *err)
{
	uint64_t percent;
	if (str_to_percent(value, &percent) < 0)
		return error_set(err, ERR_INPUT, "must be a percentage such as 150%%, not '%s'",
				 value);
	if (has_limits(option) &&
	    (percent < (uint64_t)option->min || percent > (uint64_t)option->max))
		return error_set(err, ERR_INPUT,
				 "must be from %" PRId64 "%% to %" PRId64 "%%, not %s", option->min,
				 option->max, value);
	*(uint64_t *)member_of(option, settings) = percent;
	return 0;
}

static int set_bool(const struct conf_option *option, void *settings, const char *value,
		    struct error *err)
{
	if (str_to_bool(value, member_of(option, settings)) < 0)
		return error_set(err, ERR_INPUT, "must be true or false, not '%s'", value);
	return 0;
}

static int set_path(const struct conf_option *option, void *settings, const char *value,
		    struct error *err)
{
	if (*value != '/')
		return error_set(err, ERR_INPUT, "must be an absolute path, not '%s'", value);
	set_string(option, settings, value);
	return 0;
}

static int set_filename(const struct conf_option *option, void *settings, const char *value,
			struct error *err)
{
	if (!str_is_filename(value))
		return error_set(err, ERR_INPUT, "must be a name without '/', not '%s'", value);
	set_string(option, settings, value);
	return 0;
}

static int set_https(const struct conf_option *option, void *settings, const char *value,
		     struct error *err)
{
	static const char scheme[] = "https://";
	const char *host = str_starts(value, scheme) ? value + strlen(scheme) : "";
	size_t len = strcspn(host, "/?#@ ");
	if (len == 0 || !(str_eq(host + len, "") || str_eq(host + len, "/")))
		return error_set(err, ERR_INPUT, "must be https://HOST[:PORT], not '%s'", value);
	auto_free char *url = xasprintf("%s%.*s", scheme, (int)len, host);
	set_string(option, settings, url);
	return 0;
}

static int set_choice(const struct conf_option *option, void *settings, const char *value,
		      struct error *err)
{
	auto_buf struct buf known = BUF_INIT(512);
	for (const char *const *choice = option->choices; *choice; choice++) {
		if (strcmp(*choice, value) == 0) {
			set_string(option, settings, value);
			return 0;
		}
		buf_addf(&known, "%s%s", known.len ? ", " : "", *choice);
	}
	return error_set(err, ERR_INPUT, "must be one of %s, not '%s'", buf_str(&known), value);
}

static int set_pair(const struct conf_option *option, void *settings, const char *value,
		    struct error *err)
{
	const char *sep = strchr(value, '=');
	if (!sep || sep == value)
		return error_set(err, ERR_INPUT, "must be NAME=VALUE, not '%s'", value);
	auto_free char *key = xstrndup(value, (size_t)(sep - value));
	return map_set(member_of(option, settings), key, sep + 1, err);
}

/* The reason, when there is one, continues a sentence that begins with the option's name. */
static int set_text(const struct conf_option *option, void *settings, const char *value,
		    struct error *err)
{
	switch (option->type) {
	case CONF_STRING:
		set_string(option, settings, value);
		return 0;
	case CONF_PATH:
		return set_path(option, settings, value, err);
	case CONF_FILENAME:
		return set_filename(option, settings, value, err);
	case CONF_HTTPS:
		return set_https(option, settings, value, err);
	case CONF_BOOL:
		return set_bool(option, settings, value, err);
	case CONF_INT:
		return set_int(option, settings, value, err);
	case CONF_SIZE:
	case CONF_DURATION:
		return set_amount(option, settings, value, err);
	case CONF_PERCENT:
		return set_percent(option, settings, value, err);
	case CONF_CHOICE:
		return set_choice(option, settings, value, err);
	case CONF_MAP:
		return set_pair(option, settings, value, err);
	case CONF_RETIRED:
		return 0;
	}
	return -EINVAL;
}

void conf_defaults(const struct conf_option *table, size_t count, void *settings)
{
	for (size_t i = 0; i < count; i++) {
		struct error err;
		/* a default that its own row refuses is a mistake in the program */
		if (table[i].def && set_text(&table[i], settings, table[i].def, &err) < 0)
			abort();
	}
}

static const struct conf_option *find(const struct conf_option *table, size_t count,
				      const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

static int set_map(const struct conf_option *option, void *settings, const struct yaml *value,
		   struct error *err)
{
	if (value->type != YAML_MAP)
		return error_set(err, ERR_INPUT, "must be a list of NAME: VALUE lines");
	map_clear(member_of(option, settings));
	for (size_t i = 0; i < value->count; i++) {
		const struct yaml *item = value->items[i];
		if (item->type != YAML_SCALAR)
			return error_set(err, ERR_INPUT, "needs one text for '%s'", value->keys[i]);
		const char *text = yaml_is_null(item) ? "" : item->text;
		int r = map_set(member_of(option, settings), value->keys[i], text, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_node(const struct conf_option *option, void *settings, const struct yaml *value,
		    struct error *err)
{
	/* "proxy_uri:" with nothing behind it stands in many files, and means the default */
	if (option->type == CONF_RETIRED || yaml_is_null(value))
		return 0;
	if (option->type == CONF_MAP)
		return set_map(option, settings, value, err);
	if (value->type != YAML_SCALAR)
		return error_set(err, ERR_INPUT, "must be one value, not a list or a map");
	int64_t number;
	if (option->type != CONF_INT || yaml_to_int(value, &number) < 0)
		return set_text(option, settings, value->text, err);
	char text[32];
	snprintf(text, sizeof(text), "%" PRId64, number);
	return set_int(option, settings, text, err);
}

struct loading {
	const struct conf_option *table;
	size_t count;
	const char *file;
	void *settings;
	struct buf mistakes, retired;
	size_t n_mistakes;
};

static void load_key(struct loading *l, const struct yaml *doc, size_t i)
{
	const char *key = doc->keys[i];
	const char *name = *key == ':' ? key + 1 : key;
	const struct conf_option *option = find(l->table, l->count, name);
	struct error why = {0};
	if (!option && name != key) {
		buf_addf(&l->retired, "%s'%.100s' (is not known)", l->retired.len ? ", " : "",
			 name);
		return;
	}
	if (!option)
		error_set(&why, ERR_INPUT, "is not known: remove it, or correct its name");
	else
		set_node(option, l->settings, doc->items[i], &why);
	if (why.code) {
		buf_addf(&l->mistakes, "%s%s:%u: '%.100s' %s", l->n_mistakes++ ? "; " : "", l->file,
			 doc->key_lines[i], name, why.text);
		return;
	}
	if (option->type == CONF_RETIRED)
		buf_addf(&l->retired, "%s'%s' (%s)", l->retired.len ? ", " : "", name,
			 option->help);
}

int conf_load(const struct conf_option *table, size_t count, const char *file,
	      const struct yaml *doc, void *settings, struct error *err)
{
	if (!doc)
		return 0;
	if (doc->type != YAML_MAP)
		return error_set(err, ERR_INPUT, "%s:%u: options must be NAME: VALUE lines", file,
				 doc->line);
	struct loading l = {.table = table, .count = count, .file = file, .settings = settings};
	l.mistakes = BUF_INIT(CONF_LIST_MAX);
	l.retired = BUF_INIT(CONF_LIST_MAX);
	for (size_t i = 0; i < doc->count; i++)
		load_key(&l, doc, i);
	int r = 0;
	if (l.n_mistakes)
		r = error_set(err, ERR_INPUT, "%s", buf_str(&l.mistakes));
	else if (l.retired.len || l.retired.failed)
		log_warning("%s: has no effect here: %s", file, buf_str(&l.retired));
	buf_clear(&l.mistakes);
	buf_clear(&l.retired);
	return r;
}

int conf_load_file(const struct conf_option *table, size_t count, const char *file, void *settings,
		   struct error *err)
{
	auto_free char *text = NULL;
	size_t len;
	int r = fs_read_path(file, CONF_FILE_MAX, &text, &len, err);
	if (r < 0)
		return r;
	auto_yaml struct yaml *doc = NULL;
	r = yaml_parse(file, text, len, CONF_FILE_MAX, &doc, err);
	if (r < 0)
		return r;
	return conf_load(table, count, file, doc, settings, err);
}

int conf_set(const struct conf_option *table, size_t count, const char *name, const char *value,
	     void *settings, struct error *err)
{
	const struct conf_option *option = find(table, count, name);
	if (!option)
		return error_set(err, ERR_INPUT, "there is no option '%s'", name);
	struct error why = {0};
	int r = set_text(option, settings, value, &why);
	return r < 0 ? error_set(err, r, "'%s' %s", name, why.text) : 0;
}

void conf_clear(const struct conf_option *table, size_t count, void *settings)
{
	for (size_t i = 0; i < count; i++) {
		switch (table[i].type) {
		case CONF_STRING:
		case CONF_PATH:
		case CONF_FILENAME:
		case CONF_HTTPS:
		case CONF_CHOICE:
			set_string(&table[i], settings, NULL);
			break;
		case CONF_MAP:
			map_clear(member_of(&table[i], settings));
			break;
		default:
			break;
		}
	}
}

static const char *type_name(enum conf_type type)
{
	static const char *const names[] = {
		[CONF_STRING] = "text",        [CONF_PATH] = "path",
		[CONF_BOOL] = "true or false", [CONF_INT] = "number",
		[CONF_SIZE] = "size",          [CONF_DURATION] = "duration",
		[CONF_CHOICE] = "one of",      [CONF_MAP] = "NAME: VALUE lines",
		[CONF_PERCENT] = "percentage", [CONF_HTTPS] = "https://HOST[:PORT]",
		[CONF_FILENAME] = "name",
	};
	return names[type];
}

static void print_option(const struct conf_option *option, FILE *out)
{
	fprintf(out, "%s: %s", option->name, type_name(option->type));
	for (const char *const *c = option->choices; option->type == CONF_CHOICE && *c; c++)
		fprintf(out, "%s%s", c == option->choices ? " " : ", ", *c);
	if (option->type == CONF_INT && has_limits(option))
		fprintf(out, " from %" PRId64 " to %" PRId64, option->min, option->max);
	if (option->unit)
		fprintf(out, ", %s", option->unit);
	fprintf(out, "; default %s\n", option->def ? option->def : "none");
	usage_text(out, 4, option->help);
}

void conf_help(const struct conf_option *table, size_t count, FILE *out)
{
	for (size_t i = 0; i < count; i++)
		if (table[i].type != CONF_RETIRED)
			print_option(&table[i], out);
	auto_buf struct buf retired = BUF_INIT(CONF_LIST_MAX);
	for (size_t i = 0; i < count; i++)
		if (table[i].type == CONF_RETIRED)
			buf_addf(&retired, "%s %s",
				 retired.len ? "," : "Accepted without effect:", table[i].name);
	if (retired.len)
		usage_text(out, 0, buf_str(&retired));
}
