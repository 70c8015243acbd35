// SPDX-License-Identifier: Apache-2.0
/* Power-cut test: the destination lies on a loop-mounted file system (ext4, then XFS), the group's
 * journal on another one. At random moments of an install, its settle and its undo the power goes:
 * the shutdown ioctl freezes a file system as it is, whatever was not written back is lost, and
 * mounting replays the file system's own journal. Half of the moments are fault points (between
 * two calls), half come from outside at any instant; the journal's file system loses its power
 * together with the destination or keeps it, and where it is only a disk that goes, the process may
 * live on and meet the errors. After recovery the destination must be exactly the old
 * or the new tree, and the next deployment must succeed. Then once more without the sync of the
 * stage, which must be noticed.
 *
 * Needs root and loop devices. SLIPWAY_SEED repeats a run, SLIPWAY_POINTS sets their number per
 * file system. */
#include "agent/worker/fault.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"
#include "tests/crash/world.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>

#define GOING_DOWN _IOR('X', 125, uint32_t) /* FS_IOC_SHUTDOWN */
#define NO_LOG_FLUSH 2

/* Moments per file system. What the disk has lost does not depend on the sanitizers. */
#ifdef SANITIZERS
#define MOMENTS 10
#else
#define MOMENTS 50
#endif

enum act { ACT_INSTALL, ACT_SETTLE, ACT_UNDO, ACT_COUNT };
static const char *const act_names[] = {"install", "settle", "undo"};

struct disk {
	char image[PATH_MAX], path[PATH_MAX];
};

struct bench {
	const char *type; /* of the destination's file system */
	struct disk dest, host;
	struct world world;
	unsigned points[ACT_COUNT];
	uint64_t lasts_us[ACT_COUNT];
	unsigned seed;
};

struct moment {
	enum act act;
	bool outside;   /* any instant, not a fault point */
	bool host_too;  /* the journal's file system goes down with it */
	bool linger;    /* only the disk goes: the process meets the errors and does what it can */
	unsigned point; /* or delay in microseconds */
};

/* What the child does at its fault point. */
static struct bench *bench;
static struct moment moment;

static int run(const char *const argv[])
{
	struct proc_spec spec = {.path = argv[0], .argv = argv, .stdin_fd = -1};
	auto_close int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	spec.stdout_fd = spec.stderr_fd = null;
	struct proc_end end;
	struct error err;
	pid_t pid = proc_start(&spec, &err);
	if (pid < 0 || proc_wait(pid, 60000, false, &end, &err) < 0)
		return -1;
	return end.exit_code;
}

static int tool(const char *name, const char *a, const char *b, const char *c, const char *d)
{
	static const char *const dirs[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		auto_free char *path = xasprintf("%s/%s", dirs[i], name);
		const char *argv[] = {path, a, b, c, d, NULL};
		if (access(path, X_OK) == 0)
			return run(argv);
	}
	return -1;
}

static bool disk_mount(const struct disk *d)
{
	return tool("mount", "-o", "loop", d->image, d->path) == 0;
}

static void disk_unmount(const struct disk *d)
{
	/* Someone may look at every new mount for a moment. */
	for (int i = 0; i < 100; i++) {
		if (umount2(d->path, 0) == 0 || errno == EINVAL)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	bail_out("umount %s: %s", d->path, strerror(errno));
}

static bool disk_make(struct disk *d, const char *scratch, const char *name, const char *type)
{
	snprintf(d->image, sizeof(d->image), "%s/%s.img", scratch, name);
	snprintf(d->path, sizeof(d->path), "%s/%s", scratch, name);
	fs_mkdirs_path(d->path, 0755, NULL) < 0 ? bail_out("mkdir %s", d->path) : (void)0;
	auto_close int fd = open(d->image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool xfs = str_eq(type, "xfs");
	if (fd < 0 || ftruncate(fd, (xfs ? 400 : 64) << 20) < 0)
		bail_out("%s: %s", d->image, strerror(errno));
	auto_free char *mkfs = xasprintf("mkfs.%s", type);
	return tool(mkfs, "-q", xfs ? "-f" : "-F", d->image, NULL) == 0 && disk_mount(d);
}

static void power_off(const struct disk *d)
{
	int fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t how = NO_LOG_FLUSH;
	if (fd >= 0 && ioctl(fd, GOING_DOWN, &how) < 0)
		_exit(3);
	close(fd);
}

static void cut(void)
{
	power_off(&bench->dest);
	if (moment.host_too)
		power_off(&bench->host);
	kill(getpid(), SIGKILL);
}

static int do_act(enum act act, const struct world *w, struct error *err)
{
	return act == ACT_INSTALL  ? world_install(w, TREE_B, err)
	       : act == ACT_SETTLE ? world_settle(w, err)
				   : world_undo(w, err);
}

/* In a child, so that no descriptor of ours keeps the file systems busy. Returns the exit status of
 * the act, 1 when it was killed. */
static void act_and_cut(struct bench *b)
{
	struct error err = {0};
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		fault_arm(moment.outside ? 0 : moment.point, cut);
		log_set_level(LOG_EMERG);
		_exit(do_act(moment.act, &b->world, &err) < 0 ? 2 : 0);
	}
	if (moment.outside) {
		nanosleep(&(struct timespec){.tv_nsec = (long)moment.point * 1000}, NULL);
		power_off(&b->dest);
		if (moment.host_too)
			power_off(&b->host);
		if (!moment.linger)
			kill(pid, SIGKILL);
	}
	int status;
	if (waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status) == 3))
		bail_out("the power cannot be cut");
}

static void power_on(struct bench *b)
{
	disk_unmount(&b->dest);
	if (moment.host_too)
		disk_unmount(&b->host);
	if (!disk_mount(&b->dest) || (moment.host_too && !disk_mount(&b->host)))
		bail_out("%s cannot be mounted again", b->type);
}

/* How many points an act has and how long it lasts, without a cut. Starts and ends with A. */
static void measure(struct bench *b)
{
	struct error err = {0};
	for (enum act act = 0; act < ACT_COUNT; act++) {
		if (act != ACT_INSTALL && world_install(&b->world, TREE_B, &err) < 0)
			bail_out("install: %s", err.text);
		fault_arm(0, NULL);
		uint64_t begin = clock_mono_us();
		if (do_act(act, &b->world, &err) < 0)
			bail_out("%s: %s", act_names[act], err.text);
		b->lasts_us[act] = clock_mono_us() - begin;
		b->points[act] = fault_count();
		if (act == ACT_INSTALL && world_settle(&b->world, &err) < 0)
			bail_out("settle: %s", err.text);
		if (act != ACT_UNDO && world_deploy(&b->world, TREE_A, &err) < 0)
			bail_out("deploy: %s", err.text);
	}
}

/* One moment. Starts and ends with A deployed; false: a violation. */
static bool one_moment(struct bench *b, enum tree *ret)
{
	struct error err = {0};
	if (moment.act != ACT_INSTALL && world_install(&b->world, TREE_B, &err) < 0)
		bail_out("install: %s", err.text);
	act_and_cut(b);
	power_on(b);
	enum tree new = moment.act == ACT_UNDO ? TREE_A : TREE_B;
	return world_judge(&b->world, TREE_A, new, moment.act == ACT_SETTLE, ret) &&
	       world_next(&b->world, *ret, TREE_A);
}

static void choose(struct bench *b)
{
	moment.act = (enum act)(rand_r(&b->seed) % ACT_COUNT);
	moment.outside = rand_r(&b->seed) % 2;
	moment.host_too = rand_r(&b->seed) % 3 != 0;
	moment.linger = moment.outside && rand_r(&b->seed) % 2;
	unsigned range =
		moment.outside ? (unsigned)b->lasts_us[moment.act] * 5 / 4 : b->points[moment.act];
	moment.point = 1 + (unsigned)rand_r(&b->seed) % range;
}

static bool bench_make(struct bench *b, const char *scratch, const char *type)
{
	auto_free char *name = xasprintf("%s-dest", type);
	auto_free char *host = xasprintf("%s-host", type);
	b->type = type;
	if (!disk_make(&b->dest, scratch, name, type) ||
	    !disk_make(&b->host, scratch, host, "ext4"))
		return false;
	auto_free char *base = xasprintf("%s/%s-base", scratch, type);
	auto_free char *dest = xasprintf("%s/d", b->dest.path);
	auto_free char *group = xasprintf("%s/group", b->host.path);
	struct error err = {0};
	world_make(&b->world, base, dest, group);
	if (world_deploy(&b->world, TREE_A, &err) < 0)
		bail_out("deploy: %s", err.text);
	bench = b;
	measure(b);
	return true;
}

static bool random_moments(struct bench *b, unsigned count)
{
	unsigned trees[TREE_COUNT] = {0}, outside = 0, first = b->seed;
	for (unsigned i = 0; i < count; i++) {
		enum tree tree = TREE_NONE;
		choose(b);
		outside += moment.outside;
		if (!one_moment(b, &tree)) {
			printf("# violation: %s, %s %u, journal %s, seed %u\n",
			       act_names[moment.act], moment.outside ? "microsecond" : "point",
			       moment.point, moment.host_too ? "cut too" : "not cut", first);
			return false;
		}
		trees[tree]++;
	}
	printf("# %s: %u moments (%u from outside): %u old, %u new, 0 violations; seed %u\n",
	       b->type, count, outside, trees[TREE_A], trees[TREE_B], first);
	return true;
}

/* Without the sync of the stage, what was staged may be lost after the commit. */
static bool defect_is_noticed(struct bench *b)
{
	setenv("SLIPWAY_DEFECT", "no-stage-sync", 1);
	bool noticed = false;
	for (unsigned i = 0; i < 20 && !noticed; i++) {
		enum tree tree;
		moment = (struct moment){.act = ACT_INSTALL, .host_too = i % 2};
		moment.point = b->points[ACT_INSTALL] - 2 - (unsigned)rand_r(&b->seed) % 100;
		noticed = !one_moment(b, &tree);
	}
	unsetenv("SLIPWAY_DEFECT");
	return noticed;
}

static unsigned setting(const char *name, unsigned otherwise)
{
	uint64_t v;
	const char *text = getenv(name);
	return text && str_to_u64(text, &v) == 0 ? (unsigned)v : otherwise;
}

static bool test_type(const char *scratch, const char *type, unsigned n)
{
	struct bench *b = xcalloc(1, sizeof(*b));
	b->seed = setting("SLIPWAY_SEED", (unsigned)time(NULL));
	unsigned count = setting("SLIPWAY_POINTS", getenv("SLIPWAY_EXHAUST") ? 500 : MOMENTS);
	if (!bench_make(b, scratch, type)) {
		printf("ok %u # SKIP no %s on a loop device here\n", n, type);
		printf("ok %u # SKIP no %s on a loop device here\n", n + 1, type);
		free(b);
		return true;
	}
	bool good = random_moments(b, count);
	printf("%sok %u - the power fails at %u random moments on %s\n", good ? "" : "not ", n,
	       count, type);
	bool noticed = good && defect_is_noticed(b);
	printf("%sok %u - without the sync of the stage it is noticed on %s\n",
	       noticed ? "" : "not ", n + 1, type);
	fflush(stdout);
	disk_unmount(&b->dest);
	disk_unmount(&b->host);
	free(b);
	return good && noticed;
}

static void skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

int main(void)
{
	log_init("power-cut", LOG_ERR);
	umask(022);
	if (geteuid() != 0)
		skip_all("the power-cut test needs root");
	if (access("/dev/loop-control", W_OK) < 0)
		skip_all("the power-cut test needs loop devices");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip_all("the power-cut test needs a mount namespace of its own");
	char scratch[PATH_MAX];
	scratch_make(scratch);
	bool ext4 = test_type(scratch, "ext4", 1);
	bool xfs = test_type(scratch, "xfs", 3);
	printf("1..4\n");
	scratch_remove(scratch);
	return ext4 && xfs ? 0 : 1;
}
