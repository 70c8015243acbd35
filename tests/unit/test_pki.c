// SPDX-License-Identifier: Apache-2.0
#include "common/alloc.h"
#include "common/pki.h"
#include "common/str.h"
#include "tests/unit/unit.h"

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>
#include <string.h>

#define DAY 86400
#define NOW 1800000000 /* 2027-01-15 */

struct party {
	EVP_PKEY *key;
	X509 *cert;
};

static void party_clear(struct party *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->cert);
	*p = (struct party){0};
}
#define auto_party CLEANUP(party_clear)

static struct party issue(enum pki_role role, const char *cn, const struct party *ca, int64_t from,
			  int64_t to)
{
	struct party p = {0};
	struct error err = {0};
	if (pki_key_new(&p.key, &err) < 0)
		fail_msg("%s", err.text);
	const char *const names[] = {"localhost", "127.0.0.1", "::1", NULL};
	struct pki_issue order = {.role = role,
				  .cn = cn,
				  .names = role == PKI_SERVER ? names : NULL,
				  .not_before_s = from,
				  .not_after_s = to,
				  .subject_key = p.key,
				  .issuer = ca ? ca->cert : NULL,
				  .issuer_key = ca ? ca->key : p.key};
	if (pki_issue(&order, &p.cert, &err) < 0)
		fail_msg("%s", err.text);
	return p;
}

static struct party authority(const char *cn)
{
	return issue(PKI_CA, cn, NULL, NOW - DAY, NOW + 365 * DAY);
}

static char *pem_of(X509 *cert)
{
	char *pem = NULL;
	assert_int_equal(pki_cert_to_pem(cert, &pem, NULL), 0);
	return pem;
}

static char *sign_with(const struct party *p, const char *content)
{
	char *pem = NULL;
	struct error err = {0};
	if (pki_cms_sign(content, strlen(content), p->cert, p->key, &pem, &err) < 0)
		fail_msg("%s", err.text);
	return pem;
}

static int verify_at(const char *pem, const struct party *ca, int64_t now_s, struct error *err)
{
	auto_free char *ca_pem = pem_of(ca->cert);
	char *content = NULL;
	size_t len = 0;
	int r = pki_cms_verify(pem, ca_pem, now_s, &content, &len, err);
	assert_true((r == 0) == (content != NULL));
	free(content);
	return r;
}

static void a_key_and_a_certificate_survive_pem(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_free char *key_pem = NULL, *cert_pem = pem_of(ca.cert);
	assert_int_equal(pki_key_to_pem(ca.key, &key_pem, NULL), 0);
	auto_pkey EVP_PKEY *key = NULL;
	auto_x509 X509 *cert = NULL;
	assert_int_equal(pki_key_from_pem(key_pem, &key, NULL), 0);
	assert_int_equal(pki_cert_from_pem(cert_pem, &cert, NULL), 0);
	assert_int_equal(EVP_PKEY_eq(key, ca.key), 1);
	assert_int_equal(X509_cmp(cert, ca.cert), 0);
	assert_int_equal(pki_key_from_pem("no key", &key, NULL), ERR_FORMAT);
	assert_int_equal(pki_cert_from_pem(key_pem, &cert, NULL), ERR_FORMAT);
}

static void a_certificate_tells_who_it_is_and_until_when(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_party struct party host = issue(PKI_HOST, "web-1", &ca, NOW, NOW + 30 * DAY);
	auto_free char *cn = pki_cert_cn(host.cert), *serial = pki_cert_serial(host.cert);
	auto_free char *other = pki_cert_serial(ca.cert), *about = pki_cert_describe(host.cert);
	assert_string_equal(cn, "web-1");
	assert_int_equal(strlen(serial), 32);
	assert_string_not_equal(serial, other);
	assert_int_equal(pki_cert_not_before(host.cert), NOW);
	assert_int_equal(pki_cert_not_after(host.cert), NOW + 30 * DAY);
	assert_string_equal(about, "CN=web-1, valid 2027-01-15 to 2027-02-14");
}

static void roles_get_their_own_purposes(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_party struct party server = issue(PKI_SERVER, "s", &ca, NOW, NOW + DAY);
	auto_party struct party host = issue(PKI_HOST, "h", &ca, NOW, NOW + DAY);
	auto_party struct party signer = issue(PKI_SIGNER, "d", &ca, NOW, NOW + DAY);
	assert_int_equal(X509_check_ca(ca.cert), 1);
	assert_int_equal(X509_check_ca(host.cert), 0);
	assert_int_equal(X509_check_host(server.cert, "localhost", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(server.cert, "127.0.0.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(server.cert, "::1", 0), 1);
	assert_int_equal(X509_check_host(server.cert, "example.org", 0, 0, NULL), 0);
	assert_int_equal(X509_check_purpose(server.cert, X509_PURPOSE_SSL_SERVER, 0), 1);
	assert_int_equal(X509_check_purpose(server.cert, X509_PURPOSE_SSL_CLIENT, 0), 0);
	assert_int_equal(X509_check_purpose(host.cert, X509_PURPOSE_SSL_CLIENT, 0), 1);
	assert_int_equal(X509_check_purpose(host.cert, X509_PURPOSE_SSL_SERVER, 0), 0);
	assert_int_equal(X509_check_purpose(signer.cert, X509_PURPOSE_SSL_CLIENT, 0), 0);
}

static void a_name_that_is_too_long_is_refused(void **state)
{
	auto_party struct party ca = authority("Test CA");
	char cn[70];
	memset(cn, 'x', sizeof(cn));
	cn[65] = '\0';
	auto_free char *csr = NULL;
	assert_int_equal(pki_csr_new(ca.key, cn, &csr, NULL), ERR_INPUT);
	assert_int_equal(pki_csr_new(ca.key, "", &csr, NULL), ERR_INPUT);
}

static void an_issuer_needs_its_own_key(void **state)
{
	auto_party struct party ca = authority("Test CA"), other = authority("Other CA");
	X509 *cert = NULL;
	struct pki_issue order = {.role = PKI_HOST,
				  .cn = "x",
				  .not_before_s = NOW,
				  .not_after_s = NOW + DAY,
				  .subject_key = other.key,
				  .issuer = ca.cert,
				  .issuer_key = other.key};
	assert_int_equal(pki_issue(&order, &cert, NULL), ERR_CRYPTO);
}

static void a_request_gives_its_key_when_signed_with_it(void **state)
{
	auto_pkey EVP_PKEY *key = NULL, *taken = NULL;
	assert_int_equal(pki_key_new(&key, NULL), 0);
	auto_free char *csr = NULL;
	assert_int_equal(pki_csr_new(key, "web-1", &csr, NULL), 0);
	assert_int_equal(pki_csr_key(csr, &taken, NULL), 0);
	assert_int_equal(EVP_PKEY_eq(key, taken), 1);

	auto_free char *huge = xcalloc(17 * 1024 + 1, 1);
	memset(huge, 'x', 17 * 1024);
	EVP_PKEY *none = NULL;
	assert_int_equal(pki_csr_key(huge, &none, NULL), -EFBIG);
	assert_int_equal(pki_csr_key("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", &none, NULL),
			 ERR_FORMAT);
}

/* A request with this key that another key signed (or itself). */
static char *foreign_csr(EVP_PKEY *key, EVP_PKEY *signer)
{
	X509_REQ *req = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	X509_REQ_set_pubkey(req, key);
	assert_true(X509_REQ_sign(req, signer, EVP_sha256()) > 0);
	PEM_write_bio_X509_REQ(bio, req);
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	char *pem = xstrndup(data, (size_t)len);
	BIO_free(bio);
	X509_REQ_free(req);
	return pem;
}

static void requests_with_weak_or_foreign_keys_are_refused(void **state)
{
	auto_pkey EVP_PKEY *good = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	auto_pkey EVP_PKEY *p384 = EVP_EC_gen("P-384"), *odd = EVP_EC_gen("secp256k1");
	auto_pkey EVP_PKEY *weak = EVP_RSA_gen(1024), *rsa = EVP_RSA_gen(2048);
	const struct {
		EVP_PKEY *key, *signer;
		int code;
	} cases[] = {
		{good, good, 0},         {p384, p384, 0},
		{rsa, rsa, 0},           {good, other, ERR_SIGNATURE},
		{weak, weak, ERR_INPUT}, {odd, odd, ERR_INPUT},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *csr = foreign_csr(cases[i].key, cases[i].signer);
		auto_pkey EVP_PKEY *taken = NULL;
		assert_int_equal(pki_csr_key(csr, &taken, NULL), cases[i].code);
	}
}

static void fingerprints_compare_with_colons_and_capitals(void **state)
{
	auto_party struct party ca = authority("Test CA");
	char plain[65], colons[96] = "";
	assert_int_equal(pki_cert_fingerprint(ca.cert, plain, NULL), 0);
	for (int i = 0; i < 32; i++)
		sprintf(colons + strlen(colons), "%s%c%c", i ? ":" : "",
			plain[2 * i] >= 'a' ? plain[2 * i] - 32 : plain[2 * i],
			plain[2 * i + 1] >= 'a' ? plain[2 * i + 1] - 32 : plain[2 * i + 1]);
	assert_true(pki_fingerprint_equal(plain, colons));
	plain[63] = plain[63] == '0' ? '1' : '0';
	assert_false(pki_fingerprint_equal(plain, colons));
	plain[63] = '\0';
	assert_false(pki_fingerprint_equal(plain, plain));
	assert_false(pki_fingerprint_equal("", ""));
}

static void what_the_signer_signed_is_given_back(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_party struct party signer = issue(PKI_SIGNER, "signer", &ca, NOW - 1, NOW + DAY);
	auto_free char *pem = sign_with(&signer, "{\"a\":1}"), *ca_pem = pem_of(ca.cert);
	assert_true(str_starts(pem, "-----BEGIN PKCS7-----"));
	auto_free char *content = NULL, *peeked = NULL;
	size_t len = 0;
	struct error err = {0};
	if (pki_cms_verify(pem, ca_pem, NOW, &content, &len, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(len, 7);
	assert_string_equal(content, "{\"a\":1}");
	assert_int_equal(pki_cms_peek(pem, &peeked, &len, NULL), 0);
	assert_string_equal(peeked, "{\"a\":1}");
}

/* As the official agents do: PKCS7_verify without a look at the chain. */
static void the_official_agents_can_read_it(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_party struct party signer = issue(PKI_SIGNER, "signer", &ca, NOW - 1, NOW + DAY);
	auto_free char *pem = sign_with(&signer, "content");
	BIO *in = BIO_new_mem_buf(pem, -1), *out = BIO_new(BIO_s_mem());
	PKCS7 *p7 = PEM_read_bio_PKCS7(in, NULL, NULL, NULL);
	assert_non_null(p7);
	assert_int_equal(PKCS7_verify(p7, NULL, NULL, NULL, out, PKCS7_NOVERIFY | PKCS7_BINARY), 1);
	char *data;
	assert_int_equal(BIO_get_mem_data(out, &data), 7);
	assert_memory_equal(data, "content", 7);
	PKCS7_free(p7);
	BIO_free(in);
	BIO_free(out);
}

static void only_certificates_for_signing_may_sign(void **state)
{
	auto_party struct party ca = authority("Test CA");
	static const enum pki_role roles[] = {PKI_HOST, PKI_SERVER};
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		auto_party struct party p = issue(roles[i], "web-1", &ca, NOW - 1, NOW + DAY);
		auto_free char *pem = sign_with(&p, "x");
		struct error err = {0};
		assert_int_equal(verify_at(pem, &ca, NOW, &err), ERR_TRUST);
		assert_non_null(strstr(err.text, "CN=web-1"));
		assert_non_null(strstr(err.text, "not meant for signing"));
	}
	auto_free char *pem = sign_with(&ca, "x"); /* the CA itself neither */
	assert_int_equal(verify_at(pem, &ca, NOW, NULL), ERR_TRUST);
}

static void a_signer_of_another_ca_is_refused(void **state)
{
	auto_party struct party ca = authority("Test CA"), other = authority("Test CA");
	auto_party struct party signer = issue(PKI_SIGNER, "signer", &other, NOW - 1, NOW + DAY);
	auto_free char *pem = sign_with(&signer, "x");
	struct error err = {0};
	assert_int_equal(verify_at(pem, &ca, NOW, &err), ERR_TRUST);
	assert_non_null(strstr(err.text, "CN=signer"));
	auto_party struct party alone = issue(PKI_SIGNER, "alone", NULL, NOW - 1, NOW + DAY);
	auto_free char *self = sign_with(&alone, "x");
	assert_int_equal(verify_at(self, &ca, NOW, &err), ERR_TRUST);
}

static void a_host_cannot_act_as_a_ca(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_party struct party host = issue(PKI_HOST, "web-1", &ca, NOW - 1, NOW + DAY);
	auto_party struct party signer = issue(PKI_SIGNER, "signer", &host, NOW - 1, NOW + DAY);
	STACK_OF(X509) *between = sk_X509_new_null();
	sk_X509_push(between, host.cert);
	BIO *in = BIO_new_mem_buf("x", 1), *out = BIO_new(BIO_s_mem());
	CMS_ContentInfo *cms = CMS_sign(signer.cert, signer.key, between, in, CMS_BINARY);
	assert_non_null(cms);
	PEM_write_bio_CMS_stream(out, cms, NULL, 0);
	char *data;
	long len = BIO_get_mem_data(out, &data);
	auto_free char *pem = xstrndup(data, (size_t)len);
	assert_int_equal(verify_at(pem, &ca, NOW, NULL), ERR_TRUST);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	BIO_free(out);
	sk_X509_free(between);
}

static void an_expired_signer_is_told_apart(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_party struct party signer = issue(PKI_SIGNER, "signer", &ca, NOW, NOW + DAY);
	auto_free char *pem = sign_with(&signer, "x");
	struct error err = {0};
	assert_int_equal(verify_at(pem, &ca, NOW + 1, &err), 0);
	assert_int_equal(verify_at(pem, &ca, NOW + 2 * DAY, &err), ERR_EXPIRED);
	assert_non_null(strstr(err.text, "CN=signer, valid 2027-01-15 to 2027-01-16"));
	assert_int_equal(verify_at(pem, &ca, NOW - 1, &err), ERR_EXPIRED);
}

/* Alter one byte of the content inside the DER and wrap it up again. */
static char *altered(const char *pem, const char *find, const char *replace)
{
	BIO *in = BIO_new_mem_buf(pem, -1), *out = BIO_new(BIO_s_mem());
	char *name, *header;
	unsigned char *der;
	long len;
	assert_int_equal(PEM_read_bio(in, &name, &header, &der, &len), 1);
	unsigned char *at = memmem(der, (size_t)len, find, strlen(find));
	assert_non_null(at);
	memcpy(at, replace, strlen(replace));
	PEM_write_bio(out, name, header, der, len);
	char *data;
	long n = BIO_get_mem_data(out, &data);
	char *text = xstrndup(data, (size_t)n);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(in);
	BIO_free(out);
	return text;
}

static void altered_content_is_refused(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_party struct party signer = issue(PKI_SIGNER, "signer", &ca, NOW - 1, NOW + DAY);
	auto_free char *pem = sign_with(&signer, "deploy revision 1");
	auto_free char *bad = altered(pem, "revision 1", "revision 2");
	struct error err = {0};
	assert_int_equal(verify_at(bad, &ca, NOW, &err), ERR_SIGNATURE);
	assert_non_null(strstr(err.text, "CN=signer"));
}

static void two_signers_are_one_too_many(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_party struct party a = issue(PKI_SIGNER, "a", &ca, NOW - 1, NOW + DAY);
	auto_party struct party b = issue(PKI_SIGNER, "b", &ca, NOW - 1, NOW + DAY);
	BIO *in = BIO_new_mem_buf("x", 1), *out = BIO_new(BIO_s_mem());
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, in, CMS_BINARY | CMS_PARTIAL);
	assert_non_null(CMS_add1_signer(cms, a.cert, a.key, EVP_sha256(), 0));
	assert_non_null(CMS_add1_signer(cms, b.cert, b.key, EVP_sha256(), 0));
	assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
	PEM_write_bio_CMS_stream(out, cms, NULL, 0);
	char *data;
	long len = BIO_get_mem_data(out, &data);
	auto_free char *pem = xstrndup(data, (size_t)len);
	struct error err = {0};
	assert_int_equal(verify_at(pem, &ca, NOW, &err), ERR_TRUST);
	assert_string_equal(err.text, "signed document must have exactly one signer");
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	BIO_free(out);
}

static void a_detached_or_broken_document_is_refused(void **state)
{
	auto_party struct party ca = authority("Test CA");
	auto_party struct party signer = issue(PKI_SIGNER, "signer", &ca, NOW - 1, NOW + DAY);
	BIO *in = BIO_new_mem_buf("x", 1), *out = BIO_new(BIO_s_mem());
	CMS_ContentInfo *cms = CMS_sign(signer.cert, signer.key, NULL, in, CMS_DETACHED);
	PEM_write_bio_CMS_stream(out, cms, NULL, 0);
	char *data;
	long len = BIO_get_mem_data(out, &data);
	auto_free char *detached = xstrndup(data, (size_t)len);
	assert_int_equal(verify_at(detached, &ca, NOW, NULL), ERR_FORMAT);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	BIO_free(out);

	auto_free char *cert = pem_of(ca.cert);
	assert_int_equal(verify_at(cert, &ca, NOW, NULL), ERR_FORMAT);
	assert_int_equal(verify_at("", &ca, NOW, NULL), ERR_FORMAT);
	auto_free char *huge = xcalloc(257 * 1024 + 1, 1);
	memset(huge, 'x', 257 * 1024);
	assert_int_equal(verify_at(huge, &ca, NOW, NULL), -EFBIG);
	auto_free char *good = sign_with(&signer, "x");
	char *content = NULL;
	size_t n;
	assert_int_equal(pki_cms_verify(good, "no CA here", NOW, &content, &n, NULL), ERR_FORMAT);
}

/* What the AWS service signs: the chain says nothing, the certificate inside must hold. */
static void an_intact_document_opens_and_tells_its_signer(void **state)
{
	auto_party struct party late = issue(PKI_HOST, "late", NULL, NOW - 9 * DAY, NOW - DAY);
	auto_free char *pem = sign_with(&late, "{\"a\":1}");
	auto_pki_signer struct pki_signer signer = {0};
	auto_free char *content = NULL;
	char fingerprint[65];
	size_t len = 0;
	struct error err = {0};
	if (pki_cms_open(pem, &signer, &content, &len, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(content, "{\"a\":1}");
	assert_int_equal(len, 7);
	assert_int_equal(pki_cert_fingerprint(late.cert, fingerprint, NULL), 0);
	assert_string_equal(signer.fingerprint, fingerprint);
	assert_string_equal(signer.subject[0], "CN=late");
	assert_true(pki_signer_is(&signer, "CN=late"));
	assert_true(pki_signer_is(&signer, "CN = late"));
	assert_false(pki_signer_is(&signer, "CN=later"));
	assert_false(pki_signer_is(&signer, ""));
}

static CMS_ContentInfo *parse_cms(const char *pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len = 0;
	assert_int_equal(PEM_read_bio(in, &name, &header, &der, &len), 1);
	const unsigned char *at = der;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, len);
	assert_non_null(cms);
	BIO_free(in);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return cms;
}

static int open_cms(CMS_ContentInfo *cms, struct error *err)
{
	auto_pki_signer struct pki_signer signer = {0};
	auto_free char *content = NULL;
	size_t len;
	char *data = NULL;
	BIO *out = BIO_new(BIO_s_mem());
	unsigned char *der = NULL;
	int der_len = i2d_CMS_ContentInfo(cms, &der);
	assert_true(PEM_write_bio(out, "CMS", "", der, der_len) > 0);
	OPENSSL_free(der);
	long n = BIO_get_mem_data(out, &data);
	auto_free char *pem = xstrndup(data, (size_t)n);
	BIO_free(out);
	int r = pki_cms_open(pem, &signer, &content, &len, err);
	assert_true(r == 0 || (!content && !signer.subject[0]));
	return r;
}

static void what_is_not_intact_does_not_open(void **state)
{
	auto_party struct party signer = issue(PKI_HOST, "signer", NULL, NOW - 1, NOW + DAY);
	auto_free char *pem = sign_with(&signer, "original");
	CMS_ContentInfo *cms = parse_cms(pem);
	struct error err = {0};
	assert_int_equal(open_cms(cms, &err), 0);
	ASN1_OCTET_STRING **inside = CMS_get0_content(cms);
	assert_int_equal(ASN1_OCTET_STRING_set(*inside, (const unsigned char *)"altered!", 8), 1);
	assert_int_equal(open_cms(cms, &err), ERR_SIGNATURE);
	assert_non_null(strstr(err.text, "CN=signer"));
	CMS_ContentInfo_free(cms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_and_a_certificate_survive_pem),
		cmocka_unit_test(a_certificate_tells_who_it_is_and_until_when),
		cmocka_unit_test(roles_get_their_own_purposes),
		cmocka_unit_test(a_name_that_is_too_long_is_refused),
		cmocka_unit_test(an_issuer_needs_its_own_key),
		cmocka_unit_test(a_request_gives_its_key_when_signed_with_it),
		cmocka_unit_test(requests_with_weak_or_foreign_keys_are_refused),
		cmocka_unit_test(fingerprints_compare_with_colons_and_capitals),
		cmocka_unit_test(what_the_signer_signed_is_given_back),
		cmocka_unit_test(the_official_agents_can_read_it),
		cmocka_unit_test(only_certificates_for_signing_may_sign),
		cmocka_unit_test(a_signer_of_another_ca_is_refused),
		cmocka_unit_test(a_host_cannot_act_as_a_ca),
		cmocka_unit_test(an_expired_signer_is_told_apart),
		cmocka_unit_test(altered_content_is_refused),
		cmocka_unit_test(two_signers_are_one_too_many),
		cmocka_unit_test(a_detached_or_broken_document_is_refused),
		cmocka_unit_test(an_intact_document_opens_and_tells_its_signer),
		cmocka_unit_test(what_is_not_intact_does_not_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
