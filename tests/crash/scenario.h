/* SPDX-License-Identifier: Apache-2.0 */
/* What the kill test and the error test look at: every act of the transaction, in the situations
 * in which it happens. An act runs in a child, where it may die or meet errors. */
#pragma once

#include "tests/crash/calls.h"
#include "tests/crash/world.h"

#define SCENARIO_PROCESSES 2
#define SCENARIO_POINTS_MAX 40000

typedef int scenario_act(const struct world *w, struct error *err);

enum scenario_kind { SCENARIO_INSTALL, SCENARIO_UNDO, SCENARIO_SETTLE, SCENARIO_RECOVER };

/* Before the act the destination is old; when it succeeds it is new. */
struct scenario {
	const char *name;
	enum scenario_kind kind;
	enum tree old, new;
	scenario_act *prepare; /* may be NULL */
	scenario_act *act;
	bool one_way; /* whatever the point, there is one right end: new */
	bool exhaust; /* only at full size, or when named */
	bool turns;   /* when it is not killed but meets an error, old is right, too */
	/* The act meets an error at this share (in per cent) of its calls, and what it does then is
	 * looked at; 0: none. */
	unsigned error_at;
};

/* All, ended by one without a name. */
extern const struct scenario scenarios[];
const struct scenario *scenario_find(const char *name);
bool scenario_exhaust(void);

/* Private mounts: a file system of its own below the destination, and one for the group, where that
 * is allowed. Called once, before any world is made. */
void scenario_init(void);
/* A world in SCRATCH/NAME, with the old tree of s deployed. */
void scenario_world(struct world *w, const char *scratch, const char *name,
		    const struct scenario *s, unsigned scale);
void scenario_world_end(const struct world *w);
/* Everything up to the act. A failure ends the test. */
void scenario_prepare(struct world *w, const struct scenario *s);

/* How many calls of the act change something (*ret_reads: only look; may be NULL), from a run that
 * is left as it is. */
unsigned scenario_points(const struct world *w, scenario_act *act);
/* The error of error_at, for calls_fail(). */
struct calls_fault scenario_error(const struct scenario *s, unsigned points);

/* Run the act in a child that is killed at call number at, or with a sample at the next one that is
 * chosen. Returns 1, 0 when it ended before, -1 when it failed. */
int scenario_crash(const struct world *w, scenario_act *act, const struct calls_fault *fault,
		   unsigned at, struct calls_sample *sample);

/* As many processes as there may be, each with its number; the test ends when one fails. */
void scenario_run(const char *name, void (*fn)(unsigned process, void *arg), void *arg);
void *scenario_shared(size_t size);
