/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of a deployment: how many hosts may be out of service, what to do next, in which
 * order. Pure: numbers in, decision out; deploy.c acts.
 *
 * One invariant gives every documented example: running + failed <= N - M, where N is the number of
 * targets and M how many must stay healthy. The deployment succeeds when succeeded >= max(1, M). */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sched_minimum_type {
	SCHED_HOST_COUNT,
	SCHED_FLEET_PERCENT,
	SCHED_MOST_CONCURRENCY, /* one at a time; only of a built-in configuration */
};
const char *sched_minimum_type_to_string(enum sched_minimum_type type); /* "HOST_COUNT", ... */

/* A deployment configuration. */
struct sched_config {
	const char *name;
	const char *id;
	enum sched_minimum_type type;
	int64_t value; /* hosts, or percent */
	bool builtin;
};
#define SCHED_CONFIG_DEFAULT "CodeDeployDefault.OneAtATime"
/* The built-in ones, by name; NULL past the last. */
const struct sched_config *sched_config_builtin(size_t index);
/* NULL when there is none with this name. */
const struct sched_config *sched_config_find(const char *name);

/* M for N hosts. M >= N means that the rule cannot be kept by any deployment. A built-in
 * configuration always can: for a single host it is 0, so the one host is taken and must succeed.
 */
int64_t sched_minimum(const struct sched_config *config, int64_t hosts);

/* The rule in words: "CodeDeployDefault.OneAtATime: of 3 hosts at least 2 stay in service, at most
 * 1 is deployed to at a time". Caller frees. */
char *sched_describe(const struct sched_config *config, int64_t hosts);

struct sched_counts {
	int64_t total, minimum; /* N, M */
	int64_t pending, running, succeeded, failed;
};
enum sched_verdict {
	SCHED_WAIT,    /* for a running host */
	SCHED_START,   /* start so many more */
	SCHED_HALT,    /* no further host may be taken down, and hosts remain: skip them */
	SCHED_SUCCESS, /* nothing is left to do, enough succeeded */
	SCHED_FAILURE, /* nothing is left to do, too few succeeded */
};
struct sched_step {
	enum sched_verdict verdict;
	int64_t start; /* with SCHED_START: at least 1 */
};
struct sched_step sched_next(const struct sched_counts *counts);

/* The order of hosts: unhealthy ones, then those whose revision is unknown, old, current; names
 * decide between equals. */
struct sched_host {
	const char *name;
	bool healthy;         /* the last deployment to it succeeded */
	const char *revision; /* last one installed, NULL: unknown */
};
/* group_revision: of the last successful deployment, NULL: none. */
void sched_sort(struct sched_host *hosts, size_t count, const char *group_revision);
