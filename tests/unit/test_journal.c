// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/journal.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "tests/unit/stream.h"
#include "tests/unit/tempdir.h"

#include <sys/stat.h>

/* A journal with one mount, one directory and two operations. */
static struct journal *begin(struct tempdir *dir)
{
	struct error err = {0};
	struct journal_mount *mounts = xcalloc(1, sizeof(*mounts));
	mounts[0] = (struct journal_mount){.path = xstrdup("/srv"), .magic = 0xEF53};
	mounts[0].parent = (struct live_ident){.ino = 2, .btime_s = 1, .handle_len = 5};
	struct journal *j = NULL;
	assert_int_equal(journal_begin(dir->fd, "d-ONE", mounts, 1, &j, &err), 0);
	return j;
}

static void fill(struct journal *j)
{
	struct error err = {0};
	struct live_ident stage = {.ino = 77, .btime_s = 3};
	struct plan_dir d = {.index = 0, .mount = 0, .ino = 5, .mode = 0755, .path = "/srv/app"};
	struct journal_op op = {.kind = JOURNAL_PUT,
				.type = 'f',
				.number = 4,
				.old = {.type = 'f', .ino = 9, .size = 1, .ctime_s = -1},
				.new_ino = 10,
				.path = "/srv/app/one"};
	assert_int_equal(journal_add_stage(j, 0, &stage, &err), 0);
	assert_int_equal(journal_add_dir(j, &d, &err), 0);
	assert_int_equal(journal_add_op(j, &op, &err), 0);
	op.kind = JOURNAL_DELETE;
	op.number = 0x12345;
	op.path = "/srv/app/two\nlines \xff";
	assert_int_equal(journal_add_op(j, &op, &err), 0);
}

static struct journal *committed(struct tempdir *dir)
{
	struct error err = {0};
	struct journal *j = begin(dir);
	fill(j);
	assert_int_equal(journal_set_state(j, JOURNAL_COMMITTED, &err), 0);
	return j;
}

static struct journal *load(struct tempdir *dir)
{
	struct error err = {0};
	struct journal *j = NULL;
	if (journal_load(dir->fd, &j, &err) != 0)
		fail_msg("%s", err.text);
	return j;
}

static off_t size_of(struct tempdir *dir)
{
	struct stat st;
	assert_int_equal(fstatat(dir->fd, "journal", &st, 0), 0);
	return st.st_size;
}

static void cut_to(struct tempdir *dir, off_t size)
{
	auto_close int fd = openat(dir->fd, "journal", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, size), 0);
}

static void what_was_written_is_read(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	struct journal_op op;
	auto_journal struct journal *written = committed(dir);
	auto_journal struct journal *j = load(dir);
	assert_int_equal(j->state, JOURNAL_COMMITTED);
	assert_string_equal(j->txid, written->txid);
	assert_string_equal(j->deployment, "d-ONE");
	assert_true(j->same_boot);
	assert_int_equal(j->n_mounts, 1);
	assert_string_equal(j->mounts[0].path, "/srv");
	assert_true(live_ident_equal(&j->mounts[0].parent, &written->mounts[0].parent));
	assert_int_equal(j->mounts[0].stage.ino, 77);
	assert_int_equal(j->n_dirs, 1);
	assert_int_equal(j->dirs[0].ino, 5);
	assert_int_equal(j->n_ops, 2);
	assert_int_equal(journal_op_at(j, 1, &op, &err), 0);
	assert_int_equal(op.kind, JOURNAL_DELETE);
	assert_int_equal(op.number, 0x12345);
	assert_string_equal(op.path, "/srv/app/two\nlines \xff");
	assert_int_equal(journal_op_at(j, 0, &op, &err), 0);
	assert_int_equal(op.new_ino, 10);
	assert_true(op.old.ctime_s == -1);
}

/* Whatever is missing at its end: it is a journal in the state before, never an error. */
static void every_torn_tail_is_the_state_before(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	struct journal *j = begin(dir);
	off_t begun = size_of(dir);
	fill(j);
	assert_int_equal(journal_set_state(j, JOURNAL_COMMITTED, &err), 0);
	off_t commit = size_of(dir);
	assert_int_equal(journal_set_state(j, JOURNAL_INSTALLED, &err), 0);
	off_t end = size_of(dir);
	journal_free(j);
	for (off_t size = end - 1; size >= 0; size--) {
		cut_to(dir, size);
		auto_journal struct journal *torn = load(dir);
		assert_int_equal(torn->state, size >= commit ? JOURNAL_COMMITTED : JOURNAL_STAGED);
		if (size >= begun)
			assert_int_equal(torn->n_mounts, 1);
	}
}

static void a_damaged_record_ends_the_journal(void **state)
{
	struct tempdir *dir = *state;
	journal_free(committed(dir));
	off_t end = size_of(dir);
	/* One bit anywhere behind the header. */
	for (off_t at = 16; at < end; at++) {
		auto_close int fd = openat(dir->fd, "journal", O_RDWR | O_CLOEXEC);
		uint8_t byte, flipped;
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		flipped = byte ^ 0x10;
		assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
		auto_journal struct journal *j = load(dir);
		assert_int_equal(j->state, JOURNAL_STAGED);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
}

static void a_state_after_a_torn_tail_is_found(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	struct journal *j = committed(dir);
	assert_int_equal(journal_set_state(j, JOURNAL_INSTALLED, &err), 0);
	journal_free(j);
	cut_to(dir, size_of(dir) - 3);
	j = load(dir);
	assert_int_equal(j->state, JOURNAL_COMMITTED);
	assert_int_equal(journal_set_state(j, JOURNAL_UNDOING, &err), 0);
	journal_free(j);
	j = load(dir);
	assert_int_equal(j->state, JOURNAL_UNDOING);
	assert_int_equal(j->n_ops, 2);
	journal_free(j);
}

static void there_is_one_journal_at_a_time(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_journal struct journal *j = begin(dir);
	struct journal *second = NULL;
	assert_int_equal(journal_begin(dir->fd, "d-TWO", xcalloc(0, 1), 0, &second, &err), -EEXIST);
	assert_int_equal(journal_remove(j, &err), 0);
	assert_int_equal(journal_load(dir->fd, &second, &err), -ENOENT);
}

static void another_version_is_refused_by_number(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	struct journal *j = NULL;
	journal_free(committed(dir));
	stream_set_version(dir->fd, "journal", 'J', 3);
	assert_int_equal(journal_load(dir->fd, &j, &err), ERR_FORMAT);
	assert_non_null(strstr(err.text, "version 3"));
}

/* Field by field, as version 1 had them: no ACLs and no labels. */
static void the_previous_release_s_journal_is_read(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	struct live_ident stage = {.ino = 77, .btime_s = 3};
	struct live_object old = {.type = 'd', .ino = 9, .mode = 0755, .uid = 4, .gid = 5};
	struct journal *j = begin(dir);
	assert_int_equal(journal_add_stage(j, 0, &stage, &err), 0);
	record_start(&j->out, 4); /* dir */
	record_put_u32(&j->out, 0);
	record_put_u32(&j->out, 0);
	record_put_u64(&j->out, 5);
	for (unsigned i = 0; i < 3; i++)
		record_put_u32(&j->out, 0750 + i);
	record_put_u8(&j->out, 1);
	record_put_text(&j->out, "/srv/app");
	assert_int_equal(record_append(&j->file, &j->out, NULL, &err), 0);
	record_start(&j->out, 5); /* op */
	record_put_u8(&j->out, JOURNAL_META);
	record_put_u8(&j->out, 'd');
	record_put_u32(&j->out, 4);
	record_put_u32(&j->out, 0);
	live_object_put(&j->out, &old);
	record_put_u64(&j->out, 0);
	record_put_u32(&j->out, 0711);
	record_put_u32(&j->out, 6);
	record_put_u32(&j->out, 7);
	record_put_text(&j->out, "/srv/app/one");
	assert_int_equal(record_append(&j->file, &j->out, NULL, &err), 0);
	j->n_ops = 1;
	assert_int_equal(journal_set_state(j, JOURNAL_COMMITTED, &err), 0);
	journal_free(j);
	stream_set_version(dir->fd, "journal", 'J', 1);

	j = load(dir);
	struct journal_op op;
	assert_int_equal(j->state, JOURNAL_COMMITTED);
	assert_int_equal(j->n_dirs, 1);
	assert_int_equal(j->dirs[0].mode, 0750);
	assert_true(j->dirs[0].inherit);
	assert_int_equal(j->n_ops, 1);
	assert_int_equal(journal_op_at(j, 0, &op, &err), 0);
	assert_int_equal(op.mode, 0711);
	assert_int_equal(op.old.gid, 5);
	assert_string_equal(op.path, "/srv/app/one");
	assert_false(op.has_acl);
	assert_string_equal(op.label, "");
	/* And this release ends what that one began. */
	assert_int_equal(journal_set_state(j, JOURNAL_INSTALLED, &err), 0);
	journal_free(j);
	j = load(dir);
	assert_int_equal(j->state, JOURNAL_INSTALLED);
	journal_free(j);
}

static void the_acls_of_a_directory_are_read_as_written(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	struct acl_room room[4];
	for (unsigned i = 0; i < 4; i++) {
		acl_start(&room[i]);
		assert_int_equal(acl_put(&room[i], ACL_TAG_USER, 1000 + i, i), 0);
		assert_int_equal(acl_complete(&room[i], 0750), 0);
	}
	struct journal_op op = {.kind = JOURNAL_META,
				.type = 'd',
				.path = "/srv/app/d",
				.access = acl_of(&room[0]),
				.bequeath = acl_of(&room[1]),
				.old_access = acl_of(&room[2]),
				.old_bequeath = acl_of(&room[3]),
				.label = "u:r:t:s0",
				.old_label = "u:r:o:s0"};
	struct journal *j = begin(dir);
	fill(j);
	assert_int_equal(journal_add_op(j, &op, &err), 0);
	assert_int_equal(journal_set_state(j, JOURNAL_COMMITTED, &err), 0);
	journal_free(j);
	j = load(dir);
	assert_int_equal(journal_op_at(j, 2, &op, &err), 0);
	assert_true(op.has_acl);
	assert_true(acl_equal(op.access, acl_of(&room[0])));
	assert_true(acl_equal(op.bequeath, acl_of(&room[1])));
	assert_true(acl_equal(op.old_access, acl_of(&room[2])));
	assert_true(acl_equal(op.old_bequeath, acl_of(&room[3])));
	assert_string_equal(op.label, "u:r:t:s0");
	assert_string_equal(op.old_label, "u:r:o:s0");
	journal_free(j);
}

static void thousands_of_operations_are_read_in_any_order(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	struct journal *j = begin(dir);
	fill(j);
	for (uint32_t i = 2; i < 5000; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/srv/app/%u", i);
		struct journal_op op = {
			.kind = JOURNAL_CREATE, .type = 'f', .number = i, .path = path};
		assert_int_equal(journal_add_op(j, &op, &err), 0);
	}
	assert_int_equal(journal_set_state(j, JOURNAL_COMMITTED, &err), 0);
	journal_free(j);
	j = load(dir);
	assert_int_equal(j->n_ops, 5000);
	for (uint32_t i = 5000; i-- > 2;) {
		struct journal_op op;
		assert_int_equal(journal_op_at(j, i, &op, &err), 0);
		assert_int_equal(op.number, i);
	}
	journal_free(j);
}

#define T(name) cmocka_unit_test_setup_teardown(name, tempdir_setup, tempdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_written_is_read),
		T(every_torn_tail_is_the_state_before),
		T(a_damaged_record_ends_the_journal),
		T(a_state_after_a_torn_tail_is_found),
		T(there_is_one_journal_at_a_time),
		T(another_version_is_refused_by_number),
		T(the_previous_release_s_journal_is_read),
		T(the_acls_of_a_directory_are_read_as_written),
		T(thousands_of_operations_are_read_in_any_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
