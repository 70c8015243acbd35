// SPDX-License-Identifier: Apache-2.0
/* What the official agent finds when it is to go on: its next deployment of the group removes what
 * the cleanup file lists, and it refuses every other file that is in its way. */
#include "agent/worker/official.h"

#include "agent/worker/hooks.h"
#include "agent/worker/layout.h"
#include "agent/worker/manifest.h"
#include "agent/worker/plan.h"
#include "agent/worker/scratch.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0644 /* as it makes them itself */

struct writing {
	struct group *group;
	struct plan_sources *sources; /* NULL: where files came from is not known */
	char *archive_path;
	struct buf cleanup, install;
	size_t unwritable;
};

static void writing_clear(struct writing *w)
{
	buf_clear(&w->cleanup);
	buf_clear(&w->install);
	plan_sources_free(w->sources);
	free(w->archive_path);
}

/* Its reader strips blanks and ends a line at its newline. */
static bool can_be_written(const char *path)
{
	return !strchr(path, '\n') && !isspace((unsigned char)path[strlen(path) - 1]) &&
	       str_is_utf8(path, strlen(path));
}

static void add_instruction(struct writing *w, json_t *instruction)
{
	auto_json json_t *owned = instruction;
	auto_free char *text = json_text(owned);
	buf_addf(&w->install, "%s%s", str_ends(buf_str(&w->install), "[") ? "" : ",", text);
}

static int add_copy(struct writing *w, const char *path, struct error *err)
{
	char type;
	const char *source;
	int r = w->sources ? plan_sources_find(w->sources, path, &type, &source, err) : 0;
	if (r <= 0)
		return r;
	json_t *copy = json_object();
	auto_free char *from = fs_join(w->archive_path, source);
	json_set_str(copy, "type", "copy");
	json_set_str(copy, "source", from);
	json_set_str(copy, "destination", path);
	add_instruction(w, copy);
	return 0;
}

static int add_entry(const struct manifest_entry *e, void *arg, struct error *err)
{
	struct writing *w = arg;
	auto_free char *path = xstrdup(e->path);
	if (!can_be_written(path)) {
		w->unwritable++;
		return 0;
	}
	buf_addf(&w->cleanup, "%s\n", path);
	if (e->type != 'd')
		return add_copy(w, path, err);
	json_t *made = json_object();
	json_set_str(made, "type", "mkdir");
	json_set_str(made, "directory", path);
	add_instruction(w, made);
	return 0;
}

static void add_labels(struct writing *w, const json_t *labels)
{
	size_t i;
	json_t *label;
	json_array_foreach (labels, i, label) {
		const char *path = json_string_value(label);
		if (!path)
			continue;
		buf_add(&w->cleanup, "semanage", sizeof("semanage"));
		buf_addf(&w->cleanup, "%s\n", path);
	}
}

/* The archive of what is installed; it may have been moved into place already by one that was
 * killed. */
static int open_archive(struct group *g, const struct hooks_revision *revision, char **ret_path)
{
	const char *const places[] = {revision->archive, revision->deployment_id};
	struct error ignored;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		int fd = group_archive(g, places[i], &ignored);
		if (fd < 0)
			continue;
		*ret_path = group_archive_path(g, revision->deployment_id);
		return fd;
	}
	return -ENOENT;
}

/* Best effort: the file that needs it is for information. */
static void find_sources(struct writing *w, int scratch_fd)
{
	struct group *g = w->group;
	struct hooks_revision revision;
	auto_problems struct problems problems = {0};
	struct spec *spec = NULL;
	struct error ignored;
	if (!g->state->installed || !hooks_revision_kept(g, g->state->installed, &revision))
		return;
	auto_close int fd = open_archive(g, &revision, &w->archive_path);
	if (fd < 0 || spec_load(fd, revision.appspec, &spec, NULL, &problems, &ignored) < 0)
		return;
	const struct plan_request request = {
		.archive_fd = fd,
		.spec = spec,
		.destination_root = g->run->settings.destination_root,
		.group_id = g->id,
		.groups_fd = -1,
		.group_fd = scratch_fd,
		.allow_setid = true,
	};
	if (plan_sources_make(&request, &w->sources, &ignored) < 0)
		w->sources = NULL;
	spec_free(spec);
}

static int replace(int dirfd, const char *id, const char *suffix, const struct buf *text,
		   bool wanted, struct error *err)
{
	auto_free char *name = xasprintf("%s%s", id, suffix);
	if (!wanted) {
		fs_unlink_quiet(dirfd, name);
		return 0;
	}
	int r = buf_check(text, name, err);
	return r < 0 ? r : fs_write_atomic(dirfd, name, buf_str(text), text->len, FILE_MODE, err);
}

static int write_files(struct writing *w, struct error *err)
{
	struct group *g = w->group;
	auto_close int fd = fs_mkdirs(g->run->root_fd, OFFICIAL_INSTRUCTIONS, 0755, err);
	bool any = w->cleanup.len > 0;
	int r;
	if (fd < 0)
		return fd;
	if ((r = replace(fd, g->id, "-install.json", &w->install, any, err)) < 0 ||
	    (r = replace(fd, g->id, "-cleanup", &w->cleanup, any, err)) < 0)
		return r;
	layout_write_pointers(g);
	return fs_sync_fs(fd, err);
}

/* The archive of a deployment that used another one's: that one may go at any time now, so the two
 * change places, and what is left there is a link. Can be repeated. */
static int own_archive(struct group *g, const struct hooks_revision *revision, struct error *err)
{
	const char *own = revision->deployment_id, *other = revision->archive;
	if (str_eq(own, other))
		return 0;
	auto_free char *here = fs_join(own, GROUP_ARCHIVE);
	auto_free char *there = fs_join(other, GROUP_ARCHIVE);
	auto_free char *target = xasprintf("../%s/" GROUP_ARCHIVE, own);
	struct stat st;
	if (fstatat(g->dir_fd, here, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISLNK(st.st_mode) &&
	    renameat2(g->dir_fd, here, g->dir_fd, there, RENAME_EXCHANGE) < 0)
		return error_errno(err, "move the revision of '%s' to '%s'", other, own);
	if (fstatat(g->dir_fd, there, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	if (unlinkat(g->dir_fd, there, 0) < 0 || symlinkat(target, g->dir_fd, there) < 0)
		return error_errno(err, "point '%s' at '%s'", other, own);
	return 0;
}

int official_group_write(struct group *g, const json_t *labels, size_t *ret_unwritable,
			 struct error *err)
{
	CLEANUP(writing_clear)
	struct writing w = {.group = g,
			    .cleanup = BUF_INIT(OFFICIAL_FILE_MAX),
			    .install = BUF_INIT(OFFICIAL_FILE_MAX)};
	auto_scratch struct scratch scratch = SCRATCH_INIT;
	struct hooks_revision revision;
	int r = scratch_open(&scratch, g->run, err);
	if (r >= 0)
		r = scratch_link_manifest(&scratch, g->run, g->id, err);
	if (r < 0)
		return r;
	find_sources(&w, scratch.fd);
	buf_adds(&w.install, "{\"instructions\":[");
	r = manifest_stream(g->fd, MANIFEST, add_entry, &w, err);
	if (r < 0 && r != -ENOENT)
		return r;
	buf_adds(&w.install, "]}");
	add_labels(&w, labels);
	if (g->state->installed && hooks_revision_kept(g, g->state->installed, &revision)) {
		r = own_archive(g, &revision, err);
		if (r < 0)
			return r;
	}
	r = write_files(&w, err);
	if (r >= 0)
		*ret_unwritable = w.unwritable;
	return r;
}
