// SPDX-License-Identifier: Apache-2.0
/* What goes is renamed first: a half deleted revision must never look like one that is kept. */
#include "agent/worker/retention.h"

#include "agent/worker/bundle.h"
#include "common/alloc.h"
#include "common/clock.h"
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
#define NS_PER_S INT64_C(1000000000)

/* Nobody who stays uses its archive. users: per entry, see count_users(). */
static struct retention_entry *oldest_free(struct retention_entry *entries, size_t n,
					   const size_t *users)
{
	struct retention_entry *found = NULL;
	for (size_t i = 0; i < n; i++) {
		struct retention_entry *e = &entries[i];
		if (!e->kept && !e->doomed && !users[i] && (!found || e->made_ns < found->made_ns))
			found = e;
	}
	return found;
}

/* How many entries use the archive of each. Caller frees. */
static size_t *count_users(const struct retention_entry *entries, size_t n)
{
	size_t *users = xcalloc(n + 1, sizeof(*users));
	for (size_t i = 0; i < n; i++)
		if (entries[i].uses < n)
			users[entries[i].uses]++;
	return users;
}

void retention_choose(struct retention_entry *entries, size_t n,
		      const struct retention_limits *limits)
{
	auto_free size_t *users = count_users(entries, n);
	uint64_t left = n, bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += entries[i].bytes;
	struct retention_entry *e;
	while ((e = oldest_free(entries, n, users))) {
		bool too_large = limits->max_bytes && bytes > limits->max_bytes;
		if (left <= limits->max_entries && !too_large && e->made_ns >= limits->oldest_ns)
			return;
		e->doomed = true;
		left--;
		bytes -= e->bytes;
		if (e->uses < n)
			users[e->uses]--;
	}
}

bool retention_is_needed(const struct state *state, const char *name, int64_t max_revisions)
{
	const struct state_deployment *d = state->open, *last = d ? NULL : state->last;
	/* However many have failed since: there is always one to go back to. */
	const struct state_revision *before =
		max_revisions > 1 ? state_revision_before(state) : NULL;
	const char *const ids[] = {
		state->installed,
		state->last_successful,
		before ? before->deployment_id : NULL,
		d ? state_deployment_id(d) : NULL,
		d ? d->archive : NULL,
		d ? d->previous : NULL,
		last ? state_deployment_id(last) : NULL,
		last ? last->archive : NULL,
		/* a load balancer's event may still fail, and bring it back */
		last && last->complete && !job_is_local(last->job) ? last->previous : NULL,
	};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		if (str_eq(ids[i], name))
			return true;
	return false;
}

static int64_t made_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec;
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

static uint64_t bytes_of(int dirfd, const char *name)
{
	struct error err = {0};
	uint64_t bytes = 0;
	auto_close int fd = fs_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || fs_tree_bytes(fd, &bytes, &err) < 0)
		log_warning("the size of '%s' is not known: %s", name,
			    fd < 0 ? strerror(-fd) : err.text);
	return bytes;
}

/* The deployments of a group, as the limits see them. */
struct listing {
	struct retention_entry *entries;
	size_t n;
};

static void listing_clear(struct listing *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->entries[i].name);
	free(list->entries);
}

static void list_deployments(struct group *g, struct listing *list)
{
	const struct settings *settings = &g->run->settings;
	auto_closedir DIR *dir = open_list(g->dir_fd);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		const char *name = entry->d_name;
		struct stat st;
		if (name[0] == '.' || fstatat(g->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode))
			continue;
		list->entries = xrealloc_array(list->entries, list->n + 1, sizeof(*list->entries));
		list->entries[list->n++] = (struct retention_entry){
			.name = xstrdup(name),
			.made_ns = made_ns(&st),
			.bytes = settings->max_revision_bytes ? bytes_of(g->dir_fd, name) : 0,
			.uses = RETENTION_ALONE,
			.kept = retention_is_needed(g->state, name, settings->max_revisions),
		};
	}
}

static size_t find(const struct listing *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (str_eq(list->entries[i].name, name))
			return i;
	return RETENTION_ALONE;
}

/* A redeployed revision lies in the directory of an older deployment. */
static void note_uses(struct listing *list, const struct state *state)
{
	for (size_t i = 0; i < state->n_revisions; i++) {
		const struct state_revision *r = &state->revisions[i];
		size_t user = find(list, r->deployment_id);
		if (user != RETENTION_ALONE && !str_eq(r->archive, r->deployment_id))
			list->entries[user].uses = find(list, r->archive);
	}
}

static void remove_old(struct group *g, const char *name)
{
	struct error err = {0};
	auto_free char *doomed = xasprintf(DOOMED "%s", name);
	if (renameat(g->dir_fd, name, g->dir_fd, doomed) < 0)
		error_errno(&err, "rename it");
	else if (fs_remove_tree(g->dir_fd, doomed, &err) >= 0)
		log_info("deployment '%s' is no longer kept", name);
	if (err.code)
		log_warning("old deployment '%s' stays: %s", name, err.text);
}

/* What an earlier retention was killed in. */
static void remove_doomed(struct group *g)
{
	auto_closedir DIR *dir = open_list(g->dir_fd);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		struct error err = {0};
		if (str_starts(entry->d_name, DOOMED) &&
		    fs_remove_tree(g->dir_fd, entry->d_name, &err) < 0)
			log_warning("'%s' stays: %s", entry->d_name, err.text);
	}
}

/* Returns how many go. */
static size_t forget_doomed(struct state *state, const struct listing *list)
{
	size_t doomed = 0;
	for (size_t i = 0; i < list->n; i++) {
		if (!list->entries[i].doomed)
			continue;
		state_revision_remove(state, list->entries[i].name);
		doomed++;
	}
	return doomed;
}

static struct retention_limits limits_of(const struct settings *settings)
{
	/* in ns it overflows after 292 years */
	uint64_t age_s = settings->max_revision_age / 1000;
	bool ages = settings->max_revision_age && age_s < (uint64_t)clock_wall_s();
	return (struct retention_limits){
		.max_entries = (uint64_t)settings->max_revisions,
		.oldest_ns = ages ? (clock_wall_s() - (int64_t)age_s) * NS_PER_S : INT64_MIN,
		.max_bytes = settings->max_revision_bytes,
	};
}

int retention_run(struct group *g, struct error *err)
{
	discard_halves(g);
	remove_doomed(g);
	CLEANUP(listing_clear) struct listing list = {0};
	list_deployments(g, &list);
	note_uses(&list, g->state);
	const struct retention_limits limits = limits_of(&g->run->settings);
	retention_choose(list.entries, list.n, &limits);
	int r = forget_doomed(g->state, &list) ? group_save(g, err) : 0;
	for (size_t i = 0; r >= 0 && i < list.n; i++)
		if (list.entries[i].doomed)
			remove_old(g, list.entries[i].name);
	return r < 0 ? r : 0;
}
