// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/way.h"

#include "agent/worker/fault.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel */

static bool is_trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static bool is_closed(const struct stat *dir)
{
	return is_trusted(dir->st_uid) && !(dir->st_mode & 022);
}

/* Anybody may make names in it, but only change those of its own. */
static bool is_sticky(const struct stat *dir)
{
	return is_trusted(dir->st_uid) && (dir->st_mode & S_ISVTX);
}

/* A link that was followed although others may have put it there: who must own what it leads to. */
struct hop {
	uid_t owner;
	bool given; /* there is one; else nobody will do */
};

struct chase {
	char *out;               /* the way so far, canonical; "" is the root */
	char rest[2 * PATH_MAX]; /* what is still to go */
	int fd;                  /* of out */
	struct stat st;
	unsigned links;
	struct hop hops[LINKS_MAX];
	unsigned n_hops;
	char suspect[PATH_MAX]; /* the first link that is not trusted */
};

static void suspect(struct chase *c, const char *name, const struct stat *link)
{
	bool mine = link->st_uid == c->st.st_uid || is_trusted(link->st_uid);
	struct hop hop = {.owner = c->st.st_uid, .given = mine};
	if (is_closed(&c->st) || (is_sticky(&c->st) && is_trusted(link->st_uid)))
		return;
	if (is_sticky(&c->st))
		hop = (struct hop){.owner = link->st_uid, .given = true};
	if (c->n_hops == 0)
		snprintf(c->suspect, PATH_MAX, "%s/%s", c->out, name);
	c->hops[c->n_hops++] = hop;
}

static int enter(struct chase *c, int fd)
{
	close(c->fd);
	c->fd = fd;
	return fstat(fd, &c->st) < 0 ? -errno : 0;
}

static int to_root(struct chase *c)
{
	c->out[0] = '\0';
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : enter(c, fd);
}

static int follow_link(struct chase *c, int fd, const char *name, const struct stat *st)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(fd, "", text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	if (c->links++ == LINKS_MAX)
		return -ELOOP;
	suspect(c, name, st);
	size_t rest = strlen(c->rest);
	if ((size_t)n + 1 + rest >= sizeof(c->rest))
		return -ENAMETOOLONG;
	memmove(c->rest + n + 1, c->rest, rest + 1);
	memcpy(c->rest, text, (size_t)n);
	c->rest[n] = '/';
	return text[0] == '/' ? to_root(c) : 0;
}

static int go_up(struct chase *c)
{
	char *slash = strrchr(c->out, '/');
	if (slash)
		*slash = '\0';
	int fd = openat(c->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : enter(c, fd);
}

static int go_down(struct chase *c, const char *name)
{
	auto_close int fd = openat(c->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return follow_link(c, fd, name, &st);
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	size_t len = strlen(c->out);
	if (len + 1 + strlen(name) >= PATH_MAX)
		return -ENAMETOOLONG;
	snprintf(c->out + len, PATH_MAX - len, "/%s", name);
	return enter(c, TAKE_FD(fd));
}

/* Take the next name off the rest; false at its end. */
static bool next_name(struct chase *c, char name[NAME_MAX + 1], int *r)
{
	size_t skip = strspn(c->rest, "/"), len = strcspn(c->rest + skip, "/");
	*r = len > NAME_MAX ? -ENAMETOOLONG : 0;
	if (len == 0 || *r < 0)
		return false;
	memcpy(name, c->rest + skip, len);
	name[len] = '\0';
	memmove(c->rest, c->rest + skip + len, strlen(c->rest + skip + len) + 1);
	return true;
}

static int chase(struct chase *c)
{
	char name[NAME_MAX + 1];
	int r = to_root(c);
	while (r >= 0 && next_name(c, name, &r)) {
		if (strcmp(name, ".") == 0)
			continue;
		r = strcmp(name, "..") == 0 ? go_up(c) : go_down(c, name);
	}
	return r;
}

static int judge(const struct chase *c, struct error *err)
{
	for (unsigned i = 0; i < c->n_hops && !FAULT_DEFECT("trusting-links"); i++)
		if (!c->hops[i].given || c->hops[i].owner != c->st.st_uid)
			return error_set(err, -EPERM,
					 "'%s' is a symbolic link that others than root may have "
					 "made, and it leads to '%s', which belongs to user %u",
					 c->suspect, c->out, (unsigned)c->st.st_uid);
	return 0;
}

int way_follow(const char *path, char out[PATH_MAX], struct error *err)
{
	auto_free struct chase *c = xcalloc(1, sizeof(*c));
	c->out = out;
	c->fd = -1;
	int r = -ENAMETOOLONG;
	if (strlen(path) < PATH_MAX) {
		strcpy(c->rest, path);
		r = chase(c);
	}
	fs_close_quiet(c->fd);
	if (r < 0)
		return error_set(err, r, "%s: %s", path, strerror(-r));
	r = judge(c, err);
	if (!*out)
		strcpy(out, "/");
	return r;
}

static bool is_born_since(int fd, const struct live_ident *stage)
{
	struct live_ident ident;
	struct error ignored;
	if (!stage || (stage->btime_s == 0 && stage->btime_ns == 0) ||
	    live_ident(fd, &ident, &ignored) < 0)
		return false;
	return ident.btime_s > stage->btime_s ||
	       (ident.btime_s == stage->btime_s && ident.btime_ns >= stage->btime_ns);
}

bool way_is_open_to_others(int dirfd, int fd, const struct live_ident *stage)
{
	struct stat dir, st;
	if (FAULT_DEFECT("any-directory"))
		return false;
	if (fstat(dirfd, &dir) < 0 || fstat(fd, &st) < 0)
		return true;
	if (is_closed(&dir) || is_sticky(&dir))
		return false;
	if (st.st_uid == dir.st_uid && !is_trusted(dir.st_uid))
		return false;
	return !is_born_since(fd, stage);
}

int way_open(const char *path, const struct live_ident *stage)
{
	auto_free char *copy = xstrdup(path);
	auto_close int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *rest;
	if (fd < 0)
		return -errno;
	for (char *name = strtok_r(copy, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
		int flags = rest && *rest ? O_PATH : O_RDONLY;
		int next = fs_open_beneath(fd, name, flags | O_DIRECTORY, 0);
		if (next < 0)
			return next;
		bool stale = way_is_open_to_others(fd, next, stage);
		close(fd);
		fd = next;
		if (stale)
			return -ESTALE;
	}
	return TAKE_FD(fd);
}
