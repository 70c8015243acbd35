/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP client on libcurl, on the event loop or blocking. All TLS and limit options are here, for
 * both forms. TLS 1.2+, peer and host name always verified; there is no option to switch that off.
 */
#pragma once

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stdint.h>

/* Who we are and whom we trust; shared by many requests, which also share connections (keep-alive)
 * and the TLS session cache. */
struct http_options {
	const char *ca_file;         /* PEM; NULL: the system's trust store */
	const char *ca_pem;          /* the same as text instead of a file; NULL: none */
	const char *cert_file;       /* client certificate PEM, NULL: none */
	const char *key_file;        /* its key */
	const char *proxy;           /* http://[user:pass@]host:port; NULL: environment; "": none */
	const char *no_proxy;        /* hosts that are asked directly, see proxy.h; NULL: none */
	const char *user_agent;      /* NULL: "slipway/VERSION" */
	bool allow_http;             /* tests only: plain http:// is refused otherwise */
	uint64_t connect_timeout_ms; /* 0: 15 s */
};

struct http_client;
/* loop NULL: only http_perform() may be used. */
int http_client_new(struct loop *loop, const struct http_options *options, struct http_client **ret,
		    struct error *err) MUST_CHECK;
void http_client_free(
	struct http_client *client); /* pending requests are cancelled without a callback */
DEFINE_CLEANUP(struct http_client *, http_client_free)
#define auto_http_client CLEANUP(http_client_free_at)
/* New certificate or CA files: connections made from now on use them; idle ones are dropped. */
void http_client_reload(struct http_client *client);

#define HTTP_PAUSE 1

struct http_response;
struct http_header {
	const char *name, *value;
};

struct http_request {
	const char *method; /* "GET", "PUT", "POST", "HEAD", "DELETE" */
	const char *url;
	const struct http_header *headers;
	unsigned n_headers;
	const void *body; /* sent whole when not NULL */
	size_t body_len;
	int body_fd; /* > 0: the body is body_size bytes from its offset 0 (streamed), with
			Content-Length */
	uint64_t body_size;
	uint64_t timeout_ms; /* whole request; 0: 80 s, but for on_body and body_fd: none, they end
				when nothing moves for 60 s, on_body also below 1 KiB/s */
	uint64_t connect_timeout_ms; /* 0: the client's. Its timer wakes us once even on a
					connection that is there already */
	size_t max_body;             /* ceiling of the answer in memory; 0: 1 MiB */
	/* NULL: the body goes to memory. Else a 2xx body is given away as it comes, with the
	 * answer's status and headers in head (other bodies stay in memory). Returns 0 when it was
	 * taken; HTTP_PAUSE (on the loop only) when it was not: the same is given again after
	 * http_resume(); or below 0, with the reason in err, to end the request. */
	int (*on_body)(const struct http_response *head, const void *data, size_t len, void *arg,
		       struct error *err);
	/* of body_fd; total 0: unknown */
	void (*on_progress)(uint64_t done, uint64_t total, void *arg);
	void *arg;
};

struct http_response {
	int status; /* 0 when there was no answer */
	int code;   /* 0: an answer came (any status); else ERR_NETWORK, ERR_TRUST, ERR_LIMIT, or
		       what on_body gave */
	struct error error; /* filled when code is not 0; TLS errors name the certificate's subject
			       and dates */
	struct buf body;
	size_t n_headers;
	char **header_names, **header_values; /* names lower-cased */
	char local_ip[64];
};
void http_response_clear(struct http_response *response);
#define auto_http_response CLEANUP(http_response_clear)
/* Value of a header by lower-case name, NULL when absent. Borrowed. */
const char *http_header_get(const struct http_response *response, const char *name);

/* Blocking. Returns 0 when an answer came, whatever its status; else response->code. */
int http_perform(struct http_client *client, const struct http_request *request,
		 struct http_response *response, struct error *err) MUST_CHECK;

/* On the loop. done is called once, from the loop, with a response that it may take fields from; it
 * may cancel this or other calls, start others, or free the client. The call is gone when done
 * returns. Everything in request is copied but body_fd, which must stay open. */
struct http_call;
typedef void http_done_fn(struct http_call *call, struct http_response *response, void *arg);
int http_start(struct http_client *client, const struct http_request *request, http_done_fn *done,
	       void *arg, struct http_call **ret, struct error *err) MUST_CHECK;
/* Has the request left, over a connection that is trusted? */
bool http_is_sent(const struct http_call *call);
/* on_body can take more; it may be called in here. */
void http_resume(struct http_call *call);
/* No callback will come. */
void http_cancel(struct http_call *call);
