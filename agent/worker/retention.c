// SPDX-License-Identifier: Apache-2.0
/* What goes is renamed first: a half deleted revision must never look like one that is kept. */
#include "agent/worker/retention.h"

#include "agent/worker/bundle.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOOMED ".old-"

static struct retention_entry *oldest(struct retention_entry *entries, size_t n)
{
	struct retention_entry *found = NULL;
	for (size_t i = 0; i < n; i++) {
		struct retention_entry *e = &entries[i];
		if (!e->kept && !e->doomed && (!found || e->age_key < found->age_key))
			found = e;
	}
	return found;
}

void retention_choose(struct retention_entry *entries, size_t n, size_t max)
{
	struct retention_entry *e;
	for (size_t left = n; left > max && (e = oldest(entries, n)); left--)
		e->doomed = true;
}

static bool is_in_use(const struct state *state, const char *name)
{
	const struct state_deployment *d = state->open;
	/* However many have failed since: there is always one to go back to. */
	const struct state_revision *before = state_revision_before(state);
	const char *const ids[] = {
		state->installed,
		state->last_successful,
		before ? before->deployment_id : NULL,
		d ? state_deployment_id(d) : NULL,
		d ? d->archive : NULL,
		d ? d->previous : NULL,
	};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		if (!ids[i])
			continue;
		const struct state_revision *r = state_revision_find(state, ids[i]);
		if (strcmp(ids[i], name) == 0 || (r && strcmp(r->archive, name) == 0))
			return true;
	}
	return false;
}

static int64_t age_key(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static DIR *open_list(int dirfd)
{
	auto_close int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir)
		TAKE_FD(fd);
	return dir;
}

/* Half a bundle, of a worker that was killed: nobody unpacks now, we have the group's lock. With it
 * goes its directory, unless there is more in it. */
static void discard_half(struct group *g, const char *name)
{
	struct error err = {0};
	auto_close int fd =
		openat(g->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? 0 : bundle_discard(fd, GROUP_ARCHIVE, &err);
	if (r < 0)
		log_warning("what was unpacked of '%s' stays: %s", name, err.text);
	if (r > 0 && unlinkat(g->dir_fd, name, AT_REMOVEDIR) == 0)
		log_info("what was unpacked of '%s' by a worker that was killed is removed", name);
}

static void discard_halves(struct group *g)
{
	auto_closedir DIR *dir = open_list(g->dir_fd);
	struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			discard_half(g, entry->d_name);
}

static struct retention_entry *list_deployments(struct group *g, size_t *ret_n)
{
	struct retention_entry *entries = NULL;
	size_t n = 0;
	auto_closedir DIR *dir = open_list(g->dir_fd);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		struct stat st;
		if (entry->d_name[0] == '.' ||
		    fstatat(g->dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode))
			continue;
		entries = xrealloc_array(entries, n + 1, sizeof(*entries));
		entries[n++] = (struct retention_entry){
			.name = xstrdup(entry->d_name),
			.age_key = age_key(&st),
			.kept = is_in_use(g->state, entry->d_name),
		};
	}
	*ret_n = n;
	return entries;
}

/* An archive that a younger revision which stays still uses stays with it. */
static void spare_shared(const struct state *state, struct retention_entry *entries, size_t n)
{
	for (size_t i = 0; i < state->n_revisions; i++) {
		const struct state_revision *r = &state->revisions[i];
		bool stays = false;
		for (size_t k = 0; k < n; k++)
			stays |= !entries[k].doomed &&
				 strcmp(entries[k].name, r->deployment_id) == 0;
		for (size_t k = 0; stays && k < n; k++)
			if (strcmp(entries[k].name, r->archive) == 0)
				entries[k].doomed = false;
	}
}

static void remove_old(struct group *g, const char *name)
{
	struct error err = {0};
	auto_free char *doomed = xasprintf(DOOMED "%s", name);
	if (renameat(g->dir_fd, name, g->dir_fd, doomed) < 0 ||
	    fs_remove_tree(g->dir_fd, doomed, &err) < 0)
		log_warning("old deployment '%s' stays: %s", name,
			    err.code ? err.text : strerror(errno));
	else
		log_info("deployment '%s' is no longer kept", name);
}

/* Returns how many go. */
static size_t forget_doomed(struct state *state, const struct retention_entry *entries, size_t n)
{
	size_t doomed = 0;
	for (size_t i = 0; i < n; i++) {
		if (!entries[i].doomed)
			continue;
		state_revision_remove(state, entries[i].name);
		doomed++;
	}
	return doomed;
}

int retention_run(struct group *g, struct error *err)
{
	discard_halves(g);
	size_t n;
	struct retention_entry *entries = list_deployments(g, &n);
	int64_t max = g->run->settings.max_revisions;
	retention_choose(entries, n, max > 0 ? (size_t)max : 1);
	spare_shared(g->state, entries, n);
	int r = forget_doomed(g->state, entries, n) ? group_save(g, err) : 0;
	for (size_t i = 0; i < n; i++) {
		if (entries[i].doomed && r >= 0)
			remove_old(g, entries[i].name);
		free(entries[i].name);
	}
	free(entries);
	return r;
}

void retention_finish(struct group *g)
{
	discard_halves(g);
	auto_closedir DIR *dir = open_list(g->dir_fd);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		struct error err = {0};
		if (str_starts(entry->d_name, DOOMED) &&
		    fs_remove_tree(g->dir_fd, entry->d_name, &err) < 0)
			log_warning("'%s' stays: %s", entry->d_name, err.text);
	}
}
