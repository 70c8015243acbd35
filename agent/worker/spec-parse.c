// SPDX-License-Identifier: Apache-2.0
/* AppSpec text -> struct spec. Reading never stops at a mistake: each is noted with its place, what
 * cannot be used is left out of the struct, and only lint gets the struct when an error was among
 * them. One table per kind of map says which keys it has. */
#include "agent/worker/spec-parse.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHOWN_MAX 80 /* bytes of a value in a message */

static void PRINTF_LIKE(5, 0)
	add_problem(struct spec_parse *p, enum problem_level level, unsigned line, unsigned column,
		    const char *fmt, va_list ap)
{
	auto_free char *where = xasprintf("%s:%u:%u", p->name, line, column);
	auto_free char *text = xvasprintf(fmt, ap);
	problems_add(p->problems, level, where, "%s", text);
}

void spec_parse_error(struct spec_parse *p, const struct yaml *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add_problem(p, PROBLEM_ERROR, at->line, at->column, fmt, ap);
	va_end(ap);
}

void spec_parse_warning(struct spec_parse *p, const struct yaml *at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add_problem(p, PROBLEM_WARNING, at->line, at->column, fmt, ap);
	va_end(ap);
}

static void PRINTF_LIKE(4, 5)
	warn_key(struct spec_parse *p, const struct yaml *map, size_t i, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add_problem(p, PROBLEM_WARNING, map->key_lines[i], map->key_columns[i], fmt, ap);
	va_end(ap);
}

char *spec_parse_shown(const char *text)
{
	size_t len = strnlen(text, SHOWN_MAX + 1);
	bool cut = len > SHOWN_MAX;
	len = cut ? SHOWN_MAX : len;
	while (cut && len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	auto_free char *clean = str_to_utf8(text, len);
	for (char *c = clean; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	return xasprintf("%s%s", clean, cut ? "..." : "");
}

static const char *nearest_key(const char *word, const struct spec_key *keys, size_t n)
{
	const char *best = NULL;
	for (size_t i = 0; i < n; i++)
		best = str_nearer(word, best, keys[i].name);
	return best;
}

static void warn_unknown_key(struct spec_parse *p, const struct yaml *map, size_t i,
			     const char *what, const struct spec_key *keys, size_t n_keys)
{
	auto_free char *shown = spec_parse_shown(map->keys[i]);
	const char *near = nearest_key(map->keys[i], keys, n_keys);
	enum wire_event event;
	if (wire_event_from_string(map->keys[i], &event) == 0)
		warn_key(p, map, i,
			 "unknown key '%s' in %s is ignored; events belong below 'hooks', indented",
			 shown, what);
	else if (near)
		warn_key(p, map, i, "unknown key '%s' in %s is ignored; did you mean '%s'?", shown,
			 what, near);
	else
		warn_key(p, map, i, "unknown key '%s' in %s is ignored", shown, what);
}

bool spec_parse_map(struct spec_parse *p, const struct yaml *node, const char *what,
		    const struct spec_key *keys, size_t n_keys, void *obj)
{
	if (node->type != YAML_MAP) {
		spec_parse_error(p, node, "%s must be a map ('%s: ...')", what, keys[0].name);
		return false;
	}
	for (size_t i = 0; i < node->count; i++) {
		const struct spec_key *key = NULL;
		for (size_t k = 0; k < n_keys && !key; k++)
			if (str_eq(keys[k].name, node->keys[i]))
				key = &keys[k];
		if (!key)
			warn_unknown_key(p, node, i, what, keys, n_keys);
		else if (!yaml_is_null(node->items[i]))
			key->take(p, node->items[i], obj);
	}
	return true;
}

bool spec_parse_is_list(struct spec_parse *p, const struct yaml *node, const char *key)
{
	if (node->type == YAML_LIST)
		return true;
	spec_parse_error(p, node, "'%s' must be a list (each entry begins with '- ')", key);
	return false;
}

const char *spec_parse_text(struct spec_parse *p, const struct yaml *node, const char *key)
{
	if (node->type == YAML_SCALAR)
		return node->text;
	spec_parse_error(p, node, "'%s' must be text, not a %s", key,
			 node->type == YAML_LIST ? "list" : "map");
	return NULL;
}

char *spec_parse_word(struct spec_parse *p, const struct yaml *node, const char *key)
{
	const char *text = spec_parse_text(p, node, key);
	if (!text)
		return NULL;
	static const char blanks[] = " \t\n\v\f\r";
	text += strspn(text, blanks);
	size_t len = strlen(text);
	while (len > 0 && strchr(blanks, text[len - 1]))
		len--;
	if (len == 0) {
		spec_parse_error(p, node, "'%s' must not be empty", key);
		return NULL;
	}
	return xstrndup(text, len);
}

char *spec_parse_account(struct spec_parse *p, const struct yaml *node, const char *key)
{
	auto_free char *word = spec_parse_word(p, node, key);
	if (!word)
		return NULL;
	auto_free char *shown = spec_parse_shown(word);
	int64_t number = 0;
	bool b;
	if (yaml_to_int(node, &number) == 0 || yaml_to_bool(node, &b) == 0)
		spec_parse_warning(p, node,
				   "'%s' must be a name: '%s' is taken as one, ids are not looked "
				   "up",
				   key, shown);
	/* blanks and backslashes are in names of domains */
	if (word[0] != '-' && !strpbrk(word, ":/,\n\t"))
		return TAKE(word);
	spec_parse_error(p, node, "'%s' must be the name of one account, not '%s'", key, shown);
	return NULL;
}

static bool path_fits(struct spec_parse *p, const struct yaml *node, const char *key,
		      const char *path)
{
	if (strlen(path) < PATH_MAX)
		return true;
	spec_parse_error(p, node, "'%s' is longer than %d bytes", key, PATH_MAX - 1);
	return false;
}

static bool has_up(const char *absolute)
{
	return strstr(absolute, "/../") || str_ends(absolute, "/..");
}

char *spec_parse_path(struct spec_parse *p, const struct yaml *node, const char *key)
{
	auto_free char *word = spec_parse_word(p, node, key);
	if (!word || !path_fits(p, node, key, word))
		return NULL;
	auto_free char *shown = spec_parse_shown(word);
	if (word[0] == '~') {
		spec_parse_error(p, node,
				 "'%s' must be an absolute path, '~' is not expanded: '%s'", key,
				 shown);
		return NULL;
	}
	if (word[0] != '/')
		spec_parse_warning(p, node,
				   "'%s' should be an absolute path, '%s' is taken as '/%s'", key,
				   shown, shown);
	auto_free char *absolute = xasprintf("%s%s", word[0] == '/' ? "" : "/", word);
	if (!p->spec->up_line && has_up(absolute)) {
		p->spec->up_line = node->line;
		p->spec->up_column = node->column;
	}
	char *path = NULL;
	if (fs_normalise(absolute, &path) < 0) {
		spec_parse_error(p, node, "'%s' must be an absolute path that does not climb: '%s'",
				 key, shown);
		return NULL;
	}
	return path;
}

/* A path inside the revision: "/a//./b/" -> "a/b". NULL when it has a "..". */
static char *inside_path(const char *text)
{
	char *path = xcalloc(strlen(text) + 1, 1);
	size_t len = 0;
	for (const char *s = text; *s;) {
		size_t part = strcspn(s, "/");
		if (part == 2 && s[0] == '.' && s[1] == '.') {
			free(path);
			return NULL;
		}
		if (part > 0 && !(part == 1 && s[0] == '.')) {
			if (len > 0)
				path[len++] = '/';
			memcpy(path + len, s, part);
			len += part;
		}
		s += part;
		s += strspn(s, "/");
	}
	return path;
}

static char *take_inside(struct spec_parse *p, const struct yaml *node, const char *key,
			 const char *text)
{
	if (!path_fits(p, node, key, text))
		return NULL;
	char *path = inside_path(text);
	if (!path) {
		auto_free char *shown = spec_parse_shown(text);
		spec_parse_error(p, node,
				 "'%s' must stay inside the revision, '..' is refused: '%s'", key,
				 shown);
	}
	return path;
}

static bool has_key(const struct yaml *map, const char *key)
{
	const struct yaml *value = yaml_get(map, key);
	return value && !yaml_is_null(value);
}

/* files */

static void take_source(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_file *file = obj;
	const char *text = spec_parse_text(p, value, "source");
	if (!text)
		return;
	if (*text == '\0')
		spec_parse_warning(p, value,
				   "'source' is empty and means the whole revision; "
				   "write '/' to say so");
	file->source = take_inside(p, value, "source", text);
}

static void take_destination(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_file *file = obj;
	file->destination = spec_parse_path(p, value, "destination");
}

static const struct spec_key file_keys[] = {
	{"source", take_source},
	{"destination", take_destination},
};

static void parse_file(struct spec_parse *p, const struct yaml *node, struct spec_file *ret)
{
	*ret = (struct spec_file){.line = node->line, .column = node->column};
	if (!spec_parse_map(p, node, "a file entry", file_keys, ARRAY_LEN(file_keys), ret))
		return;
	if (!has_key(node, "source"))
		spec_parse_error(p, node,
				 "'source' is missing in a file entry, expected a path "
				 "inside the revision");
	if (!has_key(node, "destination"))
		spec_parse_error(
			p, node,
			"'destination' is missing in %s%s%s, expected an absolute directory",
			ret->source ? "the file entry of '" : "a file entry",
			ret->source ? ret->source : "", ret->source ? "'" : "");
}

static void take_files(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec *spec = obj;
	if (!spec_parse_is_list(p, value, "files"))
		return;
	spec->files = xcalloc(value->count + 1, sizeof(*spec->files));
	for (size_t i = 0; i < value->count; i++)
		parse_file(p, value->items[i], &spec->files[spec->n_files++]);
}

/* hooks */

static void take_location(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_hook *hook = obj;
	hook->location_text = spec_parse_word(p, value, "location");
	if (!hook->location_text)
		return;
	hook->location = take_inside(p, value, "location", hook->location_text);
	if (hook->location && *hook->location == '\0')
		spec_parse_error(p, value, "'location' must name a script inside the revision");
}

/* What the official agent makes of a timeout, Ruby's to_i: the digits in front count. */
static int64_t timeout_seconds(const struct yaml *value)
{
	int64_t i = 0;
	double d = 0;
	if (yaml_to_int(value, &i) == 0)
		return i;
	if (yaml_to_number(value, &d) == 0 && isfinite(d))
		return d > (double)SPEC_TIMEOUT_MAX_S ? SPEC_TIMEOUT_MAX_S + 1
		       : d < 0                        ? -1
						      : (int64_t)d;
	return strtoll(value->text, NULL, 10);
}

static void check_timeout(struct spec_parse *p, const struct yaml *value, struct spec_hook *hook)
{
	auto_free char *shown = spec_parse_shown(value->text);
	auto_free char *plain = xasprintf("%lld", (long long)hook->timeout_s);
	if (hook->timeout_s <= 0) {
		spec_parse_error(p, value,
				 "'timeout' must be a number of seconds above 0, not '%s'", shown);
		hook->timeout_s = SPEC_TIMEOUT_DEFAULT_S;
	} else if (hook->timeout_s > SPEC_TIMEOUT_MAX_S) {
		spec_parse_warning(p, value, "'timeout' is cut to %lld seconds, not '%s'",
				   (long long)SPEC_TIMEOUT_MAX_S, shown);
		hook->timeout_s = SPEC_TIMEOUT_MAX_S;
	} else if (!str_eq(plain, value->text)) {
		spec_parse_warning(p, value, "'timeout' '%s' is taken as %s seconds", shown, plain);
	}
}

static void take_timeout(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_hook *hook = obj;
	if (!spec_parse_text(p, value, "timeout"))
		return;
	bool b = false;
	if (yaml_to_bool(value, &b) == 0) {
		if (b)
			spec_parse_error(p, value,
					 "'timeout' must be a number of seconds, not '%s'",
					 value->text);
		return;
	}
	hook->timeout_s = timeout_seconds(value);
	check_timeout(p, value, hook);
}

static void take_runas(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_hook *hook = obj;
	hook->runas = spec_parse_account(p, value, "runas");
}

static void take_sudo(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_hook *hook = obj;
	bool b = true;
	if (yaml_to_bool(value, &b) == 0 && !b)
		return;
	hook->sudo = true;
	spec_parse_warning(p, value, "'sudo' changes nothing: scripts run as root, or as 'runas'");
}

static void take_limits(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_hook *hook = obj;
	spec_parse_limits(p, value, &hook->limits);
}

static const struct spec_key hook_keys[] = {
	{"location", take_location}, {"timeout", take_timeout}, {"runas", take_runas},
	{"sudo", take_sudo},         {"limits", take_limits},
};

static void parse_hook(struct spec_parse *p, const struct yaml *node, struct spec_hook *ret)
{
	*ret = (struct spec_hook){
		.timeout_s = SPEC_TIMEOUT_DEFAULT_S, .line = node->line, .column = node->column};
	if (!spec_parse_map(p, node, "a script entry", hook_keys, ARRAY_LEN(hook_keys), ret))
		return;
	if (!has_key(node, "location"))
		spec_parse_error(p, node,
				 "'location' is missing in a script entry, expected the "
				 "path of a script inside the revision");
}

static const char *nearest_event(const char *word)
{
	const char *best = NULL;
	for (unsigned e = 0; e < WIRE_EVENT_COUNT; e++)
		if (wire_event_has_hooks((enum wire_event)e))
			best = str_nearer(word, best, wire_event_to_string((enum wire_event)e));
	return best;
}

/* Custom events are allowed, and misspelt ones look just like them. */
static void check_event_name(struct spec_parse *p, const struct yaml *map, size_t i)
{
	const char *name = map->keys[i];
	enum wire_event event;
	bool known = wire_event_from_string(name, &event) == 0;
	if (known && wire_event_has_hooks(event))
		return;
	if (known || str_eq(name, "Start") || str_eq(name, "End")) {
		warn_key(p, map, i, "'%s' runs no scripts, these never run", name);
		return;
	}
	auto_free char *shown = spec_parse_shown(name);
	const char *near = nearest_event(name);
	if (near)
		warn_key(p, map, i, "'%s' is not a standard lifecycle event; did you mean '%s'?",
			 shown, near);
	else
		warn_key(p, map, i,
			 "'%s' is not a standard lifecycle event, its scripts run only when a "
			 "deployment asks for it by name",
			 shown);
}

static void parse_event(struct spec_parse *p, const char *name, const struct yaml *node)
{
	if (!spec_parse_is_list(p, node, name))
		return;
	struct spec_event *event = &p->spec->events[p->spec->n_events++];
	*event = (struct spec_event){.name = xstrdup(name),
				     .hooks = xcalloc(node->count + 1, sizeof(*event->hooks)),
				     .line = node->line,
				     .column = node->column};
	for (size_t i = 0; i < node->count; i++)
		parse_hook(p, node->items[i], &event->hooks[event->n_hooks++]);
}

static void take_hooks(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec *spec = obj;
	if (value->type != YAML_MAP) {
		spec_parse_error(p, value,
				 "'hooks' must be a map of lifecycle events, as in "
				 "'AfterInstall:' and a list of scripts");
		return;
	}
	spec->events = xcalloc(value->count + 1, sizeof(*spec->events));
	for (size_t i = 0; i < value->count; i++) {
		check_event_name(p, value, i);
		if (!yaml_is_null(value->items[i]))
			parse_event(p, value->keys[i], value->items[i]);
	}
}

/* the top level */

static void take_version(struct spec_parse *p, const struct yaml *value, void *obj)
{
	const char *text = spec_parse_text(p, value, "version");
	double number = 1;
	if (!text || (yaml_to_number(value, &number) == 0 && number == 0))
		return;
	auto_free char *shown = spec_parse_shown(text);
	spec_parse_error(p, value, "'version' must be the number 0.0, not %s'%s'",
			 value->quoted ? "the quoted text " : "", shown);
}

static void take_os(struct spec_parse *p, const struct yaml *value, void *obj)
{
	const char *text = spec_parse_text(p, value, "os");
	if (!text || str_eq(text, "linux"))
		return;
	auto_free char *shown = spec_parse_shown(text);
	spec_parse_error(p, value, "'os' must be linux, not '%s'", shown);
}

static void take_file_exists(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec *spec = obj;
	const char *text = spec_parse_text(p, value, "file_exists_behavior");
	if (!text || spec_file_exists_from_string(text, &spec->file_exists) == 0)
		return;
	auto_free char *shown = spec_parse_shown(text);
	spec_parse_error(p, value,
			 "'file_exists_behavior' must be DISALLOW, OVERWRITE or RETAIN, not '%s'",
			 shown);
}

static void take_permissions(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec *spec = obj;
	if (!spec_parse_is_list(p, value, "permissions"))
		return;
	spec->permissions = xcalloc(value->count + 1, sizeof(*spec->permissions));
	for (size_t i = 0; i < value->count; i++)
		spec_parse_permission(p, value->items[i],
				      &spec->permissions[spec->n_permissions++]);
}

static const struct spec_key top_keys[] = {
	{"version", take_version},
	{"os", take_os},
	{"files", take_files},
	{"file_exists_behavior", take_file_exists},
	{"permissions", take_permissions},
	{"hooks", take_hooks},
};

static bool is_empty(const struct yaml *root)
{
	bool b = true;
	return !root || yaml_is_null(root) || (yaml_to_bool(root, &b) == 0 && !b);
}

static void parse_root(struct spec_parse *p, const struct yaml *root)
{
	if (is_empty(root)) {
		problems_add(p->problems, PROBLEM_ERROR, p->name,
			     "the AppSpec is empty, expected a map with 'version', 'os', 'files' "
			     "and 'hooks'");
		return;
	}
	if (!spec_parse_is_for_hosts(p, root))
		return;
	if (!spec_parse_map(p, root, "the AppSpec", top_keys, ARRAY_LEN(top_keys), p->spec))
		return;
	if (!has_key(root, "version"))
		spec_parse_error(p, root, "'version' is missing, expected 'version: 0.0'");
	if (!has_key(root, "os"))
		spec_parse_error(p, root, "'os' is missing, expected 'os: linux'");
}

/* The YAML parser puts "name:3:5: " in front; here the place has a member of its own. */
static void add_syntax_problem(struct spec_parse *p, const struct error *why)
{
	const char *text = why->text;
	size_t name_len = strlen(p->name);
	size_t place = 0;
	if (strncmp(text, p->name, name_len) == 0)
		place = name_len + strspn(text + name_len, ":0123456789");
	if (place == 0 || text[place] != ' ' || text[place - 1] != ':') {
		problems_add(p->problems, PROBLEM_ERROR, p->name, "%s", text);
		return;
	}
	auto_free char *where = xstrndup(text, place - 1);
	problems_add(p->problems, PROBLEM_ERROR, where, "%s", text + place + 1);
}

static void tell_twice(const char *key, unsigned line, unsigned column, unsigned first_line,
		       void *arg)
{
	auto_free char *shown = spec_parse_shown(key);
	const struct yaml place = {.line = line, .column = column};
	spec_parse_error(arg, &place, "the key '%s' is here twice, first in line %u", shown,
			 first_line);
}

int spec_parse_usable(const char *name, const char *text, size_t len, struct spec **ret,
		      struct problems *problems, struct error *err)
{
	*ret = xcalloc(1, sizeof(**ret));
	struct spec_parse p = {.name = name, .problems = problems, .spec = *ret};
	size_t errors_before = problems->errors;

	auto_yaml struct yaml *root = NULL;
	struct error why = {0};
	if (yaml_parse_telling(name, text, len, SPEC_MAX_BYTES, tell_twice, &p, &root, &why) < 0)
		add_syntax_problem(&p, &why);
	else
		parse_root(&p, root);
	return problems->errors > errors_before ? problems_check(problems, ERR_INPUT, err) : 0;
}

int spec_parse(const char *name, const char *text, size_t len, struct spec **ret,
	       struct problems *problems, struct error *err)
{
	auto_spec struct spec *spec = NULL;
	int r = spec_parse_usable(name, text, len, &spec, problems, err);
	if (r == 0)
		*ret = TAKE(spec);
	return r;
}
