// SPDX-License-Identifier: Apache-2.0
/* Plan and install over several mounts. Needs root and a mount namespace of its own; skips
 * otherwise. */
#include "agent/worker/install.h"
#include "tests/unit/txn.h"

#include <sched.h>
#include <sys/mount.h>
#include <time.h>

static bool can_mount;

static void mount_tmpfs(struct txn *t, const char *below, const char *options)
{
	char path[2 * PATH_MAX];
	close(txn_dir(t, below));
	snprintf(path, sizeof(path), "%s/%s", t->base, below);
	assert_int_equal(mount("none", path, "tmpfs", 0, options), 0);
}

static void unmount(struct txn *t, const char *below)
{
	char path[2 * PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", t->base, below);
	assert_int_equal(umount2(path, 0), 0);
}

static void bind(struct txn *t, const char *from, const char *to, unsigned long flags)
{
	char source[2 * PATH_MAX], target[2 * PATH_MAX];
	close(txn_dir(t, from));
	close(txn_dir(t, to));
	snprintf(source, sizeof(source), "%s/%s", t->base, from);
	snprintf(target, sizeof(target), "%s/%s", t->base, to);
	assert_int_equal(mount(source, target, NULL, MS_BIND, NULL), 0);
	if (flags)
		assert_int_equal(mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags, NULL), 0);
}

static int teardown(void **state)
{
	struct txn *t = *state;
	char path[2 * PATH_MAX];
	static const char *const places[] = {"dest/one", "dest/two", "dest", "layers"};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(path, sizeof(path), "%s/%s", t->base, places[i]);
		umount2(path, MNT_DETACH);
	}
	return txn_teardown(state);
}

static void need_mounts(void)
{
	if (!can_mount)
		skip();
}

static void two_revisions(struct txn *t)
{
	txn_write(t, "archive/a/x", "one");
	txn_write(t, "archive/b/y", "one");
	txn_write(t, "archive/b/sub/z", "one");
	txn_file(t, "a", "dest/one/app");
	txn_file(t, "b", "dest/two");
	txn_deploy(t);
	txn_write(t, "archive/a/x", "two!");
	txn_write(t, "archive/b/y", "two!");
	txn_remove(t, "archive/b/sub");
}

static void one_transaction_spans_several_mounts(void **state)
{
	need_mounts();
	struct txn *t = *state;
	mount_tmpfs(t, "dest/one", "size=4m,mode=755");
	mount_tmpfs(t, "dest/two", "size=4m,mode=755");
	two_revisions(t);
	assert_string_equal(txn_read(t, "dest/two/sub/z"), "one");
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	assert_string_equal(txn_read(t, "dest/one/app/x"), "two!");
	assert_string_equal(txn_read(t, "dest/two/y"), "two!");
	assert_int_equal(txn_count(t, "dest/one"), 2); /* with the stage */
	assert_int_equal(txn_count(t, "dest/two"), 2);
	assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), 0);
	assert_string_equal(txn_read(t, "dest/one/app/x"), "one");
	assert_string_equal(txn_read(t, "dest/two/sub/z"), "one");
	assert_int_equal(txn_count(t, "dest/one"), 1);
	assert_int_equal(txn_count(t, "dest/two"), 2);
}

/* The same device under another mount: a rename between the two would fail. */
static void a_bind_mount_stages_on_itself(void **state)
{
	need_mounts();
	struct txn *t = *state;
	bind(t, "elsewhere", "dest/one", 0);
	close(txn_dir(t, "dest/two"));
	two_revisions(t);
	txn_deploy(t);
	assert_string_equal(txn_read(t, "elsewhere/app/x"), "two!");
	assert_int_equal(txn_count(t, "elsewhere"), 1);
}

static void a_mount_that_is_missing_is_waited_for(void **state)
{
	need_mounts();
	struct txn *t = *state;
	enum install_state s;
	bind(t, "elsewhere", "dest/one", 0);
	close(txn_dir(t, "dest/two"));
	two_revisions(t);
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	unmount(t, "dest/one");
	assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), ERR_NOT_MOUNTED);
	assert_string_equal(txn_read(t, "dest/two/y"), "two!");
	bind(t, "elsewhere", "dest/one", 0);
	assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), 0);
	assert_int_equal(install_recover(t->group_fd, &s, &t->err), 0);
	assert_int_equal(s, INSTALL_NONE);
	assert_string_equal(txn_read(t, "dest/one/app/x"), "one");
	assert_string_equal(txn_read(t, "dest/two/y"), "one");
}

/* What is made from now on has a later birth time. */
static void next_tick(void)
{
	struct timespec from, now;
	clock_gettime(CLOCK_REALTIME_COARSE, &from);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (now.tv_sec == from.tv_sec && now.tv_nsec == from.tv_nsec);
}

/* The first change in a directory of the lower layer copies it up, and gives it another birth. */
static void a_directory_of_a_lower_layer_stays_the_same(void **state)
{
	need_mounts();
	struct txn *t = *state;
	char options[4 * PATH_MAX], target[2 * PATH_MAX];
	mount_tmpfs(t, "layers", "size=8m,mode=755");
	close(txn_dir(t, "layers/lower/srv"));
	close(txn_dir(t, "layers/upper"));
	close(txn_dir(t, "layers/work"));
	close(txn_dir(t, "dest/one"));
	snprintf(options, sizeof(options),
		 "lowerdir=%1$s/layers/lower,upperdir=%1$s/layers/upper,workdir=%1$s/layers/work",
		 t->base);
	snprintf(target, sizeof(target), "%s/dest/one", t->base);
	assert_int_equal(mount("overlay", target, "overlay", 0, options), 0);
	next_tick();
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest/one/srv/app");
	txn_deploy(t);
	assert_string_equal(txn_read(t, "dest/one/srv/app/f"), "1");
	assert_int_equal(txn_count(t, "dest/one/srv"), 1);
}

static void assert_refused(struct txn *t, const char *text)
{
	assert_int_equal(txn_plan(t), ERR_REFUSED);
	if (!txn_has_problem(t, PROBLEM_ERROR, text))
		fail_msg("%s", t->err.text);
}

static void a_read_only_file_system_is_refused(void **state)
{
	need_mounts();
	struct txn *t = *state;
	bind(t, "elsewhere", "dest/one", MS_RDONLY);
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest/one");
	assert_refused(t, "read-only");
}

static void too_few_inodes_are_refused(void **state)
{
	need_mounts();
	struct txn *t = *state;
	mount_tmpfs(t, "dest/one", "size=4m,nr_inodes=20,mode=755");
	for (int i = 0; i < 30; i++) {
		char name[64];
		snprintf(name, sizeof(name), "archive/a/f%d", i);
		txn_write(t, name, "x");
	}
	txn_file(t, "a", "dest/one");
	assert_refused(t, "inodes are needed");
}

static void fill(struct txn *t, const char *name, size_t bytes)
{
	auto_free char *zeros = xcalloc(1, bytes);
	auto_close int fd = openat(t->base_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(fs_write_all(fd, zeros, bytes), 0);
}

static void too_little_room_is_refused(void **state)
{
	need_mounts();
	struct txn *t = *state;
	mount_tmpfs(t, "dest/one", "size=4m,mode=755");
	mount_tmpfs(t, "dest/two", "size=4m,mode=755");
	txn_write(t, "archive/a/x", "x");
	txn_file(t, "a", "dest/one/app");
	txn_file(t, "a", "dest/two/app");
	fill(t, "archive/a/big", 3 << 20);
	assert_int_equal(txn_plan(t), 0); /* so much on each of them */
	fill(t, "dest/two/taken", 1 << 20);
	assert_refused(t, "3.2 MB are needed, 3.1 MB are free on the file system at ");
	assert_refused(t, "/dest/two' (tmpfs on none); make room there");
}

/* Full to the last byte: what is there already, and what goes away, needs no room. */
static void what_is_not_staged_needs_no_room(void **state)
{
	need_mounts();
	struct txn *t = *state;
	mount_tmpfs(t, "dest/one", "size=4m,mode=755");
	txn_write(t, "archive/a/x", "x");
	fill(t, "archive/a/big", 3 << 20);
	txn_file(t, "a", "dest/one/app");
	txn_deploy(t);
	fill(t, "dest/one/taken", 900 << 10);
	txn_remove(t, "archive/a/x");
	txn_deploy(t);
	assert_int_equal(txn_count(t, "dest/one/app"), 1);
}

/* Neither says how much it has: ramfs has no figures, and a tmpfs without limits neither. */
static void a_file_system_without_figures_is_tried(void **state)
{
	need_mounts();
	struct txn *t = *state;
	char path[2 * PATH_MAX];
	mount_tmpfs(t, "dest/one", "size=0,nr_inodes=0,mode=755");
	close(txn_dir(t, "dest/two"));
	snprintf(path, sizeof(path), "%s/dest/two", t->base);
	assert_int_equal(mount("none", path, "ramfs", 0, "mode=755"), 0);
	txn_write(t, "archive/a/x", "x");
	txn_file(t, "a", "dest/one/app");
	txn_file(t, "a", "dest/two/app");
	txn_deploy(t);
	assert_string_equal(txn_read(t, "dest/two/app/x"), "x");
}

static void a_file_system_that_fills_up_meanwhile_is_left_as_it_was(void **state)
{
	need_mounts();
	struct txn *t = *state;
	mount_tmpfs(t, "dest/one", "size=4m,mode=755");
	txn_write(t, "archive/a/x", "one");
	txn_file(t, "a", "dest/one/app");
	txn_deploy(t);
	txn_write(t, "archive/a/x", "two!");
	auto_close int big = openat(t->archive_fd, "a/big", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	for (int i = 0; i < 512; i++)
		assert_int_equal(write(big, t, 4096), 4096);
	assert_int_equal(txn_plan(t), 0);
	auto_close int fill =
		openat(t->base_fd, "dest/one/fill", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(posix_fallocate(fill, 0, 3 << 20), 0);
	assert_int_equal(txn_install(t), -ENOSPC);
	assert_string_equal(txn_read(t, "dest/one/app/x"), "one");
	assert_int_equal(txn_count(t, "dest/one"), 2);
	enum install_state s;
	assert_int_equal(install_state(t->group_fd, &s, NULL, &t->err), 0);
	assert_int_equal(s, INSTALL_NONE);
}

static void where_everybody_may_write_nothing_is_staged(void **state)
{
	need_mounts();
	struct txn *t = *state;
	mount_tmpfs(t, "dest/one", "size=4m,mode=777");
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest/one");
	assert_refused(t, "everybody may write here");
	assert_int_equal(fchmodat(t->base_fd, "dest/one", 01777, 0), 0);
	txn_deploy(t);
	assert_string_equal(txn_read(t, "dest/one/f"), "1");
}

/* A volume that was given to the application's user as a whole. */
static void a_mount_that_belongs_to_the_application_will_do(void **state)
{
	need_mounts();
	struct txn *t = *state;
	mount_tmpfs(t, "dest/one", "size=4m,mode=755,uid=12345");
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest/one");
	txn_deploy(t);
	assert_string_equal(txn_read(t, "dest/one/f"), "1");
	assert_int_equal(txn_count(t, "dest/one"), 1);
}

static void a_directory_that_became_a_mount_point_stays(void **state)
{
	need_mounts();
	struct txn *t = *state;
	txn_write(t, "archive/a/one/x", "1");
	txn_write(t, "archive/c/y", "1");
	txn_file(t, "a", "dest");
	txn_deploy(t);
	txn_clear_spec(t);
	mount_tmpfs(t, "dest/one", "size=4m,mode=755");
	txn_file(t, "c", "dest");
	assert_int_equal(txn_plan(t), 0);
	assert_true(txn_has_problem(t, PROBLEM_WARNING, "it is not removed"));
	assert_int_equal(txn_install(t), 0);
	assert_int_equal(install_settle(t->group_fd, &t->err), 0);
	assert_string_equal(txn_read(t, "dest/one"), "/");
}

#define T(name) cmocka_unit_test_setup_teardown(name, txn_setup, teardown)

int main(void)
{
	can_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	const struct CMUnitTest tests[] = {
		T(one_transaction_spans_several_mounts),
		T(a_bind_mount_stages_on_itself),
		T(a_mount_that_is_missing_is_waited_for),
		T(a_directory_of_a_lower_layer_stays_the_same),
		T(a_read_only_file_system_is_refused),
		T(too_few_inodes_are_refused),
		T(too_little_room_is_refused),
		T(what_is_not_staged_needs_no_room),
		T(a_file_system_without_figures_is_tried),
		T(a_file_system_that_fills_up_meanwhile_is_left_as_it_was),
		T(where_everybody_may_write_nothing_is_staged),
		T(a_mount_that_belongs_to_the_application_will_do),
		T(a_directory_that_became_a_mount_point_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
