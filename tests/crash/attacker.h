/* SPDX-License-Identifier: Apache-2.0 */
/* A second process that swaps an object of a tree for something else and back: the races of
 * race-install.c and race-unpack.c. It has the rights of a user of its own and obeys orders, so
 * that it acts exactly between two system calls of the process under test, or goes on swapping as
 * fast as it can. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How an object gives way. */
enum swap_how {
	SWAP_EXCHANGE, /* in one step: there is always something at the name */
	SWAP_GAP,      /* moved away, then the other put in its place */
	SWAP_SQUAT,    /* nothing was there */
};

struct swap {
	enum swap_how how;
	char target[PATH_MAX]; /* the name that is attacked */
	char spare[PATH_MAX];  /* what is put there, on the same file system */
	char saved[PATH_MAX];  /* where a gap moves the object; nothing is there */
	/* The target is a name that begins like this in the folder target: a staging directory. */
	char prefix[32];
};

/* In memory that all processes share. */
struct attacker {
	uint32_t order, done; /* numbers; a process waits at each */
	uint32_t kind;        /* of the last order */
	struct swap swap;
	bool swapped;     /* it is now */
	unsigned swaps;   /* of this round that succeeded */
	unsigned misfits; /* of this round: it could not be swapped back, another object is there */
	unsigned steps;   /* for steps_share() */
	pid_t pid;
};

/* Start the process; it ends with this one. */
struct attacker *attacker_start(uid_t uid);
void attacker_stop(struct attacker *a);
/* A new round. */
void attacker_aim(struct attacker *a, const struct swap *swap);
/* Each returns when it is done. */
void attacker_swap(struct attacker *a);
void attacker_revert(struct attacker *a);
/* From now on without a pause; ended by attacker_revert(). */
void attacker_run(struct attacker *a);
