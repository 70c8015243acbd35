/* SPDX-License-Identifier: Apache-2.0 */
/* One request inside http: shared by the blocking form (http.c) and the one on the loop
 * (http-loop.c). */
#pragma once

#include "common/http.h"
#include "common/tls.h"

#include <curl/curl.h>

/* Connections, and the TLS sessions and names that requests share. A reload puts a new one in its
 * place; the old one lives until its last request is done. */
struct http_pool {
	struct http_client *client;
	CURLSH *share;
	CURL *easy;             /* of the blocking form, made on first use */
	CURLM *multi;           /* of the form on the loop, made on first use */
	sd_event_source *timer; /* libcurl's one timer */
	unsigned calls;         /* on the loop, not yet delivered */
	bool retired;
};

struct http_client {
	struct loop *loop;
	struct http_options options; /* owned copies; ca_pem became a ca_file */
	int ca_fd;                   /* what that ca_file is in; -1: nothing */
	struct http_pool *pool;
	/* on the loop */
	struct http_call *running, *finished; /* lists */
	struct http_call *delivering;         /* whose callback runs now */
	sd_event_source *deliver;
	bool *freed; /* told when a callback frees the client */
};

struct http_transfer {
	CURL *easy;
	struct curl_slist *headers;
	struct http_request request; /* pointers are borrowed; only used before the start */
	struct http_response *response;
	struct tls_trace trace;
	char curl_text[CURL_ERROR_SIZE];
	char origin[256]; /* scheme://host[:port], for messages */
	char host[256];
	size_t header_bytes;
	uint64_t sent; /* of body_fd */
	int failure;   /* why a callback stopped the transfer; text is in response->error */
};

struct http_pool *http_pool_new(struct http_client *client, struct error *err);
void http_pool_free(struct http_pool *pool);

/* Prepare easy for request; the answer goes to response, which is emptied. On failure easy is as
 * good as new and must not be used. */
int http_transfer_setup(struct http_transfer *t, struct http_pool *pool, CURL *easy,
			const struct http_request *request, struct http_response *response,
			struct error *err) MUST_CHECK;
/* libcurl is done: fill in what response still lacks. */
void http_transfer_finish(struct http_transfer *t, CURLcode result);
/* http-wire.c: once finished, its line for log_wire(). */
void http_wire(const struct http_transfer *t, CURLcode result);
void http_transfer_clear(struct http_transfer *t);
