// SPDX-License-Identifier: Apache-2.0
/* Keys, certificates and requests; signed documents are in pki-cms.c. */
#include "common/pki.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/pki-error.h"
#include "common/str.h"

#include <ctype.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define CSR_MAX (16 * 1024)
#define CN_MAX 64 /* of X.520 */
#define SERIAL_LEN 16

DEFINE_CLEANUP(BIO *, BIO_free_all)
#define auto_bio CLEANUP(BIO_free_all_at)
DEFINE_CLEANUP(X509_REQ *, X509_REQ_free)
#define auto_req CLEANUP(X509_REQ_free_at)
DEFINE_CLEANUP(X509_NAME *, X509_NAME_free)
#define auto_name CLEANUP(X509_NAME_free_at)

int pki_error(struct error *err, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	int r = error_set(err, ERR_CRYPTO, "%s: %s", what, reason ? reason : "OpenSSL failed");
	ERR_clear_error();
	return r;
}

static char *bio_text(BIO *bio)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	return xstrndup(len > 0 ? data : "", len > 0 ? (size_t)len : 0);
}

/* A protected key is an error, not a question at the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

int pki_key_new(EVP_PKEY **ret, struct error *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	if (!key)
		return pki_error(err, "make a key");
	*ret = key;
	return 0;
}

int pki_key_to_pem(EVP_PKEY *key, char **ret_pem, struct error *err)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
		return pki_error(err, "write a key");
	*ret_pem = bio_text(bio);
	return 0;
}

int pki_key_from_pem(const char *pem, EVP_PKEY **ret, struct error *err)
{
	auto_bio BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	if (!key) {
		ERR_clear_error();
		return error_set(err, ERR_FORMAT, "not a private key in PEM form");
	}
	*ret = key;
	return 0;
}

int pki_cert_to_pem(X509 *cert, char **ret_pem, struct error *err)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	if (!bio || !PEM_write_bio_X509(bio, cert))
		return pki_error(err, "write a certificate");
	*ret_pem = bio_text(bio);
	return 0;
}

int pki_cert_from_pem(const char *pem, X509 **ret, struct error *err)
{
	auto_bio BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
	if (!cert) {
		ERR_clear_error();
		return error_set(err, ERR_FORMAT, "not a certificate in PEM form");
	}
	*ret = cert;
	return 0;
}

static int set_cn(X509_NAME *name, const char *cn, struct error *err)
{
	if (str_empty(cn) || strlen(cn) > CN_MAX)
		return error_set(err, ERR_INPUT, "name '%.80s' must have 1 to %d bytes",
				 cn ? cn : "", CN_MAX);
	if (!X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1,
					-1, 0))
		return pki_error(err, "set the certificate's name");
	return 0;
}

static int set_serial(X509 *cert, struct error *err)
{
	unsigned char bytes[SERIAL_LEN];
	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return pki_error(err, "random serial number");
	bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always of the same length */
	BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	bool good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
	BN_free(number);
	return good ? 0 : pki_error(err, "set the serial number");
}

static int add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value, struct error *err)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	bool good = ext && X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return good ? 0 : pki_error(err, "add a certificate extension");
}

/* A DNS name or an IP address; made by hand, because OpenSSL's text form would take commas apart.
 */
static GENERAL_NAME *general_name(const char *text)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	if (!name)
		return NULL;
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(text);
	if (address) {
		GENERAL_NAME_set0_value(name, GEN_IPADD, address);
		return name;
	}
	ASN1_IA5STRING *dns = ASN1_IA5STRING_new();
	if (!dns || !ASN1_STRING_set(dns, text, -1)) {
		ASN1_IA5STRING_free(dns);
		GENERAL_NAME_free(name);
		return NULL;
	}
	GENERAL_NAME_set0_value(name, GEN_DNS, dns);
	return name;
}

static int add_names(X509 *cert, const char *const *names, struct error *err)
{
	GENERAL_NAMES *list = GENERAL_NAMES_new();
	bool good = list;
	for (size_t i = 0; good && names[i]; i++) {
		GENERAL_NAME *name = general_name(names[i]);
		good = name && sk_GENERAL_NAME_push(list, name) > 0;
	}
	ERR_clear_error();
	good = good && X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, 0) == 1;
	GENERAL_NAMES_free(list);
	return good ? 0 : pki_error(err, "add the subject's names");
}

static const struct {
	const char *basic, *usage, *extended;
} roles[] = {
	[PKI_CA] = {"critical,CA:TRUE", "critical,keyCertSign,cRLSign", NULL},
	[PKI_SERVER] = {"critical,CA:FALSE", "critical,digitalSignature", "serverAuth"},
	[PKI_HOST] = {"critical,CA:FALSE", "critical,digitalSignature", "clientAuth"},
	[PKI_SIGNER] = {"critical,CA:FALSE", "critical,digitalSignature",
			"critical," PKI_EKU_SIGNER},
};

static int add_extensions(X509 *cert, const struct pki_issue *issue, struct error *err)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issue->issuer ? issue->issuer : cert, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	const struct {
		int nid;
		const char *value;
	} list[] = {
		{NID_basic_constraints, roles[issue->role].basic},
		{NID_key_usage, roles[issue->role].usage},
		{NID_ext_key_usage, roles[issue->role].extended},
		{NID_subject_key_identifier, "hash"},
		{NID_authority_key_identifier, "keyid:always"},
	};
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		if (!list[i].value)
			continue;
		int r = add_extension(cert, &ctx, list[i].nid, list[i].value, err);
		if (r < 0)
			return r;
	}
	return issue->names && issue->names[0] ? add_names(cert, issue->names, err) : 0;
}

static int set_times(X509 *cert, const struct pki_issue *issue, struct error *err)
{
	if (!ASN1_TIME_set(X509_getm_notBefore(cert), issue->not_before_s) ||
	    !ASN1_TIME_set(X509_getm_notAfter(cert), issue->not_after_s))
		return pki_error(err, "set the certificate's dates");
	return 0;
}

int pki_issue(const struct pki_issue *issue, X509 **ret, struct error *err)
{
	auto_x509 X509 *cert = X509_new();
	if (!cert || !X509_set_version(cert, X509_VERSION_3) ||
	    !X509_set_pubkey(cert, issue->subject_key))
		return pki_error(err, "make a certificate");
	int r = set_serial(cert, err);
	if (r >= 0)
		r = set_times(cert, issue, err);
	if (r >= 0)
		r = set_cn(X509_get_subject_name(cert), issue->cn, err);
	if (r < 0)
		return r;
	X509 *issuer = issue->issuer ? issue->issuer : cert;
	if (!X509_set_issuer_name(cert, X509_get_subject_name(issuer)))
		return pki_error(err, "set the issuer's name");
	if (!X509_check_private_key(issuer, issue->issuer_key))
		return pki_error(err, "issuer's key");
	r = add_extensions(cert, issue, err);
	if (r < 0)
		return r;
	if (!X509_sign(cert, issue->issuer_key, EVP_sha256()))
		return pki_error(err, "sign a certificate");
	*ret = TAKE(cert);
	return 0;
}

int pki_csr_new(EVP_PKEY *key, const char *cn, char **ret_pem, struct error *err)
{
	auto_req X509_REQ *req = X509_REQ_new();
	auto_name X509_NAME *name = X509_NAME_new();
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	if (!req || !name || !bio)
		return pki_error(err, "make a certificate request");
	int r = set_cn(name, cn, err);
	if (r < 0)
		return r;
	if (!X509_REQ_set_version(req, X509_REQ_VERSION_1) || !X509_REQ_set_pubkey(req, key) ||
	    !X509_REQ_set_subject_name(req, name) || !X509_REQ_sign(req, key, EVP_sha256()) ||
	    !PEM_write_bio_X509_REQ(bio, req))
		return pki_error(err, "make a certificate request");
	*ret_pem = bio_text(bio);
	return 0;
}

static bool is_good_key(EVP_PKEY *key)
{
	if (EVP_PKEY_is_a(key, "RSA"))
		return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 8192;
	char group[64] = "";
	if (!EVP_PKEY_is_a(key, "EC") || !EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
		return false;
	int nid = OBJ_txt2nid(group);
	return nid == NID_X9_62_prime256v1 || nid == NID_secp384r1;
}

int pki_csr_key(const char *pem, EVP_PKEY **ret, struct error *err)
{
	if (strnlen(pem, CSR_MAX + 1) > CSR_MAX)
		return error_set(err, -EFBIG, "certificate request is larger than %d bytes",
				 CSR_MAX);
	auto_bio BIO *bio = BIO_new_mem_buf(pem, -1);
	auto_req X509_REQ *req = bio ? PEM_read_bio_X509_REQ(bio, NULL, no_passphrase, NULL) : NULL;
	auto_pkey EVP_PKEY *key = req ? X509_REQ_get_pubkey(req) : NULL;
	ERR_clear_error();
	if (!key)
		return error_set(err, ERR_FORMAT, "not a certificate request in PEM form");
	/* before the signature: checking one with a huge key is work that anybody could order */
	if (!is_good_key(key))
		return error_set(err, ERR_INPUT,
				 "key of the certificate request must be EC P-256, EC P-384, or "
				 "RSA of 2048 to 8192 bits");
	int good = X509_REQ_verify(req, key);
	ERR_clear_error();
	if (good != 1)
		return error_set(err, ERR_SIGNATURE,
				 "certificate request is not signed with its own key");
	*ret = TAKE(key);
	return 0;
}

int pki_cert_fingerprint(X509 *cert, char out[65], struct error *err)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	if (!X509_digest(cert, EVP_sha256(), md, &len) || len != 32)
		return pki_error(err, "fingerprint of a certificate");
	str_hex(md, len, out);
	return 0;
}

int pki_key_fingerprint(EVP_PKEY *key, char out[65], struct error *err)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	if (len <= 0)
		return pki_error(err, "fingerprint of a key");
	digest_sha256_hex(der, (size_t)len, out);
	OPENSSL_free(der);
	return 0;
}

/* The digits of a fingerprint without colons, lower-case; false when they are not 64. */
static bool plain_fingerprint(const char *s, char out[65])
{
	size_t n = 0;
	for (; *s; s++) {
		if (*s == ':')
			continue;
		if (n == 64 || !isxdigit((unsigned char)*s))
			return false;
		out[n++] = (char)tolower((unsigned char)*s);
	}
	out[n] = '\0';
	return n == 64;
}

bool pki_fingerprint_equal(const char *a, const char *b)
{
	char x[65], y[65];
	return plain_fingerprint(a, x) && plain_fingerprint(b, y) && strcmp(x, y) == 0;
}

bool pki_cert_is_of_key(X509 *cert, EVP_PKEY *key)
{
	bool good = X509_check_private_key(cert, key) == 1;
	ERR_clear_error();
	return good;
}

bool pki_pem_holds(const char *pem, const char *fingerprint)
{
	auto_bio BIO *bio = BIO_new_mem_buf(pem, -1);
	bool found = false;
	while (bio && !found) {
		auto_x509 X509 *cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
		char seen[65];
		if (!cert)
			break;
		found = pki_cert_fingerprint(cert, seen, NULL) == 0 &&
			pki_fingerprint_equal(seen, fingerprint);
	}
	ERR_clear_error();
	return found;
}

char *pki_cert_serial(X509 *cert)
{
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = number ? BN_bn2hex(number) : NULL;
	BN_free(number);
	char *copy = xstrdup(hex ? hex : "");
	OPENSSL_free(hex);
	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

char *pki_cert_cn(X509 *cert)
{
	X509_NAME *name = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(name, at) : NULL;
	unsigned char *utf8 = NULL;
	int len = entry ? ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry)) : -1;
	bool good = len > 0 && !memchr(utf8, 0, (size_t)len);
	char *cn = good ? xstrndup((const char *)utf8, (size_t)len) : NULL;
	OPENSSL_free(utf8);
	return cn;
}

static int64_t unix_time(const ASN1_TIME *time)
{
	struct tm tm = {0};
	return ASN1_TIME_to_tm(time, &tm) ? timegm(&tm) : 0;
}

int64_t pki_cert_not_before(X509 *cert)
{
	return unix_time(X509_get0_notBefore(cert));
}

int64_t pki_cert_not_after(X509 *cert)
{
	return unix_time(X509_get0_notAfter(cert));
}

char *pki_cert_describe(X509 *cert)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	if (bio)
		X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
				   XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ);
	auto_free char *subject = bio ? bio_text(bio) : NULL;
	char from[CLOCK_ISO_LEN], to[CLOCK_ISO_LEN];
	clock_format_iso(pki_cert_not_before(cert), from);
	clock_format_iso(pki_cert_not_after(cert), to);
	return xasprintf("%s, valid %.10s to %.10s", str_empty(subject) ? "no subject" : subject,
			 from, to);
}
