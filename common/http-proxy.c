// SPDX-License-Identifier: Apache-2.0
#include "common/http-proxy.h"

#include "common/attr.h"
#include "common/cleanup.h"
#include "common/str.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

DEFINE_CLEANUP(CURLU *, curl_url_cleanup)
#define auto_url CLEANUP(curl_url_cleanup_at)
DEFINE_CLEANUP(char *, curl_free)
#define auto_curl_text CLEANUP(curl_free_at)

static bool is_scheme(const char *scheme)
{
	static const char *const known[] = {"http",    "https",  "socks4",
					    "socks4a", "socks5", "socks5h"};
	bool https = curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTPS_PROXY;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcasecmp(scheme, known[i]) == 0)
			return https || !str_eq(known[i], "https");
	return false;
}

/* A '/' that is not encoded ends user and password, and what was meant as host is in the path. */
static bool has_at_behind(const char *uri)
{
	const char *scheme = strstr(uri, "://");
	const char *authority = scheme ? scheme + 3 : uri;
	return strchr(authority + strcspn(authority, "/?#"), '@');
}

/* As libcurl does it with CURLOPT_PROXY. */
static bool is_address(const char *uri)
{
	auto_url CURLU *url = curl_url();
	auto_curl_text char *scheme = NULL, *user = NULL, *password = NULL;
	if (!url || curl_url_set(url, CURLUPART_URL, uri,
				 CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) != CURLUE_OK)
		return false;
	if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || !is_scheme(scheme))
		return false;
	CURLUcode u = curl_url_get(url, CURLUPART_USER, &user, CURLU_URLDECODE);
	CURLUcode p = curl_url_get(url, CURLUPART_PASSWORD, &password, CURLU_URLDECODE);
	return (u == CURLUE_OK || u == CURLUE_NO_USER) &&
	       (p == CURLUE_OK || p == CURLUE_NO_PASSWORD);
}

int http_proxy_check(const struct proxy_choice *choice, struct error *err)
{
	if (!choice->uri || (!has_at_behind(choice->uri) && is_address(choice->uri)))
		return 0;
	return error_set(err, ERR_INPUT,
			 "the proxy's address%s%s%s is not valid: write it as "
			 "http://[user:password@]host:port, with '/', '@', ':', '%%' and blanks of "
			 "user and password percent-encoded",
			 choice->variable ? " in '" : " in the settings",
			 choice->variable ? choice->variable : "", choice->variable ? "'" : "");
}
