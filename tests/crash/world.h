/* SPDX-License-Identifier: Apache-2.0 */
/* A small world for the crash tests: a deployment group, two revisions of an application that
 * differ in every way in which two revisions can, and a destination. All acts work on this world
 * and on nothing outside of it. */
#pragma once

#include "agent/worker/install.h"
#include "common/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Which tree a destination holds. */
enum tree { TREE_NONE, TREE_A, TREE_B, TREE_COUNT };

#define PRINT_MAX 65 /* a digest in hex */

struct world {
	char base[PATH_MAX];  /* has archive/a and archive/b */
	char dest[PATH_MAX];  /* the destination; may be on another file system */
	char group[PATH_MAX]; /* the group's own folder; may be on a third */
	char print[TREE_COUNT][PRINT_MAX];
	char print_worn[PRINT_MAX];   /* of A when it has been used */
	bool worn, can_wear;          /* the old tree is an A that has been used */
	unsigned objects[TREE_COUNT]; /* in the manifest */
};

/* Below dest; a test may mount a file system there before it makes the world. */
#define WORLD_MOUNT "/app/mnt"

/* Make both revisions below base, and note what the destination looks like with nothing, with A and
 * with B, by deploying them once. Ends with nothing deployed. Every failure ends the process with a
 * TAP bail-out. */
void world_make(struct world *w, const char *base, const char *dest, const char *group);
/* With so many times as many objects. */
void world_make_scaled(struct world *w, const char *base, const char *dest, const char *group,
		       unsigned scale);
/* A is in place: use it, so that putting it back must bring back what no deployment could give.
 * Sets w->worn when that worked; clear it when the tree is another. */
void world_wear(struct world *w);
/* Only the file names, for a world that was made before with the same arguments. */
void world_know(struct world *w, const char *base, const char *dest, const char *group);

/* Each returns 0 or below 0, as the functions of plan.h and install.h. */
int world_install(const struct world *w, enum tree to, struct error *err);
int world_undo(const struct world *w, struct error *err);
int world_settle(const struct world *w, struct error *err);
int world_recover(const struct world *w, enum install_state *ret, struct error *err);
/* Install and settle. */
int world_deploy(const struct world *w, enum tree to, struct error *err);

/* A digest over everything below dest: names, types, modes, owners, times of files, content, link
 * texts, extended attributes. Staging directories are left out and counted instead. */
void world_print(const struct world *w, char out[PRINT_MAX], unsigned *ret_stages);
/* Is the destination exactly this tree? settled: and is nothing of a transaction left, no stage, no
 * journal, and the manifest is the tree's? What differs is told as a TAP comment. */
bool world_is(const struct world *w, enum tree tree, bool settled);

/* After a crash of an act that was to lead from old to new: recover, and see that the destination
 * is the one tree or the other, as recovery says. one_way: it must be new. An undo leads from old
 * to old by way of B. Then undo or settle what is still open; ends with *ret, settled. */
bool world_judge(const struct world *w, enum tree old, enum tree new, bool one_way, enum tree *ret);
/* The next deployment must succeed; then another one, if need be, back to a tree. */
bool world_next(const struct world *w, enum tree now, enum tree back_to);

const char *tree_name(enum tree tree);

/* A folder for worlds, on a file system in memory when there is one: syncing is not what the tests
 * in it look at. Removed by scratch_remove(). */
void scratch_make(char out[PATH_MAX]);
void scratch_remove(const char *path);
void bail_out(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
