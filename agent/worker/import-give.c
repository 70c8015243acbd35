// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/import-give.h"

#include "agent/worker/group.h"
#include "agent/worker/import.h"
#include "agent/worker/install.h"
#include "agent/worker/official.h"
#include "agent/worker/transact.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_MAX OFFICIAL_FILE_MAX

typedef int each_fn(struct group *g, struct error *err);

static int count_one(const char *path, char type, void *arg)
{
	++*(int64_t *)arg;
	return 0;
}

static int tell(struct group *g, struct error *err)
{
	int64_t objects = 0;
	int r = install_manifest_each(g->fd, count_one, &objects, err);
	if (r < 0 && r != -ENOENT)
		return r;
	json_t *event = caller_event("given");
	json_set_str(event, "group_id", g->id);
	json_set_str(event, "deployment", g->state->installed);
	json_set_int(event, "objects", objects);
	caller_say(&g->run->caller, event);
	return 0;
}

static int check(struct group *g, struct error *err)
{
	int r = transact_check_idle(g, err);
	return r < 0 ? r : tell(g, err);
}

/* By one rename: a half removed record would say that nothing is installed. */
static int forget(struct group *g, struct error *err)
{
	struct run *run = g->run;
	char name[32] = "given-";
	str_random(name + 6, 12);
	auto_close int tmp_fd = fs_mkdirs(run->host_fd, "tmp", 0700, err);
	if (tmp_fd < 0)
		return tmp_fd;
	if (renameat(run->groups_fd, g->id, tmp_fd, name) < 0)
		return error_errno(err, "forget group '%s'", g->id);
	int r = fs_sync_dir(run->groups_fd, err);
	struct error quiet = {0};
	if (r >= 0 && fs_remove_tree(tmp_fd, name, &quiet) < 0)
		log_warning("'%s' stays: %s", name, quiet.text);
	return r;
}

static int give(struct group *g, struct error *err)
{
	auto_json json_t *note = NULL;
	size_t unwritable = 0;
	int r = transact_check_idle(g, err);
	if (r >= 0)
		r = json_read_file(g->fd, IMPORT_NOTE, NOTE_MAX, &note, err);
	if (r < 0 && r != -ENOENT)
		return r;
	r = official_group_write(g, note ? json_object_get(note, "semanage") : NULL, &unwritable,
				 err);
	if (r < 0)
		return r;
	if (unwritable) {
		auto_free char *text = xasprintf(
			"%zu paths cannot be written into '%s-cleanup' (blanks at the end, "
			"newlines): the official agent will not remove them",
			unwritable, g->id);
		caller_problem(&g->run->caller, PROBLEM_WARNING, g->id, text);
	}
	r = tell(g, err);
	return r < 0 ? r : forget(g, err);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool has_state(struct run *run, const char *id)
{
	auto_free char *path = fs_join(id, "state.json");
	return faccessat(run->groups_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int each_group(struct run *run, each_fn *fn, struct error *err)
{
	struct dirent **entries;
	int count = scandirat(run->groups_fd, ".", &entries, is_visible, alphasort);
	if (count < 0)
		return error_errno(err, "list the groups");
	int r = 0;
	for (int i = 0; i < count; i++) {
		const char *id = entries[i]->d_name;
		auto_group struct group g = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
		if (r >= 0 && has_state(run, id))
			r = group_open(run, id, "import --undo", true, &g, err);
		if (r >= 0 && g.state)
			r = fn(&g, err);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int import_give_check(struct run *run, struct error *err)
{
	return each_group(run, check, err);
}

int import_give(struct run *run, struct error *err)
{
	return each_group(run, give, err);
}
