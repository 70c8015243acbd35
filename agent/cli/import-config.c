// SPDX-License-Identifier: Apache-2.0
/* Each key is tried against our own table, so what is written is what slipwayd reads; what it would
 * not read becomes a comment that says so. */
#include "agent/cli/import-config.h"

#include "agent/settings.h"
#include "common/alloc.h"
#include "common/conf.h"
#include "common/fs.h"
#include "common/str.h"
#include "common/yaml.h"

#include <string.h>
#include <unistd.h>

#define FILE_MAX ((size_t)256 << 10)
#define TEXT_MAX ((size_t)1 << 20)
#define OPT "/opt/codedeploy-agent"
#define ETC "/etc/codedeploy-agent"
#define PROGRAM "codedeploy-agent"

void import_config_clear(struct import_config *c)
{
	free(c->file);
	free(c->root_dir);
	free(c->pid_file);
	free(c->lock_file);
	free(c->on_premises);
	free(c->tracking);
	free(c->text);
	json_decref(c->notes);
	*c = (struct import_config){0};
}

/* ---- one key ---- */

static const struct conf_option *find_row(const char *name)
{
	size_t count;
	const struct conf_option *table = settings_table(&count);
	for (size_t i = 0; i < count; i++)
		if (str_eq(table[i].name, name))
			return &table[i];
	return NULL;
}

/* As YAML that means the same text. Caller frees. */
static char *quoted(const struct yaml *value)
{
	if (!value->quoted)
		return xstrdup(value->text);
	json_t *string = json_string(value->text);
	char *text = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
	json_decref(string);
	return text ? text : xstrdup("''");
}

/* Would slipwayd read that line? */
static int try_line(const char *line, struct error *err)
{
	size_t count;
	const struct conf_option *table = settings_table(&count);
	struct settings settings = {0};
	auto_yaml struct yaml *doc = NULL;
	conf_defaults(table, count, &settings);
	int r = yaml_parse("line", line, strlen(line), FILE_MAX, &doc, err);
	if (r >= 0)
		r = conf_load(table, count, "line", doc, &settings, err);
	conf_clear(table, count, &settings);
	return r;
}

/* Why a key is a comment; NULL: it is taken. Caller frees. */
static char *objection(const char *name, const struct yaml *value, const char *line)
{
	const struct conf_option *row = find_row(name);
	struct error why = {0};
	if (!row)
		return xstrdup("the official agent does not know it either, or Slipway has "
			       "nothing like it");
	if (row->type == CONF_RETIRED)
		return xstrdup("has no effect in Slipway");
	if (value->type != YAML_SCALAR)
		return xstrdup("is not one value");
	if (try_line(line, &why) == 0)
		return NULL;
	const char *text = strstr(why.text, "' ");
	return xasprintf("cannot be taken as it is: it %s", text ? text + 2 : why.text);
}

static void note(struct import_config *c, const char *name, const char *why)
{
	auto_free char *text = xasprintf("%s: %s", name, why);
	json_t *string = json_string(text);
	if (string)
		json_array_append_new(c->notes, string);
}

static void write_key(struct import_config *c, struct buf *out, const char *name,
		      const struct yaml *value)
{
	auto_free char *shown = value->type == YAML_SCALAR ? quoted(value) : xstrdup("...");
	auto_free char *safe = str_to_line(shown, strlen(shown));
	auto_free char *safe_name = str_to_line(name, strlen(name));
	auto_free char *line = xasprintf("%s: %s\n", name, shown);
	auto_free char *why = objection(name, value, line);
	if (!why) {
		buf_adds(out, line);
		return;
	}
	buf_addf(out, "# %s\n#%s: %s\n", why, safe_name, safe);
	note(c, safe_name, why);
}

/* ---- the whole ---- */

static const struct yaml *value_of(const struct yaml *doc, const char *name)
{
	auto_free char *symbol = xasprintf(":%s", name);
	const struct yaml *value = doc ? yaml_get(doc, symbol) : NULL;
	if (!value)
		value = doc ? yaml_get(doc, name) : NULL;
	return value && value->type == YAML_SCALAR && !yaml_is_null(value) ? value : NULL;
}

/* Without a '/' at its end. Caller frees; NULL: no absolute path. */
static char *path_of(const struct yaml *doc, const char *name, const char *prefix, const char *def,
		     struct error *err)
{
	const struct yaml *value = value_of(doc, name);
	auto_free char *given = value ? xstrdup(value->text) : xasprintf("%s%s", prefix, def);
	char *path = NULL;
	if (fs_normalise(given, &path) < 0)
		error_set(err, ERR_INPUT, "'%s' is '%.200s', which is no absolute path", name,
			  given);
	return path;
}

static char *name_of(const struct yaml *doc, const char *name, const char *def, struct error *err)
{
	const struct yaml *value = value_of(doc, name);
	const char *text = value ? value->text : def;
	if (str_is_filename(text))
		return xstrdup(text);
	error_set(err, ERR_INPUT, "'%s' is '%.200s', which cannot be a file's name", name, text);
	return NULL;
}

static int find_places(struct import_config *c, const struct yaml *doc, const char *prefix,
		       struct error *err)
{
	auto_free char *pid_dir = path_of(doc, "pid_dir", prefix, OPT "/state/.pid", err);
	auto_free char *program = name_of(doc, "program_name", PROGRAM, err);
	c->root_dir = path_of(doc, "root_dir", prefix, OPT "/deployment-root", err);
	c->on_premises = path_of(doc, "on_premises_config_file", prefix,
				 ETC "/conf/codedeploy.onpremises.yml", err);
	c->tracking = name_of(doc, "ongoing_deployment_tracking", "ongoing-deployment", err);
	if (!pid_dir || !program || !c->root_dir || !c->on_premises || !c->tracking)
		return err->code;
	c->pid_file = xasprintf("%s/%s.pid", pid_dir, program);
	c->lock_file = xasprintf("%s/%s.pid.lock", pid_dir, program);
	return 0;
}

static int write_text(struct import_config *c, const struct yaml *doc, struct error *err)
{
	auto_buf struct buf out = BUF_INIT(TEXT_MAX);
	buf_addf(&out,
		 "# Settings of the agent on this host, from %s:\n"
		 "# written by 'slipway import codedeploy', yours from now on. "
		 "slipway-agent.yml(5) says more.\n\n"
		 "aws: true\n",
		 c->file ? c->file : "the defaults of the official agent");
	if (!value_of(doc, "root_dir"))
		buf_addf(&out, "root_dir: %s\n", c->root_dir);
	for (size_t i = 0; doc && i < doc->count; i++) {
		const char *key = doc->keys[i];
		if (!yaml_is_null(doc->items[i]))
			write_key(c, &out, *key == ':' ? key + 1 : key, doc->items[i]);
	}
	int r = buf_check(&out, "agent.yml", err);
	if (r < 0)
		return r;
	c->text = buf_take(&out);
	r = try_line(c->text, err);
	return r < 0 ? error_prefix(err, r, "what agent.yml would be") : 0;
}

int import_config_parse(const char *file, const char *text, size_t len, const char *prefix,
			struct import_config *ret, struct error *err)
{
	auto_import_config struct import_config c = {.file = xstrdup_null(file),
						     .notes = json_array()};
	auto_yaml struct yaml *doc = NULL;
	int r = text ? yaml_parse(file, text, len, FILE_MAX, &doc, err) : 0;
	if (r < 0)
		return r;
	if (doc && doc->type != YAML_MAP)
		return error_set(err, ERR_INPUT, "%s: settings must be NAME: VALUE lines", file);
	if ((r = find_places(&c, doc, prefix, err)) < 0 || (r = write_text(&c, doc, err)) < 0)
		return file ? error_prefix(err, r, "%s", file) : r;
	*ret = c;
	c = (struct import_config){0};
	return 0;
}

/* ---- where it is ---- */

static const char *const places[] = {
	ETC "/conf/codedeployagent.yml",
	OPT "/conf/codedeployagent.yml",
	"/conf/codedeployagent.yml",
	"/codedeployagent.yml",
};

/* 1: read, 0: not there. */
static int read_place(const char *path, char **ret, size_t *ret_len, struct error *err)
{
	int r = fs_read_path(path, FILE_MAX, ret, ret_len, err);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r < 0 ? r : 1;
}

int import_config_read(const char *from, const struct paths *paths, struct import_config *ret,
		       struct error *err)
{
	const char *prefix = from ? from : paths->root;
	auto_free char *cwd = *prefix && *prefix != '/' ? getcwd(NULL, 0) : NULL;
	auto_free char *base = cwd ? fs_join(cwd, prefix) : xstrdup(prefix);
	for (size_t n = strlen(base); n > 0 && base[n - 1] == '/'; n--)
		base[n - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		auto_free char *path = xasprintf("%s%s", base, places[i]);
		auto_free char *text = NULL;
		size_t len = 0;
		int r = read_place(path, &text, &len, err);
		if (r < 0)
			return r;
		if (r > 0) /* one that names its own directory says nothing of the others */
			return import_config_parse(path, text, len, i < 2 ? base : "", ret, err);
	}
	auto_free char *root = xasprintf("%s" OPT "/deployment-root", base);
	if (access(root, F_OK) < 0)
		return error_set(err, ERR_NOT_FOUND,
				 "there is no official agent here: neither '%s%s' nor '%s'", base,
				 places[0], root);
	return import_config_parse(NULL, NULL, 0, base, ret, err);
}
