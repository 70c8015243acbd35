// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/adopt.h"

#include "agent/worker/group.h"
#include "agent/worker/layout.h"
#include "agent/worker/live.h"
#include "agent/worker/local.h"
#include "agent/worker/manifest.h"
#include "agent/worker/takeover.h"
#include "agent/worker/transact.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATHS_MAX 10000

/* A path that the person gave. */
struct wanted {
	const char *given;
	char *path;
	bool found;
};

/* A directory of either manifest, to be sorted: one that holds another has the shorter path. */
struct adopt_dir {
	uint32_t index;
	uint16_t path_len;
	bool theirs;
};

struct adopt {
	struct run *run;
	const char *id, *from;
	struct wanted *wanted; /* none: everything */
	size_t n_wanted;
	struct group group, other;
	struct manifest ours, theirs;
	struct adopt_dir *dirs;
	size_t n_dirs;
	uint64_t objects, left;
};

static void adopt_clear(struct adopt *a)
{
	for (size_t i = 0; i < a->n_wanted; i++)
		free(a->wanted[i].path);
	free(a->wanted);
	free(a->dirs);
	manifest_clear(&a->ours);
	manifest_clear(&a->theirs);
	group_clear(&a->group);
	group_clear(&a->other);
}

/* ---- what is asked for ---- */

/* As manifests have it: through no symbolic link on the way. */
static int canonical(const char *given, char **ret, struct error *err)
{
	auto_free char *path = NULL;
	char parent[PATH_MAX], real[PATH_MAX];
	if (strlen(given) >= PATH_MAX || fs_normalise(given, &path) < 0)
		return error_set(err, ERR_INPUT, "'%s' is not an absolute path", given);
	if (!path[1]) {
		*ret = xstrdup(""); /* what lies below the root is everything */
		return 0;
	}
	const char *name = live_split(path, parent);
	*ret = realpath(parent, real) ? xasprintf("%s/%s", real[1] ? real : "", name) : TAKE(path);
	return 0;
}

static int take_paths(const json_t *message, struct adopt *a, struct error *err)
{
	json_t *list = NULL;
	int r = json_opt_array(message, "paths", &list, err);
	if (r < 0)
		return r;
	size_t n = json_array_size(list);
	if (n > PATHS_MAX)
		return error_set(err, ERR_INPUT, "more than %d paths", PATHS_MAX);
	a->wanted = xcalloc(n + 1, sizeof(*a->wanted));
	for (size_t i = 0; i < n; i++) {
		const char *given = json_string_value(json_array_get(list, i));
		if (!given)
			return error_set(err, ERR_INPUT, "'paths' must be a list of paths");
		a->wanted[i].given = given;
		r = canonical(given, &a->wanted[i].path, err);
		if (r < 0)
			return r;
		a->n_wanted = i + 1;
	}
	return 0;
}

static int parse(const json_t *message, struct adopt *a, struct error *err)
{
	struct stat st;
	int r;
	if ((r = json_need_str(message, "group", &a->id, err)) < 0 ||
	    (r = json_need_str(message, "from", &a->from, err)) < 0 ||
	    (r = group_check_id(a->id, err)) < 0 || (r = group_check_id(a->from, err)) < 0)
		return r;
	if (str_eq(a->id, a->from))
		return error_set(err, ERR_INPUT, "'%s' is both groups; name two", a->id);
	if (fstatat(a->run->groups_fd, a->from, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, ERR_NOT_FOUND,
				 "nothing was ever deployed in group '%s' on this host", a->from);
	return take_paths(message, a, err);
}

/* In one order, whoever asks, so that two who ask at once do not refuse each other for ever. */
static int open_groups(struct adopt *a, struct error *err)
{
	bool first = strcmp(a->id, a->from) < 0;
	int r = local_open_group(a->run, first ? a->id : a->from, "adopt", !first,
				 first ? &a->group : &a->other, err);
	if (r >= 0)
		r = local_open_group(a->run, first ? a->from : a->id, "adopt", first,
				     first ? &a->other : &a->group, err);
	return r;
}

/* ---- two manifests of two ---- */

static bool is_wanted(struct adopt *a, const char *path)
{
	bool wanted = !a->n_wanted;
	for (size_t i = 0; i < a->n_wanted; i++) {
		struct wanted *w = &a->wanted[i];
		size_t len = strlen(w->path);
		if (strncmp(path, w->path, len) != 0 || (path[len] && path[len] != '/'))
			continue;
		w->found = true;
		wanted = true;
	}
	return wanted;
}

/* An object that both have stays as the first has it. */
static int is_ours(struct adopt *a, const char *path, struct error *err)
{
	struct manifest_entry e;
	return manifest_find(&a->ours, path, &e, err);
}

static int count(struct adopt *a, struct error *err)
{
	for (size_t i = 0; i < a->theirs.count; i++) {
		struct manifest_entry e;
		int r = manifest_at(&a->theirs, i, &e, err);
		if (r < 0)
			return r;
		if (is_wanted(a, e.path))
			a->objects++;
		else
			a->left++;
	}
	for (size_t i = 0; i < a->n_wanted; i++)
		if (!a->wanted[i].found)
			return error_set(err, ERR_NOT_FOUND,
					 "group '%s' has installed nothing at or below '%s'",
					 a->from, a->wanted[i].given);
	if (!a->objects)
		return error_set(err, ERR_NOT_FOUND, "group '%s' has nothing installed", a->from);
	return 0;
}

static int collect_dirs(struct adopt *a, struct manifest *m, bool theirs, struct error *err)
{
	for (size_t i = 0; i < m->count; i++) {
		struct manifest_entry e;
		int r = manifest_at(m, i, &e, err);
		if (r < 0)
			return r;
		if (e.type != 'd' || (theirs && !is_wanted(a, e.path)))
			continue;
		uint16_t len = (uint16_t)strlen(e.path);
		r = theirs ? is_ours(a, e.path, err) : 0;
		if (r < 0)
			return r;
		if (r == 0)
			a->dirs[a->n_dirs++] = (struct adopt_dir){(uint32_t)i, len, theirs};
	}
	return 0;
}

static int by_length(const void *a, const void *b)
{
	const struct adopt_dir *x = a, *y = b;
	return (x->path_len > y->path_len) - (x->path_len < y->path_len);
}

/* What a release that recorded no ACLs has written becomes an entry that has them, as they are. */
static int add(struct manifest_writer *w, struct manifest_entry *e, struct error *err)
{
	struct acl_room access = {0}, bequeath = {0};
	if (!e->has_acl && e->type != 'l' && acl_get_path(e->path, ACL_OF_OBJECT, &access) == 0)
		e->access = acl_of(&access);
	if (!e->has_acl && e->type == 'd' && acl_get_path(e->path, ACL_TO_BEQUEATH, &bequeath) == 0)
		e->bequeath = acl_of(&bequeath);
	return manifest_add(w, e, err);
}

static int add_at(struct manifest_writer *w, struct manifest *m, size_t i, bool theirs,
		  struct error *err)
{
	struct manifest_entry e;
	int r = manifest_at(m, i, &e, err);
	if (r < 0)
		return r;
	if (theirs)
		e.root = MANIFEST_NO_ROOT; /* a number of their transaction */
	return add(w, &e, err);
}

static int add_files(struct adopt *a, struct manifest_writer *w, struct manifest *m, bool theirs,
		     struct error *err)
{
	for (size_t i = 0; i < m->count; i++) {
		struct manifest_entry e;
		int r = manifest_at(m, i, &e, err);
		if (r < 0)
			return r;
		if (e.type == 'd' || (theirs && !is_wanted(a, e.path)))
			continue;
		r = theirs ? is_ours(a, e.path, err) : 0;
		if (r == 0)
			r = add_at(w, m, i, theirs, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Directories come first, each after the one that it is in. */
static int write_ours(struct adopt *a, struct error *err)
{
	auto_manifest_writer struct manifest_writer w = {.file = RECORD_FILE_INIT};
	a->dirs = calloc(a->ours.count + a->theirs.count, sizeof(*a->dirs));
	if (!a->dirs)
		return error_set(err, -ENOMEM, "no memory for the directories");
	int r;
	if ((r = manifest_create(&w, a->group.fd, TAKEOVER_MANIFEST, err)) < 0 ||
	    (r = collect_dirs(a, &a->ours, false, err)) < 0 ||
	    (r = collect_dirs(a, &a->theirs, true, err)) < 0)
		return r;
	qsort(a->dirs, a->n_dirs, sizeof(*a->dirs), by_length);
	for (size_t i = 0; i < a->n_dirs && r >= 0; i++) {
		const struct adopt_dir *d = &a->dirs[i];
		r = add_at(&w, d->theirs ? &a->theirs : &a->ours, d->index, d->theirs, err);
	}
	if (r < 0 || (r = add_files(a, &w, &a->ours, false, err)) < 0 ||
	    (r = add_files(a, &w, &a->theirs, true, err)) < 0 || (r = manifest_finish(&w, err)) < 0)
		return r;
	return fs_sync_dir(a->group.fd, err);
}

static int write_theirs(struct adopt *a, struct error *err)
{
	auto_manifest_writer struct manifest_writer w = {.file = RECORD_FILE_INIT};
	int r = manifest_create(&w, a->other.fd, TAKEOVER_MANIFEST, err);
	for (size_t i = 0; i < a->theirs.count && r >= 0; i++) {
		struct manifest_entry e;
		r = manifest_at(&a->theirs, i, &e, err);
		if (r >= 0 && !is_wanted(a, e.path))
			r = add(&w, &e, err);
	}
	if (r >= 0)
		r = manifest_finish(&w, err);
	return r < 0 ? r : fs_sync_dir(a->other.fd, err);
}

/* ---- the act ---- */

static int begin(struct adopt *a, struct error *err)
{
	char deployment[JOB_LOCAL_ID_LEN], deployment_from[JOB_LOCAL_ID_LEN];
	job_local_id(deployment);
	job_local_id(deployment_from);
	auto_free char *label = state_label(a->group.state);
	auto_free char *from_label = state_label(a->other.state);
	const struct takeover t = {
		.group = a->id,
		.group_label = label,
		.from = a->from,
		.from_label = from_label,
		.deployment = deployment,
		.deployment_from = deployment_from,
		.objects = (int64_t)a->objects,
		.all = a->left == 0,
	};
	return takeover_begin(a->run, &t, err);
}

/* The pointer files follow what the states say now. */
static void write_pointers(struct group *g)
{
	auto_state struct state *state = NULL;
	struct error ignored;
	if (state_load(g->fd, &state, &ignored) < 0)
		return;
	state_free(g->state);
	g->state = TAKE(state);
	layout_write_pointers(g);
	layout_write_instructions(g);
}

static int take_over(struct adopt *a, json_t *result, struct error *err)
{
	auto_free char *group = NULL;
	auto_free char *deployment = NULL;
	auto_close int lock_fd = transact_lock(a->run, err);
	int r;
	if (lock_fd < 0 || (r = manifest_load(&a->ours, a->group.fd, MANIFEST, err)) < 0 ||
	    (r = manifest_load(&a->theirs, a->other.fd, MANIFEST, err)) < 0)
		return err->code;
	if ((r = count(a, err)) < 0 || (r = write_ours(a, err)) < 0 ||
	    (r = write_theirs(a, err)) < 0) {
		fs_unlink_quiet(a->group.fd, TAKEOVER_MANIFEST);
		fs_unlink_quiet(a->other.fd, TAKEOVER_MANIFEST);
		return r;
	}
	r = begin(a, err);
	if (r < 0)
		return r;
	r = takeover_finish(a->run, &group, &deployment, err);
	if (r < 0)
		return error_prefix(err, ERR_BUSY,
				    "it is begun, and 'slipway recover' finishes it");
	json_set_str(result, "deployment", deployment);
	write_pointers(&a->group);
	write_pointers(&a->other);
	return 0;
}

/* Nothing came of it: no directory of a group that is none. Those that hold anything stay. */
static void forget_new(const struct group *g)
{
	if (!g->state || g->state->last)
		return;
	unlinkat(g->run->groups_fd, g->id, AT_REMOVEDIR);
	unlinkat(g->run->root_fd, g->id, AT_REMOVEDIR);
}

int adopt_verb(struct run *run, const json_t *message, int fd, json_t *result, struct error *err)
{
	static const struct group closed = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
	CLEANUP(adopt_clear)
	struct adopt a = {
		.run = run,
		.group = closed,
		.other = closed,
		.ours = MANIFEST_INIT,
		.theirs = MANIFEST_INIT,
	};
	int r = parse(message, &a, err);
	if (r == ERR_FORMAT)
		r = err->code = ERR_INPUT;
	if (r >= 0)
		r = open_groups(&a, err);
	if (r >= 0)
		r = take_over(&a, result, err);
	if (r < 0) {
		forget_new(&a.group);
		return run_exit_code(r);
	}
	json_set_str(result, "group_id", a.id);
	json_set_str(result, "from", a.from);
	json_set_int(result, "objects", (int64_t)a.objects);
	json_set_int(result, "left", (int64_t)a.left);
	return 0;
}
