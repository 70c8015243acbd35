// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/import-tools.h"
#include "tests/unit/tempdir.h"

#include <sys/stat.h>

#define DAEMON 60001

static uid_t owner(const struct tempdir *dir, const char *name)
{
	struct stat st;
	assert_int_equal(fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_uid;
}

static void a_directory_goes_over_with_its_log(void **state)
{
	const struct tempdir *dir = *state;
	auto_free char *path = xasprintf("%s/logs", dir->path);
	assert_int_equal(mkdirat(dir->fd, "logs", 0755), 0);
	tempdir_write(dir, "logs/agent.log", "x");
	tempdir_write(dir, "logs/other", "x");
	int r = import_tools_hand_over(path, "agent.log", geteuid(), DAEMON, DAEMON);
	if (geteuid() != 0) { /* only root may give files away */
		assert_int_equal(r, -EPERM);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(owner(dir, "logs"), DAEMON);
	assert_int_equal(owner(dir, "logs/agent.log"), DAEMON);
	assert_int_equal(owner(dir, "logs/other"), 0);
	assert_int_equal(import_tools_hand_over(path, NULL, DAEMON, 0, 0), 0);
	assert_int_equal(owner(dir, "logs"), 0);
}

static void what_is_not_its_own_stays(void **state)
{
	const struct tempdir *dir = *state;
	auto_free char *path = xasprintf("%s/logs", dir->path);
	auto_free char *link = xasprintf("%s/link", dir->path);
	assert_int_equal(import_tools_hand_over(path, "agent.log", geteuid(), DAEMON, DAEMON), 0);
	assert_int_equal(mkdirat(dir->fd, "logs", 0755), 0);
	tempdir_write(dir, "secret", "x");
	assert_int_equal(symlinkat("../secret", dir->fd, "logs/agent.log"), 0);
	assert_int_equal(symlinkat("logs", dir->fd, "link"), 0);
	assert_true(import_tools_hand_over(link, "agent.log", geteuid(), DAEMON, DAEMON) < 0);
	assert_true(import_tools_hand_over(path, "agent.log", geteuid(), DAEMON, DAEMON) < 0);
	assert_int_equal(import_tools_hand_over(path, NULL, DAEMON, 0, 0), 0);
	assert_int_equal(unlinkat(dir->fd, "logs/agent.log", 0), 0);
	assert_int_equal(linkat(dir->fd, "secret", dir->fd, "logs/agent.log", 0), 0);
	int r = import_tools_hand_over(path, "agent.log", geteuid(), DAEMON, DAEMON);
	assert_int_equal(r, geteuid() == 0 ? 0 : -EPERM);
	assert_int_equal(owner(dir, "secret"), geteuid());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(a_directory_goes_over_with_its_log),
		tempdir_test(what_is_not_its_own_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
