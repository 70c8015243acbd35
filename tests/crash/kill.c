// SPDX-License-Identifier: Apache-2.0
/* Kill test: every act of the transaction on a revision of some 250 objects of every kind is killed
 * (SIGKILL) at system calls that change something: at every one, and so after every journal record,
 * with SLIPWAY_EXHAUST=1, else at a sample that has every kind of place. Then install, undo and
 * settle of a revision of 2,000 files (else of some hundred) at random points; SLIPWAY_SEED repeats
 * them. After recovery the destination must be exactly the old or exactly the new tree, both must
 * occur, nothing may be left behind and the next deployment must succeed. Then the same with two
 * deliberate defects, which must be noticed.
 *
 * Arguments: none, or the names of scenarios, of defects, or "many". */
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/str.h"
#include "tests/crash/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Of many places of one kind, one in so many. The sanitizers look at memory, not at the order of
 * calls, and make each point dear. */
#ifdef SANITIZERS
#define ONE_IN 40
#else
#define ONE_IN 16
#endif

/* With SLIPWAY_EXHAUST=1, and else: how many times as many objects, and points of each act. */
#define MANY_SCALE_EXHAUST 16
#define MANY_POINTS_EXHAUST 1000
#define MANY_SCALE 4
#define MANY_POINTS 6

static const struct defect {
	const char *name, *scenario;
} defects[] = {{"no-commit-record", "install"}, {"blind-switch", "install"}};

static const char *const many[] = {"install", "undo", "settle"};

/* Shared by the processes of a run. */
struct tally {
	const char *scratch;
	const struct scenario *s;
	const char *defect;
	unsigned random_points, seed; /* 0: every point, or the sample */
	unsigned done, old, new, violations;
	unsigned first_bad, objects;
	struct calls_sample samples[SCENARIO_PROCESSES];
};

/* The next deployment must succeed. Where the old tree is back that is what the next point begins
 * with, and what fails there is a violation too: enough, but for some points and in the long run.
 */
static bool is_next_deployment(const struct tally *t, enum tree now, unsigned at)
{
	bool always = scenario_exhaust() && t->random_points == 0;
	return now == t->s->old && at % 8 >= SCENARIO_PROCESSES && !always;
}

/* The act has been killed or has ended: see that all is well, and lead back to the old tree. */
static bool judge(struct world *w, const struct tally *t, unsigned at, enum tree *ret)
{
	const struct scenario *s = t->s;
	if (!world_judge(w, s->old, s->new, s->one_way, ret))
		return false;
	w->worn = w->worn && *ret == s->old;
	if (is_next_deployment(t, *ret, at))
		return true;
	w->worn = false;
	return world_next(w, *ret, s->old);
}

/* One point, or with a sample the next chosen one from *at on, which it is set to. Returns false
 * when the act ended before it, or with a violation. */
static bool one_point(struct world *w, struct tally *t, const struct calls_fault *fault,
		      unsigned *at, struct calls_sample *sample)
{
	const struct scenario *s = t->s;
	enum tree tree = TREE_NONE;
	unsetenv("SLIPWAY_DEFECT");
	scenario_prepare(w, s);
	if (t->defect)
		setenv("SLIPWAY_DEFECT", t->defect, 1);
	int killed = scenario_crash(w, s->act, fault, *at, sample);
	if (killed == 1 && sample)
		*at = sample->at;
	bool good = (killed >= 0 || s->error_at) && judge(w, t, *at, &tree);
	__atomic_add_fetch(&t->done, 1, __ATOMIC_SEQ_CST);
	if (good)
		__atomic_add_fetch(tree == s->old ? &t->old : &t->new, 1, __ATOMIC_SEQ_CST);
	else if (__atomic_fetch_add(&t->violations, 1, __ATOMIC_SEQ_CST) == 0)
		t->first_bad = *at;
	if (!good)
		printf("# %s: violation at point %u\n", s->name, *at);
	return killed == 1 && good;
}

/* Where the act's own error comes first, points begin after it. */
static struct calls_fault learn_error(struct world *w, const struct scenario *s)
{
	scenario_prepare(w, s);
	struct calls_fault fault = scenario_error(s, scenario_points(w, s->act));
	struct error err = {0};
	if (world_undo(w, &err) < 0)
		bail_out("undo: %s", err.text);
	return fault;
}

/* Every SCENARIO_PROCESSES-th point, or a sample of those, until the act ends by itself. With a
 * defect: until it is noticed. */
static void every_point(struct world *w, unsigned process, struct tally *t)
{
	const struct scenario *s = t->s;
	struct calls_fault fault = {0};
	struct calls_sample *sample = &t->samples[process];
	if (s->error_at)
		fault = learn_error(w, s);
	unsigned at = fault.at + 1 + process;
	sample->step = SCENARIO_PROCESSES;
	sample->one_in = scenario_exhaust() ? 1 : ONE_IN;
	while (at < SCENARIO_POINTS_MAX && one_point(w, t, &fault, &at, sample))
		at += SCENARIO_PROCESSES;
	if (at >= SCENARIO_POINTS_MAX)
		bail_out("%s does not end", s->name);
}

/* A number that depends on nothing but these two. */
static unsigned mixed(unsigned seed, unsigned i)
{
	uint64_t z = ((uint64_t)seed << 32 | i) + 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (unsigned)(z >> 33);
}

static void random_points(struct world *w, unsigned process, struct tally *t)
{
	scenario_prepare(w, t->s);
	unsigned points = scenario_points(w, t->s->act);
	enum tree tree;
	if (!judge(w, t, 0, &tree))
		bail_out("%s fails without being killed", t->s->name);
	for (unsigned i = process; i < t->random_points; i += SCENARIO_PROCESSES) {
		unsigned at = 1 + mixed(t->seed, i) % points;
		if (!one_point(w, t, NULL, &at, NULL))
			break;
	}
}

static void worker(unsigned process, void *arg)
{
	struct tally *t = arg;
	struct world w;
	const char *part = t->defect ? t->defect : t->random_points ? "many" : "all";
	auto_free char *name = xasprintf("%s-%s-%u", t->s->name, part, process);
	unsigned many_scale = scenario_exhaust() ? MANY_SCALE_EXHAUST : MANY_SCALE;
	scenario_world(&w, t->scratch, name, t->s, t->random_points ? many_scale : 1);
	t->objects = w.objects[TREE_B];
	if (t->random_points)
		random_points(&w, process, t);
	else
		every_point(&w, process, t);
	scenario_world_end(&w);
}

static unsigned setting(const char *name, unsigned otherwise)
{
	uint64_t v;
	const char *text = getenv(name);
	return text && str_to_u64(text, &v) == 0 ? (unsigned)v : otherwise;
}

static bool verdict(const struct tally *t)
{
	if (t->defect)
		return t->violations > 0;
	const struct scenario *s = t->s;
	bool both = s->old == s->new || s->one_way || (t->old > 0 && t->new > 0);
	return t->violations == 0 && t->done > SCENARIO_PROCESSES && (both || t->random_points);
}

/* Sums of the whole test. */
struct sums {
	unsigned tests, points, violations;
	bool bad;
};

static void run(struct tally *t, struct sums *sums)
{
	t->done = t->old = t->new = t->violations = 0;
	memset(t->samples, 0, sizeof(t->samples));
	scenario_run(t->s->name, worker, t);
	bool ok = verdict(t);
	sums->bad = sums->bad || !ok;
	printf("%sok %u - ", ok ? "" : "not ", ++sums->tests);
	if (t->defect) {
		printf("the defect %s is noticed: at point %u\n", t->defect, t->first_bad);
	} else {
		printf("killed in %s of %u objects at %u points: %u old, %u new, %u violations\n",
		       t->s->name, t->objects, t->done, t->old, t->new, t->violations);
		sums->points += t->done;
		sums->violations += t->violations;
	}
	fflush(stdout);
}

static bool is_named(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (str_eq(argv[i], name))
			return true;
	return argc == 1;
}

static void run_many(struct tally *t, struct sums *sums)
{
	t->seed = setting("SLIPWAY_SEED", (unsigned)time(NULL));
	t->random_points =
		setting("SLIPWAY_POINTS", scenario_exhaust() ? MANY_POINTS_EXHAUST : MANY_POINTS);
	printf("# seed %u\n", t->seed);
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		t->s = scenario_find(many[i]);
		run(t, sums);
	}
	t->random_points = 0;
}

int main(int argc, char **argv)
{
	log_init("kill", LOG_ERR);
	umask(022);
	char scratch[PATH_MAX];
	scratch_make(scratch);
	scenario_init();
	struct tally *t = scenario_shared(sizeof(*t));
	struct sums sums = {0}, random = {0};
	t->scratch = scratch;
	for (t->s = scenarios; t->s->name; t->s++)
		if (is_named(t->s->name, argc, argv) &&
		    (argc > 1 || !t->s->exhaust || scenario_exhaust()))
			run(t, &sums);
	for (size_t i = 0; i < ARRAY_LEN(defects); i++) {
		t->s = scenario_find(defects[i].scenario);
		t->defect = defects[i].name;
		if (is_named(t->defect, argc, argv))
			run(t, &sums);
	}
	t->defect = NULL;
	random.tests = sums.tests;
	if (is_named("many", argc, argv))
		run_many(t, &random);
	printf("# exhaust: kill: %u kill points, %u violations\n", sums.points, sums.violations);
	printf("# exhaust: kill at random: %u kill points, %u violations\n", random.points,
	       random.violations);
	printf("1..%u\n", random.tests);
	scratch_remove(scratch);
	return sums.bad || random.bad ? 1 : 0;
}
