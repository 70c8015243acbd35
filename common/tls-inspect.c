// SPDX-License-Identifier: Apache-2.0
#include "common/tls-inspect.h"

#include "common/attr.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/dial.h"
#include "common/pki-error.h"
#include "common/pki.h"
#include "common/str.h"
#include "common/tls-handshake.h"
#include "common/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define ALERT_MS 20 /* and two rounds */

DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
#define auto_ssl_ctx CLEANUP(SSL_CTX_free_at)
DEFINE_CLEANUP(SSL *, SSL_free)
#define auto_ssl CLEANUP(SSL_free_at)
DEFINE_CLEANUP(BIO *, BIO_free_all)
#define auto_bio CLEANUP(BIO_free_all_at)

static void name_of(const X509_NAME *name, char *out, size_t room)
{
	auto_bio BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	if (!bio || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0)
		return;
	long len = BIO_get_mem_data(bio, &text);
	auto_free char *clean = str_to_line(text, len > 0 ? (size_t)len : 0);
	snprintf(out, room, "%s", *clean ? clean : "(no name)");
}

static void describe(X509 *cert, struct tls_certificate *ret)
{
	*ret = (struct tls_certificate){
		.not_before_s = pki_cert_not_before(cert),
		.not_after_s = pki_cert_not_after(cert),
	};
	name_of(X509_get_subject_name(cert), ret->subject, sizeof(ret->subject));
	name_of(X509_get_issuer_name(cert), ret->issuer, sizeof(ret->issuer));
}

/* The chain as presented; a server that repeats its own certificate is no longer chain. */
static void note_chain(X509_STORE_CTX *store, struct tls_inspection *ret)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	STACK_OF(X509) *others = X509_STORE_CTX_get0_untrusted(store);
	describe(leaf, &ret->chain[0]);
	ret->n_chain = 1;
	for (int i = 0; i < sk_X509_num(others) && ret->n_chain < TLS_CHAIN_MAX; i++)
		if (X509_cmp(sk_X509_value(others, i), leaf) != 0)
			describe(sk_X509_value(others, i), &ret->chain[ret->n_chain++]);
	tls_list_names(leaf, ret->names, sizeof(ret->names));
}

/* The real verdict: a chain that is refused ends the handshake before we show who we are. */
static int verify(X509_STORE_CTX *store, void *arg)
{
	struct tls_inspection *ret = arg;
	note_chain(store, ret);
	int good = X509_verify_cert(store);
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
	if (good > 0) {
		if (sk_X509_num(chain) > 0)
			describe(sk_X509_value(chain, sk_X509_num(chain) - 1), &ret->root);
		return good;
	}
	int why = X509_STORE_CTX_get_error(store);
	bool name = why == X509_V_ERR_HOSTNAME_MISMATCH || why == X509_V_ERR_IP_ADDRESS_MISMATCH;
	ret->verdict = name ? TLS_OTHER_NAME : TLS_UNTRUSTED;
	snprintf(ret->reason, sizeof(ret->reason), "%s", X509_verify_cert_error_string(why));
	X509 *culprit = X509_STORE_CTX_get_current_cert(store);
	if (culprit)
		name_of(X509_get_subject_name(culprit), ret->culprit, sizeof(ret->culprit));
	return good;
}

/* What OpenSSL's reasons mean for a person. */
static enum tls_verdict judge(unsigned long reason)
{
	static const struct {
		int reason;
		enum tls_verdict verdict;
	} rows[] = {
		{SSL_R_UNSUPPORTED_PROTOCOL, TLS_TOO_OLD},
		{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, TLS_TOO_OLD},
		{SSL_R_UNSUPPORTED_SSL_VERSION, TLS_TOO_OLD},
		{SSL_R_WRONG_SSL_VERSION, TLS_TOO_OLD},
		{SSL_R_WRONG_VERSION_NUMBER, TLS_NOT_TLS},
		{SSL_R_HTTP_REQUEST, TLS_NOT_TLS},
		{SSL_R_PACKET_LENGTH_TOO_LONG, TLS_NOT_TLS},
		{SSL_R_UNEXPECTED_EOF_WHILE_READING, TLS_CLOSED},
		{SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, TLS_REFUSES_US},
		{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, TLS_REFUSES_US},
		{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, TLS_REFUSES_US},
		{SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, TLS_REFUSES_US},
		{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, TLS_REFUSES_US},
		{SSL_R_TLSV1_ALERT_UNKNOWN_CA, TLS_REFUSES_US},
		{SSL_R_TLSV1_ALERT_ACCESS_DENIED, TLS_REFUSES_US},
	};
	if (!reason || ERR_GET_LIB(reason) == ERR_LIB_SYS)
		return TLS_CLOSED;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (ERR_GET_LIB(reason) == ERR_LIB_SSL && ERR_GET_REASON(reason) == rows[i].reason)
			return rows[i].verdict;
	return TLS_BROKEN;
}

static int trust(SSL_CTX *ctx, const struct tls_how *how, struct error *err)
{
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION))
		return pki_error(err, "prepare TLS");
	int good = how->ca_file ? SSL_CTX_load_verify_file(ctx, how->ca_file)
				: SSL_CTX_set_default_verify_paths(ctx);
	if (good)
		return 0;
	ERR_clear_error();
	return error_set(err, ERR_FORMAT, "'%s' holds no certificate that can be read",
			 how->ca_file ? how->ca_file : "the system's trust store");
}

/* A pair that cannot be used is told elsewhere; the peer is looked at without. */
static void introduce(SSL_CTX *ctx, const struct tls_how *how)
{
	if (!how->cert_file || SSL_CTX_use_certificate_chain_file(ctx, how->cert_file) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, how->key_file, SSL_FILETYPE_PEM) != 1)
		ERR_clear_error();
}

static int expect(SSL *ssl, const char *host, struct error *err)
{
	int good = tls_is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
					: SSL_set1_host(ssl, host);
	return good ? 0 : pki_error(err, "prepare TLS");
}

/* With TLS 1.3 the peer looks at our certificate when we are done: an alert about it comes soon
 * after, among its session tickets. */
static unsigned long wait_for_alert(SSL *ssl, int fd, uint64_t took_us, uint64_t deadline_us)
{
	uint64_t soon_us = clock_mono_us() + ALERT_MS * 1000 + 2 * took_us;
	char byte;
	while (dial_wait(fd, POLLIN, soon_us < deadline_us ? soon_us : deadline_us) == 0) {
		ERR_clear_error();
		int r = SSL_peek(ssl, &byte, 1);
		if (r > 0 || SSL_get_error(ssl, r) == SSL_ERROR_WANT_READ)
			continue;
		return ERR_peek_last_error();
	}
	return 0;
}

static void note_success(SSL *ssl, int fd, const struct tls_how *how, uint64_t took_us,
			 struct tls_inspection *ret)
{
	snprintf(ret->version, sizeof(ret->version), "%s", SSL_get_version(ssl));
	snprintf(ret->cipher, sizeof(ret->cipher), "%s", SSL_get_cipher_name(ssl));
	unsigned long reason =
		how->cert_file ? wait_for_alert(ssl, fd, took_us, how->deadline_us) : 0;
	if (reason && judge(reason) == TLS_REFUSES_US) {
		ret->verdict = TLS_REFUSES_US;
		snprintf(ret->reason, sizeof(ret->reason), "%s", ERR_reason_error_string(reason));
	}
	ERR_clear_error();
}

int tls_inspect(int fd, const struct tls_how *how, struct tls_inspection *ret, struct error *err)
{
	*ret = (struct tls_inspection){.verdict = TLS_FINE};
	auto_ssl_ctx SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx)
		return pki_error(err, "prepare TLS");
	int r = trust(ctx, how, err);
	if (r < 0)
		return r;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify, ret);
	introduce(ctx, how);
	auto_ssl SSL *ssl = SSL_new(ctx);
	if (!ssl)
		return pki_error(err, "prepare TLS");
	r = expect(ssl, how->host, err);
	if (r < 0)
		return r;
	unsigned long reason = 0;
	struct error why = {0};
	uint64_t begin_us = clock_mono_us();
	r = tls_shake_hands(ssl, fd, how->host, how->deadline_us, &reason, &why);
	if (r == 0) {
		note_success(ssl, fd, how, clock_mono_us() - begin_us, ret);
	} else if (ret->verdict == TLS_FINE) {
		ret->verdict = r == -ETIMEDOUT ? TLS_SILENT : judge(reason);
		snprintf(ret->reason, sizeof(ret->reason), "%.150s", why.text);
	}
	return 0;
}

int tls_certificate_read(const char *pem, struct tls_certificate *ret, struct error *err)
{
	auto_x509 X509 *cert = NULL;
	int r = pki_cert_from_pem(pem, &cert, err);
	if (r == 0)
		describe(cert, ret);
	return r;
}
