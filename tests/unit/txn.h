/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary host for the tests of plan and install: an archive, a destination, two groups. */
#pragma once

#include "agent/worker/install.h"
#include "agent/worker/plan.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct txn {
	char base[PATH_MAX]; /* canonical: /tmp may be a symlink */
	int base_fd, archive_fd, groups_fd, group_fd;
	struct spec spec;
	struct spec_file files[8];
	struct spec_permission permissions[8];
	struct problems problems;
	struct plan_summary summary;
	struct plan_request request;
	struct error err;
};

static inline int txn_dir(const struct txn *t, const char *path)
{
	char full[2 * PATH_MAX];
	snprintf(full, sizeof(full), "%s/%s", t->base, path);
	assert_int_equal(fs_mkdirs_path(full, 0755, NULL), 0);
	int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline int txn_setup(void **state)
{
	struct txn *t = xcalloc(1, sizeof(*t));
	char made[] = "/tmp/slipway-txn-XXXXXX";
	assert_non_null(mkdtemp(made));
	assert_non_null(realpath(made, t->base));
	t->base_fd = open(t->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(txn_dir(t, "dest"));
	t->archive_fd = txn_dir(t, "archive");
	t->groups_fd = txn_dir(t, "groups");
	t->group_fd = txn_dir(t, "groups/one");
	t->spec.files = t->files;
	t->spec.permissions = t->permissions;
	t->request = (struct plan_request){.archive_fd = t->archive_fd,
					   .spec = &t->spec,
					   .group_id = "one",
					   .groups_fd = t->groups_fd,
					   .group_fd = t->group_fd};
	*state = t;
	return 0;
}

static inline void txn_clear_spec(struct txn *t)
{
	for (size_t i = 0; i < t->spec.n_files; i++) {
		free(t->files[i].source);
		free(t->files[i].destination);
	}
	for (size_t i = 0; i < t->spec.n_permissions; i++)
		free(t->permissions[i].object);
	t->spec.n_files = t->spec.n_permissions = 0;
	problems_clear(&t->problems);
}

static inline int txn_teardown(void **state)
{
	struct txn *t = *state;
	txn_clear_spec(t);
	close(t->archive_fd);
	close(t->groups_fd);
	close(t->group_fd);
	close(t->base_fd);
	char *slash = strrchr(t->base, '/');
	int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(parent, slash + 1, NULL), 0);
	close(parent);
	free(t);
	return 0;
}

/* A file below base, with the directories on its way. */
static inline void txn_write(const struct txn *t, const char *path, const char *content)
{
	char dir[PATH_MAX];
	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	int dirfd = txn_dir(t, dir);
	int fd = openat(dirfd, strrchr(path, '/') + 1, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
	close(dirfd);
}

static inline void txn_link(const struct txn *t, const char *text, const char *path)
{
	assert_int_equal(symlinkat(text, t->base_fd, path), 0);
}

static inline void txn_remove(const struct txn *t, const char *path)
{
	assert_int_equal(fs_remove_tree(t->base_fd, path, NULL), 0);
}

/* The content of a file, the text of a symlink, "/" for a directory, "" for nothing. */
static inline const char *txn_read(const struct txn *t, const char *path)
{
	static char text[256];
	struct stat st;
	ssize_t n = 0;
	memset(text, 0, sizeof(text));
	if (fstatat(t->base_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return "";
	if (S_ISDIR(st.st_mode))
		return "/";
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(t->base_fd, path, text, sizeof(text) - 1);
	} else {
		int fd = openat(t->base_fd, path, O_RDONLY | O_CLOEXEC);
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	assert_true(n >= 0);
	return text;
}

static inline void txn_file(struct txn *t, const char *source, const char *below)
{
	struct spec_file *f = &t->files[t->spec.n_files++];
	f->source = xstrdup(source);
	f->destination = xasprintf("%s%s%s", t->base, below[0] ? "/" : "", below);
	f->line = 10 + (unsigned)t->spec.n_files;
}

static inline struct spec_permission *txn_permission(struct txn *t, const char *below)
{
	struct spec_permission *p = &t->permissions[t->spec.n_permissions++];
	*p = (struct spec_permission){.object = xasprintf("%s/%s", t->base, below),
				      .pattern = (char *)"**",
				      .files = true,
				      .directories = true,
				      .line = 20 + (unsigned)t->spec.n_permissions};
	return p;
}

static inline int txn_plan(struct txn *t)
{
	problems_clear(&t->problems);
	t->err = (struct error){0};
	return plan_make(&t->request, &t->summary, &t->problems, &t->err);
}

static inline int txn_install(struct txn *t)
{
	t->err = (struct error){0};
	return install_run(t->group_fd, t->archive_fd, "d-TEST", NULL, NULL, &t->err);
}

/* Plan, install and settle: all must succeed. */
static inline void txn_deploy(struct txn *t)
{
	if (txn_plan(t) != 0 || txn_install(t) != 0 || install_settle(t->group_fd, &t->err) != 0)
		fail_msg("%s", t->err.text);
}

static inline bool txn_has_problem(const struct txn *t, enum problem_level level, const char *text)
{
	for (size_t i = 0; i < t->problems.count; i++)
		if (t->problems.list[i].level == level && (strstr(t->problems.list[i].text, text) ||
							   strstr(t->problems.list[i].where, text)))
			return true;
	return false;
}

/* How many names lie in a directory below base. */
static inline unsigned txn_count(const struct txn *t, const char *path)
{
	int fd = openat(t->base_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	DIR *dir = fdopendir(fd);
	unsigned n = 0;
	const struct dirent *d;
	while ((d = readdir(dir)))
		n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
	closedir(dir);
	return n;
}
