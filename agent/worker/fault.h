/* SPDX-License-Identifier: Apache-2.0 */
/* Fault points of the crash tests: FAULT("name") stands after every journal record and every system
 * call that changes something. They exist only where FAULT_POINTS is defined
 * (the programs below tests/crash/); anywhere else nothing is compiled.
 */
#pragma once

#ifdef FAULT_POINTS
#include <stdbool.h>

/* SLIPWAY_FAULT_AT=N: the N-th point that this process reaches kills it (SIGKILL).
 * SLIPWAY_FAULT_LOG=FILE: every point appends "N name" to FILE. */
void fault_point(const char *name);
/* SLIPWAY_DEFECT=NAME: leave this safety out, so that the tests can show that they notice. */
bool fault_defect(const char *name);

/* For a test program: count from 0 again and do action (NULL: kill) at point at (0: never). */
void fault_arm(unsigned at, void (*action)(void));
unsigned fault_count(void);

#define FAULT(name) fault_point(name)
#define FAULT_DEFECT(name) fault_defect(name)
#else
#define FAULT(name) ((void)0)
#define FAULT_DEFECT(name) false
#endif
