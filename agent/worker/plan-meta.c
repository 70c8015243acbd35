// SPDX-License-Identifier: Apache-2.0
/* Owner, mode and ACL as each object should have them in the end. First what it inherits where it
 * will be, as if the whole were installed anew; then what permissions say, in the order of the
 * official agent: mode, acls. */
#include "agent/worker/plan-build.h"

#include "common/alloc.h"
#include "common/str.h"

#include <string.h>

int plan_heir_add(struct plan_build *b, const struct acl_room *acl, uint16_t *ret,
		  struct error *err)
{
	*ret = 0;
	if (acl->len == 0)
		return 0;
	for (uint16_t i = 0; i < b->n_heirs; i++) {
		if (!acl_equal(acl_of(b->heirs[i]), acl_of(acl)))
			continue;
		*ret = i + 1;
		return 0;
	}
	if (b->n_heirs == UINT16_MAX)
		return error_set(err, ERR_LIMIT, "more than %d different default ACLs", UINT16_MAX);
	b->heirs = xrealloc_array(b->heirs, (size_t)b->n_heirs + 1, sizeof(*b->heirs));
	struct acl_room *copy = xcalloc(1, sizeof(*copy));
	*copy = *acl;
	b->heirs[b->n_heirs++] = copy;
	*ret = b->n_heirs;
	return 0;
}

struct acl plan_heir(const struct plan_build *b, uint32_t node)
{
	uint16_t heir = b->nodes[node].heir;
	return heir ? acl_of(b->heirs[heir - 1]) : (struct acl){0};
}

static void room_copy(struct acl_room *to, struct acl from)
{
	to->len = from.len;
	if (from.len > 0)
		memcpy(to->bytes, from.bytes, from.len);
}

/* The entries of one kind, completed. Returns how many were given, or -EFBIG. */
static int build(const struct plan_perm *p, bool is_default, mode_t mode, struct acl_room *ret)
{
	int n = 0;
	acl_start(ret);
	for (size_t i = 0; i < p->n_aces; i++) {
		const struct plan_ace *ace = &p->aces[i];
		if (ace->is_default != is_default)
			continue;
		int r = acl_put(ret, ace->tag, ace->id, ace->perm);
		if (r < 0)
			return r;
		n++;
	}
	int r = acl_complete(ret, mode);
	return r < 0 ? r : n;
}

/* 'acls' replace both ACLs as a whole: what is not asked for is gone. */
static int apply_acls(struct plan_build *b, const struct target *t, struct plan_meta *meta)
{
	const struct plan_perm *p = meta->perm;
	mode_t mode = meta->mode;
	int access = build(p, false, mode, &meta->access);
	int defaults = build(p, true, mode, &meta->bequeath);
	if (access < 0 || defaults < 0) {
		problems_add(b->problems, PROBLEM_ERROR, t->path,
			     "line %u: an ACL can have %zu entries, and these are more",
			     p->spec->line, (ACL_MAX - 4) / sizeof(uint64_t));
		return PLAN_SKIP;
	}
	if (defaults > 0 && t->type != 'd') {
		problems_add(b->problems, PROBLEM_ERROR, t->path,
			     "line %u: only directories have default ACL entries, and this is a "
			     "file; give the entry 'type: [directory]'",
			     p->spec->line);
		return PLAN_SKIP;
	}
	meta->acl_fixed = meta->mode_fixed = true;
	meta->mode = acl_mode(acl_of(&meta->access), mode);
	acl_reduce(&meta->access);
	if (defaults == 0)
		meta->bequeath.len = 0;
	return 0;
}

/* A label that the previous revision asked for, and this one does not: back to the policy's. */
static int label_of_policy(struct plan_build *b, const struct target *t, mode_t type,
			   struct plan_meta *meta, struct error *err)
{
	struct manifest_entry before;
	int r = manifest_find(&b->manifest, t->path, &before, err);
	if (r <= 0 || !before.label[0])
		return r < 0 ? r : 0;
	return label_default(t->path, type, meta->label, err);
}

static int make_label(struct plan_build *b, const struct target *t, struct plan_meta *meta,
		      struct error *err)
{
	mode_t type = t->type == 'd' ? S_IFDIR : S_IFREG;
	const struct plan_perm *p = meta->perm;
	char base[LABEL_MAX];
	struct error why = {0};
	if (!b->labels)
		return 0;
	if (!p || !p->spec->has_context)
		return label_of_policy(b, t, type, meta, err);
	int r = label_default(t->path, type, base, err);
	if (r < 0)
		return r;
	r = label_compose(base, &p->spec->context, meta->label, &why);
	if (r >= 0)
		r = label_check(meta->label, &why);
	if (r >= 0)
		return 0;
	problems_add(b->problems, PROBLEM_ERROR, t->path, "line %u: %s", p->spec->line, why.text);
	return PLAN_SKIP;
}

int plan_meta_make(struct plan_build *b, struct target *t, struct plan_meta *ret, struct error *err)
{
	ret->mode_fixed = ret->acl_fixed = false;
	ret->access.len = ret->bequeath.len = 0;
	ret->mode = t->mode;
	ret->label[0] = '\0';
	int r = plan_perms_find(b, t, &ret->perm);
	if (r != 0)
		return r;
	const struct plan_perm *p = ret->perm;
	if (p) {
		t->uid = p->uid != UINT32_MAX ? p->uid : t->uid;
		t->gid = p->gid != UINT32_MAX ? p->gid : t->gid;
	}
	if (t->type == 'l') /* no mode and no ACL of its own, and it is not followed */
		return 0;
	struct acl heir = plan_heir(b, t->parent);
	if (p && p->spec->has_mode) {
		t->mode = p->spec->mode;
		ret->mode_fixed = true;
	}
	ret->mode = acl_inherit(heir, t->mode, &ret->access);
	if (ret->mode_fixed) {
		ret->mode = t->mode;
		acl_chmod(&ret->access, t->mode);
	}
	if (t->type == 'd')
		room_copy(&ret->bequeath, heir);
	r = p && p->spec->has_acls ? apply_acls(b, t, ret) : 0;
	return r == 0 ? make_label(b, t, ret, err) : r;
}

int plan_meta_supported(struct plan_build *b, const struct target *t, const struct plan_meta *meta,
			int fd, const char *dir_path)
{
	if (!meta->acl_fixed || (meta->access.len == 0 && meta->bequeath.len == 0) ||
	    acl_is_supported(fd))
		return 0;
	char mount[PATH_MAX];
	plan_mount_point(dir_path, mount);
	problems_add(b->problems, PROBLEM_ERROR, t->path,
		     "line %u: the file system at '%s' has no ACLs; mount it with them, or leave "
		     "out 'acls'",
		     meta->perm->spec->line, mount);
	return PLAN_SKIP;
}

int plan_meta_look(struct plan_build *b, const char *name, const char *path, struct plan_old *ret,
		   struct error *err)
{
	int r = acl_get_at(b->dir_fd, name, ACL_OF_OBJECT, &ret->access);
	if (r >= 0)
		r = acl_get_at(b->dir_fd, name, ACL_TO_BEQUEATH, &ret->bequeath);
	ret->label[0] = '\0';
	if (r >= 0 && b->labels)
		r = label_get_at(b->dir_fd, name, ret->label);
	return r < 0 ? error_set(err, r, "%s: read its ACL and label: %s", path, strerror(-r)) : 0;
}

bool plan_meta_equal(const struct target *t, const struct plan_meta *meta,
		     const struct live_object *live, const struct plan_old *old)
{
	return live->mode == meta->mode && live->uid == t->uid && live->gid == t->gid &&
	       acl_equal(acl_of(&old->access), acl_of(&meta->access)) &&
	       acl_equal(acl_of(&old->bequeath), acl_of(&meta->bequeath)) &&
	       (!meta->label[0] || str_eq(meta->label, old->label));
}

int plan_label_equal(struct plan_build *b, const struct plan_meta *meta, const char *name)
{
	char label[LABEL_MAX];
	if (!meta->label[0])
		return 1;
	int r = label_get_at(b->dir_fd, name, label);
	return r < 0 ? r : str_eq(label, meta->label);
}

void plan_meta_clear(struct plan_build *b)
{
	for (uint16_t i = 0; i < b->n_heirs; i++)
		free(b->heirs[i]);
	free(b->heirs);
	b->heirs = NULL;
	b->n_heirs = 0;
}
