/* SPDX-License-Identifier: Apache-2.0 */
/* HTTPS on the loop: libmicrohttpd in epoll mode, TLS by GnuTLS. Who asks is found out in one
 * place, before routing (auth.h): a peer may have no certificate (people with SigV4, enrolment),
 * but a certificate that is presented must be good, whatever is asked.
 *
 * One turn of the loop is one transaction: a handler that wrote leaves the store dirty, and every
 * answer given since then is kept until the turn's end, when the store is committed once. */
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
	char name[129];  /* host name (certificate CN), or access key id */
	char serial[65]; /* certificate serial, hex; "" without certificate */
	char peer[64];   /* address, for logs */
};

struct request;

/* The connection was closed before an answer was given, or the caller was revoked meanwhile, or the
 * endpoint stops: drop every pointer to the request, give no answer. */
typedef void request_close_fn(struct request *request, void *arg);

/* A streamed upload: called for each piece of the body, then once at its end with data NULL. Below
 * 0 stops the upload: an answer was given, or 500 is; the rest of the body is dropped. */
typedef int request_piece_fn(struct request *request, const char *data, size_t len, void *arg);

/* One request. Lives until its answer was sent or on_close was called. */
struct request {
	struct server *server;
	struct control *control;
	const char *method; /* "POST" */
	const char *path;   /* as on the wire, without query */
	const char *query;  /* raw, "" when none */
	char id[37];        /* x-amzn-RequestId */
	struct caller caller;
	struct buf body; /* whole body, at most the route's ceiling; empty for streamed routes, and
			    once a JSON handler runs */
	request_piece_fn *on_piece; /* set by the handler of a streamed route */
	request_close_fn *on_close; /* may be NULL */
	void *arg;                  /* for both */
};

/* Header by case-insensitive name, NULL when absent; borrowed until the request ends. */
const char *request_header(const struct request *request, const char *name);
/* Call fn for every header. */
void request_each_header(const struct request *request,
			 void (*fn)(const char *name, const char *value, void *arg), void *arg);
/* Percent-decoded query parameter, NULL when absent; "" when without value. Borrowed until the
 * request ends. */
const char *request_query(const struct request *request, const char *name);

/* A handler that returns without an answer parks the request with this: the answer comes from a
 * later turn. Costs no thread and no timer; a peer that goes away is noticed at once. When the
 * endpoint stops, a parked request is answered 200 {}. on_close may be NULL. */
void request_park(struct request *request, request_close_fn *on_close, void *arg);

/* Answers. Exactly one is given, in the handler or later; the request must not be touched
 * afterwards. body is borrowed. */
void request_reply_json(struct request *request, int status, const json_t *body);
/* 200 with an empty body, for operations without output. */
void request_reply_empty(struct request *request);
void request_reply_text(struct request *request, int status, const char *content_type,
			const char *body, size_t len);
void request_reply_body(struct request *request, int status, const char *const headers[],
			const char *body, size_t len);
/* {"__type": type, "message": ...}. Modelled errors of the management API have status 400. */
void request_reply_fault(struct request *request, int status, const char *type, const char *fmt,
			 ...) PRINTF_LIKE(4, 5);
/* size bytes of a file from offset, streamed; fd is taken over. headers: NULL-terminated name,
 * value pairs, or NULL. */
void request_reply_fd(struct request *request, int status, int fd, uint64_t offset, uint64_t size,
		      const char *const headers[]);
/* No body. content_length: what a GET would carry, as the answer to a HEAD says. */
void request_reply_headers(struct request *request, int status, uint64_t content_length,
			   const char *const headers[]);

struct server_options {
	const char *listen; /* "ADDRESS:PORT", "[ADDRESS]:PORT" or ":PORT" (every address) */
	const char *name;   /* host of server_url() when listening on every address */
	const char *ca_pem; /* client certificates must chain to it */
	const char *cert_pem, *key_pem; /* cert_pem: server certificate, then the CA's */
	unsigned connections_max;
	uint64_t idle_ms; /* a connection without a complete request; a body that stands still */
};

/* Listens; requests come as soon as the loop runs. */
int server_start(struct control *control, const struct server_options *options, struct server **ret,
		 struct error *err) MUST_CHECK;
/* "https://127.0.0.1:8443", with the port that was chosen. */
const char *server_url(const struct server *server);
/* New connections get this certificate. */
int server_set_certificate(struct server *server, const char *cert_pem, const char *key_pem,
			   struct error *err) MUST_CHECK;
/* Ask again whether the hosts of parked requests are still welcome; who is not has his request
 * ended. */
void server_recheck(struct server *server);
/* Accept nothing more, answer what is parked, send what is queued for at most wait_ms, then call
 * done from the loop. */
void server_stop(struct server *server, uint64_t wait_ms, void (*done)(void *arg), void *arg);
void server_free(struct server *server);
