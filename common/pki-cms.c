// SPDX-License-Identifier: Apache-2.0
/* Signed documents: CMS SignedData with embedded content. OpenSSL's own CMS check judges a signer
 * as a writer of e-mail; here the signature and the signer's certificate are checked apart, and the
 * purpose is our extended key usage. */
#include "common/pki.h"

#include "common/alloc.h"
#include "common/pki-error.h"
#include "common/str.h"

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define CMS_MAX (256 * 1024)

DEFINE_CLEANUP(BIO *, BIO_free_all)
#define auto_bio CLEANUP(BIO_free_all_at)
DEFINE_CLEANUP(CMS_ContentInfo *, CMS_ContentInfo_free)
#define auto_cms CLEANUP(CMS_ContentInfo_free_at)
DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
#define auto_store CLEANUP(X509_STORE_free_at)
DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)
#define auto_store_ctx CLEANUP(X509_STORE_CTX_free_at)

static void free_certs(STACK_OF(X509) * certs)
{
	sk_X509_pop_free(certs, X509_free);
}
DEFINE_CLEANUP(STACK_OF(X509) *, free_certs)
#define auto_certs CLEANUP(free_certs_at)

static void free_usage(EXTENDED_KEY_USAGE *usage)
{
	EXTENDED_KEY_USAGE_free(usage);
}
DEFINE_CLEANUP(EXTENDED_KEY_USAGE *, free_usage)

int pki_cms_sign(const void *content, size_t len, X509 *signer, EVP_PKEY *key, char **ret_pem,
		 struct error *err)
{
	if (len > CMS_MAX / 2)
		return error_set(err, -EFBIG, "document to sign is larger than %d bytes",
				 CMS_MAX / 2);
	auto_bio BIO *in = BIO_new_mem_buf(content, (int)len);
	auto_cms CMS_ContentInfo *cms =
		in ? CMS_sign(signer, key, NULL, in, CMS_BINARY | CMS_NOSMIMECAP) : NULL;
	if (!cms)
		return pki_error(err, "sign a document");
	unsigned char *der = NULL;
	int der_len = i2d_CMS_ContentInfo(cms, &der);
	auto_bio BIO *out = BIO_new(BIO_s_mem());
	bool good = der_len > 0 && out && PEM_write_bio(out, "PKCS7", "", der, der_len) > 0;
	OPENSSL_free(der);
	if (!good)
		return pki_error(err, "write a signed document");
	char *data = NULL;
	long n = BIO_get_mem_data(out, &data);
	*ret_pem = xstrndup(data, (size_t)n);
	return 0;
}

static CMS_ContentInfo *decode(const char *name, const unsigned char *der, long len)
{
	if (strcmp(name, "PKCS7") != 0 && strcmp(name, "CMS") != 0)
		return NULL;
	const unsigned char *end = der;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &end, len);
	if (cms && end == der + len)
		return cms;
	CMS_ContentInfo_free(cms);
	return NULL;
}

static int parse(const char *pem, CMS_ContentInfo **ret, struct error *err)
{
	if (strnlen(pem, CMS_MAX + 1) > CMS_MAX)
		return error_set(err, -EFBIG, "signed document is larger than %d bytes", CMS_MAX);
	auto_bio BIO *in = BIO_new_mem_buf(pem, -1);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len = 0;
	auto_cms CMS_ContentInfo *cms = NULL;
	if (in && PEM_read_bio(in, &name, &header, &der, &len))
		cms = decode(name, der, len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	ERR_clear_error();
	if (!cms || OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)
		return error_set(err, ERR_FORMAT, "not a signed document (PKCS#7 in PEM form)");
	ASN1_OCTET_STRING **content = CMS_get0_content(cms);
	if (!content || !*content)
		return error_set(err, ERR_FORMAT, "signed document has no content inside");
	*ret = TAKE(cms);
	return 0;
}

static int load_store(const char *ca_pem, X509_STORE **ret, struct error *err)
{
	auto_store X509_STORE *store = X509_STORE_new();
	auto_bio BIO *in = BIO_new_mem_buf(ca_pem, -1);
	if (!store || !in)
		return pki_error(err, "load the CA");
	int count = 0;
	for (;;) {
		auto_x509 X509 *cert = PEM_read_bio_X509(in, NULL, NULL, NULL);
		if (!cert)
			break;
		if (!X509_STORE_add_cert(store, cert))
			return pki_error(err, "load the CA");
		count++;
	}
	ERR_clear_error();
	if (count == 0)
		return error_set(err, ERR_FORMAT, "the CA file holds no certificate");
	*ret = TAKE(store);
	return 0;
}

static bool may_sign(X509 *cert)
{
	if (!(X509_get_extension_flags(cert) & EXFLAG_KUSAGE) ||
	    !(X509_get_key_usage(cert) & KU_DIGITAL_SIGNATURE))
		return false;
	CLEANUP(free_usage_at)
	EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	ASN1_OBJECT *wanted = OBJ_txt2obj(PKI_EKU_SIGNER, 1);
	bool found = false;
	for (int i = 0; usage && wanted && i < sk_ASN1_OBJECT_num(usage); i++)
		found |= OBJ_cmp(sk_ASN1_OBJECT_value(usage, i), wanted) == 0;
	ASN1_OBJECT_free(wanted);
	return found;
}

static bool is_about_time(int verify_error)
{
	return verify_error == X509_V_ERR_CERT_HAS_EXPIRED ||
	       verify_error == X509_V_ERR_CERT_NOT_YET_VALID;
}

/* The certificate alone: issued by one of the CAs, valid at now_s, meant for signing documents. */
static int check_signer(X509 *signer, STACK_OF(X509) * others, X509_STORE *store, int64_t now_s,
			struct error *err)
{
	auto_free char *who = pki_cert_describe(signer);
	auto_store_ctx X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	if (!ctx || !X509_STORE_CTX_init(ctx, store, signer, others))
		return pki_error(err, "check the signer");
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), now_s);
	int good = X509_verify_cert(ctx);
	int why = X509_STORE_CTX_get_error(ctx);
	ERR_clear_error();
	if (good != 1)
		return error_set(err, is_about_time(why) ? ERR_EXPIRED : ERR_TRUST,
				 "signer %s is not trusted: %s", who,
				 X509_verify_cert_error_string(why));
	if (!may_sign(signer))
		return error_set(err, ERR_TRUST,
				 "signer %s is not trusted: its certificate is not meant for "
				 "signing deployment specifications",
				 who);
	return 0;
}

static int find_signer(CMS_ContentInfo *cms, X509 **ret, struct error *err)
{
	if (sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(cms)) != 1)
		return error_set(err, ERR_TRUST, "signed document must have exactly one signer");
	int found = CMS_set1_signers_certs(cms, NULL, 0);
	STACK_OF(X509) *signers = found == 1 ? CMS_get0_signers(cms) : NULL;
	X509 *signer = signers ? sk_X509_value(signers, 0) : NULL;
	if (signer)
		X509_up_ref(signer);
	sk_X509_free(signers);
	ERR_clear_error();
	if (!signer)
		return error_set(err, ERR_TRUST, "signed document lacks its signer's certificate");
	*ret = signer;
	return 0;
}

static void give_content(BIO *bio, char **ret_content, size_t *ret_len)
{
	char *data = NULL;
	long n = BIO_get_mem_data(bio, &data);
	char *copy = xcalloc((size_t)n + 1, 1);
	if (n > 0)
		memcpy(copy, data, (size_t)n);
	*ret_content = copy;
	*ret_len = (size_t)n;
}

static int check_signature(CMS_ContentInfo *cms, X509 *signer, char **ret_content, size_t *ret_len,
			   struct error *err)
{
	auto_bio BIO *out = BIO_new(BIO_s_mem());
	int good =
		out ? CMS_verify(cms, NULL, NULL, NULL, out, CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY)
		    : 0;
	ERR_clear_error();
	if (good != 1) {
		auto_free char *who = pki_cert_describe(signer);
		return error_set(err, ERR_SIGNATURE, "document was altered after %s signed it",
				 who);
	}
	give_content(out, ret_content, ret_len);
	return 0;
}

int pki_cms_verify(const char *pem, const char *ca_pem, int64_t now_s, char **ret_content,
		   size_t *ret_len, struct error *err)
{
	auto_cms CMS_ContentInfo *cms = NULL;
	int r = parse(pem, &cms, err);
	if (r < 0)
		return r;
	auto_store X509_STORE *store = NULL;
	r = load_store(ca_pem, &store, err);
	if (r < 0)
		return r;
	auto_x509 X509 *signer = NULL;
	r = find_signer(cms, &signer, err);
	if (r < 0)
		return r;
	auto_certs STACK_OF(X509) *others = CMS_get1_certs(cms);
	r = check_signer(signer, others, store, now_s, err);
	if (r < 0)
		return r;
	return check_signature(cms, signer, ret_content, ret_len, err);
}

void pki_signer_clear(struct pki_signer *signer)
{
	for (size_t i = 0; i < PKI_SUBJECT_FORMS; i++)
		free(signer->subject[i]);
	*signer = (struct pki_signer){0};
}

static char *print_name(X509_NAME *name, unsigned long flags)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL;
	if (!bio || X509_NAME_print_ex(bio, name, 0, flags) < 0)
		return xstrdup("");
	long n = BIO_get_mem_data(bio, &data);
	return xstrndup(data ? data : "", n > 0 ? (size_t)n : 0);
}

static int describe_signer(X509 *cert, struct pki_signer *ret, struct error *err)
{
	static const unsigned long flags[PKI_SUBJECT_FORMS] = {
		XN_FLAG_SEP_CPLUS_SPC | ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_ESC_MSB,
		XN_FLAG_ONELINE,
		XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ,
		XN_FLAG_RFC2253,
	};
	int r = pki_cert_fingerprint(cert, ret->fingerprint, err);
	for (size_t i = 0; r >= 0 && i < PKI_SUBJECT_FORMS; i++)
		ret->subject[i] = print_name(X509_get_subject_name(cert), flags[i]);
	return r;
}

bool pki_signer_is(const struct pki_signer *signer, const char *subject)
{
	for (size_t i = 0; i < PKI_SUBJECT_FORMS; i++)
		if (str_eq(signer->subject[i], subject))
			return true;
	return false;
}

int pki_cms_open(const char *pem, struct pki_signer *ret_signer, char **ret_content,
		 size_t *ret_len, struct error *err)
{
	auto_cms CMS_ContentInfo *cms = NULL;
	auto_x509 X509 *cert = NULL;
	auto_pki_signer struct pki_signer signer = {0};
	int r = parse(pem, &cms, err);
	if (r >= 0)
		r = find_signer(cms, &cert, err);
	if (r >= 0)
		r = describe_signer(cert, &signer, err);
	if (r >= 0)
		r = check_signature(cms, cert, ret_content, ret_len, err);
	if (r < 0)
		return r;
	*ret_signer = signer;
	signer = (struct pki_signer){0};
	return 0;
}

int pki_cms_peek(const char *pem, char **ret_content, size_t *ret_len, struct error *err)
{
	auto_cms CMS_ContentInfo *cms = NULL;
	int r = parse(pem, &cms, err);
	if (r < 0)
		return r;
	const ASN1_OCTET_STRING *content = *CMS_get0_content(cms);
	auto_bio BIO *bio =
		BIO_new_mem_buf(ASN1_STRING_get0_data(content), ASN1_STRING_length(content));
	if (!bio)
		return pki_error(err, "read a signed document");
	give_content(bio, ret_content, ret_len);
	return 0;
}
