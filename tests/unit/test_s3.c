// SPDX-License-Identifier: Apache-2.0
#include "control/awschunk.h"
#include "control/s3.h"
#include "tests/unit/unit.h"

#include "common/buf.h"

#include <stdio.h>
#include <string.h>

/* ---- paths ---- */

static void a_path_is_bucket_and_key(void **state)
{
	struct s3_path path;
	assert_int_equal(s3_path_parse("/bundles/a/b%20c+d.tgz", &path, NULL), 0);
	assert_string_equal(path.bucket, "bundles");
	assert_string_equal(path.key, "a/b c+d.tgz");
}

static void a_bucket_alone_has_an_empty_key(void **state)
{
	struct s3_path path;
	assert_int_equal(s3_path_parse("/bundles", &path, NULL), 0);
	assert_string_equal(path.key, "");
	assert_int_equal(s3_path_parse("/bundles/", &path, NULL), 0);
	assert_string_equal(path.key, "");
}

static void bad_buckets_and_keys_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"/ab/x",
		"/Bundles/x",
		"/-ab/x",
		"/bundles/%zz",
		"/bundles/%",
		"/bundles/%4",
		"/b%2Fcd/x",
		"/bundles/%00",
		"/bundles/%ff",
	};
	struct s3_path path;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(s3_path_parse(bad[i], &path, NULL), ERR_INPUT);
}

static void a_key_of_1024_bytes_fits_and_one_more_does_not(void **state)
{
	struct s3_path path;
	char text[S3_KEY_MAX + 16] = "/bundles/";
	size_t prefix = strlen(text);
	memset(text + prefix, 'x', S3_KEY_MAX);
	text[prefix + S3_KEY_MAX] = '\0';
	assert_int_equal(s3_path_parse(text, &path, NULL), 0);
	assert_int_equal(strlen(path.key), S3_KEY_MAX);
	strcat(text, "x");
	assert_int_equal(s3_path_parse(text, &path, NULL), ERR_INPUT);
}

/* ---- ranges ---- */

static void check_range(const char *text, uint64_t size, int result, uint64_t offset, uint64_t len)
{
	uint64_t got_offset = 77, got_len = 77;
	assert_int_equal(s3_range_parse(text, size, &got_offset, &got_len), result);
	if (result == 1) {
		assert_int_equal(got_offset, offset);
		assert_int_equal(got_len, len);
	}
}

static void ranges_are_cut_at_the_objects_end(void **state)
{
	check_range("bytes=0-0", 10, 1, 0, 1);
	check_range("bytes=3-", 10, 1, 3, 7);
	check_range("bytes=3-5", 10, 1, 3, 3);
	check_range("bytes=3-500", 10, 1, 3, 7);
	check_range("bytes=-4", 10, 1, 6, 4);
	check_range("bytes=-40", 10, 1, 0, 10);
	check_range("bytes=3000000000-3000000001", 4000000000, 1, 3000000000, 2);
	check_range("bytes=18446744073709551614-18446744073709551615", 10, ERR_INPUT, 0, 0);
	check_range("bytes=1-18446744073709551615", 10, 1, 1, 9);
}

static void ranges_outside_the_object_cannot_be_satisfied(void **state)
{
	check_range("bytes=10-", 10, ERR_INPUT, 0, 0);
	check_range("bytes=0-", 0, ERR_INPUT, 0, 0);
	check_range("bytes=-0", 10, ERR_INPUT, 0, 0);
	check_range("bytes=-1", 0, ERR_INPUT, 0, 0);
}

static void what_is_no_single_range_means_the_whole_object(void **state)
{
	check_range(NULL, 10, 0, 0, 0);
	check_range("lines=1-2", 10, 0, 0, 0);
	check_range("bytes=1-2,4-5", 10, 0, 0, 0);
	check_range("bytes=5-3", 10, 0, 0, 0);
	check_range("bytes=a-b", 10, 0, 0, 0);
	check_range("bytes=", 10, 0, 0, 0);
	check_range("bytes=99999999999999999999-", 10, 0, 0, 0);
}

static void base64_is_padded(void **state)
{
	static const char *const pairs[][2] = {
		{"", ""},
		{"66", "Zg=="},
		{"666f", "Zm8="},
		{"666f6f", "Zm9v"},
		{"666f6f62", "Zm9vYg=="},
		{"d41d8cd98f00b204e9800998ecf8427e", "1B2M2Y8AsgTpgAmY7PhCfg=="},
	};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		auto_free char *got = s3_base64_of_hex(pairs[i][0]);
		assert_string_equal(got, pairs[i][1]);
	}
}

/* ---- aws-chunked ---- */

static int collect(const char *data, size_t len, void *arg, struct error *err)
{
	return buf_add(arg, data, len);
}

/* Feed text in pieces of the given size; returns what the first failing call returned. */
static int feed(const char *text, size_t piece, struct awschunk *c, struct buf *out)
{
	for (size_t i = 0, n; text[i]; i += n) {
		n = strnlen(text + i, piece);
		int r = awschunk_feed(c, text + i, n, collect, out, NULL);
		if (r < 0)
			return r;
	}
	return awschunk_end(c, NULL);
}

static void chunks_are_joined_however_they_are_cut(void **state)
{
	static const char text[] = "5;chunk-signature=abc\r\nhello\r\nb\r\n worldwide\n\r\n0\r\n"
				   "x-amz-checksum-crc32: AAAAAA==\r\n\r\n";
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		struct awschunk c = {0};
		auto_buf struct buf out = BUF_INIT(100);
		assert_int_equal(feed(text, piece, &c, &out), 0);
		assert_string_equal(buf_str(&out), "hello worldwide\n");
		assert_int_equal(c.total, 16);
		assert_string_equal(c.trailer_name, "x-amz-checksum-crc32");
		assert_string_equal(c.trailer_value, "AAAAAA==");
	}
}

static void a_body_that_is_cut_off_is_noticed(void **state)
{
	static const char *const cut[] = {"",
					  "5",
					  "5\r\nhel",
					  "5\r\nhello",
					  "5\r\nhello\r\n",
					  "5\r\nhello\r\n0",
					  "0\r\nx-amz-checksum"};
	for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
		struct awschunk c = {0};
		auto_buf struct buf out = BUF_INIT(100);
		assert_int_equal(feed(cut[i], 3, &c, &out), ERR_FORMAT);
	}
}

static void what_is_no_frame_is_refused(void **state)
{
	static const char *const bad[] = {
		"x\r\n",
		"-1\r\n",
		"5 \r\nhello\r\n",
		"5\r\nhellooo\r\n",
		"\r\n",
		"ffffffffffffffff\r\n",
		"0\r\nno colon\r\n",
		"0\r\n\r\nmore\r\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct awschunk c = {0};
		auto_buf struct buf out = BUF_INIT(100);
		assert_int_equal(feed(bad[i], 100, &c, &out), ERR_FORMAT);
	}
}

static void a_line_without_end_is_refused(void **state)
{
	char text[2 * AWSCHUNK_LINE_MAX];
	memset(text, '1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	struct awschunk c = {0};
	auto_buf struct buf out = BUF_INIT(100);
	assert_int_equal(feed(text, 7, &c, &out), ERR_FORMAT);
}

static void the_sinks_error_comes_back(void **state)
{
	struct awschunk c = {0};
	auto_buf struct buf out = BUF_INIT(3);
	assert_int_equal(feed("5\r\nhello\r\n0\r\n\r\n", 100, &c, &out), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_is_bucket_and_key),
		cmocka_unit_test(a_bucket_alone_has_an_empty_key),
		cmocka_unit_test(bad_buckets_and_keys_are_refused),
		cmocka_unit_test(a_key_of_1024_bytes_fits_and_one_more_does_not),
		cmocka_unit_test(ranges_are_cut_at_the_objects_end),
		cmocka_unit_test(ranges_outside_the_object_cannot_be_satisfied),
		cmocka_unit_test(what_is_no_single_range_means_the_whole_object),
		cmocka_unit_test(base64_is_padded),
		cmocka_unit_test(chunks_are_joined_however_they_are_cut),
		cmocka_unit_test(a_body_that_is_cut_off_is_noticed),
		cmocka_unit_test(what_is_no_frame_is_refused),
		cmocka_unit_test(a_line_without_end_is_refused),
		cmocka_unit_test(the_sinks_error_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
