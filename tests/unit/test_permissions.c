// SPDX-License-Identifier: Apache-2.0
/* Permissions of an AppSpec on real files. What an ACL is in the end is asked of libacl. */
#include "agent/worker/acl.h"
#include "agent/worker/label.h"
#include "agent/worker/manifest.h"
#include "agent/worker/spec-parse.h"
#include "tests/unit/txn.h"

#include <acl/libacl.h>
#include <sys/acl.h>
#include <sys/xattr.h>

/* Access and default ACL in numbers, as "user::rw-,user:7:r--,... | ...". */
static const char *acl_text(const struct txn *t, const char *path)
{
	static char text[512];
	char full[2 * PATH_MAX];
	static const acl_type_t types[] = {ACL_TYPE_ACCESS, ACL_TYPE_DEFAULT};
	snprintf(full, sizeof(full), "%s/%s", t->base, path);
	text[0] = '\0';
	for (size_t i = 0; i < 2; i++) {
		acl_t acl = acl_get_file(full, types[i]);
		size_t len = strlen(text);
		if (!acl) /* a default ACL of a file */
			continue;
		char *one = acl_to_any_text(acl, "", ',', TEXT_ABBREVIATE | TEXT_NUMERIC_IDS);
		if (*one)
			snprintf(text + len, sizeof(text) - len, "%s%s", i ? "|" : "", one);
		acl_free(one);
		acl_free(acl);
	}
	return text;
}

static unsigned mode_of(const struct txn *t, const char *path)
{
	struct stat st;
	assert_int_equal(fstatat(t->base_fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static void set_mode(const struct txn *t, const char *path, mode_t mode)
{
	assert_int_equal(fchmodat(t->base_fd, path, mode, 0), 0);
}

/* Give the permission these entries, separated by blanks. */
static void set_acls(struct spec_permission *p, const char *entries)
{
	static struct spec_acl room[8][8];
	static unsigned next;
	char *copy = xstrdup(entries), *rest;
	p->has_acls = true;
	p->acls = room[next++ % 8];
	p->n_acls = 0;
	for (char *one = strtok_r(copy, " ", &rest); one; one = strtok_r(NULL, " ", &rest)) {
		struct error err = {0};
		struct spec_acl acl;
		if (spec_acl_parse(one, &acl, &err) != 0)
			fail_msg("%s", err.text);
		static char names[64][32];
		static unsigned n_names;
		char *name = names[n_names++ % 64];
		snprintf(name, sizeof(names[0]), "%s", acl.name);
		free(acl.name);
		acl.name = name;
		p->acls[p->n_acls++] = acl;
	}
	free(copy);
}

static void assert_ops(struct txn *t, unsigned keep, unsigned metadata)
{
	assert_int_equal(t->summary.ops[PLAN_KEEP], keep);
	assert_int_equal(t->summary.ops[PLAN_METADATA], metadata);
}

static void entries_are_completed_from_the_mode(void **state)
{
	static const struct {
		const char *entries;
		mode_t mode;
		const char *expected;
		mode_t then;
	} rows[] = {
		{"u:7:rw", 0640, "u::rw-,u:7:rw-,g::r--,m::r--,o::---", 0640},
		{"u:7:rw m:rwx", 0640, "u::rw-,u:7:rw-,g::r--,m::rwx,o::---", 0670},
		{"7:6 g:9:x", 0751, "u::rwx,u:7:rw-,g::r-x,g:9:--x,m::r-x,o::--x", 0751},
		{"u:9:r u:7:w", 0600, "u::rw-,u:7:-w-,u:9:r--,g::---,m::---,o::---", 0600},
		{"u:7:r u:7:w", 0666, "u::rw-,u:7:-w-,g::rw-,m::rw-,o::rw-", 0666},
		{"m::r", 0777, "u::rwx,g::rwx,m::r--,o::rwx", 0747},
		{"", 0751, "u::rwx,g::r-x,o::--x", 0751},
		{"u:7:r", 06755, "u::rwx,u:7:r--,g::r-x,m::r-x,o::r-x", 06755},
	};
	struct txn *t = *state;
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct spec_permission *p = &t->permissions[0];
		if (i == 0)
			p = txn_permission(t, "dest/f");
		set_acls(p, rows[i].entries);
		p->has_mode = true;
		p->mode = rows[i].mode;
		txn_deploy(t);
		assert_string_equal(acl_text(t, "dest/f"), rows[i].expected);
		assert_int_equal(mode_of(t, "dest/f"), rows[i].then);
		txn_deploy(t);
		assert_ops(t, 1, 0);
	}
}

static void directories_get_default_entries_and_bequeath_them_to_what_comes_later(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/d/f", "1");
	txn_file(t, "app", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app");
	p->files = false;
	set_acls(p, "d:u:7:rwx u:8:x d:g::r");
	txn_deploy(t);
	const char *expected =
		"u::rwx,u:8:--x,g::r-x,m::r-x,o::r-x|u::rwx,u:7:rwx,g::r--,m::r--,o::r-x";
	assert_string_equal(acl_text(t, "dest/app/d"), expected);
	assert_string_equal(acl_text(t, "dest/app/d/f"), "u::rw-,g::r--,o::r--");
	txn_write(t, "dest/app/d/later", "2");
	assert_string_equal(acl_text(t, "dest/app/d/later"), "u::rw-,u:7:rwx,g::r--,m::r--,o::r--");
	txn_deploy(t);
	assert_ops(t, 3, 0);
	/* A new file in it comes as if all were installed anew: without. */
	txn_write(t, "archive/app/d/g", "3");
	txn_deploy(t);
	assert_string_equal(acl_text(t, "dest/app/d/g"), "u::rw-,g::r--,o::r--");
	assert_string_equal(acl_text(t, "dest/app/d"), expected);
	txn_deploy(t);
	assert_ops(t, 4, 0);
}

static void acls_replace_what_would_be_inherited(void **state)
{
	struct txn *t = *state;
	struct acl_room acl;
	acl_start(&acl);
	assert_int_equal(acl_put(&acl, ACL_TAG_USER, 7, 7), 0);
	assert_int_equal(acl_complete(&acl, 0770), 0);
	auto_close int dest = txn_dir(t, "dest");
	assert_int_equal(acl_set_default(dest, acl_of(&acl)), 0);
	txn_write(t, "archive/app/d/f", "1");
	txn_write(t, "archive/app/g", "1");
	txn_file(t, "app", "dest/app");
	set_acls(txn_permission(t, "dest/app/d"), "u:9:r");
	struct spec_permission *p = txn_permission(t, "dest/app");
	p->files = false;
	set_acls(p, "");
	txn_deploy(t);
	assert_string_equal(acl_text(t, "dest/app/d/f"), "u::rw-,u:9:r--,g::r--,m::r--,o::---");
	assert_string_equal(acl_text(t, "dest/app/d"), "u::rwx,g::r-x,o::---");
	assert_string_equal(acl_text(t, "dest/app/g"), "u::rw-,u:7:rwx,g::rwx,m::r--,o::---");
	txn_deploy(t);
	assert_ops(t, 4, 0);
}

/* Install a second revision that wants other ACLs, or none, and walk it back. */
static void an_acl_that_changed_alone_is_metadata_and_is_put_back(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/d/f", "1");
	txn_file(t, "app", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app");
	p->files = false;
	set_acls(p, "u:8:rwx d:u:7:rwx m:rwx");
	set_acls(txn_permission(t, "dest/app/d"), "u:9:rw");
	txn_deploy(t);
	char dir[512], file[512];
	strcpy(dir, acl_text(t, "dest/app/d"));
	strcpy(file, acl_text(t, "dest/app/d/f"));
	assert_string_equal(
		dir, "u::rwx,u:8:rwx,g::r-x,m::rwx,o::r-x|u::rwx,u:7:rwx,g::r-x,m::r-x,o::r-x");
	for (int round = 0; round < 2; round++) {
		if (round == 0) {
			set_acls(&t->permissions[0], "g:4:r d:g:4:r");
			set_acls(&t->permissions[1], "u:9:r");
		} else {
			t->permissions[0].has_acls = t->permissions[1].has_acls = false;
			t->permissions[0].n_acls = t->permissions[1].n_acls = 0;
		}
		assert_int_equal(txn_plan(t), 0);
		assert_ops(t, 1, 2);
		assert_int_equal(txn_install(t), 0);
		assert_string_equal(acl_text(t, "dest/app/d"),
				    round ? "u::rwx,g::r-x,o::r-x"
					  : "u::rwx,g::r-x,g:4:r--,m::r-x,o::r-x|"
					    "u::rwx,g::r-x,g:4:r--,m::r-x,o::r-x");
		assert_string_equal(acl_text(t, "dest/app/d/f"),
				    round ? "u::rw-,g::r--,o::r--"
					  : "u::rw-,u:9:r--,g::r--,m::r--,o::r--");
		assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), 0);
		assert_string_equal(acl_text(t, "dest/app/d"), dir);
		assert_string_equal(acl_text(t, "dest/app/d/f"), file);
		assert_int_equal(mode_of(t, "dest/app/d"), 0775);
	}
}

static void an_acl_that_somebody_set_is_put_right(void **state)
{
	struct txn *t = *state;
	struct acl_room acl;
	acl_start(&acl);
	assert_int_equal(acl_put(&acl, ACL_TAG_USER, 7, 7), 0);
	assert_int_equal(acl_complete(&acl, 0644), 0);
	txn_write(t, "archive/app/f", "1");
	txn_file(t, "app", "dest/app");
	txn_deploy(t);
	auto_close int f = openat(t->base_fd, "dest/app/f", O_RDONLY | O_CLOEXEC);
	auto_close int d = txn_dir(t, "dest/app");
	assert_int_equal(acl_set(f, acl_of(&acl), 0644), 0);
	assert_int_equal(acl_set_default(d, acl_of(&acl)), 0);
	txn_deploy(t);
	assert_ops(t, 0, 2);
	assert_string_equal(acl_text(t, "dest/app"), "u::rwx,g::r-x,o::r-x");
	assert_string_equal(acl_text(t, "dest/app/f"), "u::rw-,g::r--,o::r--");
}

static void a_directory_that_a_script_made_anew_gets_its_acl_again(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/d/f", "1");
	txn_file(t, "app", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app");
	p->files = false;
	set_acls(p, "u:8:rwx d:u:7:rwx");
	txn_deploy(t);
	char before[512];
	strcpy(before, acl_text(t, "dest/app/d"));
	txn_remove(t, "archive/app/d");
	txn_write(t, "archive/app/g", "1");
	assert_int_equal(txn_plan(t), 0);
	assert_int_equal(txn_install(t), 0);
	assert_string_equal(txn_read(t, "dest/app/d"), "");
	txn_write(t, "dest/app/d/script-was-here", "1");
	assert_int_equal(install_undo(t->group_fd, NULL, NULL, &t->err), 0);
	assert_string_equal(txn_read(t, "dest/app/d/f"), "1");
	assert_string_equal(acl_text(t, "dest/app/d"), before);
}

static void set_id_bits_survive_an_acl_and_an_owner(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	struct spec_permission *p = txn_permission(t, "dest/f");
	set_acls(p, "u:8:rwx");
	p->has_mode = true;
	p->mode = 06711;
	p->owner = (char *)(geteuid() == 0 ? "nobody" : NULL);
	txn_deploy(t);
	assert_int_equal(mode_of(t, "dest/f"), 06711);
	txn_deploy(t);
	assert_ops(t, 1, 0);
}

static void a_symbolic_link_has_no_acl_and_is_not_followed(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/f", "1");
	txn_write(t, "dest/outside", "1");
	txn_link(t, "../outside", "archive/app/l");
	txn_file(t, "app", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app");
	set_acls(p, "u:8:rwx");
	p->has_mode = true;
	p->mode = 0600;
	txn_deploy(t);
	assert_string_equal(acl_text(t, "dest/outside"), "u::rw-,g::r--,o::r--");
	assert_string_equal(txn_read(t, "dest/app/l"), "../outside");
	txn_deploy(t);
	assert_ops(t, 3, 0);
}

static void assert_refused(struct txn *t, const char *text)
{
	assert_int_equal(txn_plan(t), ERR_REFUSED);
	if (!txn_has_problem(t, PROBLEM_ERROR, text)) {
		problems_print(&t->problems, stderr);
		fail_msg("no problem says '%s'", text);
	}
}

static void default_entries_for_a_file_are_refused(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/d/f", "1");
	txn_file(t, "app", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app");
	set_acls(p, "d:u:7:rwx");
	assert_refused(t, "only directories have default ACL entries");
	assert_true(txn_has_problem(t, PROBLEM_ERROR, "/dest/app/d/f"));
	p->files = false;
	assert_int_equal(txn_plan(t), 0);
}

static void unknown_names_of_an_acl_are_refused(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	set_acls(txn_permission(t, "dest/f"), "nobody-has-this:rw g:nor-this:r u:nor-this:r");
	assert_refused(t, "no user 'nobody-has-this'");
	assert_true(txn_has_problem(t, PROBLEM_ERROR, "no group 'nor-this'"));
	t->request.users_later = true;
	assert_int_equal(txn_plan(t), 0);
	assert_true(txn_has_problem(t, PROBLEM_WARNING, "no user 'nobody-has-this'"));
}

static void too_many_entries_are_refused(void **state)
{
	struct txn *t = *state;
	static struct spec_acl many[600];
	static char names[600][8];
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	struct spec_permission *p = txn_permission(t, "dest/f");
	for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
		snprintf(names[i], sizeof(names[i]), "%u", 1000 + i);
		many[i] = (struct spec_acl){.name = names[i], .perm = 4};
	}
	p->has_acls = true;
	p->acls = many;
	p->n_acls = ARRAY_LEN(many);
	assert_refused(t, "511 entries");
}

static void what_is_retained_is_not_touched(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/f", "new");
	txn_write(t, "archive/app/g", "new");
	txn_write(t, "dest/app/f", "theirs");
	set_mode(t, "dest/app/f", 0604);
	set_mode(t, "dest/app", 0705);
	txn_file(t, "app", "dest/app");
	t->spec.file_exists = SPEC_RETAIN;
	for (int i = 0; i < 2; i++) {
		struct spec_permission *p = txn_permission(t, "dest/app");
		p->pattern = (char *)(i ? "f" : "**");
		p->has_mode = true;
		p->mode = 0640;
		set_acls(p, i ? "d:u:7:r" : "u:7:r"); /* neither twice nor a default entry */
	}
	txn_deploy(t);
	assert_int_equal(t->summary.ops[PLAN_RETAIN], 1);
	assert_int_equal(mode_of(t, "dest/app/f"), 0604);
	assert_int_equal(mode_of(t, "dest/app"), 0705);
	assert_string_equal(acl_text(t, "dest/app/f"), "u::rw-,g::---,o::r--");
	assert_string_equal(acl_text(t, "dest/app/g"), "u::rw-,u:7:r--,g::r--,m::r--,o::---");
	assert_true(txn_has_problem(t, PROBLEM_WARNING, "apply to nothing"));
}

/* The tree app: f.c, f.h, sub (with f.c and deep/f.c), f.d/x. 'x' is set where it applies. */
static void patterns_select_what_the_official_agent_selects(void **state)
{
	static const char *const paths[] = {"f.c",      "f.h",          "l",   "sub",    "sub/f.c",
					    "sub/deep", "sub/deep/f.c", "f.d", "f.d/f.c"};
	static const struct {
		const char *object, *pattern, *except, *expected; /* one letter for each path */
		bool files, directories;
	} rows[] = {
		{"dest/app", "**", NULL, "xx-xxxxxx", true, true},
		{"dest/app", "**", NULL, "xx--x-x-x", true, false},
		{"dest/app", "**", NULL, "---x-x-x-", false, true},
		{"dest/app", "*", NULL, "xx-x---x-", true, true},
		{"dest/app", "f.*", NULL, "xx-----x-", true, true},
		{"dest/app", "*.c", NULL, "x--------", true, true},
		{"dest/app", "**.c", NULL, "x--------", true, true},
		{"dest/app", "sub", NULL, "---x-----", true, true},
		{"dest/app", "sub/f.c", NULL, "---------", true, true},
		{"dest/app", "?.c", NULL, "---------", true, true},
		{"dest/app", "", NULL, "---------", true, true},
		{"dest/app", "**", "f.c", "-x-xxxxxx", true, true},
		{"dest/app", "**", "*.c", "-x-xxxxxx", true, true},
		{"dest/app", "**", "sub", "xx--xxxxx", true, true},
		{"dest/app", "**", "sub/f.c", "xx-xxxxxx", true, true},
		{"dest/app", "f.*", "*.h", "x------x-", true, true},
		{"dest/app/sub", "**", NULL, "----xxx--", true, true},
		{"dest/app/sub", "**", NULL, "-----x---", false, true},
		{"dest/app/f.c", "**", NULL, "x--------", true, true},
		{"dest/app/f.c", "**", NULL, "---------", false, true},
		{"dest/app/nothing", "**", NULL, "---------", true, true},
		{"dest", "**", NULL, "xx-xxxxxx", true, true},
	};
	struct txn *t = *state;
	txn_write(t, "archive/app/f.c", "1");
	txn_write(t, "archive/app/f.h", "1");
	txn_link(t, "f.c", "archive/app/l");
	txn_write(t, "archive/app/sub/f.c", "1");
	txn_write(t, "archive/app/sub/deep/f.c", "1");
	txn_write(t, "archive/app/f.d/f.c", "1");
	txn_file(t, "app", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app");
	free(p->object);
	p->object = NULL;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *except[] = {(char *)rows[i].except, NULL};
		free(p->object);
		p->object = xasprintf("%s/%s", t->base, rows[i].object);
		p->pattern = (char *)rows[i].pattern;
		p->except = rows[i].except ? except : NULL;
		p->files = rows[i].files;
		p->directories = rows[i].directories;
		p->has_mode = true;
		p->mode = 0731;
		txn_deploy(t);
		for (size_t k = 0; k < ARRAY_LEN(paths); k++) {
			char path[64];
			snprintf(path, sizeof(path), "dest/app/%s", paths[k]);
			bool is = mode_of(t, path) == 0731;
			if (is != (rows[i].expected[k] == 'x'))
				fail_msg("row %zu: %s is %04o", i, path, mode_of(t, path));
		}
	}
}

static void a_directory_object_is_not_matched_itself(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/f", "1");
	txn_file(t, "app", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app");
	p->files = false;
	p->has_mode = true;
	p->mode = 0700;
	txn_deploy(t);
	assert_int_equal(mode_of(t, "dest/app"), 0755);
	free(p->object);
	p->object = xasprintf("%s/dest", t->base);
	p->pattern = (char *)"app";
	txn_deploy(t);
	assert_int_equal(mode_of(t, "dest/app"), 0700);
}

static void the_manifest_knows_acls(void **state)
{
	struct txn *t = *state;
	txn_write(t, "archive/app/d/f", "1");
	txn_file(t, "app", "dest/app");
	struct spec_permission *p = txn_permission(t, "dest/app");
	p->files = false;
	set_acls(p, "u:8:rwx d:u:7:rwx");
	set_acls(txn_permission(t, "dest/app/d"), "u:9:r");
	for (int round = 0; round < 2; round++) {
		static const char *const paths[] = {"dest/app/d", "dest/app/d/f"};
		txn_deploy(t);
		auto_manifest struct manifest m = MANIFEST_INIT;
		assert_int_equal(manifest_load(&m, t->group_fd, MANIFEST, &t->err), 0);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			char full[2 * PATH_MAX];
			struct manifest_entry e;
			struct acl_room room;
			snprintf(full, sizeof(full), "%s/%s", t->base, paths[i]);
			assert_int_equal(manifest_find(&m, full, &e, &t->err), 1);
			assert_true(e.has_acl);
			assert_int_equal(acl_get_path(full, ACL_OF_OBJECT, &room), 0);
			assert_true(room.len > 0 && acl_equal(e.access, acl_of(&room)));
			assert_int_equal(acl_get_path(full, ACL_TO_BEQUEATH, &room), 0);
			assert_true(acl_equal(e.bequeath, acl_of(&room)));
			assert_int_equal(e.mode, mode_of(t, paths[i]));
		}
		assert_int_equal(m.count, 3);
	}
	assert_ops(t, 3, 0);
}

static void a_context_replaces_parts_of_the_policy_s_label(void **state)
{
	static const struct {
		const char *base;
		struct spec_context context;
		const char *expected;
	} rows[] = {
		{"system_u:object_r:var_t:s0",
		 {.type = (char *)"etc_t"},
		 "system_u:object_r:etc_t:s0"},
		{"system_u:object_r:var_t:s0-s1:c0.c3",
		 {.type = (char *)"etc_t", .user = (char *)"staff_u"},
		 "staff_u:object_r:etc_t:s0-s1:c0.c3"},
		{"system_u:object_r:var_t:s0",
		 {.type = (char *)"etc_t", .range = (char *)"s0:c1,c2"},
		 "system_u:object_r:etc_t:s0:c1,c2"},
		{"system_u:object_r:var_t", {.type = (char *)"etc_t"}, "system_u:object_r:etc_t"},
		{"", {.type = (char *)"etc_t"}, "system_u:object_r:etc_t:s0"},
	};
	char label[LABEL_MAX], huge[LABEL_MAX];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(label_compose(rows[i].base, &rows[i].context, label, NULL), 0);
		assert_string_equal(label, rows[i].expected);
	}
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	struct spec_context context = {.type = huge};
	assert_int_equal(label_compose("", &context, label, NULL), ERR_INPUT);
}

/* As an extended attribute, which root may set on a host without SELinux. */
static void a_label_is_read_as_written(void **state)
{
	struct txn *t = *state;
	char label[LABEL_MAX];
	txn_write(t, "dest/f", "1");
	auto_close int f = openat(t->base_fd, "dest/f", O_RDONLY | O_CLOEXEC);
	auto_close int dest = txn_dir(t, "dest");
	if (geteuid() != 0 || label_is_enabled(NULL)) /* a real policy has its own opinion */
		return;
	assert_int_equal(label_get(f, label), 0);
	assert_string_equal(label, "");
	assert_int_equal(label_set(f, "system_u:object_r:etc_t:s0"), 0);
	assert_int_equal(label_get(f, label), 0);
	assert_string_equal(label, "system_u:object_r:etc_t:s0");
	assert_int_equal(label_get_at(dest, "f", label), 0);
	assert_string_equal(label, "system_u:object_r:etc_t:s0");
}

static void a_context_without_selinux_is_a_warning_and_changes_nothing(void **state)
{
	struct txn *t = *state;
	char label[LABEL_MAX];
	txn_write(t, "archive/f", "1");
	txn_file(t, "f", "dest");
	struct spec_permission *p = txn_permission(t, "dest/f");
	p->has_context = true;
	p->context.type = (char *)"etc_t";
	if (label_is_enabled(NULL))
		return;
	txn_deploy(t);
	assert_true(txn_has_problem(t, PROBLEM_WARNING, "line 21: 'context' changes nothing"));
	auto_close int f = openat(t->base_fd, "dest/f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(label_get(f, label), 0);
	assert_string_equal(label, "");
	txn_deploy(t);
	assert_ops(t, 1, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, txn_setup, txn_teardown)

int main(void)
{
	umask(022);
	const struct CMUnitTest tests[] = {
		T(entries_are_completed_from_the_mode),
		T(directories_get_default_entries_and_bequeath_them_to_what_comes_later),
		T(acls_replace_what_would_be_inherited),
		T(an_acl_that_changed_alone_is_metadata_and_is_put_back),
		T(an_acl_that_somebody_set_is_put_right),
		T(a_directory_that_a_script_made_anew_gets_its_acl_again),
		T(set_id_bits_survive_an_acl_and_an_owner),
		T(a_symbolic_link_has_no_acl_and_is_not_followed),
		T(default_entries_for_a_file_are_refused),
		T(unknown_names_of_an_acl_are_refused),
		T(too_many_entries_are_refused),
		T(what_is_retained_is_not_touched),
		T(patterns_select_what_the_official_agent_selects),
		T(a_directory_object_is_not_matched_itself),
		T(the_manifest_knows_acls),
		T(a_context_replaces_parts_of_the_policy_s_label),
		T(a_label_is_read_as_written),
		T(a_context_without_selinux_is_a_warning_and_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
