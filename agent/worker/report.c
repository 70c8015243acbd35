// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/report.h"

#include "agent/result.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP_S (30 * 24 * 3600) /* far longer than an endpoint hands out a command again */
#define HALF_WRITTEN_S 3600

/* The struct borrows: nothing of it may be freed by result_free(). */
int report_write(struct run *run, const struct report *report, struct error *err)
{
	const struct wire_diagnostics diagnostics = {
		.error_code = report->code,
		.script_name = (char *)report->script_name,
		.message = (char *)report->message,
		.log = (char *)report->log,
	};
	auto_free char *payload = wire_diagnostics_format(&diagnostics);
	const struct result result = {
		.command_id = (char *)report->command_id,
		.deployment_id = (char *)(report->deployment_id ? report->deployment_id : ""),
		.event = (char *)report->event,
		.status = report->code == WIRE_SUCCESS ? WIRE_SUCCEEDED : WIRE_FAILED,
		.payload = payload,
		.finished_s = clock_wall_s(),
		.open = report->open,
		.group_id = (char *)(report->group_id ? report->group_id : ""),
	};
	int r = result_write(run->results_fd, &result, err);
	return r == -EEXIST ? 0 : r;
}

/* The child holds nothing but what it needs: above all not the group's lock, which would outlive
 * the worker. */
static NORETURN void wait_and_report(struct run *run, const struct report *report, int after_ms,
				     int alive_fd)
{
	int results_fd = fcntl(run->results_fd, F_DUPFD_CLOEXEC, 3);
	int lowest = results_fd < alive_fd ? results_fd : alive_fd;
	int highest = results_fd < alive_fd ? alive_fd : results_fd;
	if (lowest > 3)
		close_range(3, (unsigned)lowest - 1, 0);
	if (highest - lowest > 1)
		close_range((unsigned)lowest + 1, (unsigned)highest - 1, 0);
	close_range((unsigned)highest + 1, ~0U, 0);
	struct pollfd alive = {.fd = alive_fd, .events = POLLIN};
	struct run own = {.results_fd = results_fd};
	struct error err = {0};
	if (results_fd >= 0 && poll(&alive, 1, after_ms) == 0 &&
	    report_write(&own, report, &err) < 0)
		_exit(1);
	_exit(0);
}

void report_timer_start(struct run *run, const struct report *report, int after_ms,
			struct report_timer *ret)
{
	*ret = (struct report_timer){.fd = -1};
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	auto_close int alive = ends[0];
	auto_close int ours = ends[1];
	pid_t pid = fork();
	if (pid == 0) {
		close(TAKE_FD(ours));
		wait_and_report(run, report, after_ms, alive);
	}
	if (pid < 0)
		return;
	*ret = (struct report_timer){.pid = pid, .fd = TAKE_FD(ours)};
}

void report_timer_stop(struct report_timer *timer)
{
	fs_close_quiet(timer->fd);
	if (timer->pid > 0)
		waitpid(timer->pid, NULL, 0);
	*timer = (struct report_timer){.fd = -1};
}

bool report_exists(struct run *run, const char *command_id, enum wire_status *ret_status)
{
	char name[40];
	result_name(command_id, name);
	auto_result struct result *result = NULL;
	struct error err = {0};
	int r = result_read(run->results_fd, name, &result, &err);
	if (r < 0) {
		if (r != -ENOENT)
			log_warning("%s", err.text);
		return false;
	}
	if (ret_status)
		*ret_status = result->status;
	return true;
}

/* The daemon's marks. A daemon that lies about them harms only what it would have to send. */
static int open_marks(const struct run *run)
{
	auto_free char *path = xasprintf("%s/reported", run->paths.agent);
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_reported(int marks_fd, const char *name)
{
	return marks_fd >= 0 && faccessat(marks_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void report_expire(struct run *run)
{
	auto_close int fd = openat(run->results_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir)
		return;
	TAKE_FD(fd);
	auto_close int marks_fd = open_marks(run);
	int64_t now_s = clock_wall_s();
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		struct stat st;
		if (fstatat(run->results_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		bool result = result_is_name(entry->d_name);
		if (now_s - st.st_mtime > (result ? KEEP_S : HALF_WRITTEN_S) &&
		    (!result || is_reported(marks_fd, entry->d_name)))
			fs_unlink_quiet(run->results_fd, entry->d_name);
	}
}
