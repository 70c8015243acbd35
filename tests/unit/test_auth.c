// SPDX-License-Identifier: Apache-2.0
#include "control/auth.h"
#include "control/keys.h"
#include "control/store.h"
#include "tests/unit/tempdir.h"

#include "common/clock.h"
#include "common/digest.h"

#include <stdio.h>

#define NOW 1800000000LL
#define BODY "{\"a\":1}"

struct fixture {
	struct store *store;
	struct store_key key;
	struct sigv4_header headers[8];
	struct sigv4_request request;
	char hash[DIGEST_SHA256_HEX], date[CLOCK_ISO_LEN];
	char *authorization;
	struct auth_fault fault;
	char caller[129];
};

static void set_up(struct fixture *f, const struct tempdir *dir)
{
	struct error err = {0};
	*f = (struct fixture){0};
	if (store_open(dir->path, &f->store, &err) < 0 ||
	    keys_make(f->store, "test", &f->key, &err) < 0)
		fail_msg("%s", err.text);
}

static void tear_down(struct fixture *f)
{
	free(f->authorization);
	store_close(f->store);
}

/* Sign a request at a time as a client would. */
static void sign(struct fixture *f, int64_t at_s, const char *service, const char *secret)
{
	struct error err = {0};
	clock_format_amz(at_s, f->date);
	digest_sha256_hex(BODY, strlen(BODY), f->hash);
	f->headers[0] = (struct sigv4_header){"host", "127.0.0.1:8443"};
	f->headers[1] = (struct sigv4_header){"x-amz-date", f->date};
	f->headers[2] = (struct sigv4_header){"x-amz-target", "CodeDeploy_20141006.X"};
	f->request = (struct sigv4_request){.method = "POST",
					    .path = "/",
					    .headers = f->headers,
					    .n_headers = 3,
					    .payload_hash = f->hash,
					    .s3 = strcmp(service, "s3") == 0};
	struct sigv4_key key = {f->key.id, secret, "eu-central-1", service};
	free(f->authorization);
	f->authorization = NULL;
	if (sigv4_sign(&f->request, &key, f->date, &f->authorization, &err) < 0)
		fail_msg("%s", err.text);
}

static int check(struct fixture *f)
{
	return auth_sigv4(f->store, &f->request, f->authorization, NOW, f->caller, &f->fault);
}

static void refused(struct fixture *f, int status, const char *type)
{
	assert_int_equal(check(f), ERR_DENIED);
	assert_string_equal(f->fault.type, type);
	assert_int_equal(f->fault.status, status);
	assert_null(strstr(f->fault.text, f->key.secret));
	assert_string_equal(f->caller, "");
}

static void a_right_signature_names_its_key(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	sign(&f, NOW, "codedeploy", f.key.secret);
	assert_int_equal(check(&f), 0);
	assert_string_equal(f.caller, f.key.id);
	tear_down(&f);
}

static void both_services_are_known_and_no_other(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	sign(&f, NOW, "codedeploy-commands", f.key.secret);
	assert_int_equal(check(&f), 0);
	f.caller[0] = '\0';
	sign(&f, NOW, "iam", f.key.secret);
	refused(&f, 400, "InvalidSignatureException");
	sign(&f, NOW, "s3", f.key.secret);
	f.request.s3 = false;
	refused(&f, 400, "InvalidSignatureException");
	tear_down(&f);
}

static void a_wrong_secret_is_refused(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	sign(&f, NOW, "codedeploy", "wrong");
	refused(&f, 400, "InvalidSignatureException");
	assert_string_equal(f.fault.access_key_id, f.key.id);
	sign(&f, NOW, "s3", "wrong");
	refused(&f, 403, "SignatureDoesNotMatch");
	tear_down(&f);
}

static void an_unknown_key_is_refused(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	sign(&f, NOW, "codedeploy", f.key.secret);
	assert_int_equal(store_key_delete(f.store, f.key.id, NULL), 0);
	refused(&f, 400, "UnrecognizedClientException");
	tear_down(&f);
}

static void another_body_target_method_or_path_is_refused(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	char other[DIGEST_SHA256_HEX];
	digest_sha256_hex("{}", 2, other);
	sign(&f, NOW, "codedeploy", f.key.secret);
	f.request.payload_hash = other;
	refused(&f, 400, "InvalidSignatureException");
	sign(&f, NOW, "codedeploy", f.key.secret);
	f.headers[2].value = "CodeDeploy_20141006.Y";
	refused(&f, 400, "InvalidSignatureException");
	sign(&f, NOW, "codedeploy", f.key.secret);
	f.request.method = "PUT";
	refused(&f, 400, "InvalidSignatureException");
	sign(&f, NOW, "codedeploy", f.key.secret);
	f.request.path = "/x";
	refused(&f, 400, "InvalidSignatureException");
	sign(&f, NOW, "codedeploy", f.key.secret);
	f.request.query = "a=b";
	refused(&f, 400, "InvalidSignatureException");
	tear_down(&f);
}

static void an_unsigned_amz_header_is_refused(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	sign(&f, NOW, "codedeploy", f.key.secret);
	f.headers[3] = (struct sigv4_header){"X-Amz-Security-Token", "t"};
	f.request.n_headers = 4;
	refused(&f, 400, "InvalidSignatureException");
	tear_down(&f);
}

static void the_clock_may_differ_by_five_minutes_for_s3_by_fifteen(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	static const struct {
		const char *service;
		int64_t skew_s;
		int status;
		const char *type;
	} services[] = {
		{"codedeploy", AUTH_SKEW_JSON_S, 400, "InvalidSignatureException"},
		{"s3", AUTH_SKEW_S3_S, 403, "RequestTimeTooSkewed"},
	};
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		for (int sign_of = -1; sign_of <= 1; sign_of += 2) {
			sign(&f, NOW + sign_of * services[i].skew_s, services[i].service,
			     f.key.secret);
			assert_int_equal(check(&f), 0);
			f.caller[0] = '\0';
			sign(&f, NOW + sign_of * (services[i].skew_s + 1), services[i].service,
			     f.key.secret);
			refused(&f, services[i].status, services[i].type);
		}
	tear_down(&f);
}

static void no_signature_and_a_malformed_one_are_told_apart(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	sign(&f, NOW, "codedeploy", f.key.secret);
	free(f.authorization);
	f.authorization = NULL;
	refused(&f, 400, "MissingAuthenticationTokenException");
	static const char *const bad[] = {"", "Basic abc", "AWS4-HMAC-SHA256",
					  "AWS4-HMAC-SHA256 Credential=a/b/c"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		free(f.authorization);
		f.authorization = xstrdup(bad[i]);
		refused(&f, 400, "IncompleteSignatureException");
	}
	tear_down(&f);
}

static void a_claimed_hash_must_be_that_of_the_body(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	sign(&f, NOW, "codedeploy", f.key.secret);
	f.headers[3] = (struct sigv4_header){"x-amz-content-sha256", "UNSIGNED-PAYLOAD"};
	f.request.n_headers = 4;
	struct sigv4_key key = {f.key.id, f.key.secret, "eu-central-1", "codedeploy"};
	struct sigv4_request claimed = f.request;
	claimed.payload_hash = "UNSIGNED-PAYLOAD";
	free(f.authorization);
	f.authorization = NULL;
	assert_int_equal(sigv4_sign(&claimed, &key, f.date, &f.authorization, NULL), 0);
	refused(&f, 400, "InvalidSignatureException");
	tear_down(&f);
}

static void keys_and_tokens_differ_and_look_as_clients_expect(void **state)
{
	struct fixture f;
	set_up(&f, *state);
	struct store_key other;
	assert_int_equal(keys_make(f.store, "", &other, NULL), 0);
	assert_string_not_equal(f.key.id, other.id);
	assert_string_not_equal(f.key.secret, other.secret);
	assert_int_equal(strlen(other.id), 20);
	assert_int_equal(strlen(other.secret), 40);
	char text[KEYS_TOKEN_LEN + 1], sha256[DIGEST_SHA256_HEX];
	struct store_token token = {.uses_left = 1}, found = {0};
	assert_int_equal(keys_make_token(f.store, &token, text, NULL), 0);
	digest_sha256_hex(text, strlen(text), sha256);
	assert_string_equal(token.sha256, sha256);
	assert_int_equal(store_token_get(f.store, sha256, &found, NULL), 0);
	store_token_clear(&found);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(a_right_signature_names_its_key),
		tempdir_test(both_services_are_known_and_no_other),
		tempdir_test(a_wrong_secret_is_refused),
		tempdir_test(an_unknown_key_is_refused),
		tempdir_test(another_body_target_method_or_path_is_refused),
		tempdir_test(an_unsigned_amz_header_is_refused),
		tempdir_test(the_clock_may_differ_by_five_minutes_for_s3_by_fifteen),
		tempdir_test(no_signature_and_a_malformed_one_are_told_apart),
		tempdir_test(a_claimed_hash_must_be_that_of_the_body),
		tempdir_test(keys_and_tokens_differ_and_look_as_clients_expect),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
