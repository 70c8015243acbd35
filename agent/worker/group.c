// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/group.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INSTRUCTIONS "deployment-instructions"
#define POINTER_MAX 8192

/* What the official layout keeps beside the groups. */
static const char *const taken[] = {INSTRUCTIONS, "ongoing-deployment", "deployment-logs"};

int group_check_id(const char *id, struct error *err)
{
	bool good = str_is_filename(id) && id[0] != '.' && strlen(id) <= 200;
	for (const char *p = id; good && *p; p++)
		good = (unsigned char)*p > 0x20 && *p != 0x7f;
	for (size_t i = 0; good && i < ARRAY_LEN(taken); i++)
		good = strcmp(id, taken[i]) != 0;
	if (!good)
		return error_set(err, ERR_INPUT,
				 "'%s' cannot be the id of a deployment group: choose at most 200 "
				 "characters without blanks and '/', not beginning with '.'",
				 id);
	return 0;
}

/* "1234 deploy" as its holder wrote it. */
static int say_busy(struct run *run, const char *name, const char *id, struct error *err)
{
	auto_free char *holder = NULL;
	size_t len;
	if (fs_read_file(run->locks_fd, name, 256, &holder, &len, NULL) < 0 || !*holder)
		return error_set(err, ERR_BUSY, "group '%s' is busy; try again later", id);
	return error_set(err, ERR_BUSY, "group '%s' is busy: process %s; try again later", id,
			 holder);
}

static int lock(struct run *run, const char *id, const char *purpose, struct error *err)
{
	auto_free char *name = xasprintf("group-%s", id);
	auto_close int fd = fs_lock(run->locks_fd, name, 0, err);
	if (fd == ERR_BUSY)
		return say_busy(run, name, id, err);
	if (fd < 0)
		return fd;
	auto_free char *holder = xasprintf("%ld runs '%s'", (long)getpid(), purpose);
	/* Who holds it is a courtesy to the next one; a full disk must not stop a rollback here. */
	if (ftruncate(fd, 0) < 0 || fs_write_all(fd, holder, strlen(holder)) < 0)
		log_debug("'%s' does not say who holds it", name);
	return TAKE_FD(fd);
}

static int load(struct group *g, struct error *err)
{
	int r = state_load(g->fd, &g->state, err);
	if (r == -ENOENT) {
		g->state = state_new(g->id);
		return 0;
	}
	return r < 0 ? error_prefix(err, r, "group '%s'", g->id) : 0;
}

int group_open(struct run *run, const char *id, const char *purpose, bool must_exist,
	       struct group *ret, struct error *err)
{
	int r = group_check_id(id, err);
	if (r < 0)
		return r;
	struct stat st;
	if (must_exist && fstatat(run->groups_fd, id, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, ERR_NOT_FOUND,
				 "nothing was ever deployed in group '%s' on this host", id);
	auto_group struct group g = {
		.run = run, .id = xstrdup(id), .lock_fd = -1, .fd = -1, .dir_fd = -1};
	g.lock_fd = lock(run, id, purpose, err);
	if (g.lock_fd < 0)
		return g.lock_fd;
	g.fd = fs_mkdirs(run->groups_fd, id, 0750, err);
	if (g.fd < 0)
		return g.fd;
	g.dir_fd = fs_mkdirs(run->root_fd, id, 0755, err);
	if (g.dir_fd < 0)
		return g.dir_fd;
	r = load(&g, err);
	if (r < 0)
		return r;
	*ret = g;
	g = (struct group){.lock_fd = -1, .fd = -1, .dir_fd = -1};
	return 0;
}

void group_clear(struct group *g)
{
	fs_close_quiet(g->dir_fd);
	fs_close_quiet(g->fd);
	fs_close_quiet(g->lock_fd);
	free(g->id);
	state_free(g->state);
	*g = (struct group){.lock_fd = -1, .fd = -1, .dir_fd = -1};
}

int group_save(struct group *g, struct error *err)
{
	return state_save(g->fd, g->state, err);
}

int group_deployment_dir(struct group *g, const char *deployment_id, struct error *err)
{
	return fs_mkdirs(g->dir_fd, deployment_id, 0755, err);
}

int group_logs_dir(struct group *g, const char *deployment_id, struct error *err)
{
	auto_free char *path = fs_join(deployment_id, "logs");
	return fs_mkdirs(g->dir_fd, path, 0755, err);
}

int group_archive(struct group *g, const char *deployment_id, struct error *err)
{
	auto_free char *path = fs_join(deployment_id, GROUP_ARCHIVE);
	int fd = fs_open_beneath(g->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, fd, "revision of '%s': '%s/%s': %s", deployment_id, g->id,
				 path, strerror(-fd));
	return fd;
}

char *group_archive_path(const struct group *g, const char *deployment_id)
{
	return xasprintf("%s/%s/%s/" GROUP_ARCHIVE, g->run->root_path, g->id, deployment_id);
}

static bool holds(int dirfd, const char *name, const char *wanted)
{
	auto_free char *text = NULL;
	size_t len;
	return fs_read_file(dirfd, name, POINTER_MAX, &text, &len, NULL) == 0 &&
	       strcmp(text, wanted) == 0;
}

/* Not synced: recovery compares and writes again. */
static int write_pointer(int dirfd, const char *name, const char *text)
{
	auto_free char *beside = xasprintf(".%s.new", name);
	auto_close int fd =
		openat(dirfd, beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	int r = fs_write_all(fd, text, strlen(text));
	if (r < 0)
		return r;
	return renameat(dirfd, beside, dirfd, name) < 0 ? -errno : 0;
}

static void point(struct group *g, int dirfd, const char *suffix, const char *deployment_id)
{
	auto_free char *name = xasprintf("%s_%s", g->id, suffix);
	if (!deployment_id) {
		fs_unlink_quiet(dirfd, name);
		return;
	}
	auto_free char *path = xasprintf("%s/%s/%s", g->run->root_path, g->id, deployment_id);
	if (holds(dirfd, name, path))
		return;
	int r = write_pointer(dirfd, name, path);
	if (r < 0)
		log_warning("pointer file '%s' was not written: %s", name, strerror(-r));
}

void group_write_pointers(struct group *g)
{
	struct error err = {0};
	auto_close int fd = fs_mkdirs(g->run->root_fd, INSTRUCTIONS, 0755, &err);
	if (fd < 0) {
		log_warning("no pointer files: %s", err.text);
		return;
	}
	point(g, fd, "most_recent_install", g->state->most_recent);
	point(g, fd, "last_successful_install", g->state->installed);
}
