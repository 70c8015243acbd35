/* SPDX-License-Identifier: Apache-2.0 */
/* What ever happened on this host, as counters: deployments by result, durations of events. Counted
 * from host/history.jsonl, each line once: the count and how far the file was read are one file,
 * agent/metrics.json, replaced at once. So the counters survive us, count what the CLI deployed as
 * well, and cost nothing while nobody asks. Format: docs/formats/metrics.md. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#define TALLY_GROUPS_MAX 32 /* what is more is counted as "other" */
#define TALLY_BUCKETS 7     /* and one for what is longer */

enum tally_result {
	TALLY_SUCCEEDED,
	TALLY_FAILED, /* the host is as before */
	TALLY_LEFT,   /* in place, as asked */
	TALLY_UNDO,   /* could not be undone */
	TALLY_RESULTS
};
extern const char *const tally_result_names[TALLY_RESULTS];
extern const double tally_buckets_s[TALLY_BUCKETS];

struct tally_group {
	char *name; /* "APPLICATION/GROUP", or the group's id */
	uint64_t deployments[TALLY_RESULTS];
	char *last;    /* deployment that was counted last */
	double last_s; /* and when its last step ended that was counted */
};

struct tally_event {
	char *name;                         /* "Install", "Rollback: AfterInstall" */
	uint64_t counts[TALLY_BUCKETS + 1]; /* by duration; not cumulative */
	double sum_s;
};

struct tally {
	struct tally_group *groups;
	size_t n_groups;
	struct tally_event *events; /* lifecycle events only, so their number has an end */
	size_t n_events;
	uint64_t inode; /* of history.jsonl as it was read last; 0: never */
	int64_t offset; /* read up to here, the end of a line */
};
void tally_clear(struct tally *tally);
#define auto_tally CLEANUP(tally_clear)

/* Count one line of the history, an object as docs/formats/state.md has it. What makes no sense is
 * passed over. Pure. */
void tally_add(struct tally *tally, const json_t *deployment);
json_t *tally_to_json(const struct tally *tally);
int tally_from_json(const json_t *obj, struct tally *ret, struct error *err) MUST_CHECK;

/* Count the lines that have come since, also those of a file that was rotated meanwhile. Returns
 * how many, or below 0; without a history 0. */
int tally_read(struct tally *tally, int host_dirfd, struct error *err) MUST_CHECK;
