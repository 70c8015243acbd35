// SPDX-License-Identifier: Apache-2.0
/* A line for each request, for log_wire(): nothing of it may be a secret. Headers sign, bodies hold
 * tokens, queries hold both, and so may the part of an address before '@'. */
#include "common/http-transfer.h"
#include "common/log.h"
#include "common/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TARGET "X-Amz-Target: "
#define OPERATION_MAX 64

/* "X-Amz-Target: CodeDeployCommandService_v20141006.PollHostCommand" to "poll_host_command", as
 * logs of the official agent have it and tools look for it. "" when there is none. */
static void operation_of(const struct curl_slist *headers, char out[OPERATION_MAX])
{
	size_t n = 0;
	while (headers && !str_starts(headers->data, TARGET))
		headers = headers->next;
	const char *dot = headers ? strrchr(headers->data, '.') : NULL;
	for (const char *p = dot ? dot + 1 : ""; *p && n < OPERATION_MAX - 2; p++) {
		if (isupper((unsigned char)*p) && n > 0)
			out[n++] = '_';
		out[n++] = (char)tolower((unsigned char)*p);
	}
	out[n] = '\0';
}

/* Where the path ends. */
static int path_len(const char *path)
{
	return (int)strcspn(path, "?#");
}

void http_wire(const struct http_transfer *t, CURLcode result)
{
	if (!log_has_wire())
		return;
	const char *url = NULL, *method = NULL;
	double seconds = 0;
	curl_off_t up = 0, down = 0;
	char operation[OPERATION_MAX], status[16];
	curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
	curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_METHOD, &method);
	curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME, &seconds);
	curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	operation_of(t->headers, operation);
	const char *host = url ? strstr(url, "://") : NULL;
	const char *path = host ? strchr(host + strlen("://"), '/') : NULL;
	snprintf(status, sizeof(status), "%d", t->response->status);
	log_wire("%s%s%s %s%.*s: %s, %.3f s, %lld bytes sent, %lld received", operation,
		 *operation ? " " : "", method ? method : "?", t->origin, path ? path_len(path) : 0,
		 path ? path : "", result == CURLE_OK ? status : curl_easy_strerror(result),
		 seconds, (long long)up, (long long)down);
}
