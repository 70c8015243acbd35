/* SPDX-License-Identifier: Apache-2.0 */
/* Die at a system call: the linker puts these in front of every call that changes something
 * (-Wl,--wrap, see Makemodule.am), so that the code under test is the product's own. */
#pragma once

/* Count from 0 again and kill the process (SIGKILL) when it is about to do call number at; 0:
 * never. */
void calls_arm(unsigned at);

/* The same for a sample of the calls from at on: at, at + step, at + 2 step ... are looked at. What
 * kind of place one is, the name of the call and of the one before it tell: the first few of a kind
 * are always chosen, then one in so many. Memory that outlives the process; zeroed by the caller at
 * first. */
#define CALLS_KINDS 32
struct calls_sample {
	unsigned step, one_in;
	unsigned at; /* where the process died */
	unsigned seen[CALLS_KINDS][CALLS_KINDS];
};
void calls_arm_sample(unsigned at, struct calls_sample *s);

unsigned calls_count(void);
