/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of a signed request to a JSON service of AWS. */
#pragma once

#include "agent/aws/credentials.h"
#include "common/http.h"

struct aws_order {
	const struct aws_credentials *credentials;
	const char *region, *service;
	int64_t now_s;       /* aws_provider_now_s() */
	const char *url;     /* "https://HOST[:PORT]/" */
	const char *target;  /* X-Amz-Target */
	const char *version; /* x-amz-codedeploy-agent-version */
	const char *body;
};

enum { AWS_SIGNED_HEADERS = 8 };
struct aws_signed {
	struct http_header headers[AWS_SIGNED_HEADERS]; /* values are owned here, and zeroed */
	unsigned count;
};
int aws_sign(const struct aws_order *order, struct aws_signed *ret, struct error *err) MUST_CHECK;
void aws_signed_clear(struct aws_signed *signed_headers);
#define auto_aws_signed CLEANUP(aws_signed_clear)
