// SPDX-License-Identifier: Apache-2.0
/* What an AppSpec may say, unless its host refuses it. */
#include "agent/worker/spec.h"
#include "common/alloc.h"
#include "common/attr.h"
#include "common/str.h"

#include <stdarg.h>

/* Confined to nothing: hardly what a file of an application should be. */
bool spec_is_unconfined(const char *type)
{
	static const char *const types[] = {"unconfined_t", "kernel_t", "init_t"};
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_eq(types[i], type))
			return true;
	return false;
}

struct place {
	const char *name;
	unsigned line, column;
};

static void refuse(struct problems *problems, struct place at, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
static void refuse(struct problems *problems, struct place at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	auto_free char *where = xasprintf("%s:%u:%u", at.name, at.line, at.column);
	problems_add(problems, PROBLEM_ERROR, where, "%s", text);
}

static void check_permission(const struct spec_permission *p, const char *name,
			     const struct spec_strict *strict, struct problems *problems)
{
	const struct place at = {name, p->line, p->column};
	if (strict->no_setid && p->has_mode && (p->mode & 06000))
		refuse(problems, at,
		       "mode %04o has a set-id bit, which reject_unsafe_permissions_in_bundle "
		       "refuses",
		       (unsigned)p->mode);
	if (strict->no_unconfined && p->has_context && spec_is_unconfined(p->context.type))
		refuse(problems, at,
		       "'%s' is the type of a process without confinement, which "
		       "reject_unconfined_selinux_in_bundle refuses",
		       p->context.type);
}

void spec_check_strict(const struct spec *spec, const char *name, const struct spec_strict *strict,
		       struct problems *problems)
{
	for (size_t i = 0; i < spec->n_permissions; i++)
		check_permission(&spec->permissions[i], name, strict, problems);
	if (strict->no_up && spec->up_line)
		refuse(problems, (struct place){name, spec->up_line, spec->up_column},
		       "a path with '..', which reject_path_traversal_in_bundle refuses");
}
