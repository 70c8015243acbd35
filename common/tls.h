/* SPDX-License-Identifier: Apache-2.0 */
/* What OpenSSL's TLS knows and libcurl does not tell: which certificate was refused, and why. */
#pragma once

#include "common/error.h"
#include "common/proxy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_trace {
	bool seen;         /* the peer presented a certificate */
	bool failed;       /* the chain was refused, by reason */
	char reason[128];  /* OpenSSL's words: "certificate has expired" */
	char culprit[256]; /* subject and dates of the certificate that was refused */
	char leaf[256];    /* of the peer's own certificate */
	char names[256];   /* host names and addresses that the peer's certificate is for */
};

/* Have ctx (an SSL_CTX) record the outcome of its chain verification in trace, which must outlive
 * every handshake of ctx. The outcome itself is not changed. */
void tls_trace_attach(void *ctx, struct tls_trace *trace);

/* err = ERR_TRUST with what trace recorded; host is the name that was asked for. */
int tls_trace_error(const struct tls_trace *trace, const char *host, struct error *err);

/* The DNS names and addresses that a certificate (an X509) is for, separated by ", ". */
void tls_list_names(void *cert, char *out, size_t room);

/* For a host that joins and knows its endpoint's CA by fingerprint only: a TLS handshake with
 * host:port (a name, an IPv4 or IPv6 address without brackets; through a proxy where its rules say
 * so) in which nothing is sent. The chain
 * that the peer presents must hold a CA certificate with this SHA-256 fingerprint, which
 * (transitively) signed the peer's own certificate, which is for host. Gives that CA as PEM; the
 * caller frees. ERR_TRUST names both fingerprints and the subject; ERR_NETWORK when there is no
 * TLS peer. */
int tls_find_ca(const char *host, const char *port, const struct proxy_rules *proxy,
		const char *fingerprint, uint64_t timeout_ms, char **ret_ca_pem,
		struct error *err) MUST_CHECK;
