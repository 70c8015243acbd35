// SPDX-License-Identifier: Apache-2.0
#include "control/awschunk.h"
#include "control/s3-checksum.h"
#include "control/s3-xml.h"
#include "control/s3.h"
#include "tests/unit/unit.h"

#include "common/alloc.h"
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

/* ---- signed chunks: the examples of AWS's documentation ---- */

#define DOC_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define DOC_SEED "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
#define DOC_FIRST "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
#define DOC_SECOND "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
#define DOC_LAST "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
#define DOC_TRAILER_SEED "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
#define DOC_TRAILER_FIRST "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"
#define DOC_TRAILER_SECOND "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"
#define DOC_TRAILER_LAST "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"
#define DOC_TRAILER_END "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"

static void init_chain(struct sigv4_chunks *chain, const char *seed)
{
	struct sigv4_auth auth = {.date = "20130524", .region = "us-east-1", .service = "s3"};
	strcpy(auth.signature, seed);
	sigv4_chunks_init(chain, &auth, DOC_SECRET, "20130524T000000Z");
}

static void add_as(struct buf *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf_addc(out, 'a');
}

static char *doc_body(const char *first, const char *second, const char *end)
{
	struct buf out = BUF_INIT(100000);
	buf_addf(&out, "10000;chunk-signature=%s\r\n", first);
	add_as(&out, 65536);
	buf_addf(&out, "\r\n400;chunk-signature=%s\r\n", second);
	add_as(&out, 1024);
	buf_addf(&out, "\r\n0;chunk-signature=%s", end);
	return buf_take(&out);
}

static int feed_signed(const char *text, size_t piece, const char *seed, bool trailer)
{
	struct sigv4_chunks chain;
	auto_buf struct buf out = BUF_INIT(100000);
	init_chain(&chain, seed);
	struct awschunk c = {.chain = &chain, .signed_trailer = trailer};
	int r = feed(text, piece, &c, &out);
	if (r == 0)
		assert_int_equal(c.total, 66560);
	awschunk_clear(&c);
	return r;
}

static void signed_chunks_are_verified(void **state)
{
	static const size_t pieces[] = {1, 7, 1000, 100000};
	auto_free char *text = doc_body(DOC_FIRST, DOC_SECOND, DOC_LAST "\r\n\r\n");
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		assert_int_equal(feed_signed(text, pieces[i], DOC_SEED, false), 0);
}

static void a_chunk_that_was_changed_swapped_or_not_signed_is_refused(void **state)
{
	char *bad[] = {
		doc_body(DOC_FIRST, DOC_SECOND, DOC_LAST "\r\n\r\n"),
		doc_body(DOC_SECOND, DOC_FIRST, DOC_LAST "\r\n\r\n"),
		doc_body(DOC_FIRST, DOC_SECOND, DOC_FIRST "\r\n\r\n"),
		doc_body("", DOC_SECOND, DOC_LAST "\r\n\r\n"),
		doc_body(DOC_FIRST, DOC_SECOND, DOC_LAST "\r\nx-amz-checksum-crc32:AA==\r\n\r\n"),
		xstrdup("5\r\nhello\r\n0\r\n\r\n"),
	};
	bad[0][200] = 'b';
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(feed_signed(bad[i], 999, DOC_SEED, false), ERR_SIGNATURE);
		free(bad[i]);
	}
}

static void signed_trailers_are_verified(void **state)
{
#define TRAILER "x-amz-checksum-crc32c:sOO8/Q==\r\n"
	static const struct {
		const char *end;
		int result;
	} cases[] = {
		{"\r\n" TRAILER "x-amz-trailer-signature:" DOC_TRAILER_END "\r\n\r\n", 0},
		{"\r\n" TRAILER "\r\nx-amz-trailer-signature:" DOC_TRAILER_END "\r\n\r\n", 0},
		{"\r\n" TRAILER "\r\n", ERR_SIGNATURE},
		{"\r\nx-amz-trailer-signature:" DOC_TRAILER_END "\r\n\r\n", ERR_SIGNATURE},
		{"\r\n" TRAILER "x-amz-trailer-signature:" DOC_TRAILER_LAST "\r\n\r\n",
		 ERR_SIGNATURE},
		{"\r\nx-amz-checksum-crc32c:AAAAAA==\r\nx-amz-trailer-signature:" DOC_TRAILER_END
		 "\r\n\r\n",
		 ERR_SIGNATURE},
		{"\r\n" TRAILER "x-amz-trailer-signature:" DOC_TRAILER_END
		 "\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
		 ERR_FORMAT},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *end = xasprintf("%s%s", DOC_TRAILER_LAST, cases[i].end);
		auto_free char *text = doc_body(DOC_TRAILER_FIRST, DOC_TRAILER_SECOND, end);
		assert_int_equal(feed_signed(text, 1001, DOC_TRAILER_SEED, true), cases[i].result);
	}
}

/* ---- checksums ---- */

static void checksums_are_those_of_their_catalogues(void **state)
{
	static const struct {
		const char *name, *base64;
	} cases[] = {
		{"x-amz-checksum-crc32", "y/Q5Jg=="},
		{"X-Amz-Checksum-CRC32C", "4waSgw=="},
		{"x-amz-checksum-crc64nvme", "rosUhgp5mIg="},
		{"x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="},
		{"x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= 9; cut += 3) {
			auto_s3_checksum struct s3_checksum *sum = NULL;
			assert_int_equal(s3_checksum_new(cases[i].name, &sum, NULL), 0);
			s3_checksum_update(sum, "123456789", cut);
			s3_checksum_update(sum, "123456789" + cut, 9 - cut);
			auto_free char *base64 = s3_checksum_base64(sum);
			assert_string_equal(base64, cases[i].base64);
		}
	struct s3_checksum *none = NULL;
	assert_int_equal(s3_checksum_new("x-amz-checksum-md4", &none, NULL), ERR_NOT_FOUND);
}

/* ---- XML ---- */

static int collect_element(const char *path, const char *text, void *arg, struct error *err)
{
	return buf_addf(arg, "%s=%s|", path, text);
}

static int parse(const char *text, struct buf *out)
{
	*out = BUF_INIT(100000);
	return s3_xml_parse(text, strlen(text), collect_element, out, NULL);
}

static void xml_elements_come_with_path_and_text(void **state)
{
	auto_buf struct buf out;
	assert_int_equal(
		parse("\xEF\xBB\xBF<?xml version='1.0'?>\n<!-- a > comment -->"
		      "<s:Delete xmlns:s=\"http://x/>y\"><Quiet/><Object><Key>a&amp;b&#x20;c&#65;"
		      "&lt;<![CDATA[<&]]></Key ></Object></s:Delete>\n",
		      &out),
		0);
	assert_string_equal(buf_str(&out), "Delete/Quiet=|Delete/Object/Key=a&b cA<<&|"
					   "Delete/Object=|Delete=|");
}

static void what_is_no_plain_xml_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"text",
		"<a>",
		"<a></b>",
		"<a></a></a>",
		"<a/><b/>",
		"<a/>x",
		"<a>&nbsp;</a>",
		"<a>&#0;</a>",
		"<a>&#xD800;</a>",
		"<a>&#x110000;</a>",
		"<a>&amp</a>",
		"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
		"<a",
		"<a b='></a>",
		"< a></a>",
		"<a><![CDATA[x</a>",
		"<!-- <a/>",
		"<a>\xff</a>",
		"<a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a>",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		auto_buf struct buf out;
		assert_int_equal(parse(bad[i], &out), ERR_FORMAT);
	}
}

static void xml_is_escaped(void **state)
{
	auto_buf struct buf out = BUF_INIT(1000);
	s3_xml_begin(&out, "R");
	buf_reset(&out);
	s3_xml_text(&out, "Key", "<a&\"b\">\r\x01\xC3\xA4");
	s3_xml_text(&out, "None", NULL);
	s3_xml_time(&out, "T", 0);
	assert_string_equal(buf_str(&out),
			    "<Key>&lt;a&amp;&quot;b&quot;&gt;&#xd;&#x1;\xC3\xA4</Key>"
			    "<T>1970-01-01T00:00:00.000Z</T>");
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
		cmocka_unit_test(signed_chunks_are_verified),
		cmocka_unit_test(a_chunk_that_was_changed_swapped_or_not_signed_is_refused),
		cmocka_unit_test(signed_trailers_are_verified),
		cmocka_unit_test(checksums_are_those_of_their_catalogues),
		cmocka_unit_test(xml_elements_come_with_path_and_text),
		cmocka_unit_test(what_is_no_plain_xml_is_refused),
		cmocka_unit_test(xml_is_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
