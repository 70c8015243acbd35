// SPDX-License-Identifier: Apache-2.0
/* A script by fork and exec, where there is no systemd to start it: a session and process group of
 * its own, no descriptor of ours but its two output files, the account's groups and environment. */
#include "agent/worker/hook-process.h"
#include "agent/worker/hook-run.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
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
};

static void note_start(pid_t pid, void *arg)
{
	const struct hook_request *request = ((struct child *)arg)->hook->request;
	if (request->on_start)
		request->on_start(pid, hook_process_start(pid), request->arg);
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

static int follow(struct child *c, struct error *err)
{
	struct hook *h = c->hook;
	uint64_t deadline_us = h->start_us + (uint64_t)h->request->timeout_s * 1000 * 1000;
	for (;;) {
		int r = hook_wait(h, c->pidfd, deadline_us);
		if (r < 0)
			return error_set(err, r, "wait for script '%s': %s",
					 h->request->location_text, strerror(-r));
		if (r > 0)
			return 0;
		if (clock_mono_us() >= deadline_us)
			break;
	}
	h->result.timed_out = true;
	hook_process_end(c->pidfd, c->pid);
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

static void name_left(struct child *c)
{
	auto_free pid_t *pids = NULL;
	size_t n = hook_process_session(c->pid, &pids);
	c->hook->result.left_running = hook_process_names(pids, n);
}

int hook_exec_run(struct hook *h, struct error *err)
{
	struct child c = {.hook = h, .pidfd = -1};
	if (!start(&c))
		return 0;
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
	c.pidfd = pidfd;
	int r = pidfd < 0 ? error_errno(err, "watch script '%s'", h->request->location_text)
			  : follow(&c, err);
	if (r < 0)
		kill(-c.pid, SIGKILL);
	int reaped = reap(&c, err);
	if (reaped >= 0)
		name_left(&c);
	return r < 0 ? r : reaped;
}
