/* SPDX-License-Identifier: Apache-2.0 */
/* Whose orders root carries out on this host: the endpoint's at which root enrolled it, or, where
 * root says so in agent.yml and it is not enrolled, those of the AWS service. Both are read from
 * files of root's alone: whoever owns the daemon cannot change them. */
#pragma once

#include "agent/paths.h"
#include "agent/settings.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>

enum trust_kind {
	TRUST_NOBODY,
	TRUST_ENDPOINT, /* specifications of the pinned CA, for this host, for a time */
	TRUST_AWS,      /* intact ones; signed by a certain certificate where one is pinned */
};

struct trust {
	enum trust_kind kind;
	char *ca, *host, *endpoint; /* of TRUST_ENDPOINT: PEM, HostIdentifier, URL */
	char *signer_subject;       /* of TRUST_AWS; NULL: any */
	char *signer_fingerprints;  /* likewise: one or several */
};

/* An enrolment counts whatever agent.yml says, and a broken one (ERR_TRUST) is not replaced by the
 * AWS service. ERR_INPUT when a pinned fingerprint is none. */
int trust_load(const struct paths *paths, const struct settings *settings, struct trust *ret,
	       struct error *err) MUST_CHECK;
void trust_clear(struct trust *trust);
#define auto_trust CLEANUP(trust_clear)

/* TRUST_AWS: is the signer pinned by what nobody else can have, its fingerprint? */
bool trust_is_pinned(const struct trust *trust);

/* Check and open a signed specification: its content, NUL-terminated, is the caller's. Also sets
 * *ret_signer (TRUST_AWS only, may be NULL; caller frees): who has signed, for the log. ERR_TRUST,
 * ERR_SIGNATURE, ERR_EXPIRED, ERR_FORMAT. */
int trust_open(const struct trust *trust, const json_t *specification, char **ret, size_t *ret_len,
	       char **ret_signer, struct error *err) MUST_CHECK;

/* In words, for status and doctor: "the endpoint 'https://...'". Caller frees. */
char *trust_describe(const struct trust *trust);
/* {"kind": "endpoint" "aws" "nobody", "text", "endpoint", "signer_subject", "signer_fingerprint"},
 * new reference. */
json_t *trust_to_json(const struct trust *trust);
