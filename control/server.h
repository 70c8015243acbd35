/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP(S) on the loop: libmicrohttpd in epoll mode, TLS by GnuTLS inside server.c only. Identity is
 * checked in one place before routing: a peer may have no certificate (people with SigV4,
 * enrolment), but a certificate that is presented must be good. */
#pragma once

#include "common/buf.h"
#include "common/error.h"
#include "common/loop.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct control; /* the endpoint: control.h */
struct server;

enum caller_kind { CALLER_NOBODY, CALLER_HOST, CALLER_KEY };

/* Who is asking. */
struct caller {
	enum caller_kind kind;
	char name[128];  /* host name (certificate CN), or access key id */
	char serial[65]; /* certificate serial, hex */
	char peer[64];   /* address, for logs */
};

/* One request. Lives until its answer was sent; a handler that answers later keeps the pointer and
 * hears of the end by on_close. */
struct request {
	struct server *server;
	struct control *control;
	const char *method; /* "POST" */
	const char *path;   /* as on the wire, without query */
	const char *query;  /* raw, "" when none */
	struct caller caller;
	struct buf body; /* whole body, at most the route's ceiling; empty for streamed routes */
	bool aborted;    /* the peer is gone */
	void (*on_close)(struct request *request,
			 void *arg); /* connection closed before an answer: drop every pointer to
					the request */
	void *arg;
	void *internal; /* server.c's */
};

/* Header by case-insensitive name, NULL when absent; borrowed. */
const char *request_header(const struct request *request, const char *name);
/* Percent-decoded query parameter, NULL when absent; "" when without value. Borrowed until the
 * request ends. */
const char *request_query(const struct request *request, const char *name);

/* Answers. Each may be called in the handler or later, exactly once. They leave after the store's
 * commit of this turn of the loop. */
void request_reply_json(struct request *request, int status, const json_t *body);
void request_reply_text(struct request *request, int status, const char *content_type,
			const char *body, size_t len);
/* {"__type": type, "message": ...} with the modelled status (400). */
void request_reply_fault(struct request *request, int status, const char *type, const char *fmt,
			 ...) PRINTF_LIKE(4, 5);
/* A file, or a part of it, streamed; fd is taken over. headers: NULL-terminated name, value pairs.
 */
void request_reply_fd(struct request *request, int status, int fd, uint64_t offset, uint64_t size,
		      const char *const headers[]);
void request_reply_headers(struct request *request, int status, const char *const headers[]);

/* A streamed upload: called for each piece of the body, then once at its end with data NULL. Below
 * 0 stops the upload. */
typedef int request_piece_fn(struct request *request, const char *data, size_t len, void *arg);
