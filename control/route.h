/* SPDX-License-Identifier: Apache-2.0 */
/* Which request goes to which handler, and who may make it. Two kinds of rows: JSON operations
 * (POST / with X-Amz-Target) and method + path. */
#pragma once

#include "control/server.h"

/* Whom a route admits. */
enum {
	ROLE_NOBODY = 1, /* nothing proved: enrolment */
	ROLE_HOST = 2,   /* an enrolled host, by its certificate */
	ROLE_ADMIN = 4,  /* an access key, by SigV4 */
};

#define ROUTE_JSON_MAX (1024 * 1024)    /* bytes of a JSON body */
#define ROUTE_XML_MAX (4 * 1024 * 1024) /* of one of S3: 10,000 parts, or 1000 keys */

/* A JSON operation: the body is parsed (an object; {} when empty) and the caller admitted. input is
 * borrowed until the handler returns. Answers now, or parks. */
typedef void api_fn(struct request *request, const json_t *input);

/* Any other route. A streamed one is called when the headers are there and sets request->on_piece;
 * else the body is whole. */
typedef void route_fn(struct request *request);

struct route {
	/* JSON operations: the part after the dot; others: NULL */
	const char *operation;
	api_fn *api; /* NULL: known, but not offered here (a fault says so) */
	/* others */
	const char *method;
	const char *path; /* a '*' at the end matches the rest */
	route_fn *handler;
	bool streamed;
	bool s3; /* SigV4 service s3; faults are XML */
	unsigned roles;
	size_t body_max;
};

/* How a request ended up without a route. */
enum route_miss {
	ROUTE_FOUND,
	ROUTE_NO_TARGET,
	ROUTE_UNKNOWN_OPERATION,
	ROUTE_NO_PATH,
	ROUTE_NO_METHOD
};

/* target: the X-Amz-Target header or NULL. On ROUTE_FOUND *ret is set. */
enum route_miss route_find(const char *method, const char *path, const char *target,
			   const struct route **ret);
/* A fault in the form that the route's clients read: JSON, or S3's XML (where the types have other
 * names). route may be NULL. */
void route_reply_fault(const struct route *route, struct request *request, int status,
		       const char *type, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* Answer a miss. */
void route_reply_miss(struct request *request, enum route_miss miss, const char *target);
/* Call the handler of a request that was admitted. */
void route_call(const struct route *route, struct request *request);
