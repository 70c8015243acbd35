// SPDX-License-Identifier: Apache-2.0
/* What answers mean. */
#include "agent/daemon/service.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire.h"

static void parse_fault(const struct http_response *response, struct wire_fault *ret)
{
	wire_fault_parse(response->status, http_header_get(response, "x-amzn-errortype"),
			 buf_str(&response->body), response->body.len, ret);
}

enum aws_fault service_fault(const struct http_response *response)
{
	struct wire_fault fault = {0};
	if (response->code < 0 || response->status < 400)
		return AWS_FAULT_OTHER;
	parse_fault(response, &fault);
	return aws_fault_of(fault.type);
}

/* An answer with an error status. A body that is no fault of the protocol comes from something in
 * between, so it never refuses for good. */
static enum outcome judge_fault(const struct http_response *response, struct error *err)
{
	struct wire_fault fault = {0};
	parse_fault(response, &fault);
	enum outcome outcome;
	int code;
	if (wire_fault_is_throttling(response->status, &fault)) {
		outcome = OUTCOME_THROTTLED;
		code = ERR_THROTTLED;
	} else if (wire_fault_is_denied(response->status, &fault)) {
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
