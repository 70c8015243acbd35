/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint's certificate authority: its keys and certificates live in DIR/ca/ (0700, keys
 * 0600): ca.pem ca.key, server.pem server.key, signer.pem signer.key. The server's and the signer's
 * certificate renew themselves. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CA_LIFE_S (3650 * 86400LL)       /* of the CA's own certificate */
#define CA_SERVER_LIFE_S (365 * 86400LL) /* of the server's and the signer's */

struct ca;

/* Open DIR/ca, making the CA where there is none; never overwrites one. The server's and the
 * signer's certificate are not there before ca_renew(). */
int ca_open(int dirfd, struct ca **ret, struct error *err) MUST_CHECK;
void ca_free(struct ca *ca);
DEFINE_CLEANUP(struct ca *, ca_free)
#define auto_ca CLEANUP(ca_free_at)

/* Load the server's and the signer's certificate, or make them: where there is none, where less
 * than a third of its life is left, where the server's names are others. names: DNS names and
 * addresses (NULL-terminated) besides localhost, 127.0.0.1, ::1 and the host's name; NULL: those of
 * the call before. ret_renewed: the server's is new; may be NULL. */
int ca_renew(struct ca *ca, const char *const names[], int64_t now_s, bool *ret_renewed,
	     struct error *err) MUST_CHECK;

/* The next ca_renew() looks at the files again, and makes what is missing there. */
void ca_reload(struct ca *ca);

const char *ca_pem(const struct ca *ca);
const char *ca_fingerprint(const struct ca *ca); /* SHA-256 of the DER, 64 hex digits */
const char *ca_server_pem(const struct ca *ca);  /* the server's certificate, then the CA's */
const char *ca_server_key(const struct ca *ca);

/* Sign a deployment specification: CMS by the signer's certificate, PEM ("PKCS7"). Caller frees. */
int ca_sign(struct ca *ca, const void *content, size_t len, char **ret_pem,
	    struct error *err) MUST_CHECK;

/* A host's certificate for the key of this CSR. Caller frees the strings. ERR_INPUT or ERR_FORMAT
 * when the CSR is not acceptable. */
int ca_issue_host(struct ca *ca, const char *csr_pem, const char *name, int64_t now_s,
		  int64_t life_s, char **ret_pem, char **ret_serial, int64_t *ret_not_after_s,
		  struct error *err) MUST_CHECK;
