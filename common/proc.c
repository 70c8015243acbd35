// SPDX-License-Identifier: Apache-2.0
/* Between fork and exec the child only makes system calls: everything that allocates or asks the
 * name service happens before. What fails there travels through a close-on-exec pipe as one struct
 * child_failure; exec closes it, and the parent then reads nothing. */
#include "common/proc.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD 3
#define GROUPS_MAX 65536
#define ACCOUNT_MAX_BYTES ((size_t)1 << 20)
#define TERM_GRACE_MS 5000
#define STAT_MAX 4096
#define STAT_START 22 /* field of /proc/PID/stat: when it started, in clock ticks */

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

struct account {
	bool change;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int n_groups;
};

struct child_failure {
	int step, error; /* enum child_step; errno */
};

enum child_step { STEP_DESCRIPTORS, STEP_DIRECTORY, STEP_SESSION, STEP_USER, STEP_EXEC };

static void account_clear(struct account *account)
{
	free(account->groups);
}

static int find_groups(const char *user, struct account *account, struct error *err)
{
	int room = 32;
	for (;;) {
		account->n_groups = room;
		account->groups =
			xrealloc_array(account->groups, (size_t)room, sizeof(*account->groups));
		if (getgrouplist(user, account->gid, account->groups, &account->n_groups) >= 0)
			return 0;
		room = account->n_groups > room ? account->n_groups : room * 2;
		if (room > GROUPS_MAX)
			return error_set(err, ERR_LIMIT, "user '%s' is in too many groups", user);
	}
}

static int find_account(const char *user, struct account *account, struct error *err)
{
	if (!user)
		return 0;
	struct passwd entry, *found = NULL;
	int r = ERANGE;
	auto_free char *text = NULL;
	for (size_t room = 1024; r == ERANGE && room <= ACCOUNT_MAX_BYTES; room *= 4) {
		text = xrealloc_array(text, room, 1);
		r = getpwnam_r(user, &entry, text, room, &found);
	}
	if (r != 0)
		return error_set(err, -r, "look up user '%s': %s", user, strerror(r));
	if (!found)
		return error_set(err, -ENOENT, "there is no user '%s' on this host", user);
	account->uid = entry.pw_uid;
	account->gid = entry.pw_gid;
	/* who already is that user need not (and without root could not) change into it */
	account->change = geteuid() == 0 || geteuid() != entry.pw_uid;
	return account->change ? find_groups(user, account, err) : 0;
}

static NORETURN void child_fail(int report, enum child_step step)
{
	struct child_failure failure = {.step = (int)step, .error = errno};
	ssize_t n UNUSED = write(report, &failure, sizeof(failure));
	_exit(127);
}

static void reset_signals(void)
{
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Every descriptor from first up goes at exec. */
static int close_from_at_exec(unsigned first)
{
	if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		return 0;
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	rlim_t end = limit.rlim_cur < 65536 ? limit.rlim_cur : 65536;
	for (rlim_t fd = first; fd < end; fd++)
		fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

/* Where each descriptor of the program comes from; -1: as it is. */
struct wiring {
	int *from;
	unsigned count;
	int report;
	int go[2]; /* a byte comes when the caller has noted the child; -1: nobody waits */
};

/* In two steps, so that no source is overwritten before it was used: all of them up out of the way,
 * then down to their places. */
static int wire_descriptors(struct wiring *wiring)
{
	int above = (int)wiring->count;
	wiring->report = fcntl(wiring->report, F_DUPFD_CLOEXEC, above);
	if (wiring->report < 0)
		return -1;
	for (unsigned i = 0; i < wiring->count; i++) {
		if (wiring->from[i] < 0)
			continue;
		wiring->from[i] = fcntl(wiring->from[i], F_DUPFD_CLOEXEC, above);
		if (wiring->from[i] < 0)
			return -1;
	}
	for (unsigned i = 0; i < wiring->count; i++)
		if (wiring->from[i] >= 0 && dup2(wiring->from[i], (int)i) < 0)
			return -1;
	return close_from_at_exec(wiring->count);
}

static int enter_directory(const struct proc_spec *spec)
{
	if (spec->cwd)
		return chdir(spec->cwd);
	return spec->cwd_fd > 0 ? fchdir(spec->cwd_fd) : 0;
}

static int become(const struct account *account)
{
	if (!account->change)
		return 0;
	if (setgroups((size_t)account->n_groups, account->groups) < 0 ||
	    setresgid(account->gid, account->gid, account->gid) < 0)
		return -1;
	return setresuid(account->uid, account->uid, account->uid);
}

/* The caller is dead when its end closes without a word. */
static void await_go(const struct wiring *wiring)
{
	char byte;
	ssize_t n;
	if (wiring->go[0] < 0)
		return;
	close(wiring->go[1]);
	do
		n = read(wiring->go[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(127);
}

static NORETURN void child_run(const struct proc_spec *spec, const struct account *account,
			       struct wiring *wiring)
{
	const char *const self[] = {spec->path, NULL};
	const char *const *argv = spec->argv ? spec->argv : self;
	char *const *env = spec->env ? (char *const *)spec->env : environ;
	int report = wiring->report;

	reset_signals();
	await_go(wiring);
	umask(spec->umask ? spec->umask : 0022);
	if (spec->nice)
		setpriority(PRIO_PROCESS, 0, spec->nice);
	if (spec->new_session && setsid() < 0)
		child_fail(report, STEP_SESSION);
	/* before the descriptors move: cwd_fd may lie where one of them goes */
	if (enter_directory(spec) < 0)
		child_fail(report, STEP_DIRECTORY);
	if (wire_descriptors(wiring) < 0)
		child_fail(wiring->report >= 0 ? wiring->report : report, STEP_DESCRIPTORS);
	report = wiring->report;
	if (become(account) < 0)
		child_fail(report, STEP_USER);
	execve(spec->path, (char *const *)argv, env);
	child_fail(report, STEP_EXEC);
}

static int say_failure(const struct proc_spec *spec, const struct child_failure *failure,
		       struct error *err)
{
	errno = failure->error > 0 ? failure->error : EIO;
	switch (failure->step) {
	case STEP_DESCRIPTORS:
		return error_errno(err, "pass descriptors to '%s'", spec->path);
	case STEP_DIRECTORY:
		return error_errno(err, "enter directory '%s'", spec->cwd ? spec->cwd : "(given)");
	case STEP_SESSION:
		return error_errno(err, "start a session for '%s'", spec->path);
	case STEP_USER:
		return error_errno(err, "run '%s' as user '%s'", spec->path, spec->user);
	default:
		return error_errno(err, "run '%s'", spec->path);
	}
}

/* The child's word on how far it got: nothing means that exec went well. */
static int await_exec(const struct proc_spec *spec, pid_t pid, int report, struct error *err)
{
	struct child_failure failure;
	ssize_t n;
	do
		n = read(report, &failure, sizeof(failure));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(failure))
		return error_set(err, -EIO, "run '%s': the child died before exec", spec->path);
	return say_failure(spec, &failure, err);
}

static void release(const struct proc_spec *spec, pid_t pid, int go_write)
{
	ssize_t n;
	spec->on_fork(pid, spec->arg);
	do
		n = write(go_write, "", 1);
	while (n < 0 && errno == EINTR);
}

pid_t proc_start(const struct proc_spec *spec, struct error *err)
{
	CLEANUP(account_clear) struct account account = {0};
	int r = find_account(spec->user, &account, err);
	if (r < 0)
		return r;
	auto_close int null_fd = -1;
	if (spec->stdin_fd < 0) {
		null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (null_fd < 0)
			return error_errno(err, "open /dev/null");
	}
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, "make a pipe");
	auto_close int report_read = ends[0];
	auto_close int report_write = ends[1];
	int go[2] = {-1, -1};
	if (spec->on_fork && pipe2(go, O_CLOEXEC) < 0)
		return error_errno(err, "make a pipe");
	auto_close int go_read = go[0];
	auto_close int go_write = go[1];

	auto_free int *from = xcalloc(FIRST_FD + spec->n_fds, sizeof(*from));
	from[0] = spec->stdin_fd < 0 ? null_fd : spec->stdin_fd;
	from[1] = spec->stdout_fd;
	from[2] = spec->stderr_fd;
	for (unsigned i = 0; i < spec->n_fds; i++)
		from[FIRST_FD + i] = spec->fds[i];
	struct wiring wiring = {.from = from,
				.count = FIRST_FD + spec->n_fds,
				.report = report_write,
				.go = {go_read, go_write}};

	pid_t pid = fork();
	if (pid < 0)
		return error_errno(err, "fork for '%s'", spec->path);
	if (pid == 0)
		child_run(spec, &account, &wiring);
	close(TAKE_FD(report_write));
	if (spec->on_fork)
		release(spec, pid, go_write);
	r = await_exec(spec, pid, report_read, err);
	return r < 0 ? r : pid;
}

/* Wait until the process ended (it stays to be reaped). Returns 1, 0 at the deadline (0: none), or
 * negative errno. */
static int await_end(int pidfd, uint64_t deadline_us)
{
	for (;;) {
		int ms = -1;
		if (deadline_us) {
			uint64_t now = clock_mono_us();
			uint64_t left = now < deadline_us ? (deadline_us - now + 999) / 1000 : 0;
			ms = left < INT_MAX ? (int)left : INT_MAX;
		}
		struct pollfd p = {.fd = pidfd, .events = POLLIN};
		int r = poll(&p, 1, ms);
		if (r > 0)
			return 1;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0 && deadline_us && clock_mono_us() >= deadline_us)
			return 0;
	}
}

/* Politely, then for good. The leader is not reaped yet, so its number, and the group's, is still
 * its own. */
static int end_it(int pidfd, pid_t pid, bool group)
{
	pid_t target = group ? -pid : pid;
	kill(target, SIGTERM);
	kill(target, SIGCONT); /* a stopped process would not see it */
	int r = await_end(pidfd, clock_mono_us() + TERM_GRACE_MS * 1000);
	if (r < 0)
		return r;
	if (r == 0 || group)
		kill(target, SIGKILL);
	return r == 0 ? await_end(pidfd, 0) : 1;
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static int reap(pid_t pid, struct proc_end *end)
{
	int status;
	struct rusage usage;
	pid_t r;
	do
		r = wait4(pid, &status, 0, &usage);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	end->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	end->core = WIFSIGNALED(status) && WCOREDUMP(status);
	end->cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
	end->max_rss_kib = (uint64_t)usage.ru_maxrss;
	return 0;
}

int proc_wait(pid_t pid, uint64_t timeout_ms, bool group, struct proc_end *ret, struct error *err)
{
	struct proc_end end = {0};
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return error_errno(err, "watch process %d", (int)pid);
	int r = await_end(pidfd, timeout_ms ? clock_mono_us() + timeout_ms * 1000 : 0);
	if (r == 0) {
		end.timed_out = true;
		r = end_it(pidfd, pid, group);
	}
	if (r >= 0)
		r = reap(pid, &end);
	if (r < 0)
		return error_set(err, r, "wait for process %d: %s", (int)pid, strerror(-r));
	*ret = end;
	return 0;
}

void proc_allow_core_dumps(bool allow)
{
#ifndef __SANITIZE_ADDRESS__ /* its search for leaks traces the process */
	if (prctl(PR_SET_DUMPABLE, allow ? 1 : 0, 0, 0, 0) < 0)
		log_debug("core dumps are as they were: %s", strerror(errno));
#endif
}

/* The name, field 2, may hold blanks and parentheses: count from its end. */
uint64_t proc_start_ticks(pid_t pid)
{
	char path[64];
	auto_free char *text = NULL;
	size_t len;
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	auto_close int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || fs_read_fd(fd, STAT_MAX, &text, &len, NULL) < 0)
		return 0;
	const char *p = strrchr(text, ')');
	for (int field = 2; p && field < STAT_START; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

double proc_started(pid_t pid)
{
	uint64_t ticks = proc_start_ticks(pid);
	struct timespec up;
	if (!ticks || clock_gettime(CLOCK_BOOTTIME, &up) < 0)
		return 0;
	double age = (double)up.tv_sec + (double)up.tv_nsec / 1e9 -
		     (double)ticks / (double)sysconf(_SC_CLK_TCK);
	return clock_wall() - age;
}

/* A container has the boot id of its kernel, or one of its own that is mounted over it and that a
 * unit with a /proc of its own does not see. */
char *proc_boot_id(void)
{
	auto_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	auto_free char *text = NULL;
	size_t len;
	if (fd < 0 || fs_read_fd(fd, 64, &text, &len, NULL) < 0)
		return xstrdup("");
	text[strcspn(text, "\n")] = '\0';
	uint64_t ticks = proc_start_ticks(1);
	return ticks ? xasprintf("%s+%" PRIu64, text, ticks) : TAKE(text);
}

bool proc_same_boot(const char *a, const char *b)
{
	size_t len = strcspn(a, "+");
	return strcspn(b, "+") == len && strncmp(a, b, len) == 0 &&
	       (!a[len] || !b[len] || strcmp(a + len, b + len) == 0);
}
