// SPDX-License-Identifier: Apache-2.0
#include "agent/fetch/answer.h"
#include "agent/fetch/sign.h"
#include "agent/fetch/source.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "tests/unit/unit.h"

#include <string.h>

static void what_a_person_types_is_a_source(void **state)
{
	static const struct {
		const char *text;
		enum fetch_kind kind;
		const char *name, *type, *version, *etag, *sha256;
	} cases[] = {
		{"s3://b/app/x.tgz", FETCH_S3, "s3://b/app/x.tgz", "tgz", NULL, NULL, NULL},
		{"s3://b/x.zip?versionId=v1&etag=\"ab\"", FETCH_S3, "s3://b/x.zip", "zip", "v1",
		 "\"ab\"", NULL},
		{"s3://b/what?.tar", FETCH_S3, "s3://b/what?.tar", "tar", NULL, NULL, NULL},
		{"github:o/r@v1.2/x", FETCH_GITHUB, "github:o/r@v1.2/x", "tar", NULL, NULL, NULL},
		{"github:o/r", FETCH_GITHUB, "github:o/r@HEAD", "tar", NULL, NULL, NULL},
		{"https://github.com/o/r.git", FETCH_GITHUB, "github:o/r@HEAD", "tar", NULL, NULL,
		 NULL},
		{"https://github.com/o/r/tree/a/b", FETCH_GITHUB, "github:o/r@a/b", "tar", NULL,
		 NULL, NULL},
		{"https://github.com/o/r/archive/refs/tags/v1.tar.gz", FETCH_GITHUB,
		 "github:o/r@refs/tags/v1", "tar", NULL, NULL, NULL},
		{"https://github.com/o/r/releases/download/v1/x.tgz", FETCH_HTTPS,
		 "https://github.com/o/r/releases/download/v1/x.tgz", "tgz", NULL, NULL, NULL},
		{"https://h:1/x.tar.zst?sig=secret", FETCH_HTTPS, "https://h:1/x.tar.zst",
		 "tar.zst", NULL, NULL, NULL},
		{"https://h/x.tgz#sha256="
		 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		 FETCH_HTTPS, "https://h/x.tgz", "tgz", NULL, NULL,
		 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_fetch_source struct fetch_source s = {0};
		struct error err = {0};
		if (fetch_source_parse(cases[i].text, NULL, &s, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_int_equal(s.kind, cases[i].kind);
		assert_string_equal(s.name, cases[i].name);
		assert_string_equal(s.type, cases[i].type);
		assert_true(str_eq(s.version, cases[i].version));
		assert_true(str_eq(s.etag, cases[i].etag));
		assert_true(str_eq(s.sha256, cases[i].sha256));
	}
}

static void what_is_no_source_is_refused_with_words(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"s3://bucket", "s3://BUCKET/KEY"},
		{"s3:///x.tgz", "s3://BUCKET/KEY"},
		{"s3://b/x.rpm", "does not end with"},
		{"github:o", "github:OWNER/REPOSITORY@REF"},
		{"github:o/r@", "github:OWNER/REPOSITORY@REF"},
		{"github:o/r/s@x", "github:OWNER/REPOSITORY@REF"},
		{"http://h/x.tgz", "use https://"},
		{"https:///x.tgz", "no host name"},
		{"https://me:pw@h/x.tgz", "a user in it"},
		{"https://h/x.tgz#md5=1", "sha256=HEX"},
		{"https://h/x.tgz#sha256=12", "64 digits"},
		{"https://h/x", "does not end with"},
		{"ftp://h/x.tgz", "no address"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_fetch_source struct fetch_source s = {0};
		struct error err = {0};
		assert_int_equal(fetch_source_parse(cases[i].text, NULL, &s, &err), ERR_INPUT);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].text, err.text);
	}
}

static int from_revision(const char *text, const char *token, struct fetch_source *ret,
			 struct error *err)
{
	auto_json json_t *obj = NULL;
	assert_int_equal(json_parse(text, strlen(text), 4096, &obj, err), 0);
	return fetch_source_from_revision(obj, token, ret, err);
}

static void revisions_of_a_specification_are_sources(void **state)
{
	auto_fetch_source struct fetch_source s3 = {0}, hub = {0}, other = {0};
	struct error err = {0};
	assert_int_equal(from_revision("{\"RevisionType\":\"S3\",\"S3Revision\":{\"Bucket\":\"b\","
				       "\"Key\":\"k\",\"BundleType\":\"zip\",\"Version\":\"7\"}}",
				       NULL, &s3, &err),
			 0);
	assert_string_equal(s3.version, "7");
	assert_int_equal(
		from_revision("{\"RevisionType\":\"GitHub\",\"GitHubRevision\":{"
			      "\"Account\":\"a\",\"Repository\":\"r\",\"CommitId\":\"c\"}}",
			      "hush", &hub, &err),
		0);
	assert_string_equal(hub.token, "hush");
	assert_string_equal(hub.type, "tar");
	assert_int_equal(from_revision("{\"RevisionType\":\"GitHub\",\"GitHubRevision\":{"
				       "\"Account\":\"a\",\"Repository\":\"r\",\"CommitId\":\"c\","
				       "\"BundleType\":\"tgz\"}}",
				       NULL, &other, &err),
			 ERR_INPUT);
	assert_int_equal(from_revision("{\"RevisionType\":\"Local File\"}", NULL, &other, &err),
			 ERR_INPUT);
}

static void an_object_has_its_address(void **state)
{
	static const struct {
		const char *bucket, *key, *version, *base;
		bool path_style;
		const char *url;
	} cases[] = {
		{"my-bucket", "a b/\xc3\xa4+?.tgz", "v/1", "https://s3.eu-west-1.amazonaws.com",
		 false,
		 "https://my-bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%A4%2B%3F.tgz"
		 "?versionId=v%2F1"},
		{"my-bucket", "k", NULL, "https://s3.eu-west-1.amazonaws.com", true,
		 "https://s3.eu-west-1.amazonaws.com/my-bucket/k"},
		{"my.bucket", "k", NULL, "https://s3.eu-west-1.amazonaws.com", false,
		 "https://s3.eu-west-1.amazonaws.com/my.bucket/k"},
		{"My_Bucket", "k", NULL, "https://s3.example", false,
		 "https://s3.example/My_Bucket/k"},
		{"bucket", "k", NULL, "https://10.1.2.3:9000/", false,
		 "https://10.1.2.3:9000/bucket/k"},
		{"bucket", "k", NULL, "https://[::1]:9000", false, "https://[::1]:9000/bucket/k"},
		{"bucket", "k", NULL, "https://s3.example:9000/", false,
		 "https://bucket.s3.example:9000/k"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct fetch_source s = {.bucket = (char *)cases[i].bucket,
					       .key = (char *)cases[i].key,
					       .version = (char *)cases[i].version};
		auto_free char *url = fetch_s3_url(&s, cases[i].base, cases[i].path_style);
		assert_string_equal(url, cases[i].url);
	}
	const struct fetch_source odd = {.bucket = "b", .key = "a b.tgz"};
	auto_free char *store = fetch_store_url(&odd, "https://ep:1");
	assert_string_equal(store, "https://ep:1/b/a%20b.tgz");
	const struct fetch_source hub = {
		.account = "o", .repository = "r", .commit = "a/b c", .type = "zip"};
	auto_free char *github = fetch_github_url(&hub, "https://api.github.com/");
	assert_string_equal(github, "https://api.github.com/repos/o/r/zipball/a/b%20c");
}

/* A response with "name: value" headers and a body. */
struct said {
	int status;
	const char *headers[6];
	const char *body;
};

static void make(const struct said *said, struct http_response *ret)
{
	*ret = (struct http_response){.status = said->status, .body = BUF_INIT(4096)};
	ret->header_names = xcalloc(6, sizeof(char *));
	ret->header_values = xcalloc(6, sizeof(char *));
	for (size_t i = 0; i < 6 && said->headers[i]; i++) {
		const char *colon = strchr(said->headers[i], ':');
		ret->header_names[i] =
			xstrndup(said->headers[i], (size_t)(colon - said->headers[i]));
		ret->header_values[i] = xstrdup(colon + 2);
		ret->n_headers++;
	}
	if (said->body)
		buf_adds(&ret->body, said->body);
}

#define XML(code) "<Error><Code>" code "</Code><Message>why</Message></Error>"

static void only_what_can_succeed_is_tried_again(void **state)
{
	static const struct {
		enum fetch_kind kind;
		struct said said;
		enum fetch_verdict verdict;
		uint64_t wait_ms;
		const char *says;
	} cases[] = {
		{FETCH_S3, {200, {NULL}, NULL}, FETCH_GOOD, 0, NULL},
		{FETCH_S3, {206, {NULL}, NULL}, FETCH_GOOD, 0, NULL},
		{FETCH_S3, {404, {NULL}, XML("NoSuchKey")}, FETCH_NO, 0, "HTTP 404 NoSuchKey: why"},
		{FETCH_S3, {403, {NULL}, XML("AccessDenied")}, FETCH_NO, 0, "AccessDenied"},
		{FETCH_STORE, {403, {NULL}, XML("ExpiredToken")}, FETCH_EXPIRED, 0, ""},
		{FETCH_S3, {403, {NULL}, XML("RequestTimeTooSkewed")}, FETCH_SKEWED, 0, ""},
		{FETCH_S3, {503, {NULL}, XML("SlowDown")}, FETCH_THROTTLED, 0, ""},
		{FETCH_S3, {500, {NULL}, NULL}, FETCH_AGAIN, 0, "HTTP 500"},
		{FETCH_S3, {408, {NULL}, NULL}, FETCH_AGAIN, 0, ""},
		{FETCH_S3, {416, {NULL}, XML("InvalidRange")}, FETCH_RESTART, 0, ""},
		{FETCH_S3, {301, {"x-amz-bucket-region: eu-west-3"}, NULL}, FETCH_REGION, 0, ""},
		{FETCH_S3,
		 {400, {NULL}, "<Error><Region>eu-west-3</Region></Error>"},
		 FETCH_REGION,
		 0,
		 ""},
		{FETCH_STORE, {301, {"x-amz-bucket-region: eu-west-3"}, NULL}, FETCH_NO, 0, ""},
		{FETCH_S3, {400, {"x-amz-bucket-region: evil.example/"}, NULL}, FETCH_NO, 0, ""},
		{FETCH_S3, {302, {"location: https://else.example/"}, NULL}, FETCH_NO, 0, ""},
		{FETCH_GITHUB,
		 {302, {"location: https://codeload.example/x"}, NULL},
		 FETCH_MOVED,
		 0,
		 ""},
		{FETCH_GITHUB,
		 {302, {"location: http://codeload.example/x"}, NULL},
		 FETCH_NO,
		 0,
		 "without https"},
		{FETCH_GITHUB,
		 {302, {"location: //else.example/x"}, NULL},
		 FETCH_NO,
		 0,
		 "without https"},
		{FETCH_GITHUB,
		 {401, {NULL}, "{\"message\":\"Bad credentials\"}"},
		 FETCH_NO,
		 0,
		 "Bad credentials; the token is wrong"},
		{FETCH_GITHUB,
		 {404, {NULL}, "{\"message\":\"Not Found\"}"},
		 FETCH_NO,
		 0,
		 "no such repository or ref"},
		{FETCH_GITHUB, {403, {NULL}, NULL}, FETCH_NO, 0, "HTTP 403"},
		{FETCH_GITHUB, {403, {"retry-after: 30"}, NULL}, FETCH_THROTTLED, 30000, ""},
		{FETCH_GITHUB,
		 {403, {"x-ratelimit-remaining: 0", "x-ratelimit-reset: 1007"}, NULL},
		 FETCH_THROTTLED,
		 7000,
		 ""},
		{FETCH_GITHUB, {429, {"retry-after: 999999"}, NULL}, FETCH_THROTTLED, 900000, ""},
		{FETCH_GITHUB, {502, {NULL}, NULL}, FETCH_AGAIN, 0, ""},
		{FETCH_HTTPS, {204, {NULL}, NULL}, FETCH_AGAIN, 0, ""},
		{FETCH_HTTPS, {410, {NULL}, NULL}, FETCH_NO, 0, ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_http_response struct http_response response;
		auto_fetch_advice struct fetch_advice advice = {0};
		struct error err = {0};
		make(&cases[i].said, &response);
		enum fetch_verdict verdict =
			fetch_judge(&response, cases[i].kind, 1000, &advice, &err);
		if (verdict != cases[i].verdict)
			fail_msg("case %zu: %d, %s", i, verdict, err.text);
		assert_int_equal(advice.wait_ms, cases[i].wait_ms);
		if (cases[i].says && !strstr(err.text, cases[i].says))
			fail_msg("case %zu: %s", i, err.text);
	}
}

/* Addresses that are signed are long. */
static void a_redirect_is_as_long_as_it_is(void **state)
{
	char line[6000] = "location: https://codeload.example/";
	size_t len = strlen(line);
	memset(line + len, 'x', sizeof(line) - len - 1);
	auto_http_response struct http_response response, nowhere;
	auto_fetch_advice struct fetch_advice advice = {0}, none = {0};
	struct error err = {0};
	make(&(struct said){302, {line}, NULL}, &response);
	assert_int_equal(fetch_judge(&response, FETCH_GITHUB, 0, &advice, &err), FETCH_MOVED);
	assert_string_equal(advice.location, strchr(line, ' ') + 1);
	make(&(struct said){302, {NULL}, NULL}, &nowhere);
	assert_int_equal(fetch_judge(&nowhere, FETCH_GITHUB, 0, &none, &err), FETCH_NO);
	assert_string_equal(err.text, "HTTP 302: it is redirected, but without an address");
}

static void a_silence_is_tried_again_but_not_our_own_trouble(void **state)
{
	static const struct {
		int code;
		enum fetch_verdict verdict;
	} cases[] = {{ERR_NETWORK, FETCH_AGAIN}, {ERR_TRUST, FETCH_NO},     {ERR_LIMIT, FETCH_NO},
		     {-ENOSPC, FETCH_NO},        {ERR_SIGNATURE, FETCH_NO}, {-EPIPE, FETCH_NO}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_response response = {.code = cases[i].code, .body = BUF_INIT(1)};
		auto_fetch_advice struct fetch_advice advice = {0};
		struct error err = {0};
		assert_int_equal(fetch_judge(&response, FETCH_S3, 0, &advice, &err),
				 cases[i].verdict);
		assert_int_equal(err.code, cases[i].code);
	}
}

static void only_a_strong_validator_continues_a_download(void **state)
{
	static const struct {
		struct said said;
		const char *validator;
	} cases[] = {
		{{200, {"etag: \"abc\"", "last-modified: Sat, 21 Nov 2026 20:00:00 GMT"}, NULL},
		 "\"abc\""},
		{{200, {"etag: W/\"abc\""}, NULL}, NULL},
		{{200, {NULL}, NULL}, NULL},
		{{200,
		  {"last-modified: Sat, 21 Nov 2026 20:00:00 GMT",
		   "date: Sat, 21 Nov 2026 20:01:00 GMT"},
		  NULL},
		 "Sat, 21 Nov 2026 20:00:00 GMT"},
		{{200,
		  {"last-modified: Sat, 21 Nov 2026 20:00:00 GMT",
		   "date: Sat, 21 Nov 2026 20:00:59 GMT"},
		  NULL},
		 NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_http_response struct http_response response;
		make(&cases[i].said, &response);
		auto_free char *validator = fetch_validator(&response);
		assert_true(str_eq(validator, cases[i].validator));
	}
}

static void a_part_continues_only_where_we_are(void **state)
{
	static const struct {
		const char *range;
		uint64_t offset;
		int64_t total;
		bool continues;
	} cases[] = {
		{"content-range: bytes 100-199/200", 100, 200, true},
		{"content-range: bytes 100-199/200", 100, -1, true},
		{"content-range: bytes 100-199/*", 100, 200, true},
		{"content-range: bytes 100-199/201", 100, 200, false},
		{"content-range: bytes 99-199/200", 100, 200, false},
		{"content-range: bytes */200", 100, 200, false},
		{"content-range: lines 100-199/200", 100, 200, false},
		{"content-length: 100", 100, 200, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_http_response struct http_response response;
		make(&(struct said){206, {cases[i].range}, NULL}, &response);
		assert_int_equal(fetch_continues(&response, cases[i].offset, cases[i].total),
				 cases[i].continues);
	}
}

static void etags_are_equal_without_their_quotes(void **state)
{
	assert_true(fetch_same_etag("\"ab-2\"", "ab-2"));
	assert_false(fetch_same_etag("\"AB\"", "ab"));
	assert_false(fetch_same_etag("\"ab", "ab"));
	auto_http_response struct http_response plain, keyed;
	make(&(struct said){200, {"x-amz-server-side-encryption: AES256"}, NULL}, &plain);
	make(&(struct said){200, {"x-amz-server-side-encryption: aws:kms"}, NULL}, &keyed);
	assert_false(fetch_etag_is_opaque(&plain));
	assert_true(fetch_etag_is_opaque(&keyed));
}

/* "GET Object" of AWS's "Authenticating Requests (Authorization Header)", but for its Range. */
static void a_request_of_s3_is_signed(void **state)
{
	const struct aws_credentials keys = {
		.access_key_id = "AKIAIOSFODNN7EXAMPLE",
		.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		.session_token = "token",
	};
	struct fetch_signature signature;
	struct error err = {0};
	assert_int_equal(fetch_sign("https://examplebucket.s3.amazonaws.com:443/test.txt",
				    "us-east-1", &keys, 1369353600, &signature, &err),
			 0);
	assert_int_equal(signature.n_headers, 4);
	assert_string_equal(signature.headers[1].value, "20130524T000000Z");
	assert_string_equal(signature.headers[2].value, "token");
	const char *authorization = signature.headers[3].value;
	assert_non_null(strstr(authorization, "20130524/us-east-1/s3/aws4_request"));
	assert_non_null(strstr(authorization, "SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
					      "x-amz-security-token"));
	fetch_signature_clear(&signature);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_person_types_is_a_source),
		cmocka_unit_test(what_is_no_source_is_refused_with_words),
		cmocka_unit_test(revisions_of_a_specification_are_sources),
		cmocka_unit_test(an_object_has_its_address),
		cmocka_unit_test(only_what_can_succeed_is_tried_again),
		cmocka_unit_test(a_redirect_is_as_long_as_it_is),
		cmocka_unit_test(a_silence_is_tried_again_but_not_our_own_trouble),
		cmocka_unit_test(only_a_strong_validator_continues_a_download),
		cmocka_unit_test(a_part_continues_only_where_we_are),
		cmocka_unit_test(etags_are_equal_without_their_quotes),
		cmocka_unit_test(a_request_of_s3_is_signed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
