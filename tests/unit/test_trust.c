// SPDX-License-Identifier: Apache-2.0
/* Whose orders root carries out: what the files say, and what is opened by them. */
#include "agent/trust.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/pki.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"

#define OTHER "0000000000000000000000000000000000000000000000000000000000000000"

static void enrol(struct tempdir *dir)
{
	int fd = fs_mkdirs(dir->fd, "var/lib/slipway/host/trust", 0755, NULL);
	assert_true(fd >= 0);
	close(fd);
	tempdir_write(dir, "var/lib/slipway/host/trust/ca.pem", "a CA");
	tempdir_write(dir, "var/lib/slipway/host/trust/identity.json",
		      "{\"host_identifier\":\"arn:host\",\"endpoint\":\"https://e:1\"}");
}

static int load(struct tempdir *dir, const struct settings *settings, struct trust *ret,
		struct error *err)
{
	auto_paths struct paths paths = {0};
	assert_int_equal(paths_init(&paths, dir->path, NULL), 0);
	return trust_load(&paths, settings, ret, err);
}

static void assert_text(const struct trust *trust, const char *kind, const char *words)
{
	auto_json json_t *obj = trust_to_json(trust);
	assert_string_equal(json_string_value(json_object_get(obj, "kind")), kind);
	const char *text = json_string_value(json_object_get(obj, "text"));
	if (!strstr(text, words))
		fail_msg("no '%s' in '%s'", words, text);
}

static void an_enrolment_counts_whatever_the_settings_say(void **state)
{
	const struct settings aws = {.aws = true, .aws_signer_fingerprint = (char *)"nonsense"};
	auto_trust struct trust trust = {0};
	enrol(*state);
	assert_int_equal(load(*state, &aws, &trust, NULL), 0);
	assert_int_equal(trust.kind, TRUST_ENDPOINT);
	assert_string_equal(trust.ca, "a CA");
	assert_string_equal(trust.host, "arn:host");
	assert_false(trust_is_pinned(&trust));
	assert_text(&trust, "endpoint", "https://e:1");
}

static void a_broken_enrolment_is_nobody_elses(void **state)
{
	const struct settings aws = {.aws = true};
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_trust struct trust trust = {0};
	static const char *const files[] = {"ca.pem", "identity.json"};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		auto_free char *path = fs_join("var/lib/slipway/host/trust", files[i]);
		enrol(dir);
		assert_int_equal(unlinkat(dir->fd, path, 0), 0);
		assert_int_equal(load(dir, &aws, &trust, &err), ERR_TRUST);
	}
	enrol(dir);
	tempdir_write(dir, "var/lib/slipway/host/trust/identity.json", "{}");
	assert_int_equal(load(dir, &aws, &trust, &err), ERR_FORMAT);
	assert_int_equal(trust.kind, TRUST_NOBODY);
}

static void without_an_enrolment_the_settings_decide(void **state)
{
	auto_trust struct trust nobody = {0}, any = {0}, named = {0}, pinned = {0};
	assert_int_equal(load(*state, &(struct settings){0}, &nobody, NULL), 0);
	assert_text(&nobody, "nobody", "not enrolled");
	assert_int_equal(load(*state, &(struct settings){.aws = true}, &any, NULL), 0);
	assert_text(&any, "aws", "not pinned");
	assert_false(trust_is_pinned(&any));
	struct settings s = {.aws = true, .aws_signer_subject = (char *)"CN=x"};
	assert_int_equal(load(*state, &s, &named, NULL), 0);
	assert_text(&named, "aws", "calls itself 'CN=x'");
	assert_false(trust_is_pinned(&named));
	s.aws_signer_fingerprint = (char *)OTHER;
	assert_int_equal(load(*state, &s, &pinned, NULL), 0);
	assert_text(&pinned, "aws", "pinned certificate (" OTHER);
	assert_true(trust_is_pinned(&pinned));
}

static void a_pin_that_is_none_is_named(void **state)
{
	static const char *const bad[] = {"", " ,", "abc", OTHER "0", OTHER ", abc"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct settings s = {.aws = true, .aws_signer_fingerprint = (char *)bad[i]};
		auto_trust struct trust trust = {0};
		struct error err = {0};
		assert_int_equal(load(*state, &s, &trust, &err), ERR_INPUT);
		assert_non_null(strstr(err.text, "aws_signer_fingerprint"));
	}
}

static char *sign(char fingerprint[65])
{
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	char *pem = NULL;
	assert_int_equal(pki_key_new(&key, NULL), 0);
	const struct pki_issue order = {.role = PKI_HOST,
					.cn = "signer",
					.not_before_s = clock_wall_s() - 10,
					.not_after_s = clock_wall_s() + 10,
					.subject_key = key,
					.issuer_key = key};
	assert_int_equal(pki_issue(&order, &cert, NULL), 0);
	assert_int_equal(pki_cert_fingerprint(cert, fingerprint, NULL), 0);
	assert_int_equal(pki_cms_sign("text", 4, cert, key, &pem, NULL), 0);
	return pem;
}

static int open_with(struct tempdir *dir, const struct settings *settings, const char *format,
		     const char *pem, struct error *err)
{
	auto_trust struct trust trust = {0};
	auto_free char *text = NULL, *signer = NULL;
	size_t len = 0;
	assert_int_equal(load(dir, settings, &trust, NULL), 0);
	auto_json json_t *envelope = json_pack("{s:s,s:s}", "Format", format, "Payload", pem);
	int r = trust_open(&trust, envelope, &text, &len, &signer, err);
	if (r == 0) {
		assert_string_equal(text, "text");
		assert_int_equal(len, 4);
		assert_true(str_starts(signer, "'CN=signer', SHA-256 "));
	}
	return r;
}

static void only_the_pinned_signer_opens(void **state)
{
	char mine[65];
	auto_free char *pem = sign(mine);
	auto_free char *several = xasprintf(OTHER ", %s", mine);
	struct error err = {0};
	struct settings s = {.aws = true};
	assert_int_equal(open_with(*state, &s, "PKCS7/JSON", pem, &err), 0);
	assert_int_equal(open_with(*state, &s, "TEXT/JSON", pem, &err), ERR_SIGNATURE);
	s.aws_signer_fingerprint = several;
	s.aws_signer_subject = (char *)"CN=signer";
	assert_int_equal(open_with(*state, &s, "PKCS7/JSON", pem, &err), 0);
	s.aws_signer_subject = (char *)"CN=other";
	assert_int_equal(open_with(*state, &s, "PKCS7/JSON", pem, &err), ERR_TRUST);
	assert_non_null(strstr(err.text, "aws_signer_subject"));
	s = (struct settings){.aws = true, .aws_signer_fingerprint = (char *)OTHER};
	assert_int_equal(open_with(*state, &s, "PKCS7/JSON", pem, &err), ERR_TRUST);
	assert_non_null(strstr(err.text, mine));
	s.aws = false;
	assert_int_equal(open_with(*state, &s, "PKCS7/JSON", pem, &err), ERR_TRUST);
	assert_non_null(strstr(err.text, "not enrolled"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		tempdir_test(an_enrolment_counts_whatever_the_settings_say),
		tempdir_test(a_broken_enrolment_is_nobody_elses),
		tempdir_test(without_an_enrolment_the_settings_decide),
		tempdir_test(a_pin_that_is_none_is_named),
		tempdir_test(only_the_pinned_signer_opens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
