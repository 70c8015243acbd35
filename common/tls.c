// SPDX-License-Identifier: Apache-2.0
#include "common/tls.h"

#include "common/buf.h"
#include "common/pki.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static void describe(X509 *cert, char *out, size_t room)
{
	auto_free char *text = pki_cert_describe(cert);
	snprintf(out, room, "%s", text);
}

static void add_name(struct buf *out, const GENERAL_NAME *name)
{
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
	const unsigned char *data = ASN1_STRING_get0_data(value);
	int len = ASN1_STRING_length(value);
	char address[INET6_ADDRSTRLEN];
	if (type == GEN_DNS)
		buf_addf(out, "%s%.*s", out->len ? ", " : "", len, (const char *)data);
	else if (type == GEN_IPADD && (len == 4 || len == 16) &&
		 inet_ntop(len == 4 ? AF_INET : AF_INET6, data, address, sizeof(address)))
		buf_addf(out, "%s%s", out->len ? ", " : "", address);
}

void tls_list_names(void *cert, char *out, size_t room)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	auto_buf struct buf text = BUF_INIT(room - 1);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_DNS || name->type == GEN_IPADD)
			add_name(&text, name);
	}
	GENERAL_NAMES_free(names);
	snprintf(out, room, "%s", buf_str(&text));
}

static int verify(X509_STORE_CTX *store, void *arg)
{
	struct tls_trace *trace = arg;
	*trace = (struct tls_trace){.seen = true};
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	describe(leaf, trace->leaf, sizeof(trace->leaf));
	tls_list_names(leaf, trace->names, sizeof(trace->names));
	int good = X509_verify_cert(store);
	if (good > 0)
		return good;
	X509 *culprit = X509_STORE_CTX_get_current_cert(store);
	describe(culprit ? culprit : leaf, trace->culprit, sizeof(trace->culprit));
	snprintf(trace->reason, sizeof(trace->reason), "%s",
		 X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
	trace->failed = true;
	return good;
}

void tls_trace_attach(void *ctx, struct tls_trace *trace)
{
	/* with TLS 1.2 a server could ask for another handshake long after trace is gone */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_cert_verify_callback(ctx, verify, trace);
}

int tls_trace_error(const struct tls_trace *trace, const char *host, struct error *err)
{
	if (trace->failed)
		return error_set(err, ERR_TRUST, "certificate %s is refused: %s", trace->culprit,
				 trace->reason);
	return error_set(err, ERR_TRUST, "certificate %s is not for '%s' but for %s", trace->leaf,
			 host, trace->names[0] ? trace->names : "no host");
}
