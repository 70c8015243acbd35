/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asking, and may he? Hosts by their certificate (server.c has read it, the store says
 * whether it is still welcome), people and pipelines by SigV4 with an access key of the store.
 *
 * Signatures are not remembered: SigV4 has no nonce, SDKs repeat a request byte for byte after a
 * lost answer, and TLS keeps others from seeing one. */
#pragma once

#include "common/sigv4.h"
#include "control/route.h"

#include <stdbool.h>

struct store;

#define AUTH_SKEW_JSON_S 300
#define AUTH_SKEW_S3_S 900

/* Why a request was refused. */
struct auth_fault {
	int status;
	const char *type; /* "InvalidSignatureException"; of S3: "SignatureDoesNotMatch" */
	char text[600];
	char access_key_id[129]; /* "" while unknown */
};

/* Check the SigV4 signature of a request. authorization: the header, or NULL (S3: of a presigned
 * URL, whose payload_hash is UNSIGNED-PAYLOAD). request->payload_hash is the SHA-256 of the body;
 * for S3 what x-amz-content-sha256 says (the handler holds the body against it). Returns 0 with the
 * access key's id, or ERR_DENIED with *fault filled. */
int auth_sigv4(struct store *store, const struct sigv4_request *request, const char *authorization,
	       int64_t now_s, char ret_access_key_id[129], struct auth_fault *fault) MUST_CHECK;

/* Is the host of this certificate still welcome? 0 or ERR_DENIED with the reason. */
int auth_check_host(struct store *store, const struct caller *caller, struct error *err) MUST_CHECK;

/* May this request use this route? Finds out who signed when nobody is known yet. When not, it is
 * answered and logged (access key id and reason, never secret or signature). */
bool auth_admit(struct request *request, const struct route *route) MUST_CHECK;

/* The chain of signatures of a body in signed chunks, of a request that was admitted by its
 * Authorization header. */
int auth_chunks(struct request *request, struct sigv4_chunks *ret, struct error *err) MUST_CHECK;
