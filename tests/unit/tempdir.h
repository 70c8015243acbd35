/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of its own for each test that wants one: cmocka_unit_test_setup_teardown(test,
 * tempdir_setup, tempdir_teardown); the test then finds a struct tempdir in *state. */
#pragma once

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tempdir {
	int fd;
	char *path, *name;
	int parent;
};

static inline int tempdir_setup(void **state)
{
	const char *base = getenv("TMPDIR");
	struct tempdir *dir = xcalloc(1, sizeof(*dir));
	dir->path = xasprintf("%s/slipway-unit.XXXXXX", base && *base == '/' ? base : "/tmp");
	if (!mkdtemp(dir->path))
		return -1;
	dir->name = strrchr(dir->path, '/') + 1;
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir->parent = openat(dir->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = dir;
	return dir->fd < 0 || dir->parent < 0 ? -1 : 0;
}

static inline int tempdir_teardown(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	int r = fs_remove_tree(dir->parent, dir->name, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	close(dir->fd);
	close(dir->parent);
	free(dir->path);
	free(dir);
	return r;
}

static inline void tempdir_write(const struct tempdir *dir, const char *name, const char *text)
{
	int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

/* The content of a file; the caller frees. */
static inline char *tempdir_read(const struct tempdir *dir, const char *name)
{
	char *text = NULL;
	struct error err = {0};
	if (fs_read_file(dir->fd, name, 1 << 24, &text, NULL, &err) < 0)
		fail_msg("%s", err.text);
	return text;
}

#define tempdir_test(f) cmocka_unit_test_setup_teardown(f, tempdir_setup, tempdir_teardown)
