// SPDX-License-Identifier: Apache-2.0
#include "agent/listener.h"

#include "common/alloc.h"
#include "common/attr.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTEN 0x0a       /* of /proc/net/tcp */
#define SEARCH_US 2000000 /* for who has a socket, among all processes */
#define ENVIRON_MAX ((size_t)1024 * 1024)

struct socket {
	unsigned uid;
	unsigned long inode;
};

static bool find_socket(const char *proc_net, const char *name, unsigned port, struct socket *ret)
{
	auto_free char *path = fs_join(proc_net, name);
	auto_fclose FILE *file = fopen(path, "re");
	char line[512];
	while (file && fgets(line, sizeof(line), file)) {
		unsigned there, state;
		struct socket s;
		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %u %*u %lu", &there,
			   &state, &s.uid, &s.inode) != 4 ||
		    there != port || state != LISTEN)
			continue;
		*ret = s;
		return true;
	}
	return false;
}

static bool has_socket(long pid, unsigned long inode)
{
	char path[64], wanted[64], link[64];
	snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	int len = snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	auto_closedir DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (readlinkat(dirfd(dir), e->d_name, link, sizeof(link)) == len &&
		    memcmp(link, wanted, (size_t)len) == 0)
			return true;
	return false;
}

/* 0: it is not to be seen. */
static long find_owner(unsigned long inode)
{
	uint64_t deadline_us = clock_mono_us() + SEARCH_US;
	auto_closedir DIR *dir = opendir("/proc");
	for (struct dirent *e; dir && (e = readdir(dir));) {
		long pid = isdigit((unsigned char)e->d_name[0]) ? strtol(e->d_name, NULL, 10) : 0;
		if (pid > 0 && has_socket(pid, inode))
			return pid;
		if (clock_mono_us() > deadline_us)
			break;
	}
	return 0;
}

char *listener_process(long pid)
{
	auto_free char *path = xasprintf("/proc/%ld/comm", pid), *comm = NULL;
	size_t len = 0;
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fs_read_fd(fd, 64, &comm, &len, NULL) < 0 || !len)
		return NULL;
	return str_to_line(comm, strcspn(comm, "\n"));
}

/* The value of a variable in its first environment; NULL. */
static char *variable_of(long pid, const char *name)
{
	auto_free char *path = xasprintf("/proc/%ld/environ", pid), *text = NULL;
	size_t len = 0, n = strlen(name);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fs_read_fd(fd, ENVIRON_MAX, &text, &len, NULL) < 0)
		return NULL;
	for (const char *p = text; p < text + len; p += strlen(p) + 1)
		if (strncmp(p, name, n) == 0 && p[n] == '=' && str_is_filename(p + n + 1))
			return str_to_line(p + n + 1, strlen(p + n + 1));
	return NULL;
}

/* The unit that it runs in; NULL. */
static char *unit_of(long pid)
{
	auto_free char *path = xasprintf("/proc/%ld/cgroup", pid);
	auto_fclose FILE *file = fopen(path, "re");
	char line[4096];
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		const char *slash = strrchr(line, '/');
		if (slash && (str_ends(slash, ".service") || str_ends(slash, ".scope")))
			return str_to_line(slash + 1, strlen(slash + 1));
	}
	return NULL;
}

static char *describe_process(long pid, bool *ret_ours)
{
	auto_free char *name = listener_process(pid), *unit = unit_of(pid);
	auto_free char *deployment = variable_of(pid, "DEPLOYMENT_ID");
	auto_free char *event = variable_of(pid, "LIFECYCLE_EVENT");
	const char *what = name ? name : "a process";
	*ret_ours = (deployment && event) || (unit && str_starts(unit, "slipway-hook-"));
	if (deployment && event)
		return xasprintf("%s (%ld), started by %s of %s", what, pid, event, deployment);
	if (unit)
		return xasprintf("%s (%ld), of %s", what, pid, unit);
	return xasprintf("%s (%ld)", what, pid);
}

static char *describe_user(unsigned uid)
{
	const struct passwd *user = getpwuid(uid);
	return user ? xasprintf("a process of user '%s'", user->pw_name)
		    : xasprintf("a process of user %u", uid);
}

char *listener_find(const char *proc_net, unsigned port, bool *ret_ours)
{
	static const char *const tables[] = {"tcp", "tcp6"};
	struct socket s;
	*ret_ours = false;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		if (!find_socket(proc_net, tables[i], port, &s))
			continue;
		long pid = find_owner(s.inode);
		return pid ? describe_process(pid, ret_ours) : describe_user(s.uid);
	}
	return NULL;
}
