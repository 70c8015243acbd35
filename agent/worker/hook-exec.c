// SPDX-License-Identifier: Apache-2.0
/* A script by fork and exec, where there is no systemd to start it: a session and process group of
 * its own, no descriptor of ours but its two output files, the account's groups and environment. Of
 * its limits only the nice value holds. */
#include "agent/worker/hook-family.h"
#include "agent/worker/hook-process.h"
#include "agent/worker/hook-run.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/proc.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	struct hook *hook;
	pid_t pid;
	int pidfd;
	struct hook_family family;
};

static void note_start(pid_t pid, void *arg)
{
	const struct hook_request *request = ((struct child *)arg)->hook->request;
	if (request->on_start)
		request->on_start(pid, proc_start_ticks(pid), request->arg);
}

static pid_t start_process(struct child *c, struct error *err)
{
	const struct hook *h = c->hook;
	struct proc_spec spec = {.path = h->path,
				 .env = (const char *const *)h->env,
				 .cwd = "/",
				 .stdin_fd = -1,
				 .stdout_fd = h->output.streams[0].write_fd,
				 .stderr_fd = h->output.streams[1].write_fd,
				 .user = h->request->runas,
				 .new_session = true,
				 .umask = 0022,
				 .nice = h->request->limits.nice,
				 .on_fork = note_start,
				 .arg = c};
	pid_t pid = proc_start(&spec, err);
	if (pid != -ENOEXEC)
		return pid;
	/* without "#!", as the official agent */
	const char *const argv[] = {"/bin/sh", h->path, NULL};
	spec.path = argv[0];
	spec.argv = argv;
	return proc_start(&spec, err);
}

/* Returns false with the result set when it did not start. */
static bool start(struct child *c)
{
	struct error err = {0};
	c->pid = start_process(c, &err);
	if (c->pid > 0)
		return true;
	auto_free char *why = NULL;
	if (c->pid == -ENOENT)
		(void)hook_format(c->hook, &why);
	hook_fail_errno(c->hook, c->pid, why ? why : err.text);
	return false;
}

static int fail_waiting(const struct hook *h, int r, struct error *err)
{
	return error_set(err, r, "wait for script '%s': %s", h->request->location_text,
			 strerror(-r));
}

static int follow(struct child *c, struct error *err)
{
	struct hook *h = c->hook;
	uint64_t deadline_us = h->start_us + (uint64_t)h->request->timeout_s * 1000 * 1000;
	for (;;) {
		int r = hook_wait(h, c->family.watch_fd, deadline_us);
		hook_family_reap(&c->family);
		if (r > 0) /* it may have been another child */
			r = hook_process_await(c->pidfd, -1, 0);
		if (r < 0)
			return fail_waiting(h, r, err);
		if (r > 0)
			return 0;
		if (clock_mono_us() >= deadline_us)
			break;
	}
	h->result.timed_out = true;
	hook_family_kill(&c->family);
	return 0;
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static int reap(struct child *c, struct error *err)
{
	struct hook_result *result = &c->hook->result;
	int status = 0;
	struct rusage usage;
	pid_t r;
	do
		r = wait4(c->pid, &status, 0, &usage);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return error_errno(err, "wait for script '%s'", c->hook->request->location_text);
	result->wall_s = (double)(clock_mono_us() - c->hook->start_us) / 1e6;
	result->cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
	result->memory_peak_bytes = (int64_t)usage.ru_maxrss * 1024;
	result->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return 0;
}

static int watch(struct child *c, struct error *err)
{
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd < 0)
		return error_errno(err, "watch script '%s'", c->hook->request->location_text);
	int r = hook_family_watch(&c->family, c->pid, c->pidfd, err);
	return r < 0 ? r : follow(c, err);
}

/* Without root the kernel does not give more than everybody has. */
static void check_nice(const struct hook *h)
{
	if (h->request->limits.nice < 0 && geteuid() != 0)
		log_warning("script '%s' cannot have the nice value %d without root",
			    h->request->location_text, h->request->limits.nice);
}

static void child_clear(struct child *c)
{
	hook_family_end(&c->family);
	fs_close_quiet(c->pidfd);
}

int hook_exec_run(struct hook *h, struct error *err)
{
	CLEANUP(child_clear) struct child c = {.hook = h, .pidfd = -1};
	check_nice(h);
	int r = hook_family_begin(&c.family, (const char *const *)h->env, err);
	if (r < 0 || !start(&c))
		return r;
	r = watch(&c, err);
	if (r < 0)
		kill(-c.pid, SIGKILL);
	int reaped = reap(&c, err);
	hook_family_ended(&c.family);
	if (reaped >= 0)
		h->result.left_running = hook_family_names(&c.family);
	return r < 0 ? r : reaped;
}
