/* SPDX-License-Identifier: Apache-2.0 */
/* Die or fail at a system call: the linker puts these in front of every call that changes something
 * and of many that only look (-Wl,--wrap, see Makemodule.am), so that the code under test is the
 * product's own. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Count from 0 again and kill the process (SIGKILL) when it is about to do call number at of those
 * that change something; 0: never. No call fails. */
void calls_arm(unsigned at);

/* The same for a sample of the calls from at on: at, at + step, at + 2 step ... are looked at. What
 * kind of place one is, the name of the call and of the one before it tell: the first few of a kind
 * are always chosen, then one in so many. Memory that outlives the process; zeroed by the caller at
 * first. */
#define CALLS_KINDS 48
struct calls_sample {
	unsigned step, one_in;
	unsigned at; /* where the process died */
	unsigned seen[CALLS_KINDS][CALLS_KINDS];
};
void calls_arm_sample(unsigned at, struct calls_sample *s);

unsigned calls_count(void);

/* What a call is about; decides which calls fail together. */
enum calls_class {
	CALLS_NAMES = 1, /* makes, moves or removes a name */
	CALLS_SPACE = 2, /* may need room that the file system has not */
	CALLS_DATA = 4,  /* writes bytes, and may write fewer */
	CALLS_META = 8,
	CALLS_SYNC = 16,
	CALLS_READ = 32, /* changes nothing */
};
#define CALLS_CHANGE (CALLS_NAMES | CALLS_SPACE | CALLS_DATA | CALLS_META | CALLS_SYNC)

/* A failure. Bytes that fit into blocks which a file has already do not need room. */
struct calls_fault {
	unsigned at;      /* of the calls that change something, or, with reads, that do not */
	bool reads;       /* at counts those */
	int error;        /* errno; 0: fewer bytes are written than asked for */
	unsigned lasting; /* and from then on every call that is of one of these classes; 0: once */
	dev_t only, spared; /* file systems, 0 none: all others are well; this one is well */
};
/* After calls_arm(). */
void calls_fail(const struct calls_fault *fault);

/* What the calls were, in their order; memory that outlives the process. After calls_arm(). */
struct calls_seen {
	const char *name;
	unsigned class;
};
void calls_record(struct calls_seen *changes, struct calls_seen *reads, unsigned max);
unsigned calls_count_reads(void);
