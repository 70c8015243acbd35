// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/service.h"

#include "agent/proxies.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire.h"

#include <stdio.h>
#include <string.h>

struct service {
	struct http_client *http;
	char *endpoint;
	struct service_call *calls;
};

struct service_call {
	struct service *service;
	struct service_call *next, **link;
	struct http_call *http;
	service_done_fn *done;
	void *arg;
};

int service_new(struct loop *loop, const struct settings *settings, const struct identity *identity,
		struct service **ret, struct error *err)
{
	auto_service struct service *service = xcalloc(1, sizeof(*service));
	service->endpoint = xstrdup(settings->endpoint ? settings->endpoint : identity->endpoint);
	struct http_options options = {
		.ca_file = settings->ca_file ? settings->ca_file : identity->ca_file,
		.cert_file = identity->cert_file,
		.key_file = identity->key_file,
	};
	proxies_set(settings, PROXIES_COMMANDS, &options);
	int r = http_client_new(loop, &options, &service->http, err);
	if (r < 0)
		return r;
	*ret = TAKE(service);
	return 0;
}

static void call_free(struct service_call *call)
{
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	free(call);
}

void service_free(struct service *service)
{
	if (!service)
		return;
	while (service->calls)
		service_cancel(service->calls);
	http_client_free(service->http);
	free(service->endpoint);
	free(service);
}

void service_reload(struct service *service)
{
	http_client_reload(service->http);
}

const char *service_endpoint(const struct service *service)
{
	return service->endpoint;
}

struct http_client *service_http(struct service *service)
{
	return service->http;
}

/* Faults that say "I do not accept who you are", whatever their status. */
static bool is_denied(int status, const char *type)
{
	static const char *const types[] = {
		"AccessDeniedException",
		"AccessDenied",
		"UnrecognizedClientException",
		"InvalidClientTokenId",
		"ExpiredTokenException",
		"ExpiredToken",
		"InvalidSignatureException",
		"SignatureDoesNotMatch",
		"AuthFailure",
		"MissingAuthenticationTokenException",
		"IncompleteSignatureException",
	};
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_eq(type, types[i]))
			return true;
	return status == 401 || status == 403;
}

/* An answer with an error status. A body that is no fault of the protocol comes from something in
 * between, so it never refuses for good. */
static enum outcome judge_fault(const struct http_response *response, struct error *err)
{
	struct wire_fault fault = {0};
	wire_fault_parse(response->status, http_header_get(response, "x-amzn-errortype"),
			 buf_str(&response->body), response->body.len, &fault);
	enum outcome outcome;
	int code;
	if (wire_fault_is_throttling(response->status, &fault)) {
		outcome = OUTCOME_THROTTLED;
		code = ERR_THROTTLED;
	} else if (is_denied(response->status, fault.type)) {
		outcome = OUTCOME_DENIED;
		code = ERR_DENIED;
	} else if (response->status < 400 || wire_fault_is_transient(response->status, &fault) ||
		   str_starts(fault.type, "HTTP ")) {
		outcome = OUTCOME_BROKEN;
		code = ERR_HTTP;
	} else {
		outcome = OUTCOME_REFUSED;
		code = ERR_HTTP;
	}
	error_set(err, code, "%s%s%s (HTTP %d)", fault.type, *fault.message ? ": " : "",
		  fault.message, response->status);
	return outcome;
}

static enum outcome judge_silence(const struct http_response *response, struct error *err)
{
	*err = response->error;
	if (!err->code)
		error_set(err, response->code, "no answer");
	if (response->code == ERR_DENIED)
		return OUTCOME_DENIED; /* in the TLS handshake */
	return response->code == ERR_LIMIT ? OUTCOME_BROKEN : OUTCOME_UNREACHABLE;
}

enum outcome service_judge(const struct http_response *response, json_t **ret_body,
			   struct error *err)
{
	*ret_body = NULL;
	if (response->code < 0)
		return judge_silence(response, err);
	if (response->status < 200 || response->status > 299)
		return judge_fault(response, err);
	auto_json json_t *body = NULL;
	int r = response->body.len ? json_parse(response->body.data, response->body.len,
						WIRE_MESSAGE_MAX, &body, err)
				   : 0;
	if (r == 0 && !body)
		body = json_object();
	if (r == 0 && !json_is_object(body))
		r = error_set(err, ERR_FORMAT, "not a JSON object");
	if (r < 0) {
		error_prefix(err, ERR_NETWORK, "the answer makes no sense");
		return OUTCOME_BROKEN;
	}
	*ret_body = TAKE(body);
	return OUTCOME_OK;
}

/* The text of an element in a short XML body, "" when there is none. */
static void xml_text(const char *body, const char *element, char *out, size_t room)
{
	*out = '\0';
	auto_free char *open = xasprintf("<%s>", element);
	const char *begin = strstr(body, open);
	if (!begin)
		return;
	begin += strlen(open);
	size_t len = strcspn(begin, "<");
	auto_free char *text = str_to_utf8(begin, len < room ? len : room - 1);
	snprintf(out, room, "%s", text);
}

enum outcome service_judge_download(const struct http_response *response, struct error *err)
{
	if (response->code < 0)
		return judge_silence(response, err);
	int status = response->status;
	if (status == 200 || status == 206)
		return OUTCOME_OK;
	char code[64], message[256];
	xml_text(buf_str(&response->body), "Code", code, sizeof(code));
	xml_text(buf_str(&response->body), "Message", message, sizeof(message));
	error_set(err, ERR_HTTP, "HTTP %d%s%s%s%s", status, *code ? " " : "", code,
		  *message ? ": " : "", message);
	if (status == 429 || str_eq(code, "SlowDown"))
		return OUTCOME_THROTTLED;
	if (status == 401 || status == 403)
		return OUTCOME_DENIED;
	return status >= 400 && status < 500 && status != 408 && status != 416 ? OUTCOME_REFUSED
									       : OUTCOME_BROKEN;
}

static void finished(struct http_call *http, struct http_response *response, void *arg)
{
	struct service_call *call = arg;
	auto_json json_t *body = NULL;
	struct answer answer = {.status = response->status};
	answer.outcome = service_judge(response, &body, &answer.error);
	answer.body = body;
	service_done_fn *done = call->done;
	void *done_arg = call->arg;
	call_free(call);
	done(&answer, done_arg);
}

/* The one place that says who we are in a request: an endpoint that wants SigV4 instead of a client
 * certificate gets its Authorization header here. */
static int start_http(struct service_call *call, const struct service_request *what,
		      struct error *err)
{
	struct service *service = call->service;
	uint64_t timeout_ms = what->timeout_ms ? what->timeout_ms : 30000;
	auto_free char *target = xasprintf(WIRE_TARGET_COMMANDS ".%s", what->operation);
	auto_free char *body = json_text(what->input);
	const struct http_header headers[] = {
		{"Content-Type", "application/x-amz-json-1.1"},
		{"X-Amz-Target", target},
		{"x-amz-codedeploy-agent-version", "SLIPWAY_" VERSION},
	};
	auto_free char *url = xasprintf("%s/", service->endpoint);
	const struct http_request request = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.body = body,
		.body_len = strlen(body),
		.timeout_ms = timeout_ms,
		.connect_timeout_ms = what->connected ? timeout_ms : 0,
		.max_body = WIRE_MESSAGE_MAX,
	};
	return http_start(service->http, &request, finished, call, &call->http, err);
}

int service_start(struct service *service, const struct service_request *request,
		  service_done_fn *done, void *arg, struct service_call **ret, struct error *err)
{
	struct service_call *call = xcalloc(1, sizeof(*call));
	*call = (struct service_call){.service = service, .done = done, .arg = arg};
	call->next = service->calls;
	call->link = &service->calls;
	if (call->next)
		call->next->link = &call->next;
	service->calls = call;

	int r = start_http(call, request, err);
	if (r < 0) {
		call_free(call);
		return r;
	}
	*ret = call;
	return 0;
}

bool service_is_sent(const struct service_call *call)
{
	return http_is_sent(call->http);
}

void service_cancel(struct service_call *call)
{
	if (!call)
		return;
	http_cancel(call->http);
	call_free(call);
}
