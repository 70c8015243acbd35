// SPDX-License-Identifier: Apache-2.0
#include "control/sched.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct sched_config builtins[] = {
	{"CodeDeployDefault.AllAtOnce", "00000000-0000-0000-0000-000000000003", SCHED_FLEET_PERCENT,
	 0, true},
	{"CodeDeployDefault.HalfAtATime", "00000000-0000-0000-0000-000000000002",
	 SCHED_FLEET_PERCENT, 50, true},
	{"CodeDeployDefault.OneAtATime", "00000000-0000-0000-0000-000000000001",
	 SCHED_MOST_CONCURRENCY, 1, true},
};

const char *sched_minimum_type_to_string(enum sched_minimum_type type)
{
	static const char *const names[] = {
		[SCHED_HOST_COUNT] = "HOST_COUNT",
		[SCHED_FLEET_PERCENT] = "FLEET_PERCENT",
		[SCHED_MOST_CONCURRENCY] = "MOST_CONCURRENCY",
	};
	return names[type];
}

const struct sched_config *sched_config_builtin(size_t index)
{
	return index < ARRAY_LEN(builtins) ? &builtins[index] : NULL;
}

const struct sched_config *sched_config_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(builtins); i++)
		if (strcmp(builtins[i].name, name) == 0)
			return &builtins[i];
	return NULL;
}

int64_t sched_minimum(const struct sched_config *config, int64_t hosts)
{
	if (config->builtin && hosts == 1)
		return 0;
	switch (config->type) {
	case SCHED_HOST_COUNT:
		return config->value;
	case SCHED_FLEET_PERCENT:
		return (hosts * config->value + 99) / 100;
	case SCHED_MOST_CONCURRENCY:
		return hosts - config->value;
	}
	abort();
}

char *sched_describe(const struct sched_config *config, int64_t hosts)
{
	int64_t minimum = sched_minimum(config, hosts);
	if (hosts == 1 && minimum == 0)
		return xasprintf("%s: the only host must succeed", config->name);
	if (minimum >= hosts)
		return xasprintf("%s: %" PRId64 " of %" PRId64
				 " hosts would have to stay in service, so none can be deployed to",
				 config->name, minimum, hosts);
	return xasprintf("%s: of %" PRId64 " hosts at least %" PRId64
			 " stay in service, at most %" PRId64 " at a time",
			 config->name, hosts, minimum, hosts - minimum);
}

static bool enough_succeeded(const struct sched_counts *c)
{
	return c->succeeded >= (c->minimum > 1 ? c->minimum : 1);
}

struct sched_step sched_next(const struct sched_counts *c)
{
	int64_t budget = c->total - c->minimum;
	if (c->pending == 0) {
		if (c->running > 0)
			return (struct sched_step){.verdict = SCHED_WAIT};
		return (struct sched_step){.verdict = enough_succeeded(c) ? SCHED_SUCCESS
									  : SCHED_FAILURE};
	}
	if (c->failed >= budget)
		return (struct sched_step){.verdict = SCHED_HALT};
	int64_t room = budget - c->failed - c->running;
	if (room <= 0)
		return (struct sched_step){.verdict = SCHED_WAIT};
	return (struct sched_step){.verdict = SCHED_START,
				   .start = room < c->pending ? room : c->pending};
}

/* ---- order ---- */

static int rank(const struct sched_host *host, const char *group_revision)
{
	if (!host->healthy)
		return 0;
	if (!host->revision)
		return 1;
	return group_revision && strcmp(host->revision, group_revision) == 0 ? 3 : 2;
}

static int compare(const void *a, const void *b, void *group_revision)
{
	const struct sched_host *left = a, *right = b;
	int by_rank = rank(left, group_revision) - rank(right, group_revision);
	return by_rank ? by_rank : strcmp(left->name, right->name);
}

void sched_sort(struct sched_host *hosts, size_t count, const char *group_revision)
{
	if (count > 0)
		qsort_r(hosts, count, sizeof(*hosts), compare, (void *)group_revision);
}
