// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/hooks.h"

#include "agent/worker/env.h"
#include "agent/worker/hook.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RUNNING "hook" /* "PID START-TIME BOOT-ID" of the script that runs now */
#define BOOT_ID_LEN 36

bool hooks_revision_new(const struct group *g, struct hooks_revision *ret)
{
	const struct state_deployment *d = g->state->open;
	if (!d || !d->archive)
		return false;
	*ret = (struct hooks_revision){
		.deployment_id = state_deployment_id(d),
		.archive = d->archive,
		.appspec = d->appspec,
		.spec = d->job->spec,
	};
	return true;
}

bool hooks_revision_kept(const struct group *g, const char *deployment_id,
			 struct hooks_revision *ret)
{
	const struct state_revision *r = state_revision_find(g->state, deployment_id);
	if (!r)
		return false;
	*ret = (struct hooks_revision){
		.deployment_id = r->deployment_id,
		.archive = r->archive,
		.appspec = r->appspec,
		.spec = r->spec,
	};
	return true;
}

void hooks_clear(struct hooks *h)
{
	fs_close_quiet(h->archive_fd);
	spec_free(h->spec);
	*h = (struct hooks){.archive_fd = -1};
}

int hooks_load(struct group *g, const struct hooks_revision *revision, const char *event,
	       struct hooks *ret, struct error *err)
{
	auto_hooks struct hooks h = {.revision = *revision, .archive_fd = -1};
	h.archive_fd = group_archive(g, revision->archive, err);
	if (h.archive_fd < 0)
		return h.archive_fd;
	auto_problems struct problems problems = {0};
	int r = spec_load(h.archive_fd, revision->appspec, &h.spec, NULL, &problems, err);
	if (r < 0)
		return error_prefix(err, r, "revision of '%s'", revision->deployment_id);
	h.event = spec_event(h.spec, event);
	if (h.event && !h.event->n_hooks)
		h.event = NULL;
	*ret = h;
	h = (struct hooks){.archive_fd = -1};
	return 0;
}

static void boot_id(char out[BOOT_ID_LEN + 1])
{
	auto_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out, BOOT_ID_LEN) : 0;
	out[n > 0 ? n : 0] = '\0';
}

/* A few bytes in one write: whole or not there, whenever the worker is killed. */
static void note_start(pid_t pid, uint64_t start_time, void *arg)
{
	struct group *g = arg;
	char boot[BOOT_ID_LEN + 1];
	boot_id(boot);
	auto_close int fd =
		openat(g->fd, RUNNING, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	auto_free char *line = xasprintf("%ld %" PRIu64 " %s", (long)pid, start_time, boot);
	if (fd < 0 || fs_write_all(fd, line, strlen(line)) < 0)
		log_warning("could not note process %ld: it would not be found after a crash",
			    (long)pid);
}

void hooks_kill_leftover(struct group *g)
{
	auto_free char *line = NULL;
	size_t len;
	if (fs_read_file(g->fd, RUNNING, 256, &line, &len, NULL) < 0)
		return;
	char here[BOOT_ID_LEN + 1], boot[BOOT_ID_LEN + 1];
	long pid;
	uint64_t start_time;
	boot_id(here);
	if (sscanf(line, "%ld %" SCNu64 " %36s", &pid, &start_time, boot) == 3 &&
	    strcmp(boot, here) == 0 && pid > 0)
		hook_kill_leftover((pid_t)pid, start_time);
	fs_unlink_quiet(g->fd, RUNNING);
}

static void tell_line(const char *stream, const char *line, size_t len, void *arg)
{
	struct group *g = arg;
	caller_output(&g->run->caller, stream, line, len);
}

static struct state_failure *describe_failure(const char *event, const struct spec_hook *hook,
					      const struct hook_result *result)
{
	struct state_failure *f = xcalloc(1, sizeof(*f));
	f->event = xstrdup(event);
	f->code = result->code;
	f->script_name = xstrdup(hook->location_text);
	f->message = xstrdup_null(result->message);
	f->log = xstrdup_null(result->log_tail);
	f->exit_code = result->signal ? -1 : result->exit_code;
	f->signal = result->signal;
	return f;
}

/* log: what the event has printed so far; the diagnostics of a failure show it too. */
static int run_one(struct group *g, const struct hooks_request *request,
		   const struct spec_hook *hook, char **log, struct state_failure **ret_failure,
		   struct error *err)
{
	struct state_deployment *d = g->state->open;
	const struct env_request env_request = {
		.settings = &g->run->settings,
		.spec = request->identity,
		.event = request->event,
		.rollback = request->rollback,
	};
	char **env = env_make(&env_request);
	auto_close int logs_fd = group_logs_dir(g, state_deployment_id(d), err);
	auto_free char *path = group_archive_path(g, request->hooks->revision.archive);
	unsigned number = ++d->scripts;
	auto_free char *unit =
		hook_unit_used(g->run->paths.root)
			? hook_unit_name(state_deployment_id(d), request->event, number)
			: NULL;
	const struct hook_request run = {
		.archive_fd = request->hooks->archive_fd,
		.archive_path = path,
		.location = hook->location,
		.location_text = hook->location_text,
		.event = request->event,
		.runas = hook->runas,
		.timeout_s = hook->timeout_s,
		.env = (const char *const *)env,
		.logs_fd = logs_fd,
		.number = number,
		.group_id = g->id,
		.deployment_id = state_deployment_id(d),
		.unit = unit,
		.log_before = *log,
		.on_line = tell_line,
		.on_start = note_start,
		.arg = g,
	};
	auto_hook_result struct hook_result result = {0};
	int r = logs_fd < 0 ? logs_fd : hook_run(&run, &result, err);
	if (unit)
		hook_unit_collect(unit);
	fs_unlink_quiet(g->fd, RUNNING);
	str_list_free(env);
	if (r < 0)
		return r;
	free(*log);
	*log = xstrdup_null(result.log_tail);
	if (result.code == WIRE_SUCCESS)
		return 0;
	*ret_failure = describe_failure(request->event, hook, &result);
	return error_set(err, ERR_SCRIPT, "%s", result.message ? result.message : "script failed");
}

int hooks_run(struct group *g, const struct hooks_request *request,
	      struct state_failure **ret_failure, struct error *err)
{
	const struct spec_event *event = request->hooks->event;
	auto_free char *log = NULL;
	int r = group_save(g, err);
	for (size_t i = 0; r >= 0 && i < event->n_hooks; i++)
		r = run_one(g, request, &event->hooks[i], &log, ret_failure, err);
	return r;
}
