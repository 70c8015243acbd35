/* SPDX-License-Identifier: Apache-2.0 */
/* Where the races of race-install.c happen: an application that belongs to a user, as does the
 * directory that it is installed in and the one above that; a tree outside, and a "vault" beside
 * the application, which are root's and none of anybody's business. */
#pragma once

#include "tests/crash/attacker.h"
#include "tests/crash/world.h"

#define ARENA_USER 1234

struct arena {
	char scratch[PATH_MAX];
	bool own_mount; /* the destination is a file system that belongs to the user */
	bool root;      /* the attacker is root */
	struct world w; /* the application is A, B or nothing */
	struct attacker *attacker;
	char *outside; /* what is there */
};

/* With a running attacker, and A deployed. scratch, own_mount and root are given. */
void arena_make(struct arena *a);
void arena_clear(struct arena *a);
/* A again, whatever a round has left; the transaction before is forgotten. */
void arena_renew(const struct arena *a);
void arena_deploy(const struct arena *a, enum tree tree);
/* Is everything outside as it was: content, type, mode, owner, times, links? Tells the first
 * difference as a TAP comment. */
bool arena_is_untouched(const struct arena *a);

/* What is put in a target's place. */
enum bait { BAIT_LINK, BAIT_RELATIVE, BAIT_FIFO, BAIT_HARDLINK, BAIT_DIR, BAIT_VAULT, BAIT_COUNT };
const char *bait_name(enum bait bait);
/* Make it, and say in *ret how it gets to the target, a path below scratch. prefix: the target is
 * the name in its directory that begins like its last part. */
void arena_lay(const struct arena *a, const char *target, bool prefix, enum bait bait,
	       enum swap_how how, struct swap *ret);
/* Away with it. What the attacker could not move back returns. */
void arena_take_away(const struct arena *a, const struct swap *s);
