/* SPDX-License-Identifier: Apache-2.0 */
/* How far something is, in one line that fits the terminal:
 *
 *     unpack    [#########...............]  38 %  10.2 MB of 27.0 MB  5.1 MB/s  3 s left
 *
 * On a narrow terminal the parts at the right go first. A rate and a time are told only of bytes,
 * and when they have been measured for a while: operations are too different for an honest one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bar {
	char what[24];        /* "unpack"; "": there is nothing to show */
	bool bytes;           /* what is counted; else it is a number of things */
	uint64_t done, total; /* total 0: nobody knows it, and then there is no bar */
	uint64_t started_us;  /* monotonic */
};

/* From now on it is about that. */
void bar_start(struct bar *bar, const char *what, bool bytes, uint64_t now_us);
/* It never goes back. */
void bar_set(struct bar *bar, uint64_t done, uint64_t total);
/* The line, at most so many columns. Caller frees. */
char *bar_line(const struct bar *bar, uint64_t now_us, unsigned columns);
