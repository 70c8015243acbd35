// SPDX-License-Identifier: Apache-2.0
/* Entries of 'permissions'. */
#include "agent/worker/spec-parse.h"

#include "common/alloc.h"
#include "common/str.h"

#include <stdlib.h>
#include <string.h>

#define CONTEXT_PART_MAX 255 /* bytes of a user or type */

static void take_object(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_permission *permission = obj;
	permission->object = spec_parse_path(p, value, "object");
}

/* Only '*' means something: the official agent takes everything else literally, and so do we. */
static void take_pattern(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_permission *permission = obj;
	const char *text = spec_parse_text(p, value, "pattern");
	if (!text)
		return;
	auto_free char *shown = spec_parse_shown(text);
	if (*text == '\0' || strchr(text, '/'))
		spec_parse_warning(p, value,
				   "'pattern' '%s' matches nothing: it is compared with names "
				   "directly in 'object'; '**' is everything below",
				   shown);
	else if (strpbrk(text, "?[]{}"))
		spec_parse_warning(p, value,
				   "only '*' has a meaning in 'pattern', '%s' is literal "
				   "otherwise",
				   shown);
	free(permission->pattern);
	permission->pattern = xstrdup(text);
}

static void take_except(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_permission *permission = obj;
	if (!spec_parse_is_list(p, value, "except"))
		return;
	char **list = xcalloc(value->count + 1, sizeof(*list));
	size_t n = 0;
	for (size_t i = 0; i < value->count; i++) {
		const char *text = spec_parse_text(p, value->items[i], "except");
		if (!text)
			continue;
		auto_free char *shown = spec_parse_shown(text);
		if (*text == '\0' || strchr(text, '/'))
			spec_parse_warning(p, value->items[i],
					   "'except' '%s' matches nothing: it is compared with "
					   "names directly in 'object'",
					   shown);
		list[n++] = xstrdup(text);
	}
	permission->except = list;
}

static void take_type(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_permission *permission = obj;
	if (!spec_parse_is_list(p, value, "type"))
		return;
	permission->files = permission->directories = false;
	for (size_t i = 0; i < value->count; i++) {
		const char *text = spec_parse_text(p, value->items[i], "type");
		if (!text)
			continue;
		auto_free char *shown = spec_parse_shown(text);
		if (str_eq(text, "file"))
			permission->files = true;
		else if (str_eq(text, "directory"))
			permission->directories = true;
		else
			spec_parse_error(p, value->items[i],
					 "'type' must be file or directory, not '%s'", shown);
	}
	if (value->count == 0)
		spec_parse_warning(p, value, "'type' is empty, so the entry applies to nothing");
}

static void take_owner(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_permission *permission = obj;
	permission->owner = spec_parse_account(p, value, "owner");
}

static void take_group(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_permission *permission = obj;
	permission->group = spec_parse_account(p, value, "group");
}

/* Octal by its text. YAML 1.1 reads a plain 0644 as the number 420, from which the official agent
 * makes mode 0420: nobody means that. */
static void take_mode(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_permission *permission = obj;
	const char *text = spec_parse_text(p, value, "mode");
	if (!text)
		return;
	auto_free char *shown = spec_parse_shown(text);
	size_t octal = strspn(text, "01234567");
	if (text[octal] != '\0') {
		spec_parse_error(p, value,
				 "'mode' must be octal digits (0-7), as in 0644, not '%s'", shown);
		return;
	}
	if (octal == 0 || octal > 4) {
		spec_parse_error(p, value,
				 "'mode' must have 1 to 4 octal digits, as in 0644, not '%s'",
				 shown);
		return;
	}
	permission->has_mode = true;
	permission->mode = (mode_t)strtoul(text, NULL, 8);
	int64_t number = 0;
	if (yaml_to_int(value, &number) == 0 && text[0] == '0' && number > 7)
		spec_parse_warning(
			p, value,
			"'mode' %s is taken as octal %s; the official agent 1.8 reads it "
			"as the number %lld, so write '%s' in quotes",
			shown, shown, (long long)number, shown);
}

static void take_acls(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_permission *permission = obj;
	if (!spec_parse_is_list(p, value, "acls"))
		return;
	permission->has_acls = true;
	permission->acls = xcalloc(value->count + 1, sizeof(*permission->acls));
	for (size_t i = 0; i < value->count; i++) {
		const char *text = spec_parse_text(p, value->items[i], "acls");
		struct error why = {0};
		struct spec_acl *acl = &permission->acls[permission->n_acls];
		if (text && spec_acl_parse(text, acl, &why) < 0)
			spec_parse_error(p, value->items[i], "'acls': %s", why.text);
		else if (text)
			permission->n_acls++;
	}
}

/* A part of a context; the kernel's form of one separates them by colons. */
static char *context_part(struct spec_parse *p, const struct yaml *value, const char *key)
{
	char *word = spec_parse_word(p, value, key);
	if (word && (strpbrk(word, ": \t\n") || strlen(word) > CONTEXT_PART_MAX)) {
		auto_free char *shown = spec_parse_shown(word);
		spec_parse_error(p, value, "'%s' of a context cannot be '%s'", key, shown);
		free(TAKE(word));
	}
	return word;
}

static void take_context_type(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_context *context = obj;
	context->type = context_part(p, value, "type");
	if (spec_is_unconfined(context->type))
		spec_parse_warning(p, value, "'%s' is the type of a process without confinement",
				   context->type);
}

static void take_context_name(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_context *context = obj;
	char *name = context_part(p, value, "name");
	if (context->user && !str_eq(context->user, name))
		spec_parse_warning(p, value,
				   "'user' and 'name' of the context differ: 'name' counts");
	free(context->user);
	context->user = name;
}

/* The user guide says 'user', the official agent reads 'name'. */
static void take_context_user(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_context *context = obj;
	auto_free char *user = context_part(p, value, "user");
	spec_parse_warning(
		p, value,
		"the official agent 1.8 ignores 'user' of a context: it reads the SELinux "
		"user from 'name'");
	if (!context->user)
		context->user = TAKE(user);
	else if (!str_eq(context->user, user))
		spec_parse_warning(p, value,
				   "'user' and 'name' of the context differ: 'name' counts");
}

static void take_context_range(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_context *context = obj;
	char *range = spec_parse_word(p, value, "range");
	struct error why = {0};
	if (range && spec_range_check(range, &why) < 0) {
		spec_parse_error(p, value, "'range': %s", why.text);
		free(TAKE(range));
	}
	context->range = range;
}

static void take_context_role(struct spec_parse *p, const struct yaml *value, void *obj)
{
	(void)obj;
	spec_parse_warning(p, value, "'role' of a context is ignored: it is the policy's");
}

static const struct spec_key context_keys[] = {
	{"type", take_context_type}, {"name", take_context_name}, {"range", take_context_range},
	{"user", take_context_user}, {"role", take_context_role},
};

static void take_context(struct spec_parse *p, const struct yaml *value, void *obj)
{
	struct spec_permission *permission = obj;
	permission->has_context = true;
	if (!spec_parse_map(p, value, "'context'", context_keys, ARRAY_LEN(context_keys),
			    &permission->context))
		return;
	const struct yaml *type = yaml_get(value, "type");
	if (!type || yaml_is_null(type))
		spec_parse_error(p, value,
				 "'type' is missing in 'context', expected an SELinux type");
	const struct yaml *range = yaml_get(value, "range");
	if (!range || yaml_is_null(range))
		spec_parse_warning(p, value,
				   "'range' is missing in 'context': the official agent 1.8 "
				   "fails then");
}

static const struct spec_key permission_keys[] = {
	{"object", take_object}, {"pattern", take_pattern}, {"except", take_except},
	{"type", take_type},     {"owner", take_owner},     {"group", take_group},
	{"mode", take_mode},     {"acls", take_acls},       {"context", take_context},
};

void spec_parse_permission(struct spec_parse *p, const struct yaml *node,
			   struct spec_permission *ret)
{
	*ret = (struct spec_permission){.pattern = xstrdup("**"),
					.files = true,
					.directories = true,
					.line = node->line,
					.column = node->column};
	if (!spec_parse_map(p, node, "a permission entry", permission_keys,
			    ARRAY_LEN(permission_keys), ret))
		return;
	const struct yaml *object = yaml_get(node, "object");
	if (!object || yaml_is_null(object))
		spec_parse_error(p, node,
				 "'object' is missing in a permission entry, expected an "
				 "absolute path");
}
