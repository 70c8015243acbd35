// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/listing.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTING_MAX ((size_t)1 << 20)

struct listing {
	struct buf text;
	bool exact;
};

static void add_metadata(struct listing *l, const struct fs_entry *e)
{
	struct stat st = e->st;
	if (str_eq(e->name, "victim")) {
		st.st_nlink = 0;
		st.st_ctim = (struct timespec){0};
	}
	buf_addf(&l->text, " ino %llu mode %o uid %u gid %u links %u mtime %lld.%ld ctime %lld.%ld",
		 (unsigned long long)st.st_ino, st.st_mode, st.st_uid, st.st_gid,
		 (unsigned)st.st_nlink, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
		 (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

/* The first line of a file, or the text of a link: they are short here. */
static void add_content(struct listing *l, const struct fs_entry *e)
{
	char content[256];
	ssize_t n = 0;
	if (S_ISREG(e->st.st_mode)) {
		auto_close int fd = openat(e->dirfd, e->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, content, sizeof(content) - 1);
	} else if (S_ISLNK(e->st.st_mode)) {
		n = readlinkat(e->dirfd, e->name, content, sizeof(content) - 1);
	}
	content[n < 0 ? 0 : n] = '\0';
	buf_addf(&l->text, " size %lld: %.*s",
		 S_ISDIR(e->st.st_mode) && !l->exact ? 0LL : (long long)e->st.st_size,
		 (int)strcspn(content, "\n"), content);
}

static int add_entry(const struct fs_entry *e, void *arg, struct error *err)
{
	struct listing *l = arg;
	(void)err;
	buf_addf(&l->text, "%s type %o", e->path, e->st.st_mode >> 12);
	if (l->exact)
		add_metadata(l, e);
	add_content(l, e);
	buf_addf(&l->text, "\n");
	return 0;
}

char *listing_make(const char *path, bool exact)
{
	struct error err = {0};
	struct listing l = {.text = BUF_INIT(LISTING_MAX), .exact = exact};
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fs_walk(fd, FS_WALK_SORTED, add_entry, &l, &err) < 0)
		buf_addf(&l.text, "%s cannot be read\n", path);
	return buf_take(&l.text);
}

bool listing_compare(const char *what, const char *was, const char *is)
{
	if (str_eq(was, is))
		return true;
	while (*was && *is) {
		size_t n = strcspn(was, "\n"), m = strcspn(is, "\n");
		if (n != m || memcmp(was, is, n) != 0)
			break;
		was += n + 1;
		is += m + 1;
	}
	printf("# %s was: %.*s\n# %s is:  %.*s\n", what, (int)strcspn(was, "\n"), was, what,
	       (int)strcspn(is, "\n"), is);
	return false;
}
