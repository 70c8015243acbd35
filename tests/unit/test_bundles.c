// SPDX-License-Identifier: Apache-2.0
#include "control/bundles.h"
#include "tests/unit/tempdir.h"

#include <stdio.h>
#include <sys/stat.h>

struct fixture {
	struct loop loop;
	struct bundles *bundles;
	int result;
	unsigned done;
	struct error err;
};

#define OK(call) assert_int_equal((call), 0)

static void start(struct fixture *f, const struct tempdir *dir)
{
	*f = (struct fixture){0};
	if (loop_init(&f->loop, &f->err) < 0 ||
	    bundles_open(dir->fd, &f->loop, &f->bundles, &f->err) < 0)
		fail_msg("%s", f->err.text);
}

static void end(struct fixture *f)
{
	bundles_close(f->bundles);
	loop_clear(&f->loop);
}

static void on_done(int result, const struct error *error, void *arg)
{
	struct fixture *f = arg;
	f->result = result;
	f->done++;
}

static struct bundle_upload *begin(struct fixture *f, uint64_t max)
{
	struct bundle_upload *upload = NULL;
	if (bundle_upload_new(f->bundles, max, &upload, &f->err) < 0)
		fail_msg("%s", f->err.text);
	return upload;
}

/* Run the loop until so many uploads were stored. */
static void wait_for(struct fixture *f, unsigned count)
{
	while (f->done < count)
		assert_true(sd_event_run(f->loop.event, 20 * 1000000ULL) > 0);
}

static void store(struct fixture *f, struct bundle_upload *upload)
{
	f->done = 0;
	bundle_upload_store(upload, on_done, f);
	wait_for(f, 1);
	OK(f->result);
}

static unsigned count_files(const struct tempdir *dir, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", dir->path, name);
	auto_closedir DIR *d = opendir(path);
	unsigned n = 0;
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	return n;
}

static void an_upload_is_found_by_its_hash(void **state)
{
	const struct tempdir *dir = *state;
	struct fixture f;
	start(&f, dir);
	struct bundle_upload *upload = begin(&f, 100);
	struct bundle_digest digest;
	OK(bundle_upload_write(upload, "hel", 3, &f.err));
	OK(bundle_upload_write(upload, "lo", 2, &f.err));
	OK(bundle_upload_end(upload, &digest, &f.err));
	assert_string_equal(digest.sha256,
			    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
	assert_string_equal(digest.md5, "5d41402abc4b2a76b9719d911017c592");
	assert_int_equal(digest.crc32, 0x3610a686);
	assert_int_equal(digest.size, 5);
	store(&f, upload);

	auto_close int fd = bundles_fd(f.bundles, digest.sha256, &f.err);
	char text[8] = "";
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	assert_int_equal(count_files(dir, "bundles/tmp"), 0);
	end(&f);
}

static void the_same_content_twice_is_one_file(void **state)
{
	const struct tempdir *dir = *state;
	struct fixture f;
	start(&f, dir);
	struct bundle_digest digest;
	for (int i = 0; i < 2; i++) {
		struct bundle_upload *upload = begin(&f, 100);
		OK(bundle_upload_write(upload, "x", 1, &f.err));
		OK(bundle_upload_end(upload, &digest, &f.err));
		store(&f, upload);
	}
	assert_int_equal(count_files(dir, "bundles/sha256"), 1);
	end(&f);
}

static void more_than_the_ceiling_is_refused(void **state)
{
	struct fixture f;
	start(&f, *state);
	struct bundle_upload *upload = begin(&f, 4);
	OK(bundle_upload_write(upload, "1234", 4, &f.err));
	assert_int_equal(bundle_upload_write(upload, "5", 1, &f.err), ERR_LIMIT);
	bundle_upload_cancel(upload);
	assert_int_equal(count_files(*state, "bundles/tmp"), 0);
	end(&f);
}

static void zeros_take_no_room_and_come_back(void **state)
{
	struct fixture f;
	start(&f, *state);
	struct bundle_upload *upload = begin(&f, 1 << 24);
	struct bundle_digest digest;
	auto_free char *zeros = xcalloc(1, 1 << 20);
	for (int i = 0; i < 4; i++)
		OK(bundle_upload_write(upload, zeros, 1 << 20, &f.err));
	OK(bundle_upload_end(upload, &digest, &f.err));
	store(&f, upload);
	auto_close int fd = bundles_fd(f.bundles, digest.sha256, &f.err);
	struct stat st;
	OK(fstat(fd, &st));
	assert_int_equal(st.st_size, 4 << 20);
	assert_true(st.st_blocks * 512 < 1 << 20);
	end(&f);
}

static void what_was_cancelled_is_not_told(void **state)
{
	struct fixture f;
	start(&f, *state);
	struct bundle_upload *first = begin(&f, 100), *second = begin(&f, 100);
	struct bundle_digest digest;
	OK(bundle_upload_write(first, "1", 1, &f.err));
	OK(bundle_upload_end(first, &digest, &f.err));
	OK(bundle_upload_write(second, "2", 1, &f.err));
	OK(bundle_upload_end(second, &digest, &f.err));
	bundle_upload_store(first, on_done, &f);
	bundle_upload_cancel(first);
	store(&f, second);
	assert_int_equal(f.done, 1);
	end(&f);
}

static void many_are_stored_at_once(void **state)
{
	struct fixture f;
	start(&f, *state);
	for (unsigned i = 0; i < 50; i++) {
		struct bundle_upload *upload = begin(&f, 100);
		struct bundle_digest digest;
		OK(bundle_upload_write(upload, &i, sizeof(i), &f.err));
		OK(bundle_upload_end(upload, &digest, &f.err));
		bundle_upload_store(upload, on_done, &f);
	}
	wait_for(&f, 50);
	assert_int_equal(count_files(*state, "bundles/tmp"), 0);
	end(&f);
}

static void rests_of_uploads_are_removed_at_the_start(void **state)
{
	const struct tempdir *dir = *state;
	struct fixture f;
	start(&f, dir);
	end(&f);
	tempdir_write(dir, "bundles/tmp/rest", "x");
	start(&f, dir);
	assert_int_equal(count_files(dir, "bundles/tmp"), 0);
	end(&f);
}

static void closing_with_work_to_do_is_clean(void **state)
{
	struct fixture f;
	start(&f, *state);
	for (int i = 0; i < 10; i++) {
		struct bundle_digest digest;
		struct bundle_upload *upload = begin(&f, 100);
		OK(bundle_upload_end(upload, &digest, &f.err));
		bundle_upload_store(upload, on_done, &f);
	}
	end(&f);
	assert_int_equal(f.done, 0);
	assert_int_equal(count_files(*state, "bundles/tmp"), 0);
}

static void what_is_not_there_is_said(void **state)
{
	static const char *const names[] = {
		"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "x", "",
		"../../../../../../../../../../../../../../../../../../etc/passwd"};
	struct fixture f;
	start(&f, *state);
	assert_int_equal(bundles_fd(f.bundles, names[0], &f.err), ERR_NOT_FOUND);
	for (size_t i = 1; i < ARRAY_LEN(names); i++)
		assert_true(bundles_fd(f.bundles, names[i], &f.err) < 0);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(an_upload_is_found_by_its_hash),
		tempdir_test(the_same_content_twice_is_one_file),
		tempdir_test(more_than_the_ceiling_is_refused),
		tempdir_test(zeros_take_no_room_and_come_back),
		tempdir_test(what_was_cancelled_is_not_told),
		tempdir_test(many_are_stored_at_once),
		tempdir_test(rests_of_uploads_are_removed_at_the_start),
		tempdir_test(closing_with_work_to_do_is_clean),
		tempdir_test(what_is_not_there_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
