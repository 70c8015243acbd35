// SPDX-License-Identifier: Apache-2.0
/* What the official agent finds when it is to go on: its next deployment of the group removes what
 * the clean-up file lists, and it refuses every other file that is in its way. The files are those
 * of layout.h, made anew, durable, and with the lines that only that agent has a use for. */
#include "agent/worker/official.h"

#include "agent/worker/instructions.h"
#include "agent/worker/layout.h"
#include "agent/worker/manifest.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/fs.h"
#include "common/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Its reader strips blanks and ends a line at its newline. */
static int count_unwritable(const struct manifest_entry *e, void *arg, struct error *err)
{
	size_t len = strlen(e->path);
	if (strchr(e->path, '\n') || (len && isspace((unsigned char)e->path[len - 1])))
		++*(size_t *)arg;
	return 0;
}

/* At the end of the clean-up file, as the official agents write them after all else. */
static int add_labels(struct group *g, int dirfd, const json_t *labels, struct error *err)
{
	auto_free char *name = xasprintf("%s-cleanup", g->id);
	auto_free char *before = NULL;
	auto_buf struct buf text = BUF_INIT(OFFICIAL_FILE_MAX);
	size_t len = 0, i;
	json_t *label;
	if (!json_array_size(labels))
		return 0;
	int r = fs_read_file(dirfd, name, OFFICIAL_FILE_MAX, &before, &len, err);
	if (r < 0 && r != -ENOENT)
		return r;
	buf_add(&text, before ? before : "", len);
	json_array_foreach (labels, i, label) {
		const char *path = json_string_value(label);
		if (!path)
			continue;
		buf_add(&text, "semanage", sizeof("semanage"));
		buf_addf(&text, "%s\n", path);
	}
	r = buf_check(&text, name, err);
	return r < 0 ? r
		     : fs_write_atomic(dirfd, name, buf_str(&text), text.len,
				       layout_mode_file(g->run), err);
}

/* The archive of a deployment that used another one's: that one may go at any time now, so the two
 * change places, and what is left there is a link. Can be repeated. */
static int own_archive(struct group *g, struct error *err)
{
	struct state_revision *revision = state_revision_find(g->state, g->state->installed);
	if (!revision || str_eq(revision->deployment_id, revision->archive))
		return 0;
	const char *own = revision->deployment_id, *other = revision->archive;
	auto_free char *here = fs_join(own, GROUP_ARCHIVE);
	auto_free char *there = fs_join(other, GROUP_ARCHIVE);
	auto_free char *target = xasprintf("../%s/" GROUP_ARCHIVE, own);
	struct stat st;
	if (fstatat(g->dir_fd, here, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISLNK(st.st_mode) &&
	    renameat2(g->dir_fd, here, g->dir_fd, there, RENAME_EXCHANGE) < 0)
		return error_errno(err, "move the revision of '%s' to '%s'", other, own);
	bool link = fstatat(g->dir_fd, there, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
	if (link && (unlinkat(g->dir_fd, there, 0) < 0 || symlinkat(target, g->dir_fd, there) < 0))
		return error_errno(err, "point '%s' at '%s'", other, own);
	free(revision->archive);
	revision->archive = xstrdup(revision->deployment_id);
	return 0;
}

int official_group_write(struct group *g, const json_t *labels, size_t *ret_unwritable,
			 struct error *err)
{
	size_t unwritable = 0;
	int r = manifest_stream(g->fd, MANIFEST, count_unwritable, &unwritable, err);
	if (r < 0 && r != -ENOENT)
		return r;
	auto_close int dirfd =
		fs_mkdirs(g->run->root_fd, OFFICIAL_INSTRUCTIONS, layout_mode_tools(g->run), err);
	if (dirfd < 0 || (r = own_archive(g, err)) < 0 || (r = instructions_write(g, err)) < 0 ||
	    (r = add_labels(g, dirfd, labels, err)) < 0)
		return dirfd < 0 ? dirfd : r;
	layout_write_pointers(g);
	r = fs_sync_fs(dirfd, err);
	if (r >= 0)
		*ret_unwritable = unwritable;
	return r;
}
