/* SPDX-License-Identifier: Apache-2.0 */
/* What a TLS peer shows of itself, in facts that a person can act on. Nothing is sent but the
 * handshake, and our own certificate only to a peer that is trusted. */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

#define TLS_CHAIN_MAX 8

enum tls_verdict {
	TLS_FINE,
	TLS_SILENT,     /* no answer in time */
	TLS_CLOSED,     /* the connection ended in the handshake */
	TLS_NOT_TLS,    /* it speaks something else */
	TLS_TOO_OLD,    /* only versions before 1.2 */
	TLS_REFUSES_US, /* an alert about our certificate, or its lack */
	TLS_UNTRUSTED,  /* see reason and culprit */
	TLS_OTHER_NAME, /* trusted, but for other names */
	TLS_BROKEN,     /* anything else: see reason */
};

struct tls_certificate {
	char subject[160], issuer[160];
	int64_t not_before_s, not_after_s; /* Unix time */
};

struct tls_inspection {
	enum tls_verdict verdict;
	char version[16], cipher[64]; /* "" when the handshake did not succeed */
	unsigned n_chain;             /* as presented, the peer's own first */
	struct tls_certificate chain[TLS_CHAIN_MAX];
	struct tls_certificate root; /* where the chain ends; only when it is trusted */
	char names[256];             /* that the peer's own certificate is for */
	char reason[160];            /* why not, in OpenSSL's words */
	char culprit[160];           /* subject of the certificate that was refused */
};

struct tls_how {
	const char *host;                 /* name or address, without brackets */
	const char *ca_file;              /* PEM; NULL: the system's trust store */
	const char *cert_file, *key_file; /* ours; NULL: none */
	uint64_t deadline_us;             /* monotonic */
};

/* On a connected, non-blocking fd, which stays the caller's. Fails only for reasons of our own (a
 * ca_file that cannot be read); whatever the peer does is in *ret. */
int tls_inspect(int fd, const struct tls_how *how, struct tls_inspection *ret,
		struct error *err) MUST_CHECK;

/* The first certificate of a PEM text. ERR_FORMAT when there is none. */
int tls_certificate_read(const char *pem, struct tls_certificate *ret,
			 struct error *err) MUST_CHECK;
