// SPDX-License-Identifier: Apache-2.0
#include "agent/aws/sign.h"

#include "agent/aws/keys.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/sigv4.h"

#include <string.h>

void aws_signed_clear(struct aws_signed *s)
{
	for (unsigned i = 0; i < s->count; i++)
		aws_keys_free_text((char *)s->headers[i].value);
	s->count = 0;
}

static void add(struct aws_signed *s, const char *name, const char *value)
{
	s->headers[s->count++] = (struct http_header){name, xstrdup(value)};
}

/* It is sent as it is signed, so that nobody has to know which ports HTTP leaves out. */
static char *host_of(const char *url)
{
	const char *host = strstr(url, "://");
	host = host ? host + 3 : url;
	return xstrndup(host, strcspn(host, "/?#"));
}

int aws_sign(const struct aws_order *order, struct aws_signed *ret, struct error *err)
{
	auto_aws_signed struct aws_signed s = {0};
	char date[CLOCK_ISO_LEN], hash[DIGEST_SHA256_HEX];
	auto_free char *host = host_of(order->url);
	digest_sha256_hex(order->body, strlen(order->body), hash);
	add(&s, "Content-Type", "application/x-amz-json-1.1");
	add(&s, "Host", host);
	add(&s, "X-Amz-Date", clock_format_amz(order->now_s, date));
	add(&s, "X-Amz-Target", order->target);
	add(&s, "x-amz-codedeploy-agent-version", order->version);
	add(&s, "X-Amz-Content-Sha256", hash);
	if (order->credentials->session_token)
		add(&s, "X-Amz-Security-Token", order->credentials->session_token);

	struct sigv4_header headers[AWS_SIGNED_HEADERS];
	for (unsigned i = 0; i < s.count; i++)
		headers[i] = (struct sigv4_header){s.headers[i].name, s.headers[i].value};
	const struct sigv4_request request = {
		.method = "POST",
		.path = "/",
		.headers = headers,
		.n_headers = s.count,
		.payload_hash = hash,
	};
	const struct sigv4_key key = {
		.access_key_id = order->credentials->access_key_id,
		.secret = order->credentials->secret,
		.region = order->region,
		.service = order->service,
	};
	auto_free char *authorization = NULL;
	int r = sigv4_sign(&request, &key, date, &authorization, err);
	if (r < 0)
		return error_prefix(err, r, "sign a request");
	add(&s, "Authorization", authorization);
	*ret = s;
	s.count = 0;
	return 0;
}
