// SPDX-License-Identifier: Apache-2.0
#include "control/bundles.h"
#include "tests/unit/tempdir.h"

#include "common/digest.h"

#include <stdio.h>
#include <sys/stat.h>

struct fixture {
	struct loop loop;
	struct bundles *bundles;
	int result;
	unsigned done;
	struct error err;
};

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
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

static void what_was_cancelled_leaves_nothing(void **state)
{
	struct fixture f;
	start(&f, *state);
	struct bundle_upload *upload = begin(&f, 100);
	OK(bundle_upload_write(upload, "1", 1, &f.err));
	bundle_upload_cancel(upload);
	bundle_upload_cancel(NULL);
	assert_int_equal(count_files(*state, "bundles/tmp"), 0);
	end(&f);
}

static void a_removed_content_is_gone_but_not_while_it_is_stored(void **state)
{
	struct fixture f;
	start(&f, *state);
	struct bundle_upload *upload = begin(&f, 100);
	struct bundle_digest digest;
	OK(bundle_upload_write(upload, "1", 1, &f.err));
	OK(bundle_upload_end(upload, &digest, &f.err));
	bundle_upload_store(upload, on_done, &f);
	assert_int_equal(bundles_remove(f.bundles, digest.sha256, &f.err), ERR_BUSY);
	wait_for(&f, 1);
	OK(bundles_remove(f.bundles, digest.sha256, &f.err));
	OK(bundles_remove(f.bundles, digest.sha256, &f.err));
	assert_int_equal(bundles_fd(f.bundles, digest.sha256, &f.err), ERR_NOT_FOUND);
	assert_int_equal(bundles_remove(f.bundles, "../control.db", &f.err), ERR_FORMAT);
	end(&f);
}

/* ---- parts ---- */

static void keep(struct fixture *f, const void *data, size_t len, char file[BUNDLE_NAME_LEN + 1])
{
	struct bundle_upload *upload = begin(f, 1 << 24);
	struct bundle_digest digest;
	OK(bundle_upload_write(upload, data, len, &f->err));
	OK(bundle_upload_end(upload, &digest, &f->err));
	f->done = 0;
	bundle_upload_keep(upload, file, on_done, f);
	wait_for(f, 1);
	OK(f->result);
}

struct joined {
	struct fixture *f;
	struct bundle_digest digest;
	size_t seen;
};

static void on_bytes(void *arg, const void *data, size_t len)
{
	((struct joined *)arg)->seen += len;
}

static void on_joined(int result, const struct bundle_digest *digest, const struct error *error,
		      void *arg)
{
	struct joined *joined = arg;
	joined->digest = *digest;
	on_done(result, error, joined->f);
}

static int join_files(struct fixture *f, const char *const *files, size_t count,
		      struct joined *joined)
{
	*joined = (struct joined){.f = f};
	struct bundle_join join = {.files = files,
				   .count = count,
				   .piece = on_bytes,
				   .done = on_joined,
				   .arg = joined};
	f->done = 0;
	bundles_join(f->bundles, &join);
	assert_int_equal(bundles_remove(f->bundles, EMPTY_SHA256, &f->err), ERR_BUSY);
	wait_for(f, 1);
	return f->result;
}

static void parts_are_joined_in_their_order(void **state)
{
	struct fixture f;
	start(&f, *state);
	char first[BUNDLE_NAME_LEN + 1], second[BUNDLE_NAME_LEN + 1];
	const size_t big = 600001; /* no whole blocks */
	auto_free char *zeros = xcalloc(1, big);
	keep(&f, zeros, big, first);
	keep(&f, "tail", 4, second);
	assert_int_equal(count_files(*state, "bundles/parts"), 2);

	const char *const files[] = {second, first, second};
	struct joined joined;
	OK(join_files(&f, files, 3, &joined));
	assert_int_equal(joined.digest.size, big + 8);
	assert_int_equal(joined.seen, big + 8);
	auto_close int fd = bundles_fd(f.bundles, joined.digest.sha256, &f.err);
	char sha256[DIGEST_SHA256_HEX], text[5] = "";
	OK(digest_sha256_fd(fd, sha256, NULL, &f.err));
	assert_string_equal(sha256, joined.digest.sha256);
	assert_int_equal(pread(fd, text, 4, (off_t)big + 4), 4);
	assert_string_equal(text, "tail");
	assert_int_equal(count_files(*state, "bundles/parts"), 2);
	assert_int_equal(count_files(*state, "bundles/tmp"), 0);
	end(&f);
}

static void copy(struct fixture *f, struct bundle_range from, struct bundle_digest *digest,
		 char file[BUNDLE_NAME_LEN + 1])
{
	f->done = 0;
	bundle_upload_copy(begin(f, 1 << 24), &from, digest, file, on_done, f);
	wait_for(f, 1);
}

static void bytes_of_a_content_become_a_part(void **state)
{
	struct fixture f;
	start(&f, *state);
	char file[BUNDLE_NAME_LEN + 1], text[8] = "";
	struct bundle_digest digest;
	struct bundle_upload *upload = begin(&f, 1 << 24);
	OK(bundle_upload_write(upload, "0123456789", 10, &f.err));
	OK(bundle_upload_end(upload, &digest, &f.err));
	store(&f, upload);

	char sha256[DIGEST_SHA256_HEX];
	memcpy(sha256, digest.sha256, sizeof(sha256));
	struct bundle_range from = {bundles_fd(f.bundles, sha256, &f.err), 3, 4};
	copy(&f, from, &digest, file);
	OK(f.result);
	assert_int_equal(digest.size, 4);
	assert_string_equal(digest.md5, "def7924e3199be5e18060bb3e1d547a7");
	auto_close int parts = openat(((struct tempdir *)*state)->fd, "bundles/parts", O_RDONLY);
	auto_close int fd = openat(parts, file, O_RDONLY);
	assert_int_equal(pread(fd, text, sizeof(text), 0), 4);
	assert_string_equal(text, "3456");

	/* the file is shorter than it was said to be: nothing stays */
	from = (struct bundle_range){bundles_fd(f.bundles, sha256, &f.err), 8, 4};
	copy(&f, from, &digest, file);
	assert_int_equal(f.result, ERR_FORMAT);
	assert_int_equal(count_files(*state, "bundles/parts"), 1);
	assert_int_equal(count_files(*state, "bundles/tmp"), 0);
	end(&f);
}

static void a_part_that_is_missing_ends_the_join(void **state)
{
	struct fixture f;
	start(&f, *state);
	char file[BUNDLE_NAME_LEN + 1];
	keep(&f, "1", 1, file);
	const char *const files[] = {file, "AAAAAAAAAAAAAAAAAAAAAAAA"};
	struct joined joined;
	assert_int_equal(join_files(&f, files, 2, &joined), -ENOENT);
	assert_int_equal(count_files(*state, "bundles/tmp"), 0);
	end(&f);
}

static int count_part(const char *file, void *arg)
{
	(*(unsigned *)arg)++;
	return 0;
}

static void parts_outlive_a_restart_and_can_be_removed(void **state)
{
	struct fixture f;
	char file[BUNDLE_NAME_LEN + 1];
	unsigned parts = 0;
	start(&f, *state);
	keep(&f, "1", 1, file);
	end(&f);
	start(&f, *state);
	OK(bundles_each_part(f.bundles, count_part, &parts, &f.err));
	assert_int_equal(parts, 1);
	OK(bundles_remove(f.bundles, file, &f.err));
	OK(bundles_remove(f.bundles, file, &f.err));
	assert_int_equal(count_files(*state, "bundles/parts"), 0);
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
	assert_int_equal(f.done, 10);
	assert_int_equal(f.result, -ECANCELED);
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
		tempdir_test(what_was_cancelled_leaves_nothing),
		tempdir_test(a_removed_content_is_gone_but_not_while_it_is_stored),
		tempdir_test(parts_are_joined_in_their_order),
		tempdir_test(bytes_of_a_content_become_a_part),
		tempdir_test(a_part_that_is_missing_ends_the_join),
		tempdir_test(parts_outlive_a_restart_and_can_be_removed),
		tempdir_test(many_are_stored_at_once),
		tempdir_test(rests_of_uploads_are_removed_at_the_start),
		tempdir_test(closing_with_work_to_do_is_clean),
		tempdir_test(what_is_not_there_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
