// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/hook-process.h"

#include "agent/worker/hook.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define ROOT_VARIABLE "SLIPWAY_DESTINATION_ROOT"
#define ENVIRON_MAX ((size_t)1024 * 1024)
#define NAMES_MAX 16 /* processes that are told by name; of more the number */
#define STAT_STATE 3 /* fields of /proc/PID/stat */
#define STAT_PARENT 4
#define STAT_SESSION 6
#define STAT_START 22

struct stat_fields {
	struct hook_process process;
	pid_t session;
};

/* The name (field 2) may hold blanks and parentheses: count from its last one. false: the process
 * is not there. */
static bool read_stat(pid_t pid, struct stat_fields *ret)
{
	char path[64], text[1024];
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	const char *p = strrchr(text, ')');
	*ret = (struct stat_fields){.process.pid = pid};
	for (int field = STAT_STATE; p && (p = strchr(p, ' ')); field++) {
		p++;
		if (field == STAT_STATE)
			ret->process.zombie = *p == 'Z' || *p == 'X';
		else if (field == STAT_PARENT)
			ret->process.parent = (pid_t)strtol(p, NULL, 10);
		else if (field == STAT_SESSION)
			ret->session = (pid_t)strtol(p, NULL, 10);
		else if (field == STAT_START)
			ret->process.start = strtoull(p, NULL, 10);
		if (field == STAT_START)
			return true;
	}
	return false;
}

/* Those of a session; 0: all. */
static size_t list_processes(pid_t session, struct hook_process **ret)
{
	size_t n = 0;
	*ret = NULL;
	auto_closedir DIR *dir = opendir("/proc");
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		struct stat_fields fields;
		pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
		if (pid <= 0 || !read_stat(pid, &fields) ||
		    (session && (fields.session != session || fields.process.zombie)))
			continue;
		*ret = xrealloc_array(*ret, n + 1, sizeof(**ret));
		(*ret)[n++] = fields.process;
	}
	return n;
}

size_t hook_process_all(struct hook_process **ret)
{
	return list_processes(0, ret);
}

void hook_process_signal(pid_t pid, uint64_t start, int sig)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* the descriptor first: from here on the number cannot become somebody else's */
	if (pidfd >= 0 && proc_start_ticks(pid) == start)
		syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int hook_process_await(int fd, int other_fd, uint64_t deadline_us)
{
	uint64_t now = clock_mono_us();
	uint64_t left_ms = deadline_us > now ? (deadline_us - now + 999) / 1000 : 0;
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = other_fd, .events = POLLIN}};
	int r = poll(fds, ARRAY_LEN(fds),
		     left_ms < HOOK_WAIT_MAX_MS ? (int)left_ms : HOOK_WAIT_MAX_MS);
	if (r < 0 && errno != EINTR)
		return -errno;
	return r > 0 && fds[0].revents ? 1 : 0;
}

size_t hook_process_session(pid_t session, pid_t **ret)
{
	struct hook_process *list;
	size_t n = list_processes(session, &list);
	*ret = xcalloc(n + 1, sizeof(**ret));
	for (size_t i = 0; i < n; i++)
		(*ret)[i] = list[i].pid;
	free(list);
	return n;
}

enum hook_variable hook_process_variable(pid_t pid, const char *wanted)
{
	char path[64];
	auto_free char *text = NULL;
	size_t len = 0, name_len = strcspn(wanted, "=") + 1;
	snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fs_read_fd(fd, ENVIRON_MAX, &text, &len, NULL) < 0)
		return HOOK_VARIABLE_NONE;
	for (const char *p = text; p < text + len; p += strlen(p) + 1)
		if (strncmp(p, wanted, name_len) == 0)
			return strcmp(p, wanted) == 0 ? HOOK_VARIABLE_SAME : HOOK_VARIABLE_OTHER;
	return HOOK_VARIABLE_NONE;
}

/* What a worker that is gone knew of a script. */
struct trace {
	pid_t session;
	uint64_t start;
	char *variable; /* in the environment of what it started */
	char *root;     /* as well; NULL: nothing of that name */
	char *event;    /* as well, or nothing of that name; NULL: any */
};

static bool is_of_root(const struct trace *t, pid_t pid)
{
	return t->root ? hook_process_variable(pid, t->root) == HOOK_VARIABLE_SAME
		       : hook_process_variable(pid, ROOT_VARIABLE "=") == HOOK_VARIABLE_NONE;
}

static bool is_of_trace(const struct trace *t, pid_t pid, uint64_t start)
{
	return start >= t->start && hook_process_variable(pid, t->variable) == HOOK_VARIABLE_SAME &&
	       is_of_root(t, pid) &&
	       !(t->event && hook_process_variable(pid, t->event) == HOOK_VARIABLE_OTHER);
}

/* Is it still the session that was recorded? When its leader has ended, the number may have been
 * given to another one, which may have lost its leader as well: ask its members. */
static bool is_session_of(const struct trace *t)
{
	struct stat_fields leader;
	if (read_stat(t->session, &leader))
		return leader.process.start == t->start;
	struct hook_process *list;
	size_t n = list_processes(t->session, &list);
	bool found = false;
	for (size_t i = 0; i < n && !found; i++)
		found = is_of_trace(t, list[i].pid, list[i].start);
	free(list);
	return found;
}

/* The session, and who has left it but still has its environment. */
static size_t find_traced(const struct trace *t, struct hook_process **ret)
{
	bool session = is_session_of(t);
	size_t n = list_processes(0, ret), found = 0;
	struct hook_process *list = *ret;
	for (size_t i = 0; i < n; i++) {
		struct stat_fields now;
		if (list[i].zombie || list[i].start < t->start || !read_stat(list[i].pid, &now))
			continue;
		if ((session && now.session == t->session) ||
		    is_of_trace(t, list[i].pid, list[i].start))
			list[found++] = list[i];
	}
	return found;
}

static size_t signal_traced(const struct trace *t, int sig, pid_t *ret_first)
{
	struct hook_process *list;
	size_t n = find_traced(t, &list);
	for (size_t i = 0; sig && i < n; i++)
		hook_process_signal(list[i].pid, list[i].start, sig);
	if (n)
		*ret_first = list[0].pid;
	free(list);
	return n;
}

/* Returns false when some are left at the end of the time. */
static bool await_traced(const struct trace *t, uint64_t wait_us)
{
	uint64_t deadline_us = clock_mono_us() + wait_us;
	for (;;) {
		pid_t first;
		if (signal_traced(t, 0, &first) == 0)
			return true;
		auto_close int pidfd = (int)syscall(SYS_pidfd_open, first, 0);
		if (pidfd >= 0 && hook_process_await(pidfd, -1, deadline_us) < 0)
			return false;
		if (clock_mono_us() >= deadline_us)
			return false;
	}
}

static struct trace trace_of(pid_t pid, uint64_t start_time, const struct hook_whose *whose)
{
	const char *root = whose->root, *event = whose->event;
	return (struct trace){
		.session = pid,
		.start = start_time,
		.variable = xasprintf("DEPLOYMENT_ID=%s", whose->deployment_id),
		.root = root ? xasprintf(ROOT_VARIABLE "=%s", root) : NULL,
		.event = event ? xasprintf("LIFECYCLE_EVENT=%s", event) : NULL,
	};
}

static void trace_clear(struct trace *t)
{
	free(t->variable);
	free(t->root);
	free(t->event);
}

bool hook_is_left(pid_t pid, uint64_t start_time, const struct hook_whose *whose)
{
	const struct hook_whose any = {.deployment_id = whose->deployment_id, .root = whose->root};
	CLEANUP(trace_clear) struct trace t = trace_of(pid, start_time, &any);
	pid_t first;
	return start_time && signal_traced(&t, 0, &first) > 0;
}

void hook_kill_leftover(pid_t pid, uint64_t start_time, const struct hook_whose *whose)
{
	CLEANUP(trace_clear) struct trace t = trace_of(pid, start_time, whose);
	pid_t first;
	if (!start_time || signal_traced(&t, SIGTERM, &first) == 0)
		return;
	signal_traced(&t, SIGCONT, &first); /* what is stopped would not hear it */
	if (await_traced(&t, HOOK_GRACE_US))
		return;
	signal_traced(&t, SIGKILL, &first);
	if (!await_traced(&t, HOOK_GRACE_US))
		log_warning("what process %ld left running cannot be killed", (long)pid);
}

static void add_name(struct buf *out, pid_t pid)
{
	char path[64];
	auto_free char *comm = NULL;
	size_t len = 0;
	snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fs_read_fd(fd, 64, &comm, &len, NULL) < 0)
		return; /* it has just ended */
	comm[strcspn(comm, "\n")] = '\0';
	auto_free char *clean = str_to_utf8(comm, strlen(comm));
	buf_addf(out, "%s%s (%ld)", out->len ? ", " : "", clean, (long)pid);
}

char *hook_process_names(const pid_t *pids, size_t n)
{
	auto_buf struct buf out = BUF_INIT(4096);
	for (size_t i = 0; i < n && i < NAMES_MAX; i++)
		add_name(&out, pids[i]);
	if (n > NAMES_MAX)
		buf_addf(&out, ", and %zu more", n - NAMES_MAX);
	return out.len ? buf_take(&out) : NULL;
}
