// SPDX-License-Identifier: Apache-2.0
#include "common/alloc.h"
#include "common/buf.h"
#include "tests/unit/tempdir.h"

static void what_is_appended_comes_out_in_order(void **state)
{
	auto_buf struct buf b = BUF_INIT(100);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_adds(&b, "one "), 0);
	assert_int_equal(buf_addc(&b, '2'), 0);
	assert_int_equal(buf_addf(&b, " %s %d", "three", 4), 0);
	assert_string_equal(buf_str(&b), "one 2 three 4");
	assert_int_equal(b.len, 13);
}

static void the_ceiling_is_reached_but_not_passed(void **state)
{
	auto_buf struct buf b = BUF_INIT(4);
	assert_int_equal(buf_adds(&b, "1234"), 0);
	assert_int_equal(buf_addc(&b, '5'), -EFBIG);
	assert_string_equal(buf_str(&b), "1234");
}

static void a_failure_sticks_until_the_buffer_is_reset(void **state)
{
	struct error err = {0};
	auto_buf struct buf b = BUF_INIT(4);
	assert_int_equal(buf_adds(&b, "12345"), -EFBIG);
	assert_int_equal(buf_adds(&b, "1"), -EFBIG);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_check(&b, "the note", &err), -EFBIG);
	assert_string_equal(err.text, "the note is larger than 4 bytes");
	buf_reset(&b);
	assert_int_equal(buf_adds(&b, "1"), 0);
	assert_int_equal(buf_check(&b, "the note", &err), 0);
}

static void a_failed_buffer_hands_on_nothing(void **state)
{
	struct buf b = BUF_INIT(1);
	assert_int_equal(buf_adds(&b, "12"), -EFBIG);
	assert_null(buf_take(&b));
}

static void an_empty_buffer_hands_on_an_empty_string(void **state)
{
	struct buf b = BUF_INIT(1);
	auto_free char *s = buf_take(&b);
	assert_string_equal(s, "");
}

static void the_first_bytes_can_be_dropped(void **state)
{
	auto_buf struct buf b = BUF_INIT(100);
	buf_adds(&b, "header body");
	buf_consume(&b, 7);
	assert_string_equal(buf_str(&b), "body");
	buf_consume(&b, 100);
	assert_string_equal(buf_str(&b), "");
}

static void a_file_is_read_to_its_end(void **state)
{
	struct tempdir *dir = *state;
	auto_free char *big = xcalloc(1, 200001);
	memset(big, 'x', 200000);
	tempdir_write(dir, "big", big);
	auto_close int fd = openat(dir->fd, "big", O_RDONLY | O_CLOEXEC);
	auto_buf struct buf b = BUF_INIT(200000);
	assert_int_equal(buf_read_fd(&b, fd), 0);
	assert_int_equal(b.len, 200000);
	assert_string_equal(buf_str(&b), big);
}

static void a_file_above_the_ceiling_is_refused(void **state)
{
	struct tempdir *dir = *state;
	tempdir_write(dir, "five", "12345");
	auto_close int fd = openat(dir->fd, "five", O_RDONLY | O_CLOEXEC);
	auto_buf struct buf b = BUF_INIT(4);
	assert_int_equal(buf_read_fd(&b, fd), -EFBIG);
}

static void reading_a_directory_fails_with_its_errno(void **state)
{
	struct tempdir *dir = *state;
	auto_buf struct buf b = BUF_INIT(4);
	assert_int_equal(buf_read_fd(&b, dir->fd), -EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_appended_comes_out_in_order),
		cmocka_unit_test(the_ceiling_is_reached_but_not_passed),
		cmocka_unit_test(a_failure_sticks_until_the_buffer_is_reset),
		cmocka_unit_test(a_failed_buffer_hands_on_nothing),
		cmocka_unit_test(an_empty_buffer_hands_on_an_empty_string),
		cmocka_unit_test(the_first_bytes_can_be_dropped),
		tempdir_test(a_file_is_read_to_its_end),
		tempdir_test(a_file_above_the_ceiling_is_refused),
		tempdir_test(reading_a_directory_fails_with_its_errno),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
