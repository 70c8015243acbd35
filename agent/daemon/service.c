// SPDX-License-Identifier: Apache-2.0
/* A call to an endpoint of ours goes out at once, over a connection that says who we are. One to
 * AWS is signed, and may take several requests before its caller hears of it:
 *
 *   [gate shut: wait] -> [no credentials at hand: wait] -> sign, send -> answer
 *        ^ throttled, five times at most: the gate shuts                  |
 *        ^ credentials expired, once: ask for others ---------------------+
 *        ^ the time of signing was wrong, once: take theirs --------------'
 *
 * What an answer means is in service-judge.c. */
#include "agent/daemon/service.h"

#include "agent/aws/credentials.h"
#include "agent/aws/partition.h"
#include "agent/aws/sign.h"
#include "agent/aws/trust.h"
#include "agent/daemon/backoff.h"
#include "agent/daemon/gate.h"
#include "agent/proxies.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire.h"

#include <string.h>

enum { TIMEOUT_MS = 30000, THROTTLED_MAX = 5 };

struct service {
	struct loop *loop;
	struct http_client *http;
	char *endpoint;
	struct service_call *calls;
	char *ca_file, *proxy, *no_proxy; /* of the settings that it was made of */
	/* AWS */
	struct aws_provider *aws; /* NULL: an endpoint of ours */
	char *region, *version;
	bool secure;
	struct gate gate;
};

struct service_call {
	struct service *service;
	struct service_call *next, **link;
	char *operation, *body;
	uint64_t timeout_ms;
	bool connected;
	struct http_call *http;
	service_done_fn *done;
	void *arg;
	/* AWS */
	sd_event_source *timer;
	struct aws_wait *wait;
	unsigned throttled;
	int64_t signed_s; /* of the last request */
	bool clock_set;
	char *key_id, *refused_id; /* of the last request; of the one refused as expired */
	struct answer refusal;
};

static int open_http(struct service *service, const struct settings *settings,
		     const struct identity *identity, struct error *err)
{
	auto_free char *text = NULL;
	struct http_options options = {
		.ca_file = settings->ca_file ? settings->ca_file : identity->ca_file,
		.cert_file = identity->cert_file,
		.key_file = identity->key_file,
	};
	int r = service->aws ? aws_trust(settings, &options, &text, err) : 0;
	proxies_set(settings, PROXIES_COMMANDS, &options);
	return r < 0 ? r : http_client_new(service->loop, &options, &service->http, err);
}

static const char *endpoint_of(const struct settings *settings, const struct identity *identity)
{
	return settings->endpoint ? settings->endpoint : identity->endpoint;
}

int service_new(struct loop *loop, const struct settings *settings, const struct identity *identity,
		struct aws_provider *aws, struct service **ret, struct error *err)
{
	struct http_options proxies = {0};
	proxies_set(settings, PROXIES_COMMANDS, &proxies);
	auto_service struct service *service = xcalloc(1, sizeof(*service));
	service->loop = loop;
	service->endpoint = xstrdup(endpoint_of(settings, identity));
	service->ca_file = xstrdup_null(settings->ca_file);
	service->proxy = xstrdup_null(proxies.proxy);
	service->no_proxy = xstrdup_null(proxies.no_proxy);
	service->aws = aws;
	service->region = xstrdup_null(identity->region);
	service->version = xstrdup_null(settings->agent_version_header);
	service->secure = settings->enable_auth_policy;
	int r = open_http(service, settings, identity, err);
	if (r < 0)
		return r;
	*ret = TAKE(service);
	return 0;
}

bool service_is_made_of(const struct service *service, const struct settings *settings,
			const struct identity *identity)
{
	struct http_options proxies = {0};
	proxies_set(settings, PROXIES_COMMANDS, &proxies);
	const char *const pairs[][2] = {
		{service->endpoint, endpoint_of(settings, identity)},
		{service->ca_file, settings->ca_file},
		{service->proxy, proxies.proxy},
		{service->no_proxy, proxies.no_proxy},
	};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (!str_eq(pairs[i][0], pairs[i][1]))
			return false;
	return !service->aws || (str_eq(service->region, identity->region) &&
				 str_eq(service->version, settings->agent_version_header) &&
				 service->secure == settings->enable_auth_policy);
}

static void call_free(struct service_call *call)
{
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	sd_event_source_disable_unref(call->timer);
	aws_wait_cancel(call->wait);
	free(call->operation);
	free(call->body);
	free(call->key_id);
	free(call->refused_id);
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
	char *const texts[] = {service->ca_file, service->proxy, service->no_proxy, service->region,
			       service->version};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
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

bool service_is_aws(const struct service *service)
{
	return service->aws;
}

struct aws_provider *service_aws(const struct service *service)
{
	return service->aws;
}

static void answer_with(struct service_call *call, const struct answer *answer)
{
	service_done_fn *done = call->done;
	void *arg = call->arg;
	const struct answer copy = *answer; /* may lie in the call */
	call_free(call);
	done(&copy, arg);
}

static int go_on(struct service_call *call, struct error *err);

static void go_on_or_answer(struct service_call *call)
{
	struct answer answer = {.outcome = OUTCOME_UNREACHABLE};
	if (go_on(call, &answer.error) < 0)
		answer_with(call, &answer);
}

/* Is the answer to be had by asking again? */
static bool repeat(struct service_call *call, const struct http_response *response,
		   const struct answer *answer)
{
	struct service *service = call->service;
	if (!service->aws)
		return false;
	if (answer->outcome == OUTCOME_OK)
		gate_open(&service->gate);
	if (answer->outcome == OUTCOME_THROTTLED) {
		gate_trip(&service->gate, clock_mono_us());
		return call->throttled++ < THROTTLED_MAX;
	}
	switch (service_fault(response)) {
	case AWS_FAULT_EXPIRED:
		aws_provider_refused(service->aws, call->key_id);
		if (call->refused_id)
			return false;
		call->refused_id = xstrdup_null(call->key_id);
		call->refusal = *answer;
		return true;
	case AWS_FAULT_SKEW:
		if (call->clock_set)
			return false;
		call->clock_set = true;
		return aws_provider_set_clock(service->aws, http_header_get(response, "date"),
					      call->signed_s);
	default:
		return false;
	}
}

static void finished(struct http_call *http, struct http_response *response, void *arg)
{
	struct service_call *call = arg;
	auto_json json_t *body = NULL;
	struct answer answer = {.status = response->status};
	answer.outcome = service_judge(response, &body, &answer.error);
	call->http = NULL;
	if (repeat(call, response, &answer)) {
		go_on_or_answer(call);
		return;
	}
	answer.body = body;
	answer_with(call, &answer);
}

static int send_request(struct service_call *call, const struct http_header *headers,
			unsigned count, struct error *err)
{
	auto_free char *url = xasprintf("%s/", call->service->endpoint);
	const struct http_request request = {
		.method = "POST",
		.url = url,
		.headers = headers,
		.n_headers = count,
		.body = call->body,
		.body_len = strlen(call->body),
		.timeout_ms = call->timeout_ms,
		.connect_timeout_ms = call->connected ? call->timeout_ms : 0,
		.max_body = WIRE_MESSAGE_MAX,
	};
	return http_start(call->service->http, &request, finished, call, &call->http, err);
}

/* Our own endpoint knows us by the connection's certificate. */
static int send_plain(struct service_call *call, struct error *err)
{
	auto_free char *target = xasprintf(WIRE_TARGET_COMMANDS ".%s", call->operation);
	const struct http_header headers[] = {
		{"Content-Type", "application/x-amz-json-1.1"},
		{"X-Amz-Target", target},
		{"x-amz-codedeploy-agent-version", "SLIPWAY_" VERSION},
	};
	return send_request(call, headers, ARRAY_LEN(headers), err);
}

static int send_signed(struct service_call *call, const struct aws_credentials *credentials,
		       struct error *err)
{
	struct service *service = call->service;
	auto_free char *target =
		xasprintf("%s.%s", partition_commands_target(service->secure), call->operation);
	call->signed_s = aws_provider_now_s(service->aws);
	const struct aws_order order = {
		.credentials = credentials,
		.region = service->region,
		.service = partition_commands_service(service->secure),
		.now_s = call->signed_s,
		.url = service->endpoint,
		.target = target,
		.version = service->version,
		.body = call->body,
	};
	auto_aws_signed struct aws_signed ours = {0};
	int r = aws_sign(&order, &ours, err);
	if (r < 0)
		return r;
	free(call->key_id);
	call->key_id = xstrdup(credentials->access_key_id);
	return send_request(call, ours.headers, ours.count, err);
}

static void on_credentials(const struct aws_credentials *credentials, const struct error *why,
			   void *arg)
{
	struct service_call *call = arg;
	struct answer answer = {.outcome = OUTCOME_UNREACHABLE};
	call->wait = NULL;
	if (call->refused_id &&
	    (!credentials || str_eq(call->refused_id, credentials->access_key_id))) {
		answer_with(call, &call->refusal);
		return;
	}
	if (!credentials) {
		bool denied = why->code == ERR_DENIED;
		answer.outcome = denied ? OUTCOME_DENIED : OUTCOME_BROKEN;
		answer.error = *why;
		answer_with(call, &answer);
		return;
	}
	if (send_signed(call, credentials, &answer.error) < 0)
		answer_with(call, &answer);
}

static int on_gate(sd_event_source *source, uint64_t usec, void *arg)
{
	go_on_or_answer(arg);
	return 0;
}

/* The next step of a call. Answers nothing itself. */
static int go_on(struct service_call *call, struct error *err)
{
	struct service *service = call->service;
	if (!service->aws)
		return send_plain(call, err);
	uint64_t wait_ms = gate_wait_ms(&service->gate, clock_mono_us(), backoff_random());
	if (wait_ms)
		return loop_timer(service->loop, &call->timer, wait_ms, 50, on_gate, call, err);
	const struct aws_credentials *credentials = aws_provider_at_hand(service->aws);
	if (credentials && !str_eq(credentials->access_key_id, call->refused_id))
		return send_signed(call, credentials, err);
	call->wait = aws_provider_get(service->aws, on_credentials, call);
	return 0;
}

int service_start(struct service *service, const struct service_request *request,
		  service_done_fn *done, void *arg, struct service_call **ret, struct error *err)
{
	struct service_call *call = xcalloc(1, sizeof(*call));
	*call = (struct service_call){
		.service = service,
		.next = service->calls,
		.link = &service->calls,
		.operation = xstrdup(request->operation),
		.body = json_text(request->input),
		.timeout_ms = request->timeout_ms ? request->timeout_ms : TIMEOUT_MS,
		.connected = request->connected,
		.done = done,
		.arg = arg,
	};
	if (call->next)
		call->next->link = &call->next;
	service->calls = call;

	int r = go_on(call, err);
	if (r < 0) {
		call_free(call);
		return r;
	}
	*ret = call;
	return 0;
}

bool service_is_sent(const struct service_call *call)
{
	return call->http && http_is_sent(call->http);
}

void service_cancel(struct service_call *call)
{
	if (!call)
		return;
	http_cancel(call->http);
	call_free(call);
}
