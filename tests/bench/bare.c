// SPDX-License-Identifier: Apache-2.0
/* The least that an agent can be: libcurl's multi interface and OpenSSL on sd-event, long-polling over mutual TLS. `make bench` measures slipwayd's idle memory
 * against it, in the same run, at the same endpoint.
 *
 *     bare URL CA CERT KEY HOST-IDENTIFIER
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>

static sd_event *event;
static sd_event_source *timer;
static CURLM *multi;
static CURL *easy;

static void act(curl_socket_t fd, int what)
{
	int running, left;
	curl_multi_socket_action(multi, fd, what, &running);
	CURLMsg *message;
	while ((message = curl_multi_info_read(multi, &left))) {
		curl_multi_remove_handle(multi, easy);
		curl_multi_add_handle(multi, easy);
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	act(fd, (revents & EPOLLIN ? CURL_CSELECT_IN : 0) |
			(revents & EPOLLOUT ? CURL_CSELECT_OUT : 0));
	return 0;
}

static int on_time(sd_event_source *source, uint64_t now_us, void *arg)
{
	act(CURL_SOCKET_TIMEOUT, 0);
	return 0;
}

static int on_socket(CURL *handle, curl_socket_t fd, int what, void *arg, void *source)
{
	uint32_t events =
		(what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	sd_event_source *io = source;
	if (what == CURL_POLL_REMOVE) {
		sd_event_source_disable_unref(io);
	} else if (io) {
		sd_event_source_set_io_events(io, events);
	} else {
		sd_event_add_io(event, &io, fd, events, on_io, NULL);
		curl_multi_assign(multi, fd, io);
	}
	return 0;
}

static int on_timer(CURLM *handle, long ms, void *arg)
{
	if (timer)
		timer = sd_event_source_disable_unref(timer);
	if (ms >= 0)
		sd_event_add_time_relative(event, &timer, CLOCK_MONOTONIC, (uint64_t)ms * 1000, 1,
					   on_time, NULL);
	return 0;
}

static size_t drop(char *data, size_t size, size_t count, void *arg)
{
	return size * count;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: bare URL CA CERT KEY HOST-IDENTIFIER\n");
		return 2;
	}
	char body[512];
	snprintf(body, sizeof(body), "{\"HostIdentifier\":\"%s\"}", argv[5]);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	sd_event_default(&event);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	struct curl_slist *headers = NULL;
	headers = curl_slist_append(headers, "Content-Type: application/x-amz-json-1.1");
	headers = curl_slist_append(
		headers, "X-Amz-Target: CodeDeployCommandService_v20141006.PollHostCommand");
	easy = curl_easy_init();
	curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
	curl_easy_setopt(easy, CURLOPT_CAINFO, argv[2]);
	curl_easy_setopt(easy, CURLOPT_SSLCERT, argv[3]);
	curl_easy_setopt(easy, CURLOPT_SSLKEY, argv[4]);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_multi_add_handle(multi, easy);
	return sd_event_loop(event) < 0;
}
