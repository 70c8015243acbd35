// SPDX-License-Identifier: Apache-2.0
/* Permissions of the AppSpec: rules in the reference "appspec", section 5. They apply to what this
 * group installs, never to what was there before or was retained. */
#include "agent/worker/plan-build.h"

#include "agent/worker/spec-match.h"
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

/* As setfacl: a number is an id. */
static bool is_number(const char *name, uint32_t *ret)
{
	uint64_t n;
	if (str_to_u64(name, &n) < 0 || n >= ACL_NO_ID)
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool account_id(const char *name, bool group, uint32_t *ret)
{
	if (is_number(name, ret))
		return true;
	const struct passwd *pw = group ? NULL : getpwnam(name);
	const struct group *gr = group ? getgrnam(name) : NULL;
	if (pw)
		*ret = pw->pw_uid;
	if (gr)
		*ret = gr->gr_gid;
	return pw || gr;
}

/* Entries of accounts that BeforeInstall has yet to make are left out. */
static void resolve_acls(struct plan_build *b, struct plan_perm *p)
{
	static const struct {
		enum acl_tag named, base;
		const char *what;
	} tags[] = {
		[SPEC_ACL_USER] = {ACL_TAG_USER, ACL_TAG_USER_OBJ, "user"},
		[SPEC_ACL_GROUP] = {ACL_TAG_GROUP, ACL_TAG_GROUP_OBJ, "group"},
		[SPEC_ACL_MASK] = {0, ACL_TAG_MASK, NULL},
		[SPEC_ACL_OTHER] = {0, ACL_TAG_OTHER, NULL},
	};
	const struct spec_permission *s = p->spec;
	p->aces = xcalloc(s->n_acls + 1, sizeof(*p->aces));
	for (size_t i = 0; i < s->n_acls; i++) {
		const struct spec_acl *acl = &s->acls[i];
		bool named = acl->name[0];
		struct plan_ace ace = {.is_default = acl->is_default,
				       .tag = named ? tags[acl->tag].named : tags[acl->tag].base,
				       .id = ACL_NO_ID,
				       .perm = acl->perm};
		if (named && !account_id(acl->name, acl->tag == SPEC_ACL_GROUP, &ace.id))
			unknown(b, p, tags[acl->tag].what, acl->name);
		else
			p->aces[p->n_aces++] = ace;
	}
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

static void check_context(struct plan_build *b, const struct plan_perm *p)
{
	const char *why;
	if (p->spec->has_context && !label_is_enabled(&why))
		problems_add(b->problems, PROBLEM_WARNING, p->spec->object,
			     "line %u: 'context' changes nothing: %s", p->spec->line, why);
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
		resolve_acls(b, p);
		check_context(b, p);
		r = classify(b, p, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int plan_perms_find(struct plan_build *b, const struct target *t, const struct plan_perm **ret)
{
	*ret = NULL;
	for (size_t i = 0; i < b->n_perms; i++) {
		struct plan_perm *p = &b->perms[i];
		if (!spec_match(p->spec, p->kind, p->object, t->path, t->type))
			continue;
		p->used = true;
		if (t->type == 'l' && b->request->refuse_links_permissions) {
			problems_add(b->problems, PROBLEM_ERROR, t->path,
				     "permissions apply to a symbolic link: by line %u; "
				     "reject_symlink_permission_targets refuses that",
				     p->spec->line);
			return PLAN_SKIP;
		}
		if (*ret) {
			problems_add(b->problems, PROBLEM_ERROR, t->path,
				     "permissions apply to it twice: by lines %u and %u",
				     (*ret)->spec->line, p->spec->line);
			return PLAN_SKIP;
		}
		*ret = p;
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
	for (size_t i = 0; i < b->n_perms; i++) {
		free(b->perms[i].object);
		free(b->perms[i].aces);
	}
	free(b->perms);
	b->perms = NULL;
	b->n_perms = 0;
}
