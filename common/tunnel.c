// SPDX-License-Identifier: Apache-2.0
/* libcurl with CURLOPT_CONNECT_ONLY: it finds addresses, tries them side by side, and speaks with
 * every kind of proxy. */
#include "common/tunnel.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/http-proxy.h"
#include "common/str.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

DEFINE_CLEANUP(CURL *, curl_easy_cleanup)
#define auto_curl CLEANUP(curl_easy_cleanup_at)

int tunnel_open(const char *host, const char *port, const struct proxy_rules *rules,
		uint64_t timeout_ms, int *ret_status, struct error *err)
{
	*ret_status = 0;
	bool six = strchr(host, ':');
	auto_free char *to = xasprintf(six ? "[%s]:%s" : "%s:%s", host, port);
	auto_free char *url = xasprintf("http://%s", to), *meant = xasprintf("https://%s", to);
	struct proxy_choice proxy;
	proxy_choose(rules, meant, &proxy);
	int r = http_proxy_check(&proxy, err);
	if (r < 0)
		return r;
	/* libcurl keeps what such a connection has decrypted to itself */
	if (proxy.uri && str_starts(proxy.uri, "https://"))
		return error_set(err, ERR_INPUT,
				 "a proxy that is reached by https cannot be looked through");
	char text[CURL_ERROR_SIZE] = "";
	auto_curl CURL *easy =
		curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
	if (!easy)
		return error_set(err, -ENOMEM, "prepare a connection");
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(easy, CURLOPT_PROXY, proxy.uri ? proxy.uri : "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, text);
	CURLcode result = curl_easy_perform(easy);
	long status = 0;
	curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
	*ret_status = (int)status;
	curl_socket_t fd = -1;
	if (result == CURLE_OK)
		result = curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd);
	if (result == CURLE_OPERATION_TIMEDOUT)
		snprintf(text, sizeof(text), "it does not answer");
	if (result != CURLE_OK)
		return error_set(err, ERR_NETWORK, "connect to '%s' port %s%s: %s", host, port,
				 proxy.uri ? " through the proxy" : "",
				 *text ? text : curl_easy_strerror(result));
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return own < 0 ? error_errno(err, "keep a connection") : own;
}
