// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/scratch.h"

#include "agent/worker/manifest.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

void scratch_clear(struct scratch *s)
{
	struct error err = {0};
	if (s->fd >= 0 && fs_remove_tree(s->tmp_fd, s->name, &err) < 0)
		log_warning("'%s' stays: %s", s->name, err.text);
	fs_close_quiet(s->fd);
	fs_close_quiet(s->tmp_fd);
	*s = SCRATCH_INIT;
}

int scratch_open(struct scratch *s, struct run *run, struct error *err)
{
	s->tmp_fd = fs_mkdirs(run->host_fd, "tmp", 0700, err);
	if (s->tmp_fd < 0)
		return s->tmp_fd;
	strcpy(s->name, "plan-");
	str_random(s->name + strlen(s->name), 12);
	s->fd = fs_mkdirs(s->tmp_fd, s->name, 0700, err);
	if (s->fd < 0)
		return s->fd;
	return flock(s->fd, LOCK_EX | LOCK_NB) < 0 ? error_errno(err, "lock '%s'", s->name) : 0;
}

int scratch_link_manifest(struct scratch *s, struct run *run, const char *group, struct error *err)
{
	auto_free char *path = fs_join(group, MANIFEST);
	if (linkat(run->groups_fd, path, s->fd, MANIFEST, 0) < 0 && errno != ENOENT)
		return error_errno(err, "read what group '%s' has installed", group);
	return 0;
}

static void remove_unused(int tmp_fd, const char *name)
{
	auto_close int fd = openat(tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct error err = {0};
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fs_remove_tree(tmp_fd, name, &err) < 0)
		log_warning("'%s' stays: %s", name, err.text);
}

void scratch_clear_unused(struct run *run)
{
	auto_close int fd =
		fs_open_beneath(run->host_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	auto_close int list_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	auto_closedir DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
	if (!dir)
		return;
	TAKE_FD(list_fd);
	struct dirent *entry;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			remove_unused(fd, entry->d_name);
}
