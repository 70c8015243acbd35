/* SPDX-License-Identifier: Apache-2.0 */
/* Work that would hold up the loop (syncing, hashing files) on a helper thread, one job after the
 * other. A job is a struct of the caller's that begins with struct job. */
#pragma once

#include "common/error.h"
#include "common/loop.h"

struct jobs;

struct job {
	/* on the thread: nothing of the loop's may be touched */
	int (*run)(struct job *job, struct error *err);
	/* on the loop, with what run returned, or -ECANCELED when the thread was stopped; frees the
	 * job */
	void (*done)(struct job *job, int result, const struct error *err);
	/* inside only */
	struct job *next;
	int result;
	struct error err;
};

int jobs_start(struct loop *loop, struct jobs **ret, struct error *err) MUST_CHECK;
void jobs_add(struct jobs *jobs, struct job *job);
/* Waits for the job that runs, ends the others with -ECANCELED. Accepts NULL. */
void jobs_stop(struct jobs *jobs);
