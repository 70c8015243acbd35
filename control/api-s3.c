// SPDX-License-Identifier: Apache-2.0
/* The bundle store as S3 clients see it, path style. People may do all that the table has, hosts
 * only read what they are to install. A request is the operation of the first row whose method,
 * level and sub-resource ("?uploads") it has; a parameter that the row does not know would make it
 * another operation, so it is refused. */
#include "control/api-s3.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "control/api.h"
#include "control/control.h"
#include "control/s3-body.h"
#include "control/s3-xml.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

enum level { SERVICE, BUCKET, OBJECT };

/* clang-format off */
static const struct operation {
	const char *method;
	enum level level;
	const char *sub;    /* parameter that must be there, or NULL */
	const char *params; /* others that may be, between blanks */
	s3_fn *fn;
	bool hosts;  /* also for them */
	bool copies; /* x-amz-copy-source may be there */
} operations[] = {
	{ "GET", SERVICE, NULL, " max-buckets prefix ", s3_list_buckets, false, false },
	{ "HEAD", BUCKET, NULL, " ", s3_head_bucket, false, false },
	{ "GET", BUCKET, "location", " ", s3_bucket_location, false, false },
	{ "GET", BUCKET, "versioning", " ", s3_bucket_versioning, false, false },
	{ "GET", BUCKET, "uploads", " encoding-type key-marker max-uploads prefix upload-id-marker ",
	  s3_list_uploads, false, false },
	{ "GET", BUCKET, "versions", " delimiter encoding-type key-marker max-keys prefix version-id-marker ",
	  s3_list_versions, false, false },
	{ "GET", BUCKET, "list-type",
	  " continuation-token delimiter encoding-type fetch-owner max-keys prefix start-after ",
	  s3_list_objects_v2, false, false },
	{ "GET", BUCKET, NULL, " delimiter encoding-type marker max-keys prefix ", s3_list_objects, false, false },
	{ "PUT", BUCKET, NULL, " ", s3_create_bucket, false, false },
	{ "DELETE", BUCKET, NULL, " ", s3_delete_bucket, false, false },
	{ "POST", BUCKET, "delete", " ", s3_delete_objects, false, false },
	{ "GET", OBJECT, "uploadId", " max-parts part-number-marker ", s3_list_parts, false, false },
	{ "GET", OBJECT, "tagging", " versionId ", s3_get_tagging, false, false },
	{ "GET", OBJECT, NULL, " versionId ", s3_get_object, true, false },
	{ "HEAD", OBJECT, NULL, " versionId ", s3_get_object, true, false },
	{ "PUT", OBJECT, "uploadId", " partNumber ", s3_put_object, false, true },
	{ "PUT", OBJECT, NULL, " ", s3_put_object, false, true },
	{ "POST", OBJECT, "uploads", " ", s3_create_upload, false, false },
	{ "POST", OBJECT, "uploadId", " ", s3_complete_upload, false, false },
	{ "DELETE", OBJECT, "uploadId", " ", s3_abort_upload, false, false },
	{ "DELETE", OBJECT, NULL, " versionId ", s3_delete_object, false, false },
};
/* clang-format on */

/* Headers that ask for what is not done here; to ignore them would be to say it was. */
static const char *const unknown_headers[] = {
	"x-amz-server-side-encryption-customer-algorithm",
	"x-amz-object-lock-mode",
	"x-amz-object-lock-legal-hold",
	"x-amz-object-lock-retain-until-date",
	"x-amz-copy-source-server-side-encryption-customer-algorithm",
	"x-amz-copy-source-if-modified-since",
	"x-amz-copy-source-if-unmodified-since"};

/* ---- answers ---- */

void s3_refuse(struct request *request, int status, const char *code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	s3_reply_fault(request, status, code, text);
}

void s3_fail(struct request *request, const struct error *err)
{
	log_error("%s %s: %s", request->method, request->path, err->text);
	store_fail(request->control->store, err);
	s3_reply_fault(request, 500, "InternalError", err->text);
}

void s3_reply_xml(struct request *request, struct buf *body)
{
	struct error err = {0};
	buf_addc(body, '\n');
	if (buf_check(body, "the list", &err) < 0)
		s3_fail(request, &err);
	else
		request_reply_text(request, 200, "application/xml", body->data, body->len);
}

void s3_reply_nothing(struct request *request, const char *const headers[])
{
	request_reply_headers(request, 204, 0, headers);
}

/* ---- what several operations ask ---- */

bool s3_find_bucket(struct request *request, const struct s3_path *path)
{
	struct store_bucket bucket;
	struct error err = {0};
	int r = store_bucket_get(request->control->store, path->bucket, &bucket, &err);
	if (r == ERR_NOT_FOUND)
		s3_refuse(request, 404, "NoSuchBucket", "The specified bucket does not exist");
	else if (r < 0)
		s3_fail(request, &err);
	return r >= 0;
}

bool s3_query_number(struct request *request, const char *name, int64_t def, int64_t max,
		     int64_t *ret)
{
	const char *text = request_query(request, name);
	*ret = def;
	if (!text || !*text)
		return true;
	if (str_to_i64(text, ret) < 0 || *ret < 0) {
		s3_refuse(request, 400, "InvalidArgument",
			  "Argument %s must be an integer that is not negative", name);
		return false;
	}
	if (*ret > max)
		*ret = max;
	return true;
}

bool s3_query_encoding(struct request *request, bool *ret_url)
{
	const char *type = request_query(request, "encoding-type");
	*ret_url = type && strcmp(type, "url") == 0;
	if (!type || *ret_url)
		return true;
	s3_refuse(request, 400, "InvalidArgument", "Invalid Encoding Method specified in Request");
	return false;
}

void s3_xml_key(struct buf *out, const char *name, const char *key, bool url)
{
	if (!key)
		return;
	auto_free char *encoded = url ? str_uri_encode(key, strlen(key), true) : NULL;
	s3_xml_text(out, name, url ? encoded : key);
}

/* ---- which operation ---- */

static bool is_param(const struct operation *op, const char *name, size_t len)
{
	if ((op->sub && strlen(op->sub) == len && strncmp(op->sub, name, len) == 0) ||
	    (len == 4 && strncmp(name, "x-id", 4) == 0) ||
	    (len > 6 && strncasecmp(name, "X-Amz-", 6) == 0))
		return true;
	auto_free char *word = xasprintf(" %.*s ", (int)len, name);
	return strstr(op->params, word) != NULL;
}

/* The first parameter that the operation does not know. Caller frees. */
static char *find_unknown(const struct operation *op, const char *query)
{
	char *unknown = NULL;
	char **parts = str_split(query, '&');
	for (char **part = parts; *part && !unknown; part++) {
		size_t len = strcspn(*part, "=");
		if (len > 0 && !is_param(op, *part, len))
			unknown = xstrndup(*part, len < 64 ? len : 64);
	}
	str_list_free(parts);
	return unknown;
}

static const struct operation *find_operation(struct request *request, enum level level)
{
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		const struct operation *op = &operations[i];
		if (op->level == level && strcmp(op->method, request->method) == 0 &&
		    (!op->sub || request_query(request, op->sub)))
			return op;
	}
	return NULL;
}

/* "BUCKET.NAME" where NAME is one of ours and "BUCKET.NAME" is not: a client that puts the bucket
 * into the host's name would, taken at its word, do something else to another bucket. */
static bool is_virtual_host(struct request *request)
{
	struct error err = {0};
	const char *host = request_header(request, "Host");
	const char *dot = host ? strchr(host, '.') : NULL;
	if (!dot)
		return false;
	auto_free char *names = NULL;
	if (store_meta_get(request->control->store, "names", &names, &err) < 0)
		names = xstrdup("");
	const char *more = request->control->settings.names;
	size_t len = strcspn(host, ":"), skip = (size_t)(dot + 1 - host);
	auto_free char *all =
		xasprintf(",%s,%s,%s,", names, more ? more : "", request->control->name);
	auto_free char *whole = xasprintf(",%.*s,", (int)len, host);
	auto_free char *base = xasprintf(",%.*s,", (int)(len - skip), host + skip);
	return len > skip && !strcasestr(all, whole) && strcasestr(all, base);
}

/* Some clients put such headers into the query of a presigned URL. */
static bool asks_for(struct request *request, const char *header)
{
	return request_header(request, header) || request_query(request, header);
}

static bool check_request(struct request *request, const struct operation *op)
{
	auto_free char *unknown = op ? find_unknown(op, request->query) : NULL;
	if (!op || unknown) {
		s3_refuse(request, 501, "NotImplemented",
			  "this endpoint does not offer %s with '%s' here", request->method,
			  unknown ? unknown : request->path);
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(unknown_headers); i++)
		if (asks_for(request, unknown_headers[i])) {
			s3_refuse(request, 501, "NotImplemented",
				  "this endpoint does not offer '%s'", unknown_headers[i]);
			return false;
		}
	if (request_query(request, "x-amz-copy-source") ||
	    (request_header(request, "x-amz-copy-source") && !op->copies)) {
		s3_refuse(request, 501, "NotImplemented",
			  "this request copies nothing (x-amz-copy-source must be a header)");
		return false;
	}
	if (request->caller.kind == CALLER_HOST && !op->hosts) {
		s3_refuse(request, 403, "AccessDenied",
			  "a host may only read what it is to install");
		return false;
	}
	return true;
}

static bool check_body(struct request *request, const struct operation *op)
{
	struct s3_fault fault;
	bool of_object = op->fn == s3_complete_upload;
	if (strcmp(request->method, "POST") != 0 || s3_body_check(request, of_object, &fault) == 0)
		return true;
	s3_refuse(request, fault.status, fault.code, "%s", fault.text);
	return false;
}

void api_s3(struct request *request)
{
	struct error err = {0};
	struct s3_path path = {0};
	enum level level = SERVICE;
	if (is_virtual_host(request)) {
		s3_refuse(request, 400, "InvalidRequest",
			  "buckets are in the path here, not in the host's name: set "
			  "'addressing_style = path' (s3.addressing_style, forcePathStyle)");
		return;
	}
	if (strcmp(request->path, "/") != 0) {
		int r = s3_path_parse(request->path, &path, &err);
		if (r < 0) {
			s3_refuse(request, 400, "InvalidURI", "%s", err.text);
			return;
		}
		level = path.key[0] ? OBJECT : BUCKET;
	}
	const struct operation *op = find_operation(request, level);
	if (check_request(request, op) && check_body(request, op))
		op->fn(request, &path);
}
