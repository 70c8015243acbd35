// SPDX-License-Identifier: Apache-2.0
/* Races of unpacking: while a bundle (tgz, zip or a directory) is unpacked by the product's own
 * code, in the contained child of its own, a second process swaps directories in it for symbolic
 * links, absolute and relative, that lead to a tree outside, and files for links and for hard links
 * to a file of somebody else's; right before any call that looks at a name or changes one, or
 * without a pause. The directory is closed to everybody but root until the bundle has its name, so
 * the attacker is root; that a user gets nowhere is shown as well.
 *
 * Whatever happens: nothing outside is touched; nothing hangs; the bundle is unpacked, or an error
 * says where it stopped and nothing stays; and the next unpacking is right. Then the same without
 * the openat2 that follows no link, when the containment alone must hold, and two deliberate
 * defects by which something must escape: without that openat2 where there is no containment, and
 * without both.
 *
 * Needs root. SLIPWAY_SEED repeats a run, SLIPWAY_ROUNDS sets the number of rounds. */
#include "agent/worker/bundle.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "tests/crash/attacker.h"
#include "tests/crash/listing.h"
#include "tests/crash/steps.h"
#include "tests/crash/world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
#define USER 1234
#define HANGS_AFTER_S 30
#define NAME "deployment-archive"
#define UNPACKED ".deployment-archive.new"

/* What is in the bundle: a directory, a file, or a symbolic link ("l:TEXT"). */
static const struct object {
	const char *path, *what;
} objects[] = {
	{"appspec.yml", "f"}, {"d", "d"},          {"d/one", "f"},       {"d/two", "f"},
	{"d/link", "l:one"},  {"d/e", "d"},        {"d/e/three", "f"},   {"d/e/four", "f"},
	{"d/e/f", "d"},       {"d/e/f/five", "f"}, {"d/six", "f"},       {"g", "d"},
	{"g/seven", "f"},     {"g/h", "d"},        {"g/h/link", "l:.."}, {"last", "f"},
};

static const char *const dirs[] = {"d", "d/e", "d/e/f", "g", "g/h"};
static const char *const files[] = {"d/one", "d/link", "d/e/three", "g/h/link", "last"};

enum bait { BAIT_LINK, BAIT_RELATIVE, BAIT_HARDLINK, BAIT_COUNT };

static const enum bundle_type types[] = {BUNDLE_TGZ, BUNDLE_ZIP, BUNDLE_DIRECTORY};

/* Who tries, with which safety left out, and what must come of it. */
static const struct scene {
	const char *text;
	bool user;
	unsigned of_10; /* of the rounds */
	const char *defect;
	unsigned types; /* the first few of the types, or the last alone */
	bool escapes;
} scenes[] = {
	{"root swaps", false, 7, NULL, 3, false},
	{"the containment alone holds root", false, 2, "following-opens", 2, false},
	{"a user swaps nothing", true, 1, NULL, 3, false},
	{"following-opens without containment is noticed", false, 0, "following-opens", 1, true},
	{"uncontained is noticed", false, 0, "uncontained", 2, true},
};

struct yard {
	char scratch[PATH_MAX];
	int rev_fd; /* where it is unpacked */
	int source_fds[ARRAY_LEN(types)];
	unsigned steps[ARRAY_LEN(types)];
	char *outside, *right; /* listings: of outside, and of a bundle as it should be */
	struct attacker *attacker;
	unsigned seed;
};

struct round {
	unsigned type;
	char target[PATH_MAX];
	bool dir, running;
	enum bait bait;
	enum swap_how how;
	unsigned from, until;
};

/* Of the child; shared. */
static struct verdict {
	int r;
	struct error err;
} * verdict;

static struct attacker *attacker;

static char *below(const struct yard *y, const char *path)
{
	return xasprintf("%s/%s", y->scratch, path);
}

static int open_below(const struct yard *y, const char *path)
{
	auto_free char *full = below(y, path);
	if (fs_mkdirs_path(full, 0755, NULL) < 0)
		bail_out("mkdir %s", full);
	int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		bail_out("open %s: %s", full, strerror(errno));
	return fd;
}

static void make_file(int dirfd, const char *path, const char *text)
{
	auto_close int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || fs_write_all(fd, text, strlen(text)) < 0)
		bail_out("create %s: %s", path, strerror(errno));
}

static void make_objects(const struct yard *y, const char *dir, const char *whose)
{
	auto_close int fd = open_below(y, dir);
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		const struct object *o = &objects[i];
		auto_free char *text = xasprintf("%s of %s\n", o->path, whose);
		if (o->what[0] == 'f')
			make_file(fd, o->path, text);
		else if (o->what[0] == 'd' ? mkdirat(fd, o->path, 0755) < 0
					   : symlinkat(o->what + 2, fd, o->path) < 0)
			bail_out("make %s: %s", o->path, strerror(errno));
	}
}

static void pack(struct yard *y, unsigned type)
{
	struct error err = {0};
	auto_close int dir_fd = open_below(y, "source");
	auto_free char *path = below(y, bundle_type_to_string(types[type]));
	if (types[type] == BUNDLE_DIRECTORY) {
		y->source_fds[type] = TAKE_FD(dir_fd);
		return;
	}
	y->source_fds[type] = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (y->source_fds[type] < 0 ||
	    bundle_pack(dir_fd, types[type], y->source_fds[type], NULL, &err) < 0)
		bail_out("pack: %s", err.text);
}

static int unpack(const struct yard *y, unsigned type, struct error *err)
{
	struct bundle_source source = {.fd = y->source_fds[type],
				       .type = types[type],
				       .name = bundle_type_to_string(types[type]),
				       .size_bytes = -1};
	struct bundle_limits limits = {0};
	return bundle_unpack(&source, y->rev_fd, NAME, &limits, NULL, NULL, NULL, err);
}

static bool say(const char *what, const char *text)
{
	printf("# %s: %s\n", what, text);
	return false;
}

static bool is_right(const struct yard *y)
{
	auto_free char *path = below(y, "rev/" NAME);
	auto_free char *now = listing_make(path, false);
	return listing_compare("the bundle", y->right, now);
}

static bool is_outside_untouched(const struct yard *y)
{
	auto_free char *path = below(y, "outside");
	auto_free char *now = listing_make(path, true);
	return listing_compare("outside", y->outside, now);
}

/* Nobody attacks: it must be right, and nothing else be there. */
static bool unpack_in_peace(const struct yard *y, unsigned type)
{
	struct error err = {0};
	struct stat st;
	if (bundle_discard(y->rev_fd, NAME, &err) < 0 || unpack(y, type, &err) < 0)
		return say("the next unpacking", err.text);
	if (fstatat(y->rev_fd, UNPACKED, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return say("left", UNPACKED);
	return is_right(y);
}

static void forget(const struct yard *y)
{
	struct error err = {0};
	if (fs_remove_tree(y->rev_fd, NAME, &err) < 0 ||
	    fs_remove_tree(y->rev_fd, UNPACKED, &err) < 0)
		bail_out("%s", err.text);
}

/* Returns the wait status. */
static int in_child(const struct yard *y, const struct round *r, void (*begin)(void),
		    void (*end)(void))
{
	memset(verdict, 0, sizeof(*verdict));
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(HANGS_AFTER_S);
		steps_share(&y->attacker->steps);
		steps_arm(r->from, begin, r->until, end);
		verdict->r = unpack(y, r->type, &verdict->err);
		_exit(0);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail_out("fork");
	return status;
}

static void yard_make(struct yard *y, const struct scene *scene, const char *scratch)
{
	strcpy(y->scratch, scratch);
	attacker = y->attacker = attacker_start(scene->user ? USER : 0);
	if (chmod(scratch, 0711) < 0)
		bail_out("chmod %s", scratch);
	make_objects(y, "source", "the bundle");
	make_objects(y, "outside", "somebody else");
	y->rev_fd = open_below(y, "rev");
	auto_close int evil_fd = open_below(y, "evil");
	auto_close int outside_fd = open_below(y, "outside");
	make_file(outside_fd, "victim", "secret\n");
	if (scene->user && fchown(evil_fd, USER, USER) < 0)
		bail_out("chown");
	auto_free char *outside = below(y, "outside"), *right = below(y, "source");
	y->outside = listing_make(outside, true);
	y->right = listing_make(right, false);
	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		struct round none = {.type = i};
		pack(y, i);
		if (in_child(y, &none, NULL, NULL) != 0 || verdict->r < 0)
			bail_out("unpack: %s", verdict->err.text);
		y->steps[i] = y->attacker->steps;
		forget(y);
	}
}

static void yard_clear(struct yard *y)
{
	static const char *const names[] = {"source", "outside", "rev", "evil", "tgz", "zip"};
	struct error err = {0};
	attacker_stop(y->attacker);
	auto_close int fd = open(y->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (fs_remove_tree(fd, names[i], &err) < 0)
			bail_out("%s", err.text);
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		fs_close_quiet(y->source_fds[i]);
	fs_close_quiet(y->rev_fd);
	free(y->outside);
	free(y->right);
}

/* Rounds */

static unsigned pick(struct yard *y, unsigned n)
{
	return (unsigned)rand_r(&y->seed) % n;
}

static void choose(struct yard *y, const struct scene *scene, struct round *r)
{
	bool copy = scene->escapes && scene->types == 1; /* a directory: no containment */
	r->type = copy ? ARRAY_LEN(types) - 1 : pick(y, scene->types);
	r->dir = pick(y, 4) > 0;
	const char *target =
		r->dir ? dirs[pick(y, ARRAY_LEN(dirs))] : files[pick(y, ARRAY_LEN(files))];
	snprintf(r->target, PATH_MAX, "%s", target);
	r->bait = (enum bait)pick(y, r->dir ? BAIT_HARDLINK : BAIT_COUNT);
	r->how = pick(y, 3) ? SWAP_EXCHANGE : SWAP_GAP;
	r->from =
		y->steps[r->type] / 4 + pick(y, y->steps[r->type] * 3 / 4); /* something is there */
	r->until = pick(y, 2) ? 0 : r->from + 1 + pick(y, 20);
	r->running = pick(y, 6) == 0;
}

static void put_path(char out[PATH_MAX], const struct yard *y, const char *dir, const char *name)
{
	auto_free char *path = xasprintf("%s/%s%s", y->scratch, dir, name);
	if (strlen(path) >= PATH_MAX)
		bail_out("%s: too long", path);
	strcpy(out, path);
}

static void lay_bait(const struct yard *y, const struct round *r, struct swap *s)
{
	*s = (struct swap){.how = r->how};
	put_path(s->target, y, "rev/" UNPACKED "/", r->target);
	put_path(s->spare, y, "evil/", "spare");
	put_path(s->saved, y, "evil/", "saved");
	auto_free char *victim = below(y, "outside/victim");
	auto_free char *text = xasprintf(
		"%s%s/outside/%s", r->bait == BAIT_RELATIVE ? "../../../../../../../../../.." : "",
		y->scratch, r->target);
	if (r->bait == BAIT_HARDLINK ? link(victim, s->spare) < 0 : symlink(text, s->spare) < 0)
		bail_out("make a bait: %s", strerror(errno));
}

static void take_bait_away(const struct yard *y)
{
	struct error err = {0};
	auto_close int fd = open_below(y, "evil");
	if (fs_remove_tree(fd, "spare", &err) < 0 || fs_remove_tree(fd, "saved", &err) < 0)
		bail_out("%s", err.text);
}

static void swap_now(void)
{
	attacker_swap(attacker);
}

static void run_now(void)
{
	attacker_run(attacker);
}

static void revert_now(void)
{
	attacker_revert(attacker);
}

enum finding { GOOD, BAD, ESCAPED };

static bool ended_well(const struct yard *y, const struct round *r, int status)
{
	struct stat st;
	if (status != 0)
		return say("the process", WTERMSIG(status) == SIGALRM ? "hangs" : "crashed");
	bool there = fstatat(y->rev_fd, NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (verdict->r < 0)
		return !there && strchr(verdict->err.text, '/')
			       ? true
			       : say("the error", verdict->err.text);
	/* Whoever is root and mixes up the tree itself has another. */
	return y->attacker->swaps > 0 || is_right(y);
}

static enum finding one_round(struct yard *y, const struct round *r)
{
	struct swap s;
	lay_bait(y, r, &s);
	attacker_aim(y->attacker, &s);
	int status = in_child(y, r, r->running ? run_now : swap_now, revert_now);
	attacker_revert(y->attacker);
	take_bait_away(y);
	if (!is_outside_untouched(y))
		return ESCAPED;
	bool good = ended_well(y, r, status);
	good = unpack_in_peace(y, r->type) && good;
	forget(y);
	return !is_outside_untouched(y) ? ESCAPED : good ? GOOD : BAD;
}

struct tally {
	unsigned rounds, swaps, refused, violations, escapes;
};

static void run_rounds(struct yard *y, const struct scene *scene, unsigned count, struct tally *t)
{
	unsigned seed = y->seed;
	for (unsigned i = 0; i < count && t->escapes == 0 && (scene->escapes || !t->violations);
	     i++) {
		struct round r = {0};
		choose(y, scene, &r);
		enum finding f = one_round(y, &r);
		if (f != GOOD)
			printf("# violation in round %u (seed %u): %s, bait %d in the place of %s "
			       "%s%s "
			       "from call %u to %u: %s\n",
			       i, seed, bundle_type_to_string(types[r.type]), r.bait, r.target,
			       r.how == SWAP_GAP ? "with a gap" : "in one step",
			       r.running ? " again and again" : "", r.from, r.until,
			       verdict->r < 0 ? verdict->err.text : "no error");
		t->rounds++;
		t->violations += f != GOOD;
		t->escapes += f == ESCAPED;
		t->swaps += y->attacker->swaps > 0;
		t->refused += verdict->r < 0;
	}
}

static bool play(const char *scratch, const struct scene *scene, unsigned seed, unsigned rounds,
		 unsigned n, struct tally *all)
{
	auto_free struct yard *y = xcalloc(1, sizeof(*y));
	struct tally t = {0};
	y->seed = seed;
	yard_make(y, scene, scratch);
	if (scene->defect)
		setenv("SLIPWAY_DEFECT", scene->defect, 1);
	run_rounds(y, scene, rounds, &t);
	unsetenv("SLIPWAY_DEFECT");
	yard_clear(y);
	bool good = scene->escapes ? t.escapes > 0
				   : t.violations == 0 && (scene->user ? !t.swaps : t.swaps > 0);
	printf("%sok %u - %s: %u rounds, %u swapped, %u refused, %u violations\n",
	       good ? "" : "not ", n, scene->text, t.rounds, t.swaps, t.refused,
	       scene->escapes ? 0 : t.violations);
	fflush(stdout);
	all->rounds += scene->escapes ? 0 : t.rounds;
	all->violations += scene->escapes ? 0 : t.violations;
	return good;
}

static unsigned setting(const char *name, unsigned otherwise)
{
	uint64_t v;
	const char *text = getenv(name);
	return text && str_to_u64(text, &v) == 0 ? (unsigned)v : otherwise;
}

int main(void)
{
	log_init("race-unpack", LOG_EMERG);
	umask(022);
	if (geteuid() != 0) {
		printf("1..0 # SKIP the races of unpacking need root\n");
		return 0;
	}
	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (verdict == MAP_FAILED)
		bail_out("mmap");
	char scratch[PATH_MAX];
	scratch_make(scratch);
	unsigned seed = setting("SLIPWAY_SEED", (unsigned)time(NULL)), failed = 0;
	unsigned rounds =
		setting("SLIPWAY_ROUNDS", getenv("SLIPWAY_EXHAUST") ? ROUNDS_EXHAUST : ROUNDS);
	struct tally all = {0};
	for (unsigned i = 0; i < ARRAY_LEN(scenes); i++) {
		const struct scene *s = &scenes[i];
		unsigned count = s->escapes ? ROUNDS_EXHAUST : rounds * s->of_10 / 10;
		failed += !play(scratch, s, seed, count, i + 1, &all);
	}
	printf("# seed %u\n# exhaust: races of unpacking: %u races, %u violations\n1..%zu\n", seed,
	       all.rounds, all.violations, ARRAY_LEN(scenes));
	scratch_remove(scratch);
	return failed ? 1 : 0;
}
