// SPDX-License-Identifier: Apache-2.0
/* One act of the transaction as a program of its own, for tests that watch it from outside:
 *
 *   txn DIR make           a world in DIR, with A deployed
 *   txn DIR install        B over A, not settled
 *   txn DIR undo | settle  after install
 *   txn DIR check ACT      after a crash of ACT: recover, judge, deploy the next; ends with A
 *                          deployed and prints "old" or "new"
 *
 * install, undo and settle print how many calls they made that change something.
 */
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "tests/crash/calls.h"
#include "tests/crash/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void know(struct world *w, const char *dir)
{
	auto_free char *dest = xasprintf("%s/dest", dir);
	auto_free char *group = xasprintf("%s/group", dir);
	world_know(w, dir, dest, group);
}

/* The digests outlive the process in a file. */
static void save(const struct world *w)
{
	auto_close int fd = open(w->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs_write_atomic(fd, "world", w, sizeof(*w), 0600, NULL) < 0)
		bail_out("cannot save the world");
}

static void load(struct world *w)
{
	auto_close int fd = open(w->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *bytes = NULL;
	size_t len = 0;
	if (fs_read_file(fd, "world", sizeof(*w), &bytes, &len, NULL) < 0 || len != sizeof(*w))
		bail_out("there is no world in %s", w->base);
	memcpy(w, bytes, sizeof(*w));
}

static int make(struct world *w, const char *dir, struct error *err)
{
	auto_free char *dest = xasprintf("%s/dest", dir);
	auto_free char *group = xasprintf("%s/group", dir);
	world_make(w, dir, dest, group);
	int r = world_deploy(w, TREE_A, err);
	save(w);
	return r;
}

static int check(const struct world *w, const char *act, struct error *err)
{
	bool undo = str_eq(act, "undo"), settle = str_eq(act, "settle");
	enum tree tree;
	if (!world_judge(w, TREE_A, undo ? TREE_A : TREE_B, settle, &tree) ||
	    !world_next(w, tree, TREE_A))
		return error_set(err, ERR_FORMAT, "violation");
	printf("%s\n", tree == TREE_A ? "old" : "new");
	return 0;
}

int main(int argc, char **argv)
{
	struct world w;
	struct error err = {0};
	int r = -EINVAL;
	log_init("txn", LOG_ERR);
	umask(022);
	if (argc < 3)
		bail_out("usage: txn DIR make|install|undo|settle|check");
	const char *act = argv[2];
	if (str_eq(act, "make")) {
		r = make(&w, argv[1], &err);
	} else {
		know(&w, argv[1]);
		load(&w);
	}
	calls_arm(0);
	if (str_eq(act, "install"))
		r = world_install(&w, TREE_B, &err);
	else if (str_eq(act, "undo"))
		r = world_undo(&w, &err);
	else if (str_eq(act, "settle"))
		r = world_settle(&w, &err);
	else if (str_eq(act, "check"))
		r = check(&w, argc > 3 ? argv[3] : "install", &err);
	if (!str_eq(act, "make") && !str_eq(act, "check"))
		printf("%u\n", calls_count());
	if (r < 0)
		fprintf(stderr, "%s: %s\n", act, err.text);
	return r < 0;
}
