// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/manifest.h"
#include "agent/worker/plan-file.h"
#include "agent/worker/plan.h"
#include "tests/unit/txn.h"

struct seen {
	const struct txn *t;
	char text[4096];
};

static int see(enum plan_op op, const char *path, uint64_t bytes, void *arg)
{
	struct seen *s = arg;
	size_t len = strlen(s->text);
	snprintf(s->text + len, sizeof(s->text) - len, "%s %s %llu\n", plan_op_to_string(op),
		 path + strlen(s->t->base), (unsigned long long)bytes);
	return 0;
}

/* The plan as text: "create /dest/file 5" a line. */
static void assert_plan(struct txn *t, const char *expected)
{
	struct seen s = {.t = t};
	if (txn_plan(t) != 0)
		fail_msg("%s", t->err.text);
	assert_int_equal(plan_each(t->group_fd, see, &s, &t->err), 0);
	assert_string_equal(s.text, expected);
}

/* Refused, and text stands in a problem. */
static void assert_refused(struct txn *t, const char *text)
{
	assert_int_equal(txn_plan(t), ERR_REFUSED);
	if (!txn_has_problem(t, PROBLEM_ERROR, text)) {
		problems_print(&t->problems, stderr);
		fail_msg("no problem says '%s'", text);
	}
	assert_int_equal(faccessat(t->group_fd, "plan", F_OK, 0), -1);
}

/* What the previous install put in place: type and path below base. */
struct previous {
	char type;
	const char *path;
};

static void txn_manifest(struct txn *t, int group_fd, const struct previous *list, size_t n)
{
	auto_manifest_writer struct manifest_writer w = {.file = RECORD_FILE_INIT};
	assert_int_equal(manifest_create(&w, group_fd, MANIFEST, &t->err), 0);
	for (size_t i = 0; i < n; i++) {
		char path[2 * PATH_MAX];
		struct stat st = {0};
		snprintf(path, sizeof(path), "%s/%s", t->base, list[i].path);
		lstat(path, &st);
		struct manifest_entry e = {.type = list[i].type,
					   .root = MANIFEST_NO_ROOT,
					   .mode = st.st_mode & 07777,
					   .ino = st.st_ino,
					   .size = (uint64_t)st.st_size,
					   .mtime_s = st.st_mtim.tv_sec,
					   .mtime_ns = (uint32_t)st.st_mtim.tv_nsec,
					   .path = path};
		assert_int_equal(manifest_add(&w, &e, &t->err), 0);
	}
	assert_int_equal(manifest_finish(&w, &t->err), 0);
}

static void a_first_install_creates_everything_and_the_way_to_it(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/main", "hello");
	txn_write(t, "archive/app/lib/a", "abc");
	txn_link(t, "main", "archive/app/link");
	txn_write(t, "archive/readme", "x");
	txn_file(t, "app", "dest/opt/app");
	txn_file(t, "readme", "dest");
	assert_plan(t, "mkdir /dest/opt 0\nmkdir /dest/opt/app 0\nmkdir /dest/opt/app/lib 0\n"
		       "create /dest/opt/app/lib/a 3\nsymlink /dest/opt/app/link 0\n"
		       "create /dest/opt/app/main 5\ncreate /dest/readme 1\n");
	assert_int_equal(t->summary.bytes, 9);
	assert_int_equal(t->summary.ops[PLAN_MKDIR], 3);
	assert_int_equal(txn_count(t, "dest"), 0);
}

static void an_empty_directory_of_the_revision_is_made(void **state)
{
	struct txn *t = *state;
	close(txn_dir(t, "archive/app/empty"));
	txn_file(t, "app", "dest/app");
	assert_plan(t, "mkdir /dest/app 0\nmkdir /dest/app/empty 0\n");
}

static void a_missing_source_is_found(void **state)
{
	struct txn *t = *state;
	txn_file(t, "nothing", "dest");
	assert_refused(t, "the source of line 11 is not in the revision");
}

static void an_existing_file_is_refused_unless_told_otherwise(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "new");
	txn_write(t, "dest/f", "old");
	txn_file(t, "f", "dest");
	assert_refused(t, "DISALLOW");
	t->request.file_exists = SPEC_OVERWRITE;
	assert_plan(t, "replace /dest/f 3\n");
	t->request.file_exists = SPEC_RETAIN;
	assert_plan(t, "retain /dest/f 0\n");
	t->spec.file_exists = SPEC_OVERWRITE;
	assert_plan(t, "replace /dest/f 3\n");
}

static void files_of_the_own_manifest_do_not_stand_in_the_way(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "new");
	txn_write(t, "dest/f", "old");
	txn_manifest(t, t->group_fd, (struct previous[]){{'f', "dest/f"}}, 1);
	txn_file(t, "f", "dest");
	assert_plan(t, "replace /dest/f 3\n");
	assert_int_equal(t->problems.warnings, 0);
}

static void an_unchanged_file_is_kept(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "same");
	txn_write(t, "dest/f", "same");
	txn_manifest(t, t->group_fd, (struct previous[]){{'f', "dest/f"}}, 1);
	txn_file(t, "f", "dest");
	assert_plan(t, "keep /dest/f 0\n");
	assert_int_equal(fchmodat(t->base_fd, "archive/f", 0755, 0), 0);
	assert_plan(t, "metadata /dest/f 4\n");
}

/* As if the plan had been made seconds after the files were written: its end record again, later.
 */
static void age_plan(struct txn *t)
{
	static struct record_out out;
	struct record rec;
	struct plan_end end;
	auto_record_file struct record_file f = RECORD_FILE_INIT;
	int fd = openat(t->group_fd, PLAN, O_RDWR | O_CLOEXEC);
	assert_int_equal(record_open(&f, fd, RECORD_PLAN, &t->err), 0);
	do
		assert_int_equal(plan_next(&f, &rec, &t->err), 1);
	while (rec.type != PLAN_REC_END);
	assert_int_equal(plan_end_get(&rec, &end, &t->err), 0);
	end.made_s += 10;
	record_start(&out, PLAN_REC_END);
	plan_end_put(&out, &end);
	assert_int_equal(record_patch(&f, rec.offset, &out, &t->err), 0);
}

/* The second plan of a deployment trusts the first where nothing was touched since; a change, even
 * one that keeps size and modification time, is seen. */
static void a_second_plan_sees_what_changed_after_the_first(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/a", "same");
	txn_write(t, "archive/b", "same");
	txn_write(t, "dest/a", "same");
	txn_write(t, "dest/b", "same");
	txn_manifest(t, t->group_fd, (struct previous[]){{'f', "dest/a"}, {'f', "dest/b"}}, 2);
	txn_file(t, "a", "dest");
	txn_file(t, "b", "dest");
	assert_plan(t, "keep /dest/a 0\nkeep /dest/b 0\n");
	age_plan(t);
	assert_plan(t, "keep /dest/a 0\nkeep /dest/b 0\n");
	age_plan(t);
	struct stat st;
	assert_int_equal(fstatat(t->base_fd, "dest/a", &st, 0), 0);
	txn_write(t, "dest/a", "SAME");
	txn_write(t, "archive/b", "SAME");
	const struct timespec times[2] = {st.st_atim, st.st_mtim};
	assert_int_equal(utimensat(t->base_fd, "dest/a", times, 0), 0);
	assert_plan(t, "replace /dest/a 4\nreplace /dest/b 4\n");
}

static void two_sources_for_one_path_are_both_named(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/a/f", "1");
	txn_write(t, "archive/b/f", "2");
	txn_file(t, "a/f", "dest");
	txn_file(t, "b/f", "dest");
	assert_refused(t, "'a/f' and 'b/f'");
}

static void a_file_and_a_directory_for_one_path_clash(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/a/x", "1");
	txn_write(t, "archive/b/x/y", "2");
	txn_file(t, "a", "dest");
	txn_file(t, "b", "dest");
	assert_refused(t, "two entries clash");
	txn_clear_spec(t);
	txn_file(t, "b", "dest");
	txn_file(t, "a", "dest");
	assert_refused(t, "two entries want this path: 'a directory' and 'a/x'");
}

static void a_symlinked_parent_is_resolved_once(void **state)
{
	struct txn *t = *state;
	close(txn_dir(t, "dest/usr/bin"));
	txn_link(t, "usr/bin", "dest/bin");
	txn_write(t, "archive/tree/bin/tool", "1");
	txn_write(t, "archive/other/tool", "2");
	txn_file(t, "tree", "dest");
	assert_plan(t, "create /dest/usr/bin/tool 1\n");
	txn_file(t, "other", "dest/usr/bin");
	assert_refused(t, "/dest/usr/bin/tool");
}

/* The link's directory is the user's: it may only lead to another of the user's. */
static void a_link_that_others_could_make_leads_nowhere_else(void **state)
{
	struct txn *t = *state;
	if (geteuid() != 0)
		return;
	close(txn_dir(t, "dest/user"));
	close(txn_dir(t, "dest/etc"));
	txn_link(t, "../etc", "dest/user/app");
	txn_link(t, "user/app", "dest/way");
	assert_int_equal(fchownat(t->base_fd, "dest/user", 1234, 1234, 0), 0);
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest/user/app");
	assert_refused(t, "belongs to user 0");
	txn_clear_spec(t);
	txn_file(t, "f", "dest/way");
	assert_refused(t, "/dest/user/app' is a symbolic link that others than root");
	assert_int_equal(fchownat(t->base_fd, "dest/etc", 1234, 1234, 0), 0);
	assert_plan(t, "create /dest/etc/f 1\n");
	/* Its own link in root's directory with a sticky bit; then anywhere. */
	assert_int_equal(fchownat(t->base_fd, "dest/user", 0, 0, 0), 0);
	assert_int_equal(fchmodat(t->base_fd, "dest/user", 01777, 0), 0);
	assert_int_equal(fchownat(t->base_fd, "dest/etc", 0, 0, 0), 0);
	assert_plan(t, "create /dest/etc/f 1\n");
	assert_int_equal(fchownat(t->base_fd, "dest/user/app", 1234, 1234, AT_SYMLINK_NOFOLLOW), 0);
	assert_refused(t, "belongs to user 0");
	assert_int_equal(fchmodat(t->base_fd, "dest/user", 0755, 0), 0);
	assert_plan(t, "create /dest/etc/f 1\n");
}

static void a_dangling_symlink_on_the_way_is_refused(void **state)
{
	struct txn *t = *state;
	txn_link(t, "nowhere", "dest/app");
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest/app");
	assert_refused(t, "leads to none");
}

static void a_destination_that_is_a_file_is_refused(void **state)
{
	struct txn *t = *state;
	txn_write(t, "dest/app", "a file");
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest/app");
	assert_refused(t, "a directory is needed here");
	txn_manifest(t, t->group_fd, (struct previous[]){{'f', "dest/app"}}, 1);
	assert_plan(t, "replace /dest/app 0\ncreate /dest/app/f 1\n");
}

static void overwrite_does_not_touch_a_directory_in_the_way(void **state)
{
	struct txn *t = *state;
	t->spec.file_exists = SPEC_OVERWRITE;
	close(txn_dir(t, "dest/f"));
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	assert_refused(t, "a directory stands where a file is to be installed");
}

static void overwrite_replaces_the_symlink_itself(void **state)
{
	struct txn *t = *state;
	t->spec.file_exists = SPEC_OVERWRITE;
	txn_write(t, "dest/precious", "1");
	txn_link(t, "precious", "dest/f");
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	assert_plan(t, "replace /dest/f 1\n");
}

static void what_is_no_longer_wanted_goes_deepest_first(void **state)
{
	struct txn *t = *state;
	txn_write(t, "dest/app/lib/a", "1");
	txn_write(t, "dest/app/b", "2");
	txn_write(t, "archive/c", "3");
	txn_manifest(t, t->group_fd,
		     (struct previous[]){{'d', "dest/app"},
					 {'f', "dest/app/b"},
					 {'d', "dest/app/lib"},
					 {'f', "dest/app/lib/a"}},
		     4);
	txn_file(t, "c", "dest");
	assert_plan(t, "create /dest/c 1\ndelete /dest/app/lib/a 0\nrmdir /dest/app/lib 0\n"
		       "delete /dest/app/b 0\nrmdir /dest/app 0\n");
}

static void removing_takes_what_the_manifest_has(void **state)
{
	struct txn *t = *state;
	txn_write(t, "dest/app/b", "2");
	txn_write(t, "dest/app/log", "not ours");
	txn_manifest(t, t->group_fd, (struct previous[]){{'d', "dest/app"}, {'f', "dest/app/b"}},
		     2);
	t->request.spec = NULL;
	t->request.archive_fd = -1;
	assert_plan(t, "delete /dest/app/b 0\nrmdir /dest/app 0\n");
}

static void a_directory_on_the_way_stays_ours(void **state)
{
	struct txn *t = *state;
	close(txn_dir(t, "dest/app/x"));
	txn_write(t, "archive/f", "1");
	txn_manifest(t, t->group_fd, (struct previous[]){{'d', "dest/app"}, {'d', "dest/app/x"}},
		     2);
	txn_file(t, "f", "dest/app/x");
	assert_plan(t, "keep /dest/app 0\nkeep /dest/app/x 0\ncreate /dest/app/x/f 1\n");
}

static void local_changes_are_noted(void **state)
{
	struct txn *t = *state;
	txn_write(t, "dest/f", "as installed");
	txn_write(t, "archive/f", "new");
	txn_write(t, "archive/g", "new");
	txn_manifest(t, t->group_fd, (struct previous[]){{'f', "dest/f"}, {'f', "dest/g"}}, 2);
	txn_write(t, "dest/f", "changed by hand");
	txn_file(t, "f", "dest");
	txn_file(t, "g", "dest");
	assert_plan(t, "replace /dest/f 3\ncreate /dest/g 3\n");
	assert_true(txn_has_problem(t, PROBLEM_WARNING, "changed since it was installed"));
	assert_true(txn_has_problem(t, PROBLEM_WARNING, "removed since it was installed"));
}

static void a_file_takes_the_place_of_our_directory_only(void **state)
{
	struct txn *t = *state;
	txn_write(t, "dest/d/ours", "1");
	txn_write(t, "archive/d", "now a file");
	txn_manifest(t, t->group_fd, (struct previous[]){{'d', "dest/d"}, {'f', "dest/d/ours"}}, 2);
	txn_file(t, "d", "dest");
	assert_plan(t, "replace /dest/d 10\ndelete /dest/d/ours 0\n");
	txn_write(t, "dest/d/foreign", "2");
	assert_refused(t, "/dest/d/foreign");
}

static void another_groups_file_is_refused_by_name(void **state)
{
	struct txn *t = *state;
	auto_close int other = txn_dir(t, "groups/other");
	txn_write(t, "dest/f", "theirs");
	txn_write(t, "archive/f", "1");
	txn_manifest(t, other, (struct previous[]){{'f', "dest/f"}}, 1);
	txn_file(t, "f", "dest");
	t->spec.file_exists = SPEC_OVERWRITE;
	assert_refused(t, "deployment group 'other'");
	t->spec.file_exists = SPEC_RETAIN;
	assert_plan(t, "retain /dest/f 0\n");
}

static void unknown_users_and_groups_are_refused(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	txn_permission(t, "dest/f")->owner = (char *)"nobody-has-this-name";
	t->permissions[0].group = (char *)"nor-this";
	assert_refused(t, "no user 'nobody-has-this-name'");
	assert_true(txn_has_problem(t, PROBLEM_ERROR, "no group 'nor-this'"));
}

static void users_that_before_install_may_make_are_a_warning_at_first(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	txn_permission(t, "dest/f")->owner = (char *)"nobody-has-this-name";
	t->permissions[0].group = (char *)"nor-this";
	txn_write(t, "archive/g", "1");
	txn_file(t, "g", "dest");
	txn_permission(t, "dest/g")->owner = (char *)"nobody-has-this-name";
	t->request.users_later = true;
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(t->problems.count, 2); /* each name once */
	assert_true(txn_has_problem(t, PROBLEM_WARNING, "no user 'nobody-has-this-name'"));
	assert_true(txn_has_problem(t, PROBLEM_WARNING, "no group 'nor-this'"));
	t->request.users_later = false;
	assert_refused(t, "no user 'nobody-has-this-name'");
}

static void permissions_may_not_apply_twice(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	txn_permission(t, "dest/f");
	txn_permission(t, "dest");
	assert_refused(t, "by lines 21 and 22");
}

static void a_file_object_takes_no_pattern(void **state)
{
	struct txn *t = *state;
	char *except[] = {(char *)"x", NULL};
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	struct spec_permission *p = txn_permission(t, "dest/f");
	p->pattern = (char *)"*.c";
	p->except = except;
	assert_refused(t, "the pattern must be '**'");
	assert_true(txn_has_problem(t, PROBLEM_ERROR, "no 'except'"));
}

static void permissions_that_apply_to_nothing_are_a_warning(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	txn_permission(t, "elsewhere");
	assert_int_equal(txn_plan(t), 0);
	assert_true(txn_has_problem(t, PROBLEM_WARNING, "apply to nothing"));
}

static void set_id_bits_need_the_option(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "1");
	assert_int_equal(fchmodat(t->base_fd, "archive/f", 04755, 0), 0);
	txn_file(t, "f", "dest");
	assert_refused(t, "set-id");
	t->request.allow_setid = true;
	assert_plan(t, "create /dest/f 1\n");
}

static void permissions_of_a_link_may_be_refused(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/d/f", "1");
	assert_int_equal(symlinkat("f", t->archive_fd, "d/link"), 0);
	txn_file(t, "d", "dest");
	txn_permission(t, "dest");
	assert_int_equal(txn_plan(t), 0);
	t->request.refuse_links_permissions = true;
	assert_refused(t, "reject_symlink_permission_targets");
	assert_true(txn_has_problem(t, PROBLEM_ERROR, "by line 21"));
}

static void holes_need_no_room(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/huge", "");
	auto_close int fd = openat(t->archive_fd, "huge", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)8 << 40), 0);
	txn_file(t, "huge", "dest");
	assert_plan(t, "create /dest/huge 8796093022208\n");
}

static void without_root_a_directory_must_be_writable(void **state)
{
	struct txn *t = *state;
	if (geteuid() == 0)
		return; /* who may write anywhere */
	txn_write(t, "archive/f", "1");
	txn_write(t, "archive/tree/sub/f", "1");
	txn_file(t, "tree", "dest/app");
	txn_file(t, "f", "dest");
	assert_int_equal(fchmodat(t->base_fd, "dest", 0555, 0), 0);
	assert_refused(t, "may not write in");
	assert_int_equal(fchmodat(t->base_fd, "dest", 0755, 0), 0);
}

static void all_refusals_come_at_once(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/a", "1");
	txn_write(t, "archive/b", "1");
	txn_write(t, "dest/a", "there");
	txn_write(t, "dest/b", "there");
	txn_file(t, "a", "dest");
	txn_file(t, "b", "dest");
	txn_file(t, "missing", "dest");
	assert_refused(t, "/dest/a");
	assert_int_equal(t->problems.errors, 3);
}

static void a_destination_root_goes_in_front(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "1");
	struct spec_file file = {.source = (char *)"f", .destination = (char *)"/opt", .line = 1};
	t->files[0] = file;
	t->spec.n_files = 1;
	char *root = xasprintf("%s/dest/", t->base);
	t->request.destination_root = root;
	assert_plan(t, "mkdir /dest/opt 0\ncreate /dest/opt/f 1\n");
	t->spec.n_files = 0;
	free(root);
}

static void thousands_of_names_find_each_other(void **state)
{
	struct txn *t = *state;
	for (int i = 0; i < 3000; i++) {
		char name[64];
		snprintf(name, sizeof(name), "archive/tree/%d/f%d", i % 40, i);
		txn_write(t, name, "x");
	}
	txn_file(t, "tree", "dest/a");
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(t->summary.ops[PLAN_CREATE], 3000);
	assert_int_equal(t->summary.ops[PLAN_MKDIR], 41);
	txn_file(t, "tree", "dest/a");
	assert_int_equal(txn_plan(t), ERR_REFUSED);
	assert_int_equal(t->problems.errors, 3000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, txn_setup, txn_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_first_install_creates_everything_and_the_way_to_it),
		T(an_empty_directory_of_the_revision_is_made),
		T(a_missing_source_is_found),
		T(an_existing_file_is_refused_unless_told_otherwise),
		T(files_of_the_own_manifest_do_not_stand_in_the_way),
		T(an_unchanged_file_is_kept),
		T(a_second_plan_sees_what_changed_after_the_first),
		T(two_sources_for_one_path_are_both_named),
		T(a_file_and_a_directory_for_one_path_clash),
		T(a_symlinked_parent_is_resolved_once),
		T(a_link_that_others_could_make_leads_nowhere_else),
		T(a_dangling_symlink_on_the_way_is_refused),
		T(a_destination_that_is_a_file_is_refused),
		T(overwrite_does_not_touch_a_directory_in_the_way),
		T(overwrite_replaces_the_symlink_itself),
		T(what_is_no_longer_wanted_goes_deepest_first),
		T(removing_takes_what_the_manifest_has),
		T(a_directory_on_the_way_stays_ours),
		T(local_changes_are_noted),
		T(a_file_takes_the_place_of_our_directory_only),
		T(another_groups_file_is_refused_by_name),
		T(unknown_users_and_groups_are_refused),
		T(users_that_before_install_may_make_are_a_warning_at_first),
		T(permissions_may_not_apply_twice),
		T(a_file_object_takes_no_pattern),
		T(permissions_that_apply_to_nothing_are_a_warning),
		T(set_id_bits_need_the_option),
		T(permissions_of_a_link_may_be_refused),
		T(holes_need_no_room),
		T(without_root_a_directory_must_be_writable),
		T(all_refusals_come_at_once),
		T(a_destination_root_goes_in_front),
		T(thousands_of_names_find_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
