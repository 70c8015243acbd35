/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asking: SigV4 against the access keys of the store. (A host's certificate is read by
 * server.c, which owns TLS; whether it is still welcome is asked of the store here.) */
#pragma once

#include "control/server.h"

#include <stdbool.h>

struct store;

#define AUTH_SKEW_JSON_S 300
#define AUTH_SKEW_S3_S 900

/* Why a request was refused: becomes the fault's type. */
struct auth_fault {
	int status;
	const char *type; /* "InvalidSignatureException"; S3: "SignatureDoesNotMatch" */
	char text[512];
};

/* What a SigV4 signature covers; headers and payload are as received. */
struct auth_request {
	const char *method, *path, *query;
	const struct sigv4_header *headers;
	size_t n_headers;
	const char *payload_hash; /* hex SHA-256 of the body; NULL: what x-amz-content-sha256 says
				     (streamed routes, which check it against the body) */
	bool s3;
	int64_t now_s;
};

/* Check the signature of a request without certificate. On success *caller is a CALLER_KEY with the
 * access key id. Returns 0 or ERR_DENIED with *fault filled. */
int auth_sigv4(struct store *store, const struct auth_request *request, struct caller *caller,
	       struct auth_fault *fault) MUST_CHECK;
