// SPDX-License-Identifier: Apache-2.0
/* Kill test: an install of some 200 objects, its undo, its settle, a first install, a removal and
 * recovery itself are killed (SIGKILL) at system calls that change something: at every one, and so
 * after every journal record, with SLIPWAY_EXHAUST=1, else at a sample that has every kind of
 * place. After recovery the destination must be exactly the old or exactly the new tree, both must
 * occur, nothing may be left behind and the next deployment must succeed. Then the same with two
 * deliberate defects, which must be noticed.
 *
 * Arguments: none, or the names of scenarios. */
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "tests/crash/calls.h"
#include "tests/crash/world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 2
#define POINTS_MAX 20000

/* Of many places of one kind, one in so many. The sanitizers look at memory, not at the order of
 * calls, and make each point dear. */
#ifdef SANITIZERS
#define ONE_IN 20
#else
#define ONE_IN 3
#endif

/* What is killed. Before it the destination is old; when it succeeds it is new. */
struct scenario {
	const char *name;
	enum tree old, new;
	const char *defect;
	int (*prepare)(const struct world *w, struct error *err);
	int (*act)(const struct world *w, struct error *err);
	bool one_way; /* whatever the point, there is one right end: new */
	bool exhaust; /* only with SLIPWAY_EXHAUST=1, or when named */
};

static int no_preparation(const struct world *w, struct error *err)
{
	(void)w;
	(void)err;
	return 0;
}

static int install_b(const struct world *w, struct error *err)
{
	return world_install(w, TREE_B, err);
}

static int install_a(const struct world *w, struct error *err)
{
	return world_install(w, TREE_A, err);
}

static int remove_all(const struct world *w, struct error *err)
{
	return world_install(w, TREE_NONE, err);
}

/* A child that is killed at a call of an act, or with a sample at the next one that is chosen.
 * Returns 1, 0 when it ended before, -1 when it failed. */
static int crash(const struct world *w, int (*act)(const struct world *, struct error *), int at,
		 struct calls_sample *sample)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		struct error err = {0};
		calls_arm_sample((unsigned)at, sample);
		int r = act(w, &err);
		if (r < 0 && err.code == 0)
			err.code = r;
		_exit(r < 0 ? 2 : 0);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail_out("fork");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return 1;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) == 0 ? 0 : -1;
	bail_out("a child died of signal %d", WTERMSIG(status));
}

static unsigned points_of(const struct world *w, int (*act)(const struct world *, struct error *))
{
	unsigned *count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (count == MAP_FAILED)
		bail_out("mmap");
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		struct error err = {0};
		calls_arm(0);
		int r = act(w, &err);
		*count = calls_count();
		if (r < 0)
			printf("# %s\n", err.text);
		fflush(stdout);
		_exit(r < 0);
	}
	int status;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		bail_out("the act fails without being killed");
	unsigned n = *count;
	munmap(count, sizeof(*count));
	return n;
}

static int recover(const struct world *w, struct error *err)
{
	enum install_state state;
	return world_recover(w, &state, err);
}

/* An install that dies in the middle of its switch; recovery is what the scenario kills. */
static int die_in_switch(const struct world *w, struct error *err)
{
	static unsigned points;
	if (points == 0) {
		points = points_of(w, install_b);
		if (world_undo(w, err) < 0)
			return err->code;
	}
	return crash(w, install_b, (int)(points - points / 10), NULL) == 1
		       ? 0
		       : error_set(err, -EINVAL, "it did not die");
}

static int die_in_undo(const struct world *w, struct error *err)
{
	static unsigned points;
	int r = world_install(w, TREE_B, err);
	if (r < 0)
		return r;
	if (points == 0) {
		points = points_of(w, world_undo);
		r = world_install(w, TREE_B, err);
		if (r < 0)
			return r;
	}
	return crash(w, world_undo, (int)(points / 4), NULL) == 1
		       ? 0
		       : error_set(err, -EINVAL, "it did not die");
}

static const struct scenario scenarios[] = {
	{"install", TREE_A, TREE_B, NULL, no_preparation, install_b, false, false},
	{"install-back", TREE_B, TREE_A, NULL, no_preparation, install_a, false, true},
	{"first-install", TREE_NONE, TREE_A, NULL, no_preparation, install_a, false, false},
	{"remove", TREE_B, TREE_NONE, NULL, no_preparation, remove_all, false, false},
	{"undo", TREE_A, TREE_A, NULL, install_b, world_undo, false, false},
	{"undo-of-the-first", TREE_NONE, TREE_NONE, NULL, install_b, world_undo, false, false},
	{"settle", TREE_A, TREE_B, NULL, install_b, world_settle, true, false},
	{"recover-forward", TREE_A, TREE_B, NULL, die_in_switch, recover, true, false},
	{"recover-undo", TREE_A, TREE_A, NULL, die_in_undo, recover, true, false},
	{"defect-no-commit-record", TREE_A, TREE_B, "no-commit-record", no_preparation, install_b,
	 false, false},
	{"defect-blind-switch", TREE_A, TREE_B, "blind-switch", no_preparation, install_b, false,
	 false},
};

/* Shared by the processes of a run. */
struct tally {
	unsigned done, old, new, violations, ended;
	unsigned first_bad;
	struct calls_sample samples[PROCESSES];
};

/* The next deployment must succeed. Where the old tree is back that is what the next point begins
 * with, and what fails there is a violation too: enough, but for some points and in the long run.
 */
static bool is_next_deployment(const struct scenario *s, enum tree now, unsigned at)
{
	return now == s->old && at % 8 >= PROCESSES && !getenv("SLIPWAY_EXHAUST");
}

/* One point, the next chosen one from *at on, which it is set to. Returns false when the act ended
 * before it. */
static bool one_point(const struct world *w, const struct scenario *s, unsigned *at,
		      struct tally *tally, struct calls_sample *sample)
{
	struct error err = {0};
	unsetenv("SLIPWAY_DEFECT");
	if (s->prepare(w, &err) < 0)
		bail_out("prepare %s: %s", s->name, err.text);
	if (s->defect)
		setenv("SLIPWAY_DEFECT", s->defect, 1);
	int killed = crash(w, s->act, (int)*at, sample);
	if (killed == 1)
		*at = sample->at;
	enum tree tree = TREE_NONE;
	bool good = killed >= 0 && world_judge(w, s->old, s->new, s->one_way, &tree);
	unsetenv("SLIPWAY_DEFECT");
	good = good && (is_next_deployment(s, tree, *at) || world_next(w, tree, s->old));
	__atomic_add_fetch(&tally->done, 1, __ATOMIC_SEQ_CST);
	if (good)
		__atomic_add_fetch(tree == s->old ? &tally->old : &tally->new, 1, __ATOMIC_SEQ_CST);
	else if (__atomic_fetch_add(&tally->violations, 1, __ATOMIC_SEQ_CST) == 0)
		tally->first_bad = *at;
	if (!good)
		printf("# %s: violation at point %u\n", s->name, *at);
	return killed == 1 && good;
}

static void make(struct world *w, const char *scratch, const struct scenario *s, unsigned process)
{
	struct error err = {0};
	auto_free char *base = xasprintf("%s/%s-%u", scratch, s->name, process);
	auto_free char *dest = xasprintf("%s/dest", base);
	auto_free char *group = xasprintf("%s/group", base);
	world_make(w, base, dest, group);
	if (s->old != TREE_NONE && world_deploy(w, s->old, &err) < 0)
		bail_out("deploy: %s", err.text);
}

/* Every PROCESSES-th point, or a sample of those, until the act ends by itself. With a defect:
 * until it is noticed. */
static void worker(const char *scratch, const struct scenario *s, unsigned process,
		   struct tally *tally)
{
	struct world w;
	make(&w, scratch, s, process);
	unsigned at = 1 + process;
	struct calls_sample *sample = &tally->samples[process];
	sample->step = PROCESSES;
	sample->one_in = getenv("SLIPWAY_EXHAUST") ? 1 : ONE_IN;
	while (at < POINTS_MAX && one_point(&w, s, &at, tally, sample))
		at += PROCESSES;
	if (at >= POINTS_MAX)
		bail_out("%s does not end", s->name);
	tally->ended++;
}

static void run(const char *scratch, const struct scenario *s, struct tally *tally)
{
	pid_t pids[PROCESSES];
	fflush(stdout);
	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			worker(scratch, s, i, tally);
			fflush(stdout);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status;
		if (pids[i] < 0 || waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			bail_out("%s: a process of the test failed", s->name);
	}
}

static bool chosen(const struct scenario *s, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (str_eq(argv[i], s->name))
			return true;
	return argc == 1 && (!s->exhaust || getenv("SLIPWAY_EXHAUST"));
}

static bool verdict(const struct scenario *s, const struct tally *t)
{
	if (s->defect)
		return t->violations > 0;
	bool both = s->old == s->new || s->one_way || (t->old > 0 && t->new > 0);
	return t->violations == 0 && both && t->done > PROCESSES;
}

int main(int argc, char **argv)
{
	log_init("kill", LOG_ERR);
	umask(022);
	char scratch[PATH_MAX];
	scratch_make(scratch);
	struct tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED)
		bail_out("mmap");

	unsigned n = 0, points = 0, violations = 0;
	bool good = true;
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		const struct scenario *s = &scenarios[i];
		if (!chosen(s, argc, argv))
			continue;
		memset(tally, 0, sizeof(*tally));
		run(scratch, s, tally);
		bool ok = verdict(s, tally);
		good = good && ok;
		points += s->defect ? 0 : tally->done;
		violations += s->defect ? 0 : tally->violations;
		if (s->defect)
			printf("%sok %u - %s is noticed: at point %u\n", ok ? "" : "not ", ++n,
			       s->name, tally->first_bad);
		else
			printf("%sok %u - killed in %s at %u points: %u old, %u new, "
			       "%u violations\n",
			       ok ? "" : "not ", ++n, s->name, tally->done, tally->old, tally->new,
			       tally->violations);
		fflush(stdout);
	}
	printf("# exhaust: kill: %u kill points, %u violations\n", points, violations);
	printf("1..%u\n", n);
	scratch_remove(scratch);
	return good ? 0 : 1;
}
