// SPDX-License-Identifier: Apache-2.0
/* Find an endpoint's CA by its fingerprint. OpenSSL is told not to verify, because there is no CA
 * yet to verify by; the presented chain is judged here, after the handshake and before anything is
 * sent. */
#include "common/tls.h"

#include "common/clock.h"
#include "common/pki-error.h"
#include "common/pki.h"
#include "common/tls-handshake.h"
#include "common/tunnel.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
#define auto_ssl_ctx CLEANUP(SSL_CTX_free_at)
DEFINE_CLEANUP(SSL *, SSL_free)
#define auto_ssl CLEANUP(SSL_free_at)
DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
#define auto_store CLEANUP(X509_STORE_free_at)
DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)
#define auto_store_ctx CLEANUP(X509_STORE_CTX_free_at)

/* The presented certificate with this fingerprint, borrowed; NULL. */
static X509 *find_by_fingerprint(STACK_OF(X509) * chain, const char *fingerprint)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		char seen[65];
		X509 *cert = sk_X509_value(chain, i);
		if (pki_cert_fingerprint(cert, seen, NULL) == 0 &&
		    pki_fingerprint_equal(seen, fingerprint))
			return cert;
	}
	return NULL;
}

static int wrong_ca(STACK_OF(X509) * chain, const char *fingerprint, struct error *err)
{
	X509 *last = sk_X509_value(chain, sk_X509_num(chain) - 1);
	char seen[65] = "";
	int r = pki_cert_fingerprint(last, seen, err);
	if (r < 0)
		return r;
	auto_free char *about = pki_cert_describe(last);
	return error_set(err, ERR_TRUST,
			 "the endpoint presents another CA: %s, fingerprint %s, expected %s; check "
			 "--ca-fingerprint against what 'slipway-controld init' printed",
			 about, seen, fingerprint);
}

static void set_expectations(X509_VERIFY_PARAM *param, const char *host)
{
	/* the pinned certificate is the anchor, also when another CA signed it */
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	if (!X509_VERIFY_PARAM_set1_ip_asc(param, host))
		X509_VERIFY_PARAM_set1_host(param, host, 0);
	ERR_clear_error();
}

static int judge(X509 *leaf, STACK_OF(X509) * chain, X509 *ca, const char *host, struct error *err)
{
	auto_store X509_STORE *store = X509_STORE_new();
	auto_store_ctx X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	if (!store || !ctx || !X509_STORE_add_cert(store, ca) ||
	    !X509_STORE_CTX_init(ctx, store, leaf, chain))
		return pki_error(err, "check the endpoint's certificate");
	set_expectations(X509_STORE_CTX_get0_param(ctx), host);
	int good = X509_verify_cert(ctx);
	ERR_clear_error();
	if (good == 1 && X509_check_ca(ca) == 1)
		return 0;
	int why = X509_STORE_CTX_get_error(ctx);
	X509 *culprit = X509_STORE_CTX_get_current_cert(ctx);
	auto_free char *about = pki_cert_describe(culprit ? culprit : leaf);
	return error_set(err, ERR_TRUST, "certificate %s of '%s' is refused: %s", about, host,
			 good == 1 ? "the fingerprint is not that of a CA"
				   : X509_verify_cert_error_string(why));
}

static int look_at_chain(SSL *ssl, const char *host, const char *fingerprint, char **ret_ca_pem,
			 struct error *err)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	if (!chain || sk_X509_num(chain) == 0)
		return error_set(err, ERR_TRUST, "the endpoint presents no certificate");
	X509 *ca = find_by_fingerprint(chain, fingerprint);
	if (!ca)
		return wrong_ca(chain, fingerprint, err);
	int r = judge(sk_X509_value(chain, 0), chain, ca, host, err);
	if (r < 0)
		return r;
	return pki_cert_to_pem(ca, ret_ca_pem, err);
}

int tls_find_ca(const char *host, const char *port, const struct proxy_rules *proxy,
		const char *fingerprint, uint64_t timeout_ms, char **ret_ca_pem, struct error *err)
{
	uint64_t deadline_us = clock_mono_us() + timeout_ms * 1000;
	if (!pki_fingerprint_equal(fingerprint, fingerprint))
		return error_set(err, ERR_INPUT,
				 "a CA fingerprint has 64 hex digits (SHA-256), see what "
				 "'slipway-controld init' printed");
	int status;
	auto_close int fd = tunnel_open(host, port, proxy, timeout_ms, &status, err);
	if (fd < 0)
		return fd;
	auto_ssl_ctx SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION))
		return pki_error(err, "prepare TLS");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	auto_ssl SSL *ssl = SSL_new(ctx);
	if (!ssl)
		return pki_error(err, "prepare TLS");
	unsigned long reason;
	int r = tls_shake_hands(ssl, fd, host, deadline_us, &reason, err);
	if (r < 0)
		return ERR_NETWORK;
	return look_at_chain(ssl, host, fingerprint, ret_ca_pem, err);
}
