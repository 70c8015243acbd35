/* SPDX-License-Identifier: Apache-2.0 */
/* Who this host is for its endpoint: written by enrolment, read by the daemon, kept in paths->agent
 * (0700). The worker reads the CA from paths->host/trust/ca.pem, a copy that root made at
 * enrolment: never from a directory that the daemon owns. Format: docs/formats/identity.md. */
#pragma once

#include "agent/paths.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <stdint.h>

struct identity {
	char *endpoint;        /* https://host:port, no trailing '/' */
	char *name;            /* host name as registered */
	char *host_identifier; /* ARN */
	char *region;
	char *ca_fingerprint;
	int64_t enrolled_s;
	char *key_file, *cert_file, *ca_file; /* absolute paths */
};

/* -ENOENT when the host is not enrolled. */
int identity_load(const struct paths *paths, struct identity **ret, struct error *err) MUST_CHECK;
void identity_free(struct identity *identity);
DEFINE_CLEANUP(struct identity *, identity_free)
#define auto_identity CLEANUP(identity_free_at)
/* Remove key, certificate and identity (not what was deployed). -ENOENT when not enrolled; what a
 * broken enrolment left is removed all the same. */
int identity_remove(const struct paths *paths, struct error *err) MUST_CHECK;

struct identity_enroll {
	const char *endpoint, *token, *ca_fingerprint;
	const char *name; /* NULL: the machine's host name */
	const char *const *tag_keys, *const *tag_values;
	const char *group; /* "APP/GROUP" or NULL */
};
/* Connect, compare the presented CA with the fingerprint BEFORE anything is sent (TLS handshake
 * only), then make a key, send token + CSR over a connection that trusts only that CA, and store
 * everything. ERR_TRUST when the CA is another (both fingerprints and the subject in the text),
 * ERR_DENIED when the token is refused, ERR_EXISTS when already enrolled. Blocking.
 *
 * A crash at any point leaves the host not enrolled or enrolled; after a crash, or a lost answer,
 * the next try sends the same key, so that the endpoint can tell it from a stranger. */
int identity_enroll(const struct paths *paths, const struct identity_enroll *enroll,
		    struct identity **ret, struct error *err) MUST_CHECK;
/* New key and certificate over the old ones; keeps the old until the new is on disk. Both change at
 * once, also under a crash. */
int identity_renew(const struct paths *paths, const struct identity *identity,
		   struct error *err) MUST_CHECK;
