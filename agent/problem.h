/* SPDX-License-Identifier: Apache-2.0 */
/* A list of problems, so that a person sees all of them at once: an AppSpec's mistakes, a plan's
 * refusals. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum problem_level { PROBLEM_ERROR, PROBLEM_WARNING };

struct problem {
	enum problem_level level;
	char *where; /* "appspec.yml:12:3", a path, or "" */
	char *text;  /* lower case, no full stop, says what was expected */
	bool note;   /* it stands for many others */
};

#define PROBLEMS_MAX 200 /* beyond it they are only counted */

/* Each problem as it is added, also beyond PROBLEMS_MAX. */
typedef void problems_tell_fn(const struct problem *problem, void *arg);

struct problems {
	problems_tell_fn *tell; /* may be NULL; then nothing is told */
	void *arg;
	struct problem *list;
	size_t count;
	size_t errors, warnings; /* counted, also beyond PROBLEMS_MAX */
};

void problems_clear(struct problems *p);
#define auto_problems CLEANUP(problems_clear)
void problems_add(struct problems *p, enum problem_level level, const char *where, const char *fmt,
		  ...) PRINTF_LIKE(4, 5);
/* The same for the few that stand for many others: kept also beyond PROBLEMS_MAX. */
void problems_note(struct problems *p, enum problem_level level, const char *where, const char *fmt,
		   ...) PRINTF_LIKE(4, 5);
/* In the order of a file's lines, for whom goes through it; what has no line comes first. */
void problems_by_line(struct problems *p);
/* One line each: "error: WHERE: TEXT". */
void problems_print(const struct problems *p, FILE *out);
/* [{"level":"error","where":"...","text":"..."}]; new reference. */
json_t *problems_to_json(const struct problems *p);
/* Warnings become errors (lint --strict). */
void problems_harden(struct problems *p);
/* 0 when there is no error; else code with "N problems: first; second; ..." as far as the text
 * holds, notes before all others. */
int problems_check(const struct problems *p, int code, struct error *err) MUST_CHECK;
