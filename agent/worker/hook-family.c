// SPDX-License-Identifier: Apache-2.0
/* Who is of the family: the script, what is below it, and each child of ours that was not below us
 * when the script began, with all that is below it. One of these may yet be of an earlier script: a
 * server that it left running has forked again, and the one between has ended. Its environment says
 * so, unless it has thrown it away. */
#include "agent/worker/hook-family.h"

#include "agent/worker/hook-process.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASS_US ((uint64_t)20 * 1000) /* between two looks at who is left */

static bool is_stranger(const struct hook_family *f, const struct hook_process *p)
{
	for (size_t i = 0; i < f->n_strangers; i++)
		if (f->strangers[i].pid == p->pid && f->strangers[i].start == p->start)
			return true;
	return false;
}

/* It says that another event or deployment has started it. */
static bool is_of_other(const struct hook_family *f, pid_t pid)
{
	static const char *const names[] = {"DEPLOYMENT_ID=", "LIFECYCLE_EVENT="};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (const char *const *env = f->env; *env; env++)
			if (str_starts(*env, names[i]) &&
			    hook_process_variable(pid, *env) == HOOK_VARIABLE_OTHER)
				return true;
	return false;
}

static bool is_root(const struct hook_family *f, const struct hook_process *p)
{
	if (p->pid == f->script)
		return true;
	return p->parent == getpid() && !is_stranger(f, p) && !(f->begun && is_of_other(f, p->pid));
}

/* Nobody is below us: that is quickly known. */
static bool is_childless(void)
{
	siginfo_t who;
	return waitid(P_ALL, 0, &who, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static int by_pid(const void *a, const void *b)
{
	const struct hook_process *x = a, *y = b;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static bool mark_children(struct hook_process *list, size_t n)
{
	bool more = false;
	for (size_t i = 0; i < n; i++) {
		struct hook_process key = {.pid = list[i].parent}, *parent;
		if (list[i].marked || key.pid == getpid())
			continue;
		parent = bsearch(&key, list, n, sizeof(*list), by_pid);
		list[i].marked = parent && parent->marked;
		more |= list[i].marked;
	}
	return more;
}

/* Those that run now. Caller frees *ret. */
static size_t find_members(const struct hook_family *f, struct hook_process **ret)
{
	*ret = NULL;
	if (is_childless())
		return 0;
	size_t n = hook_process_all(ret), found = 0;
	struct hook_process *list = *ret;
	qsort(list, n, sizeof(*list), by_pid);
	for (size_t i = 0; i < n; i++)
		list[i].marked = is_root(f, &list[i]);
	while (mark_children(list, n))
		;
	for (size_t i = 0; i < n; i++)
		if (list[i].marked && !list[i].zombie)
			list[found++] = list[i];
	return found;
}

char *hook_family_names(const struct hook_family *f)
{
	struct hook_process *list;
	size_t n = find_members(f, &list);
	auto_free pid_t *pids = xcalloc(n + 1, sizeof(*pids));
	for (size_t i = 0; i < n; i++)
		pids[i] = list[i].pid;
	free(list);
	return hook_process_names(pids, n);
}

int hook_family_begin(struct hook_family *f, const char *const *env, struct error *err)
{
	*f = (struct hook_family){.env = env, .signal_fd = -1, .watch_fd = -1};
	hook_family_reap(f);
	f->n_strangers = find_members(f, &f->strangers);
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, &f->mask_before) < 0)
		return error_errno(err, "block a signal");
	f->begun = true;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return error_errno(err, "become the reaper of what scripts start");
	f->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	f->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	return f->signal_fd < 0 || f->watch_fd < 0 ? error_errno(err, "watch scripts") : 0;
}

int hook_family_watch(struct hook_family *f, pid_t script, int pidfd, struct error *err)
{
	const int fds[] = {pidfd, f->signal_fd};
	f->script = script;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		struct epoll_event event = {.events = EPOLLIN};
		if (epoll_ctl(f->watch_fd, EPOLL_CTL_ADD, fds[i], &event) < 0)
			return error_errno(err, "watch process %ld", (long)script);
	}
	return 0;
}

void hook_family_reap(struct hook_family *f)
{
	struct signalfd_siginfo info;
	while (f->signal_fd >= 0 && read(f->signal_fd, &info, sizeof(info)) > 0)
		;
	for (;;) {
		siginfo_t who = {0};
		if (waitid(P_ALL, 0, &who, WEXITED | WNOHANG | WNOWAIT) < 0 || who.si_pid == 0 ||
		    who.si_pid == f->script)
			return;
		while (waitpid(who.si_pid, NULL, WNOHANG) < 0 && errno == EINTR)
			;
	}
}

/* sig 0: only count them. */
static size_t signal_members(const struct hook_family *f, int sig)
{
	struct hook_process *list;
	size_t n = find_members(f, &list);
	for (size_t i = 0; sig && i < n; i++)
		hook_process_signal(list[i].pid, list[i].start, sig);
	free(list);
	return n;
}

/* Returns false when some are left at the end of the time. sig: again for each who is left, as they
 * may fork while they are killed. */
static bool await_members(struct hook_family *f, uint64_t deadline_us, int sig)
{
	for (;;) {
		hook_family_reap(f);
		if (signal_members(f, sig) == 0)
			return true;
		uint64_t now_us = clock_mono_us();
		if (now_us >= deadline_us)
			return false;
		uint64_t pass_us = now_us + PASS_US;
		if (hook_process_await(f->signal_fd, -1,
				       pass_us < deadline_us ? pass_us : deadline_us) < 0)
			return false;
	}
}

void hook_family_kill(struct hook_family *f)
{
	signal_members(f, SIGTERM);
	signal_members(f, SIGCONT); /* what is stopped would not hear it */
	if (await_members(f, clock_mono_us() + HOOK_GRACE_US, 0))
		return;
	if (!await_members(f, clock_mono_us() + HOOK_GRACE_US, SIGKILL))
		log_warning("what script %ld has started cannot be killed", (long)f->script);
}

void hook_family_ended(struct hook_family *f)
{
	f->script = 0;
	hook_family_reap(f);
}

void hook_family_end(struct hook_family *f)
{
	if (f->begun) {
		hook_family_ended(f);
		prctl(PR_SET_CHILD_SUBREAPER, 0);
		sigprocmask(SIG_SETMASK, &f->mask_before, NULL);
	}
	fs_close_quiet(f->signal_fd);
	fs_close_quiet(f->watch_fd);
	free(f->strangers);
	*f = (struct hook_family){.signal_fd = -1, .watch_fd = -1};
}
