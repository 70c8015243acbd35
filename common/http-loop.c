// SPDX-License-Identifier: Apache-2.0
/* libcurl's multi interface on sd-event. libcurl says which descriptor to watch (on_socket) and
 * when it wants to be called (on_timer); after each call the finished requests are taken off it and
 * put on a list. Their callbacks run later, from a defer source, when no libcurl frame is on the
 * stack: so they may cancel requests, start others, or free the client. */
#include "common/http-loop.h"

#include "common/alloc.h"
#include "common/http-transfer.h"

#include <sys/epoll.h>

struct http_call {
	struct http_client *client;
	struct http_pool *pool; /* NULL once off libcurl */
	struct http_transfer transfer;
	struct http_response response;
	http_done_fn *done;
	void *arg;
	struct http_call *next, **prev; /* in client->running or client->finished */
};

static void list_add(struct http_call **list, struct http_call *call)
{
	while (*list) /* at its end: first done, first told */
		list = &(*list)->next;
	call->next = NULL;
	call->prev = list;
	*list = call;
}

static void list_remove(struct http_call *call)
{
	if (!call->prev)
		return;
	*call->prev = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->next = NULL;
	call->prev = NULL;
}

/* Off libcurl: afterwards the pool may be gone. */
static void detach(struct http_call *call)
{
	struct http_pool *pool = TAKE(call->pool);
	if (!pool)
		return;
	curl_multi_remove_handle(pool->multi, call->transfer.easy);
	curl_easy_cleanup(call->transfer.easy);
	call->transfer.easy = NULL;
	pool->calls--;
	if (pool->retired && pool->calls == 0)
		http_pool_free(pool);
}

static void call_free(struct http_call *call)
{
	list_remove(call);
	detach(call);
	http_transfer_clear(&call->transfer);
	http_response_clear(&call->response);
	free(call);
}

static int on_deliver(sd_event_source *source, void *arg)
{
	struct http_client *client = arg;
	bool freed = false;
	client->freed = &freed;
	while (client->finished) {
		struct http_call *call = client->finished;
		list_remove(call);
		client->delivering = call;
		call->done(call, &call->response, call->arg);
		if (freed)
			return 0;
		if (client->delivering)
			call_free(call);
		client->delivering = NULL;
	}
	client->freed = NULL;
	return 0;
}

static void collect(struct http_pool *pool)
{
	struct http_client *client = pool->client;
	CURLMsg *message;
	int left;
	pool->calls++; /* not before this function is done with it */
	while ((message = curl_multi_info_read(pool->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode result = message->data.result;
		struct http_call *call = NULL;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		http_transfer_finish(&call->transfer, result);
		list_remove(call);
		detach(call);
		list_add(&client->finished, call);
		sd_event_source_set_enabled(client->deliver, SD_EVENT_ONESHOT);
	}
	pool->calls--;
	if (pool->retired && pool->calls == 0)
		http_pool_free(pool);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct http_pool *pool = arg;
	int running, events = 0;
	if (revents & EPOLLIN)
		events |= CURL_CSELECT_IN;
	if (revents & EPOLLOUT)
		events |= CURL_CSELECT_OUT;
	if (revents & (EPOLLERR | EPOLLHUP))
		events |= CURL_CSELECT_ERR;
	curl_multi_socket_action(pool->multi, fd, events, &running);
	collect(pool);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t now_us, void *arg)
{
	struct http_pool *pool = arg;
	int running;
	curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(pool);
	return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http_pool *pool = arg;
	sd_event_source *source = socket_arg;
	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(pool->multi, fd, NULL);
		sd_event_source_disable_unref(source);
		return 0;
	}
	uint32_t events =
		(what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (source)
		return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
	sd_event *event = pool->client->loop->event;
	if (sd_event_add_io(event, &source, fd, events, on_io, pool) < 0)
		return -1;
	curl_multi_assign(pool->multi, fd, source);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_pool *pool = arg;
	if (timeout_ms < 0) {
		loop_timer_off(pool->timer);
		return 0;
	}
	uint64_t accuracy_ms = timeout_ms > 10000 ? 1000 : 1;
	return loop_timer(pool->client->loop, &pool->timer, (uint64_t)timeout_ms, accuracy_ms,
			  on_time, pool, NULL) < 0
		       ? -1
		       : 0;
}

static int prepare_multi(struct http_pool *pool, struct error *err)
{
	if (pool->multi)
		return 0;
	pool->multi = curl_multi_init();
	if (!pool->multi)
		return error_set(err, -ENOMEM, "no memory for HTTP");
	curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
	curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
	curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, 4L);
	return 0;
}

static int prepare_delivery(struct http_client *client, struct error *err)
{
	if (client->deliver)
		return 0;
	int r = sd_event_add_defer(client->loop->event, &client->deliver, on_deliver, client);
	if (r < 0)
		return error_set(err, r, "no event source for HTTP");
	sd_event_source_set_enabled(client->deliver, SD_EVENT_OFF);
	return 0;
}

static int call_setup(struct http_call *call, const struct http_request *request, struct error *err)
{
	struct http_pool *pool = call->client->pool;
	CURL *easy = curl_easy_init();
	if (!easy)
		return error_set(err, -ENOMEM, "no memory for HTTP");
	int r = http_transfer_setup(&call->transfer, pool, easy, request, &call->response, err);
	if (r >= 0) {
		curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
		if (curl_multi_add_handle(pool->multi, easy) != CURLM_OK)
			r = error_set(err, -ENOMEM, "libcurl does not take the request");
	}
	if (r < 0) {
		curl_easy_cleanup(easy);
		call->transfer.easy = NULL;
		return r;
	}
	/* libcurl has its own copies; what the caller gave may be gone from now on */
	call->transfer.request.url = NULL;
	call->transfer.request.headers = NULL;
	call->transfer.request.body = NULL;
	call->pool = pool;
	pool->calls++;
	return 0;
}

int http_start(struct http_client *client, const struct http_request *request, http_done_fn *done,
	       void *arg, struct http_call **ret, struct error *err)
{
	int r = prepare_delivery(client, err);
	if (r >= 0)
		r = prepare_multi(client->pool, err);
	if (r < 0)
		return r;
	struct http_call *call = xcalloc(1, sizeof(*call));
	call->client = client;
	call->done = done;
	call->arg = arg;
	r = call_setup(call, request, err);
	if (r < 0) {
		call_free(call);
		return r;
	}
	list_add(&client->running, call);
	if (ret)
		*ret = call;
	return 0;
}

bool http_is_sent(const struct http_call *call)
{
	long bytes = 0;
	if (!call->transfer.easy)
		return true; /* its end is about to be told */
	curl_easy_getinfo(call->transfer.easy, CURLINFO_REQUEST_SIZE, &bytes);
	return bytes > 0;
}

/* What libcurl holds back is given away in here, so the request may end in here. */
void http_resume(struct http_call *call)
{
	if (!call->transfer.easy)
		return;
	CURLcode result = curl_easy_pause(call->transfer.easy, CURLPAUSE_CONT);
	if (result == CURLE_OK)
		return;
	http_transfer_finish(&call->transfer, result);
	list_remove(call);
	detach(call);
	list_add(&call->client->finished, call);
	sd_event_source_set_enabled(call->client->deliver, SD_EVENT_ONESHOT);
}

void http_cancel(struct http_call *call)
{
	if (!call)
		return;
	if (call->client->delivering == call)
		call->client->delivering = NULL;
	call_free(call);
}

void http_loop_clear(struct http_client *client)
{
	if (client->freed)
		*client->freed = true;
	if (client->delivering)
		call_free(TAKE(client->delivering));
	while (client->running)
		call_free(client->running);
	while (client->finished)
		call_free(client->finished);
	loop_source_unref_at(&client->deliver);
}
