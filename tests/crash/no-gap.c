// SPDX-License-Identifier: Apache-2.0
/* No gap: while revisions A and B are installed in turns, a reader loops over every name that both
 * have. It must always find the whole old or the whole new object, never a missing or a torn one.
 * What only one of them has may be missing, but not torn. Then the same against an installer that
 * writes in place, which the reader must notice. */
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/log.h"
#include "tests/crash/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define INSTALLS 100
#define NAMES_MAX 1000
#define BYTES_MAX (512 * 1024)

/* What a name is in one revision: type 0 when it has none. */
struct version {
	char type;
	size_t len;
	char *bytes; /* content or link text */
};

struct name {
	char *path; /* below the revision's tree */
	struct version a, b;
};

/* Shared with the reader. */
struct tally {
	bool stop;
	unsigned long reads, old, new, missing, torn;
};

static struct name names[NAMES_MAX];
static unsigned n_names;

static struct name *name_of(const char *path)
{
	for (unsigned i = 0; i < n_names; i++)
		if (strcmp(names[i].path, path) == 0)
			return &names[i];
	if (n_names == NAMES_MAX)
		bail_out("too many names");
	names[n_names].path = xstrdup(path);
	return &names[n_names++];
}

/* The object at path as it is now; type 0: missing, '?': something that is neither file nor link.
 */
static struct version look(int dirfd, const char *path, char *bytes)
{
	struct version v = {.bytes = bytes};
	ssize_t n = readlinkat(dirfd, path, bytes, BYTES_MAX);
	if (n >= 0) {
		v.type = 'l';
		v.len = (size_t)n;
		return v;
	}
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		v.type = errno == ENOENT || errno == ENOTDIR ? 0 : '?';
		return v;
	}
	v.type = 'f';
	while ((n = read(fd, bytes + v.len, BYTES_MAX - v.len)) > 0)
		v.len += (size_t)n;
	if (n < 0)
		v.type = '?';
	return v;
}

static int learn(const struct fs_entry *e, void *arg, struct error *err)
{
	bool b = *(bool *)arg;
	(void)err;
	if (S_ISDIR(e->st.st_mode))
		return 0;
	static char bytes[BYTES_MAX];
	struct name *name = name_of(e->path);
	struct version v = look(e->dirfd, e->name, bytes);
	v.bytes = xcalloc(1, v.len + 1);
	memcpy(v.bytes, bytes, v.len);
	*(b ? &name->b : &name->a) = v;
	return 0;
}

static int open_below(const char *base, const char *path)
{
	auto_free char *full = xasprintf("%s/%s", base, path);
	int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		bail_out("%s: %s", full, strerror(errno));
	return fd;
}

static void learn_names(const struct world *w)
{
	for (int b = 0; b < 2; b++) {
		bool second = b;
		struct error err = {0};
		auto_close int fd = open_below(w->base, b ? "archive/b/tree" : "archive/a/tree");
		if (fs_walk(fd, FS_WALK_SORTED, learn, &second, &err) < 0)
			bail_out("%s", err.text);
	}
}

static bool same(const struct version *a, const struct version *b)
{
	return a->type == b->type && a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static void judge(const struct name *name, const struct version *v, struct tally *t)
{
	bool both = name->a.type && name->b.type, steady = name->a.type == name->b.type;
	t->reads++;
	if (v->type == 0) {
		t->missing += both;
		return;
	}
	if (name->a.type && same(v, &name->a))
		t->old++;
	else if (name->b.type && same(v, &name->b))
		t->new ++;
	else if (steady || v->type != '?')
		t->torn++;
}

static void reader(const struct world *w, struct tally *t)
{
	static char bytes[BYTES_MAX];
	auto_close int fd = open_below(w->dest, "app");
	while (!__atomic_load_n(&t->stop, __ATOMIC_SEQ_CST))
		for (unsigned i = 0; i < n_names; i++) {
			/* Between readlink and open a link may become a file, and back: look again
			 * before calling it torn. */
			struct version v = look(fd, names[i].path, bytes);
			if (v.type == '?')
				v = look(fd, names[i].path, bytes);
			judge(&names[i], &v, t);
		}
}

static bool install_properly(const struct world *w, enum tree to)
{
	struct error err = {0};
	if (world_deploy(w, to, &err) == 0)
		return true;
	printf("# %s\n", err.text);
	return false;
}

/* As a copying installer does it. */
static bool install_in_place(const struct world *w, enum tree to)
{
	auto_close int fd = open_below(w->dest, "app");
	for (unsigned i = 0; i < n_names; i++) {
		const struct version *v = to == TREE_B ? &names[i].b : &names[i].a;
		if (names[i].a.type != 'f' || names[i].b.type != 'f')
			continue;
		auto_close int out =
			openat(fd, names[i].path, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
		if (out < 0 || fs_write_all(out, v->bytes, v->len) < 0)
			return false;
	}
	return true;
}

static bool run(const struct world *w, struct tally *t, unsigned installs,
		bool (*install)(const struct world *w, enum tree to))
{
	memset(t, 0, sizeof(*t));
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		reader(w, t);
		_exit(0);
	}
	bool good = pid > 0;
	for (unsigned i = 0; i < installs && good; i++)
		good = install(w, i % 2 ? TREE_A : TREE_B);
	__atomic_store_n(&t->stop, true, __ATOMIC_SEQ_CST);
	int status;
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && good;
}

int main(void)
{
	log_init("no-gap", LOG_ERR);
	umask(022);
	char scratch[PATH_MAX];
	scratch_make(scratch);
	struct world w;
	auto_free char *dest = xasprintf("%s/dest", scratch);
	auto_free char *group = xasprintf("%s/group", scratch);
	struct tally *t =
		mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct error err = {0};
	if (t == MAP_FAILED)
		bail_out("mmap");
	world_make(&w, scratch, dest, group);
	learn_names(&w);
	if (world_deploy(&w, TREE_A, &err) < 0)
		bail_out("%s", err.text);

	bool ran = run(&w, t, INSTALLS, install_properly);
	bool good = ran && t->missing == 0 && t->torn == 0 && t->old > 0 && t->new > 0;
	printf("%sok 1 - %lu reads of %u names during %u installs: %lu old, %lu new, %lu missing, "
	       "%lu torn\n",
	       good ? "" : "not ", t->reads, n_names, INSTALLS, t->old, t->new, t->missing,
	       t->torn);
	ran = run(&w, t, INSTALLS, install_in_place);
	bool noticed = ran && t->torn > 0;
	printf("%sok 2 - an installer that writes in place is noticed: %lu torn\n",
	       noticed ? "" : "not ", t->torn);
	printf("1..2\n");
	munmap(t, sizeof(*t));
	scratch_remove(scratch);
	return good && noticed ? 0 : 1;
}
