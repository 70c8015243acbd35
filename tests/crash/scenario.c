// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/scenario.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static bool can_mount;

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

static int recover(const struct world *w, struct error *err)
{
	enum install_state state;
	return world_recover(w, &state, err);
}

bool scenario_exhaust(void)
{
	return getenv("SLIPWAY_EXHAUST");
}

void *scenario_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		bail_out("mmap");
	return p;
}

int scenario_crash(const struct world *w, scenario_act *act, const struct calls_fault *fault,
		   unsigned at, struct calls_sample *sample)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		struct error err = {0};
		calls_arm_sample(at, sample);
		if (fault)
			calls_fail(fault);
		_exit(act(w, &err) < 0 ? 2 : 0);
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

unsigned scenario_points(const struct world *w, scenario_act *act)
{
	unsigned *count = scenario_shared(sizeof(*count));
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

/* Die in the act at a share of its calls. *points: 0, until it is known. After the act again()
 * leads back to before it. */
static int die_in(const struct world *w, scenario_act *act, scenario_act *again, unsigned *points,
		  unsigned percent, struct error *err)
{
	if (*points == 0) {
		*points = scenario_points(w, act);
		int r = again(w, err);
		if (r < 0)
			return r;
	}
	return scenario_crash(w, act, NULL, *points * percent / 100, NULL) == 1
		       ? 0
		       : error_set(err, -EINVAL, "it did not die");
}

static int die_in_stage(const struct world *w, struct error *err)
{
	static unsigned points;
	return die_in(w, install_b, world_undo, &points, 30, err);
}

static int die_in_switch(const struct world *w, struct error *err)
{
	static unsigned points;
	return die_in(w, install_b, world_undo, &points, 85, err);
}

static int undo_share(const struct world *w, unsigned *points, unsigned percent, struct error *err)
{
	int r = install_b(w, err);
	return r < 0 ? r : die_in(w, world_undo, install_b, points, percent, err);
}

static int die_in_undo(const struct world *w, struct error *err)
{
	static unsigned points;
	return undo_share(w, &points, 25, err);
}

static int die_after_undo(const struct world *w, struct error *err)
{
	static unsigned points;
	return undo_share(w, &points, 85, err);
}

/* Settling B leads away from A: it is measured on the way to a first point, and A installed again.
 */
static int b_once_more(const struct world *w, struct error *err)
{
	int r = world_deploy(w, TREE_A, err);
	return r < 0 ? r : install_b(w, err);
}

static int die_in_settle(const struct world *w, struct error *err)
{
	static unsigned points;
	int r = install_b(w, err);
	return r < 0 ? r : die_in(w, world_settle, b_once_more, &points, 50, err);
}

#define INSTALL .kind = SCENARIO_INSTALL
#define UNDO .kind = SCENARIO_UNDO, .act = world_undo
#define SETTLE .kind = SCENARIO_SETTLE, .act = world_settle, .one_way = true
#define RECOVER .kind = SCENARIO_RECOVER, .act = recover, .one_way = true
#define FROM_TO(a, b) .old = TREE_##a, .new = TREE_##b

const struct scenario scenarios[] = {
	{"install", INSTALL, FROM_TO(A, B), .act = install_b},
	{"install-back", INSTALL, FROM_TO(B, A), .act = install_a, .exhaust = true},
	{"first-install", INSTALL, FROM_TO(NONE, A), .act = install_a},
	{"remove", INSTALL, FROM_TO(B, NONE), .act = remove_all},
	{"undo", UNDO, FROM_TO(A, A), .prepare = install_b},
	{"undo-of-the-first", UNDO, FROM_TO(NONE, NONE), .prepare = install_b},
	{"settle", SETTLE, FROM_TO(A, B), .prepare = install_b},
	{"recover-stage", RECOVER, FROM_TO(A, A), .prepare = die_in_stage, .exhaust = true},
	{"recover-forward", RECOVER, FROM_TO(A, B), .prepare = die_in_switch, .turns = true},
	{"recover-undo", RECOVER, FROM_TO(A, A), .prepare = die_in_undo},
	{"recover-undone", RECOVER, FROM_TO(A, A), .prepare = die_after_undo, .exhaust = true},
	{"recover-settle", RECOVER, FROM_TO(A, B), .prepare = die_in_settle, .exhaust = true},
	{"error-in-stage", INSTALL, FROM_TO(A, A), .act = install_b, .one_way = true,
	 .exhaust = true, .error_at = 40},
	{"error-in-switch", INSTALL, FROM_TO(A, A), .act = install_b, .error_at = 90},
	{0},
};

const struct scenario *scenario_find(const char *name)
{
	for (const struct scenario *s = scenarios; s->name; s++)
		if (str_eq(s->name, name))
			return s;
	bail_out("there is no scenario %s", name);
}

struct calls_fault scenario_error(const struct scenario *s, unsigned points)
{
	return (struct calls_fault){.at = points * s->error_at / 100, .error = EIO};
}

void scenario_init(void)
{
	can_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (!can_mount)
		printf("# one file system only: mounting is not allowed here\n");
}

static void mount_memory(const char *path)
{
	if (fs_mkdirs_path(path, 0755, NULL) < 0 ||
	    mount("tmpfs", path, "tmpfs", 0, "mode=0755") < 0)
		bail_out("mount %s: %s", path, strerror(errno));
}

void scenario_world(struct world *w, const char *scratch, const char *name,
		    const struct scenario *s, unsigned scale)
{
	struct error err = {0};
	auto_free char *base = xasprintf("%s/%s", scratch, name);
	auto_free char *dest = xasprintf("%s/dest", base);
	auto_free char *group = xasprintf("%s/group", base);
	auto_free char *below = xasprintf("%s" WORLD_MOUNT, dest);
	if (can_mount) {
		mount_memory(below);
		mount_memory(group);
	}
	world_make_scaled(w, base, dest, group, scale);
	if (s->old != TREE_NONE && world_deploy(w, s->old, &err) < 0)
		bail_out("deploy: %s", err.text);
}

void scenario_world_end(const struct world *w)
{
	auto_free char *below = xasprintf("%s" WORLD_MOUNT, w->dest);
	if (can_mount && (umount2(below, MNT_DETACH) < 0 || umount2(w->group, MNT_DETACH) < 0))
		bail_out("umount: %s", strerror(errno));
}

void scenario_prepare(struct world *w, const struct scenario *s)
{
	struct error err = {0};
	w->worn = false;
	if (s->old == TREE_A && w->can_wear)
		world_wear(w);
	if (s->prepare && s->prepare(w, &err) < 0)
		bail_out("prepare %s: %s", s->name, err.text);
}

void scenario_run(const char *name, void (*fn)(unsigned process, void *arg), void *arg)
{
	pid_t pids[SCENARIO_PROCESSES];
	fflush(stdout);
	for (unsigned i = 0; i < SCENARIO_PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			fn(i, arg);
			fflush(stdout);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < SCENARIO_PROCESSES; i++) {
		int status;
		if (pids[i] < 0 || waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			bail_out("%s: a process of the test failed", name);
	}
}
