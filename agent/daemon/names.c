// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/names.h"

#include "agent/result.h"
#include "common/alloc.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void names_clear(struct names *names)
{
	free(names->list);
	*names = (struct names){0};
}

static int compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	if (x->changed_ns != y->changed_ns)
		return x->changed_ns < y->changed_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void add(struct names *names, int dirfd, const char *name)
{
	struct stat st;
	if (!result_is_name(name) || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (names->count % 64 == 0)
		names->list = xrealloc_array(names->list, names->count + 64, sizeof(*names->list));
	struct name *one = &names->list[names->count++];
	*one = (struct name){.changed_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 +
					   (uint64_t)st.st_mtim.tv_nsec};
	memcpy(one->name, name, strlen(name));
}

int names_list(int dirfd, struct names *ret, struct error *err)
{
	auto_close int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "open the directory");
	auto_closedir DIR *dir = fdopendir(fd);
	if (!dir)
		return error_errno(err, "read the directory");
	fd = -1;
	auto_names struct names names = {0};
	const struct dirent *entry;
	while (names.count < NAMES_MAX && (entry = readdir(dir)))
		add(&names, dirfd, entry->d_name);
	if (names.count)
		qsort(names.list, names.count, sizeof(*names.list), compare);
	*ret = names;
	names = (struct names){0};
	return 0;
}
