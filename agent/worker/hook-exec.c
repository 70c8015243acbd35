// SPDX-License-Identifier: Apache-2.0
/* A script by fork and exec, where there is no systemd to start it: a session and process group of
 * its own, no descriptor of ours but its two output files, the account's groups and environment.
 *
 *     look at the script -> make it executable -> start it -> follow its output until its main
 *     process ends or its time is over -> reap it, say how it ended
 *
 * What is the script's own fault (missing, not executable, no interpreter, failed) is a result, not
 * an error of hook_run(). */
#include "agent/worker/hook.h"

#include "agent/worker/hook-output.h"
#include "agent/worker/hook-process.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TICK_US ((uint64_t)50 * 1000) /* how often output is looked at while it comes */
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define SHEBANG_MAX 256 /* as in the kernel */

struct hook {
	const struct hook_request *request;
	char *path; /* absolute */
	char **env; /* for proc_start(): ours and borrowed strings */
	char *own_env[8];
	unsigned n_own;
	uid_t uid;
	struct hook_output output;
	struct hook_result result;
	pid_t pid;
	int pidfd;
	uint64_t start_us;
};

static void hook_clear(struct hook *h)
{
	for (unsigned i = 0; i < h->n_own; i++)
		free(h->own_env[i]);
	free(h->env);
	free(h->path);
	hook_output_close(&h->output);
	hook_result_clear(&h->result);
	fs_close_quiet(h->pidfd);
}

/* The result of a script that did not do its work: "Script at specified location: X" and more. */
static void PRINTF_LIKE(3, 4)
	set_failure(struct hook *h, enum wire_error_code code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *rest = xvasprintf(fmt, ap);
	va_end(ap);
	const char *runas = code == WIRE_SCRIPT_FAILED ? h->request->runas : NULL;
	h->result.code = code;
	free(h->result.message);
	h->result.message =
		xasprintf("Script at specified location: %s%s%s %s", h->request->location_text,
			  runas ? " run as user " : "", runas ? runas : "", rest);
}

static void set_errno_failure(struct hook *h, int code, const char *why)
{
	const char *name = strerrorname_np(-code);
	set_failure(h, WIRE_SCRIPT_FAILED, "failed with error Errno::%s with message %s",
		    name ? name : "EIO", why);
}

/* The script's file */

static bool may_run(int fd, const struct stat *st)
{
	if (!(st->st_mode & 0111))
		return false;
	return geteuid() == 0 || faccessat(fd, "", X_OK, AT_EMPTY_PATH) == 0 || errno != EACCES;
}

/* As the official agent: a script that nobody may run is made executable, with a warning. */
static void make_executable(struct hook *h)
{
	auto_close int fd = fs_open_inside(h->request->archive_fd, h->request->location,
					   O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || fchmod(fd, (st.st_mode | 0111) & 07777) < 0) {
		h->result.code = WIRE_SCRIPT_NOT_EXECUTABLE;
		h->result.message = xasprintf("Unable to set script at specified location: %s as "
					      "executable",
					      h->request->location_text);
		return;
	}
	log_warning("script '%s' was not executable, it is now: set its mode in the bundle",
		    h->request->location_text);
}

/* Returns false with the result set when it cannot be run. */
static bool check_script(struct hook *h)
{
	auto_close int fd = fs_open_inside(h->request->archive_fd, h->request->location, O_PATH, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		h->result.code = WIRE_SCRIPT_MISSING;
		h->result.message =
			xasprintf("Script does not exist at specified location: %s", h->path);
		return false;
	}
	if (S_ISREG(st.st_mode) && !may_run(fd, &st))
		make_executable(h);
	return h->result.code == WIRE_SUCCESS;
}

/* The program that the first line asks for, when it is not there. NULL: that is not the reason.
 * Caller frees. */
static char *missing_interpreter(struct hook *h)
{
	auto_close int fd = fs_open_inside(h->request->archive_fd, h->request->location,
					   O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	char head[SHEBANG_MAX + 1];
	ssize_t n = fd < 0 ? -1 : pread(fd, head, SHEBANG_MAX, 0);
	if (n < 2 || memcmp(head, "#!", 2) != 0)
		return NULL;
	head[n] = '\0';
	char *name = head + 2 + strspn(head + 2, " \t");
	name[strcspn(name, " \t\n")] = '\0';
	if (str_ends(name, "\r")) {
		name[strlen(name) - 1] = '\0';
		return xasprintf("the interpreter '%s' is followed by a carriage return: the "
				 "script has Windows line ends",
				 name);
	}
	return access(name, F_OK) < 0 ? xasprintf("there is no interpreter '%s'", name) : NULL;
}

/* The account */

static bool has_variable(const char *const *env, const char *name)
{
	size_t len = strlen(name);
	for (; *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return true;
	return false;
}

static void add_variable(struct hook *h, const char *name, const char *value)
{
	if (value && !has_variable(h->request->env, name))
		h->own_env[h->n_own++] = xasprintf("%s=%s", name, value);
}

/* Returns false with the result set when there is no such user. */
static bool find_account(struct hook *h)
{
	const char *runas = h->request->runas;
	errno = 0;
	const struct passwd *user = runas ? getpwnam(runas) : getpwuid(geteuid());
	h->uid = geteuid();
	if (!user && runas) {
		set_failure(h, WIRE_SCRIPT_FAILED, "failed: there is no user '%s' on this host",
			    runas);
		return false;
	}
	if (!user)
		return true;
	h->uid = user->pw_uid;
	add_variable(h, "HOME", user->pw_dir);
	add_variable(h, "USER", user->pw_name);
	add_variable(h, "LOGNAME", user->pw_name);
	add_variable(h, "SHELL", str_empty(user->pw_shell) ? "/bin/sh" : user->pw_shell);
	return true;
}

static void make_environment(struct hook *h)
{
	if (!has_variable(h->request->env, "PATH"))
		h->own_env[h->n_own++] = xstrdup(DEFAULT_PATH);
	size_t n = 0;
	while (h->request->env[n])
		n++;
	h->env = xcalloc(n + h->n_own + 1, sizeof(*h->env));
	memcpy(h->env, h->request->env, n * sizeof(*h->env));
	memcpy(h->env + n, h->own_env, h->n_own * sizeof(*h->env));
}

/* The process */

static void note_start(pid_t pid, void *arg)
{
	const struct hook_request *request = ((struct hook *)arg)->request;
	if (request->on_start)
		request->on_start(pid, hook_process_start(pid), request->arg);
}

static pid_t start_process(struct hook *h, struct error *err)
{
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
				 .arg = h};
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
static bool start(struct hook *h)
{
	struct error err = {0};
	h->start_us = clock_mono_us();
	h->pid = start_process(h, &err);
	if (h->pid > 0)
		return true;
	auto_free char *interpreter = h->pid == -ENOENT ? missing_interpreter(h) : NULL;
	set_errno_failure(h, h->pid, interpreter ? interpreter : err.text);
	return false;
}

/* One round: wait until it ended, wrote something, or the time is over. Returns 1 at its end. */
static int wait_round(struct hook *h, uint64_t deadline_us)
{
	int inotify = h->output.inotify_fd;
	uint64_t tick = clock_mono_us() + TICK_US;
	if (inotify >= 0) {
		char events[4096];
		int r = hook_process_await(h->pidfd, inotify, deadline_us);
		if (r != 0)
			return r;
		/* it writes: let some more come, instead of waking up for every byte */
		while (read(inotify, events, sizeof(events)) > 0)
			;
		tick = clock_mono_us() + TICK_US;
	}
	return hook_process_await(h->pidfd, -1, tick < deadline_us ? tick : deadline_us);
}

static int follow(struct hook *h, struct error *err)
{
	uint64_t deadline_us = h->start_us + (uint64_t)h->request->timeout_s * 1000 * 1000;
	for (;;) {
		int r = wait_round(h, deadline_us);
		hook_output_follow(&h->output);
		if (r < 0)
			return error_set(err, r, "wait for script '%s': %s",
					 h->request->location_text, strerror(-r));
		if (r > 0)
			return 0;
		if (clock_mono_us() >= deadline_us)
			break;
	}
	h->result.timed_out = true;
	hook_process_end(h->pidfd, h->pid);
	return 0;
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static void describe_end(struct hook *h, int status)
{
	h->result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	h->result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (h->result.timed_out)
		set_failure(h, WIRE_SCRIPT_TIMED_OUT, "failed to complete in %lld seconds",
			    (long long)h->request->timeout_s);
	else if (h->result.signal)
		set_failure(h, WIRE_SCRIPT_FAILED, "failed with signal %d (%s)", h->result.signal,
			    strsignal(h->result.signal));
	else if (h->result.exit_code != 0)
		set_failure(h, WIRE_SCRIPT_FAILED, "failed with exit code %d", h->result.exit_code);
}

static int reap(struct hook *h, struct error *err)
{
	int status = 0;
	struct rusage usage;
	pid_t r;
	do
		r = wait4(h->pid, &status, 0, &usage);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return error_errno(err, "wait for script '%s'", h->request->location_text);
	h->result.wall_s = (double)(clock_mono_us() - h->start_us) / 1e6;
	h->result.cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
	h->result.memory_peak_bytes = (int64_t)usage.ru_maxrss * 1024;
	describe_end(h, status);
	return 0;
}

static int run(struct hook *h, struct error *err)
{
	const struct hook_request *request = h->request;
	bool known = find_account(h);
	hook_output_open(&h->output, request, h->uid);
	if (!known || !check_script(h))
		return 0;
	make_environment(h);
	if (!start(h))
		return 0;
	h->pidfd = (int)syscall(SYS_pidfd_open, h->pid, 0);
	int r = h->pidfd < 0 ? error_errno(err, "watch script '%s'", request->location_text)
			     : follow(h, err);
	if (r < 0)
		kill(-h->pid, SIGKILL);
	int reaped = reap(h, err);
	return r < 0 ? r : reaped;
}

int hook_run(const struct hook_request *request, struct hook_result *ret, struct error *err)
{
	CLEANUP(hook_clear)
	struct hook h = {.request = request,
			 .path = fs_join(request->archive_path, request->location),
			 .result = {.exit_code = -1, .memory_peak_bytes = -1},
			 .pidfd = -1};
	hook_output_init(&h.output);
	int r = run(&h, err);
	if (r < 0)
		return r;
	hook_output_finish(&h.output);
	h.result.log_tail = hook_output_tail(&h.output);
	*ret = h.result;
	h.result = (struct hook_result){0};
	return 0;
}
