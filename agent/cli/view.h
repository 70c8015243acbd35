/* SPDX-License-Identifier: Apache-2.0 */
/* What a person sees while a worker works: one line per step when it has ended; on a terminal also
 * a live line below: a bar, or the running step, its time and the last line of its output. */
#pragma once

#include "agent/cli/bar.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct view {
	bool quiet;    /* --json: shows nothing */
	bool live;     /* on a terminal that can redraw a line */
	char step[64]; /* that runs; "" when none does */
	uint64_t started_us;
	char note[160]; /* the last line of output */
	struct bar bar; /* of what has one just now */
	bool drawn;     /* the live line is on the screen */
	bool rolling_back;
	bool all;        /* every problem, however many there are */
	size_t problems; /* that came */
};

/* "0.2 s", "1 min 05 s", "2 h 03 min"; out has 32 bytes. */
const char *view_duration(double seconds, char out[32]);

/* An event of the worker (docs/formats/worker.md); those that are not shown are ignored. */
void view_event(struct view *view, const json_t *event);
/* Draw the live line again: about once a second. */
void view_tick(struct view *view);
/* Take the live line away: before anything else is printed. */
void view_clear(struct view *view);
/* The worker is gone: what was not shown. */
void view_end(const struct view *view);
