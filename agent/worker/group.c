// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/group.h"

#include "agent/worker/layout.h"
#include "agent/worker/takeover.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLDER_MAX 256
#define CLAIM_MS 10000 /* far longer than a waiting worker takes to notice */

/* What a lock file says of who holds it: "1234 runs 'Install'". */
#define RUNS "runs"
#define WAITS "waits for slipwayd with"

int group_check_id(const char *id, struct error *err)
{
	bool good = str_is_filename(id) && id[0] != '.' && strlen(id) <= 200;
	for (const char *p = id; good && *p; p++)
		good = (unsigned char)*p > 0x20 && *p != 0x7f;
	good = good && !layout_is_taken(id);
	if (!good)
		return error_set(err, ERR_INPUT,
				 "'%s' cannot be the id of a deployment group: choose at most 200 "
				 "characters without blanks and '/', not beginning with '.'",
				 id);
	return 0;
}

/* Caller frees. */
static char *lock_name(const char *id)
{
	return xasprintf("group-%s", id);
}

/* As its holder wrote it; NULL when it did not. Caller frees. */
static char *read_holder(struct run *run, const char *name)
{
	auto_free char *holder = NULL;
	size_t len;
	if (fs_read_file(run->locks_fd, name, HOLDER_MAX, &holder, &len, NULL) < 0 || !*holder)
		return NULL;
	return TAKE(holder);
}

/* A courtesy to the next one; a full disk must not stop a rollback here. */
static void write_holder(int lock_fd, const char *doing, const char *purpose)
{
	auto_free char *holder = xasprintf("%ld %s '%s'", (long)getpid(), doing, purpose);
	if (ftruncate(lock_fd, 0) < 0 || lseek(lock_fd, 0, SEEK_SET) < 0 ||
	    fs_write_all(lock_fd, holder, strlen(holder)) < 0)
		log_debug("a lock does not say who holds it");
}

char *group_label_of(struct run *run, const char *id)
{
	auto_close int fd =
		openat(run->groups_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_state struct state *state = NULL;
	struct error ignored;
	return fd >= 0 && state_load(fd, &state, &ignored) >= 0 ? state_label(state) : xstrdup(id);
}

static int say_busy(struct run *run, const char *name, const char *id, struct error *err)
{
	auto_free char *holder = read_holder(run, name), *label = group_label_of(run, id);
	if (!holder)
		return error_set(err, ERR_BUSY, "group '%s' is busy; try again later", label);
	return error_set(err, ERR_BUSY, "group '%s' is busy: process %s; try again later", label,
			 holder);
}

static int lock(struct run *run, const char *id, const char *purpose, uint64_t wait_ms,
		struct error *err)
{
	auto_free char *name = lock_name(id);
	int fd = fs_lock(run->locks_fd, name, wait_ms, err);
	if (fd == ERR_BUSY)
		return say_busy(run, name, id, err);
	if (fd >= 0)
		write_holder(fd, RUNS, purpose);
	return fd;
}

int group_lock(struct run *run, const char *id, const char *purpose, struct error *err)
{
	return lock(run, id, purpose, 0, err);
}

static int load(struct group *g, struct error *err)
{
	int r = state_load(g->fd, &g->state, err);
	if (r == -ENOENT) {
		g->state = state_new(g->id);
		return 0;
	}
	return r < 0 ? error_prefix(err, r, "group '%s'", g->id) : 0; /* it has no name then */
}

static int open_within(struct run *run, const char *id, const char *purpose, bool must_exist,
		       uint64_t wait_ms, struct group *ret, struct error *err)
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
	g.lock_fd = lock(run, id, purpose, wait_ms, err);
	if (g.lock_fd < 0)
		return g.lock_fd;
	/* Before anything of the group is read: it may be half way to another group. */
	r = takeover_recover(run, id, NULL, NULL, err);
	if (r < 0)
		return r;
	g.fd = fs_mkdirs(run->groups_fd, id, 0750, err);
	if (g.fd < 0)
		return g.fd;
	g.dir_fd = fs_mkdirs(run->root_fd, id, layout_mode_way(run), err);
	if (g.dir_fd < 0)
		return g.dir_fd;
	layout_heal(run, g.dir_fd);
	r = load(&g, err);
	if (r < 0)
		return r;
	*ret = g;
	g = (struct group){.lock_fd = -1, .fd = -1, .dir_fd = -1};
	return 0;
}

int group_open(struct run *run, const char *id, const char *purpose, bool must_exist,
	       struct group *ret, struct error *err)
{
	return open_within(run, id, purpose, must_exist, 0, ret, err);
}

static bool holder_waits(struct run *run, const char *id)
{
	auto_free char *name = lock_name(id);
	auto_free char *holder = read_holder(run, name);
	return holder && strstr(holder, " " WAITS " ");
}

/* A lock as well: nothing of a claim is left when who made it dies. */
int group_claim(struct run *run, const char *id, const char *purpose, bool must_exist,
		struct group *ret, struct error *err)
{
	int r = group_open(run, id, purpose, must_exist, ret, err);
	if (r != ERR_BUSY || !holder_waits(run, id))
		return r;
	auto_free char *name = xasprintf("claim-%s", id);
	auto_close int claim_fd = fs_lock(run->locks_fd, name, CLAIM_MS, err);
	if (claim_fd < 0)
		return claim_fd;
	return open_within(run, id, purpose, must_exist, CLAIM_MS, ret, err);
}

bool group_is_claimed(const struct group *g)
{
	auto_free char *name = xasprintf("claim-%s", g->id);
	auto_close int fd = openat(g->run->locks_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

void group_say_waiting(const struct group *g, const char *purpose, bool waiting)
{
	write_holder(g->lock_fd, waiting ? WAITS : RUNS, purpose);
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
	return fs_mkdirs(g->dir_fd, deployment_id, layout_mode_way(g->run), err);
}

int group_logs_dir(struct group *g, const char *deployment_id, struct error *err)
{
	auto_free char *path = fs_join(deployment_id, "logs");
	return fs_mkdirs(g->dir_fd, path, layout_mode_way(g->run), err);
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
