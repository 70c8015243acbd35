/* SPDX-License-Identifier: Apache-2.0 */
/* Inside fetch: the headers that make a GET of S3 ours. */
#pragma once

#include "agent/aws/credentials.h"
#include "common/http.h"

enum { FETCH_SIGNED_HEADERS = 4 };

/* They own their values. */
struct fetch_signature {
	struct http_header headers[FETCH_SIGNED_HEADERS];
	unsigned n_headers;
};
int fetch_sign(const char *url, const char *region, const struct aws_credentials *credentials,
	       int64_t now_s, struct fetch_signature *ret, struct error *err) MUST_CHECK;
void fetch_signature_clear(struct fetch_signature *signature);
