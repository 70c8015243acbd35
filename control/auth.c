// SPDX-License-Identifier: Apache-2.0
#include "control/auth.h"

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/str.h"
#include "control/control.h"
#include "control/store.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum problem {
	NO_SIGNATURE,
	MALFORMED,
	MALFORMED_URL,
	WRONG_SCOPE,
	WRONG_TIME,
	URL_EXPIRED,
	UNKNOWN_KEY,
	WRONG_SIGNATURE,
	NO_STORE,
};

/* How the two kinds of services call it: AWS JSON, and S3. */
static const struct {
	int status;
	const char *type;
} faults[][2] = {
	[NO_SIGNATURE] = {{400, "MissingAuthenticationTokenException"}, {403, "AccessDenied"}},
	[MALFORMED] = {{400, "IncompleteSignatureException"},
		       {400, "AuthorizationHeaderMalformed"}},
	[MALFORMED_URL] = {{400, "IncompleteSignatureException"},
			   {400, "AuthorizationQueryParametersError"}},
	[WRONG_SCOPE] = {{400, "InvalidSignatureException"}, {400, "AuthorizationHeaderMalformed"}},
	[WRONG_TIME] = {{400, "InvalidSignatureException"}, {403, "RequestTimeTooSkewed"}},
	[URL_EXPIRED] = {{400, "InvalidSignatureException"}, {403, "AccessDenied"}},
	[UNKNOWN_KEY] = {{400, "UnrecognizedClientException"}, {403, "InvalidAccessKeyId"}},
	[WRONG_SIGNATURE] = {{400, "InvalidSignatureException"}, {403, "SignatureDoesNotMatch"}},
	[NO_STORE] = {{500, "InternalFailure"}, {500, "InternalError"}},
};

static int refuse(struct auth_fault *fault, enum problem problem, bool s3, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
static int refuse(struct auth_fault *fault, enum problem problem, bool s3, const char *fmt, ...)
{
	fault->status = faults[problem][s3].status;
	fault->type = faults[problem][s3].type;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(fault->text, sizeof(fault->text), fmt, ap);
	va_end(ap);
	return ERR_DENIED;
}

static bool service_is_right(const char *service, bool s3)
{
	if (s3)
		return strcmp(service, "s3") == 0;
	return strcmp(service, "codedeploy") == 0 || strcmp(service, "codedeploy-commands") == 0;
}

static const char *find_header(const struct sigv4_request *request, const char *name)
{
	for (size_t i = 0; i < request->n_headers; i++)
		if (strcasecmp(request->headers[i].name, name) == 0)
			return request->headers[i].value;
	return NULL;
}

static int refuse_unsigned(const struct sigv4_request *request, struct auth_fault *fault)
{
	if (request->s3 && request->query && strstr(request->query, "AWSAccessKeyId="))
		return refuse(fault, NO_SIGNATURE, true,
			      "this presigned URL has Signature Version 2: make it with version 4 "
			      "(s3.signature_version = s3v4)");
	return refuse(fault, NO_SIGNATURE, request->s3,
		      "the request is not signed (AWS Signature Version 4 in the "
		      "Authorization header), and the connection has no host certificate");
}

static bool is_presigned(const struct sigv4_request *request, const char *authorization)
{
	return request->s3 && !authorization && request->query &&
	       strstr(request->query, "X-Amz-Signature=");
}

static int check_time(const struct sigv4_request *request, const struct sigv4_auth *auth,
		      int64_t now_s, struct auth_fault *fault)
{
	struct error err = {0};
	char date[SIGV4_DATE_LEN];
	bool s3 = request->s3;
	if (auth->url_date[0]) {
		int r = sigv4_check_expiry(auth, now_s, AUTH_SKEW_S3_S, &err);
		if (r < 0)
			return refuse(fault, r == ERR_EXPIRED ? URL_EXPIRED : MALFORMED_URL, s3,
				      "%s", err.text);
		return 0;
	}
	if (sigv4_date(request, date, &err) < 0)
		return refuse(fault, MALFORMED, s3, "%s", err.text);
	int r = sigv4_check_time(auth, date, now_s, s3 ? AUTH_SKEW_S3_S : AUTH_SKEW_JSON_S, &err);
	if (r < 0)
		return refuse(fault, r == ERR_EXPIRED ? WRONG_TIME : MALFORMED, s3, "%s", err.text);
	return 0;
}

int auth_sigv4(struct store *store, const struct sigv4_request *request, const char *authorization,
	       int64_t now_s, char ret_access_key_id[129], struct auth_fault *fault)
{
	struct error err = {0};
	struct sigv4_auth auth;
	bool s3 = request->s3, url = is_presigned(request, authorization);
	*fault = (struct auth_fault){0};

	if (!authorization && !url)
		return refuse_unsigned(request, fault);
	if (url && sigv4_parse_query(request->query, &auth, &err) < 0)
		return refuse(fault, MALFORMED_URL, s3, "%s", err.text);
	if (!url && sigv4_parse(authorization, &auth, &err) < 0)
		return refuse(fault, MALFORMED, s3, "%s", err.text);
	memcpy(fault->access_key_id, auth.access_key_id, sizeof(fault->access_key_id));
	if (!service_is_right(auth.service, s3))
		return refuse(fault, WRONG_SCOPE, s3,
			      "Credential should be scoped to correct service: '%s'.",
			      s3 ? "s3" : "codedeploy");
	int r = check_time(request, &auth, now_s, fault);
	if (r < 0)
		return r;

	struct store_key key;
	r = store_key_get(store, auth.access_key_id, &key, &err);
	if (r == ERR_NOT_FOUND)
		return refuse(fault, UNKNOWN_KEY, s3,
			      s3 ? "The access key id does not exist in our records."
				 : "The security token included in the request is invalid.");
	if (r < 0)
		return refuse(fault, NO_STORE, s3, "%s", err.text);
	/* A body hash that was signed must be that of the body. (S3: the handler looks.) */
	const char *claimed = find_header(request, "x-amz-content-sha256");
	if (!s3 && claimed && strcasecmp(claimed, request->payload_hash) != 0)
		r = error_set(
			&err, ERR_SIGNATURE,
			"The request signature we calculated does not match the signature you "
			"provided: x-amz-content-sha256 is not that of the body.");
	else
		r = sigv4_verify(request, &auth, key.secret, &err);
	explicit_bzero(&key, sizeof(key));
	if (r < 0)
		return refuse(fault, WRONG_SIGNATURE, s3, "%s", err.text);
	memcpy(ret_access_key_id, auth.access_key_id, sizeof(auth.access_key_id));
	return 0;
}

int auth_check_host(struct store *store, const struct caller *caller, struct error *err)
{
	return store_cert_check(store, caller->name, caller->serial, err);
}

struct header_list {
	struct sigv4_header headers[SIGV4_HEADERS_MAX];
	size_t count;
	bool full;
};

static void add_header(const char *name, const char *value, void *arg)
{
	struct header_list *list = arg;
	if (list->count == ARRAY_LEN(list->headers))
		list->full = true;
	else
		list->headers[list->count++] = (struct sigv4_header){name, value};
}

static bool refuse_request(struct request *request, const struct route *route,
			   const struct auth_fault *fault)
{
	auto_free char *id = str_to_utf8(fault->access_key_id, strlen(fault->access_key_id));
	auto_free char *text = str_to_utf8(fault->text, strlen(fault->text));
	const char *const fields[] = {"ACCESS_KEY_ID", id, "PEER", request->caller.peer, NULL};
	log_event(LOG_WARNING, NULL, fields, "refused %s of %s, access key '%s': %s",
		  route->operation ? route->operation : request->method, request->caller.peer,
		  id[0] ? id : "none", text);
	route_reply_fault(route, request, fault->status, fault->type, "%s", fault->text);
	return false;
}

static bool admit_signature(struct request *request, const struct route *route)
{
	struct auth_fault fault = {0};
	struct header_list list = {0};
	char body_hash[DIGEST_SHA256_HEX];
	request_each_header(request, add_header, &list);
	struct sigv4_request signed_request = {.method = request->method,
					       .path = request->path,
					       .query = request->query,
					       .headers = list.headers,
					       .n_headers = list.count,
					       .s3 = route->s3};
	if (list.full) {
		refuse(&fault, MALFORMED, route->s3, "more than %d headers", SIGV4_HEADERS_MAX);
		return refuse_request(request, route, &fault);
	}
	const char *authorization = request_header(request, "Authorization");
	if (route->s3 && !authorization) { /* a presigned URL knows no body */
		signed_request.payload_hash = SIGV4_UNSIGNED_PAYLOAD;
	} else if (route->s3) {
		signed_request.payload_hash = request_header(request, "x-amz-content-sha256");
		if (!signed_request.payload_hash) {
			refuse(&fault, MALFORMED, true,
			       "Missing required header for this request: x-amz-content-sha256");
			return refuse_request(request, route, &fault);
		}
	} else {
		digest_sha256_hex(request->body.data, request->body.len, body_hash);
		signed_request.payload_hash = body_hash;
	}
	if (auth_sigv4(request->control->store, &signed_request, authorization, clock_wall_s(),
		       request->caller.name, &fault) < 0)
		return refuse_request(request, route, &fault);
	request->caller.kind = CALLER_KEY;
	return true;
}

static bool refuse_role(struct request *request, const struct route *route, const char *text)
{
	struct auth_fault fault = {.status = 403,
				   .type = route->s3 ? "AccessDenied" : "AccessDeniedException"};
	snprintf(fault.text, sizeof(fault.text), "%s", text);
	return refuse_request(request, route, &fault);
}

bool auth_admit(struct request *request, const struct route *route)
{
	struct error err = {0};
	if (request->caller.kind == CALLER_HOST &&
	    auth_check_host(request->control->store, &request->caller, &err) < 0)
		return refuse_role(request, route, err.text);
	if (route->roles & ROLE_NOBODY)
		return true;
	if (request->caller.kind == CALLER_HOST) {
		if (route->roles & ROLE_HOST)
			return true;
		return refuse_role(request, route,
				   "this is not for hosts: sign with an access key instead of a "
				   "host certificate");
	}
	if (!(route->roles & ROLE_ADMIN))
		return refuse_role(request, route,
				   "this needs the certificate of an enrolled host");
	return admit_signature(request, route);
}

int auth_chunks(struct request *request, struct sigv4_chunks *ret, struct error *err)
{
	struct sigv4_auth auth;
	struct store_key key;
	const char *authorization = request_header(request, "Authorization");
	const char *date = request_header(request, "x-amz-date");
	if (!authorization || !date)
		return error_set(err, ERR_SIGNATURE,
				 "signed chunks need a signature and a date in the headers");
	int r = sigv4_parse(authorization, &auth, err);
	if (r == 0)
		r = store_key_get(request->control->store, request->caller.name, &key, err);
	if (r < 0)
		return r;
	sigv4_chunks_init(ret, &auth, key.secret, date);
	explicit_bzero(&key, sizeof(key));
	return 0;
}
