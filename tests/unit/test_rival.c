// SPDX-License-Identifier: Apache-2.0
#include "agent/rival.h"
#include "tests/unit/tempdir.h"

#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define PID_FILE "codedeploy-agent.pid"
#define LOCK_FILE PID_FILE ".lock"

static long ask(const struct tempdir *dir)
{
	auto_free char *pid_file = fs_join(dir->path, PID_FILE);
	auto_free char *lock_file = fs_join(dir->path, LOCK_FILE);
	return rival_pid(pid_file, lock_file);
}

static void write_pid(const struct tempdir *dir, long pid)
{
	char text[32];
	snprintf(text, sizeof(text), "%ld\n", pid);
	tempdir_write(dir, PID_FILE, text);
}

/* A process with that title, which has it already when this returns. */
static pid_t run_as(const char *title)
{
	int fds[2];
	char byte;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/sleep", title, "600", NULL);
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 0); /* closed by its exec */
	close(fds[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_live_agent_is_found_by_its_pid_file(void **state)
{
	pid_t pid = run_as("codedeploy-agent: master 1");
	assert_int_equal(ask(*state), 0);
	write_pid(*state, pid);
	assert_int_equal(ask(*state), pid);
	end(pid);
	assert_int_equal(ask(*state), 0);
}

static void another_program_with_that_pid_is_none(void **state)
{
	pid_t pid = run_as("sleep");
	write_pid(*state, pid);
	assert_int_equal(ask(*state), 0);
	end(pid);
}

static void a_pid_file_from_before_the_boot_is_none(void **state)
{
	const struct tempdir *dir = *state;
	const struct timespec old[2] = {{.tv_sec = 86400}, {.tv_sec = 86400}};
	pid_t pid = run_as("codedeploy-agent: master 1");
	write_pid(dir, pid);
	assert_int_equal(utimensat(dir->fd, PID_FILE, old, 0), 0);
	assert_int_equal(ask(dir), 0);
	end(pid);
}

static void what_is_no_pid_is_none(void **state)
{
	static const char *const texts[] = {"", "\n", "0\n", "1\n", "-1\n", "x\n", "99999999999\n"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		tempdir_write(*state, PID_FILE, texts[i]);
		assert_int_equal(ask(*state), 0);
	}
	write_pid(*state, getpid());
	assert_int_equal(ask(*state), 0);
}

static void nothing_but_a_regular_file_is_read(void **state)
{
	const struct tempdir *dir = *state;
	assert_int_equal(mkfifoat(dir->fd, PID_FILE, 0600), 0);
	assert_int_equal(mkfifoat(dir->fd, LOCK_FILE, 0600), 0);
	assert_int_equal(ask(dir), 0);
}

static void one_that_holds_the_lock_is_found_without_a_pid_file(void **state)
{
	const struct tempdir *dir = *state;
	tempdir_write(dir, LOCK_FILE, "");
	assert_int_equal(ask(dir), 0);
	int fd = openat(dir->fd, LOCK_FILE, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(ask(dir), -1);
	close(fd);
	assert_int_equal(ask(dir), 0);
}

static void what_to_do_is_said(void **state)
{
	const struct tempdir *dir = *state;
	struct error err = {0};
	auto_paths struct paths paths = {0};
	assert_int_equal(paths_init(&paths, dir->path, &err), 0);
	assert_int_equal(rival_check(&paths, dir->path, NULL, &err), 0);
	tempdir_write(dir, LOCK_FILE, "");
	int fd = openat(dir->fd, LOCK_FILE, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(rival_check(&paths, dir->path, NULL, &err), ERR_BUSY);
	assert_non_null(strstr(err.text, "slipway import codedeploy"));
	assert_int_equal(rival_check(&paths, NULL, NULL, &err), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(a_live_agent_is_found_by_its_pid_file),
		tempdir_test(another_program_with_that_pid_is_none),
		tempdir_test(a_pid_file_from_before_the_boot_is_none),
		tempdir_test(what_is_no_pid_is_none),
		tempdir_test(nothing_but_a_regular_file_is_read),
		tempdir_test(one_that_holds_the_lock_is_found_without_a_pid_file),
		tempdir_test(what_to_do_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
