/* SPDX-License-Identifier: Apache-2.0 */
/* Die at a system call: the linker puts these in front of every call that changes something
 * (-Wl,--wrap, see Makemodule.am), so that the code under test is the product's own. */
#pragma once

/* Count from 0 again and kill the process (SIGKILL) when it is about to do call number at; 0:
 * never. */
void calls_arm(unsigned at);
unsigned calls_count(void);
