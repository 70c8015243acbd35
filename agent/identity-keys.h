/* SPDX-License-Identifier: Apache-2.0 */
/* The host's key and certificate on disk, inside identity: docs/formats/identity.md. dirfd is
 * paths->agent. */
#pragma once

#include "common/pki.h"

/* Whatever is done in paths->agent is done as its owner. Returns 0 or negative errno. */
struct identity_owner {
	bool changed;
};
int identity_become_owner(int dirfd, struct identity_owner *ret, struct error *err) MUST_CHECK;
void identity_become_self(struct identity_owner *owner);
#define auto_owner CLEANUP(identity_become_self)

/* The key of the pair in the making: the one that is there, else a new one, durable. */
int identity_keys_pending(int dirfd, EVP_PKEY **ret, struct error *err) MUST_CHECK;
/* The pair in the making is complete with this certificate: it counts from now on, at once. Does
 * nothing when it counts already. */
int identity_keys_switch(int dirfd, const char *cert_pem, struct error *err) MUST_CHECK;
/* Is this the certificate of a key that is here, the pair's in the making or the one that counts?
 * Returns 1 or 0. */
int identity_keys_have(int dirfd, const char *cert_pem, struct error *err) MUST_CHECK;
/* Remove every pair. */
int identity_keys_remove(int dirfd, struct error *err) MUST_CHECK;
