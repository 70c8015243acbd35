// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/install.h"
#include "agent/worker/manifest.h"
#include "tests/unit/txn.h"

#include <grp.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static enum install_state state_of(struct txn *t)
{
	enum install_state s;
	assert_int_equal(install_state(t->group_fd, &s, NULL, &t->err), 0);
	return s;
}

/* Nothing of a transaction is left: no stage in base or dest, only the manifest in the group. */
static void assert_clean(struct txn *t)
{
	assert_int_equal(state_of(t), INSTALL_NONE);
	assert_int_equal(faccessat(t->group_fd, "journal", F_OK, 0), -1);
	assert_int_equal(faccessat(t->group_fd, "manifest.next", F_OK, 0), -1);
	DIR *dir = opendir(t->base);
	const struct dirent *d;
	while ((d = readdir(dir)))
		if (strncmp(d->d_name, ".slipway", 8) == 0)
			fail_msg("%s is left", d->d_name);
	closedir(dir);
}

static struct stat stat_of(struct txn *t, const char *path)
{
	struct stat st;
	assert_int_equal(fstatat(t->base_fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

struct kept {
	struct txn *t;
	char text[2048];
};

static void on_kept(const char *path, void *arg)
{
	struct kept *k = arg;
	size_t len = strlen(k->text);
	snprintf(k->text + len, sizeof(k->text) - len, "%s\n", path + strlen(k->t->base));
}

static void undo(struct txn *t, const char *expected_kept)
{
	struct kept k = {.t = t};
	if (install_undo(t->group_fd, on_kept, &k, &t->err) != 0)
		fail_msg("%s", t->err.text);
	assert_string_equal(k.text, expected_kept);
	assert_clean(t);
}

static void a_first_install_puts_everything_in_place(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/main", "hello");
	txn_write(t, "archive/app/lib/a", "abc");
	txn_link(t, "lib", "archive/app/link");
	assert_int_equal(fchmodat(t->base_fd, "archive/app/main", 0751, 0), 0);
	txn_file(t, "app", "dest/opt/app");
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	assert_int_equal(state_of(t), INSTALL_INSTALLED);
	assert_string_equal(txn_read(t, "dest/opt/app/main"), "hello");
	assert_string_equal(txn_read(t, "dest/opt/app/lib/a"), "abc");
	assert_string_equal(txn_read(t, "dest/opt/app/link"), "lib");
	assert_int_equal(stat_of(t, "dest/opt/app/main").st_mode & 07777, 0751);
	assert_int_equal(stat_of(t, "dest/opt/app/main").st_mtim.tv_sec,
			 stat_of(t, "archive/app/main").st_mtim.tv_sec);
	assert_int_equal(install_settle(t->group_fd, &t->err), 0);
	assert_clean(t);
}

static void undoing_a_first_install_leaves_nothing(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/lib/a", "abc");
	txn_write(t, "archive/f", "f");
	txn_file(t, "app", "dest/opt/app");
	txn_file(t, "f", "dest");
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	undo(t, "");
	assert_int_equal(txn_count(t, "dest"), 0);
	txn_deploy(t);
	assert_string_equal(txn_read(t, "dest/opt/app/lib/a"), "abc");
}

static void what_others_made_meanwhile_stays_and_is_named(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/lib/a", "abc");
	txn_file(t, "app", "dest/app");
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	txn_write(t, "dest/app/log/today", "log");
	txn_write(t, "dest/app/lib/cache", "cache");
	undo(t, "/dest/app/lib/cache\n/dest/app/log\n");
	assert_string_equal(txn_read(t, "dest/app/lib/cache"), "cache");
	assert_string_equal(txn_read(t, "dest/app/log/today"), "log");
	assert_string_equal(txn_read(t, "dest/app/lib/a"), "");
}

/* From files a, b, d/x, symlink l to a changed, b gone, file d, directory l with y, new n/z. */
static void second_revision(struct txn *t)
{
	txn_write(t, "archive/tree/a", "one");
	txn_write(t, "archive/tree/b", "two");
	txn_write(t, "archive/tree/same", "same");
	txn_write(t, "archive/tree/d/x", "x");
	txn_write(t, "archive/tree/d/e/f", "f");
	txn_link(t, "a", "archive/tree/l");
	txn_file(t, "tree", "dest/app");
	txn_deploy(t);
	txn_remove(t, "archive/tree");
	txn_write(t, "archive/tree/a", "ONE, longer");
	txn_write(t, "archive/tree/same", "same");
	txn_write(t, "archive/tree/d", "now a file");
	txn_write(t, "archive/tree/l/y", "now a directory");
	txn_write(t, "archive/tree/n/z", "new");
}

static void assert_first_tree(struct txn *t)
{
	assert_int_equal(txn_count(t, "dest/app"), 5);
	assert_string_equal(txn_read(t, "dest/app/a"), "one");
	assert_string_equal(txn_read(t, "dest/app/b"), "two");
	assert_string_equal(txn_read(t, "dest/app/d/x"), "x");
	assert_string_equal(txn_read(t, "dest/app/d/e/f"), "f");
	assert_string_equal(txn_read(t, "dest/app/l"), "a");
}

static void assert_second_tree(struct txn *t)
{
	assert_int_equal(txn_count(t, "dest/app"), 5);
	assert_string_equal(txn_read(t, "dest/app/a"), "ONE, longer");
	assert_string_equal(txn_read(t, "dest/app/d"), "now a file");
	assert_string_equal(txn_read(t, "dest/app/l/y"), "now a directory");
	assert_string_equal(txn_read(t, "dest/app/n/z"), "new");
}

static void the_second_revision_replaces_the_first(void **state)
{
	struct txn *t = *state;
	second_revision(t);
	assert_first_tree(t);
	ino_t kept = stat_of(t, "dest/app/same").st_ino;
	txn_deploy(t);
	assert_second_tree(t);
	assert_int_equal(stat_of(t, "dest/app/same").st_ino, kept);
	assert_clean(t);
}

static void undoing_the_second_revision_gives_the_first(void **state)
{
	struct txn *t = *state;
	second_revision(t);
	ino_t a = stat_of(t, "dest/app/a").st_ino, d = stat_of(t, "dest/app/d").st_ino;
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	assert_second_tree(t);
	undo(t, "");
	assert_first_tree(t);
	assert_int_equal(stat_of(t, "dest/app/a").st_ino, a);
	assert_int_equal(stat_of(t, "dest/app/d").st_ino, d);
	txn_deploy(t);
	assert_second_tree(t);
}

static void undo_brings_back_what_a_script_destroyed(void **state)
{
	struct txn *t = *state;
	second_revision(t);
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	txn_remove(t, "dest/app");
	struct kept k = {.t = t};
	assert_int_equal(install_undo(t->group_fd, on_kept, &k, &t->err), 0);
	assert_string_equal(txn_read(t, "dest/app/a"), "one");
	assert_string_equal(txn_read(t, "dest/app/d/e/f"), "f");
	assert_string_equal(txn_read(t, "dest/app/l"), "a");
}

static void what_stands_where_the_old_tree_must_be_moves_aside(void **state)
{
	struct txn *t = *state;
	second_revision(t);
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	txn_write(t, "dest/app/l/script", "made by a script");
	txn_write(t, "dest/app/b/dir", "a directory in the way");
	struct kept k = {.t = t};
	assert_int_equal(install_undo(t->group_fd, on_kept, &k, &t->err), 0);
	assert_string_equal(txn_read(t, "dest/app/l"), "a");
	assert_string_equal(txn_read(t, "dest/app/b"), "two");
	assert_non_null(strstr(k.text, "/dest/app/l.kept-"));
	assert_non_null(strstr(k.text, "/dest/app/b.kept-"));
	assert_int_equal(txn_count(t, "dest/app"), 7);
	assert_clean(t);
}

static void an_unchanged_revision_writes_no_file(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/tree/a", "one");
	close(txn_dir(t, "archive/tree/empty"));
	txn_link(t, "a", "archive/tree/l");
	txn_file(t, "tree", "dest/app");
	txn_deploy(t);
	ino_t ino = stat_of(t, "dest/app/a").st_ino;
	txn_deploy(t);
	assert_int_equal(t->summary.ops[PLAN_KEEP], 4);
	assert_int_equal(t->summary.ops[PLAN_METADATA] + t->summary.ops[PLAN_REPLACE], 0);
	assert_int_equal(stat_of(t, "dest/app/a").st_ino, ino);
}

static void removing_takes_everything_and_keeps_what_is_not_ours(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/tree/lib/a", "one");
	txn_write(t, "archive/tree/b", "two");
	txn_file(t, "tree", "dest/app");
	txn_deploy(t);
	txn_write(t, "dest/app/log", "not ours");
	t->request.spec = NULL;
	txn_deploy(t);
	assert_int_equal(txn_count(t, "dest/app"), 1);
	assert_string_equal(txn_read(t, "dest/app/log"), "not ours");
	assert_clean(t);
}

static void a_target_that_changed_since_the_plan_undoes_all(void **state)
{
	struct txn *t = *state;
	second_revision(t);
	assert_int_equal(txn_plan(t), 0);
	txn_write(t, "dest/app/b", "changed after the plan");
	assert_int_equal(txn_install(t), ERR_CONFLICT);
	assert_non_null(strstr(t->err.text, "/dest/app/b"));
	assert_clean(t);
	assert_string_equal(txn_read(t, "dest/app/b"), "changed after the plan");
	assert_string_equal(txn_read(t, "dest/app/a"), "one");
	assert_string_equal(txn_read(t, "dest/app/d/x"), "x");
}

static void a_name_that_appeared_since_the_plan_is_left_alone(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "new");
	txn_file(t, "f", "dest");
	assert_int_equal(txn_plan(t), 0);
	txn_write(t, "dest/f", "someone else's");
	assert_int_equal(txn_install(t), ERR_CONFLICT);
	assert_string_equal(txn_read(t, "dest/f"), "someone else's");
	assert_clean(t);
}

static void a_source_that_changed_since_the_plan_stops_before_the_switch(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "new");
	txn_file(t, "f", "dest");
	assert_int_equal(txn_plan(t), 0);
	txn_write(t, "archive/f", "new and longer");
	assert_int_equal(txn_install(t), ERR_CONFLICT);
	assert_int_equal(txn_count(t, "dest"), 0);
	assert_clean(t);
}

static void a_second_transaction_waits_for_the_first(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "new");
	txn_file(t, "f", "dest");
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	char *deployment = NULL;
	enum install_state s;
	assert_int_equal(install_state(t->group_fd, &s, &deployment, &t->err), 0);
	assert_string_equal(deployment, "d-TEST");
	free(deployment);
	t->spec.file_exists = SPEC_OVERWRITE;
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), ERR_BUSY);
	assert_int_equal(state_of(t), INSTALL_INSTALLED);
	assert_int_equal(install_recover(t->group_fd, &s, &t->err), 0);
	assert_int_equal(s, INSTALL_INSTALLED);
	undo(t, "");
}

static void a_stage_that_is_not_mounted_makes_recovery_wait(void **state)
{
	struct txn *t = *state;
	second_revision(t);
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	/* The stage lies in dest: another directory of that name stands for an unmounted one. */
	assert_int_equal(renameat(t->base_fd, "dest", t->base_fd, "away"), 0);
	assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), ERR_NOT_MOUNTED);
	close(txn_dir(t, "dest"));
	assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), ERR_NOT_MOUNTED);
	assert_int_equal(install_settle(t->group_fd, &t->err), ERR_NOT_MOUNTED);
	assert_int_equal(state_of(t), INSTALL_INSTALLED);
	txn_remove(t, "dest");
	assert_int_equal(renameat(t->base_fd, "away", t->base_fd, "dest"), 0);
	undo(t, "");
	assert_first_tree(t);
}

static void a_stage_that_was_taken_away_needs_a_person(void **state)
{
	struct txn *t = *state;
	second_revision(t);
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	DIR *dir = fdopendir(txn_dir(t, "dest"));
	const struct dirent *d;
	char stage[512] = "";
	while ((d = readdir(dir)))
		if (strncmp(d->d_name, ".slipway-", 9) == 0)
			snprintf(stage, sizeof(stage), "dest/%s", d->d_name);
	closedir(dir);
	txn_remove(t, stage);
	close(txn_dir(t, stage));
	assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), ERR_UNDO);
	assert_non_null(strstr(t->err.text, "is not the staging directory that was made"));
	assert_second_tree(t);
}

static void permissions_are_applied_without_following_links(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/tree/bin/run", "1");
	txn_write(t, "archive/tree/conf", "2");
	txn_write(t, "dest/precious", "3");
	txn_link(t, "../precious", "archive/tree/link");
	txn_file(t, "tree", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app");
	p->has_mode = true;
	p->mode = 0600;
	p->directories = false;
	p = txn_permission(t, "dest/app");
	p->pattern = (char *)"b*";
	p->files = false;
	p->has_mode = true;
	p->mode = 02750;
	txn_deploy(t);
	assert_int_equal(stat_of(t, "dest/app/bin/run").st_mode & 07777, 0600);
	assert_int_equal(stat_of(t, "dest/app/conf").st_mode & 07777, 0600);
	assert_int_equal(stat_of(t, "dest/app/bin").st_mode & 07777, 02750);
	assert_int_equal(stat_of(t, "dest/app").st_mode & 07777, 0755);
	assert_int_equal(stat_of(t, "dest/precious").st_mode & 07777, 0644);
	txn_deploy(t);
	assert_int_equal(t->summary.ops[PLAN_KEEP], 5);
}

static void metadata_of_a_directory_changes_and_comes_back(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/tree/f", "1");
	txn_file(t, "tree", "dest/app");
	txn_deploy(t);
	assert_int_equal(fchmodat(t->base_fd, "archive/tree", 0711, 0), 0);
	assert_int_equal(fchmodat(t->base_fd, "archive/tree/f", 0600, 0), 0);
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(t->summary.ops[PLAN_METADATA], 2);
	assert_int_equal(txn_install(t), 0);
	assert_int_equal(stat_of(t, "dest/app").st_mode & 07777, 0711);
	assert_int_equal(stat_of(t, "dest/app/f").st_mode & 07777, 0600);
	undo(t, "");
	assert_int_equal(stat_of(t, "dest/app").st_mode & 07777, 0755);
	assert_int_equal(stat_of(t, "dest/app/f").st_mode & 07777, 0644);
}

static void move(const struct txn *t, const char *from, const char *to)
{
	assert_int_equal(renameat2(t->base_fd, from, t->base_fd, to, RENAME_NOREPLACE), 0);
}

/* The application's user owns dest/app, and root has a directory of its own in it. */
static void undo_gives_nobody_another_ones_directory(void **state)
{
	struct txn *t = *state;
	if (geteuid() != 0)
		return;
	txn_write(t, "archive/tree/d/f", "1");
	txn_write(t, "dest/app/vault/secret", "root's");
	assert_int_equal(fchownat(t->base_fd, "dest/app", 1234, 1234, 0), 0);
	txn_file(t, "tree", "dest/app");
	assert_int_equal(fchownat(t->base_fd, "archive/tree/d", 1234, 0, 0), 0);
	txn_deploy(t);
	assert_int_equal(fchmodat(t->base_fd, "archive/tree/d", 0711, 0), 0);
	txn_write(t, "archive/tree/d/f", "two");
	txn_write(t, "archive/tree/d/secret", "of the new revision");
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	move(t, "dest/app/d", "dest/app/x");
	move(t, "dest/app/vault", "dest/app/d");
	assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), ERR_UNDO);
	assert_non_null(strstr(t->err.text, "dest/app/d: somebody else's directory"));
	assert_int_equal(stat_of(t, "dest/app/d").st_uid, 0);
	assert_int_equal(stat_of(t, "dest/app/d").st_mode & 07777, 0755);
	assert_string_equal(txn_read(t, "dest/app/d/secret"), "root's");
	assert_string_equal(txn_read(t, "dest/app/d/f"), "");
	move(t, "dest/app/d", "dest/app/vault");
	move(t, "dest/app/x", "dest/app/d");
	undo(t, "");
	assert_string_equal(txn_read(t, "dest/app/d/f"), "1");
	assert_string_equal(txn_read(t, "dest/app/d/secret"), "");
	assert_int_equal(stat_of(t, "dest/app/d").st_mode & 07777, 0755);
}

static void undo_waits_for_a_directory_behind_a_link(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/tree/swap", "a file");
	txn_file(t, "tree", "dest/app");
	txn_deploy(t);
	txn_remove(t, "archive/tree/swap");
	txn_write(t, "archive/tree/swap/inside", "a directory");
	txn_write(t, "archive/tree/new", "1");
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	move(t, "dest/app", "dest/away");
	txn_link(t, "away", "dest/app");
	assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), ERR_UNDO);
	txn_remove(t, "dest/app");
	move(t, "dest/away", "dest/app");
	undo(t, "");
	assert_string_equal(txn_read(t, "dest/app/swap"), "a file");
	assert_int_equal(txn_count(t, "dest/app"), 1);
}

static void a_fifo_in_the_revision_stops_nothing(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "new");
	txn_file(t, "f", "dest");
	assert_int_equal(txn_plan(t), 0);
	txn_remove(t, "archive/f");
	assert_int_equal(mkfifoat(t->base_fd, "archive/f", 0644), 0);
	assert_int_equal(txn_install(t), ERR_CONFLICT);
	assert_int_equal(txn_count(t, "dest"), 0);
	assert_clean(t);
}

static void a_directory_nobody_may_write_is_filled_all_the_same(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/tree/sub/f", "1");
	assert_int_equal(fchmodat(t->base_fd, "archive/tree/sub", 0555, 0), 0);
	txn_file(t, "tree", "dest/app");
	txn_deploy(t);
	assert_int_equal(stat_of(t, "dest/app/sub").st_mode & 07777, 0555);
	assert_int_equal(fchmodat(t->base_fd, "archive/tree/sub", 0755, 0), 0);
	assert_int_equal(fchmodat(t->base_fd, "dest/app/sub", 0755, 0), 0);
}

static void a_set_gid_parent_gives_its_group(void **state)
{
	struct txn *t = *state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(fchownat(t->base_fd, "dest", 0, 12345, 0), 0);
	assert_int_equal(fchmodat(t->base_fd, "dest", 02755, 0), 0);
	txn_write(t, "archive/tree/sub/f", "1");
	txn_file(t, "tree", "dest/app");
	txn_deploy(t);
	assert_int_equal(stat_of(t, "dest/app").st_gid, 12345);
	assert_int_equal(stat_of(t, "dest/app/sub/f").st_gid, 12345);
	assert_int_equal(stat_of(t, "dest/app/sub").st_mode & 07777, 02755);
	txn_deploy(t);
	assert_int_equal(t->summary.ops[PLAN_KEEP], 3);
}

static void a_default_acl_is_inherited(void **state)
{
	struct txn *t = *state;
	/* user::rwx user:12345:rwx group::r-x mask::rwx other::--- */
	static const uint8_t acl[] = {2,   0,   0,   0,   1,   0,    7,    0,   255, 255, 255,
				      255, 2,   0,   7,   0,   0x39, 0x30, 0,   0,   4,   0,
				      5,   0,   255, 255, 255, 255,  16,   0,   7,   0,   255,
				      255, 255, 255, 32,  0,   0,    0,    255, 255, 255, 255};
	uint8_t got[256];
	auto_close int dest = txn_dir(t, "dest");
	if (fsetxattr(dest, "system.posix_acl_default", acl, sizeof(acl), 0) < 0)
		skip();
	txn_write(t, "archive/tree/f", "1");
	txn_write(t, "archive/g", "2");
	txn_file(t, "tree", "dest/app");
	txn_file(t, "g", "dest");
	txn_deploy(t);
	auto_close int g = openat(dest, "g", O_RDONLY | O_CLOEXEC);
	auto_close int f = openat(dest, "app/f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fgetxattr(g, "system.posix_acl_access", got, sizeof(got)), sizeof(acl));
	assert_int_equal(fgetxattr(f, "system.posix_acl_access", got, sizeof(got)), sizeof(acl));
	assert_int_equal(got[16], 0x39);
	assert_int_equal(stat_of(t, "dest/g").st_mode & 07777, 0640);
	auto_close int app = txn_dir(t, "dest/app");
	assert_int_equal(fgetxattr(app, "system.posix_acl_default", got, sizeof(got)), sizeof(acl));
	txn_deploy(t);
	assert_int_equal(t->summary.ops[PLAN_KEEP], 3);
	assert_int_equal(t->summary.ops[PLAN_METADATA], 0);
}

static void a_file_over_two_gibibytes_keeps_its_size(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/big", "");
	auto_close int fd = openat(t->archive_fd, "big", O_WRONLY | O_CLOEXEC);
	off_t size = ((off_t)5 << 30) + 7;
	struct statvfs vfs;
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(pwrite(fd, "end", 3, size - 3), 3);
	assert_int_equal(fstatvfs(t->base_fd, &vfs), 0);
	if ((uint64_t)vfs.f_bavail * vfs.f_frsize < (uint64_t)size * 2)
		skip();
	txn_file(t, "big", "dest");
	txn_deploy(t);
	assert_true(stat_of(t, "dest/big").st_size == size);
	assert_true(stat_of(t, "dest/big").st_blocks * 512 < 1 << 20);
}

static void the_manifest_names_what_is_installed(void **state)
{
	struct txn *t = *state;
	struct manifest m;
	struct manifest_entry e;
	char path[2 * PATH_MAX];
	second_revision(t);
	txn_deploy(t);
	assert_int_equal(manifest_load(&m, t->group_fd, MANIFEST, &t->err), 0);
	assert_int_equal(m.count, 8);
	snprintf(path, sizeof(path), "%s/dest/app/l/y", t->base);
	assert_int_equal(manifest_find(&m, path, &e, &t->err), 1);
	assert_int_equal(e.type, 'f');
	assert_int_equal(e.ino, stat_of(t, "dest/app/l/y").st_ino);
	assert_int_equal(e.size, 15);
	snprintf(path, sizeof(path), "%s/dest/app/b", t->base);
	assert_int_equal(manifest_find(&m, path, &e, &t->err), 0);
	manifest_clear(&m);
}

/* By somebody who is not root, with all that is asked of root otherwise. Returns its exit status.
 */
static int install_as_nobody(void)
{
	void *state = NULL;
	txn_setup(&state);
	struct txn *t = state;
	txn_write(t, "archive/tree/secret", "2");
	txn_file(t, "tree", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app/secret");
	p->has_mode = true;
	p->mode = 0200;
	if (txn_plan(t) != 0 || txn_install(t) != 0)
		fprintf(stderr, "# %s\n", t->err.text);
	bool good = !t->err.code && (stat_of(t, "dest/app/secret").st_mode & 07777) == 0200;
	txn_teardown(&state);
	return good ? 0 : 1;
}

static void what_its_owner_may_not_read_is_installed_too(void **state)
{
	(void)state;
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 &&
		    (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
		     setresuid(65534, 65534, 65534) < 0))
			_exit(2);
		_exit(install_as_nobody());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_tree_as_deep_as_a_revision_may_be_is_installed(void **state)
{
	struct txn *t = *state;
	char path[1024] = "archive/tree";
	for (int i = 0; i < 250; i++)
		strcat(path, "/d");
	strcat(path, "/f");
	txn_write(t, path, "1");
	txn_file(t, "tree", "dest/1/2/3/4/5/6/7/8/9");
	txn_deploy(t);
	txn_remove(t, "archive/tree");
}

#define T(name) cmocka_unit_test_setup_teardown(name, txn_setup, txn_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_first_install_puts_everything_in_place),
		T(undoing_a_first_install_leaves_nothing),
		T(what_others_made_meanwhile_stays_and_is_named),
		T(the_second_revision_replaces_the_first),
		T(undoing_the_second_revision_gives_the_first),
		T(undo_brings_back_what_a_script_destroyed),
		T(what_stands_where_the_old_tree_must_be_moves_aside),
		T(an_unchanged_revision_writes_no_file),
		T(removing_takes_everything_and_keeps_what_is_not_ours),
		T(a_target_that_changed_since_the_plan_undoes_all),
		T(a_name_that_appeared_since_the_plan_is_left_alone),
		T(a_source_that_changed_since_the_plan_stops_before_the_switch),
		T(a_second_transaction_waits_for_the_first),
		T(a_stage_that_is_not_mounted_makes_recovery_wait),
		T(a_stage_that_was_taken_away_needs_a_person),
		T(permissions_are_applied_without_following_links),
		T(metadata_of_a_directory_changes_and_comes_back),
		T(undo_gives_nobody_another_ones_directory),
		T(undo_waits_for_a_directory_behind_a_link),
		T(a_fifo_in_the_revision_stops_nothing),
		T(what_its_owner_may_not_read_is_installed_too),
		T(a_tree_as_deep_as_a_revision_may_be_is_installed),
		T(a_directory_nobody_may_write_is_filled_all_the_same),
		T(a_set_gid_parent_gives_its_group),
		T(a_default_acl_is_inherited),
		T(a_file_over_two_gibibytes_keeps_its_size),
		T(the_manifest_names_what_is_installed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
