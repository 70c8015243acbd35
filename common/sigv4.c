// SPDX-License-Identifier: Apache-2.0
/* The chain of an AWS Signature Version 4, each line one function here:
 *
 *   canonical request   METHOD \n path \n sorted query \n headers \n \n header names \n payload
 * hash string to sign      AWS4-HMAC-SHA256 \n time \n DATE/REGION/SERVICE/aws4_request \n SHA-256
 *   signing key         HMAC chain over "AWS4" + secret, date, region, service, "aws4_request"
 *   signature           hex HMAC of the string to sign
 *
 * Paths and queries come as they stand on the wire and are brought to one spelling, so that "%7e",
 * "%7E" and "~" sign alike, whoever encoded them. Signing and verifying share every step. */
#include "common/sigv4.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define CANONICAL_MAX (256 * 1024)

/* Of RFC 3986; whatever the locale. */
static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static void add_encoded(struct buf *out, unsigned char c)
{
	if (is_unreserved(c))
		buf_addc(out, (char)c);
	else
		buf_addf(out, "%%%02X", c);
}

enum place { IN_PATH, IN_QUERY };

/* One spelling of what may be percent-encoded already. A literal '/' stays in a path; '+' is a
 * blank in a query, for who answers the request reads it so. */
static void add_recoded(struct buf *out, const char *s, size_t len, enum place place)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char byte;
		char hex[3] = {0};
		if (s[i] == '%' && i + 2 < len)
			memcpy(hex, s + i + 1, 2);
		if (place == IN_PATH && s[i] == '/') {
			buf_addc(out, '/');
		} else if (place == IN_QUERY && s[i] == '+') {
			add_encoded(out, ' ');
		} else if (hex[0] && str_unhex(hex, &byte, 1) == 1) {
			add_encoded(out, byte);
			i += 2;
		} else {
			add_encoded(out, (unsigned char)s[i]);
		}
	}
}

/* Without "." and ".." segments and doubled slashes; a slash at the end stays. */
static void add_normalised(struct buf *out, const char *path)
{
	size_t start = out->len;
	const char *p = path;
	bool directory = true;
	while (*p) {
		p += strspn(p, "/");
		size_t len = strcspn(p, "/");
		directory = p[len] == '/' || len == 0;
		if (len == 2 && memcmp(p, "..", 2) == 0) {
			while (out->len > start && out->data[--out->len] != '/')
				continue;
			directory = true;
		} else if (len == 1 && *p == '.') {
			directory = true;
		} else if (len > 0) {
			buf_addc(out, '/');
			buf_add(out, p, len);
		}
		p += len;
	}
	if (directory || out->len == start)
		buf_addc(out, '/');
}

static void add_path(struct buf *out, const struct sigv4_request *request)
{
	const char *path = request->path && *request->path ? request->path : "/";
	if (request->s3) {
		add_recoded(out, path, strlen(path), IN_PATH);
		return;
	}
	auto_buf struct buf normal = BUF_INIT(CANONICAL_MAX);
	add_normalised(&normal, path);
	const char *text = buf_str(&normal);
	for (size_t i = 0; i < normal.len; i++) {
		if (text[i] == '/')
			buf_addc(out, '/');
		else
			add_encoded(out, (unsigned char)text[i]);
	}
	if (normal.failed)
		out->failed = normal.failed;
}

struct parameter {
	char *name, *value;
};

static int compare_parameters(const void *a, const void *b)
{
	const struct parameter *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : strcmp(x->value, y->value);
}

static char *recoded(const char *s, size_t len)
{
	auto_buf struct buf out = BUF_INIT(CANONICAL_MAX);
	buf_adds(&out, "");
	add_recoded(&out, s, len, IN_QUERY);
	return out.failed ? NULL : buf_take(&out);
}

static struct parameter parameter_parse(const char *s, size_t len)
{
	const char *equals = memchr(s, '=', len);
	size_t name_len = equals ? (size_t)(equals - s) : len;
	struct parameter p = {.name = recoded(s, name_len)};
	p.value = equals ? recoded(equals + 1, len - name_len - 1) : xstrdup("");
	return p;
}

static size_t count_char(const char *s, char c)
{
	size_t n = 0;
	for (; *s; s++)
		n += *s == c;
	return n;
}

static void add_query(struct buf *out, const char *query)
{
	if (!query || !*query)
		return;
	size_t count = 0;
	struct parameter *list = xcalloc(count_char(query, '&') + 1, sizeof(*list));
	for (const char *p = query; *p; p += *p == '&') {
		size_t len = strcspn(p, "&");
		if (len > 0)
			list[count++] = parameter_parse(p, len);
		p += len;
	}
	for (size_t i = 0; i < count; i++)
		if (!list[i].name || !list[i].value)
			out->failed = -EFBIG;
	if (!out->failed)
		qsort(list, count, sizeof(*list), compare_parameters);
	for (size_t i = 0; i < count; i++) {
		if (!out->failed)
			buf_addf(out, "%s%s=%s", i ? "&" : "", list[i].name, list[i].value);
		free(list[i].name);
		free(list[i].value);
	}
	free(list);
}

/* Trimmed, inner runs of blanks (and folded lines) as one space. */
static void add_header_value(struct buf *out, const char *value)
{
	bool first = true;
	for (const char *p = value; *p;) {
		p += strspn(p, " \t\r\n");
		size_t len = strcspn(p, " \t\r\n");
		if (len > 0 && !first)
			buf_addc(out, ' ');
		buf_add(out, p, len);
		first = first && len == 0;
		p += len;
	}
}

static void add_header(struct buf *out, const struct sigv4_request *request, const char *name,
		       size_t len)
{
	buf_add(out, name, len);
	bool first = true;
	for (size_t i = 0; i < request->n_headers; i++) {
		const struct sigv4_header *h = &request->headers[i];
		if (strlen(h->name) != len || strncasecmp(h->name, name, len) != 0)
			continue;
		buf_addc(out, first ? ':' : ',');
		add_header_value(out, h->value);
		first = false;
	}
	buf_adds(out, first ? ":\n" : "\n");
}

char *sigv4_canonical_request(const struct sigv4_request *request, const char *signed_headers)
{
	auto_buf struct buf out = BUF_INIT(CANONICAL_MAX);
	buf_addf(&out, "%s\n", request->method);
	add_path(&out, request);
	buf_addc(&out, '\n');
	add_query(&out, request->query);
	buf_addc(&out, '\n');
	for (const char *p = signed_headers; *p; p += *p == ';') {
		size_t len = strcspn(p, ";");
		add_header(&out, request, p, len);
		p += len;
	}
	buf_addf(&out, "\n%s\n%s", signed_headers, request->payload_hash);
	return out.failed ? NULL : buf_take(&out);
}

char *sigv4_string_to_sign(const char *canonical_request, const char *amz_date, const char *scope)
{
	char hash[DIGEST_SHA256_HEX];
	digest_sha256_hex(canonical_request, strlen(canonical_request), hash);
	return xasprintf(ALGORITHM "\n%s\n%s\n%s", amz_date, scope, hash);
}

static void derive_key(const char *secret, const struct sigv4_auth *auth,
		       uint8_t key[DIGEST_SHA256_LEN])
{
	uint8_t mac[DIGEST_SHA256_LEN];
	auto_buf struct buf seed = BUF_INIT(4096);
	buf_addf(&seed, "AWS4%s", secret);
	digest_hmac_sha256(buf_str(&seed), seed.len, auth->date, strlen(auth->date), key);
	const char *const parts[] = {auth->region, auth->service, "aws4_request"};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		digest_hmac_sha256(key, DIGEST_SHA256_LEN, parts[i], strlen(parts[i]), mac);
		memcpy(key, mac, sizeof(mac));
	}
	explicit_bzero(mac, sizeof(mac));
	if (seed.data)
		explicit_bzero(seed.data, seed.len);
}

static void sign_string(const uint8_t key[DIGEST_SHA256_LEN], const char *string_to_sign,
			char out[65])
{
	uint8_t mac[DIGEST_SHA256_LEN];
	digest_hmac_sha256(key, DIGEST_SHA256_LEN, string_to_sign, strlen(string_to_sign), mac);
	str_hex(mac, sizeof(mac), out);
}

static int make_signature(const struct sigv4_request *request, const struct sigv4_auth *auth,
			  const char *secret, const char *amz_date, char out[65], struct error *err)
{
	auto_free char *canonical = sigv4_canonical_request(request, auth->signed_headers);
	if (!canonical)
		return error_set(err, -EFBIG, "request is too large to be signed");
	auto_free char *scope =
		xasprintf("%s/%s/%s/aws4_request", auth->date, auth->region, auth->service);
	auto_free char *text = sigv4_string_to_sign(canonical, amz_date, scope);
	uint8_t key[DIGEST_SHA256_LEN];
	derive_key(secret, auth, key);
	sign_string(key, text, out);
	explicit_bzero(key, sizeof(key));
	return 0;
}

/* What proxies and HTTP libraries may change or add on their own. */
static bool is_never_signed(const char *name)
{
	static const char *const names[] = {"authorization", "user-agent", "expect", "connection",
					    "content-length"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

static int compare_names(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* "content-type;host;x-amz-date" of all headers that are to be signed. */
static int list_headers(const struct sigv4_request *request, char *out, size_t room,
			struct error *err)
{
	const char *names[SIGV4_HEADERS_MAX];
	size_t count = 0;
	if (request->n_headers > SIGV4_HEADERS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d headers", SIGV4_HEADERS_MAX);
	for (size_t i = 0; i < request->n_headers; i++)
		if (!is_never_signed(request->headers[i].name))
			names[count++] = request->headers[i].name;
	qsort(names, count, sizeof(names[0]), compare_names);
	auto_buf struct buf list = BUF_INIT(room - 1);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && strcasecmp(names[i], names[i - 1]) == 0)
			continue;
		buf_addf(&list, "%s%s", list.len ? ";" : "", names[i]);
	}
	if (list.failed)
		return error_set(err, ERR_LIMIT, "names of the headers are too long to be signed");
	for (size_t i = 0; i <= list.len; i++)
		out[i] = (char)tolower((unsigned char)buf_str(&list)[i]);
	return 0;
}

static const char *find_header(const struct sigv4_request *request, const char *name)
{
	for (size_t i = 0; i < request->n_headers; i++)
		if (strcasecmp(request->headers[i].name, name) == 0)
			return request->headers[i].value;
	return NULL;
}

static int copy_field(char *out, size_t room, const char *s, size_t len, const char *what,
		      struct error *err)
{
	if (len == 0 || len >= room)
		return error_set(err, ERR_FORMAT, "%s is empty or too long", what);
	memcpy(out, s, len);
	out[len] = '\0';
	return 0;
}

int sigv4_sign(const struct sigv4_request *request, const struct sigv4_key *key,
	       const char *amz_date, char **ret_authorization, struct error *err)
{
	struct sigv4_auth auth = {0};
	if (!str_eq(find_header(request, "x-amz-date"), amz_date) || strlen(amz_date) < 8)
		return error_set(err, ERR_INPUT, "header x-amz-date is not the time of signing");
	memcpy(auth.date, amz_date, 8);
	int r = copy_field(auth.region, sizeof(auth.region), key->region, strlen(key->region),
			   "region", err);
	if (r < 0)
		return r;
	r = copy_field(auth.service, sizeof(auth.service), key->service, strlen(key->service),
		       "service", err);
	if (r < 0)
		return r;
	r = list_headers(request, auth.signed_headers, sizeof(auth.signed_headers), err);
	if (r < 0)
		return r;
	r = make_signature(request, &auth, key->secret, amz_date, auth.signature, err);
	if (r < 0)
		return r;
	*ret_authorization = xasprintf(
		ALGORITHM " Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
		key->access_key_id, auth.date, auth.region, auth.service, auth.signed_headers,
		auth.signature);
	return 0;
}

/* AKID/20260102/REGION/SERVICE/aws4_request, taken apart from its end. */
static int parse_credential(const char *s, size_t len, struct sigv4_auth *auth, struct error *err)
{
	static const char *const what[] = {"terminator", "service", "region", "date"};
	char terminator[16];
	char *const fields[] = {terminator, auth->service, auth->region, auth->date};
	const size_t rooms[] = {sizeof(terminator), sizeof(auth->service), sizeof(auth->region),
				sizeof(auth->date)};
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const char *slash = memrchr(s, '/', len);
		if (!slash)
			return error_set(err, ERR_FORMAT, "credential has fewer than five parts");
		size_t start = (size_t)(slash - s) + 1;
		int r = copy_field(fields[i], rooms[i], s + start, len - start, what[i], err);
		if (r < 0)
			return error_prefix(err, r, "credential");
		len = start - 1;
	}
	if (!str_eq(terminator, "aws4_request") || strspn(auth->date, "0123456789") != 8)
		return error_set(err, ERR_FORMAT,
				 "credential scope is not DATE/REGION/SERVICE/aws4_request");
	return copy_field(auth->access_key_id, sizeof(auth->access_key_id), s, len, "access key id",
			  err);
}

static int parse_part(const char *s, size_t len, struct sigv4_auth *auth, struct error *err)
{
	const char *equals = memchr(s, '=', len);
	size_t name = equals ? (size_t)(equals - s) : len;
	const char *value = equals ? equals + 1 : s + len;
	size_t value_len = len - (size_t)(value - s);
	if (name == 10 && memcmp(s, "Credential", 10) == 0)
		return parse_credential(value, value_len, auth, err);
	if (name == 13 && memcmp(s, "SignedHeaders", 13) == 0)
		return copy_field(auth->signed_headers, sizeof(auth->signed_headers), value,
				  value_len, "list of signed headers", err);
	if (name == 9 && memcmp(s, "Signature", 9) == 0)
		return copy_field(auth->signature, sizeof(auth->signature), value, value_len,
				  "signature", err);
	return error_set(err, ERR_FORMAT, "unknown part '%.*s'", (int)(len < 40 ? len : 40), s);
}

int sigv4_parse(const char *authorization, struct sigv4_auth *ret, struct error *err)
{
	struct sigv4_auth auth = {0};
	if (!str_starts(authorization, ALGORITHM))
		return error_set(err, ERR_FORMAT, "authorization is not " ALGORITHM);
	const char *p = authorization + strlen(ALGORITHM);
	if (*p != ' ' && *p != '\t')
		return error_set(err, ERR_FORMAT, "authorization is not " ALGORITHM);
	while (*p) {
		p += strspn(p, " \t,");
		size_t len = strcspn(p, " \t,");
		int r = len ? parse_part(p, len, &auth, err) : 0;
		if (r < 0)
			return error_prefix(err, r, "authorization");
		p += len;
	}
	if (!auth.access_key_id[0] || !auth.signed_headers[0] || !auth.signature[0])
		return error_set(err, ERR_FORMAT,
				 "authorization must have Credential, SignedHeaders and Signature");
	*ret = auth;
	return 0;
}

/* ---- presigned URLs: the same, in the query ---- */

static char *decoded(const char *s, size_t len)
{
	auto_buf struct buf out = BUF_INIT(CANONICAL_MAX);
	buf_adds(&out, "");
	for (size_t i = 0; i < len; i++) {
		unsigned char byte;
		char hex[3] = {0};
		if (s[i] == '%' && i + 2 < len)
			memcpy(hex, s + i + 1, 2);
		bool escaped = hex[0] && str_unhex(hex, &byte, 1) == 1 && byte;
		buf_addc(&out, escaped ? (char)byte : s[i]);
		i += escaped ? 2 : 0;
	}
	return out.failed ? NULL : buf_take(&out);
}

static int parse_url_date(const char *value, struct sigv4_auth *auth, struct error *err)
{
	int64_t when;
	if (strlen(value) != SIGV4_DATE_LEN - 1 || clock_parse_amz(value, &when) < 0)
		return error_set(err, ERR_FORMAT, "X-Amz-Date is not of the form 20260102T030405Z");
	memcpy(auth->url_date, value, SIGV4_DATE_LEN);
	return 0;
}

static int parse_expires(const char *value, struct sigv4_auth *auth, struct error *err)
{
	if (str_to_i64(value, &auth->expires_s) < 0 || auth->expires_s < 1 ||
	    auth->expires_s > SIGV4_EXPIRES_MAX_S)
		return error_set(err, ERR_FORMAT, "X-Amz-Expires must be between 1 and %d seconds",
				 SIGV4_EXPIRES_MAX_S);
	return 0;
}

static int parse_algorithm(const char *value, struct sigv4_auth *auth, struct error *err)
{
	return str_eq(value, ALGORITHM)
		       ? 0
		       : error_set(err, ERR_FORMAT, "X-Amz-Algorithm is not " ALGORITHM);
}

static int refuse_token(const char *value, struct sigv4_auth *auth, struct error *err)
{
	return error_set(err, ERR_FORMAT, "session tokens are not offered");
}

/* text: "Name=value" after "X-Amz-". What is not about the signature is not looked at. */
static int parse_url_part(const char *text, struct sigv4_auth *auth, struct error *err)
{
	static const struct {
		const char *name;
		int (*parse)(const char *value, struct sigv4_auth *auth, struct error *err);
	} parts[] = {{"Algorithm=", parse_algorithm},
		     {"Date=", parse_url_date},
		     {"Expires=", parse_expires},
		     {"Security-Token=", refuse_token},
		     {"Credential=", NULL},
		     {"SignedHeaders=", NULL},
		     {"Signature=", NULL}};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!str_starts(text, parts[i].name))
			continue;
		if (!parts[i].parse)
			return parse_part(text, strlen(text), auth, err);
		return parts[i].parse(text + strlen(parts[i].name), auth, err);
	}
	return 0;
}

int sigv4_parse_query(const char *query, struct sigv4_auth *ret, struct error *err)
{
	struct sigv4_auth auth = {0};
	for (const char *p = query; *p; p += *p == '&') {
		size_t len = strcspn(p, "&");
		auto_free char *text = decoded(p, len);
		int r = text ? 0 : error_set(err, -EFBIG, "its query is too large");
		if (r == 0 && str_starts(text, "X-Amz-"))
			r = parse_url_part(text + strlen("X-Amz-"), &auth, err);
		if (r < 0)
			return error_prefix(err, r, "presigned URL");
		p += len;
	}
	if (!auth.access_key_id[0] || !auth.signed_headers[0] || !auth.signature[0] ||
	    !auth.url_date[0] || !auth.expires_s)
		return error_set(err, ERR_FORMAT,
				 "a presigned URL must have X-Amz-Algorithm, X-Amz-Credential, "
				 "X-Amz-Date, X-Amz-Expires, X-Amz-SignedHeaders and "
				 "X-Amz-Signature");
	*ret = auth;
	return 0;
}

/* What a presigned URL's signature covers. */
static char *without_signature(const char *query)
{
	auto_buf struct buf out = BUF_INIT(CANONICAL_MAX);
	buf_adds(&out, "");
	for (const char *p = query; *p; p += *p == '&') {
		size_t len = strcspn(p, "&");
		if (!str_starts(p, "X-Amz-Signature=")) {
			buf_adds(&out, out.len ? "&" : "");
			buf_add(&out, p, len);
		}
		p += len;
	}
	return out.failed ? NULL : buf_take(&out);
}

int sigv4_check_expiry(const struct sigv4_auth *auth, int64_t now_s, int64_t skew_s,
		       struct error *err)
{
	int64_t when;
	char now[CLOCK_ISO_LEN], end[CLOCK_ISO_LEN];
	if (clock_parse_amz(auth->url_date, &when) < 0 ||
	    strncmp(auth->url_date, auth->date, 8) != 0)
		return error_set(err, ERR_FORMAT,
				 "X-Amz-Date and the date of X-Amz-Credential are two days");
	clock_format_amz(now_s, now);
	if (when > now_s + skew_s)
		return error_set(err, ERR_EXPIRED, "Request is not valid yet: from %s, it is %s",
				 auth->url_date, now);
	if (now_s > when + auth->expires_s)
		return error_set(err, ERR_EXPIRED, "Request has expired: at %s, it is %s",
				 clock_format_amz(when + auth->expires_s, end), now);
	return 0;
}

/* ---- verifying ---- */

static bool is_signed(const char *signed_headers, const char *name)
{
	size_t want = strlen(name);
	for (const char *p = signed_headers; *p; p += *p == ';') {
		size_t len = strcspn(p, ";");
		if (len == want && strncasecmp(p, name, len) == 0)
			return true;
		p += len;
	}
	return false;
}

static int check_signed_headers(const struct sigv4_request *request, const struct sigv4_auth *auth,
				struct error *err)
{
	const char *signed_headers = auth->signed_headers;
	if (request->n_headers > SIGV4_HEADERS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d headers", SIGV4_HEADERS_MAX);
	if (!is_signed(signed_headers, "host"))
		return error_set(err, ERR_SIGNATURE, "header 'host' must be signed");
	if (!auth->url_date[0] && !is_signed(signed_headers, "x-amz-date") &&
	    !is_signed(signed_headers, "date"))
		return error_set(err, ERR_SIGNATURE, "header 'x-amz-date' must be signed");
	for (size_t i = 0; i < request->n_headers; i++) {
		const char *name = request->headers[i].name;
		if (strncasecmp(name, "x-amz-", 6) == 0 && !is_signed(signed_headers, name))
			return error_set(err, ERR_SIGNATURE, "header '%.64s' must be signed", name);
	}
	for (const char *p = signed_headers; *p; p += *p == ';') {
		size_t len = strcspn(p, ";");
		auto_free char *name = xstrndup(p, len);
		if (!find_header(request, name))
			return error_set(err, ERR_SIGNATURE, "signed header '%.64s' is missing",
					 name);
		p += len;
	}
	return 0;
}

int sigv4_date(const struct sigv4_request *request, char out[SIGV4_DATE_LEN], struct error *err)
{
	int64_t when;
	const char *date = find_header(request, "x-amz-date");
	if (!date)
		date = find_header(request, "date");
	if (!date)
		return error_set(err, ERR_FORMAT, "header 'x-amz-date' is missing");
	if (clock_parse_amz(date, &when) < 0) {
		struct tm tm = {0};
		const char *end = strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		if (!end || *end)
			return error_set(err, ERR_FORMAT,
					 "header 'x-amz-date' is not of the form 20260102T030405Z");
		when = timegm(&tm);
	}
	char text[CLOCK_ISO_LEN];
	snprintf(out, SIGV4_DATE_LEN, "%.16s", clock_format_amz(when, text));
	return 0;
}

static int expected_signature(const struct sigv4_request *request, const struct sigv4_auth *auth,
			      const char *secret, char out[65], struct error *err)
{
	char amz_date[SIGV4_DATE_LEN];
	if (auth->url_date[0]) {
		struct sigv4_request bare = *request;
		auto_free char *query = without_signature(request->query);
		if (!query)
			return error_set(err, -EFBIG, "request is too large to be signed");
		bare.query = query;
		return make_signature(&bare, auth, secret, auth->url_date, out, err);
	}
	int r = sigv4_date(request, amz_date, err);
	return r < 0 ? r : make_signature(request, auth, secret, amz_date, out, err);
}

int sigv4_verify(const struct sigv4_request *request, const struct sigv4_auth *auth,
		 const char *secret, struct error *err)
{
	char expected[65];
	int r = check_signed_headers(request, auth, err);
	if (r == 0)
		r = expected_signature(request, auth, secret, expected, err);
	if (r < 0)
		return r;
	if (strlen(auth->signature) != 64 || !digest_equal(auth->signature, expected, 64))
		return error_set(err, ERR_SIGNATURE,
				 "The request signature we calculated does not match the signature "
				 "you provided. Check your AWS Secret Access Key and signing "
				 "method.");
	return 0;
}

int sigv4_check_time(const struct sigv4_auth *auth, const char *amz_date, int64_t now_s,
		     int64_t skew_s, struct error *err)
{
	int64_t when;
	if (clock_parse_amz(amz_date, &when) < 0)
		return error_set(err, ERR_FORMAT,
				 "header 'x-amz-date' is not of the form 20260102T030405Z");
	if (strncmp(amz_date, auth->date, 8) != 0)
		return error_set(err, ERR_EXPIRED,
				 "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
				 "version of date from HTTP: '%s' != '%.8s', from '%s'.",
				 auth->date, amz_date, amz_date);
	char now[CLOCK_ISO_LEN], limit[CLOCK_ISO_LEN];
	clock_format_amz(now_s, now);
	if (when < now_s - skew_s)
		return error_set(err, ERR_EXPIRED,
				 "Signature expired: %s is now earlier than %s (%s - %lld min.)",
				 amz_date, clock_format_amz(now_s - skew_s, limit), now,
				 (long long)skew_s / 60);
	if (when > now_s + skew_s)
		return error_set(err, ERR_EXPIRED,
				 "Signature not yet current: %s is still later than %s (%s + %lld "
				 "min.)",
				 amz_date, clock_format_amz(now_s + skew_s, limit), now,
				 (long long)skew_s / 60);
	return 0;
}

/* ---- signed chunks ---- */

void sigv4_chunks_init(struct sigv4_chunks *chunks, const struct sigv4_auth *auth,
		       const char *secret, const char *amz_date)
{
	*chunks = (struct sigv4_chunks){0};
	snprintf(chunks->amz_date, sizeof(chunks->amz_date), "%s", amz_date);
	snprintf(chunks->scope, sizeof(chunks->scope), "%s/%s/%s/aws4_request", auth->date,
		 auth->region, auth->service);
	memcpy(chunks->previous, auth->signature, sizeof(chunks->previous));
	derive_key(secret, auth, chunks->key);
}

void sigv4_chunks_clear(struct sigv4_chunks *chunks)
{
	explicit_bzero(chunks, sizeof(*chunks));
}

int sigv4_chunks_verify(struct sigv4_chunks *chunks, enum sigv4_chunk kind, const char *hash,
			const char *signature, struct error *err)
{
	static const char nothing[] =
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
	char expected[65];
	bool data = kind == SIGV4_CHUNK_DATA;
	auto_free char *text = xasprintf(
		ALGORITHM "-%s\n%s\n%s\n%s\n%s%s", data ? "PAYLOAD" : "TRAILER", chunks->amz_date,
		chunks->scope, chunks->previous, data ? nothing : "", hash);
	sign_string(chunks->key, text, expected);
	if (strlen(signature) != 64 || !digest_equal(signature, expected, 64))
		return error_set(err, ERR_SIGNATURE, "the signature of a %s is wrong",
				 data ? "chunk" : "trailer");
	memcpy(chunks->previous, expected, sizeof(expected));
	return 0;
}
