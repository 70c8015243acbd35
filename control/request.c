// SPDX-License-Identifier: Apache-2.0
/* The life of a request, as libmicrohttpd tells it:
 *
 *     request_on_uri          the request line: an exchange is made
 *     request_on_call  first  the headers: identity, route, early refusals; a streamed route begins
 *     request_on_call  data   a piece of the body
 *     request_on_call  last   the body is there: admission, handler; answer, keep, or park
 *    (request_on_call  again  resumed: the answer leaves)
 *     request_on_completed    sent, or the connection is gone
 *
 * A refusal waits for the end of a short body: an answer that is sent before the peer has stopped
 * sending may be lost when the connection closes. A long body is not worth that. */
#include "control/server.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"
#include "control/auth.h"
#include "control/control.h"
#include "control/server-priv.h"
#include "control/store.h"

#include <assert.h>
#include <microhttpd.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#define JSON_TYPE "application/x-amz-json-1.1"
/* Bytes of bodies that are on their way, of all requests together: a JSON body must be whole before
 * its signature can be checked, so anybody may send one. */
#define HELD_MAX (256UL * 1024 * 1024)
#define DROP_MAX (16 * 1024 * 1024) /* bytes of an unwanted body that are read and dropped */

static struct exchange *exchange_of(const struct request *request)
{
	return (struct exchange *)(uintptr_t)request;
}

/* ---- what was asked ---- */

const char *request_header(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(exchange_of(request)->mhd, MHD_HEADER_KIND, name);
}

struct header_call {
	void (*fn)(const char *name, const char *value, void *arg);
	void *arg;
};

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *name,
				 const char *value)
{
	const struct header_call *call = arg;
	call->fn(name, value ? value : "", call->arg);
	return MHD_YES;
}

void request_each_header(const struct request *request,
			 void (*fn)(const char *name, const char *value, void *arg), void *arg)
{
	struct header_call call = {fn, arg};
	MHD_get_connection_values(exchange_of(request)->mhd, MHD_HEADER_KIND, on_header, &call);
}

const char *request_query(const struct request *request, const char *name)
{
	const char *value = NULL;
	size_t len;
	if (MHD_lookup_connection_value_n(exchange_of(request)->mhd, MHD_GET_ARGUMENT_KIND, name,
					  strlen(name), &value, &len) != MHD_YES)
		return NULL;
	return value ? value : "";
}

/* ---- answers ---- */

static void give(struct exchange *x, int status, struct MHD_Response *response)
{
	assert(!x->response && !x->gone);
	MHD_add_response_header(response, "x-amzn-RequestId", x->request.id);
	if (x->request.server->stopping)
		MHD_add_response_header(response, "Connection", "close");
	x->response = response;
	x->status = status;
	x->hangup = sd_event_source_disable_unref(x->hangup);
	if (x->suspended)
		link_append(&x->request.server->ready, &x->ready);
}

static void add_headers(struct MHD_Response *response, const char *const headers[])
{
	for (; headers && headers[0]; headers += 2)
		if (headers[1])
			MHD_add_response_header(response, headers[0], headers[1]);
}

static struct MHD_Response *text_response(const char *type, const char *body, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	assert(response);
	if (type)
		MHD_add_response_header(response, "Content-Type", type);
	return response;
}

void request_reply_text(struct request *request, int status, const char *content_type,
			const char *body, size_t len)
{
	give(exchange_of(request), status, text_response(content_type, body, len));
}

void request_reply_body(struct request *request, int status, const char *const headers[],
			const char *body, size_t len)
{
	struct MHD_Response *response = text_response(NULL, body, len);
	add_headers(response, headers);
	give(exchange_of(request), status, response);
}

void request_reply_json(struct request *request, int status, const json_t *body)
{
	auto_free char *text = json_text(body);
	request_reply_text(request, status, JSON_TYPE, text, strlen(text));
}

void request_reply_empty(struct request *request)
{
	request_reply_text(request, 200, JSON_TYPE, "", 0);
}

static struct MHD_Response *fault_response(const char *type, const char *message)
{
	auto_json json_t *body = json_object();
	json_set_str(body, "__type", type);
	json_set_str(body, "message", message);
	auto_free char *text = json_text(body);
	return text_response(JSON_TYPE, text, strlen(text));
}

void request_reply_fault(struct request *request, int status, const char *type, const char *fmt,
			 ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *message = xvasprintf(fmt, ap);
	va_end(ap);
	log_debug("%s %s from %s: %d %s: %s", request->method, request->path, request->caller.peer,
		  status, type, message);
	give(exchange_of(request), status, fault_response(type, message));
}

void request_reply_fd(struct request *request, int status, int fd, uint64_t offset, uint64_t size,
		      const char *const headers[])
{
	struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(size, fd, offset);
	if (!response) {
		fs_close_quiet(fd);
		request_reply_fault(request, 500, "InternalFailure", "out of memory");
		return;
	}
	add_headers(response, headers);
	give(exchange_of(request), status, response);
}

/* Never asked: libmicrohttpd sends no body to a HEAD. */
static ssize_t no_content(void *arg, uint64_t offset, char *data, size_t room)
{
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

void request_reply_headers(struct request *request, int status, uint64_t content_length,
			   const char *const headers[])
{
	struct MHD_Response *response =
		content_length && strcmp(request->method, "HEAD") == 0
			? MHD_create_response_from_callback(content_length, 1024, no_content, NULL,
							    NULL)
			: text_response(NULL, "", 0);
	assert(response);
	add_headers(response, headers);
	give(exchange_of(request), status, response);
}

void request_park(struct request *request, request_close_fn *on_close, void *arg)
{
	struct exchange *x = exchange_of(request);
	assert(!x->response && !x->parked);
	x->parked = true;
	request->on_close = on_close;
	request->arg = arg;
}

/* ---- the life of an exchange ---- */

void *request_on_uri(void *arg, const char *uri, struct MHD_Connection *mhd)
{
	struct server *server = arg;
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct exchange *x = xcalloc(1, sizeof(*x));
	x->conn = info->socket_context;
	x->mhd = mhd;
	x->uri = xstrdup(uri);
	char *mark = strchr(x->uri, '?');
	if (mark)
		*mark = '\0';
	x->request = (struct request){.server = server,
				      .control = server->control,
				      .method = "?",
				      .path = x->uri,
				      .query = mark ? mark + 1 : ""};
	str_uuid(x->request.id);
	link_init(&x->ready);
	link_append(&server->exchanges, &x->all);
	conn_idle(x->conn); /* the headers must come within the idle time */
	return x;
}

static void uncount(struct exchange *x)
{
	x->request.server->held -= x->held;
	x->held = 0;
}

static void tell_closed(struct exchange *x)
{
	request_close_fn *on_close = x->request.on_close;
	x->request.on_close = NULL;
	if (on_close)
		on_close(&x->request, x->request.arg);
}

void request_on_completed(struct exchange *x)
{
	if (!x->response)
		tell_closed(x);
	else
		MHD_destroy_response(x->response);
	sd_event_source_disable_unref(x->hangup);
	link_remove(&x->ready);
	link_remove(&x->all);
	conn_idle(x->conn);
	uncount(x);
	buf_clear(&x->request.body);
	free(x->uri);
	free(x);
}

/* The peer of a parked request is gone. */
static int on_hangup(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct exchange *x = arg;
	x->hangup = sd_event_source_disable_unref(x->hangup);
	tell_closed(x);
	x->gone = true;
	request_release(x);
	server_wake(x->request.server);
	return 0;
}

static void watch_hangup(struct exchange *x)
{
	struct server *server = x->request.server;
	int r = sd_event_add_io(server->loop->event, &x->hangup, x->conn->fd, EPOLLRDHUP, on_hangup,
				x);
	if (r < 0)
		log_error("watch a waiting connection: %s", strerror(-r));
}

static void hold(struct exchange *x)
{
	MHD_suspend_connection(x->mhd);
	x->suspended = true;
}

void request_release(struct exchange *x)
{
	x->committed = true;
	if (!x->suspended)
		return;
	x->suspended = false;
	MHD_resume_connection(x->mhd);
}

void request_fail(struct exchange *x)
{
	MHD_destroy_response(x->response);
	x->status = 500;
	x->response = fault_response("InternalFailure", "the endpoint could not store the change");
}

void request_end_parked(struct exchange *x, const char *type, const char *text)
{
	tell_closed(x);
	if (type)
		route_reply_fault(x->route, &x->request, 403, type, "%s", text);
	else if (x->route->s3) /* an upload that is not on disk yet */
		route_reply_fault(x->route, &x->request, 503, "ServiceUnavailable",
				  "the endpoint stops; try again");
	else
		request_reply_text(&x->request, 200, JSON_TYPE, "{}", 2);
}

/* libmicrohttpd takes an answer only now, inside its callback. */
static int queue(struct exchange *x)
{
	x->queued = true;
	return MHD_queue_response(x->mhd, (unsigned)x->status, x->response) == MHD_YES;
}

/* After a handler, or after a resume: let the answer leave, keep it, or park. */
static int settle(struct exchange *x)
{
	if (x->gone)
		return 0;
	if (!x->response && !x->parked)
		request_reply_fault(&x->request, 500, "InternalFailure", "no answer was given");
	if (x->response && (x->committed || !store_dirty(x->request.control->store)))
		return queue(x);
	buf_clear(&x->request.body);
	hold(x);
	if (x->response)
		link_append(&x->request.server->ready, &x->ready);
	else
		watch_hangup(x);
	return 1;
}

/* ---- the steps of a request ---- */

static uint64_t body_length(const struct request *request)
{
	uint64_t len = 0;
	const char *text = request_header(request, "Content-Length");
	return text && str_to_u64(text, &len) == 0 ? len : 0;
}

/* Everything that can be said before the body. Gives a refusal, or leaves the request as it is. */
static void check_headers(struct exchange *x)
{
	struct request *request = &x->request;
	const char *target = request_header(request, "X-Amz-Target");
	if (request->path[0] != '/') {
		request_reply_fault(request, 400, "BadRequest", "the path must begin with '/'");
		return;
	}
	enum route_miss miss = route_find(request->method, request->path, target, &x->route);
	if (x->conn->cert == CERT_BAD) {
		log_warning("refused %s: %s", request->caller.peer, x->conn->problem);
		route_reply_fault(x->route, request, 403, "AccessDeniedException", "%s",
				  x->conn->problem);
		return;
	}
	if (miss != ROUTE_FOUND) {
		route_reply_miss(request, miss, target);
		return;
	}
	if (x->route->streamed) {
		if (auth_admit(request, x->route))
			route_call(x->route, request);
		return;
	}
	if (body_length(request) > x->route->body_max)
		route_reply_fault(x->route, request, 413, "RequestEntityTooLarge",
				  "the body has more than %zu bytes", x->route->body_max);
	request->body = BUF_INIT(x->route->body_max);
}

static int begin(struct exchange *x, const char *method)
{
	struct request *request = &x->request;
	x->begun = true;
	request->method = method;
	conn_identify(x->conn, x->mhd);
	request->caller = x->conn->caller;
	check_headers(x);
	if (x->route && x->route->streamed)
		conn_busy(x->conn); /* libmicrohttpd's own timeout ends what stands still */
	else
		conn_idle(x->conn); /* the body must come within the idle time */
	if (!x->response)
		return 1;
	const char *expect = request_header(request, "Expect");
	if ((expect && strcasecmp(expect, "100-continue") == 0) ||
	    body_length(request) > DROP_MAX) {
		x->complete = true;
		conn_busy(x->conn);
		return settle(x);
	}
	return 1;
}

static void hold_piece(struct exchange *x, const char *data, size_t len)
{
	struct request *request = &x->request;
	x->held += len;
	request->server->held += len;
	if (request->server->held > HELD_MAX)
		route_reply_fault(x->route, request, 503, "ServiceUnavailable",
				  "too many requests at once: try again");
	else if (buf_add(&request->body, data, len) < 0)
		route_reply_fault(x->route, request, 413, "RequestEntityTooLarge",
				  "the body has more than %zu bytes", x->route->body_max);
	else
		return;
	buf_clear(&request->body);
	uncount(x);
}

static int take_piece(struct exchange *x, const char *data, size_t len)
{
	struct request *request = &x->request;
	if (x->response) {
		x->dropped += len;
		return x->dropped <= DROP_MAX;
	}
	if (!request->on_piece)
		hold_piece(x, data, len);
	else if (request->on_piece(request, data, len, request->arg) < 0 && !x->response)
		request_reply_fault(request, 500, "InternalFailure", "the upload failed");
	return 1;
}

static void finish(struct exchange *x)
{
	struct request *request = &x->request;
	x->complete = true;
	conn_busy(x->conn);
	uncount(x);
	if (x->response)
		return;
	if (request->on_piece) {
		if (request->on_piece(request, NULL, 0, request->arg) < 0 && !x->response)
			request_reply_fault(request, 500, "InternalFailure", "the upload failed");
		return;
	}
	if (auth_admit(request, x->route))
		route_call(x->route, request);
}

int request_on_call(struct exchange *x, const char *method, const char *data, size_t *len)
{
	if (!x->begun)
		return begin(x, method);
	if (*len > 0) {
		size_t taken = *len;
		*len = 0;
		return take_piece(x, data, taken);
	}
	if (!x->complete)
		finish(x);
	return settle(x);
}
