/* SPDX-License-Identifier: Apache-2.0 */
/* The command service of the enrolled endpoint, or of AWS: one request of the command protocol, and
 * what its end means for the caller. Protocol: docs/formats/wire.md; as AWS has it:
 * docs/formats/aws.md. */
#pragma once

#include "agent/aws/fault.h"
#include "agent/identity.h"
#include "agent/settings.h"
#include "common/cleanup.h"
#include "common/http.h"
#include "common/loop.h"

#include <jansson.h>
#include <stdint.h>

/* How a request ended, as far as callers act differently. */
enum outcome {
	OUTCOME_OK,
	OUTCOME_UNREACHABLE, /* no answer: network, TLS, time limit */
	OUTCOME_BROKEN,      /* an error of theirs (5xx), or an answer that makes no sense */
	OUTCOME_THROTTLED,
	OUTCOME_DENIED,  /* our identity is not accepted */
	OUTCOME_REFUSED, /* this request will never be accepted */
};

struct answer {
	enum outcome outcome;
	int status;         /* HTTP; 0 when none came */
	json_t *body;       /* of OUTCOME_OK: an object; borrowed */
	struct error error; /* of the others */
};

/* What a response means. *ret_body is a new reference, NULL unless OUTCOME_OK. Pure. */
enum outcome service_judge(const struct http_response *response, json_t **ret_body,
			   struct error *err);

/* Whether the same request, signed anew, may be accepted. Pure. */
enum aws_fault service_fault(const struct http_response *response);

struct service;
struct aws_provider;
/* aws: signs for AWS; borrowed, and NULL for an endpoint of ours. */
int service_new(struct loop *loop, const struct settings *settings, const struct identity *identity,
		struct aws_provider *aws, struct service **ret, struct error *err) MUST_CHECK;
void service_free(struct service *service); /* calls are cancelled without a callback */
DEFINE_CLEANUP(struct service *, service_free)
#define auto_service CLEANUP(service_free_at)
/* Would a new one be another, as far as the settings and who we are go? */
bool service_is_made_of(const struct service *service, const struct settings *settings,
			const struct identity *identity);
/* New certificate on disk. */
void service_reload(struct service *service);
const char *service_endpoint(const struct service *service);
struct http_client *service_http(struct service *service);
bool service_is_aws(const struct service *service);
struct aws_provider *service_aws(const struct service *service); /* NULL: an endpoint of ours */

struct service_request {
	const char *operation;
	const json_t *input;
	uint64_t timeout_ms; /* 0: 30 s */
	bool connected; /* the connection of the last request is there in all likelihood: no wake-up
			   is spent on watching that it is made in time */
};

/* A request of the command service. done is called once, from the loop, after which the call is
 * gone; answer is borrowed. */
struct service_call;
typedef void service_done_fn(const struct answer *answer, void *arg);
int service_start(struct service *service, const struct service_request *request,
		  service_done_fn *done, void *arg, struct service_call **ret,
		  struct error *err) MUST_CHECK;
/* Has it left, over a connection that is trusted? */
bool service_is_sent(const struct service_call *call);
void service_cancel(struct service_call *call); /* no callback will come; NULL is allowed */
