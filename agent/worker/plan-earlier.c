// SPDX-License-Identifier: Apache-2.0
/* A deployment is planned at its beginning and again right before the install. The second plan need
 * not read 20,000 unchanged files again: what the first one found to be the same, and what has not
 * been touched since (inode, size, change time of both files), is the same. */
#include "agent/worker/plan-build.h"

static const char *path_of(uint64_t value, void *arg, struct error *err)
{
	struct plan_build *b = arg;
	struct record rec;
	struct plan_entry e;
	if (record_at(&b->earlier, PATHSET_VALUE(value), &rec, err) <= 0 ||
	    plan_entry_get(&rec, &e, err) < 0)
		return NULL;
	return e.path;
}

static int index_kept(struct plan_build *b, struct error *err)
{
	for (;;) {
		struct record rec;
		struct plan_entry e;
		int r = plan_next(&b->earlier, &rec, err);
		if (r < 0)
			return r;
		if (rec.type == PLAN_REC_END)
			return plan_end_get(&rec, &b->earlier_end, err);
		if (rec.type != PLAN_REC_OP)
			continue;
		r = plan_entry_get(&rec, &e, err);
		if (r >= 0 && e.op == PLAN_KEEP && e.type == 'f')
			r = pathset_add(&b->earlier_paths, e.path, rec.offset, err);
		if (r < 0)
			return r;
	}
}

/* Without one, or with one that a crash cut off, everything is read. */
int plan_earlier_load(struct plan_build *b, struct error *err)
{
	struct error ignored;
	(void)err;
	if (!b->request->spec)
		return 0;
	int r = plan_open(b->request->group_fd, &b->earlier, &ignored);
	if (r >= 0)
		r = index_kept(b, &ignored);
	if (r < 0)
		pathset_clear(&b->earlier_paths);
	b->earlier.unchecked = true;
	return 0;
}

/* A change within the same tick of the clock leaves the change time as it was. */
static bool settled(const struct plan_build *b, int64_t ctime_s)
{
	return ctime_s < b->earlier_end.made_s - 1;
}

bool plan_earlier_same(struct plan_build *b, const struct target *t, const struct live_object *live,
		       bool *ret_plain)
{
	uint64_t *value;
	struct error ignored;
	struct record rec;
	struct plan_entry e;
	*ret_plain = false;
	if (pathset_find(&b->earlier_paths, t->path, path_of, b, &value, &ignored) <= 0 ||
	    record_at(&b->earlier, *value, &rec, &ignored) <= 0 ||
	    plan_entry_get(&rec, &e, &ignored) < 0)
		return false;
	*ret_plain = e.plain;
	return live_same(&e.old, live) && e.size == t->size && e.from.ino == t->from.ino &&
	       e.from.ctime_s == t->from.ctime_s && e.from.ctime_ns == t->from.ctime_ns &&
	       settled(b, live->ctime_s) && settled(b, t->from.ctime_s);
}
