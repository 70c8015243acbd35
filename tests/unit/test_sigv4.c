// SPDX-License-Identifier: Apache-2.0
#include "common/alloc.h"
#include "common/digest.h"
#include "common/json.h"
#include "common/sigv4.h"
#include "common/str.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHEN "20150830T123600Z"
#define WHEN_S 1440938160
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static json_t *load_vectors(void)
{
	const char *top = getenv("top_srcdir");
	auto_free char *path = xasprintf("%s/tests/data/sigv4/vectors.json", top ? top : ".");
	json_t *doc = NULL;
	struct error err = {0};
	if (json_read_file(AT_FDCWD, path, 1 << 20, &doc, &err) < 0)
		fail_msg("%s", err.text);
	return doc;
}

static const char *text(const json_t *obj, const char *name)
{
	const char *value = json_string_value(json_object_get(obj, name));
	assert_non_null(value);
	return value;
}

struct vector {
	const char *name, *date, *signed_headers, *signature;
	struct sigv4_header headers[16];
	char payload_hash[DIGEST_SHA256_HEX];
	struct sigv4_request request;
	struct sigv4_key key;
	char *canonical_start; /* method, path and query as they must be signed */
};

static void vector_init(struct vector *v, const json_t *keys, const json_t *obj)
{
	const char *body = text(obj, "body");
	const json_t *key = json_object_get(keys, text(obj, "key"));
	const json_t *list = json_object_get(obj, "headers");
	*v = (struct vector){.name = text(obj, "name"),
			     .signed_headers = text(obj, "signed_headers"),
			     .signature = text(obj, "signature")};
	assert_in_range(json_array_size(list), 1, ARRAY_LEN(v->headers));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *pair = json_array_get(list, i);
		v->headers[i].name = json_string_value(json_array_get(pair, 0));
		v->headers[i].value = json_string_value(json_array_get(pair, 1));
		if (strcasecmp(v->headers[i].name, "x-amz-date") == 0)
			v->date = v->headers[i].value;
	}
	digest_sha256_hex(body, strlen(body), v->payload_hash);
	v->request = (struct sigv4_request){.method = text(obj, "method"),
					    .path = text(obj, "path"),
					    .query = text(obj, "query"),
					    .headers = v->headers,
					    .n_headers = json_array_size(list),
					    .payload_hash = v->payload_hash,
					    .s3 = str_eq(text(obj, "key"), "s3")};
	v->key = (struct sigv4_key){.access_key_id = text(key, "access_key_id"),
				    .secret = text(key, "secret"),
				    .region = text(key, "region"),
				    .service = text(key, "service")};
	v->canonical_start = xasprintf("%s\n%s\n%s\n", text(obj, "method"),
				       text(obj, "canonical_path"), text(obj, "canonical_query"));
}

static void check_vector(const struct vector *v)
{
	struct error err = {0};
	auto_free char *canonical = sigv4_canonical_request(&v->request, v->signed_headers);
	if (!str_starts(canonical, v->canonical_start))
		fail_msg("%s: canonical request is\n%s", v->name, canonical);
	auto_free char *authorization = NULL;
	if (sigv4_sign(&v->request, &v->key, v->date, &authorization, &err) < 0)
		fail_msg("%s: %s", v->name, err.text);
	auto_free char *expected =
		xasprintf("AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, "
			  "SignedHeaders=%s, Signature=%s",
			  v->key.access_key_id, v->date, v->key.region, v->key.service,
			  v->signed_headers, v->signature);
	if (!str_eq(authorization, expected))
		fail_msg("%s:\n got %s\nwant %s\n%s", v->name, authorization, expected, canonical);
	struct sigv4_auth auth;
	if (sigv4_parse(authorization, &auth, &err) < 0 ||
	    sigv4_verify(&v->request, &auth, v->key.secret, &err) < 0)
		fail_msg("%s: %s", v->name, err.text);
}

static void every_published_request_gets_its_published_signature(void **state)
{
	auto_json json_t *doc = load_vectors();
	const json_t *list = json_object_get(doc, "vectors");
	assert_in_range(json_array_size(list), 36, 1000);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct vector v;
		vector_init(&v, json_object_get(doc, "keys"), json_array_get(list, i));
		check_vector(&v);
		free(v.canonical_start);
	}
}

static const struct sigv4_key key = {.access_key_id = "AKID",
				     .secret = "secret",
				     .region = "eu-west-1",
				     .service = "codedeploy"};

static const struct sigv4_header headers[] = {
	{"Host", "example.org:8443"},
	{"X-Amz-Date", WHEN},
	{"X-Amz-Target", "CodeDeploy_20141006.ListApplications"},
	{"User-Agent", "anything"},
};

static struct sigv4_request a_request(void)
{
	return (struct sigv4_request){.method = "POST",
				      .path = "/",
				      .headers = headers,
				      .n_headers = ARRAY_LEN(headers),
				      .payload_hash = EMPTY};
}

static struct sigv4_auth sign(const struct sigv4_request *request)
{
	struct sigv4_auth auth;
	auto_free char *authorization = NULL;
	assert_int_equal(sigv4_sign(request, &key, WHEN, &authorization, NULL), 0);
	assert_int_equal(sigv4_parse(authorization, &auth, NULL), 0);
	return auth;
}

static void the_user_agent_is_never_signed(void **state)
{
	struct sigv4_request request = a_request();
	struct sigv4_auth auth = sign(&request);
	assert_string_equal(auth.signed_headers, "host;x-amz-date;x-amz-target");
}

static void whatever_is_altered_is_refused(void **state)
{
	struct sigv4_request good = a_request();
	struct sigv4_auth auth = sign(&good);
	assert_int_equal(sigv4_verify(&good, &auth, "secret", NULL), 0);
	assert_int_equal(sigv4_verify(&good, &auth, "Secret", NULL), ERR_SIGNATURE);

	struct sigv4_header other[ARRAY_LEN(headers)];
	memcpy(other, headers, sizeof(headers));
	other[2].value = "CodeDeploy_20141006.DeleteApplication";
	struct sigv4_request altered[6];
	for (size_t i = 0; i < ARRAY_LEN(altered); i++)
		altered[i] = good;
	altered[0].method = "GET";
	altered[1].path = "/x";
	altered[2].query = "a=b";
	altered[3].headers = other;
	altered[4].payload_hash = SIGV4_UNSIGNED_PAYLOAD;
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(sigv4_verify(&altered[i], &auth, "secret", NULL), ERR_SIGNATURE);

	struct sigv4_auth scope = auth;
	strcpy(scope.region, "eu-west-2");
	assert_int_equal(sigv4_verify(&good, &scope, "secret", NULL), ERR_SIGNATURE);
	auth.signature[63] = auth.signature[63] == 'a' ? 'b' : 'a';
	assert_int_equal(sigv4_verify(&good, &auth, "secret", NULL), ERR_SIGNATURE);
	auth.signature[63] = '\0';
	assert_int_equal(sigv4_verify(&good, &auth, "secret", NULL), ERR_SIGNATURE);
}

static void no_message_holds_the_secret(void **state)
{
	struct sigv4_request request = a_request();
	struct sigv4_auth auth = sign(&request);
	struct error err = {0};
	assert_int_equal(sigv4_verify(&request, &auth, "hush-hush", &err), ERR_SIGNATURE);
	assert_null(strstr(err.text, "hush-hush"));
}

static void a_received_amz_header_must_be_signed(void **state)
{
	struct sigv4_request request = a_request();
	struct sigv4_auth auth = sign(&request);
	struct sigv4_header more[ARRAY_LEN(headers) + 1];
	memcpy(more, headers, sizeof(headers));
	more[ARRAY_LEN(headers)] = (struct sigv4_header){"X-Amz-Security-Token", "t"};
	request.headers = more;
	request.n_headers++;
	struct error err = {0};
	assert_int_equal(sigv4_verify(&request, &auth, "secret", &err), ERR_SIGNATURE);
	assert_string_equal(err.text, "header 'X-Amz-Security-Token' must be signed");
	more[ARRAY_LEN(headers)] = (struct sigv4_header){"amz-sdk-request", "attempt=1"};
	assert_int_equal(sigv4_verify(&request, &auth, "secret", &err), 0);
}

static void host_and_date_must_be_signed_and_there(void **state)
{
	struct sigv4_request request = a_request();
	struct sigv4_auth auth = sign(&request);
	struct error err = {0};
	strcpy(auth.signed_headers, "x-amz-date;x-amz-target");
	assert_int_equal(sigv4_verify(&request, &auth, "secret", &err), ERR_SIGNATURE);
	assert_string_equal(err.text, "header 'host' must be signed");
	strcpy(auth.signed_headers, "host;x-amz-target");
	assert_int_equal(sigv4_verify(&request, &auth, "secret", &err), ERR_SIGNATURE);
	assert_string_equal(err.text, "header 'x-amz-date' must be signed");
	strcpy(auth.signed_headers, "host;range;x-amz-date;x-amz-target");
	assert_int_equal(sigv4_verify(&request, &auth, "secret", &err), ERR_SIGNATURE);
	assert_string_equal(err.text, "signed header 'range' is missing");
}

static void an_authorization_may_lack_blanks_and_come_in_any_order(void **state)
{
	struct sigv4_auth auth;
	assert_int_equal(sigv4_parse("AWS4-HMAC-SHA256 Signature=00,SignedHeaders=host;x-amz-date,"
				     "  Credential=A/B/20260102/eu-west-1/s3/aws4_request",
				     &auth, NULL),
			 0);
	assert_string_equal(auth.access_key_id, "A/B");
	assert_string_equal(auth.date, "20260102");
	assert_string_equal(auth.region, "eu-west-1");
	assert_string_equal(auth.service, "s3");
	assert_string_equal(auth.signed_headers, "host;x-amz-date");
	assert_string_equal(auth.signature, "00");
}

static void a_malformed_authorization_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"AWS4-HMAC-SHA256",
		"Basic YTpi",
		"AWS4-HMAC-SHA256X Credential=A/20260102/r/s/aws4_request, SignedHeaders=h, "
		"Signature=0",
		"AWS4-HMAC-SHA256 Credential=A/20260102/r/s/aws4_request, SignedHeaders=host",
		"AWS4-HMAC-SHA256 Credential=A/2026010/r/s/aws4_request, SignedHeaders=h, "
		"Signature=0",
		"AWS4-HMAC-SHA256 Credential=A/20260102/r/s/aws5_request, SignedHeaders=h, "
		"Signature=0",
		"AWS4-HMAC-SHA256 Credential=20260102/r/s/aws4_request, SignedHeaders=h, "
		"Signature=0",
		"AWS4-HMAC-SHA256 Credential=/20260102/r/s/aws4_request, SignedHeaders=h, "
		"Signature=0",
		"AWS4-HMAC-SHA256 Credential=A/20260102/r//aws4_request, SignedHeaders=h, "
		"Signature=0",
		"AWS4-HMAC-SHA256 Extra=1, Credential=A/20260102/r/s/aws4_request, "
		"SignedHeaders=h, Signature=0",
	};
	struct sigv4_auth auth;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (sigv4_parse(bad[i], &auth, NULL) != ERR_FORMAT)
			fail_msg("accepted: %s", bad[i]);
	char long_one[4096];
	memset(long_one, 'x', sizeof(long_one));
	memcpy(long_one, "AWS4-HMAC-SHA256 Signature=", 27);
	long_one[sizeof(long_one) - 1] = '\0';
	assert_int_equal(sigv4_parse(long_one, &auth, NULL), ERR_FORMAT);
}

/* The example of AWS, "Authenticating requests: using query parameters". */
#define URL_SIGNATURE "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
#define URL_QUERY                                                                              \
	"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F" \
	"us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"       \
	"X-Amz-SignedHeaders=host&X-Amz-Signature="
#define URL_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define URL_WHEN_S 1369353600

static int verify_url(const char *method, const char *query, const char *secret)
{
	static const struct sigv4_header host[] = {{"Host", "examplebucket.s3.amazonaws.com"}};
	struct sigv4_request request = {.method = method,
					.path = "/test.txt",
					.query = query,
					.headers = host,
					.n_headers = 1,
					.payload_hash = SIGV4_UNSIGNED_PAYLOAD,
					.s3 = true};
	struct sigv4_auth auth;
	int r = sigv4_parse_query(query, &auth, NULL);
	return r < 0 ? r : sigv4_verify(&request, &auth, secret, NULL);
}

static void a_presigned_url_is_good_for_what_was_signed(void **state)
{
	static const char good[] = URL_QUERY URL_SIGNATURE;
	assert_int_equal(verify_url("GET", good, URL_SECRET), 0);
	assert_int_equal(verify_url("PUT", good, URL_SECRET), ERR_SIGNATURE);
	assert_int_equal(verify_url("GET", good, "other"), ERR_SIGNATURE);
	assert_int_equal(verify_url("GET", URL_QUERY URL_SIGNATURE "&versionId=1", URL_SECRET),
			 ERR_SIGNATURE);
	auto_free char *longer = xstrdup(good);
	memcpy(strstr(longer, "=86400"), "=96400", 6);
	assert_int_equal(verify_url("GET", longer, URL_SECRET), ERR_SIGNATURE);
}

static void a_malformed_presigned_url_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"X-Amz-Signature=0",
		URL_QUERY,
		"X-Amz-Date=20130524T000000Z&" URL_QUERY URL_SIGNATURE "&X-Amz-Date=today",
		URL_QUERY URL_SIGNATURE "&X-Amz-Expires=0",
		URL_QUERY URL_SIGNATURE "&X-Amz-Expires=604801",
		URL_QUERY URL_SIGNATURE "&X-Amz-Expires=1%00",
		URL_QUERY URL_SIGNATURE "&X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256",
		URL_QUERY URL_SIGNATURE "&X-Amz-Security-Token=t",
		URL_QUERY URL_SIGNATURE "&X-Amz-Credential=A%2F20130524%2Fr",
	};
	struct sigv4_auth auth;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (sigv4_parse_query(bad[i], &auth, NULL) != ERR_FORMAT)
			fail_msg("accepted: %s", bad[i]);
}

static void a_presigned_url_has_a_beginning_and_an_end(void **state)
{
	struct sigv4_auth auth;
	struct error err = {0};
	assert_int_equal(sigv4_parse_query(URL_QUERY URL_SIGNATURE, &auth, &err), 0);
	assert_int_equal(sigv4_check_expiry(&auth, URL_WHEN_S - 900, 900, &err), 0);
	assert_int_equal(sigv4_check_expiry(&auth, URL_WHEN_S - 901, 900, &err), ERR_EXPIRED);
	assert_int_equal(sigv4_check_expiry(&auth, URL_WHEN_S + 86400, 900, &err), 0);
	assert_int_equal(sigv4_check_expiry(&auth, URL_WHEN_S + 86401, 900, &err), ERR_EXPIRED);
	assert_string_equal(err.text,
			    "Request has expired: at 20130525T000000Z, it is 20130525T000001Z");
	strcpy(auth.date, "20130523");
	assert_int_equal(sigv4_check_expiry(&auth, URL_WHEN_S, 900, &err), ERR_FORMAT);
}

static void a_signature_holds_only_around_its_time(void **state)
{
	struct sigv4_auth auth = {.date = "20150830"};
	struct error err = {0};
	assert_int_equal(sigv4_check_time(&auth, WHEN, WHEN_S + 300, 300, &err), 0);
	assert_int_equal(sigv4_check_time(&auth, WHEN, WHEN_S - 300, 300, &err), 0);
	assert_int_equal(sigv4_check_time(&auth, WHEN, WHEN_S + 301, 300, &err), ERR_EXPIRED);
	assert_string_equal(err.text, "Signature expired: 20150830T123600Z is now earlier than "
				      "20150830T123601Z (20150830T124101Z - 5 min.)");
	assert_int_equal(sigv4_check_time(&auth, WHEN, WHEN_S - 301, 300, &err), ERR_EXPIRED);
	assert_string_equal(err.text, "Signature not yet current: 20150830T123600Z is still later "
				      "than 20150830T123559Z (20150830T123059Z + 5 min.)");
	strcpy(auth.date, "20150829");
	assert_int_equal(sigv4_check_time(&auth, WHEN, WHEN_S, 300, &err), ERR_EXPIRED);
	assert_int_equal(sigv4_check_time(&auth, "yesterday", WHEN_S, 300, &err), ERR_FORMAT);
}

static void a_date_header_stands_in_for_the_amz_date(void **state)
{
	const struct sigv4_header dates[] = {{"Date", "Sun, 30 Aug 2015 12:36:00 GMT"}};
	struct sigv4_request request = {.headers = dates, .n_headers = 1};
	char date[SIGV4_DATE_LEN];
	assert_int_equal(sigv4_date(&request, date, NULL), 0);
	assert_string_equal(date, WHEN);
	request.n_headers = 0;
	assert_int_equal(sigv4_date(&request, date, NULL), ERR_FORMAT);
}

static void a_request_is_signed_only_for_the_time_it_names(void **state)
{
	struct sigv4_request request = a_request();
	auto_free char *authorization = NULL;
	assert_int_equal(sigv4_sign(&request, &key, "20150830T123601Z", &authorization, NULL),
			 ERR_INPUT);
	assert_null(authorization);
}

static void one_spelling_of_a_path_signs_like_another(void **state)
{
	struct sigv4_request a = a_request(), b = a_request();
	a.s3 = b.s3 = true;
	a.path = "/bucket/a%7eb%2fc+d";
	b.path = "/bucket/a~b%2Fc%2Bd";
	a.query = "prefix=a/b&list-type=2";
	b.query = "list-type=2&prefix=a%2fb";
	struct sigv4_auth auth = sign(&a);
	assert_int_equal(sigv4_verify(&b, &auth, "secret", NULL), 0);
}

static void a_plus_in_a_query_is_a_blank(void **state)
{
	struct sigv4_request plus = a_request(), blank = plus, wire = plus;
	plus.query = "prefix=a%2Bb";
	blank.query = "prefix=a%20b";
	wire.query = "prefix=a+b"; /* a server takes this for "a b" */
	struct sigv4_auth of_plus = sign(&plus), of_blank = sign(&blank);
	assert_int_equal(sigv4_verify(&wire, &of_plus, "secret", NULL), ERR_SIGNATURE);
	assert_int_equal(sigv4_verify(&wire, &of_blank, "secret", NULL), 0);
}

static void huge_requests_are_refused_not_cut(void **state)
{
	struct sigv4_request request = a_request();
	size_t len = 300 * 1024;
	auto_free char *query = xcalloc(len + 1, 1);
	memset(query, 'a', len);
	request.query = query;
	auto_free char *authorization = NULL;
	assert_int_equal(sigv4_sign(&request, &key, WHEN, &authorization, NULL), -EFBIG);
	static struct sigv4_header many[SIGV4_HEADERS_MAX + 1];
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct sigv4_header){"x-amz-date", WHEN};
	request = a_request();
	request.headers = many;
	request.n_headers = ARRAY_LEN(many);
	assert_int_equal(sigv4_sign(&request, &key, WHEN, &authorization, NULL), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_published_request_gets_its_published_signature),
		cmocka_unit_test(the_user_agent_is_never_signed),
		cmocka_unit_test(whatever_is_altered_is_refused),
		cmocka_unit_test(no_message_holds_the_secret),
		cmocka_unit_test(a_received_amz_header_must_be_signed),
		cmocka_unit_test(host_and_date_must_be_signed_and_there),
		cmocka_unit_test(an_authorization_may_lack_blanks_and_come_in_any_order),
		cmocka_unit_test(a_malformed_authorization_is_refused),
		cmocka_unit_test(a_presigned_url_is_good_for_what_was_signed),
		cmocka_unit_test(a_malformed_presigned_url_is_refused),
		cmocka_unit_test(a_presigned_url_has_a_beginning_and_an_end),
		cmocka_unit_test(a_signature_holds_only_around_its_time),
		cmocka_unit_test(a_date_header_stands_in_for_the_amz_date),
		cmocka_unit_test(a_request_is_signed_only_for_the_time_it_names),
		cmocka_unit_test(one_spelling_of_a_path_signs_like_another),
		cmocka_unit_test(a_plus_in_a_query_is_a_blank),
		cmocka_unit_test(huge_requests_are_refused_not_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
