// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/world.h"

#include "agent/worker/manifest.h"
#include "agent/worker/plan.h"
#include "common/alloc.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One object of the revisions, as text: a line of a kind and what it is in A and in B. '%' stands
 * for a number below count. */
struct row {
	const char *path;
	unsigned count;
	const char *a, *b; /* "" nothing, "d:MODE[:UID]", "f:MODE:SIZE[:UID]", "l:TEXT" */
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
	{"meta-%", 4, "d:755", "d:711"},
	{"meta-%/same", 4, "f:644:30", "f:644:30"},
	{"owner-%", 3, "f:644:30:1234", "f:644:30:1235"},
	{"owner-dir", 1, "d:755:1234", "d:755:1235"},
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

/* Content that tells its path and revision in every line, so that a torn file shows. */
static void write_content(int fd, const char *path, const char *revision, size_t size)
{
	auto_free char *line = xasprintf("%s of revision %s\n", path, revision);
	auto_free char *bytes = xcalloc(1, size + 1);
	for (size_t at = 0; at < size; at++)
		bytes[at] = line[at % strlen(line)];
	if (fs_write_all(fd, bytes, size) < 0)
		bail_out("write %s: %s", path, strerror(errno));
}

static void make_object(int dirfd, const char *path, const char *what, const char *revision)
{
	/* Old and round: the same in both revisions where nothing else differs. */
	const struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
	unsigned mode = 0755, size = 0, uid = geteuid();
	if (what[0] == 'l') {
		if (symlinkat(what + 2, dirfd, path) < 0)
			bail_out("symlink %s: %s", path, strerror(errno));
	} else if (what[0] == 'd') {
		sscanf(what, "d:%o:%u", &mode, &uid);
		mode |= geteuid() == 0 ? 0 : 0200; /* else a plan refuses to remove it */
		if (mkdirat(dirfd, path, 0755) < 0 || fchmodat(dirfd, path, mode, 0) < 0)
			bail_out("mkdir %s: %s", path, strerror(errno));
	} else {
		sscanf(what, "f:%o:%u:%u", &mode, &size, &uid);
		auto_close int fd =
			openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || fchmod(fd, mode) < 0)
			bail_out("create %s: %s", path, strerror(errno));
		write_content(fd, path, revision, size);
	}
	utimensat(dirfd, path, times, AT_SYMLINK_NOFOLLOW);
	if (geteuid() == 0 && fchownat(dirfd, path, uid, getegid(), AT_SYMLINK_NOFOLLOW) < 0)
		bail_out("chown %s: %s", path, strerror(errno));
}

static void make_row(int dirfd, const struct row *row, bool b)
{
	const char *what = b ? row->b : row->a;
	const char *percent = strchr(row->path, '%');
	for (unsigned i = 0; i < row->count && what[0]; i++) {
		auto_free char *path = percent ? xasprintf("%.*s%u%s", (int)(percent - row->path),
							   row->path, i, percent + 1)
					       : xstrdup(row->path);
		make_object(dirfd, path, what, b && !str_eq(row->a, row->b) ? "B" : "A");
	}
}

static void make_archive(const struct world *w, bool b)
{
	auto_free char *path = xasprintf("%s/archive/%s/tree", w->base, b ? "b" : "a");
	if (fs_mkdirs_path(path, 0755, NULL) < 0)
		bail_out("mkdir %s", path);
	auto_close int fd = open_dir(path);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		make_row(fd, &rows[i], b);
}

/* What was there before, and is none of our business. */
static void make_foreign(const struct world *w)
{
	auto_free char *path = xasprintf("%s/app/links", w->dest);
	if (fs_mkdirs_path(path, 0755, NULL) < 0)
		bail_out("mkdir %s", path);
	auto_close int fd = open_dir(w->dest);
	make_object(fd, "neighbour", "f:644:400", "host");
	make_object(fd, "app/links/foreign", "f:600:33", "host");
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

void world_make(struct world *w, const char *base, const char *dest, const char *group)
{
	static const enum tree order[] = {TREE_A, TREE_B, TREE_NONE};
	struct error err = {0};
	world_know(w, base, dest, group);
	make_archive(w, false);
	make_archive(w, true);
	make_foreign(w);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		unsigned stages;
		if (world_deploy(w, order[i], &err) < 0)
			bail_out("deploy %s: %s", tree_name(order[i]), err.text);
		world_print(w, w->print[order[i]], &stages);
		w->objects[order[i]] = count_manifest(w);
	}
}

static int plan(const struct world *w, enum tree to, int archive_fd, int group_fd,
		struct error *err)
{
	auto_free char *destination = xasprintf("%s/app", w->dest);
	struct spec_file file = {.source = (char *)"tree", .destination = destination, .line = 3};
	struct spec spec = {.files = &file, .n_files = 1};
	struct plan_request request = {.archive_fd = archive_fd,
				       .spec = to == TREE_NONE ? NULL : &spec,
				       .group_id = "group",
				       .groups_fd = -1,
				       .group_fd = group_fd};
	struct plan_summary summary;
	auto_problems struct problems problems = {0};
	return plan_make(&request, &summary, &problems, err);
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

static void print_content(struct printer *p, const struct fs_entry *e)
{
	char bytes[65536];
	auto_close int fd = openat(e->dirfd, e->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 0;
	while (fd >= 0 && (n = read(fd, bytes, sizeof(bytes))) > 0)
		digest_update(p->digest, bytes, (size_t)n);
	if (n < 0)
		digest_update(p->digest, "unreadable", 10);
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
	if (S_ISREG(e->st.st_mode))
		print_content(p, e);
	if (S_ISLNK(e->st.st_mode)) {
		char text[PATH_MAX];
		ssize_t n = readlinkat(e->dirfd, e->name, text, sizeof(text));
		digest_update(p->digest, text, n > 0 ? (size_t)n : 0);
	}
	return 0;
}

void world_print(const struct world *w, char out[PRINT_MAX], unsigned *ret_stages)
{
	struct printer p = {0};
	struct error err = {0};
	if (digest_new_sha256(&p.digest, &err) < 0)
		bail_out("%s", err.text);
	auto_close int fd = open_dir(w->dest);
	if (fs_walk(fd, FS_WALK_SORTED, print_entry, &p, &err) < 0)
		bail_out("%s", err.text);
	digest_hex(p.digest, out);
	digest_free(p.digest);
	*ret_stages = p.stages;
}

static bool is_tree(const struct world *w, enum tree tree, const char *print)
{
	if (str_eq(print, w->print[tree]))
		return true;
	const char *other = "a mixture";
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
