// SPDX-License-Identifier: Apache-2.0
#include "common/http-transfer.h"

#include "common/alloc.h"
#include "common/http-proxy.h"
#include "common/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_MS 80000
#define CONNECT_TIMEOUT_MS 15000
#define DOWN_SPEED_MIN 1024 /* bytes a second; below it, for LOW_SPEED_S, a body has stalled */
#define UP_SPEED_MIN 1
#define LOW_SPEED_S 60
#define BODY_MAX (1024 * 1024)
#define HEADERS_MAX 128
#define HEADER_BYTES_MAX (64 * 1024)
#define BUFFER_SMALL (8 * 1024)
#define BUFFER_STREAM (128 * 1024)

/* The reason is ours, not libcurl's: remembered until libcurl has unwound. */
static size_t stop(struct http_transfer *t, int code)
{
	t->failure = code;
	return CURL_WRITEFUNC_ERROR;
}

static long status_of(struct http_transfer *t)
{
	long status = 0;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static void report_progress(struct http_transfer *t, uint64_t done, uint64_t total)
{
	if (t->request.on_progress)
		t->request.on_progress(done, total, t->request.arg);
}

/* For as long as the callback looks: an answer that breaks off has none. */
static size_t give_away(struct http_transfer *t, const char *data, size_t len, long status)
{
	struct http_response *response = t->response;
	response->status = (int)status;
	int r = t->request.on_body(response, data, len, t->request.arg, &response->error);
	response->status = 0;
	if (r < 0)
		return stop(t, r);
	return r == HTTP_PAUSE ? CURL_WRITEFUNC_PAUSE : len;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct http_transfer *t = arg;
	size_t len = size * count;
	long status = status_of(t);
	if (t->request.on_body && status >= 200 && status < 300)
		return give_away(t, data, len, status);
	int r = buf_add(&t->response->body, data, len);
	if (r < 0)
		return stop(t, error_set(&t->response->error, ERR_LIMIT,
					 "answer is larger than %zu bytes",
					 t->response->body.ceiling));
	return len;
}

static size_t on_read(char *data, size_t size, size_t count, void *arg)
{
	struct http_transfer *t = arg;
	size_t want = size * count;
	if (want > t->request.body_size - t->sent)
		want = (size_t)(t->request.body_size - t->sent);
	if (want == 0)
		return 0;
	ssize_t n;
	do
		n = pread(t->request.body_fd, data, want, (off_t)t->sent);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		t->failure = n < 0 ? error_errno(&t->response->error, "read what is to be sent")
				   : error_set(&t->response->error, -EIO,
					       "file became shorter while it was sent");
		return CURL_READFUNC_ABORT;
	}
	t->sent += (uint64_t)n;
	report_progress(t, t->sent, t->request.body_size);
	return (size_t)n;
}

/* A reused connection that had died makes libcurl send the body once more. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_transfer *t = arg;
	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	t->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static void drop_headers(struct http_response *response)
{
	for (size_t i = 0; i < response->n_headers; i++) {
		free(response->header_names[i]);
		free(response->header_values[i]);
	}
	response->n_headers = 0;
}

static void keep_header(struct http_response *response, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	if (!colon)
		return;
	const char *value = colon + 1, *end = line + len;
	while (value < end && isspace((unsigned char)*value))
		value++;
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	size_t i = response->n_headers++;
	if (!response->header_names) {
		response->header_names = xcalloc(HEADERS_MAX, sizeof(char *));
		response->header_values = xcalloc(HEADERS_MAX, sizeof(char *));
	}
	response->header_names[i] = xstrndup(line, (size_t)(colon - line));
	response->header_values[i] = xstrndup(value, (size_t)(end - value));
	for (char *p = response->header_names[i]; *p; p++)
		*p = (char)tolower((unsigned char)*p);
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	struct http_transfer *t = arg;
	size_t len = size * count;
	t->header_bytes += len;
	if (len >= 5 && strncasecmp(data, "HTTP/", 5) == 0) {
		drop_headers(t->response); /* those before were of an interim answer */
		return len;
	}
	if (t->header_bytes > HEADER_BYTES_MAX || t->response->n_headers >= HEADERS_MAX)
		return stop(t, error_set(&t->response->error, ERR_LIMIT,
					 "answer has too many headers"));
	keep_header(t->response, data, len);
	return len;
}

static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
	tls_trace_attach(ctx, arg);
	return CURLE_OK;
}

/* "https://host:port/path" is allowed; "http://" for tests. Fills what messages name. */
static int check_url(struct http_transfer *t, bool allow_http, struct error *err)
{
	const char *url = t->request.url;
	bool plain = str_starts(url, "http://");
	if (!plain && !str_starts(url, "https://"))
		return error_set(err, ERR_INPUT, "address must begin with https://");
	if (plain && !allow_http)
		return error_set(err, ERR_INPUT, "http:// is refused, use https://");
	const char *authority = strstr(url, "://") + 3;
	size_t len = strcspn(authority, "/?#");
	const char *at = memrchr(authority, '@', len);
	size_t skip = at ? (size_t)(at - authority) + 1 : 0;
	authority += skip;
	len -= skip;
	if (len == 0 || len > 200)
		return error_set(err, ERR_INPUT, "address has no host name");
	snprintf(t->origin, sizeof(t->origin), "%s%.*s", plain ? "http://" : "https://", (int)len,
		 authority);
	size_t host_len = *authority == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":");
	snprintf(t->host, sizeof(t->host), "%.*s", (int)(host_len < len ? host_len : len),
		 authority);
	return 0;
}

static int add_header(struct http_transfer *t, const char *name, const char *value,
		      struct error *err)
{
	if (!*name || strpbrk(name, " \t\r\n:") || strpbrk(value, "\r\n"))
		return error_set(err, ERR_INPUT, "header '%.64s' holds a line break or blank",
				 name);
	auto_free char *line = *value ? xasprintf("%s: %s", name, value) : xasprintf("%s;", name);
	struct curl_slist *more = curl_slist_append(t->headers, line);
	explicit_bzero(line, strlen(line));
	if (!more)
		return error_set(err, -ENOMEM, "no memory for headers");
	t->headers = more;
	return 0;
}

/* libcurl would add these by itself; "Name:" without a value tells it not to. */
static int suppress_header(struct http_transfer *t, const char *line, struct error *err)
{
	size_t len = strcspn(line, ":");
	for (unsigned i = 0; i < t->request.n_headers; i++)
		if (strlen(t->request.headers[i].name) == len &&
		    strncasecmp(t->request.headers[i].name, line, len) == 0)
			return 0;
	struct curl_slist *more = curl_slist_append(t->headers, line);
	if (!more)
		return error_set(err, -ENOMEM, "no memory for headers");
	t->headers = more;
	return 0;
}

static int set_headers(struct http_transfer *t, struct error *err)
{
	const struct http_request *q = &t->request;
	for (unsigned i = 0; i < q->n_headers; i++) {
		int r = add_header(t, q->headers[i].name, q->headers[i].value, err);
		if (r < 0)
			return r;
	}
	int r = suppress_header(t, "Accept:", err);
	if (r >= 0)
		r = suppress_header(t, "Content-Type:", err);
	/* a large upload asks first, so that a refusal costs no transfer */
	if (r >= 0 && q->body_fd <= 0)
		r = suppress_header(t, "Expect:", err);
	if (r >= 0)
		curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return r;
}

static void set_method(struct http_transfer *t)
{
	const struct http_request *q = &t->request;
	if (q->body_fd > 0) {
		curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_size);
		curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
		curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
	} else if (q->body || str_eq(q->method, "POST") || str_eq(q->method, "PUT")) {
		curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)(q->body ? q->body_len : 0));
		curl_easy_setopt(t->easy, CURLOPT_COPYPOSTFIELDS, q->body ? q->body : "");
	} else if (str_eq(q->method, "HEAD")) {
		curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
		return;
	}
	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, q->method);
}

static void set_limits(struct http_transfer *t, const struct http_options *options)
{
	const struct http_request *q = &t->request;
	bool streamed = q->on_body || q->body_fd > 0;
	uint64_t timeout_ms = q->timeout_ms ? q->timeout_ms : streamed ? 0 : TIMEOUT_MS;
	uint64_t connect_ms = q->connect_timeout_ms         ? q->connect_timeout_ms
			      : options->connect_timeout_ms ? options->connect_timeout_ms
							    : CONNECT_TIMEOUT_MS;
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE,
			 (long)(q->on_body ? BUFFER_STREAM : BUFFER_SMALL));
	/* only where a body flows: it wakes every second, and would end a long poll */
	if (streamed) {
		curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT,
				 (long)(q->on_body ? DOWN_SPEED_MIN : UP_SPEED_MIN));
		curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME, (long)LOW_SPEED_S);
	}
}

static void set_tls(struct http_transfer *t, const struct http_options *options)
{
	curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (options->ca_file) {
		curl_easy_setopt(t->easy, CURLOPT_CAINFO, options->ca_file);
		/* else the system's directory of CAs would stay trusted beside it */
		curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
	}
	if (options->cert_file) {
		curl_easy_setopt(t->easy, CURLOPT_SSLCERT, options->cert_file);
		curl_easy_setopt(t->easy, CURLOPT_SSLKEY,
				 options->key_file ? options->key_file : options->cert_file);
	}
	curl_easy_setopt(t->easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
	curl_easy_setopt(t->easy, CURLOPT_SSL_CTX_DATA, &t->trace);
}

/* Both are set in any case: libcurl would look into the environment by itself. */
static int set_proxy(struct http_transfer *t, const struct http_options *options, struct error *err)
{
	const struct proxy_rules rules = {options->proxy, options->no_proxy};
	struct proxy_choice choice;
	proxy_choose(&rules, t->request.url, &choice);
	int r = http_proxy_check(&choice, err);
	if (r < 0)
		return r;
	curl_easy_setopt(t->easy, CURLOPT_PROXY, choice.uri ? choice.uri : "");
	curl_easy_setopt(t->easy, CURLOPT_NOPROXY, "");
	return 0;
}

static void set_rest(struct http_transfer *t, const struct http_options *options)
{
	curl_easy_setopt(t->easy, CURLOPT_URL, t->request.url);
	curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L); /* what was signed is what is sent */
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(t->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(t->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->curl_text);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_USERAGENT,
			 options->user_agent ? options->user_agent : "slipway/" PACKAGE_VERSION);
}

int http_transfer_setup(struct http_transfer *t, struct http_pool *pool, CURL *easy,
			const struct http_request *request, struct http_response *response,
			struct error *err)
{
	const struct http_options *options = &pool->client->options;
	*t = (struct http_transfer){.easy = easy, .request = *request, .response = response};
	*response = (struct http_response){
		.body = BUF_INIT(request->max_body ? request->max_body : BODY_MAX)};
	int r = check_url(t, options->allow_http, err);
	if (r >= 0)
		r = set_proxy(t, options, err);
	if (r >= 0)
		r = set_headers(t, err);
	if (r < 0) {
		http_transfer_clear(t);
		return r;
	}
	curl_easy_setopt(easy, CURLOPT_SHARE, pool->share);
	set_method(t);
	set_limits(t, options);
	set_tls(t, options);
	set_rest(t, options);
	return 0;
}

static bool refuses_our_certificate(const char *text)
{
	return strstr(text, "alert") &&
	       (strstr(text, "certificate") || strstr(text, "unknown ca") ||
		strstr(text, "access denied"));
}

static int network_error(struct http_transfer *t, CURLcode result)
{
	struct error *err = &t->response->error;
	const char *text = t->curl_text[0] ? t->curl_text : curl_easy_strerror(result);
	int code = refuses_our_certificate(text) ? ERR_DENIED : ERR_NETWORK;
	if (result == CURLE_OPERATION_TIMEDOUT && t->sent == 0 && status_of(t) == 0)
		return error_set(err, code, "no answer in time: %s", text);
	return error_set(err, code, "%s", text);
}

static int explain(struct http_transfer *t, CURLcode result)
{
	struct error *err = &t->response->error;
	if (t->failure)
		return t->failure;
	if (t->trace.failed || (t->trace.seen && result == CURLE_PEER_FAILED_VERIFICATION))
		return tls_trace_error(&t->trace, t->host, err);
	switch (result) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
		return error_set(err, ERR_TRUST, "%s",
				 t->curl_text[0] ? t->curl_text : curl_easy_strerror(result));
	case CURLE_OUT_OF_MEMORY:
		return error_set(err, -ENOMEM, "no memory for the request");
	default:
		return network_error(t, result);
	}
}

static void fill_in(struct http_transfer *t, CURLcode result)
{
	struct http_response *response = t->response;
	const char *ip = NULL;
	curl_easy_getinfo(t->easy, CURLINFO_LOCAL_IP, &ip);
	snprintf(response->local_ip, sizeof(response->local_ip), "%s", ip ? ip : "");
	int r = result == CURLE_OK ? 0 : explain(t, result);
	if (r < 0)
		response->code = error_prefix(&response->error, r, "%s", t->origin);
	else
		response->status = (int)status_of(t);
}

void http_transfer_finish(struct http_transfer *t, CURLcode result)
{
	fill_in(t, result);
	http_wire(t, result);
}

/* Headers sign, and hold tokens. */
void http_transfer_clear(struct http_transfer *t)
{
	for (struct curl_slist *header = t->headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(t->headers);
	t->headers = NULL;
}

void http_response_clear(struct http_response *response)
{
	drop_headers(response);
	free(response->header_names);
	free(response->header_values);
	buf_clear(&response->body);
	*response = (struct http_response){0};
}

const char *http_header_get(const struct http_response *response, const char *name)
{
	for (size_t i = 0; i < response->n_headers; i++)
		if (str_eq(response->header_names[i], name))
			return response->header_values[i];
	return NULL;
}
