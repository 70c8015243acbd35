/* SPDX-License-Identifier: Apache-2.0 */
/* AWS Signature Version 4: one implementation signs (CLI, agent) and verifies (endpoint). Rules:
 * reference "control-api" section 4, AWS "Signature Version 4 signing process"; proved with the
 * published test vectors in tests/data/sigv4/. */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
#define SIGV4_HEADERS_MAX 64
#define SIGV4_DATE_LEN 17
#define SIGV4_EXPIRES_MAX_S (7 * 86400) /* of a presigned URL */

struct sigv4_header {
	const char *name, *value; /* any case; raw value */
};

struct sigv4_request {
	const char *method;
	const char *path;  /* as on the wire, percent-encoded, without query; "" is "/" */
	const char *query; /* as on the wire, without '?'; NULL or "" for none */
	const struct sigv4_header
		*headers; /* must hold host, and x-amz-date (or date) when verifying */
	size_t n_headers;
	const char *payload_hash; /* lower-case hex SHA-256 of the body, or a literal such as
				     UNSIGNED-PAYLOAD */
	bool s3; /* path is encoded once and not normalised; JSON services: normalised and encoded
		    twice */
};

struct sigv4_key {
	const char *access_key_id, *secret; /* secret never reaches a message */
	const char *region, *service;
};

/* Everything that stands in an Authorization header, or in the query of a presigned URL; strings
 * are copies inside the struct. */
struct sigv4_auth {
	char access_key_id[129];
	char date[9]; /* YYYYMMDD */
	char region[65], service[65];
	char signed_headers[1024]; /* "content-type;host;x-amz-date" */
	char signature[65];
	/* of a presigned URL */
	char url_date[SIGV4_DATE_LEN]; /* "20260102T030405Z"; "": it is a header */
	int64_t expires_s;
};

/* The Authorization header's value for request, signing every header given (but authorization,
 * user-agent, expect, connection, content-length when the caller lists them). amz_date
 * "20260102T030405Z" must also be among the headers as x-amz-date. Caller frees. */
int sigv4_sign(const struct sigv4_request *request, const struct sigv4_key *key,
	       const char *amz_date, char **ret_authorization, struct error *err) MUST_CHECK;

/* Take an Authorization value apart; tolerates blanks after commas and any order. ERR_FORMAT when
 * malformed. */
int sigv4_parse(const char *authorization, struct sigv4_auth *ret, struct error *err) MUST_CHECK;

/* The same of a presigned URL's query, as on the wire: X-Amz-Algorithm, -Credential, -Date,
 * -Expires, -SignedHeaders, -Signature. */
int sigv4_parse_query(const char *query, struct sigv4_auth *ret, struct error *err) MUST_CHECK;

/* Is the signature right for this secret? Uses the headers named in auth->signed_headers, which
 * must include host and, but for a presigned URL, x-amz-date (or date); a received x-amz-* header
 * that is not signed is refused. Does not look at the time (see sigv4_check_time). ERR_SIGNATURE on
 * mismatch. */
int sigv4_verify(const struct sigv4_request *request, const struct sigv4_auth *auth,
		 const char *secret, struct error *err) MUST_CHECK;

/* |now - t| <= skew_s and the day equals the scope's date: else ERR_EXPIRED with the text that AWS
 * uses. */
int sigv4_check_time(const struct sigv4_auth *auth, const char *amz_date, int64_t now_s,
		     int64_t skew_s, struct error *err) MUST_CHECK;

/* The same for a presigned URL: ERR_EXPIRED before its time (but for skew_s) and after its end. */
int sigv4_check_expiry(const struct sigv4_auth *auth, int64_t now_s, int64_t skew_s,
		       struct error *err) MUST_CHECK;

/* The time that request claims, "20260102T030405Z": x-amz-date, or else date (that form or RFC
 * 1123). ERR_FORMAT when there is none. */
int sigv4_date(const struct sigv4_request *request, char out[SIGV4_DATE_LEN],
	       struct error *err) MUST_CHECK;

/* Bodies whose chunks are signed (STREAMING-AWS4-HMAC-SHA256-PAYLOAD and -TRAILER of S3): each
 * signature covers the one before it, the first that of the request's headers. */
struct sigv4_chunks {
	char amz_date[SIGV4_DATE_LEN];
	char scope[160];
	char previous[65];
	uint8_t key[32]; /* secret */
};
enum sigv4_chunk { SIGV4_CHUNK_DATA, SIGV4_CHUNK_TRAILER };
/* auth: of the request, verified. */
void sigv4_chunks_init(struct sigv4_chunks *chunks, const struct sigv4_auth *auth,
		       const char *secret, const char *amz_date);
void sigv4_chunks_clear(struct sigv4_chunks *chunks);
/* The next in order. hash: hex SHA-256 of the chunk's data, or of the trailers ("name:value\n"
 * each). ERR_SIGNATURE. */
int sigv4_chunks_verify(struct sigv4_chunks *chunks, enum sigv4_chunk kind, const char *hash,
			const char *signature, struct error *err) MUST_CHECK;

/* The steps, for the test vectors; NULL when the request is larger than 256 KiB. Caller frees. */
char *sigv4_canonical_request(const struct sigv4_request *request, const char *signed_headers);
char *sigv4_string_to_sign(const char *canonical_request, const char *amz_date, const char *scope);
