// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/world.h"

#include "agent/worker/manifest.h"
#include "agent/worker/plan.h"
#include "common/alloc.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/str.h"
#include "tests/crash/objects.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

void bail_out(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	printf("Bail out! ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
	_exit(1);
}

const char *tree_name(enum tree tree)
{
	static const char *const names[] = {"nothing", "A", "B"};
	return names[tree];
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		bail_out("open %s: %s", path, strerror(errno));
	return fd;
}

static void make_archive(const struct world *w, bool b, unsigned scale)
{
	auto_free char *path = xasprintf("%s/archive/%s/tree", w->base, b ? "b" : "a");
	if (fs_mkdirs_path(path, 0755, NULL) < 0)
		bail_out("mkdir %s", path);
	auto_close int fd = open_dir(path);
	objects_make(fd, b, scale, strlen(w->dest) + strlen("/app"));
}

void world_know(struct world *w, const char *base, const char *dest, const char *group)
{
	memset(w, 0, sizeof(*w));
	if (fs_mkdirs_path(base, 0755, NULL) < 0 || fs_mkdirs_path(dest, 0755, NULL) < 0 ||
	    fs_mkdirs_path(group, 0700, NULL) < 0)
		bail_out("cannot make %s, %s and %s", base, dest, group);
	if (!realpath(base, w->base) || !realpath(dest, w->dest) || !realpath(group, w->group))
		bail_out("%s: %s", base, strerror(errno));
}

static unsigned count_manifest(const struct world *w)
{
	struct manifest m;
	struct error err = {0};
	auto_close int fd = open_dir(w->group);
	if (manifest_load(&m, fd, MANIFEST, &err) < 0)
		bail_out("%s", err.text);
	unsigned count = (unsigned)m.count;
	manifest_clear(&m);
	return count;
}

/* A is in place. What it looks like when it has been used. */
static void note_worn(struct world *w)
{
	unsigned stages;
	world_wear(w);
	w->can_wear = w->worn;
	world_print(w, w->print_worn, &stages);
	w->worn = false;
}

void world_make(struct world *w, const char *base, const char *dest, const char *group)
{
	world_make_scaled(w, base, dest, group, 1);
}

void world_make_scaled(struct world *w, const char *base, const char *dest, const char *group,
		       unsigned scale)
{
	static const enum tree order[] = {TREE_A, TREE_B, TREE_NONE};
	struct error err = {0};
	world_know(w, base, dest, group);
	make_archive(w, false, scale);
	make_archive(w, true, scale);
	auto_close int fd = open_dir(w->dest);
	objects_foreign(fd);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		unsigned stages;
		if (world_deploy(w, order[i], &err) < 0)
			bail_out("deploy %s: %s", tree_name(order[i]), err.text);
		world_print(w, w->print[order[i]], &stages);
		w->objects[order[i]] = count_manifest(w);
		if (order[i] == TREE_A)
			note_worn(w);
	}
}

void world_wear(struct world *w)
{
	auto_free char *path = xasprintf("%s/app", w->dest);
	auto_close int fd = open_dir(path);
	w->worn = objects_wear(fd);
}

static int plan(const struct world *w, enum tree to, int archive_fd, int group_fd,
		struct error *err)
{
	auto_free char *destination = xasprintf("%s/app", w->dest);
	struct spec_file file = {.source = (char *)"tree", .destination = destination, .line = 3};
	struct spec_permission permissions[OBJECTS_GRANTED];
	struct spec spec = {.files = &file, .n_files = 1, .permissions = permissions};
	spec.n_permissions = objects_permissions(to == TREE_B, destination, permissions);
	struct plan_request request = {.archive_fd = archive_fd,
				       .spec = to == TREE_NONE ? NULL : &spec,
				       .group_id = "group",
				       .groups_fd = -1,
				       .group_fd = group_fd,
				       .allow_setid = true};
	struct plan_summary summary;
	auto_problems struct problems problems = {0};
	int r = plan_make(&request, &summary, &problems, err);
	objects_permissions_free(permissions, spec.n_permissions);
	return r;
}

int world_install(const struct world *w, enum tree to, struct error *err)
{
	auto_close int group_fd = open(w->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group_fd < 0)
		return error_errno(err, "%s", w->group);
	auto_free char *path = xasprintf("%s/archive/%s", w->base, to == TREE_B ? "b" : "a");
	auto_close int archive_fd = to == TREE_NONE ? -1 : open_dir(path);
	int r = plan(w, to, archive_fd, group_fd, err);
	return r < 0 ? r : install_run(group_fd, archive_fd, "d-CRASH", NULL, NULL, err);
}

int world_undo(const struct world *w, struct error *err)
{
	auto_close int fd = open_dir(w->group);
	return install_undo(fd, NULL, NULL, err);
}

int world_settle(const struct world *w, struct error *err)
{
	auto_close int fd = open_dir(w->group);
	return install_settle(fd, err);
}

int world_recover(const struct world *w, enum install_state *ret, struct error *err)
{
	auto_close int fd = open_dir(w->group);
	return install_recover(fd, ret, err);
}

int world_deploy(const struct world *w, enum tree to, struct error *err)
{
	int r = world_install(w, to, err);
	return r < 0 ? r : world_settle(w, err);
}

struct printer {
	struct digest *digest;
	unsigned stages;
};

static void print_content(struct printer *p, int fd)
{
	char bytes[65536];
	ssize_t n;
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		digest_update(p->digest, bytes, (size_t)n);
	if (n < 0)
		digest_update(p->digest, "unreadable", 10);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Extended attributes, ACLs among them, in the order of their names. */
static void print_attributes(struct printer *p, int fd)
{
	char names[4096], value[4096];
	const char *sorted[64];
	ssize_t n = flistxattr(fd, names, sizeof(names));
	size_t count = 0;
	for (ssize_t at = 0; at < n && count < ARRAY_LEN(sorted);
	     at += (ssize_t)strlen(names + at) + 1)
		sorted[count++] = names + at;
	qsort(sorted, count, sizeof(*sorted), compare_names);
	for (size_t i = 0; i < count; i++) {
		ssize_t len = fgetxattr(fd, sorted[i], value, sizeof(value));
		digest_update(p->digest, sorted[i], strlen(sorted[i]));
		digest_update(p->digest, value, len > 0 ? (size_t)len : 0);
	}
}

static int print_entry(const struct fs_entry *e, void *arg, struct error *err)
{
	struct printer *p = arg;
	(void)err;
	if (strncmp(e->name, ".slipway", 8) == 0) {
		p->stages++;
		return FS_WALK_SKIP;
	}
	bool dir = S_ISDIR(e->st.st_mode);
	auto_free char *line = xasprintf(
		"%s %o %u %u %lld %lld\n", e->path, e->st.st_mode, e->st.st_uid, e->st.st_gid,
		dir ? 0LL : (long long)e->st.st_size, dir ? 0LL : (long long)e->st.st_mtim.tv_sec);
	digest_update(p->digest, line, strlen(line));
	if (S_ISLNK(e->st.st_mode)) {
		char text[PATH_MAX];
		ssize_t n = readlinkat(e->dirfd, e->name, text, sizeof(text));
		digest_update(p->digest, text, n > 0 ? (size_t)n : 0);
		return 0;
	}
	auto_close int fd = openat(e->dirfd, e->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		print_attributes(p, fd);
	if (fd >= 0 && S_ISREG(e->st.st_mode))
		print_content(p, fd);
	return 0;
}

static void print_below(const struct world *w, const char *path, struct printer *p)
{
	struct error err = {0};
	auto_free char *full = xasprintf("%s%s", w->dest, path);
	auto_close int fd = open_dir(full);
	if (fs_walk(fd, FS_WALK_SORTED, print_entry, p, &err) < 0)
		bail_out("%s", err.text);
}

static bool is_mount(const struct world *w)
{
	struct stat a, b;
	auto_free char *path = xasprintf("%s" WORLD_MOUNT, w->dest);
	return stat(w->dest, &a) == 0 && stat(path, &b) == 0 && a.st_dev != b.st_dev;
}

void world_print(const struct world *w, char out[PRINT_MAX], unsigned *ret_stages)
{
	struct printer p = {0};
	struct error err = {0};
	if (digest_new_sha256(&p.digest, &err) < 0)
		bail_out("%s", err.text);
	print_below(w, "", &p);
	if (is_mount(w))
		print_below(w, WORLD_MOUNT, &p);
	digest_hex(p.digest, out);
	digest_free(p.digest);
	*ret_stages = p.stages;
}

static bool is_tree(const struct world *w, enum tree tree, const char *print)
{
	const char *other = "a mixture";
	if (str_eq(print, tree == TREE_A && w->worn ? w->print_worn : w->print[tree]))
		return true;
	for (enum tree t = 0; t < TREE_COUNT; t++)
		if (str_eq(print, w->print[t]))
			other = tree_name(t);
	printf("# the destination is %s, not %s\n", other, tree_name(tree));
	return false;
}

static bool nothing_left(const struct world *w)
{
	static const char *const files[] = {"journal", "manifest.next", "plan"};
	bool clean = true;
	auto_close int fd = open_dir(w->group);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (faccessat(fd, files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			printf("# %s is left\n", files[i]);
			clean = false;
		}
	return clean;
}

bool world_is(const struct world *w, enum tree tree, bool settled)
{
	char print[PRINT_MAX];
	unsigned stages;
	world_print(w, print, &stages);
	bool good = is_tree(w, tree, print);
	if (!settled)
		return good;
	if (stages > 0)
		printf("# %u staging directories are left\n", stages);
	unsigned objects = count_manifest(w);
	if (objects != w->objects[tree])
		printf("# the manifest has %u objects, not %u\n", objects, w->objects[tree]);
	return nothing_left(w) && good && stages == 0 && objects == w->objects[tree];
}

static bool say(const char *what, const struct error *err)
{
	printf("# %s: %s\n", what, err->text);
	return false;
}

bool world_judge(const struct world *w, enum tree old, enum tree new, bool one_way, enum tree *ret)
{
	struct error err = {0};
	enum install_state state;
	if (world_recover(w, &state, &err) < 0)
		return say("recover", &err);
	bool installed = state == INSTALL_INSTALLED;
	*ret = installed && old == new ? TREE_B : installed || one_way ? new : old;
	if (!world_is(w, *ret, !installed))
		return false;
	if (!installed)
		return true;
	if (old == new) {
		*ret = old;
		if (world_undo(w, &err) < 0)
			return say("undo", &err);
	} else if (world_settle(w, &err) < 0) {
		return say("settle", &err);
	}
	return world_is(w, *ret, true);
}

bool world_next(const struct world *w, enum tree now, enum tree back_to)
{
	struct error err = {0};
	enum tree next = now == TREE_B ? TREE_A : TREE_B;
	if (world_deploy(w, next, &err) < 0)
		return say("the next deployment", &err);
	if (!world_is(w, next, true))
		return false;
	if (next != back_to && world_deploy(w, back_to, &err) < 0)
		return say("the deployment after it", &err);
	return true;
}

void scratch_make(char out[PATH_MAX])
{
	const char *tmp = getenv("TMPDIR");
	snprintf(out, PATH_MAX, "/dev/shm/slipway-crash-XXXXXX");
	if (access("/dev/shm", W_OK) == 0 && mkdtemp(out))
		return;
	snprintf(out, PATH_MAX, "%s/slipway-crash-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(out))
		bail_out("%s: %s", out, strerror(errno));
}

void scratch_remove(const char *path)
{
	struct error err = {0};
	auto_free char *parent = xstrdup(path);
	char *slash = strrchr(parent, '/');
	*slash = '\0';
	auto_close int fd = open_dir(parent);
	if (fs_remove_tree(fd, slash + 1, &err) < 0)
		printf("# %s\n", err.text);
}
