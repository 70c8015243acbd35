// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/folder.h"

#include "common/cleanup.h"
#include "common/fs.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A disk would make a fuzzer ten times slower. */
#define MEMORY "/dev/shm"
#define DISK "/tmp"

static char path[64];
static int folder = -1;

static void remove_folder(void)
{
	char *name = strrchr(path, '/');
	*name = '\0';
	auto_close int base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fs_remove_tree(base, name + 1, NULL);
	assert(r == 0);
}

int fuzz_folder(void)
{
	if (folder >= 0)
		return folder;
	const char *base = access(MEMORY, W_OK) == 0 ? MEMORY : DISK;
	snprintf(path, sizeof(path), "%s/slipway-fuzz-XXXXXX", base);
	char *made = mkdtemp(path);
	assert(made);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(folder >= 0);
	atexit(remove_folder);
	return folder;
}

const char *fuzz_folder_path(void)
{
	fuzz_folder();
	return path;
}

void fuzz_folder_write(const char *name, const void *data, size_t len)
{
	auto_close int fd =
		openat(fuzz_folder(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0);
	int r = fs_write_all(fd, data, len);
	assert(r == 0);
}
