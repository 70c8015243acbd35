// SPDX-License-Identifier: Apache-2.0
/* The plan is made by the very functions of a deployment, in a group whose directories are
 * temporary: only the manifest of the real one is linked into it. */
#include "agent/worker/preview.h"

#include "agent/worker/local.h"
#include "agent/worker/plan.h"
#include "agent/worker/prepare.h"
#include "agent/worker/scratch.h"
#include "common/alloc.h"
#include "common/json.h"

#include <fcntl.h>

static int tell_operation(enum plan_op op, const char *path, uint64_t bytes, void *arg)
{
	struct run *run = arg;
	json_t *event = caller_event("operation");
	json_set_str(event, "op", plan_op_to_string(op));
	json_set_str(event, "path", path);
	json_set_int(event, "bytes", (int64_t)bytes);
	caller_say(&run->caller, event);
	return 0;
}

static int make_plan(struct run *run, const struct scratch *s, struct local_request *request,
		     struct plan_summary *ret, struct error *err)
{
	auto_group struct group g = {
		.run = run,
		.id = xstrdup(request->group),
		.lock_fd = -1,
		.fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3),
		.dir_fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3),
		.state = state_new(request->group),
	};
	g.state->open = state_deployment_new(TAKE(request->job));
	int each = 0, r = prepare_unpack(&g, &request->source, err);
	if (r >= 0)
		r = prepare_check(&g, ret, err);
	struct error ignored; /* there may be none when it was refused early */
	if (r >= 0 || r == ERR_REFUSED)
		each = plan_each(g.fd, tell_operation, run, r < 0 ? &ignored : err);
	return r < 0 ? r : each;
}

static void put_summary(const struct run *run, json_t *result, const struct plan_summary *summary)
{
	local_put_summary(result, summary);
	if (run->refused)
		json_set_int(json_object_get(result, "summary"), "refuse", (int64_t)run->refused);
}

int preview_verb(struct run *run, const json_t *message, int fd, json_t *result, struct error *err)
{
	CLEANUP(local_request_clear) struct local_request request = {.source.fd = -1};
	auto_scratch struct scratch scratch = SCRATCH_INIT;
	struct plan_summary summary = {0};
	run->looks = true;
	int r = local_request_parse(message, fd, &request, err);
	if (r >= 0)
		r = scratch_open(&scratch, run, err);
	if (r >= 0)
		r = scratch_link_manifest(&scratch, run, request.group, err);
	if (r >= 0)
		r = make_plan(run, &scratch, &request, &summary, err);
	json_set_str(result, "group_id", request.group);
	if (r >= 0 || r == ERR_REFUSED)
		put_summary(run, result, &summary);
	return r < 0 ? run_exit_code(r) : 0;
}
