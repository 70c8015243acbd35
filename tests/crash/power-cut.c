// SPDX-License-Identifier: Apache-2.0
/* Power-cut test: the destination lies on a loop-mounted file system (ext4 in two ways, XFS,
 * btrfs), the group's journal on another one. At random moments of an install, its settle and its
 * undo the power goes; mounting again replays what the file system had committed. Half of the
 * moments are fault points (between two calls), half come from outside at any instant; the
 * journal's file system loses its power together with the destination or keeps it, and where it is
 * only a disk that goes, the process may live on and meet the errors. After recovery the
 * destination must be exactly the old or the new tree, and the next deployment must succeed. Then
 * once more without the sync of the stage, which must be noticed.
 *
 * Power is cut in two ways. The shutdown ioctl of ext4 and XFS freezes a file system as it is:
 * whatever was not written back is lost. btrfs has no such ioctl, and what ext4 and XFS make of a
 * disk with a cache does not show that way either; so there the image is a file on an outer ext4,
 * and that one is shut down. A flush of the inner disk is an fsync of the image, and of the blocks
 * that were not flushed those are lost that the outer file system had not happened to write: what
 * a disk with a volatile cache does.
 *
 * Needs root and loop devices. SLIPWAY_SEED repeats a run, SLIPWAY_POINTS sets their number per
 * kind of file system; arguments are the names of kinds. */
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
#define MIB (1024 * 1024)

#define MOMENTS_EXHAUST 100 /* of each kind */

/* What the disk has lost does not depend on the sanitizers. */
#ifdef SANITIZERS
#define MOMENTS(n) ((n) / 5)
#else
#define MOMENTS(n) (n)
#endif

/* A file system, as the destination's and as the journal's. */
struct kind {
	const char *name;
	const char *type, *options;
	bool cached;      /* its disk has a cache, see above */
	unsigned moments; /* 0: only with SLIPWAY_EXHAUST=1, or when named */
	const char *host; /* name of the journal's kind */
};

static const struct kind kinds[] = {
	{"ext4", "ext4", "loop", false, MOMENTS(25), "ext4"},
	{"ext4-writeback", "ext4", "loop,data=writeback,noauto_da_alloc", false, MOMENTS(12),
	 "xfs"},
	{"xfs", "xfs", "loop", false, MOMENTS(25), "ext4"},
	{"btrfs", "btrfs", "loop", true, MOMENTS(30), "btrfs"},
	{"ext4-cached", "ext4", "loop", true, 0, "xfs-cached"},
	{"xfs-cached", "xfs", "loop", true, 0, "ext4-cached"},
};

enum act { ACT_INSTALL, ACT_SETTLE, ACT_UNDO, ACT_COUNT };
static const char *const act_names[] = {"install", "settle", "undo"};

struct disk {
	const struct kind *kind;
	char image[PATH_MAX], path[PATH_MAX];
	char outer_image[PATH_MAX],
		outer[PATH_MAX]; /* holds the image, where the disk has a cache */
};

struct bench {
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
	bool each;      /* what is staged is synced file by file, as if it were little */
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

static const struct kind outer_kind = {"outer", "ext4", "loop", false, 0, NULL};

static const struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(kinds[i].name, name))
			return &kinds[i];
	bail_out("there is no kind '%s'", name);
}

static bool mount_image(const struct kind *kind, const char *image, const char *path)
{
	return tool("mount", "-o", kind->options, image, path) == 0;
}

static bool disk_mount(const struct disk *d)
{
	return (!d->kind->cached || mount_image(&outer_kind, d->outer_image, d->outer)) &&
	       mount_image(d->kind, d->image, d->path);
}

static void unmount(const char *path)
{
	if (!*path)
		return;
	/* Someone may look at every new mount for a moment, and a loop device lets go of its file
	 * a moment after its last user. */
	for (int i = 0; i < 100; i++) {
		if (umount2(path, 0) == 0 || errno == EINVAL || errno == ENOENT)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	bail_out("umount %s: %s", path, strerror(errno));
}

static void disk_unmount(const struct disk *d)
{
	unmount(d->path);
	if (d->kind && d->kind->cached)
		unmount(d->outer);
}

/* full: with real blocks, so that writing to it changes nothing but their content. */
static void image_make(const char *path, unsigned mib, bool full)
{
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	auto_free char *zeros = xcalloc(1, MIB);
	int r = fd < 0 ? -1 : full ? 0 : ftruncate(fd, (off_t)mib * MIB);
	for (unsigned i = 0; i < mib && full && r == 0; i++)
		r = fs_write_all(fd, zeros, MIB);
	if (r != 0)
		bail_out("%s: %s", path, strerror(errno));
}

static bool image_format(const struct kind *kind, const char *image)
{
	auto_free char *mkfs = xasprintf("mkfs.%s", kind->type);
	return tool(mkfs, "-q", str_eq(kind->type, "ext4") ? "-F" : "-f", image, NULL) == 0;
}

static bool disk_make(struct disk *d, const char *scratch, const char *name,
		      const struct kind *kind)
{
	unsigned mib = str_eq(kind->type, "ext4") ? 64 : str_eq(kind->type, "btrfs") ? 160 : 400;
	d->kind = kind;
	snprintf(d->path, sizeof(d->path), "%s/%s", scratch, name);
	snprintf(d->outer, sizeof(d->outer), "%s/%s.outer", scratch, name);
	snprintf(d->outer_image, sizeof(d->outer_image), "%s/%s.outer.img", scratch, name);
	snprintf(d->image, sizeof(d->image), "%s/%s%s", scratch, name,
		 kind->cached ? ".outer/img" : ".img");
	if (fs_mkdirs_path(d->path, 0755, NULL) < 0 || fs_mkdirs_path(d->outer, 0755, NULL) < 0)
		bail_out("mkdir %s", d->path);
	if (kind->cached) {
		image_make(d->outer_image, mib + mib / 8 + 32, false);
		if (!image_format(&outer_kind, d->outer_image) ||
		    !mount_image(&outer_kind, d->outer_image, d->outer))
			return false;
	}
	image_make(d->image, mib, kind->cached);
	return image_format(kind, d->image) && mount_image(kind, d->image, d->path);
}

static void power_off(const struct disk *d)
{
	int fd = open(d->kind->cached ? d->outer : d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
		/* What it says when it finds the disk gone is not for the test's output. */
		if (!freopen("/dev/null", "w", stdout))
			_exit(3);
		fault_arm(moment.outside ? 0 : moment.point, cut);
		log_set_level(LOG_EMERG);
		if (moment.each)
			setenv("SLIPWAY_DEFECT", "sync-each", 1);
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
		bail_out("%s cannot be mounted again", b->dest.kind->name);
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
	moment.each = rand_r(&b->seed) % 2;
	moment.linger = moment.outside && rand_r(&b->seed) % 2;
	unsigned range =
		moment.outside ? (unsigned)b->lasts_us[moment.act] * 5 / 4 : b->points[moment.act];
	moment.point = 1 + (unsigned)rand_r(&b->seed) % range;
}

static bool bench_make(struct bench *b, const char *scratch, const struct kind *kind)
{
	auto_free char *name = xasprintf("%s-dest", kind->name);
	auto_free char *host = xasprintf("%s-host", kind->name);
	if (!disk_make(&b->dest, scratch, name, kind) ||
	    !disk_make(&b->host, scratch, host, kind_of(kind->host)))
		return false;
	auto_free char *base = xasprintf("%s/%s-base", scratch, kind->name);
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

static bool random_moments(struct bench *b, unsigned count, unsigned *done)
{
	unsigned trees[TREE_COUNT] = {0}, outside = 0, first = b->seed;
	for (unsigned i = 0; i < count; i++) {
		enum tree tree = TREE_NONE;
		choose(b);
		outside += moment.outside;
		++*done;
		if (!one_moment(b, &tree)) {
			printf("# violation: %s, %s %u, journal %s, seed %u\n",
			       act_names[moment.act], moment.outside ? "microsecond" : "point",
			       moment.point, moment.host_too ? "cut too" : "not cut", first);
			return false;
		}
		trees[tree]++;
	}
	printf("# %s: %u moments (%u from outside): %u old, %u new, 0 violations; seed %u\n",
	       b->dest.kind->name, count, outside, trees[TREE_A], trees[TREE_B], first);
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

/* done: counts moments. False: a violation, or the defect was not noticed. */
static bool test_kind(const char *scratch, const struct kind *kind, unsigned n, unsigned *done)
{
	auto_free struct bench *b = xcalloc(1, sizeof(*b));
	b->seed = setting("SLIPWAY_SEED", (unsigned)time(NULL));
	unsigned count =
		getenv("SLIPWAY_EXHAUST") || !kind->moments ? MOMENTS_EXHAUST : kind->moments;
	count = setting("SLIPWAY_POINTS", count);
	if (!bench_make(b, scratch, kind)) {
		printf("ok %u # SKIP no %s on a loop device here\n", n, kind->type);
		printf("ok %u # SKIP no %s on a loop device here\n", n + 1, kind->type);
		disk_unmount(&b->dest);
		disk_unmount(&b->host);
		return true;
	}
	bool good = random_moments(b, count, done);
	printf("%sok %u - the power fails at %u random moments on %s\n", good ? "" : "not ", n,
	       count, kind->name);
	bool noticed = good && defect_is_noticed(b);
	printf("%sok %u - without the sync of the stage it is noticed on %s\n",
	       noticed ? "" : "not ", n + 1, kind->name);
	fflush(stdout);
	disk_unmount(&b->dest);
	disk_unmount(&b->host);
	return good && noticed;
}

static bool chosen(const struct kind *kind, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (str_eq(argv[i], kind->name))
			return true;
	return argc == 1 && (kind->moments || getenv("SLIPWAY_EXHAUST"));
}

static void skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

int main(int argc, char **argv)
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
	unsigned n = 0, done = 0, bad = 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!chosen(&kinds[i], argc, argv))
			continue;
		bad += !test_kind(scratch, &kinds[i], n + 1, &done);
		n += 2;
	}
	printf("# exhaust: power cuts: %u power cuts, %u violations\n1..%u\n", done, bad, n);
	scratch_remove(scratch);
	return bad ? 1 : 0;
}
