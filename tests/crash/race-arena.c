// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/race-arena.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "tests/crash/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The application; "" nothing, "d:MODE:UID", "f:MODE:UID", "l:TEXT". */
static const struct object {
	const char *path, *a, *b;
} objects[] = {
	{"conf", "d:755:1234", "d:755:1234"},
	{"conf/changed", "f:644:1234", "f:640:1234"},
	{"conf/other", "f:600:0", "f:600:0"},
	{"conf/mode", "f:644:1234", "f:755:1234"},
	{"conf/gone", "f:644:0", ""},
	{"conf/new", "", "f:644:1234"},
	{"conf/deep", "d:755:1234", "d:755:1234"},
	{"conf/deep/changed", "f:644:1234", "f:644:1234"},
	{"conf/deep/link", "l:changed", "l:../changed"},
	{"meta", "d:755:1234", "d:711:1234"},
	{"meta/same", "f:644:1234", "f:644:1234"},
	{"given", "d:755:0", "d:755:1234"},
	{"old", "d:755:1234", ""},
	{"old/file", "f:644:1234", ""},
	{"fresh", "", "d:755:1234"},
	{"fresh/one", "", "f:644:1234"},
	{"fresh/sub", "", "d:700:1234"},
	{"swap", "f:644:1234", "d:755:1234"},
	{"swap/inside", "", "f:644:1234"},
	{"back", "d:755:1234", "f:644:1234"},
	{"back/inside", "f:644:1234", ""},
};

const char *bait_name(enum bait bait)
{
	static const char *const names[] = {
		"a link",      "a relative link",           "a FIFO",
		"a hard link", "a directory of the user's", "a directory of root's"};
	return names[bait];
}

static char *below(const struct arena *a, const char *path)
{
	return xasprintf("%s/%s", a->scratch, path);
}

static void make_object(const char *dir, const struct object *o, bool b, bool root)
{
	const char *what = b ? o->b : o->a;
	if (root && !*what && strncmp(o->path, "swap/", 5) != 0)
		what = o->b;
	auto_free char *path = xasprintf("%s/%s", dir, o->path);
	unsigned mode = 0, uid = 0;
	if (!*what)
		return;
	if (*what == 'l') {
		if (symlink(what + 2, path) < 0 || lchown(path, root ? 0 : ARENA_USER, 0) < 0)
			bail_out("symlink %s: %s", path, strerror(errno));
		return;
	}
	sscanf(what + 2, "%o:%u", &mode, &uid);
	if (*what == 'd' && mkdir(path, 0755) < 0)
		bail_out("mkdir %s: %s", path, strerror(errno));
	if (*what == 'f') {
		auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		auto_free char *text = xasprintf("%s of %s\n", o->path,
						 root ? "root"
						 : b  ? "B"
						      : "A");
		if (fd < 0 || fs_write_all(fd, text, strlen(text)) < 0)
			bail_out("create %s: %s", path, strerror(errno));
	}
	if (chown(path, root ? 0 : uid, 0) < 0 || chmod(path, mode) < 0)
		bail_out("chown %s: %s", path, strerror(errno));
}

/* A tree like the application's; root: all of it is root's. */
static void make_tree(const char *dir, bool b, bool root)
{
	if (fs_mkdirs_path(dir, 0755, NULL) < 0)
		bail_out("mkdir %s", dir);
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		make_object(dir, &objects[i], b, root);
}

static void give(const char *path)
{
	if (chown(path, ARENA_USER, ARENA_USER) < 0)
		bail_out("chown %s: %s", path, strerror(errno));
}

/* Where the attacker keeps its things: on the file system of what it swaps. */
static const char *evil_of(const struct arena *a)
{
	return a->own_mount ? "home/user/site/evil" : a->root ? "evil" : "home/user/evil";
}

/* What a link in the place of PATH leads to is outside/PATH. */
static void make_outside(const struct arena *a)
{
	static const char *const trees[] = {"outside/home/user/site/app", "home/user/site/vault"};
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		auto_free char *tree = below(a, trees[i]);
		auto_free char *victim = xasprintf("%s/victim", tree);
		make_tree(tree, false, true);
		auto_close int fd = open(victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || fs_write_all(fd, "secret\n", 7) < 0)
			bail_out("create %s: %s", victim, strerror(errno));
	}
}

/* Everything that is nobody's business here. Caller frees. */
static char *snapshot(const struct arena *a)
{
	static const char *const roots[] = {"outside", "home/user/site/vault"};
	auto_free char *first = below(a, roots[0]);
	auto_free char *second = below(a, roots[1]);
	auto_free char *one = listing_make(first, true);
	auto_free char *two = listing_make(second, true);
	return xasprintf("%s%s", one, two);
}

bool arena_is_untouched(const struct arena *a)
{
	auto_free char *now = snapshot(a);
	return listing_compare("outside", a->outside, now);
}

static int count_one(const char *path, char type, void *arg)
{
	(void)path;
	(void)type;
	++*(unsigned *)arg;
	return 0;
}

void arena_deploy(const struct arena *a, enum tree tree)
{
	struct error err = {0};
	if (world_deploy(&a->w, tree, &err) < 0)
		bail_out("deploy %s: %s", tree_name(tree), err.text);
}

static int remove_stage(const struct fs_entry *e, void *arg, struct error *err)
{
	(void)arg;
	if (strncmp(e->name, ".slipway-", 9) == 0)
		return fs_remove_tree(e->dirfd, e->name, err);
	return S_ISDIR(e->st.st_mode) ? FS_WALK_SKIP : 0;
}

/* Nothing is deployed, and nothing is left of what was. */
static void forget(const struct arena *a)
{
	static const char *const places[] = {"home", "home/user/site"};
	struct error err = {0};
	auto_close int scratch_fd = open(a->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		auto_free char *path = below(a, places[i]);
		auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fs_walk(fd, 0, remove_stage, NULL, &err) < 0 ||
		    (i == 1 && fs_remove_tree(fd, "app", &err) < 0))
			bail_out("%s", err.text);
	}
	if (fs_remove_tree(scratch_fd, "group", &err) < 0 || mkdirat(scratch_fd, "group", 0700) < 0)
		bail_out("%s", err.text);
}

void arena_renew(const struct arena *a)
{
	forget(a);
	arena_deploy(a, TREE_A);
}

void arena_make(struct arena *a)
{
	static const enum tree order[] = {TREE_A, TREE_B};
	static const char *const folders[] = {"home/user/site", "base"};
	a->attacker = attacker_start(a->root ? 0 : ARENA_USER);
	if (chmod(a->scratch, 0711) < 0)
		bail_out("chmod %s", a->scratch);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		auto_free char *path = below(a, folders[i]);
		if (fs_mkdirs_path(path, 0755, NULL) < 0)
			bail_out("mkdir %s", path);
	}
	auto_free char *user = below(a, "home/user");
	auto_free char *site = below(a, "home/user/site");
	auto_free char *base = below(a, "base");
	auto_free char *group = below(a, "group");
	if (a->own_mount && mount("tmpfs", site, "tmpfs", 0, "mode=755") < 0)
		bail_out("mount %s: %s", site, strerror(errno));
	auto_free char *evil = below(a, evil_of(a));
	if (fs_mkdirs_path(evil, 0755, NULL) < 0)
		bail_out("mkdir %s", evil);
	give(user);
	make_outside(a);
	give(site);
	give(evil);
	for (int b = 0; b < 2; b++) {
		auto_free char *tree = xasprintf("%s/archive/%s/tree", base, b ? "b" : "a");
		make_tree(tree, b, false);
		give(tree);
	}
	world_know(&a->w, base, site, group);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		struct error err = {0};
		unsigned stages;
		arena_deploy(a, order[i]);
		world_print(&a->w, a->w.print[order[i]], &stages);
		auto_close int fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (install_manifest_each(fd, count_one, &a->w.objects[order[i]], &err) < 0)
			bail_out("%s", err.text);
	}
	arena_deploy(a, TREE_A);
	a->outside = snapshot(a);
}

void arena_clear(struct arena *a)
{
	struct error err = {0};
	auto_free char *site = below(a, "home/user/site");
	attacker_stop(a->attacker);
	if (a->own_mount && umount2(site, MNT_DETACH) < 0)
		bail_out("umount %s: %s", site, strerror(errno));
	auto_close int fd = open(a->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static const char *const folders[] = {"home", "outside", "evil", "base", "group"};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (fs_remove_tree(fd, folders[i], &err) < 0)
			bail_out("%s", err.text);
	free(a->outside);
}

/* A symbolic link that leads from path to the same place outside. */
static void make_link(const struct arena *a, const char *spare, const char *target, bool relative)
{
	auto_free char *text = xasprintf(
		"%s%s/outside/%s", relative ? "../../../../../../../../../../../../../.." : "",
		a->scratch, target);
	if (symlink(text, spare) < 0 || (!a->root && lchown(spare, ARENA_USER, ARENA_USER) < 0))
		bail_out("symlink %s: %s", spare, strerror(errno));
}

static void make_hardlink(const struct arena *a, const char *spare)
{
	auto_free char *victim = below(a, a->own_mount ? "home/user/site/vault/victim"
						       : "outside/home/user/site/app/victim");
	if (link(victim, spare) < 0)
		bail_out("link %s: %s", spare, strerror(errno));
}

/* A directory in which every file of the application is one of root's. */
static void make_trap(const struct arena *a, const char *spare)
{
	if (mkdir(spare, 0755) < 0)
		bail_out("mkdir %s: %s", spare, strerror(errno));
	give(spare);
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		const char *slash = strrchr(objects[i].path, '/');
		auto_free char *path =
			xasprintf("%s/%s", spare, slash ? slash + 1 : objects[i].path);
		if (objects[i].a[0] == 'f' && access(path, F_OK) < 0)
			make_hardlink(a, path);
	}
}

static void put_path(char out[PATH_MAX], const char *dir, const char *sub, const char *name)
{
	auto_free char *path = xasprintf("%s/%s%s%s", dir, sub, *name ? "/" : "", name);
	if (strlen(path) >= PATH_MAX)
		bail_out("%s: too long", path);
	strcpy(out, path);
}

static void make_bait(const struct arena *a, const char *target, enum bait bait, struct swap *s)
{
	switch (bait) {
	case BAIT_LINK:
	case BAIT_RELATIVE:
		make_link(a, s->spare, target, bait == BAIT_RELATIVE);
		break;
	case BAIT_FIFO:
		if (mkfifo(s->spare, 0644) < 0)
			bail_out("mkfifo %s: %s", s->spare, strerror(errno));
		give(s->spare);
		break;
	case BAIT_HARDLINK:
		make_hardlink(a, s->spare);
		break;
	case BAIT_DIR:
		make_trap(a, s->spare);
		break;
	default:
		put_path(s->spare, a->scratch, "home/user/site/vault", "");
		break;
	}
}

void arena_lay(const struct arena *a, const char *target, bool prefix, enum bait bait,
	       enum swap_how how, struct swap *ret)
{
	*ret = (struct swap){.how = how};
	put_path(ret->target, a->scratch, target, "");
	put_path(ret->spare, a->scratch, evil_of(a), "spare");
	put_path(ret->saved, a->scratch, evil_of(a), "saved");
	make_bait(a, target, bait, ret);
	if (prefix) {
		char *slash = strrchr(ret->target, '/');
		snprintf(ret->prefix, sizeof(ret->prefix), "%s", slash + 1);
		*slash = '\0';
	}
}

static void remove_path(const char *path)
{
	struct error err = {0};
	auto_free char *parent = xstrdup(path);
	char *slash = strrchr(parent, '/');
	*slash = '\0';
	auto_close int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs_remove_tree(fd, slash + 1, &err) < 0)
		bail_out("%s", err.text);
}

void arena_take_away(const struct arena *a, const struct swap *s)
{
	struct stat st;
	if (lstat(s->saved, &st) == 0) {
		remove_path(s->target);
		if (rename(s->saved, s->target) < 0)
			bail_out("put %s back: %s", s->target, strerror(errno));
	}
	auto_free char *spare = xasprintf("%s/%s/spare", a->scratch, evil_of(a));
	remove_path(spare);
}
