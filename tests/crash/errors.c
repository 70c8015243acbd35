// SPDX-License-Identifier: Apache-2.0
/* Error test: at system calls of every act of the transaction something goes wrong: the call fails
 * once, or that call and all that would fail for the same reason (a full or a dead disk), or fewer
 * bytes are written than asked for. With SLIPWAY_EXHAUST=1 at every call that changes something
 * with every error, and at a sample of the calls that only look; else at a sample of both.
 *
 * What must come out: a failed install says so and has left the old tree and nothing else; one that
 * could not be undone says that, and keeps its stage; an interrupted or short write is none of
 * anybody's business. Once the disk works again, recovery ends with exactly the old or exactly the
 * new tree, and the next deployment succeeds. Then the same with deliberate defects, which must be
 * noticed.
 *
 * Arguments: none, or the names of scenarios or defects. */
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/str.h"
#include "tests/crash/scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS_MAX 20000
#define VIOLATIONS_MAX 20 /* of one process; a new world is made after each */
#define HANGS_S 120

/* At a sample: of the calls that change something and of those that look, one in so many; the
 * first of each kind of place is never left out. */
#ifdef SANITIZERS
#define ONE_IN 120
#define READS_ONE_IN 400
#else
#define ONE_IN 48
#define READS_ONE_IN 400
#endif
#define EXHAUST_READS_ONE_IN 3

enum disk { EVERY_DISK, NOT_JOURNAL, ONLY_JOURNAL };

struct mode {
	const char *name;
	int error; /* 0: fewer bytes than asked for */
	unsigned at, lasting;
	enum disk disk;
	bool undo_may_fail;
};

#define ALL (CALLS_CHANGE | CALLS_READ)
#define CHANGE_BUT_SYNC (CALLS_CHANGE & ~CALLS_SYNC)

static const struct mode modes[] = {
	{"ENOSPC", ENOSPC, CALLS_CHANGE, 0, 0, false},
	{"a full disk", ENOSPC, CALLS_SPACE, CALLS_SPACE, 0, false},
	{"EDQUOT", EDQUOT, CALLS_CHANGE, 0, 0, false},
	{"a full quota", EDQUOT, CALLS_SPACE, CALLS_SPACE, 0, false},
	{"EIO", EIO, CALLS_CHANGE, 0, 0, false},
	{"a dead disk", EIO, CALLS_CHANGE, ALL, EVERY_DISK, true},
	{"a dead destination", EIO, CALLS_CHANGE, ALL, NOT_JOURNAL, true},
	{"a dead journal", EIO, CALLS_CHANGE, ALL, ONLY_JOURNAL, true},
	{"EROFS from then on", EROFS, CHANGE_BUT_SYNC, CHANGE_BUT_SYNC, 0, true},
	{"EACCES", EACCES, CALLS_CHANGE, 0, 0, false},
	{"EACCES from then on", EACCES, CALLS_NAMES, CALLS_NAMES, 0, true},
	{"EINTR", EINTR, CALLS_CHANGE, 0, 0, false},
	{"a short write", 0, CALLS_DATA, 0, 0, false},
	{"short writes", 0, CALLS_DATA, CALLS_DATA, 0, false},
	{"EIO", EIO, CALLS_READ, 0, 0, false},
	{"EACCES", EACCES, CALLS_READ, 0, 0, false},
	{"EMFILE", EMFILE, CALLS_READ, 0, 0, false},
	{"EIO of all that looks", EIO, CALLS_READ, CALLS_READ, 0, true},
};

static const struct defect {
	const char *name, *scenario, *call; /* where to look for it */
} defects[] = {
	{"ignore-rename", "install", "renameat"},
	{"ignore-sync", "install", "syncfs"},
	{"undo-nothing", "install", "linkat"},
	{"trust-write", "install", "pwrite"},
};

/* How an act ended. */
struct outcome {
	int r;
	char text[512];
};

/* Shared by the processes of a run. */
struct tally {
	const char *scratch;
	const struct scenario *s;
	const struct defect *defect;
	unsigned points, done, failed, kept, violations;
	struct outcome outcomes[SCENARIO_PROCESSES];
	unsigned changes[SCENARIO_PROCESSES], reads[SCENARIO_PROCESSES];
	struct calls_seen seen[SCENARIO_PROCESSES][2][CALLS_MAX];
};

/* One process of a run. */
struct bench {
	struct tally *t;
	const struct scenario *s;
	struct world w;
	unsigned process, worlds, runs;
	struct outcome *out;
	struct calls_seen *changes, *reads;
	unsigned n_changes, n_reads;
};

static enum install_state state_of(const struct world *w)
{
	enum install_state state;
	struct error err = {0};
	auto_close int fd = open(w->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (install_state(fd, &state, NULL, &err) < 0)
		bail_out("%s", err.text);
	return state;
}

/* In a child: run the act with its error. */
static void act_child(struct bench *b, const struct calls_fault *fault)
{
	struct error err = {0};
	alarm(HANGS_S);
	log_set_level(LOG_EMERG);
	calls_arm(0);
	if (fault)
		calls_fail(fault);
	else
		calls_record(b->changes, b->reads, CALLS_MAX);
	b->out->r = b->s->act(&b->w, &err);
	b->t->changes[b->process] = calls_count();
	b->t->reads[b->process] = calls_count_reads();
	calls_arm(0);
	snprintf(b->out->text, sizeof(b->out->text), "%s", err.text);
	_exit(0);
}

/* Returns false when the child did not end as it should. */
static bool act(struct bench *b, const struct calls_fault *fault)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		act_child(b, fault);
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail_out("fork");
	return status == 0;
}

static void new_world(struct bench *b)
{
	auto_free char *name =
		xasprintf("%s-%s-%u-%u", b->s->name, b->t->defect ? b->t->defect->name : "",
			  b->process, b->worlds++);
	scenario_world(&b->w, b->t->scratch, name, b->s, 1);
}

static bool good_end(struct bench *b, enum tree *ret)
{
	bool one_way = b->s->one_way && !b->s->turns;
	if (!world_judge(&b->w, b->s->old, b->s->new, one_way, ret))
		return false;
	b->w.worn = b->w.worn && *ret == b->s->old;
	if (*ret == b->s->old && b->runs % 8 != 0)
		return true; /* the next point begins with a deployment */
	b->w.worn = false;
	return world_next(&b->w, *ret, b->s->old);
}

static void learn_calls(struct bench *b)
{
	enum tree tree;
	scenario_prepare(&b->w, b->s);
	if (!act(b, NULL) || b->out->r < 0)
		bail_out("%s fails without an error: %s", b->s->name, b->out->text);
	b->n_changes = b->t->changes[b->process];
	b->n_reads = b->t->reads[b->process];
	if (b->n_changes > CALLS_MAX || b->n_reads > CALLS_MAX)
		bail_out("CALLS_MAX is too small");
	if (!good_end(b, &tree))
		bail_out("%s does not end well without an error", b->s->name);
}

/* What an install must keep to. Returns what it broke, or NULL. */
static const char *judge_install(const struct bench *b, const struct mode *m,
				 const struct calls_seen *call, enum install_state state)
{
	int r = b->out->r;
	if (r >= 0 && state != INSTALL_INSTALLED)
		return "it says that it has installed, and has not";
	if (r >= 0)
		return m->error == EIO && !m->lasting && call->class == CALLS_SYNC
			       ? "a failed sync does not matter to it"
			       : NULL;
	if (r == ERR_UNDO)
		return m->undo_may_fail ? NULL : "it could not undo, though it could";
	if (state == INSTALL_COMMITTED || state == INSTALL_INSTALLED)
		return "it says that all is as before, and left what leads forward";
	if (!world_is(&b->w, b->s->old, !m->undo_may_fail))
		return "it says that all is as before, and is not";
	return NULL;
}

static const char *judge_undo(const struct bench *b, enum install_state state)
{
	if (b->out->r >= 0 && !world_is(&b->w, b->s->old, false))
		return "it says that it has undone, and has not";
	if (b->out->r < 0 && state == INSTALL_NONE)
		return "it failed and left no trace";
	return NULL;
}

static const char *judge_settle(const struct bench *b, enum install_state state)
{
	if (!world_is(&b->w, b->s->new, false))
		return "the new tree is not as it was";
	return b->out->r >= 0 && state != INSTALL_NONE ? "it says that it has settled, and has not"
						       : NULL;
}

static const char *judge_outcome(const struct bench *b, const struct mode *m,
				 const struct calls_seen *call)
{
	int r = b->out->r;
	enum install_state state = state_of(&b->w);
	bool again = m->error == 0 || (m->error == EINTR && (call->class & CALLS_DATA));
	if (again && r < 0)
		return "it should have gone on";
	if (r < 0 && !b->out->text[0])
		return "it fails without a word";
	if (r == ERR_UNDO && state == INSTALL_NONE)
		return "it could not undo and has kept nothing";
	switch (b->s->kind) {
	case SCENARIO_INSTALL:
		return judge_install(b, m, call, state);
	case SCENARIO_UNDO:
		return judge_undo(b, state);
	case SCENARIO_SETTLE:
		return judge_settle(b, state);
	default:
		return r >= 0 && state != INSTALL_NONE && state != INSTALL_INSTALLED &&
				       state != INSTALL_UNDOING
			       ? "it says that it has recovered, and has not"
			       : NULL;
	}
}

static void count(unsigned *figure)
{
	__atomic_add_fetch(figure, 1, __ATOMIC_SEQ_CST);
}

static struct calls_fault fault_of(const struct bench *b, const struct mode *m, unsigned at)
{
	struct stat st;
	if (stat(b->w.group, &st) < 0)
		bail_out("%s: %s", b->w.group, strerror(errno));
	return (struct calls_fault){.at = at,
				    .reads = m->at == CALLS_READ,
				    .error = m->error,
				    .lasting = m->lasting,
				    .only = m->disk == ONLY_JOURNAL ? st.st_dev : 0,
				    .spared = m->disk == NOT_JOURNAL ? st.st_dev : 0};
}

/* One error at one call. Returns false on a violation; the world is of no use then. */
static bool one_error(struct bench *b, const struct mode *m, const struct calls_seen *call,
		      unsigned at)
{
	struct tally *t = b->t;
	enum tree tree;
	struct calls_fault fault = fault_of(b, m, at);
	b->runs++;
	scenario_prepare(&b->w, b->s);
	if (t->defect)
		setenv("SLIPWAY_DEFECT", t->defect->name, 1);
	const char *why = act(b, &fault) ? judge_outcome(b, m, call) : "it crashed or hung";
	unsetenv("SLIPWAY_DEFECT");
	if (!why && !good_end(b, &tree))
		why = "it does not end well";
	count(&t->points);
	count(b->out->r >= 0 ? &t->done : b->out->r == ERR_UNDO ? &t->kept : &t->failed);
	if (!why)
		return true;
	count(&t->violations);
	printf("# %s: %s at %s, %s %u: %s (%d: %s)\n", b->s->name, m->name, call->name,
	       fault.reads ? "look" : "change", at, why, b->out->r, b->out->text);
	return false;
}

/* Is this the first call of its name after one of that name? */
static bool is_first_of_kind(const struct calls_seen *calls, unsigned i)
{
	if (i == 0)
		return true;
	for (unsigned k = 1; k < i; k++)
		if (str_eq(calls[k].name, calls[i].name) &&
		    str_eq(calls[k - 1].name, calls[i - 1].name))
			return false;
	return true;
}

/* Modes take turns where not every one is tried. */
static bool is_turn(const struct calls_seen *call, unsigned mode, unsigned turn)
{
	unsigned usable = 0, nth = 0;
	for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
		if (i == mode)
			nth = usable;
		usable += !!(modes[i].at & call->class);
	}
	return turn % usable == nth;
}

static bool is_chosen(const struct bench *b, const struct calls_seen *calls, unsigned i,
		      unsigned one_in)
{
	if (b->t->defect)
		return str_eq(calls[i].name, b->t->defect->call);
	return (i / SCENARIO_PROCESSES) % one_in == 0 || is_first_of_kind(calls, i);
}

/* All calls of one sort, those of this process. one_in 1 with every: each with each error. A defect
 * shows at the last calls first. */
static void try_calls(struct bench *b, const struct calls_seen *calls, unsigned n, unsigned one_in,
		      bool every)
{
	unsigned bad = 0, turn = b->process;
	for (unsigned k = b->process; k < n; k += SCENARIO_PROCESSES) {
		unsigned i = b->t->defect ? n - 1 - k : k;
		if (!is_chosen(b, calls, i, one_in))
			continue;
		turn++;
		for (unsigned m = 0; m < ARRAY_LEN(modes); m++) {
			if (b->t->defect && b->t->violations > 0)
				return;
			if (!(modes[m].at & calls[i].class) ||
			    (!every && !is_turn(&calls[i], m, turn)))
				continue;
			if (one_error(b, &modes[m], &calls[i], i + 1))
				continue;
			if (++bad == VIOLATIONS_MAX || b->t->defect)
				return;
			scenario_world_end(&b->w);
			new_world(b);
		}
	}
}

static void worker(unsigned process, void *arg)
{
	struct tally *t = arg;
	auto_free struct bench *b = xcalloc(1, sizeof(*b));
	*b = (struct bench){.t = t,
			    .s = t->s,
			    .process = process,
			    .out = &t->outcomes[process],
			    .changes = t->seen[process][0],
			    .reads = t->seen[process][1]};
	bool exhaust = scenario_exhaust();
	new_world(b);
	learn_calls(b);
	try_calls(b, b->changes, b->n_changes, exhaust || t->defect ? 1 : ONE_IN,
		  exhaust || t->defect);
	if (!t->defect)
		try_calls(b, b->reads, b->n_reads, exhaust ? EXHAUST_READS_ONE_IN : READS_ONE_IN,
			  false);
	scenario_world_end(&b->w);
}

static bool is_named(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (str_eq(argv[i], name))
			return true;
	return argc == 1;
}

static bool run(struct tally *t, const struct scenario *s, const struct defect *defect,
		unsigned number)
{
	t->s = s;
	t->defect = defect;
	t->points = t->done = t->failed = t->kept = t->violations = 0;
	scenario_run(s->name, worker, t);
	bool ok = defect ? t->violations > 0 : t->violations == 0 && t->failed > 0;
	if (defect)
		printf("%sok %u - the defect %s is noticed, after %u errors\n", ok ? "" : "not ",
		       number, defect->name, t->points);
	else
		printf("%sok %u - %u errors in %s: %u done all the same, %u failed as they should, "
		       "%u not undone and kept, %u violations\n",
		       ok ? "" : "not ", number, t->points, s->name, t->done, t->failed, t->kept,
		       t->violations);
	fflush(stdout);
	return ok;
}

int main(int argc, char **argv)
{
	log_init("errors", LOG_ERR);
	umask(022);
	char scratch[PATH_MAX];
	scratch_make(scratch);
	scenario_init();
	struct tally *t = scenario_shared(sizeof(*t));
	unsigned n = 0, points = 0, violations = 0;
	bool good = true;
	t->scratch = scratch;
	for (const struct scenario *s = scenarios; s->name; s++) {
		if (!is_named(s->name, argc, argv) || s->error_at ||
		    (argc == 1 && s->exhaust && !scenario_exhaust()))
			continue;
		good = run(t, s, NULL, ++n) && good;
		points += t->points;
		violations += t->violations;
	}
	for (size_t i = 0; i < ARRAY_LEN(defects); i++)
		if (is_named(defects[i].name, argc, argv))
			good = run(t, scenario_find(defects[i].scenario), &defects[i], ++n) && good;
	printf("# exhaust: errors: %u error points, %u violations\n", points, violations);
	printf("1..%u\n", n);
	scratch_remove(scratch);
	return good ? 0 : 1;
}
