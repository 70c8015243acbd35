// SPDX-License-Identifier: Apache-2.0
/* One get:  [token] -> GET -> done
 *                       401: the token is no longer good, a new one, GET once more
 * The request for a token is answered by IMDSv2 alone. Where it fails and v1 is allowed, the GET
 * goes out without: in a container one hop away the answer with the token does not arrive, but
 * that to a GET does. */
#include "agent/aws/imds.h"

#include "agent/aws/identity.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/http.h"
#include "common/log.h"
#include "common/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define ENDPOINT_V4 "http://169.254.169.254"
#define ENDPOINT_V6 "http://[fd00:ec2::254]"

enum {
	CONNECT_MS = 1000,
	ANSWER_MS = 2000,
	BODY_MAX = 64 * 1024,
	TOKEN_MAX = 1024,
	TOKEN_S = 21600,
	TOKEN_SPARE_S = 300, /* a new one so long before the end of the old one */
	WITHOUT_S = 300,     /* where only v1 answers, a token is asked for no more often */
};

struct imds {
	struct loop *loop;
	struct http_client *http;
	char *endpoint, *token;
	bool allow_v1;
	enum imds_version version;
	uint64_t token_until_us, without_until_us;
	/* the get in progress */
	struct http_call *call;
	sd_event_source *failing;
	struct error failure; /* why it fails, before any request */
	char *path;
	bool renewed; /* the token, after a 401 */
	imds_done_fn *done;
	void *arg;
};

int imds_options(bool disable_v1, struct imds_options *ret, struct error *err)
{
	const char *endpoint = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	if (aws_env_is_true("AWS_EC2_METADATA_DISABLED"))
		return error_set(err, -ENOENT,
				 "the instance's metadata are switched off "
				 "(AWS_EC2_METADATA_DISABLED)");
	bool is_v6 = mode && strcasecmp(mode, "IPv6") == 0;
	if (!str_empty(mode) && !is_v6 && strcasecmp(mode, "IPv4") != 0)
		return error_set(err, ERR_INPUT,
				 "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE must be IPv4 or IPv6, "
				 "not '%.32s'",
				 mode);
	if (!str_empty(endpoint) && !str_starts(endpoint, "http://") &&
	    !str_starts(endpoint, "https://"))
		return error_set(err, ERR_INPUT,
				 "AWS_EC2_METADATA_SERVICE_ENDPOINT must be http://HOST[:PORT], "
				 "not '%.100s'",
				 endpoint);
	*ret = (struct imds_options){
		.endpoint = !str_empty(endpoint) ? endpoint
			    : is_v6              ? ENDPOINT_V6
						 : ENDPOINT_V4,
		.allow_v1 = !disable_v1 && !aws_env_is_true("AWS_EC2_METADATA_V1_DISABLED"),
	};
	return 0;
}

int imds_new(struct loop *loop, const struct imds_options *options, struct imds **ret,
	     struct error *err)
{
	const struct http_options http = {
		.proxy = "", /* never */
		.allow_http = true,
		.connect_timeout_ms = CONNECT_MS,
	};
	auto_imds struct imds *imds = xcalloc(1, sizeof(*imds));
	imds->loop = loop;
	imds->allow_v1 = options->allow_v1;
	imds->endpoint = xstrdup(options->endpoint);
	size_t len = strlen(imds->endpoint);
	while (len && imds->endpoint[len - 1] == '/')
		imds->endpoint[--len] = '\0';
	int r = http_client_new(loop, &http, &imds->http, err);
	if (r < 0)
		return r;
	*ret = TAKE(imds);
	return 0;
}

static void drop_token(struct imds *imds)
{
	if (imds->token)
		explicit_bzero(imds->token, strlen(imds->token));
	free(TAKE(imds->token));
}

void imds_free(struct imds *imds)
{
	if (!imds)
		return;
	sd_event_source_disable_unref(imds->failing);
	http_client_free(imds->http);
	drop_token(imds);
	free(imds->endpoint);
	free(imds->path);
	free(imds);
}

const char *imds_endpoint(const struct imds *imds)
{
	return imds->endpoint;
}

enum imds_version imds_version(const struct imds *imds)
{
	return imds->version;
}

/* text: of a response, or NULL. The last thing done to imds: the callback may free it. */
static void finish(struct imds *imds, int code, const char *text, const struct error *why)
{
	imds_done_fn *done = imds->done;
	void *arg = imds->arg;
	imds->call = NULL;
	imds->done = NULL;
	free(TAKE(imds->path));
	done(code, text, why, arg);
}

static int on_failing(sd_event_source *source, void *arg)
{
	struct imds *imds = arg;
	const struct error why = imds->failure;
	imds->failing = sd_event_source_disable_unref(imds->failing);
	finish(imds, why.code, NULL, &why);
	return 0;
}

/* What cannot even be sent is told from the loop, too. */
static void fail_soon(struct imds *imds, const struct error *why)
{
	imds->failure = *why;
	if (sd_event_add_defer(imds->loop->event, &imds->failing, on_failing, imds) < 0)
		log_error("the instance's metadata cannot be asked for: no event source");
}

static void send_request(struct imds *imds, const char *method, const char *path,
			 const struct http_header *header, http_done_fn *done)
{
	struct error err = {0};
	auto_free char *url = xasprintf("%s%s", imds->endpoint, path);
	const struct http_request request = {
		.method = method,
		.url = url,
		.headers = header,
		.n_headers = header ? 1 : 0,
		.timeout_ms = ANSWER_MS,
		.max_body = BODY_MAX,
	};
	if (http_start(imds->http, &request, done, imds, &imds->call, &err) < 0)
		fail_soon(imds, &err);
}

static void trim(struct buf *body)
{
	if (!body->data)
		return;
	while (body->len && isspace((unsigned char)body->data[body->len - 1]))
		body->data[--body->len] = '\0';
	size_t blanks = 0;
	while (isspace((unsigned char)body->data[blanks]))
		blanks++;
	buf_consume(body, blanks);
}

static void wipe(struct buf *body)
{
	if (body->data)
		explicit_bzero(body->data, body->room);
}

static void ask_token(struct imds *imds);

static int judge(const struct imds *imds, const struct http_response *response, struct error *err)
{
	if (response->code < 0)
		return error_set(err, response->code, "the instance's metadata: %s",
				 response->error.text);
	if (response->status == 200 && strlen(buf_str(&response->body)) == response->body.len)
		return 0;
	int code = response->status == 404                              ? ERR_NOT_FOUND
		   : response->status == 401 || response->status == 403 ? ERR_DENIED
									: ERR_HTTP;
	return error_set(err, code, "the instance's metadata (%s) answer '%s' with HTTP %d%s",
			 imds->endpoint, imds->path, response->status,
			 response->status == 200   ? " and a NUL byte"
			 : response->status == 403 ? ": they may be switched off for this instance"
						   : "");
}

static void note_version(struct imds *imds)
{
	imds->version = imds->token ? IMDS_V2 : IMDS_V1;
	if (imds->version == IMDS_V1 && clock_mono_us() >= imds->without_until_us)
		imds->without_until_us = clock_mono_us() + WITHOUT_S * UINT64_C(1000000);
}

static void on_answer(struct http_call *call, struct http_response *response, void *arg)
{
	struct imds *imds = arg;
	struct error err = {0};
	imds->call = NULL;
	if (response->code == 0 && response->status == 401 && !imds->renewed) {
		imds->renewed = true;
		imds->without_until_us = 0;
		drop_token(imds);
		ask_token(imds);
		return;
	}
	trim(&response->body);
	int code = judge(imds, response, &err);
	if (code == 0)
		note_version(imds);
	struct buf body = response->body; /* the callback may free imds, and the response with it */
	response->body = (struct buf){0};
	finish(imds, code, code == 0 ? buf_str(&body) : NULL, &err);
	wipe(&body);
	buf_clear(&body);
}

static void ask(struct imds *imds)
{
	const struct http_header header = {"X-aws-ec2-metadata-token",
					   imds->token ? imds->token : ""};
	send_request(imds, "GET", imds->path, imds->token ? &header : NULL, on_answer);
}

static bool is_token(const struct buf *body)
{
	const char *s = buf_str(body);
	for (const char *p = s; *p; p++)
		if (*p < '!' || *p > '~')
			return false;
	return body->len > 0 && body->len <= TOKEN_MAX && strlen(s) == body->len;
}

static void without_token(struct imds *imds, const struct http_response *response)
{
	struct error err = {0};
	if (imds->allow_v1) {
		log_debug("the instance's metadata give no token: asking without one");
		ask(imds);
		return;
	}
	if (response->code < 0)
		error_set(&err, response->code, "the instance's metadata: %s",
			  response->error.text);
	else
		error_set(&err, ERR_DENIED,
			  "the instance's metadata (%s) give no token (HTTP %d), and without one "
			  "they are not to be asked",
			  imds->endpoint, response->status);
	finish(imds, err.code, NULL, &err);
}

static void on_token(struct http_call *call, struct http_response *response, void *arg)
{
	struct imds *imds = arg;
	imds->call = NULL;
	trim(&response->body);
	if (response->code < 0 || response->status != 200 || !is_token(&response->body)) {
		without_token(imds, response);
		return;
	}
	imds->token = xstrdup(buf_str(&response->body));
	imds->token_until_us =
		clock_mono_us() + UINT64_C(1000000) * (uint64_t)(TOKEN_S - TOKEN_SPARE_S);
	wipe(&response->body);
	ask(imds);
}

static void ask_token(struct imds *imds)
{
	const struct http_header header = {"X-aws-ec2-metadata-token-ttl-seconds", "21600"};
	send_request(imds, "PUT", "/latest/api/token", &header, on_token);
}

void imds_get(struct imds *imds, const char *path, imds_done_fn *done, void *arg)
{
	imds->done = done;
	imds->arg = arg;
	imds->renewed = false;
	imds->path = xstrdup(path);
	if (imds->token && clock_mono_us() >= imds->token_until_us)
		drop_token(imds);
	if (imds->token || clock_mono_us() < imds->without_until_us)
		ask(imds);
	else
		ask_token(imds);
}
