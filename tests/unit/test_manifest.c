// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/manifest.h"
#include "tests/unit/stream.h"
#include "tests/unit/tempdir.h"

#include <limits.h>
#include <string.h>

static void write_entries(struct tempdir *dir, unsigned count)
{
	struct error err = {0};
	auto_manifest_writer struct manifest_writer w = {.file = RECORD_FILE_INIT};
	assert_int_equal(manifest_create(&w, dir->fd, MANIFEST, &err), 0);
	for (unsigned i = 0; i < count; i++) {
		char path[300];
		snprintf(path, sizeof(path), "/opt/%0*u", (int)(i % 200) + 1, i);
		struct manifest_entry e = {.type = "fdl"[i % 3],
					   .root = i % 2 ? i : MANIFEST_NO_ROOT,
					   .mode = 0640,
					   .uid = 7,
					   .gid = 8,
					   .ino = UINT64_C(1) << 40 | i,
					   .size = (UINT64_C(5) << 30) + i,
					   .mtime_s = -2,
					   .mtime_ns = 999999999,
					   .path = path};
		assert_int_equal(manifest_add(&w, &e, &err), 0);
	}
	assert_int_equal(manifest_finish(&w, &err), 0);
}

static void entries_are_found_by_path_and_by_number(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_manifest struct manifest m = MANIFEST_INIT;
	struct manifest_entry e;
	write_entries(dir, 10000);
	assert_int_equal(manifest_load(&m, dir->fd, MANIFEST, &err), 0);
	assert_int_equal(m.count, 10000);
	for (unsigned i = 10000; i-- > 0;) {
		char path[300];
		snprintf(path, sizeof(path), "/opt/%0*u", (int)(i % 200) + 1, i);
		assert_int_equal(manifest_at(&m, i, &e, &err), 0);
		assert_string_equal(e.path, path);
		assert_int_equal(manifest_find(&m, path, &e, &err), 1);
		assert_int_equal(e.type, "fdl"[i % 3]);
		assert_true(e.size == (UINT64_C(5) << 30) + i);
		assert_true(e.mtime_s == -2);
	}
	assert_int_equal(manifest_find(&m, "/opt/none", &e, &err), 0);
}

static void a_missing_manifest_is_empty(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_manifest struct manifest m = MANIFEST_INIT;
	struct manifest_entry e;
	assert_int_equal(manifest_load(&m, dir->fd, MANIFEST, &err), 0);
	assert_int_equal(m.count, 0);
	assert_int_equal(manifest_find(&m, "/", &e, &err), 0);
	assert_int_equal(manifest_stream(dir->fd, MANIFEST, NULL, NULL, &err), -ENOENT);
}

static void a_manifest_that_is_cut_off_is_an_error(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	write_entries(dir, 3);
	struct stat st;
	assert_int_equal(fstatat(dir->fd, MANIFEST, &st, 0), 0);
	auto_close int fd = openat(dir->fd, MANIFEST, O_WRONLY | O_CLOEXEC);
	for (off_t size = st.st_size - 1; size >= 0; size--) {
		auto_manifest struct manifest m = MANIFEST_INIT;
		assert_int_equal(ftruncate(fd, size), 0);
		assert_int_equal(manifest_load(&m, dir->fd, MANIFEST, &err), ERR_FORMAT);
	}
}

/* Field by field, as version 1 had them. */
static void the_previous_release_s_manifest_is_read(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_manifest_writer struct manifest_writer w = {.file = RECORD_FILE_INIT};
	assert_int_equal(manifest_create(&w, dir->fd, MANIFEST, &err), 0);
	record_start(&w.out, 1);
	record_put_u8(&w.out, 'f');
	record_put_u32(&w.out, MANIFEST_NO_ROOT);
	record_put_u32(&w.out, 0640);
	record_put_u32(&w.out, 7);
	record_put_u32(&w.out, 8);
	record_put_u64(&w.out, 99);
	record_put_u64(&w.out, 5);
	record_put_u64(&w.out, 1700000000);
	record_put_u32(&w.out, 3);
	record_put_text(&w.out, "/opt/f");
	assert_int_equal(record_append(&w.file, &w.out, NULL, &err), 0);
	w.count = 1;
	assert_int_equal(manifest_finish(&w, &err), 0);
	stream_set_version(dir->fd, MANIFEST, 'M', 1);

	auto_manifest struct manifest m = MANIFEST_INIT;
	struct manifest_entry e;
	assert_int_equal(manifest_load(&m, dir->fd, MANIFEST, &err), 0);
	assert_int_equal(manifest_find(&m, "/opt/f", &e, &err), 1);
	assert_int_equal(e.mode, 0640);
	assert_true(e.mtime_s == 1700000000);
	assert_false(e.has_acl);
	assert_int_equal(e.access.len, 0);
	assert_string_equal(e.label, "");
}

static void acls_and_labels_are_read_as_written(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_manifest_writer struct manifest_writer w = {.file = RECORD_FILE_INIT};
	struct acl_room access, bequeath;
	acl_start(&access);
	acl_start(&bequeath);
	assert_int_equal(acl_put(&access, ACL_TAG_GROUP, 77, 5), 0);
	assert_int_equal(acl_complete(&access, 0700), 0);
	assert_int_equal(acl_complete(&bequeath, 0750), 0);
	struct manifest_entry e = {.type = 'd',
				   .path = "/opt/d",
				   .access = acl_of(&access),
				   .bequeath = acl_of(&bequeath),
				   .label = "system_u:object_r:etc_t:s0"};
	assert_int_equal(manifest_create(&w, dir->fd, MANIFEST, &err), 0);
	assert_int_equal(manifest_add(&w, &e, &err), 0);
	assert_int_equal(manifest_finish(&w, &err), 0);
	auto_manifest struct manifest m = MANIFEST_INIT;
	assert_int_equal(manifest_load(&m, dir->fd, MANIFEST, &err), 0);
	assert_int_equal(manifest_find(&m, "/opt/d", &e, &err), 1);
	assert_true(e.has_acl);
	assert_true(acl_equal(e.access, acl_of(&access)));
	assert_true(acl_equal(e.bequeath, acl_of(&bequeath)));
	assert_string_equal(e.label, "system_u:object_r:etc_t:s0");
}

static int stop_at_second(const struct manifest_entry *e, void *arg, struct error *err)
{
	(void)e;
	(void)err;
	return ++*(int *)arg == 2 ? -EINTR : 0;
}

static void a_stream_can_be_stopped(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	int seen = 0;
	write_entries(dir, 5);
	assert_int_equal(manifest_stream(dir->fd, MANIFEST, stop_at_second, &seen, &err), -EINTR);
	assert_int_equal(seen, 2);
}

static void paths_that_climb_or_are_not_absolute_are_damage(void **state)
{
	struct tempdir *dir = *state;
	static char longest[PATH_MAX + 1];
	memset(longest, 'x', PATH_MAX);
	longest[0] = '/';
	const char *const paths[] = {"",     "/",     "a",     "/a/",  "/a//b", "//a",
				     "/a/.", "/a/..", "/../a", "/./a", longest};
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct error err = {0};
		auto_manifest struct manifest m = MANIFEST_INIT;
		auto_manifest_writer struct manifest_writer w = {.file = RECORD_FILE_INIT};
		struct manifest_entry e = {.type = 'f', .path = paths[i]};
		assert_int_equal(manifest_create(&w, dir->fd, MANIFEST, &err), 0);
		assert_int_equal(manifest_add(&w, &e, &err), 0);
		assert_int_equal(manifest_finish(&w, &err), 0);
		assert_int_equal(manifest_load(&m, dir->fd, MANIFEST, &err), ERR_FORMAT);
	}
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	static char path[RECORD_MAX + 10];
	memset(path, '/', sizeof(path) - 1);
	auto_manifest_writer struct manifest_writer w = {.file = RECORD_FILE_INIT};
	struct manifest_entry e = {.type = 'f', .path = path};
	assert_int_equal(manifest_create(&w, dir->fd, MANIFEST, &err), 0);
	assert_int_equal(manifest_add(&w, &e, &err), ERR_LIMIT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, tempdir_setup, tempdir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(entries_are_found_by_path_and_by_number),
		T(a_missing_manifest_is_empty),
		T(a_manifest_that_is_cut_off_is_an_error),
		T(the_previous_release_s_manifest_is_read),
		T(acls_and_labels_are_read_as_written),
		T(a_stream_can_be_stopped),
		T(paths_that_climb_or_are_not_absolute_are_damage),
		T(a_path_that_is_too_long_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
