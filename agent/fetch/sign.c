// SPDX-License-Identifier: Apache-2.0
#include "agent/fetch/sign.h"

#include "agent/fetch/source.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/sigv4.h"
#include "common/str.h"

#include <string.h>

void fetch_signature_clear(struct fetch_signature *signature)
{
	for (unsigned i = 0; i < signature->n_headers; i++) {
		char *value = (char *)signature->headers[i].value;
		explicit_bzero(value, strlen(value));
		free(value);
	}
	signature->n_headers = 0;
}

static void add(struct fetch_signature *signature, const char *name, const char *value)
{
	signature->headers[signature->n_headers++] =
		(struct http_header){.name = name, .value = xstrdup(value)};
}

int fetch_sign(const char *url, const char *region, const struct aws_credentials *credentials,
	       int64_t now_s, struct fetch_signature *ret, struct error *err)
{
	auto_free char *host = NULL, *path = NULL, *query = NULL, *authorization = NULL;
	char date[CLOCK_ISO_LEN], nothing[DIGEST_SHA256_HEX];
	fetch_url_split(url, &host, &path, &query);
	if (str_ends(host, ":443")) /* as it is sent */
		host[strlen(host) - strlen(":443")] = '\0';
	clock_format_amz(now_s, date);
	digest_sha256_hex("", 0, nothing);
	*ret = (struct fetch_signature){0};
	add(ret, "x-amz-content-sha256", nothing);
	add(ret, "x-amz-date", date);
	if (credentials->session_token)
		add(ret, "x-amz-security-token", credentials->session_token);
	struct sigv4_header headers[FETCH_SIGNED_HEADERS] = {{"host", host}};
	for (unsigned i = 0; i < ret->n_headers; i++)
		headers[i + 1] = (struct sigv4_header){ret->headers[i].name, ret->headers[i].value};
	const struct sigv4_request request = {
		.method = "GET",
		.path = path,
		.query = query,
		.headers = headers,
		.n_headers = ret->n_headers + 1,
		.payload_hash = nothing,
		.s3 = true,
	};
	const struct sigv4_key key = {
		.access_key_id = credentials->access_key_id,
		.secret = credentials->secret,
		.region = region,
		.service = "s3",
	};
	int r = sigv4_sign(&request, &key, date, &authorization, err);
	if (r < 0) {
		fetch_signature_clear(ret);
		return r;
	}
	add(ret, "authorization", authorization);
	return 0;
}
