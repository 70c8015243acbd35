// SPDX-License-Identifier: Apache-2.0
/* Races of the installation: while a revision is planned and installed, settled, undone or
 * recovered, a second process, which has the rights of the application's user (who owns the
 * destination) or is root, swaps what is on the way or at its end for something else: directories
 * for symbolic links, absolute and relative, that lead to a tree outside; for other directories,
 * its own or root's; files for symbolic links, FIFOs and hard links to files of others; the staging
 * directory, where that has to lie in a directory of the user's. It acts right before any system
 * call that looks at a name or changes one, or without a pause.
 *
 * Whatever happens: nothing outside is written, made, removed or given another owner or mode;
 * nothing hangs; the act ends with the whole new tree or with an error that names a path; then
 * recovery leaves the whole old or new tree and the next deployment works. With deliberate defects
 * somebody must escape.
 *
 * Needs root. SLIPWAY_SEED repeats a run, SLIPWAY_ROUNDS sets the number of rounds. */
#include "agent/worker/plan.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "tests/crash/race-arena.h"
#include "tests/crash/steps.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef SANITIZERS
#define ROUNDS 20
#else
#define ROUNDS 50
#endif
#define ROUNDS_EXHAUST 1000
#define HANGS_AFTER_S 30
#define STAGE_STEPS 30 /* the staging directory is made within so many calls of the plan's end */
enum act { ACT_INSTALL, ACT_UNDO, ACT_SETTLE, ACT_RECOVER, ACT_COUNT };
static const char *const act_names[] = {"install", "undo", "settle", "recovery"};

#define DIRS (1 << BAIT_LINK | 1 << BAIT_RELATIVE | 1 << BAIT_DIR)
#define FILES (1 << BAIT_LINK | 1 << BAIT_RELATIVE | 1 << BAIT_FIFO | 1 << BAIT_HARDLINK)

/* Who or what is attacked, relative to the folder of all. */
static const struct attack {
	const char *target;
	unsigned baits;
	bool squat;      /* the name is free */
	bool late;       /* only once the plan is made: before, it is what the plan says */
	bool root;       /* only root can do it, and only then is it one */
	bool own_mount;  /* only where the destination is a file system of the user's */
	const char *act; /* only there */
} attacks[] = {
	{"home/user/site", DIRS, false, false, false, false, NULL},
	{"home/user/site/app", DIRS, false, false, false, false, NULL},
	{"home/user/site/app", 1 << BAIT_VAULT, false, true, false, false, NULL},
	{"home/user/site/app/conf", DIRS, false, false, false, false, NULL},
	{"home/user/site/app/conf/deep", DIRS, false, false, false, false, NULL},
	{"home/user/site/app/meta", DIRS, false, false, false, false, NULL},
	{"home/user/site/app/given", DIRS, false, false, false, false, NULL},
	{"home/user/site/app/old", DIRS, false, true, false, false, NULL},
	{"home/user/site/app/back", DIRS, false, true, false, false, NULL},
	{"home/user/site/app/conf/changed", FILES, false, false, false, false, NULL},
	{"home/user/site/app/conf/mode", FILES, false, false, false, false, NULL},
	{"home/user/site/app/conf/gone", FILES, false, true, false, false, NULL},
	{"home/user/site/app/conf/deep/link", FILES, false, false, false, false, NULL},
	{"home/user/site/app/swap", FILES, false, true, false, false, NULL},
	{"home/user/site/app/conf/new", FILES, true, false, false, false, NULL},
	{"home/user/site/app/fresh", DIRS, true, true, false, false, NULL},
	{"home/user", DIRS, false, true, true, false, NULL},
	{"home", DIRS, false, true, true, false, NULL},
	{"home/user/site/.slipway-", 1 << BAIT_VAULT | 1 << BAIT_DIR | 1 << BAIT_LINK, false, true,
	 false, true, NULL},
};

struct round {
	const struct attack *attack;
	enum act act;
	enum bait bait;
	enum swap_how how;
	bool running; /* without a pause, not between two calls */
	unsigned from, until;
};

/* What the child did; shared. */
static struct verdict {
	int r;
	unsigned planned; /* steps of the plan */
	struct error err;
	char problem[512];
} * verdict;

/* Who attacks where; the defects are shown where they matter. */
struct scene {
	const char *name;
	bool root, own_mount;
	unsigned of_10; /* of the rounds */
	const char *defect;
	const char *target; /* only this one */
	enum act act;
	bool rare; /* takes hundreds of rounds to be noticed: not in make check */
};
static const struct scene scenes[] = {
	{"the application's user", false, false, 6, NULL, NULL, 0, false},
	{"the user on a file system of its own", false, true, 3, NULL, NULL, 0, false},
	{"root", true, false, 1, NULL, NULL, 0, false},
	{"the user", false, false, 0, "following-opens", "home/user/site", ACT_INSTALL, false},
	{"the user", false, false, 0, "trusting-links", "home/user/site/app/conf", ACT_INSTALL,
	 false},
	{"the user", false, false, 0, "any-directory", "home/user/site/app", ACT_UNDO, false},
	{"the user", false, true, 0, "stage-by-name", "home/user/site/.slipway-", ACT_SETTLE,
	 false},
	{"the user", false, true, 0, "any-stage", "home/user/site/.slipway-", ACT_INSTALL, true},
};

struct game {
	const struct scene *scene;
	struct arena a;
	unsigned steps[ACT_COUNT], planned; /* calls; those of the plan alone */
	unsigned seed;
};

static struct attacker *attacker; /* for what happens between two calls */

/* Acts */

static int plan(const struct world *w, enum tree to, struct error *err)
{
	auto_free char *archive = xasprintf("%s/archive/%s", w->base, to == TREE_B ? "b" : "a");
	auto_free char *destination = xasprintf("%s/app", w->dest);
	auto_close int group_fd = open(w->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int archive_fd = open(archive, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spec_file file = {.source = (char *)"tree", .destination = destination, .line = 3};
	struct spec spec = {.files = &file, .n_files = 1};
	struct plan_request request = {.archive_fd = archive_fd,
				       .spec = &spec,
				       .group_id = "group",
				       .file_exists = SPEC_OVERWRITE,
				       .groups_fd = -1,
				       .group_fd = group_fd};
	struct plan_summary summary;
	auto_problems struct problems problems = {0};
	int r = plan_make(&request, &summary, &problems, err);
	for (size_t i = 0; i < problems.count && r < 0; i++)
		if (problems.list[i].level == PROBLEM_ERROR)
			snprintf(verdict->problem, sizeof(verdict->problem), "%s: %s",
				 problems.list[i].where, problems.list[i].text);
	return r;
}

static int install(const struct world *w, enum tree to, struct error *err)
{
	int r = plan(w, to, err);
	verdict->planned = steps_count();
	if (r < 0)
		return r;
	auto_free char *archive = xasprintf("%s/archive/%s", w->base, to == TREE_B ? "b" : "a");
	auto_close int group_fd = open(w->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int archive_fd = open(archive, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return install_run(group_fd, archive_fd, "d-RACE", NULL, NULL, err);
}

static int do_act(enum act act, const struct world *w, struct error *err)
{
	enum install_state state;
	switch (act) {
	case ACT_INSTALL:
		return install(w, TREE_B, err);
	case ACT_UNDO:
		return world_undo(w, err);
	case ACT_SETTLE:
		return world_settle(w, err);
	default:
		return world_recover(w, &state, err);
	}
}

static void swap_now(void)
{
	attacker_swap(attacker);
}

static void revert_now(void)
{
	attacker_revert(attacker);
}

static void run_now(void)
{
	attacker_run(attacker);
}

static void die(void)
{
	kill(getpid(), SIGKILL);
}

/* Returns the wait status. */
static int in_child(const struct arena *a, enum act act, unsigned from, void (*begin)(void),
		    unsigned until, void (*end)(void))
{
	memset(verdict, 0, sizeof(*verdict));
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(HANGS_AFTER_S);
		steps_share(&a->attacker->steps);
		steps_arm(from, begin, until, end);
		verdict->r = do_act(act, &a->w, &verdict->err);
		_exit(0);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail_out("fork");
	return status;
}

static unsigned pick(struct game *g, unsigned n)
{
	return (unsigned)rand_r(&g->seed) % n;
}

/* Up to where the act begins; A is deployed. */
static void prepare(struct game *g, enum act act)
{
	struct error err = {0};
	if (act == ACT_INSTALL)
		return;
	if (act == ACT_RECOVER) {
		unsigned rest = g->steps[ACT_INSTALL] - g->planned;
		unsigned at = g->planned + rest / 2 + pick(g, rest / 2 - 4);
		if (!WIFSIGNALED(in_child(&g->a, ACT_INSTALL, at, die, 0, NULL)))
			bail_out("it did not die");
	} else if (world_install(&g->a.w, TREE_B, &err) < 0) {
		bail_out("install: %s", err.text);
	}
}

/* How many calls each act has. */
static void measure(struct game *g)
{
	struct error err = {0};
	for (enum act act = 0; act < ACT_COUNT; act++) {
		prepare(g, act);
		if (in_child(&g->a, act, 0, NULL, 0, NULL) != 0 || verdict->r < 0)
			bail_out("%s: %s", act_names[act], verdict->err.text);
		g->steps[act] = g->a.attacker->steps;
		if (act == ACT_INSTALL)
			g->planned = verdict->planned;
		enum install_state state = INSTALL_NONE;
		if (world_recover(&g->a.w, &state, &err) < 0 ||
		    (state == INSTALL_INSTALLED && world_settle(&g->a.w, &err) < 0))
			bail_out("settle: %s", err.text);
		arena_deploy(&g->a, TREE_A);
	}
}

/* Rounds */

static bool fits(const struct game *g, const struct attack *k)
{
	const struct scene *s = g->scene;
	bool mount_point = s->own_mount && str_eq(k->target, "home/user/site");
	return k->root == s->root && (s->own_mount || !k->own_mount) && !mount_point &&
	       (!s->target || str_eq(s->target, k->target));
}

static enum swap_how choose_how(struct game *g, const struct round *r)
{
	if (r->attack->squat)
		return SWAP_SQUAT;
	return r->bait == BAIT_VAULT || pick(g, 3) ? SWAP_EXCHANGE : SWAP_GAP;
}

static void choose(struct game *g, struct round *r)
{
	do
		r->attack = &attacks[pick(g, ARRAY_LEN(attacks))];
	while (!fits(g, r->attack));
	do
		r->bait = (enum bait)pick(g, BAIT_COUNT);
	while (!(r->attack->baits & 1U << r->bait));
	r->how = choose_how(g, r);
	r->act = pick(g, 2) ? ACT_INSTALL : (enum act)pick(g, ACT_COUNT);
	bool late = r->attack->late || pick(g, 3);
	unsigned first = r->act == ACT_INSTALL && late ? g->planned : 0;
	r->from = first + 1 + pick(g, g->steps[r->act] - first);
	r->until = pick(g, 2) ? 0 : r->from + 1 + pick(g, 30);
	r->running = pick(g, 8) == 0;
	if (!g->scene->defect)
		return;
	/* Where the defect is: looking at what is there, making the stage, or an act as a whole. */
	r->act = g->scene->act;
	if (r->act != ACT_INSTALL)
		r->from = 1 + pick(g, g->steps[r->act]);
	else if (r->attack->late)
		r->from = g->planned + 1 + pick(g, STAGE_STEPS);
	else
		r->from = 1 + pick(g, g->planned);
	r->until = 0;
	r->running = false;
}

static bool say(const char *what, const char *text)
{
	printf("# %s: %s\n", what, text);
	return false;
}

/* An error must say where. */
static bool names_a_path(const struct arena *a)
{
	return strstr(verdict->err.text, a->scratch) || strstr(verdict->problem, a->scratch) ||
	       say("the error names no path", verdict->err.text);
}

/* Did the attacker leave the application's tree as it found it, so that it must be whole? Whoever
 * puts another directory of its own there, takes one away while it is looked for, or swaps on while
 * names change, makes itself a tree in which old and new are mixed; what cannot be reached when the
 * plan is made is not removed, with a warning. */
static bool fair(const struct arena *a, const struct round *r)
{
	bool back = verdict->r < 0 || r->act == ACT_UNDO || r->act == ACT_RECOVER;
	if (!back && r->act == ACT_INSTALL && r->from <= verdict->planned)
		return false;
	if (back && str_eq(r->attack->target, "home/user/site/app/swap"))
		return false; /* the new directory, hidden while it is emptied */
	if (r->running || a->attacker->misfits > 0 || (r->how == SWAP_GAP && back))
		return false;
	return r->bait != BAIT_DIR || r->attack->own_mount;
}

/* The tree after recovery, and the next deployment. */
static bool ends_well(const struct arena *a, const struct round *r)
{
	enum tree new_tree = r->act == ACT_UNDO ? TREE_A : TREE_B, tree = new_tree;
	bool done = verdict->r >= 0;
	if (done && r->act == ACT_INSTALL && !world_is(&a->w, TREE_B, false))
		return say("the installation succeeded, but", "the tree is not the new one");
	if (done && (r->act == ACT_UNDO || r->act == ACT_SETTLE)) {
		/* A stage that could not be removed is left for recovery. */
		struct error err = {0};
		enum install_state state;
		if (!world_is(&a->w, new_tree, false) || world_recover(&a->w, &state, &err) < 0 ||
		    !world_is(&a->w, new_tree, true))
			return say(act_names[r->act], "it succeeded, but the tree is another");
	} else if (!world_judge(&a->w, TREE_A, new_tree, r->act == ACT_SETTLE, &tree)) {
		return false;
	}
	return world_next(&a->w, tree, TREE_A);
}

/* Where the attacker has left a mess of its own: recovery must still come to an end. */
static bool ends_somehow(const struct arena *a)
{
	struct error err = {0};
	enum install_state state;
	if (world_recover(&a->w, &state, &err) < 0)
		return strstr(err.text, a->scratch) || say("recovery names no path", err.text);
	if (state == INSTALL_INSTALLED && world_settle(&a->w, &err) < 0)
		return strstr(err.text, a->scratch) || say("settle names no path", err.text);
	return true;
}

static void describe(const struct game *g, const struct round *r, unsigned number, unsigned seed)
{
	static const char *const hows[] = {"in one step", "with a gap", "first"};
	printf("# violation in round %u (seed %u): %s, %s put %s in the place of %s %s%s from call "
	       "%u to %u: %s\n",
	       number, seed, act_names[r->act], g->scene->name, bait_name(r->bait),
	       r->attack->target, hows[r->how], r->running ? ", again and again," : "", r->from,
	       r->until, verdict->r < 0 ? verdict->err.text : "no error");
}

enum finding { GOOD, BAD, ESCAPED };

/* After a round: the finding. */
static enum finding inspect(const struct arena *a, const struct round *r, int status, bool is_fair)
{
	if (!arena_is_untouched(a))
		return ESCAPED;
	if (status != 0) {
		say("the process", WTERMSIG(status) == SIGALRM ? "hangs" : "crashed");
		return BAD;
	}
	if (verdict->r < 0 && !names_a_path(a))
		return BAD;
	bool good = is_fair ? ends_well(a, r) : ends_somehow(a);
	if (!arena_is_untouched(a))
		return ESCAPED;
	return good ? GOOD : BAD;
}

/* Starts and ends with A deployed. */
static enum finding one_round(struct game *g, struct round *r, bool *ret_fair)
{
	struct arena *a = &g->a;
	struct swap s;
	prepare(g, r->act);
	arena_lay(a, r->attack->target, r->attack->own_mount, r->bait, r->how, &s);
	attacker_aim(a->attacker, &s);
	int status = in_child(a, r->act, r->from, r->running ? run_now : swap_now,
			      r->running ? 0 : r->until, revert_now);
	attacker_revert(a->attacker);
	arena_take_away(a, &s);
	*ret_fair = fair(a, r);
	enum finding f = inspect(a, r, status, *ret_fair);
	if (f == BAD || !*ret_fair)
		arena_renew(a);
	return f;
}

struct tally {
	unsigned rounds, swaps, refused, done, unfair, violations, escapes;
};

/* Rounds until one is bad; with a defect, until somebody has escaped. */
static void run_rounds(struct game *g, unsigned count, struct tally *t)
{
	unsigned seed = g->seed;
	bool defect = g->scene->defect;
	for (unsigned i = 0; i < count && t->escapes == 0 && (defect || !t->violations); i++) {
		struct round r;
		bool is_fair;
		choose(g, &r);
		enum finding f = one_round(g, &r, &is_fair);
		if (f != GOOD)
			describe(g, &r, i, seed);
		t->rounds++;
		t->violations += f != GOOD;
		t->escapes += f == ESCAPED;
		t->swaps += g->a.attacker->swaps > 0;
		t->unfair += !is_fair;
		*(verdict->r < 0 ? &t->refused : &t->done) += 1;
	}
}

static void play(const char *scratch, const struct scene *scene, unsigned seed, unsigned rounds,
		 struct tally *t)
{
	auto_free struct game *g = xcalloc(1, sizeof(*g));
	strcpy(g->a.scratch, scratch);
	g->scene = scene;
	g->a.root = scene->root;
	g->a.own_mount = scene->own_mount;
	g->seed = seed;
	arena_make(&g->a);
	attacker = g->a.attacker;
	measure(g);
	if (scene->defect)
		setenv("SLIPWAY_DEFECT", scene->defect, 1);
	run_rounds(g, rounds, t);
	unsetenv("SLIPWAY_DEFECT");
	arena_clear(&g->a);
}

static unsigned setting(const char *name, unsigned otherwise)
{
	uint64_t v;
	const char *text = getenv(name);
	return text && str_to_u64(text, &v) == 0 ? (unsigned)v : otherwise;
}

static bool tell(const struct scene *s, const struct tally *t, unsigned n)
{
	bool good = t->violations == 0 && t->swaps > 0;
	printf("%sok %u - %s swaps in %u rounds: %u swapped, %u done, %u refused, %u with a mess "
	       "of "
	       "its own, %u violations\n",
	       good ? "" : "not ", n, s->name, t->rounds, t->swaps, t->done, t->refused, t->unfair,
	       t->violations);
	return good;
}

static bool tell_defect(const struct scene *s, const struct tally *t, unsigned n)
{
	bool good = t->escapes > 0;
	printf("%sok %u - %s is noticed: in round %u\n", good ? "" : "not ", n, s->defect,
	       t->rounds);
	return good;
}

static void skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

int main(void)
{
	log_init("race-install", LOG_EMERG);
	umask(022);
	if (geteuid() != 0)
		skip_all("the races of the installation need root");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip_all("the races of the installation need a mount namespace of their own");
	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (verdict == MAP_FAILED)
		bail_out("mmap");
	char scratch[PATH_MAX];
	scratch_make(scratch);
	unsigned seed = setting("SLIPWAY_SEED", (unsigned)time(NULL)), n = 0, failed = 0;
	unsigned rounds =
		setting("SLIPWAY_ROUNDS", getenv("SLIPWAY_EXHAUST") ? ROUNDS_EXHAUST : ROUNDS);
	struct tally all = {0};
	for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
		const struct scene *s = &scenes[i];
		struct tally t = {0};
		if (s->rare && !getenv("SLIPWAY_EXHAUST"))
			continue;
		play(scratch, s, seed, s->defect ? ROUNDS_EXHAUST : rounds * s->of_10 / 10, &t);
		failed += !(s->defect ? tell_defect(s, &t, ++n) : tell(s, &t, ++n));
		all.rounds += s->defect ? 0 : t.rounds;
		all.violations += s->defect ? 0 : t.violations;
		fflush(stdout);
	}
	printf("# seed %u\n# exhaust: races of installing: %u races, %u violations\n1..%u\n", seed,
	       all.rounds, all.violations, n);
	scratch_remove(scratch);
	return failed ? 1 : 0;
}
