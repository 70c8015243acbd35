// SPDX-License-Identifier: Apache-2.0
/* Permissions of the AppSpec: rules in the reference "appspec", section 5. They apply to what this
 * group installs, never to what was there before or was retained. */
#include "agent/worker/plan-build.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

/* Several permissions have the same owner or group, as a rule. */
static bool named_before(const struct plan_build *b, const struct plan_perm *p, const char *name)
{
	for (const struct plan_perm *q = b->perms; q < p; q++)
		if (str_eq(q->spec->owner, name) || str_eq(q->spec->group, name))
			return true;
	return false;
}

static void unknown(struct plan_build *b, const struct plan_perm *p, const char *what,
		    const char *name)
{
	const struct spec_permission *s = p->spec;
	if (named_before(b, p, name))
		return;
	if (b->request->users_later)
		problems_add(
			b->problems, PROBLEM_WARNING, s->object,
			"line %u: there is no %s '%s' on this host; BeforeInstall has to make it",
			s->line, what, name);
	else
		problems_add(b->problems, PROBLEM_ERROR, s->object,
			     "line %u: there is no %s '%s' on this host", s->line, what, name);
}

static void resolve_names(struct plan_build *b, struct plan_perm *p)
{
	const struct spec_permission *s = p->spec;
	p->uid = p->gid = UINT32_MAX;
	if (s->owner) {
		const struct passwd *pw = getpwnam(s->owner);
		if (!pw)
			unknown(b, p, "user", s->owner);
		else if (!b->root && pw->pw_uid != geteuid())
			problems_add(b->problems, PROBLEM_ERROR, s->object,
				     "line %u: only root can give files to user '%s'", s->line,
				     s->owner);
		else
			p->uid = pw->pw_uid;
	}
	if (s->group) {
		const struct group *gr = getgrnam(s->group);
		if (!gr)
			unknown(b, p, "group", s->group);
		else
			p->gid = gr->gr_gid;
	}
}

static int classify(struct plan_build *b, struct plan_perm *p, struct error *err)
{
	struct target t;
	struct stat st;
	int r = plan_target_find(b, p->object, &t, NULL, err);
	if (r < 0)
		return r;
	bool file = r > 0 && (t.type == 'f' || t.type == 'l');
	if (!file) {
		bool dir = (r > 0 && t.type == 'd') ||
			   (lstat(p->object, &st) == 0 && S_ISDIR(st.st_mode));
		p->kind = dir ? 'd' : 0;
		return 0;
	}
	if (!p->spec->files) /* type = [directory] on a file: nothing, as the official agent */
		return 0;
	p->kind = 'f';
	if (!str_eq(p->spec->pattern, "**"))
		problems_add(b->problems, PROBLEM_ERROR, p->spec->object,
			     "line %u: the object is a file, so the pattern must be '**', not '%s'",
			     p->spec->line, p->spec->pattern);
	if (p->spec->except && p->spec->except[0])
		problems_add(b->problems, PROBLEM_ERROR, p->spec->object,
			     "line %u: the object is a file, so there can be no 'except'",
			     p->spec->line);
	return 0;
}

int plan_perms_prepare(struct plan_build *b, struct error *err)
{
	if (!b->request->spec)
		return 0;
	const struct spec *spec = b->request->spec;
	b->perms = xcalloc(spec->n_permissions, sizeof(*b->perms));
	b->n_perms = spec->n_permissions;
	for (size_t i = 0; i < b->n_perms; i++) {
		struct plan_perm *p = &b->perms[i];
		p->spec = &spec->permissions[i];
		auto_free char *joined = fs_join(b->destination_root, p->spec->object);
		char object[PATH_MAX];
		int r = plan_canonical(b, b->destination_root[0] ? joined : p->spec->object, object,
				       err);
		if (r < 0)
			return r;
		p->object = xstrdup(object);
		resolve_names(b, p);
		r = classify(b, p, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* '*' is any run of characters, everything else is itself. */
static bool glob(const char *pattern, const char *name)
{
	const char *star = NULL, *resume = NULL;
	while (*name) {
		if (*pattern == '*') {
			star = pattern++;
			resume = name;
		} else if (*pattern == *name) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star + 1;
			name = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool below(const char *path, const char *object, const char **ret_rel)
{
	size_t len = object[1] ? strlen(object) : 0;
	if (strncmp(path, object, len) != 0 || path[len] != '/' || !path[len + 1])
		return false;
	*ret_rel = path + len + 1;
	return true;
}

static bool applies(const struct plan_perm *p, const struct target *t)
{
	if (p->kind == 'f')
		return strcmp(t->path, p->object) == 0;
	const char *rel;
	if (p->kind != 'd' || !below(t->path, p->object, &rel))
		return false;
	if (t->type == 'd' ? !p->spec->directories : !p->spec->files)
		return false;
	bool here = !strchr(rel, '/');
	if (!str_eq(p->spec->pattern, "**") && !(here && glob(p->spec->pattern, rel)))
		return false;
	for (char **except = p->spec->except; except && *except && here; except++)
		if (glob(*except, rel))
			return false;
	return true;
}

int plan_perms_apply(struct plan_build *b, struct target *t, bool *ret_mode_fixed)
{
	const struct plan_perm *first = NULL;
	*ret_mode_fixed = false;
	for (size_t i = 0; i < b->n_perms; i++) {
		struct plan_perm *p = &b->perms[i];
		if (!applies(p, t))
			continue;
		p->used = true;
		if (first) {
			problems_add(b->problems, PROBLEM_ERROR, t->path,
				     "permissions apply to it twice: by lines %u and %u",
				     first->spec->line, p->spec->line);
			return PLAN_SKIP;
		}
		first = p;
	}
	if (!first)
		return 0;
	t->uid = first->uid != UINT32_MAX ? first->uid : t->uid;
	t->gid = first->gid != UINT32_MAX ? first->gid : t->gid;
	if (first->spec->has_mode && t->type != 'l') {
		t->mode = first->spec->mode;
		*ret_mode_fixed = true;
	}
	return 0;
}

void plan_perms_finish(struct plan_build *b)
{
	for (size_t i = 0; i < b->n_perms; i++)
		if (!b->perms[i].used)
			problems_add(b->problems, PROBLEM_WARNING, b->perms[i].spec->object,
				     "line %u: these permissions apply to nothing that this "
				     "revision installs",
				     b->perms[i].spec->line);
}

void plan_perms_clear(struct plan_build *b)
{
	for (size_t i = 0; i < b->n_perms; i++)
		free(b->perms[i].object);
	free(b->perms);
	b->perms = NULL;
	b->n_perms = 0;
}
