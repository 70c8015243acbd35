// SPDX-License-Identifier: Apache-2.0
/* Which deployments are kept: by number, age and bytes, and what is needed whatever these say. */
#include "agent/worker/retention.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#define ALONE .uses = RETENTION_ALONE
#define ANY_AGE .oldest_ns = INT64_MIN
#define ANY_NUMBER .max_entries = 1000
#define ENTRIES_MAX 12

/* The names of those that go, in the order of the table. */
static void assert_doomed(struct retention_entry *entries, size_t n,
			  const struct retention_limits *limits, const char *expected)
{
	char seen[ENTRIES_MAX + 1] = "";
	retention_choose(entries, n, limits);
	for (size_t i = 0; i < n; i++) {
		if (entries[i].doomed)
			strcat(seen, entries[i].name);
		entries[i].doomed = false;
	}
	assert_string_equal(seen, expected);
}

static void the_oldest_that_need_not_stay_go(void **state)
{
	struct retention_entry e[] = {
		{"b", .made_ns = 2, .bytes = 20, ALONE},
		{"a", .made_ns = 1, .bytes = 10, ALONE, .kept = true},
		{"d", .made_ns = 4, .bytes = 40, ALONE},
		{"c", .made_ns = 3, .bytes = 30, ALONE},
		{"e", .made_ns = 5, .bytes = 50, ALONE, .kept = true},
	};
	static const struct {
		struct retention_limits limits;
		const char *doomed;
	} rows[] = {
		{{.max_entries = 5, ANY_AGE}, ""},
		{{.max_entries = 3, ANY_AGE}, "bc"},
		{{.max_entries = 1, ANY_AGE}, "bdc"},
		{{.max_entries = 0, ANY_AGE}, "bdc"},
		{{ANY_NUMBER, .oldest_ns = 2}, ""},
		{{ANY_NUMBER, .oldest_ns = 3}, "b"},
		{{ANY_NUMBER, .oldest_ns = 4}, "bc"},
		{{ANY_NUMBER, .oldest_ns = 100}, "bdc"},
		{{ANY_NUMBER, ANY_AGE, .max_bytes = 150}, ""},
		{{ANY_NUMBER, ANY_AGE, .max_bytes = 149}, "b"},
		{{ANY_NUMBER, ANY_AGE, .max_bytes = 100}, "bc"},
		{{ANY_NUMBER, ANY_AGE, .max_bytes = 1}, "bdc"},
		{{.max_entries = 4, .oldest_ns = 2, .max_bytes = 100}, "bc"},
		{{.max_entries = 3, .oldest_ns = 3, .max_bytes = 149}, "bc"},
		{{.max_entries = 5, .oldest_ns = 5, .max_bytes = 150}, "bdc"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_doomed(e, ARRAY_LEN(e), &rows[i].limits, rows[i].doomed);
}

static void more_than_the_limit_stays_when_all_of_it_is_needed(void **state)
{
	struct retention_entry e[] = {
		{"a", .made_ns = 1, .bytes = 9, ALONE, .kept = true},
		{"b", .made_ns = 2, .bytes = 9, ALONE, .kept = true},
	};
	assert_doomed(e, 2, &(struct retention_limits){.oldest_ns = 9, .max_bytes = 1}, "");
}

/* b was deployed again, as d: the archive is b's. */
static void an_archive_stays_as_long_as_one_that_uses_it(void **state)
{
	struct retention_entry e[] = {
		{"a", .made_ns = 1, ALONE},
		{"b", .made_ns = 2, ALONE},
		{"c", .made_ns = 3, ALONE},
		{"d", .made_ns = 4, .uses = 1},
		{"e", .made_ns = 5, ALONE, .kept = true},
	};
	assert_doomed(e, 5, &(struct retention_limits){.max_entries = 4, ANY_AGE}, "a");
	assert_doomed(e, 5, &(struct retention_limits){.max_entries = 3, ANY_AGE}, "ac");
	assert_doomed(e, 5, &(struct retention_limits){.max_entries = 2, ANY_AGE}, "acd");
	assert_doomed(e, 5, &(struct retention_limits){.max_entries = 1, ANY_AGE}, "abcd");
	e[3].kept = true;
	assert_doomed(e, 5, &(struct retention_limits){.max_entries = 1, ANY_AGE}, "ac");
}

/* Any set of entries and limits: what must stay does, an archive in use does, and a limit is passed
 * only by what must stay. */

static uint64_t seed = 20;

static uint64_t below(uint64_t n)
{
	seed = seed * 6364136223846793005U + 1442695040888963407U;
	return (seed >> 33) % n;
}

static size_t make_any(struct retention_entry *entries, struct retention_limits *limits)
{
	size_t n = below(ENTRIES_MAX + 1);
	for (size_t i = 0; i < n; i++) {
		entries[i] = (struct retention_entry){.made_ns = (int64_t)below(20),
						      .bytes = below(100),
						      .kept = below(3) == 0,
						      ALONE};
		if (i > 0 && below(3) == 0)
			entries[i].uses = below(i); /* of an earlier one, so never in a circle */
	}
	*limits = (struct retention_limits){
		.max_entries = below(n + 2),
		.oldest_ns = below(2) ? INT64_MIN : (int64_t)below(25),
		.max_bytes = below(2) ? 0 : 1 + below(600),
	};
	return n;
}

/* Also by the archive of another one that must. */
static bool must_stay(const struct retention_entry *entries, size_t n, size_t which)
{
	if (entries[which].kept)
		return true;
	for (size_t i = which + 1; i < n; i++)
		if (entries[i].uses == which && must_stay(entries, n, i))
			return true;
	return false;
}

static bool within(const struct retention_entry *entries, size_t n,
		   const struct retention_limits *limits)
{
	uint64_t left = 0, bytes = 0;
	for (size_t i = 0; i < n; i++) {
		if (entries[i].doomed)
			continue;
		left++;
		bytes += entries[i].bytes;
	}
	return left <= limits->max_entries && (!limits->max_bytes || bytes <= limits->max_bytes);
}

/* Also by the archive of one that is young enough. */
static bool is_young(const struct retention_entry *entries, size_t n, size_t which, int64_t oldest)
{
	if (entries[which].made_ns >= oldest)
		return true;
	for (size_t i = which + 1; i < n; i++)
		if (entries[i].uses == which && !entries[i].doomed &&
		    is_young(entries, n, i, oldest))
			return true;
	return false;
}

static void a_limit_is_passed_only_by_what_must_stay(void **state)
{
	struct retention_entry e[ENTRIES_MAX];
	struct retention_limits limits;
	unsigned doomed = 0, stayed = 0;
	for (int round = 0; round < 20000; round++) {
		size_t n = make_any(e, &limits);
		retention_choose(e, n, &limits);
		bool in_limits = within(e, n, &limits);
		for (size_t i = 0; i < n; i++) {
			bool must = must_stay(e, n, i);
			if (e[i].doomed) {
				assert_false(must);
				doomed++;
				continue;
			}
			stayed += must;
			assert_true(must || in_limits);
			assert_true(must || is_young(e, n, i, limits.oldest_ns));
			if (e[i].uses < n)
				assert_false(e[e[i].uses].doomed);
		}
	}
	assert_true(doomed > 10000 && stayed > 10000);
}

/* And not more than that goes: the youngest that went was one too many. */
static void nothing_goes_without_need(void **state)
{
	struct retention_entry e[ENTRIES_MAX];
	struct retention_limits limits;
	for (int round = 0; round < 20000; round++) {
		size_t n = make_any(e, &limits);
		for (size_t i = 0; i < n; i++)
			e[i].uses = RETENTION_ALONE;
		retention_choose(e, n, &limits);
		struct retention_entry *youngest = NULL;
		for (size_t i = 0; i < n; i++)
			if (e[i].doomed && (!youngest || e[i].made_ns >= youngest->made_ns))
				youngest = &e[i];
		if (!youngest)
			continue;
		youngest->doomed = false;
		assert_true(!within(e, n, &limits) || youngest->made_ns < limits.oldest_ns);
	}
}

/* What is needed, by the state */

static struct state_deployment *deployment(const char *id, const char *archive, enum job_verb verb)
{
	struct job *job = xcalloc(1, sizeof(*job));
	job->verb = verb;
	auto_json json_t *doc =
		json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:{s:s, s:s}}}", "DeploymentId", id,
			  "DeploymentGroupId", "g", "DeploymentGroupName", "G", "ApplicationName",
			  "A", "Revision", "RevisionType", "Local File", "LocalRevision",
			  "Location", "/x.tgz", "BundleType", "tgz");
	struct error err = {0};
	if (wire_spec_from_json(doc, &job->spec, &err) < 0)
		fail_msg("%s", err.text);
	struct state_deployment *d = state_deployment_new(job);
	d->archive = xstrdup(archive);
	return d;
}

/* d-1 to d-6 are kept, d-4 failed and was left in place, d-6 is d-2 again. */
static struct state *six_revisions(void)
{
	struct state *s = state_new("g");
	for (int i = 1; i <= 6; i++) {
		char id[] = "d-0", archive[] = "d-0";
		id[2] = (char)('0' + i);
		archive[2] = i == 6 ? '2' : id[2];
		auto_state_deployment struct state_deployment *d =
			deployment(id, archive, JOB_DEPLOY);
		state_revision_add(s, d, i != 4);
	}
	return s;
}

/* The digits of those that are needed. */
static void assert_needed(const struct state *s, int64_t max, const char *expected)
{
	char seen[10] = "";
	for (char c = '1'; c <= '9'; c++) {
		char name[] = "d-0";
		name[2] = c;
		if (retention_is_needed(s, name, max))
			strncat(seen, &c, 1);
	}
	assert_string_equal(seen, expected);
}

static void what_runs_and_what_a_rollback_goes_back_to_is_needed(void **state)
{
	auto_state struct state *s = six_revisions();
	s->installed = xstrdup("d-4");
	s->last_successful = xstrdup("d-3");
	assert_needed(s, 0, "34");
	assert_needed(s, 1, "34");
	assert_needed(s, 2, "346"); /* 6 is the newest that succeeded */
}

static void what_a_deployment_needs_stays_until_it_has_ended(void **state)
{
	auto_state struct state *s = six_revisions();
	s->installed = xstrdup("d-5");
	s->last_successful = xstrdup("d-5");
	s->last = deployment("d-3", "d-3", JOB_DEPLOY);
	s->open = deployment("d-7", "d-1", JOB_ROLLBACK);
	s->open->previous = xstrdup("d-5");
	assert_needed(s, 0, "157");
	state_deployment_free(s->last);
	s->last = TAKE(s->open);
	assert_needed(s, 0, "157"); /* it failed: what it printed is wanted now */
}

/* The endpoint's deployment is complete, but an event of a load balancer may still fail it. */
static void what_a_complete_deployment_may_go_back_to_stays(void **state)
{
	auto_state struct state *s = six_revisions();
	s->installed = xstrdup("d-5");
	s->last_successful = xstrdup("d-5");
	s->last = deployment("d-5", "d-5", JOB_ENDPOINT);
	s->last->previous = xstrdup("d-4");
	assert_needed(s, 0, "5");
	s->last->complete = true;
	assert_needed(s, 0, "45");
	s->last->job->verb = JOB_DEPLOY;
	assert_needed(s, 0, "5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_that_need_not_stay_go),
		cmocka_unit_test(more_than_the_limit_stays_when_all_of_it_is_needed),
		cmocka_unit_test(an_archive_stays_as_long_as_one_that_uses_it),
		cmocka_unit_test(a_limit_is_passed_only_by_what_must_stay),
		cmocka_unit_test(nothing_goes_without_need),
		cmocka_unit_test(what_runs_and_what_a_rollback_goes_back_to_is_needed),
		cmocka_unit_test(what_a_deployment_needs_stays_until_it_has_ended),
		cmocka_unit_test(what_a_complete_deployment_may_go_back_to_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
