// SPDX-License-Identifier: Apache-2.0
/* Error bodies of the AWS JSON protocol. */
#include "common/wire.h"

#include "common/json.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const throttling_types[] = {
	"Throttling",
	"ThrottlingException",
	"ThrottledException",
	"RequestThrottled",
	"RequestThrottledException",
	"ProvisionedThroughputExceededException",
	"TransactionInProgressException",
	"RequestLimitExceeded",
	"BandwidthLimitExceeded",
	"LimitExceededException",
	"TooManyRequestsException",
	"PriorRequestNotComplete",
	"SlowDown",
	"EC2ThrottledException",
};

/* "I do not accept who you are", whatever the status. */
static const char *const denied_types[] = {
	"AccessDeniedException",
	"AccessDenied",
	"UnrecognizedClientException",
	"InvalidClientTokenId",
	"ExpiredTokenException",
	"ExpiredToken",
	"InvalidSignatureException",
	"SignatureDoesNotMatch",
	"RequestTimeTooSkewed",
	"RequestExpired",
	"RequestInTheFuture",
	"InvalidAccessKeyId",
	"AuthFailure",
	"MissingAuthenticationTokenException",
	"MissingAuthenticationToken",
	"IncompleteSignatureException",
};

static bool is_of(const char *type, const char *const *types, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(type, types[i]))
			return true;
	return false;
}

/* "com.amazon.coral#ValidationException:http://..." gives "ValidationException". */
static void set_type(struct wire_fault *f, const char *type)
{
	const char *hash = strrchr(type, '#');
	snprintf(f->type, sizeof(f->type), "%s", hash ? hash + 1 : type);
	f->type[strcspn(f->type, ":")] = '\0';
}

static const char *first_text(const json_t *obj, const char *a, const char *b)
{
	const char *text = json_string_value(json_object_get(obj, a));
	return text ? text : json_string_value(json_object_get(obj, b));
}

void wire_fault_parse(int status, const char *header_type, const char *body, size_t len,
		      struct wire_fault *ret)
{
	*ret = (struct wire_fault){0};
	auto_json json_t *obj = NULL;
	if (json_parse(body ? body : "", body ? len : 0, WIRE_MESSAGE_MAX, &obj, NULL) < 0)
		obj = NULL;
	const char *type = first_text(obj, "__type", "code");
	const char *message = first_text(obj, "message", "Message");
	set_type(ret, type ? type : header_type ? header_type : "");
	if (!ret->type[0])
		snprintf(ret->type, sizeof(ret->type), "HTTP %d", status);
	snprintf(ret->message, sizeof(ret->message), "%s", message ? message : "");
}

bool wire_fault_is_throttling(int status, const struct wire_fault *f)
{
	return status == 429 || strcasestr(f->type, "throttl") ||
	       is_of(f->type, throttling_types, ARRAY_LEN(throttling_types));
}

bool wire_fault_is_denied(int status, const struct wire_fault *f)
{
	return status == 401 || status == 403 ||
	       is_of(f->type, denied_types, ARRAY_LEN(denied_types));
}

bool wire_fault_is_transient(int status, const struct wire_fault *f)
{
	return status >= 500 || wire_fault_is_throttling(status, f);
}
