// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/objects.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "tests/crash/world.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* One object of the revisions, as text: a line of a kind and what it is in A and in B. '%' stands
 * for a number below count, '@' for as many directories as make a path of OBJECTS_LONGEST. */
struct row {
	const char *path;
	unsigned count;
	const char *a,
		*b; /* "" nothing, "d:MODE[:UID]", "f:MODE:SIZE[:UID]", "l:TEXT", "s:MODE:SIZE"
		       a file that is all hole but for its middle, "h:PATH" a hard link */
};

static const struct row rows[] = {
	{"conf", 1, "d:755", "d:750"},
	{"conf/changed-%", 30, "f:644:900", "f:644:1100"},
	{"conf/kept-%", 20, "f:600:500", "f:600:500"},
	{"conf/mode-%", 8, "f:644:300", "f:755:300"},
	{"conf/gone-%", 12, "f:644:200", ""},
	{"conf/new-%", 12, "", "f:640:700"},
	{"conf/big", 1, "f:644:300000", "f:644:310000"},
	{"links", 1, "d:755", "d:755"},
	{"links/changed-%", 8, "l:../conf/kept-1", "l:../conf/kept-2"},
	{"links/absolute-%", 2, "l:/etc/passwd", "l:/etc"},
	{"links/dangling-%", 2, "l:../no//where/.", "l:no-where/"},
	{"links/kept-%", 4, "l:nowhere", "l:nowhere"},
	{"links/gone-%", 4, "l:/etc", ""},
	{"links/new-%", 4, "", "l:."},
	{"links/to-file-%", 3, "l:../conf/kept-3", "f:644:100"},
	{"links/from-file-%", 3, "f:644:100", "l:../conf/kept-4"},
	{"file-to-dir-%", 3, "f:644:50", "d:755"},
	{"file-to-dir-%/inside", 3, "", "f:644:60"},
	{"file-to-dir-%/deeper", 3, "", "d:700"},
	{"file-to-dir-%/deeper/x", 3, "", "f:600:10"},
	{"dir-to-file-%", 3, "d:755", "f:644:70"},
	{"dir-to-file-%/inside", 3, "f:644:80", ""},
	{"dir-to-file-%/deeper", 3, "d:700", ""},
	{"dir-to-file-%/deeper/x", 3, "f:600:10", ""},
	{"link-to-dir-%", 2, "l:conf", "d:755"},
	{"link-to-dir-%/y", 2, "", "f:644:40"},
	{"dir-to-link-%", 2, "d:755", "l:links"},
	{"dir-to-link-%/y", 2, "f:644:40", ""},
	{"dangling-to-dir-%", 2, "l:none", "d:755"},
	{"dangling-to-dir-%/z", 2, "", "f:644:40"},
	{"empty-to-file", 1, "d:755", "f:644:9"},
	{"file-to-empty", 1, "f:644:9", "d:755"},
	{"meta-%", 4, "d:755", "d:711"},
	{"meta-%/same", 4, "f:644:30", "f:644:30"},
	{"owner-%", 3, "f:644:30:1234", "f:644:30:1235"},
	{"owner-dir", 1, "d:755:1234", "d:755:1235"},
	{"setid-%", 2, "f:4755:100", "f:6755:140"},
	{"setid-gone", 1, "f:4711:60:1234", "f:711:60:1234"},
	{"setid-dir", 1, "d:2755", "d:2775"},
	{"setid-dir/file", 1, "f:644:60", "f:644:61"},
	{"locked", 1, "d:555", "d:555"},
	{"locked/changed-%", 2, "f:444:100", "f:400:120"},
	{"locked/new", 1, "", "f:444:120"},
	{"sparse-%", 2, "s:644:200000", "s:644:300000"},
	{"sparse-filled", 1, "s:644:150000", "f:644:150000"},
	{"hard", 1, "d:755", "d:755"},
	{"hard/one", 1, "f:644:4000", "f:644:4100"},
	{"hard/two", 1, "h:hard/one", "h:hard/one"},
	{"hard/gone", 1, "h:hard/one", ""},
	{"hard/new", 1, "", "h:hard/two"},
	{"bytes-\xff\xfe\n-%", 2, "f:644:100", "f:644:120"},
	{"bytes-\x80", 1, "d:755", "d:755"},
	{"bytes-\x80/\xc3(", 1, "l:\xff\xfe", "l:\xfe\xff"},
	{"bytes-\x80/\xf0", 1, "", "d:755"},
	{"acl", 1, "d:755", "d:755"},
	{"acl/changed-%", 2, "f:644:100", "f:644:120"},
	{"acl/mode", 1, "f:644:100", "f:600:100"},
	{"acl/gone", 1, "f:644:100", ""},
	{"acl/new", 1, "", "f:660:120"},
	{"acl/fresh", 1, "", "d:775"},
	{"acl/fresh/file", 1, "", "f:664:120"},
	{"acl/swap", 1, "f:644:100", "d:755"},
	{"acl/swap/file", 1, "", "f:644:110"},
	{"grant", 1, "d:755", "d:755"},
	{"grant/dir-%", 3, "d:755", "d:750"},
	{"grant/dir-%/kept", 3, "f:644:20", "f:644:20"},
	{"grant/file-%", 4, "f:644:30", "f:644:30"},
	{"grant/new", 1, "", "d:755"},
	{"grant/new/file-%", 2, "", "f:644:30"},
	{"grant/was", 1, "d:755", ""},
	{"grant/was/file-%", 2, "f:644:30", ""},
	{"mnt", 1, "d:755", "d:755"},
	{"mnt/changed-%", 3, "f:644:100", "f:644:120"},
	{"mnt/gone", 1, "d:755", ""},
	{"mnt/gone/file", 1, "f:644:100", ""},
	{"mnt/fresh", 1, "", "d:755"},
	{"mnt/fresh/link", 1, "", "l:../changed-0"},
	{"mnt/swap", 1, "d:755", "f:644:50"},
	{"mnt/meta", 1, "d:755", "d:700"},
	{"long@/changed", 1, "f:644:100", "f:644:120"},
	{"long@/link", 1, "l:changed", "l:new"},
	{"fresh-long@/new", 1, "", "f:644:120"},
	{"old", 1, "d:755", ""},
	{"old/sub-%", 3, "d:755", ""},
	{"old/sub-%/file", 3, "f:644:20", ""},
	{"old/sub-%/empty", 3, "d:755", ""},
	{"fresh", 1, "", "d:755"},
	{"fresh/sub-%", 4, "", "d:755"},
	{"fresh/sub-%/one", 4, "", "f:644:2000"},
	{"fresh/sub-%/two", 4, "", "f:600:0"},
	{"fresh/sub-%/link", 4, "", "l:one"},
	{"fresh/sub-%/empty", 4, "", "d:555"},
};

/* ACLs by the AppSpec of each revision: of files the first of these, of directories both. */
static struct spec_acl grants[][2] = {
	{{.name = (char *)"1234", .perm = 6}, {.name = (char *)"1235", .perm = 4}},
	{{.name = (char *)"1236", .perm = 7}, {.is_default = true, .name = (char *)"1", .perm = 7}},
	{{.name = (char *)"1234", .perm = 4}, {.is_default = true, .name = (char *)"2", .perm = 7}},
};

static const struct {
	const char *path, *pattern, *except;
	bool files;
	int a, b; /* of grants; -1: none */
} granted[OBJECTS_GRANTED] = {
	{"grant", "file-0", NULL, true, 0, -1},    {"grant", "file-*", "file-0", true, 1, 2},
	{"grant", "dir-0", NULL, false, -1, 1},    {"grant", "dir-*", "dir-0", false, 2, 1},
	{"grant", "new", NULL, false, 1, 1},       {"grant/new", "**", NULL, true, 0, 0},
	{"grant/was", "file-0", NULL, true, 0, 0},
};

size_t objects_permissions(bool b, const char *app, struct spec_permission *out)
{
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(granted); i++) {
		int grant = b ? granted[i].b : granted[i].a;
		if (grant < 0)
			continue;
		struct spec_permission *p = &out[n++];
		*p = (struct spec_permission){.object = xasprintf("%s/%s", app, granted[i].path),
					      .pattern = (char *)granted[i].pattern,
					      .except = xcalloc(2, sizeof(char *)),
					      .files = granted[i].files,
					      .directories = !granted[i].files,
					      .has_acls = true,
					      .acls = grants[grant],
					      .n_acls = granted[i].files ? 1 : 2};
		p->except[0] = (char *)granted[i].except;
	}
	return n;
}

void objects_permissions_free(struct spec_permission *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].object);
		free(list[i].except);
	}
}

/* Content that tells its path and revision in every line, so that a torn file shows. */
static void write_content(int fd, const char *path, const char *revision, size_t from, size_t to)
{
	const char *tail = strlen(path) > 60 ? path + strlen(path) - 60 : path;
	auto_free char *line = xasprintf("%s of revision %s\n", tail, revision);
	auto_free char *bytes = xcalloc(1, to - from + 1);
	for (size_t at = from; at < to; at++)
		bytes[at - from] = line[at % strlen(line)];
	if (lseek(fd, (off_t)from, SEEK_SET) < 0 || fs_write_all(fd, bytes, to - from) < 0)
		bail_out("write %s: %s", path, strerror(errno));
}

static void make_file(int dirfd, const char *path, const char *what, const char *revision)
{
	unsigned mode = 0644, size = 0;
	if (sscanf(what + 1, ":%o:%u", &mode, &size) != 2)
		bail_out("%s makes no sense", what);
	auto_close int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		bail_out("create %s: %s", path, strerror(errno));
	bool sparse = what[0] == 's';
	if (sparse && ftruncate(fd, size) < 0)
		bail_out("size %s: %s", path, strerror(errno));
	write_content(fd, path, revision, sparse ? size / 2 : 0, sparse ? size / 2 + 4096 : size);
}

/* Owner first: changing it clears set-id bits. */
static void set_metadata(int dirfd, const char *path, const char *what)
{
	/* Old and round: the same in both revisions where nothing else differs. */
	const struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
	unsigned mode = 0755, size, uid = geteuid();
	if (what[0] == 'd')
		sscanf(what, "d:%o:%u", &mode, &uid);
	else
		sscanf(what + 1, ":%o:%u:%u", &mode, &size, &uid);
	if (what[0] == 'd' && geteuid() != 0)
		mode |= 0200; /* else a plan refuses to remove it */
	if (geteuid() == 0 && fchownat(dirfd, path, uid, getegid(), AT_SYMLINK_NOFOLLOW) < 0)
		bail_out("chown %s: %s", path, strerror(errno));
	if (what[0] != 'l' && fchmodat(dirfd, path, mode, 0) < 0)
		bail_out("chmod %s: %s", path, strerror(errno));
	utimensat(dirfd, path, times, AT_SYMLINK_NOFOLLOW);
}

static void make_object(int dirfd, const char *path, const char *what, const char *revision)
{
	int r = 0;
	if (what[0] == 'h') {
		if (linkat(dirfd, what + 2, dirfd, path, 0) < 0)
			bail_out("link %s: %s", path, strerror(errno));
		return;
	}
	if (what[0] == 'l')
		r = symlinkat(what + 2, dirfd, path);
	else if (what[0] == 'd')
		r = mkdirat(dirfd, path, 0755);
	else
		make_file(dirfd, path, what, revision);
	if (r < 0)
		bail_out("make %s: %s", path, strerror(errno));
	set_metadata(dirfd, path, what);
}

/* With a number for '%' and directories for '@'. */
static char *path_of(const struct row *row, unsigned i, size_t dest_len)
{
	const char *percent = strchr(row->path, '%'), *at = strchr(row->path, '@');
	if (percent)
		return xasprintf("%.*s%u%s", (int)(percent - row->path), row->path, i, percent + 1);
	if (!at)
		return xstrdup(row->path);
	char middle[OBJECTS_LONGEST];
	size_t len = OBJECTS_LONGEST - 1 - dest_len - strlen(row->path);
	for (size_t k = 0; k < len; k++)
		middle[k] = k % 200 == 0 && k + 1 < len ? '/' : 'm';
	middle[len] = '\0';
	return xasprintf("%.*s%s%s", (int)(at - row->path), row->path, middle, at + 1);
}

static void make_parents(int dirfd, const char *path)
{
	auto_free char *parent = xstrdup(path);
	*strrchr(parent, '/') = '\0';
	auto_close int fd = fs_mkdirs(dirfd, parent, 0755, NULL);
	if (fd < 0)
		bail_out("make %s: %s", parent, strerror(-fd));
}

void objects_make(int dirfd, bool b, unsigned scale, size_t dest_len)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		const char *what = b ? row->b : row->a;
		unsigned count = row->count > 1 ? row->count * scale : 1;
		for (unsigned k = 0; k < count && what[0]; k++) {
			auto_free char *path = path_of(row, k, dest_len);
			if (strchr(row->path, '@'))
				make_parents(dirfd, path);
			make_object(dirfd, path, what, b && !str_eq(row->a, row->b) ? "B" : "A");
		}
	}
}

/* user::rwx, user:1234:rw-, group::r-x, mask::rwx, other::--- as linux/posix_acl_xattr.h has it. */
static const unsigned char acl[] = {
	2,  0, 0, 0,                                                      /* version */
	1,  0, 7, 0, 255, 255, 255, 255, 2,  0, 6, 0, 210, 4,   0,   0,   /* user::, user:1234: */
	4,  0, 5, 0, 255, 255, 255, 255, 16, 0, 7, 0, 255, 255, 255, 255, /* group::, mask:: */
	32, 0, 0, 0, 255, 255, 255, 255,                                  /* other:: */
};

/* cap_net_bind_service=ep, as linux/capability.h has it: revision 2, effective. */
static const unsigned char capability[20] = {1, 0, 0, 2, 0, 4};

/* Returns false where the file system (or who we are) does not allow it. */
static bool give(int dirfd, const char *path, const char *name, const void *value, size_t len)
{
	auto_close int fd = fs_open_beneath(dirfd, path, O_RDONLY, 0);
	if (fd < 0)
		bail_out("%s: %s", path, strerror(-fd));
	return fsetxattr(fd, name, value, len, 0) == 0;
}

void objects_foreign(int dirfd)
{
	auto_close int links = fs_mkdirs(dirfd, "app/links", 0755, NULL);
	auto_close int acls = fs_mkdirs(dirfd, "app/acl", 0755, NULL);
	auto_close int mnt = fs_mkdirs(dirfd, "app/mnt", 0755, NULL);
	if (links < 0 || acls < 0 || mnt < 0)
		bail_out("make app: %s", strerror(errno));
	make_object(dirfd, "neighbour", "f:644:400", "host");
	make_object(links, "foreign", "f:600:33", "host");
	make_object(mnt, "foreign", "f:600:33", "host");
	if (!give(dirfd, "app/acl", "system.posix_acl_default", acl, sizeof(acl)))
		printf("# no default ACL here: %s\n", strerror(errno));
}

bool objects_wear(int dirfd)
{
	/* Not on what both have: a directory keeps its inode and would have them in B, too. */
	static const char *const noted[] = {
		"conf/changed-0", "conf/gone-0",   "conf/mode-0",
		"old/sub-0",      "dir-to-file-0", "dir-to-file-0/inside",
		"sparse-0",       "file-to-dir-0", "mnt/changed-0",
		"mnt/gone",       "acl/changed-0"};
	for (size_t i = 0; i < ARRAY_LEN(noted); i++)
		if (!give(dirfd, noted[i], "user.note", noted[i], strlen(noted[i])))
			return false;
	return give(dirfd, "conf/changed-1", "security.capability", capability,
		    sizeof(capability)) &&
	       give(dirfd, "conf/changed-2", "system.posix_acl_access", acl, sizeof(acl)) &&
	       give(dirfd, "conf/gone-1", "system.posix_acl_access", acl, sizeof(acl));
}
