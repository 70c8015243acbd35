/* SPDX-License-Identifier: Apache-2.0 */
/* Stop between two system calls: the linker puts these in front of every call that looks at a name
 * or changes one (-Wl,--wrap, see Makemodule.am), so that somebody else can act right before it,
 * in every gap between a check and its use. The code under test is the product's own.
 *
 * SLIPWAY_DEFECT switches off what keeps an attacker out, so that the tests can show that they
 * notice: "following-opens" (openat2 follows symbolic links), "uncontained" (that, and unpacking
 * without chroot and Landlock). */
#pragma once

/* Count from 0 again; call begin before call number at and end before call number until (0: never;
 * NULL: nothing). */
void steps_arm(unsigned at, void (*begin)(void), unsigned until, void (*end)(void));
unsigned steps_count(void);
/* In memory that child processes share, so that a child goes on where its parent was. */
void steps_share(unsigned *count);
