// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/layout.h"

#include "agent/worker/instructions.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define INSTRUCTIONS "deployment-instructions"
#define TRACKING "ongoing-deployment"
#define FILE_MAX 8192

static const char *const taken[] = {INSTRUCTIONS, TRACKING, "deployment-logs"};

bool layout_is_taken(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		if (strcmp(name, taken[i]) == 0)
			return true;
	return false;
}

mode_t layout_mode_way(const struct run *run)
{
	return run->settings.restrict_agent_dirs ? 0711 : 0755;
}

mode_t layout_mode_tools(const struct run *run)
{
	return run->settings.restrict_agent_dirs ? 0700 : 0755;
}

mode_t layout_mode_file(const struct run *run)
{
	return run->settings.restrict_agent_dirs ? 0600 : 0644;
}

/* Other modes are somebody's own, and stay. */
void layout_heal_to(int dirfd, mode_t wanted, mode_t other)
{
	struct stat st;
	if (fstat(dirfd, &st) == 0 && (st.st_mode & 07777) == other && fchmod(dirfd, wanted) < 0)
		log_warning("a directory below root_dir keeps mode %o: %s", (unsigned)other,
			    strerror(errno));
}

void layout_heal(const struct run *run, int dirfd)
{
	mode_t wanted = layout_mode_way(run);
	layout_heal_to(dirfd, wanted, wanted == 0755 ? 0711 : 0755);
}

static int open_tools(struct run *run, const char *name, struct error *err)
{
	mode_t wanted = layout_mode_tools(run);
	int fd = fs_mkdirs(run->root_fd, name, wanted, err);
	if (fd >= 0)
		layout_heal_to(fd, wanted, wanted == 0755 ? 0700 : 0755);
	return fd;
}

int layout_open_instructions(struct group *g)
{
	struct error err = {0};
	int fd = open_tools(g->run, INSTRUCTIONS, &err);
	if (fd < 0)
		log_warning("no files for tools: %s", err.text);
	return fd;
}

static bool holds(int dirfd, const char *name, const char *wanted)
{
	auto_free char *text = NULL;
	size_t len;
	return fs_read_file(dirfd, name, FILE_MAX, &text, &len, NULL) == 0 &&
	       strcmp(text, wanted) == 0;
}

static int replace(int dirfd, const char *name, const char *text, mode_t mode)
{
	auto_free char *beside = xasprintf(".%s.new", name);
	auto_close int fd =
		openat(dirfd, beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	int r = fs_write_all(fd, text, strlen(text));
	if (r < 0)
		return r;
	return renameat(dirfd, beside, dirfd, name) < 0 ? -errno : 0;
}

static void put(struct group *g, int dirfd, const char *name, const char *text)
{
	if (holds(dirfd, name, text))
		return;
	int r = replace(dirfd, name, text, layout_mode_file(g->run));
	if (r < 0)
		log_warning("'%s', which is for tools, was not written: %s", name, strerror(-r));
}

/* Pointers */

static void point(struct group *g, int dirfd, const char *suffix, const char *deployment_id)
{
	auto_free char *name = xasprintf("%s_%s", g->id, suffix);
	if (!deployment_id) {
		fs_unlink_quiet(dirfd, name);
		return;
	}
	auto_free char *path = xasprintf("%s/%s/%s", g->run->root_path, g->id, deployment_id);
	put(g, dirfd, name, path);
}

void layout_write_pointers(struct group *g)
{
	auto_close int fd = layout_open_instructions(g);
	if (fd < 0)
		return;
	point(g, fd, "most_recent_install", g->state->most_recent);
	point(g, fd, "last_successful_install", g->state->installed);
}

/* Tracking */

static int open_tracking(struct group *g)
{
	const char *name = g->run->settings.tracking ? g->run->settings.tracking : TRACKING;
	struct error err = {0};
	int fd = open_tools(g->run, name, &err);
	if (fd < 0)
		log_warning("no tracking of deployments: %s", err.text);
	return fd;
}

void layout_track(struct group *g)
{
	const struct state_deployment *d = g->state->open ? g->state->open : g->state->last;
	if (!d || job_is_local(d->job))
		return;
	auto_close int fd = open_tracking(g);
	if (fd < 0)
		return;
	if (d == g->state->open && d->command)
		put(g, fd, state_deployment_id(d), d->command);
	else
		fs_unlink_quiet(fd, state_deployment_id(d));
}

/* What a killed worker has left: deployments of this group alone, whose lock we have. */
static void sweep_tracking(struct group *g)
{
	auto_close int fd = open_tracking(g);
	auto_closedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir)
		return;
	int dirfd = TAKE_FD(fd);
	const struct state_deployment *open = g->state->open;
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;
		bool runs = open && open->command && str_eq(name, state_deployment_id(open));
		if (name[0] != '.' && !runs &&
		    faccessat(g->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			fs_unlink_quiet(dirfd, name);
	}
}

/* Instructions */

void layout_write_instructions(struct group *g)
{
	struct error err = {0};
	if (instructions_write(g, &err) < 0)
		log_warning("instructions for tools were not written: %s", err.text);
}

void layout_repair(struct group *g)
{
	layout_write_pointers(g);
	layout_write_instructions(g);
	sweep_tracking(g);
}
