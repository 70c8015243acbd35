/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoint needs of GnuTLS, which libmicrohttpd brings: our certificate, and the peer's.
 */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"
#include "control/server.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

/* TLS 1.2 and 1.3, no cipher below 128 bits. */
#define SECURE_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* Our certificate with its chain, and key. */
struct secure_identity {
	gnutls_pcert_st chain[4];
	unsigned count;
	gnutls_privkey_t key;
	struct secure_identity *older; /* that was replaced; the owner may keep a list */
};

int secure_identity_new(const char *cert_pem, const char *key_pem, struct secure_identity **ret,
			struct error *err) MUST_CHECK;
void secure_identity_free(struct secure_identity *identity);

/* After the handshake: who is it? Returns 0 when no certificate was presented, 1 with name and
 * serial set when it is good (chain to our CA, dates, for clients), ERR_TRUST with the
 * certificate's subject and dates when not. */
int secure_peer(gnutls_session_t session, struct caller *caller, struct error *err) MUST_CHECK;
