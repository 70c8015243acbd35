// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/import-tools.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* slipwayd.service may write there. */
static const char *const official[] = {"/var/log/aws/codedeploy-agent",
				       "/opt/codedeploy-agent/state/.pid"};

static bool is_official(const char *dir)
{
	for (size_t i = 0; i < ARRAY_LEN(official); i++) {
		size_t len = strlen(official[i]);
		if (str_starts(dir, official[i]) && strspn(dir + len, "/") == strlen(dir + len))
			return true;
	}
	return false;
}

/* The file before its directory: as long as that is root's nobody else can exchange the name. */
static int hand_over_log(int dirfd, const char *log, uid_t from, uid_t to, gid_t to_group)
{
	struct stat st;
	auto_close int fd =
		openat(dirfd, log, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != from)
		return 0;
	return fchown(fd, to, to_group) < 0 ? -errno : 0;
}

int import_tools_hand_over(const char *dir, const char *log, uid_t from, uid_t to, gid_t to_group)
{
	struct stat st;
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != from || (st.st_mode & S_IWOTH))
		return 0;
	int r = log ? hand_over_log(fd, log, from, to, to_group) : 0;
	if (r < 0)
		return r;
	return fchown(fd, to, to_group) < 0 ? -errno : 0;
}

static const struct passwd *find_daemon(const struct paths *paths)
{
	return !*paths->root && geteuid() == 0 ? getpwnam(PATHS_DAEMON_USER) : NULL;
}

static void give(const struct passwd *daemon, const char *key, const char *dir, const char *log,
		 struct buf *advice)
{
	if (!dir)
		return;
	struct error ignored;
	if (is_official(dir) && fs_mkdirs_path(dir, 0755, &ignored) >= 0 &&
	    import_tools_hand_over(dir, log, 0, daemon->pw_uid, daemon->pw_gid) == 0)
		return;
	buf_addf(advice,
		 "%s '%s' is to be writable for slipwayd: give it to user '" PATHS_DAEMON_USER
		 "', and name it as ReadWritePaths= in 'systemctl edit slipwayd'\n",
		 key, dir);
}

void import_tools_give(const struct paths *paths, const struct settings *settings,
		       struct buf *advice)
{
	const struct passwd *daemon = find_daemon(paths);
	if (!daemon)
		return;
	auto_free char *log = xasprintf("%s.log", settings->program_name);
	give(daemon, "log_dir", settings->log_dir, log, advice);
	give(daemon, "pid_dir", settings->pid_dir, NULL, advice);
}

/* Root is about to write into it: what slipwayd's user owns there becomes root's, and nothing of it
 * leads elsewhere. The directory is root's already, so no more comes. */
static void sweep(const char *dir, uid_t from)
{
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_close int list_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	auto_closedir DIR *list = list_fd >= 0 ? fdopendir(list_fd) : NULL;
	struct dirent *entry;
	if (list)
		TAKE_FD(list_fd);
	while (list && (entry = readdir(list))) {
		struct stat st;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != from)
			continue;
		bool plain = S_ISREG(st.st_mode) && st.st_nlink == 1;
		if (!plain || fchownat(fd, entry->d_name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
			fs_unlink_quiet(fd, entry->d_name);
	}
}

void import_tools_take_back(const struct paths *paths)
{
	const struct passwd *daemon = find_daemon(paths);
	for (size_t i = 0; daemon && i < ARRAY_LEN(official); i++)
		if (import_tools_hand_over(official[i], NULL, daemon->pw_uid, 0, 0) == 0)
			sweep(official[i], daemon->pw_uid);
}
