// SPDX-License-Identifier: Apache-2.0
#include "agent/fetch/answer.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WAIT_MAX_S 900   /* a server that asks for more is not believed */
#define STRONG_DATE_S 60 /* RFC 9110, 8.8.2.2: younger dates may hide a change */

void fetch_advice_clear(struct fetch_advice *advice)
{
	free(TAKE(advice->location));
}

/* The text of an element in a short XML body, "" when there is none. */
static void xml_text(const char *body, const char *element, char *out, size_t room)
{
	*out = '\0';
	auto_free char *open = xasprintf("<%s>", element);
	const char *begin = strstr(body, open);
	if (!begin)
		return;
	begin += strlen(open);
	size_t len = strcspn(begin, "<");
	auto_free char *text = str_to_line(begin, len < room ? len : room - 1);
	snprintf(out, room, "%s", text);
}

/* GitHub's errors: {"message":"..."}. */
static void json_message(const struct buf *body, char *out, size_t room)
{
	json_t *obj = json_loadb(buf_str(body), body->len, 0, NULL);
	const char *text = json_string_value(json_object_get(obj, "message"));
	auto_free char *clean = text ? str_to_line(text, strlen(text)) : xstrdup("");
	snprintf(out, room, "%s", clean);
	json_decref(obj);
}

/* Seconds, or a date; 0: it says nothing that can be used. */
static uint64_t wait_of(const struct http_response *response, int64_t now_s)
{
	const char *after = http_header_get(response, "retry-after");
	const char *left = http_header_get(response, "x-ratelimit-remaining");
	const char *reset = http_header_get(response, "x-ratelimit-reset");
	uint64_t s = 0, at;
	struct tm tm = {0};
	if (after && str_to_u64(after, &s) < 0) {
		const char *end = strptime(after, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		int64_t until = end ? (int64_t)timegm(&tm) : 0;
		s = until > now_s ? (uint64_t)(until - now_s) : 0;
	} else if (!after && str_eq(left, "0") && reset && str_to_u64(reset, &at) == 0) {
		s = (int64_t)at > now_s ? at - (uint64_t)now_s : 1;
	}
	return (s > WAIT_MAX_S ? WAIT_MAX_S : s) * 1000;
}

/* A 403 of GitHub is a rate limit when it says so. */
static bool is_rate_limit(const struct http_response *response)
{
	return response->status == 429 || http_header_get(response, "retry-after") ||
	       str_eq(http_header_get(response, "x-ratelimit-remaining"), "0");
}

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Is it another region's? Then the answer says whose. */
static bool names_region(const struct http_response *response, struct fetch_advice *ret)
{
	const char *region = http_header_get(response, "x-amz-bucket-region");
	int status = response->status;
	if (status != 301 && status != 307 && status != 400)
		return false;
	if (region)
		snprintf(ret->region, sizeof(ret->region), "%s", region);
	else
		xml_text(buf_str(&response->body), "Region", ret->region, sizeof(ret->region));
	size_t len = strlen(ret->region);
	return len > 0 && strspn(ret->region, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static enum fetch_verdict judge_s3(const struct http_response *response, enum fetch_kind kind,
				   struct fetch_advice *ret, struct error *err)
{
	static const char *const expired[] = {"ExpiredToken", "InvalidToken",
					      "TokenRefreshRequired", "InvalidAccessKeyId"};
	int status = response->status;
	char code[64], message[256];
	xml_text(buf_str(&response->body), "Code", code, sizeof(code));
	xml_text(buf_str(&response->body), "Message", message, sizeof(message));
	bool denied = status == 401 || status == 403;
	error_set(err, denied ? ERR_DENIED : ERR_HTTP, "HTTP %d%s%s%s%s", status, *code ? " " : "",
		  code, *message ? ": " : "", message);
	for (size_t i = 0; i < ARRAY_LEN(expired); i++)
		if (str_eq(code, expired[i]))
			return FETCH_EXPIRED;
	if (str_eq(code, "RequestTimeTooSkewed"))
		return FETCH_SKEWED;
	if (status == 429 || str_eq(code, "SlowDown"))
		return FETCH_THROTTLED;
	/* the store of an endpoint is in none, whatever it says */
	return kind == FETCH_S3 && names_region(response, ret) ? FETCH_REGION : FETCH_NO;
}

static enum fetch_verdict judge_moved(const struct http_response *response,
				      struct fetch_advice *ret, struct error *err)
{
	const char *location = http_header_get(response, "location");
	if (str_empty(location)) {
		error_set(err, ERR_HTTP, "HTTP %d: it is redirected, but without an address",
			  response->status);
		return FETCH_NO;
	}
	error_set(err, ERR_HTTP, "HTTP %d", response->status);
	bool here = location[0] == '/' && location[1] != '/';
	if (!here && !str_starts(location, "https://")) {
		error_set(err, ERR_HTTP,
			  "it is redirected to an address without https://: refused");
		return FETCH_NO;
	}
	ret->location = xstrdup(location);
	return FETCH_MOVED;
}

static const char *hint(int status, enum fetch_kind kind)
{
	if (kind != FETCH_GITHUB)
		return "";
	if (status == 401)
		return "; the token is wrong or has expired";
	return status == 404 ? "; there is no such repository or ref, or the token may not read it"
			     : "";
}

static enum fetch_verdict judge_web(const struct http_response *response, enum fetch_kind kind,
				    struct fetch_advice *ret, struct error *err)
{
	int status = response->status;
	if (is_redirect(status))
		return judge_moved(response, ret, err);
	char message[256];
	json_message(&response->body, message, sizeof(message));
	bool limited = (status == 403 && is_rate_limit(response)) || status == 429;
	bool denied = status == 401 || status == 403;
	error_set(err,
		  limited  ? ERR_THROTTLED
		  : denied ? ERR_DENIED
			   : ERR_HTTP,
		  "HTTP %d%s%s%s", status, *message ? ": " : "", message, hint(status, kind));
	return limited ? FETCH_THROTTLED : FETCH_NO;
}

/* Failures that another attempt cannot mend: our own disk, a ceiling, a certificate. */
static enum fetch_verdict judge_silence(const struct http_response *response, struct error *err)
{
	*err = response->error;
	int code = response->code;
	if (!err->code)
		error_set(err, code, "no answer");
	bool final = code == ERR_LIMIT || code == ERR_TRUST || code == ERR_DENIED ||
		     code == ERR_INPUT || code == ERR_SIGNATURE || code > -1000;
	return final ? FETCH_NO : FETCH_AGAIN;
}

enum fetch_verdict fetch_judge(const struct http_response *response, enum fetch_kind kind,
			       int64_t now_s, struct fetch_advice *ret, struct error *err)
{
	*ret = (struct fetch_advice){0};
	if (response->code < 0)
		return judge_silence(response, err);
	int status = response->status;
	if (status == 200 || status == 206)
		return FETCH_GOOD;
	ret->wait_ms = wait_of(response, now_s);
	bool s3 = kind == FETCH_STORE || kind == FETCH_S3;
	enum fetch_verdict verdict =
		s3 ? judge_s3(response, kind, ret, err) : judge_web(response, kind, ret, err);
	if (verdict != FETCH_NO)
		return verdict;
	if (status == 416)
		return FETCH_RESTART;
	return status >= 500 || status == 408 || status < 300 ? FETCH_AGAIN : FETCH_NO;
}

/* Is Last-Modified a strong validator? */
static bool is_old(const char *modified, const char *date)
{
	static const char format[] = "%a, %d %b %Y %H:%M:%S GMT";
	struct tm m = {0}, d = {0};
	if (!modified || !date || !strptime(modified, format, &m) || !strptime(date, format, &d))
		return false;
	return timegm(&m) + STRONG_DATE_S <= timegm(&d);
}

char *fetch_validator(const struct http_response *head)
{
	const char *etag = http_header_get(head, "etag");
	const char *modified = http_header_get(head, "last-modified");
	if (etag && *etag == '"')
		return xstrdup(etag);
	if (!etag && is_old(modified, http_header_get(head, "date")))
		return xstrdup(modified);
	return NULL;
}

/* "100-199/200", or "100-199/?" with a star; the numbers. */
static bool read_range(const char *text, uint64_t *ret_first, int64_t *ret_total)
{
	if (!text || !str_starts(text, "bytes "))
		return false;
	auto_free char *copy = xstrdup(text + 6);
	char *dash = strchr(copy, '-'), *slash = strchr(copy, '/');
	if (!dash || !slash || dash > slash)
		return false;
	*dash = '\0';
	uint64_t total;
	*ret_total = str_to_u64(slash + 1, &total) == 0 && total <= INT64_MAX ? (int64_t)total : -1;
	return str_to_u64(copy, ret_first) == 0;
}

bool fetch_continues(const struct http_response *head, uint64_t offset, int64_t total)
{
	uint64_t first;
	int64_t is;
	return read_range(http_header_get(head, "content-range"), &first, &is) && first == offset &&
	       (is < 0 || total < 0 || is == total);
}

int64_t fetch_total(const struct http_response *head)
{
	uint64_t first, length;
	int64_t total;
	if (read_range(http_header_get(head, "content-range"), &first, &total))
		return total;
	const char *text = http_header_get(head, "content-length");
	if (!text || str_to_u64(text, &length) < 0 || length > INT64_MAX)
		return -1;
	return (int64_t)length;
}

bool fetch_same_etag(const char *a, const char *b)
{
	size_t len_a = strlen(a), len_b = strlen(b);
	if (len_a >= 2 && a[0] == '"' && a[len_a - 1] == '"')
		a++, len_a -= 2;
	if (len_b >= 2 && b[0] == '"' && b[len_b - 1] == '"')
		b++, len_b -= 2;
	return len_a == len_b && memcmp(a, b, len_a) == 0;
}

bool fetch_etag_is_opaque(const struct http_response *head)
{
	const char *how = http_header_get(head, "x-amz-server-side-encryption");
	return (how && !str_eq(how, "AES256")) ||
	       http_header_get(head, "x-amz-server-side-encryption-customer-algorithm");
}
