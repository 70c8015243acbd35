/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, certificates and signed documents, over OpenSSL. What a host needs (key, CSR, checking a
 * signed specification) and what the endpoint's CA needs (issuing, signing) share one file, because
 * each is the other's test. Keys are ECDSA P-256; documents are CMS (PKCS#7) SignedData. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Extended key usage of the certificate that signs deployment specifications; host and server
 * certificates do not carry it. */
#define PKI_EKU_SIGNER "1.3.6.1.4.1.62253.1.1"

enum pki_role {
	PKI_CA,     /* basicConstraints CA, keyCertSign, cRLSign */
	PKI_SERVER, /* EKU serverAuth, SANs */
	PKI_HOST,   /* EKU clientAuth; CN is the host's name */
	PKI_SIGNER, /* EKU PKI_EKU_SIGNER, digitalSignature */
};

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
#define auto_pkey CLEANUP(EVP_PKEY_free_at)
DEFINE_CLEANUP(X509 *, X509_free)
#define auto_x509 CLEANUP(X509_free_at)

int pki_key_new(EVP_PKEY **ret, struct error *err) MUST_CHECK;
int pki_key_to_pem(EVP_PKEY *key, char **ret_pem,
		   struct error *err) MUST_CHECK; /* PKCS#8, unencrypted; caller frees */
int pki_key_from_pem(const char *pem, EVP_PKEY **ret, struct error *err) MUST_CHECK;
int pki_cert_to_pem(X509 *cert, char **ret_pem, struct error *err) MUST_CHECK;
int pki_cert_from_pem(const char *pem, X509 **ret, struct error *err) MUST_CHECK;

struct pki_issue {
	enum pki_role role;
	const char *cn; /* subject CN, at most 64 bytes */
	const char *const
		*names; /* SANs for PKI_SERVER: DNS names and IP addresses, NULL-terminated */
	int64_t not_before_s, not_after_s; /* Unix time */
	EVP_PKEY *subject_key;             /* its public part */
	X509 *issuer;                      /* NULL: self-signed */
	EVP_PKEY *issuer_key;
};
/* Serial: 16 random bytes, positive. */
int pki_issue(const struct pki_issue *issue, X509 **ret, struct error *err) MUST_CHECK;

/* SHA-256 of its public part (the DER of a SubjectPublicKeyInfo), lower-case hex. */
int pki_key_fingerprint(EVP_PKEY *key, char out[65], struct error *err) MUST_CHECK;

/* Certificate signing request of a host. Caller frees. */
int pki_csr_new(EVP_PKEY *key, const char *cn, char **ret_pem, struct error *err) MUST_CHECK;
/* Check a CSR's own signature and take its key; at most 16 KiB; only EC P-256/P-384 and RSA >=
 * 2048. The name inside is not used. */
int pki_csr_key(const char *pem, EVP_PKEY **ret, struct error *err) MUST_CHECK;

/* SHA-256 of the DER, lower-case hex (64 + NUL): what --ca-fingerprint means. Colons and upper case
 * are accepted in comparisons. */
int pki_cert_fingerprint(X509 *cert, char out[65], struct error *err) MUST_CHECK;
bool pki_fingerprint_equal(const char *a, const char *b);
/* Serial number in lower-case hex; CN (NULL when there is none); times. Caller frees strings. */
char *pki_cert_serial(X509 *cert);
char *pki_cert_cn(X509 *cert);
int64_t pki_cert_not_before(X509 *cert);
int64_t pki_cert_not_after(X509 *cert);
/* "CN=x, valid 2026-01-01 to 2027-01-01" for messages; caller frees. */
char *pki_cert_describe(X509 *cert);

/* Is this the certificate of this key? */
bool pki_cert_is_of_key(X509 *cert, EVP_PKEY *key);
/* Does the PEM text (of several certificates) hold the one with this fingerprint? */
bool pki_pem_holds(const char *pem, const char *fingerprint);

/* Sign content as CMS SignedData with embedded content, PEM with "-----BEGIN PKCS7-----" (the
 * official agents read that). Caller frees. */
int pki_cms_sign(const void *content, size_t len, X509 *signer, EVP_PKEY *key, char **ret_pem,
		 struct error *err) MUST_CHECK;
/* Verify: signature, chain to one of the CAs in ca_pem at time now_s, exactly one signer whose
 * certificate carries PKI_EKU_SIGNER and digitalSignature. Takes PEM ("PKCS7" or "CMS") up to 256
 * KiB. ret_content: NUL-terminated copy, caller frees. ERR_SIGNATURE, ERR_TRUST, ERR_EXPIRED,
 * ERR_FORMAT; the text names the signer's subject where there is one. */
int pki_cms_verify(const char *pem, const char *ca_pem, int64_t now_s, char **ret_content,
		   size_t *ret_len, struct error *err) MUST_CHECK;
/* Whose certificate is inside a signed document. Anybody can make one of any subject: only the
 * fingerprint tells a signer from others. */
#define PKI_SUBJECT_FORMS 4
struct pki_signer {
	char fingerprint[65];             /* as pki_cert_fingerprint() */
	char *subject[PKI_SUBJECT_FORMS]; /* "C=US, O=X, CN=y" first, then as openssl prints it in
					     its versions, then RFC 2253 */
};
void pki_signer_clear(struct pki_signer *signer);
#define auto_pki_signer CLEANUP(pki_signer_clear)
/* Is that its subject, in any of the forms? */
bool pki_signer_is(const struct pki_signer *signer, const char *subject);
/* Verify the signature alone, by the certificate that is inside; neither its chain nor its time.
 * What it takes, returns and refuses is otherwise as with pki_cms_verify(). */
int pki_cms_open(const char *pem, struct pki_signer *ret_signer, char **ret_content,
		 size_t *ret_len, struct error *err) MUST_CHECK;
/* Content without any check: only to find out what a message claims (the daemon, which decides
 * nothing by it). */
int pki_cms_peek(const char *pem, char **ret_content, size_t *ret_len,
		 struct error *err) MUST_CHECK;
