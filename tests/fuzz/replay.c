// SPDX-License-Identifier: Apache-2.0
/* Stands in for libFuzzer's main in ordinary builds: runs every file of tests/data/fuzz/X/ through
 * fuzz_X, so that each seed and each past crash stays tested. Speaks TAP. */
#include "tests/fuzz/fuzz.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_MAX (4 * 1024 * 1024)

static int run_one(const struct fs_entry *entry, void *arg, struct error *err)
{
	auto_free char *data = NULL;
	size_t len = 0;
	int r = fs_read_file(entry->dirfd, entry->name, SEED_MAX, &data, &len, err);
	if (r < 0)
		return r;
	/* a copy of exactly that size: a sanitizer sees the first byte behind it */
	uint8_t *exact = malloc(len ? len : 1);
	memcpy(exact, data, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	printf("ok %d - %s\n", ++*(int *)arg, entry->path);
	return 0;
}

int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir"), *base = strrchr(argv[0], '/');
	const char *name = strstr(base ? base : argv[0], "fuzz_");
	auto_free char *path = xasprintf("%s/tests/data/fuzz/%s", top ? top : ".",
					 name ? name + strlen("fuzz_") : "");
	auto_close int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error err = {0};
	int count = 0;
	if (dirfd < 0 || fs_walk(dirfd, FS_WALK_SORTED, run_one, &count, &err) < 0 || count == 0) {
		printf("Bail out! seeds in '%s': %s\n", path, err.text);
		return 1;
	}
	printf("1..%d\n", count);
	return 0;
}
