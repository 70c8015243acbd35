// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/plan.h"

#include "agent/worker/plan-build.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

static const char *const op_names[] = {
	[PLAN_MKDIR] = "mkdir",       [PLAN_CREATE] = "create", [PLAN_REPLACE] = "replace",
	[PLAN_SYMLINK] = "symlink",   [PLAN_DELETE] = "delete", [PLAN_RMDIR] = "rmdir",
	[PLAN_METADATA] = "metadata", [PLAN_KEEP] = "keep",     [PLAN_RETAIN] = "retain",
};

const char *plan_op_to_string(enum plan_op op)
{
	assert(op < PLAN_OP_COUNT);
	return op_names[op];
}

void plan_build_free(struct plan_build *b)
{
	if (!b)
		return;
	manifest_clear(&b->manifest);
	record_close(&b->targets);
	record_close(&b->plan);
	record_close(&b->earlier);
	pathset_clear(&b->earlier_paths);
	pathset_clear(&b->paths);
	plan_perms_clear(b);
	plan_meta_clear(b);
	plan_mounts_clear(b);
	for (uint16_t i = 0; i < b->n_owners; i++)
		free(b->owners[i].label);
	free(b->owners);
	free(b->label);
	free(b->nodes);
	free(b->destinations);
	free(b->destination_root);
	fs_close_quiet(b->dir_fd);
	free(b);
}

int plan_build_new(const struct plan_request *request, struct problems *problems,
		   struct plan_build **ret, struct error *err)
{
	auto_plan_build struct plan_build *b = xcalloc(1, sizeof(*b));
	b->request = request;
	b->problems = problems;
	b->root = geteuid() == 0;
	b->labels = label_is_enabled(NULL);
	b->dir_fd = -1;
	b->manifest = MANIFEST_INIT;
	b->targets = b->plan = b->earlier = RECORD_FILE_INIT;
	pathset_init(&b->paths);
	pathset_init(&b->earlier_paths);
	clock_gettime(CLOCK_REALTIME, &b->made);
	if (str_empty(request->destination_root) || str_eq(request->destination_root, "/"))
		b->destination_root = xstrdup("");
	else if (fs_normalise(request->destination_root, &b->destination_root) < 0)
		return error_set(err, ERR_INPUT, "destination_root '%s' is not an absolute path",
				 request->destination_root);
	int r = manifest_load(&b->manifest, request->group_fd, MANIFEST, err);
	if (r < 0)
		return r;
	*ret = TAKE(b);
	return 0;
}

/* A new file: the one before stays readable until its last reader is gone. */
static int plan_create(struct plan_build *b, struct error *err)
{
	fs_unlink_quiet(b->request->group_fd, PLAN);
	int fd = openat(b->request->group_fd, PLAN,
			O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, "create the plan");
	return record_create(&b->plan, fd, RECORD_PLAN, err);
}

static int write_end(struct plan_build *b, struct error *err)
{
	struct plan_end end = {b->n_dirs, b->n_ops, b->n_mounts, b->made.tv_sec,
			       (uint32_t)b->made.tv_nsec};
	record_start(&b->out, PLAN_REC_END);
	plan_end_put(&b->out, &end);
	int r = record_append(&b->plan, &b->out, NULL, err);
	return r < 0 ? r : record_flush(&b->plan, err);
}

typedef int step_fn(struct plan_build *b, struct error *err);

int plan_make(const struct plan_request *request, struct plan_summary *ret,
	      struct problems *problems, struct error *err)
{
	static step_fn *const steps[] = {plan_earlier_load,  plan_targets_make,  plan_create,
					 plan_overlap,       plan_perms_prepare, plan_live,
					 plan_mounts_finish, write_end};
	struct error ignored;
	auto_plan_build struct plan_build *b = NULL;
	int r = plan_build_new(request, problems, &b, err ? err : &ignored);
	for (size_t i = 0; i < ARRAY_LEN(steps) && r >= 0; i++)
		r = steps[i](b, err ? err : &ignored);
	if (r >= 0) {
		plan_perms_finish(b);
		r = problems_check(problems, ERR_REFUSED, err);
	}
	bool refused = r == ERR_REFUSED && request->keep_refused;
	if (r >= 0 || refused)
		*ret = b->summary;
	else
		fs_unlink_quiet(request->group_fd, PLAN);
	return r < 0 ? r : 0;
}

static uint64_t staged_bytes(const struct plan_entry *e)
{
	bool staged = e->op == PLAN_CREATE || e->op == PLAN_REPLACE || e->op == PLAN_METADATA;
	return staged && e->type == 'f' ? e->size : 0;
}

int plan_each(int group_fd, plan_each_fn *fn, void *arg, struct error *err)
{
	auto_record_file struct record_file f = RECORD_FILE_INIT;
	int r = plan_open(group_fd, &f, err);
	while (r >= 0) {
		struct record rec;
		struct plan_entry e;
		r = plan_next(&f, &rec, err);
		if (r < 0 || rec.type == PLAN_REC_END)
			break;
		if (rec.type != PLAN_REC_OP)
			continue;
		r = plan_entry_get(&rec, &e, err);
		if (r == 0)
			r = fn(e.op, e.path, staged_bytes(&e), arg);
	}
	return r < 0 ? r : 0;
}
