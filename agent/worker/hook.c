// SPDX-License-Identifier: Apache-2.0
/* What both ways of running a script share: the account and the environment, a look at the script,
 * following its output, and the words for its end.
 *
 *     look at the script -> make it executable -> back-end: start it, follow its output until its
 *     main process ends or its time is over -> say how it ended
 *
 * What is the script's own fault (missing, not executable, no interpreter, failed) is a result, not
 * an error of hook_run(). */
#include "agent/worker/hook-run.h"

#include "agent/worker/hook-process.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TICK_US ((uint64_t)50 * 1000) /* how often output is looked at while it comes */
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define SHEBANG_MAX 256 /* as in the kernel */
#define VARIABLE_MAX (128 * 1024)
#define GROUPS_MAX 256 /* of an account */
#define UNIT_PREFIX "slipway-hook-"
#define UNIT_ID_MAX 100 /* of a field in the name of a unit, which may have 255 bytes in all */

void hook_result_clear(struct hook_result *r)
{
	free(r->message);
	free(r->log_tail);
	free(r->output);
	free(r->left_running);
	free(r->shortage);
	free(r->refusal);
	*r = (struct hook_result){0};
}

static void hook_clear(struct hook *h)
{
	for (unsigned i = 0; i < h->n_own; i++)
		free(h->own_env[i]);
	free(h->env);
	free(h->path);
	hook_output_close(&h->output);
	hook_result_clear(&h->result);
}

void hook_fail(struct hook *h, enum wire_error_code code, const char *fmt, ...)
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

void hook_fail_errno(struct hook *h, int code, const char *why)
{
	const char *name = strerrorname_np(-code);
	hook_fail(h, WIRE_SCRIPT_FAILED, "failed with error Errno::%s with message %s",
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

enum hook_format hook_format(struct hook *h, char **ret_why)
{
	*ret_why = NULL;
	auto_close int fd = fs_open_inside(h->request->archive_fd, h->request->location,
					   O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	char head[SHEBANG_MAX + 1] = {0};
	ssize_t n = fd < 0 ? -1 : pread(fd, head, SHEBANG_MAX, 0);
	if (n < 0)
		return HOOK_FORMAT_OK; /* a directory, an error: what exec says is right */
	if (memcmp(head, "#!", 2) != 0)
		return n >= 4 && memcmp(head, "\177ELF", 4) == 0 ? HOOK_FORMAT_OK
								 : HOOK_FORMAT_SHELL;
	char *name = head + 2 + strspn(head + 2, " \t");
	name[strcspn(name, " \t\n")] = '\0';
	if (str_ends(name, "\r")) {
		name[strlen(name) - 1] = '\0';
		*ret_why = xasprintf("the interpreter '%s' is followed by a carriage return: the "
				     "script has Windows line ends",
				     name);
	} else if (access(name, F_OK) < 0) {
		*ret_why = xasprintf("there is no interpreter '%s'", name);
	}
	return *ret_why ? HOOK_FORMAT_BROKEN : HOOK_FORMAT_OK;
}

/* One object on the way, or at its end. */
static bool has_x(const struct stat *st, uid_t uid, const gid_t *groups, int n_groups)
{
	if (uid == 0)
		return S_ISDIR(st->st_mode) || (st->st_mode & 0111);
	if (st->st_uid == uid)
		return st->st_mode & S_IXUSR;
	for (int i = 0; i < n_groups; i++)
		if (groups[i] == st->st_gid)
			return st->st_mode & S_IXGRP;
	return st->st_mode & S_IXOTH;
}

bool hook_may_execute(const struct hook *h)
{
	gid_t groups[GROUPS_MAX];
	int n_groups = h->request->runas ? GROUPS_MAX : 0;
	const struct passwd *user = h->request->runas ? getpwnam(h->request->runas) : NULL;
	if (user && getgrouplist(user->pw_name, user->pw_gid, groups, &n_groups) < 0)
		n_groups = GROUPS_MAX; /* there are more: the first ones have to do */
	auto_free char *path = xstrdup(h->path);
	struct stat st;
	struct statvfs fs;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (stat(path, &st) < 0 || !has_x(&st, h->uid, groups, n_groups))
			return false;
		*slash = '/';
	}
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       has_x(&st, h->uid, groups, n_groups) &&
	       (statvfs(path, &fs) < 0 || !(fs.f_flag & ST_NOEXEC));
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
		hook_fail(h, WIRE_SCRIPT_FAILED, "failed: there is no user '%s' on this host",
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

char *hook_own_user(void)
{
	const struct passwd *user = getpwuid(geteuid());
	return user ? xstrdup(user->pw_name) : xasprintf("%lu", (unsigned long)geteuid());
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

/* The kernel starts nothing with a longer one, and does not say which. */
static bool check_environment(struct hook *h)
{
	for (char **env = h->env; *env; env++) {
		if (strlen(*env) < VARIABLE_MAX)
			continue;
		auto_free char *why = xasprintf("variable '%.*s' is longer than %d KiB",
						(int)strcspn(*env, "="), *env, VARIABLE_MAX / 1024);
		hook_fail_errno(h, -E2BIG, why);
		return false;
	}
	return true;
}

/* While it runs */

int hook_wait(struct hook *h, int fd, uint64_t deadline_us)
{
	int inotify = h->output.inotify_fd, r = 0;
	bool wrote = true;
	if (inotify >= 0) {
		char events[4096];
		r = hook_process_await(fd, inotify, deadline_us);
		wrote = r == 0 && read(inotify, events, sizeof(events)) > 0;
		while (wrote && read(inotify, events, sizeof(events)) > 0)
			;
	}
	/* it writes: let some more come, instead of waking up for every byte */
	uint64_t tick = clock_mono_us() + TICK_US;
	if (r == 0 && wrote)
		r = hook_process_await(fd, -1, tick < deadline_us ? tick : deadline_us);
	hook_output_follow(&h->output);
	return r;
}

/* "; what the kernel did to it", or "". Caller frees. */
static char *describe_kernel(const struct hook_result *result)
{
	if (result->shortage)
		return xasprintf("; the kernel killed a process of it, out of memory (%s)",
				 result->shortage);
	if (result->refusal)
		return xasprintf("; the kernel refused it a process (%s)", result->refusal);
	return xstrdup("");
}

static void describe_end(struct hook *h)
{
	const struct hook_result *result = &h->result;
	auto_free char *kernel = describe_kernel(result);
	if (result->timed_out)
		hook_fail(h, WIRE_SCRIPT_TIMED_OUT, "failed to complete in %lld seconds",
			  (long long)h->request->timeout_s);
	else if (result->shortage && result->signal == SIGKILL)
		hook_fail(h, WIRE_SCRIPT_FAILED, "failed: killed by the kernel, out of memory (%s)",
			  result->shortage);
	else if (result->signal)
		hook_fail(h, WIRE_SCRIPT_FAILED, "failed with signal %d (%s)", result->signal,
			  strsignal(result->signal));
	else if (result->exit_code != 0)
		hook_fail(h, WIRE_SCRIPT_FAILED, "failed with exit code %d%s", result->exit_code,
			  kernel);
	else if (*kernel)
		log_warning("script '%s'%s", h->request->location_text, kernel);
}

static int run(struct hook *h, struct error *err)
{
	const struct hook_request *request = h->request;
	bool known = find_account(h);
	hook_output_open(&h->output, request, h->uid);
	if (!known || !check_script(h))
		return 0;
	make_environment(h);
	if (!check_environment(h))
		return 0;
	h->start_us = clock_mono_us();
	int r = request->unit ? hook_unit_run(h, err) : hook_exec_run(h, err);
	if (r >= 0 && h->result.code == WIRE_SUCCESS)
		describe_end(h);
	return r;
}

int hook_run(const struct hook_request *request, struct hook_result *ret, struct error *err)
{
	CLEANUP(hook_clear)
	struct hook h = {.request = request,
			 .path = fs_join(request->archive_path, request->location),
			 .result = {.exit_code = -1,
				    .wall_s = -1,
				    .cpu_s = -1,
				    .memory_peak_bytes = -1,
				    .tasks_peak = -1}};
	hook_output_init(&h.output);
	int r = run(&h, err);
	if (r < 0)
		return r;
	hook_output_finish(&h.output);
	h.result.log_tail = hook_output_tail(&h.output);
	h.result.output = hook_output_recent(&h.output);
	*ret = h.result;
	h.result = (struct hook_result){0};
	return 0;
}

/* Names of units */

/* What a unit's name may hold; event: without '-', which separates the fields. An id that does not
 * fit is told apart from others by its hash. */
static char *unit_field(const char *text, bool event)
{
	char *out = xstrndup(text, UNIT_ID_MAX);
	for (char *c = out; *c; c++)
		if (!isalnum((unsigned char)*c) && (event || !strchr("-_.", *c)))
			*c = '_';
	if (event || strcmp(out, text) == 0)
		return out;
	char hash[DIGEST_SHA256_HEX];
	digest_sha256_hex(text, strlen(text), hash);
	char *longer = xasprintf("%s.%.16s", out, hash);
	free(out);
	return longer;
}

char *hook_unit_name(const char *deployment_id, const char *event, unsigned number)
{
	auto_free char *id = unit_field(deployment_id, false);
	auto_free char *name = unit_field(event, true);
	return xasprintf(UNIT_PREFIX "%s-%s-%u.service", id, name, number);
}

/* Two fields follow the id, which may hold '-' itself. */
bool hook_unit_is_of(const char *unit, const char *deployment_id)
{
	auto_free char *id = unit_field(deployment_id, false);
	auto_free char *prefix = xasprintf(UNIT_PREFIX "%s-", id);
	if (!str_starts(unit, prefix) || !str_ends(unit, ".service"))
		return false;
	const char *dash = strchr(unit + strlen(prefix), '-');
	return dash && !strchr(dash + 1, '-');
}
