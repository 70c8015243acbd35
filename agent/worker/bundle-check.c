// SPDX-License-Identifier: Apache-2.0
/* Where a symbolic link leads is known only when all of them are there (one may go through
 * another), so that is asked of the finished tree. */
#include "agent/worker/bundle-check.h"

#include "common/fs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int check_link(const struct bundle_limits *limits, const struct bundle_entry *entry,
		      const char *path, struct error *err)
{
	const char *to = entry->hardlink ? entry->hardlink : entry->symlink;
	if (!limits->refuse_links || !(entry->hardlink || S_ISLNK(entry->mode)))
		return 0;
	return error_set(err, ERR_INPUT,
			 "entry '%.200s' is a %s link to '%.200s', which "
			 "reject_symlinks_in_bundle refuses",
			 path, entry->hardlink ? "hard" : "symbolic", to);
}

static int check_setid(const struct bundle_limits *limits, mode_t mode, const char *path,
		       struct error *err)
{
	if (!S_ISREG(mode) || !(mode & (S_ISUID | S_ISGID)) ||
	    (limits->allow_setid && !limits->refuse_setid))
		return 0;
	return error_set(err, ERR_INPUT, "entry '%.200s' has a set-id bit (mode %04o)%s", path,
			 (unsigned)(mode & 07777),
			 limits->refuse_setid
				 ? ", which reject_unsafe_permissions_in_bundle refuses"
				 : "; set allow_setid to accept such entries");
}

int bundle_check_entry(const struct bundle_limits *limits, const struct bundle_entry *entry,
		       const char *path, struct error *err)
{
	int r = check_link(limits, entry, path, err);
	if (r < 0 || entry->hardlink)
		return r;
	return check_setid(limits, entry->mode, path, err);
}

struct looking {
	int dir_fd;
	const struct bundle_limits *limits;
};

static int check_outward(const struct looking *l, const struct fs_entry *at, struct error *err)
{
	auto_close int fd = fs_open_inside(l->dir_fd, at->path, O_PATH, 0);
	if (fd != -EXDEV)
		return 0;
	return error_set(err, ERR_INPUT,
			 "entry '%.200s' is a symbolic link that leads out of the bundle, which "
			 "reject_path_traversal_in_bundle refuses",
			 at->path);
}

/* fs_walk_fn */
static int look(const struct fs_entry *at, void *arg, struct error *err)
{
	const struct looking *l = arg;
	char text[PATH_MAX] = "";
	struct bundle_entry entry = {.mode = at->st.st_mode, .symlink = text};
	if (S_ISLNK(at->st.st_mode)) {
		ssize_t n = readlinkat(at->dirfd, at->name, text, sizeof(text) - 1);
		if (n < 0)
			return error_errno(err, "read the symlink '%.200s'", at->path);
		text[n] = '\0';
	}
	if (S_ISREG(at->st.st_mode) && at->st.st_nlink > 1)
		entry.hardlink = "another name";
	int r = bundle_check_entry(l->limits, &entry, at->path, err);
	if (r == 0 && l->limits->refuse_outward && S_ISLNK(at->st.st_mode))
		r = check_outward(l, at, err);
	return r;
}

int bundle_check_tree(int dir_fd, const struct bundle_limits *limits, struct error *err)
{
	struct looking l = {.dir_fd = dir_fd, .limits = limits};
	if (!limits->refuse_links && !limits->refuse_outward && !limits->refuse_setid)
		return 0;
	return fs_walk(dir_fd, FS_WALK_SORTED, look, &l, err);
}
