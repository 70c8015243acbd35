// SPDX-License-Identifier: Apache-2.0
/* A bundle is unpacked under ".NAME.new", and gets its name by a rename when everything is right.
 * So a crash leaves at most that directory, and the next try begins with removing it. */
#include "agent/worker/bundle.h"

#include "agent/worker/bundle-unpack.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/room.h"
#include "common/str.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define ARCHIVE_DIR_MODE 0755 /* runas accounts must get at their scripts */

static const struct {
	enum bundle_type type;
	const char *name;
	const char *suffixes[3];
} types[] = {
	{BUNDLE_AUTO, "auto", {NULL}},
	{BUNDLE_DIRECTORY, "directory", {NULL}},
	{BUNDLE_TAR, "tar", {".tar", NULL}},
	{BUNDLE_TGZ, "tgz", {".tgz", ".tar.gz", NULL}},
	{BUNDLE_TAR_ZST, "tar.zst", {".tar.zst", NULL}},
	{BUNDLE_ZIP, "zip", {".zip", NULL}},
};

const char *bundle_type_to_string(enum bundle_type t)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == t)
			return types[i].name;
	return "unknown";
}

int bundle_type_from_string(const char *name, enum bundle_type *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_eq(types[i].name, name)) {
			*ret = types[i].type;
			return 0;
		}
	}
	return -EINVAL;
}

int bundle_type_from_path(const char *path, enum bundle_type *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		for (const char *const *suffix = types[i].suffixes; *suffix; suffix++) {
			if (str_ends(path, *suffix)) {
				*ret = types[i].type;
				return 0;
			}
		}
	}
	return -EINVAL;
}

/* Names in an error may be any bytes; who reads it wants one line of text. */
static void clean_text(struct error *err)
{
	auto_free char *clean = str_to_utf8(err->text, strlen(err->text));
	for (char *c = clean; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	error_set(err, err->code, "%s", clean);
}

/* Does the directory hold anything called like an AppSpec? */
static bool holds_appspec(int dir_fd, const char *name)
{
	int fd = fs_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
	auto_closedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (strcasestr(entry->d_name, "appspec"))
			return true;
	return false;
}

/* The only name in the directory; NULL when there are none or several. Caller frees. */
static char *only_name(int dir_fd)
{
	auto_free char *only = NULL;
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (only)
			return NULL;
		only = xstrdup(entry->d_name);
	}
	return TAKE(only);
}

/* Which directory becomes the revision: tmp itself, or the only one in it that has an AppSpec
 * (GitHub's archives have such a directory around everything). Caller frees. */
static char *choose_root(int dir_fd, const char *tmp)
{
	auto_free char *only = only_name(dir_fd);
	if (only && holds_appspec(dir_fd, only))
		return xasprintf("%s/%s", tmp, only);
	return xstrdup(tmp);
}

static int check_root(int parent_fd, const char *root, const struct bundle_limits *limits,
		      struct error *err)
{
	auto_close int fd = fs_open_beneath(parent_fd, root, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return error_set(err, fd, "open '%s': %s", root, strerror(-fd));
	return bundle_check_tree(fd, limits, err);
}

/* The revision's own directory is ours, whatever the bundle says about it. */
static int own_root(int parent_fd, const char *root, struct error *err)
{
	auto_close int fd = fs_open_beneath(parent_fd, root, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return error_set(err, fd, "open '%s': %s", root, strerror(-fd));
	if (geteuid() == 0 && fchown(fd, 0, getegid()) < 0)
		return error_errno(err, "own '%s'", root);
	if (fchmod(fd, ARCHIVE_DIR_MODE) < 0)
		return error_errno(err, "change the mode of '%s'", root);
	return 0;
}

static char *tmp_name(const char *name)
{
	return xasprintf(".%s.new", name);
}

int bundle_discard(int parent_fd, const char *name, struct error *err)
{
	auto_free char *tmp = tmp_name(name);
	struct stat st;
	if (fstatat(parent_fd, tmp, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	int r = fs_remove_tree(parent_fd, tmp, err);
	return r < 0 ? r : 1;
}

/* In one step where the kernel can, also when name is taken: then root holds the old one. */
static int give_name(int parent_fd, const char *root, const char *name, struct error *err)
{
	if (renameat2(parent_fd, root, parent_fd, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EEXIST && renameat2(parent_fd, root, parent_fd, name, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != EINVAL)
		return error_errno(err, "rename the unpacked bundle to '%s'", name);
	int r = fs_remove_tree(parent_fd, name, err);
	if (r < 0)
		return r;
	if (renameat(parent_fd, root, parent_fd, name) < 0)
		return error_errno(err, "rename the unpacked bundle to '%s'", name);
	return 0;
}

static int open_tmp(int parent_fd, const char *tmp, struct error *err)
{
	int r = fs_remove_tree(parent_fd, tmp, err);
	if (r < 0)
		return r;
	if (mkdirat(parent_fd, tmp, 0700) < 0)
		return error_errno(err, "make directory '%s'", tmp);
	auto_close int fd = fs_open_beneath(parent_fd, tmp, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return error_set(err, fd, "open '%s': %s", tmp, strerror(-fd));
	/* exactly: a set-group-id parent would give its group to everything below */
	if (fchmod(fd, 0700) < 0 || (geteuid() == 0 && fchown(fd, 0, getegid()) < 0))
		return error_errno(err, "set up '%s'", tmp);
	return TAKE_FD(fd);
}

static int unpack_into(const struct bundle_job *job, int parent_fd, const char *tmp,
		       const char *name, struct bundle_stats *ret, struct error *err)
{
	bool directory = job->source->type == BUNDLE_DIRECTORY;
	int r = directory ? bundle_copy_directory(job, parent_fd, ret, err)
			  : bundle_unpack_archive(job, ret, err);
	if (r < 0)
		return r;
	auto_free char *root = directory ? xstrdup(tmp) : choose_root(job->dir_fd, tmp);
	r = check_root(parent_fd, root, job->limits, err);
	if (r == 0)
		r = own_root(parent_fd, root, err);
	return r < 0 ? r : give_name(parent_fd, root, name, err);
}

int bundle_unpack(const struct bundle_source *source, int parent_fd, const char *name,
		  const struct bundle_limits *limits, bundle_progress_fn *progress, void *arg,
		  struct bundle_stats *ret, struct error *err)
{
	assert(str_is_filename(name));
	struct error why = {0};
	struct bundle_stats stats = {0};
	auto_free char *tmp = tmp_name(name);
	auto_close int dir_fd = open_tmp(parent_fd, tmp, &why);
	struct bundle_job job = {.source = source,
				 .limits = limits,
				 .dir_fd = dir_fd,
				 .progress = progress,
				 .arg = arg};
	int r = dir_fd < 0 ? dir_fd : unpack_into(&job, parent_fd, tmp, name, &stats, &why);
	int cleaned = fs_remove_tree(parent_fd, tmp, r < 0 ? NULL : &why);
	if (r == 0)
		r = cleaned;
	if (r < 0) {
		clean_text(&why);
		r = room_advise(parent_fd, &why);
		return error_set(err, r, "bundle '%s': %s", source->name, why.text);
	}
	if (ret)
		*ret = stats;
	return 0;
}
