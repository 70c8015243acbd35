// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/roll.h"

#include "agent/worker/layout.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOGS "deployment-logs"
#define FILE_MODE 0640

void roll(int dirfd, const char *name, uint64_t max_bytes)
{
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size < max_bytes)
		return;
	for (int i = ROLL_KEPT - 1; i > 0; i--) {
		auto_free char *from = xasprintf("%s.%d", name, i - 1);
		auto_free char *to = xasprintf("%s.%d", name, i);
		renameat(dirfd, from, dirfd, to); /* there may be no such file yet */
	}
	auto_free char *first = xasprintf("%s.0", name);
	if (renameat(dirfd, name, dirfd, first) < 0)
		log_warning("'%s' goes on growing: %s", name, strerror(errno));
}

/* Workers of several groups write to it, only one of them rolls it. */
static void roll_locked(struct run *run, int dirfd, const char *name)
{
	struct stat st;
	struct error ignored;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (uint64_t)st.st_size < ROLL_BYTES)
		return;
	auto_close int lock_fd = fs_lock(run->locks_fd, "deployments-log", 0, &ignored);
	if (lock_fd >= 0)
		roll(dirfd, name, ROLL_BYTES);
}

static void begin(int fd)
{
	struct stat st;
	char now[CLOCK_ISO_LEN];
	if (fstat(fd, &st) < 0 || st.st_size > 0)
		return;
	auto_free char *line = xasprintf("# Logfile created on %s by slipway\n",
					 clock_format_local(clock_wall_s(), now));
	if (fs_write_all(fd, line, strlen(line)) < 0)
		log_debug("the log of all deployments has no first line");
}

int roll_open_deployments_log(struct run *run)
{
	const struct settings *settings = &run->settings;
	if (!settings->deployments_log)
		return -1;
	struct error err = {0};
	mode_t mode = settings->restrict_agent_dirs ? 0750 : 0755;
	auto_close int dirfd = fs_mkdirs(run->root_fd, LOGS, mode, &err);
	if (dirfd < 0) {
		log_warning("no log of all deployments: %s", err.text);
		return -1;
	}
	layout_heal_to(dirfd, mode, mode == 0755 ? 0750 : 0755);
	auto_free char *name = xasprintf("%s-deployments.log", settings->program_name);
	roll_locked(run, dirfd, name);
	int fd = openat(dirfd, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
			FILE_MODE);
	if (fd < 0)
		log_warning("cannot write '%s': %s", name, strerror(errno));
	else
		begin(fd);
	return fd;
}
