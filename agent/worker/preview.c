// SPDX-License-Identifier: Apache-2.0
/* The plan is made by the very functions of a deployment, in a group whose directories are
 * temporary: only the manifest of the real one is linked into it. */
#include "agent/worker/preview.h"

#include "agent/worker/local.h"
#include "agent/worker/plan.h"
#include "agent/worker/prepare.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MANIFEST "manifest"

struct scratch {
	struct run *run;
	int tmp_fd; /* host/tmp */
	char name[32];
	int fd; /* locked as long as it is in use */
};

static void scratch_clear(struct scratch *s)
{
	struct error err = {0};
	if (s->fd >= 0 && fs_remove_tree(s->tmp_fd, s->name, &err) < 0)
		log_warning("'%s' stays: %s", s->name, err.text);
	fs_close_quiet(s->fd);
	fs_close_quiet(s->tmp_fd);
}

static int scratch_make(struct scratch *s, struct error *err)
{
	s->tmp_fd = fs_mkdirs(s->run->host_fd, "tmp", 0700, err);
	if (s->tmp_fd < 0)
		return s->tmp_fd;
	strcpy(s->name, "plan-");
	str_random(s->name + strlen(s->name), 12);
	s->fd = fs_mkdirs(s->tmp_fd, s->name, 0700, err);
	if (s->fd < 0)
		return s->fd;
	return flock(s->fd, LOCK_EX | LOCK_NB) < 0 ? error_errno(err, "lock '%s'", s->name) : 0;
}

static int link_manifest(struct scratch *s, const char *group, struct error *err)
{
	auto_free char *path = fs_join(group, MANIFEST);
	if (linkat(s->run->groups_fd, path, s->fd, MANIFEST, 0) < 0 && errno != ENOENT)
		return error_errno(err, "read what group '%s' has installed", group);
	return 0;
}

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

static int make_plan(struct scratch *s, struct local_request *request, struct plan_summary *ret,
		     struct error *err)
{
	auto_group struct group g = {
		.run = s->run,
		.id = xstrdup(request->group),
		.lock_fd = -1,
		.fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3),
		.dir_fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3),
		.state = state_new(request->group),
	};
	g.state->open = state_deployment_new(TAKE(request->job));
	int r = prepare_unpack(&g, &request->source, err);
	if (r >= 0)
		r = prepare_check(&g, ret, err);
	if (r >= 0)
		r = plan_each(g.fd, tell_operation, s->run, err);
	return r;
}

int preview_verb(struct run *run, const json_t *message, int fd, json_t *result, struct error *err)
{
	CLEANUP(local_request_clear) struct local_request request = {.source.fd = -1};
	CLEANUP(scratch_clear) struct scratch scratch = {.run = run, .tmp_fd = -1, .fd = -1};
	struct plan_summary summary;
	int r = local_request_parse(message, fd, &request, err);
	if (r >= 0)
		r = scratch_make(&scratch, err);
	if (r >= 0)
		r = link_manifest(&scratch, request.group, err);
	if (r >= 0)
		r = make_plan(&scratch, &request, &summary, err);
	json_set_str(result, "group_id", request.group);
	if (r < 0)
		return run_exit_code(r);
	local_put_summary(result, &summary);
	return 0;
}

static void remove_unused(int tmp_fd, const char *name)
{
	auto_close int fd = openat(tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct error err = {0};
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fs_remove_tree(tmp_fd, name, &err) < 0)
		log_warning("'%s' stays: %s", name, err.text);
}

void preview_clear(struct run *run)
{
	auto_close int fd =
		fs_open_beneath(run->host_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	auto_close int list_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	auto_closedir DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
	if (!dir)
		return;
	TAKE_FD(list_fd);
	struct dirent *entry;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			remove_unused(fd, entry->d_name);
}
