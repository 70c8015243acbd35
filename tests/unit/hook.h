/* SPDX-License-Identifier: Apache-2.0 */
/* A place to run scripts in, for tests of the hook module. */
#pragma once

#include "agent/worker/hook.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MIB ((size_t)1024 * 1024)

static const char *root_path;
static UNUSED int root = -1, logs = -1;

static UNUSED int make_root(void **state)
{
	if (tempdir_setup(state) < 0)
		return -1;
	const struct tempdir *dir = *state;
	root = dir->fd;
	root_path = dir->path;
	if (chmod(root_path, 0755) < 0 || mkdirat(root, "logs", 0755) < 0)
		return -1;
	logs = openat(root, "logs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return logs < 0 ? -1 : 0;
}

static UNUSED int remove_root(void **state)
{
	close(logs);
	return tempdir_teardown(state);
}

static UNUSED void put(const char *name, const char *text, mode_t mode)
{
	auto_close int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
}

static UNUSED char *content(const char *name, size_t *ret_len)
{
	char *text = NULL;
	assert_int_equal(fs_read_file(logs, name, 100 << 20, &text, ret_len, NULL), 0);
	return text;
}

static const char *const plain_env[] = {"LIFECYCLE_EVENT=AfterInstall", "A=b c", NULL};

static UNUSED struct hook_request request_of(const char *location)
{
	return (struct hook_request){.archive_fd = root,
				     .archive_path = root_path,
				     .location = location,
				     .location_text = location,
				     .event = "AfterInstall",
				     .timeout_s = 20,
				     .env = plain_env,
				     .logs_fd = logs,
				     .all_fd = -1,
				     .marks_fd = -1,
				     .number = 1};
}

/* Run a script of this text. */
static UNUSED void run(const char *text, struct hook_result *ret)
{
	put("s.sh", text, 0755);
	struct hook_request request = request_of("s.sh");
	assert_int_equal(hook_run(&request, ret, NULL), 0);
}

struct seen {
	char text[256];
	pid_t pid;
	uint64_t start_time;
};

static UNUSED void note_start(pid_t pid, uint64_t start_time, void *arg)
{
	struct seen *seen = arg;
	seen->pid = pid;
	seen->start_time = start_time;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)
