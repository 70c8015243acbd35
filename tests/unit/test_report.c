// SPDX-License-Identifier: Apache-2.0
#include "agent/result.h"
#include "agent/worker/report.h"
#include "tests/unit/tempdir.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DEADLINE_MS 20000

static const struct report sample = {
	.command_id = "command",
	.event = "ValidateService",
	.group_id = "g",
	.deployment_id = "d-A",
	.code = WIRE_SCRIPT_FAILED,
	.script_name = "s.sh",
	.message = "it failed",
	.log = "[stdout]x\n",
};

static void a_report_becomes_a_result(void **state)
{
	const struct tempdir *dir = *state;
	struct run run = {.results_fd = dir->fd};
	struct error err = {0};
	assert_false(report_exists(&run, "command", NULL));
	assert_int_equal(report_write(&run, &sample, &err), 0);
	enum wire_status status = WIRE_PENDING;
	assert_true(report_exists(&run, "command", &status));
	assert_int_equal(status, WIRE_FAILED);
	char name[40];
	result_name("command", name);
	auto_result struct result *result = NULL;
	assert_int_equal(result_read(dir->fd, name, &result, &err), 0);
	assert_string_equal(result->payload,
			    "{\"error_code\":4,\"script_name\":\"s.sh\",\"message\":\"it failed\","
			    "\"log\":\"[stdout]x\\n\"}");
	assert_false(result->open);
}

static void a_second_report_changes_nothing(void **state)
{
	const struct tempdir *dir = *state;
	struct run run = {.results_fd = dir->fd};
	struct error err = {0};
	struct report success = sample;
	success.code = WIRE_SUCCESS;
	assert_int_equal(report_write(&run, &sample, &err), 0);
	assert_int_equal(report_write(&run, &success, &err), 0);
	enum wire_status status = WIRE_PENDING;
	assert_true(report_exists(&run, "command", &status));
	assert_int_equal(status, WIRE_FAILED);
}

/* The child ends as soon as it has reported, and the pipe's other end with it. */
static void a_timer_reports_when_its_time_has_come(void **state)
{
	const struct tempdir *dir = *state;
	struct run run = {.results_fd = dir->fd};
	struct report_timer timer;
	report_timer_start(&run, &sample, 1, &timer);
	assert_true(timer.pid > 0);
	struct pollfd p = {.fd = timer.fd, .events = 0};
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	report_timer_stop(&timer);
	assert_true(report_exists(&run, "command", NULL));
}

static void a_stopped_timer_reports_nothing(void **state)
{
	const struct tempdir *dir = *state;
	struct run run = {.results_fd = dir->fd};
	struct report_timer timer;
	report_timer_start(&run, &sample, DEADLINE_MS, &timer);
	report_timer_stop(&timer);
	assert_int_equal(timer.pid, 0);
	assert_false(report_exists(&run, "command", NULL));
}

static void a_timer_holds_no_descriptor_of_its_parent(void **state)
{
	const struct tempdir *dir = *state;
	struct run run = {.results_fd = dir->fd};
	int lock[2];
	assert_int_equal(pipe2(lock, O_CLOEXEC), 0);
	struct report_timer timer;
	report_timer_start(&run, &sample, DEADLINE_MS, &timer);
	close(lock[1]);
	struct pollfd p = {.fd = lock[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(p.revents, POLLHUP);
	close(lock[0]);
	report_timer_stop(&timer);
}

static void set_age(const struct tempdir *dir, const char *name, time_t age_s)
{
	struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
	assert_int_equal(utimensat(dir->fd, name, times, 0), 0);
}

static void write_result(struct run *run, const struct tempdir *dir, const char *command, int days)
{
	struct report report = sample;
	report.command_id = command;
	char name[40];
	result_name(command, name);
	assert_int_equal(report_write(run, &report, NULL), 0);
	set_age(dir, name, days * 24 * 3600);
}

static void mark_reported(const struct tempdir *dir, const char *command)
{
	char name[40];
	result_name(command, name);
	auto_free char *mark = xasprintf("reported/%s", name);
	tempdir_write(dir, mark, "");
}

static void old_results_go_when_they_were_reported(void **state)
{
	const struct tempdir *dir = *state;
	struct run run = {.results_fd = dir->fd, .paths.agent = dir->path};
	write_result(&run, dir, "old", 31);
	write_result(&run, dir, "waits", 400);
	write_result(&run, dir, "young", 29);
	report_expire(&run);
	assert_true(report_exists(&run, "old", NULL));
	assert_int_equal(mkdirat(dir->fd, "reported", 0700), 0);
	mark_reported(dir, "old");
	mark_reported(dir, "young");
	report_expire(&run);
	assert_false(report_exists(&run, "old", NULL));
	assert_true(report_exists(&run, "waits", NULL));
	assert_true(report_exists(&run, "young", NULL));
}

static void torn_results_go(void **state)
{
	const struct tempdir *dir = *state;
	struct run run = {.results_fd = dir->fd, .paths.agent = dir->path};
	tempdir_write(dir, ".torn", "x");
	tempdir_write(dir, ".young", "x");
	set_age(dir, ".torn", 2 * 3600);
	report_expire(&run);
	assert_int_not_equal(faccessat(dir->fd, ".torn", F_OK, 0), 0);
	assert_int_equal(faccessat(dir->fd, ".young", F_OK, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(a_report_becomes_a_result),
		tempdir_test(a_second_report_changes_nothing),
		tempdir_test(a_timer_reports_when_its_time_has_come),
		tempdir_test(a_stopped_timer_reports_nothing),
		tempdir_test(a_timer_holds_no_descriptor_of_its_parent),
		tempdir_test(old_results_go_when_they_were_reported),
		tempdir_test(torn_results_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
