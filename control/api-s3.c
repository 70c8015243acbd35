// SPDX-License-Identifier: Apache-2.0
/* The bundle store as S3 clients see it: PutObject, GetObject, HeadObject, path style. Buckets need
 * not be made; every object keeps its versions. People may do all, hosts read what they are to
 * install.
 *
 * An upload: the headers are checked and the signature admitted (it covers the hash that the client
 * claims) -> pieces are hashed and written -> at the end hash, size and checksums are held against
 * the claims -> the helper thread syncs -> the row is written -> the answer leaves after its
 * commit. */
#include "control/api.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "control/awschunk.h"
#include "control/bundles.h"
#include "control/control.h"
#include "control/s3.h"
#include "control/store.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#define VERSION_LEN 32
#define STREAMING "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

static void fault(struct request *request, int status, const char *code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
static void fault(struct request *request, int status, const char *code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	auto_free char *text = xvasprintf(fmt, ap);
	va_end(ap);
	s3_reply_fault(request, status, code, text);
}

/* Sub-resources ("?acl", "?uploads") are other operations. */
static bool query_is_plain(const struct request *request)
{
	static const char *const known[] = {"versionId", "x-id"};
	bool plain = true;
	char **parts = str_split(request->query, '&');
	for (char **part = parts; *part; part++) {
		size_t len = strcspn(*part, "=");
		bool found = len == 0;
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			if (strlen(known[i]) == len && strncmp(known[i], *part, len) == 0)
				found = true;
		plain = plain && found;
	}
	str_list_free(parts);
	return plain;
}

/* Bucket and key of a request for an object; otherwise it is answered. */
static bool take_path(struct request *request, struct s3_path *path)
{
	struct error err = {0};
	if (s3_path_parse(request->path, path, &err) < 0) {
		fault(request, 400, "InvalidURI", "%s", err.text);
		return false;
	}
	if (!query_is_plain(request)) {
		fault(request, 501, "NotImplemented",
		      "this endpoint offers PutObject, GetObject and HeadObject; for large files "
		      "use "
		      "'aws s3api put-object' (or set multipart_threshold)");
		return false;
	}
	return true;
}

void api_s3_other(struct request *request)
{
	fault(request, 501, "NotImplemented",
	      "this endpoint offers PutObject, GetObject and HeadObject; for large files use "
	      "'aws s3api put-object' (or set multipart_threshold)");
}

/* ---- reading ---- */

static bool may_read(struct request *request, const struct s3_path *path, const char *version)
{
	struct error err = {0};
	if (request->caller.kind != CALLER_HOST ||
	    store_host_may_read(request->control->store, request->caller.name, path->bucket,
				path->key, version, &err) >= 0)
		return true;
	log_warning("refused %s of s3://%s/%s to host '%s': %s", request->method, path->bucket,
		    path->key, request->caller.name, err.text);
	fault(request, 403, "AccessDenied", "%s", err.text);
	return false;
}

static bool find_object(struct request *request, const struct s3_path *path, const char *version,
			struct store_object *object)
{
	struct error err = {0};
	int r = store_object_get(request->control->store, path->bucket, path->key, version, object,
				 &err);
	if (r == ERR_NOT_FOUND)
		fault(request, 404, version ? "NoSuchVersion" : "NoSuchKey", "%s", err.text);
	else if (r < 0)
		fault(request, 500, "InternalError", "%s", err.text);
	return r >= 0;
}

static bool tag_matches(const char *header, const char *md5)
{
	if (strcmp(header, "*") == 0)
		return true;
	size_t len = strlen(header);
	if (len >= 2 && header[0] == '"' && header[len - 1] == '"')
		return strlen(md5) == len - 2 && strncmp(header + 1, md5, len - 2) == 0;
	return strcmp(header, md5) == 0;
}

/* If-Match and If-None-Match; answers when they say so. */
static bool conditions_hold(struct request *request, const struct store_object *object,
			    const char *const headers[])
{
	const char *match = request_header(request, "If-Match");
	const char *none = request_header(request, "If-None-Match");
	if (match && !tag_matches(match, object->md5)) {
		fault(request, 412, "PreconditionFailed", "the object's ETag is \"%s\"",
		      object->md5);
		return false;
	}
	if (none && tag_matches(none, object->md5)) {
		request_reply_headers(request, 304, 0, headers);
		return false;
	}
	return true;
}

/* Which part is asked for. Returns the status to answer with, or 0 when it was answered. */
static int take_range(struct request *request, const struct store_object *object, uint64_t *offset,
		      uint64_t *len)
{
	const char *if_range = request_header(request, "If-Range");
	*offset = 0;
	*len = object->size;
	if (if_range && !tag_matches(if_range, object->md5))
		return 200;
	int r = s3_range_parse(request_header(request, "Range"), object->size, offset, len);
	if (r == ERR_INPUT) {
		fault(request, 416, "InvalidRange", "the object has %ju bytes",
		      (uintmax_t)object->size);
		return 0;
	}
	return r > 0 ? 206 : 200;
}

static void send_object(struct request *request, const struct store_object *object)
{
	char date[64], content_range[96], etag[40];
	struct tm tm;
	time_t created = (time_t)object->created_s;
	gmtime_r(&created, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	snprintf(etag, sizeof(etag), "\"%s\"", object->md5);
	uint64_t offset, len;
	const char *headers[] = {"ETag",
				 etag,
				 "x-amz-version-id",
				 object->version,
				 "Last-Modified",
				 date,
				 "Accept-Ranges",
				 "bytes",
				 "Content-Type",
				 "application/octet-stream",
				 NULL, /* Content-Range */
				 content_range,
				 NULL};
	if (!conditions_hold(request, object, headers))
		return;
	int status = take_range(request, object, &offset, &len);
	if (status == 0)
		return;
	if (status == 206) {
		headers[10] = "Content-Range";
		snprintf(content_range, sizeof(content_range), "bytes %ju-%ju/%ju",
			 (uintmax_t)offset, (uintmax_t)(offset + len - 1), (uintmax_t)object->size);
	}
	if (strcmp(request->method, "HEAD") == 0) {
		request_reply_headers(request, status, len, headers);
		return;
	}
	struct error err = {0};
	int fd = bundles_fd(request->control->bundles, object->sha256, &err);
	if (fd < 0) {
		log_error("s3://%s/%s: %s", object->bucket, object->key, err.text);
		fault(request, 500, "InternalError", "%s", err.text);
		return;
	}
	request_reply_fd(request, status, fd, offset, len, headers);
}

void api_s3_get(struct request *request)
{
	struct s3_path path;
	auto_store_object struct store_object object = {0};
	const char *version = request_query(request, "versionId");
	if (!take_path(request, &path))
		return;
	if (!path.key[0]) {
		if (strcmp(request->method, "HEAD") == 0)
			request_reply_headers(request, 200, 0, NULL); /* every bucket is there */
		else
			api_s3_other(request);
		return;
	}
	if (may_read(request, &path, version) && find_object(request, &path, version, &object))
		send_object(request, &object);
}

void api_s3_head(struct request *request)
{
	api_s3_get(request);
}

/* ---- writing ---- */

struct put {
	struct request *request; /* NULL: the peer is gone */
	struct bundle_upload *upload;
	struct s3_path path;
	struct bundle_digest digest;
	char sha256[65]; /* that was signed; "" for none */
	char *md5, *crc32;
	bool chunked;
	uint64_t expected; /* bytes, when chunked */
	struct awschunk chunk;
	char version[VERSION_LEN + 1];
};

static void put_free(struct put *put)
{
	bundle_upload_cancel(put->upload);
	free(put->md5);
	free(put->crc32);
	free(put);
}

/* Answer with a fault and end the upload. Returns what a piece function returns. */
static int put_fail(struct put *put, int status, const char *code, const char *text)
{
	struct request *request = put->request;
	request->on_piece = NULL;
	request->on_close = NULL;
	put_free(put);
	fault(request, status, code, "%s", text);
	return -ECANCELED;
}

static void on_put_closed(struct request *request, void *arg)
{
	put_free(arg);
}

static void on_put_stored(int result, const struct error *error, void *arg)
{
	struct put *put = arg;
	struct request *request = put->request;
	struct error err = *error;
	put->upload = NULL; /* it frees itself */
	if (result >= 0) {
		struct store_object object = {.key = put->path.key,
					      .size = put->digest.size,
					      .created_s = clock_wall_s()};
		strcpy(object.bucket, put->path.bucket);
		strcpy(object.version, put->version);
		strcpy(object.sha256, put->digest.sha256);
		strcpy(object.md5, put->digest.md5);
		result = store_object_put(request->control->store, &object, &err);
	}
	if (result < 0) {
		log_error("s3://%s/%s: %s", put->path.bucket, put->path.key, err.text);
		put_fail(put, 500, "InternalError", err.text);
		return;
	}
	char size[32], etag[40];
	log_info("s3://%s/%s: %s from '%s', SHA-256 %s", put->path.bucket, put->path.key,
		 str_human_bytes(put->digest.size, size, sizeof(size)), request->caller.name,
		 put->digest.sha256);
	snprintf(etag, sizeof(etag), "\"%s\"", put->digest.md5);
	const char *const headers[] = {"ETag", etag, "x-amz-version-id", put->version, NULL};
	request->on_close = NULL;
	request_reply_headers(request, 200, 0, headers);
	put_free(put);
}

static int write_piece(const char *data, size_t len, void *arg, struct error *err)
{
	struct put *put = arg;
	return bundle_upload_write(put->upload, data, len, err);
}

static bool md5_is_right(const struct put *put)
{
	if (!put->md5)
		return true;
	auto_free char *have = s3_base64_of_hex(put->digest.md5);
	return strcmp(have, put->md5) == 0;
}

/* x-amz-checksum-crc32, from a header or a trailer; other algorithms are left to TLS. */
static bool crc32_is_right(const struct put *put)
{
	const char *wanted = put->crc32;
	if (strcasecmp(put->chunk.trailer_name, "x-amz-checksum-crc32") == 0)
		wanted = put->chunk.trailer_value;
	if (!wanted)
		return true;
	char hex[9];
	snprintf(hex, sizeof(hex), "%08x", put->digest.crc32);
	auto_free char *have = s3_base64_of_hex(hex);
	return strcmp(have, wanted) == 0;
}

static int put_end(struct put *put)
{
	struct error err = {0};
	if (put->chunked && (awschunk_end(&put->chunk, &err) < 0))
		return put_fail(put, 400, "IncompleteBody", err.text);
	if (put->chunked && put->chunk.total != put->expected)
		return put_fail(put, 400, "IncompleteBody",
				"the body has another length than x-amz-decoded-content-length");
	if (bundle_upload_end(put->upload, &put->digest, &err) < 0)
		return put_fail(put, 500, "InternalError", err.text);
	if (put->sha256[0] && strcasecmp(put->sha256, put->digest.sha256) != 0)
		return put_fail(put, 400, "XAmzContentSHA256Mismatch",
				"the body is not what x-amz-content-sha256 says");
	if (!md5_is_right(put) || !crc32_is_right(put))
		return put_fail(put, 400, "BadDigest",
				"the body is not what its Content-MD5 or checksum says");
	bundle_upload_store(put->upload, on_put_stored, put);
	request_park(put->request, on_put_closed, put);
	return 0;
}

static int on_put_piece(struct request *request, const char *data, size_t len, void *arg)
{
	struct put *put = arg;
	struct error err = {0};
	if (!data)
		return put_end(put);
	int r = put->chunked ? awschunk_feed(&put->chunk, data, len, write_piece, put, &err)
			     : write_piece(data, len, put, &err);
	if (r == ERR_LIMIT)
		return put_fail(put, 400, "EntityTooLarge", err.text);
	if (r == ERR_FORMAT)
		return put_fail(put, 400, "InvalidRequest", err.text);
	if (r < 0) {
		log_error("s3://%s/%s: %s", put->path.bucket, put->path.key, err.text);
		return put_fail(put, 500, "InternalError", err.text);
	}
	return 0;
}

/* What the headers claim of the body. Returns 0, or answers. */
static int take_claims(struct put *put, struct request *request)
{
	const char *hash = request_header(request, "x-amz-content-sha256");
	const char *md5 = request_header(request, "Content-MD5");
	const char *crc = request_header(request, "x-amz-checksum-crc32");
	const char *length = request_header(request, "x-amz-decoded-content-length");
	put->md5 = xstrdup_null(md5);
	put->crc32 = xstrdup_null(crc);
	put->chunked = hash && strcmp(hash, STREAMING) == 0;
	if (put->chunked) {
		if (!length || str_to_u64(length, &put->expected) < 0)
			return put_fail(put, 411, "MissingContentLength",
					"x-amz-decoded-content-length is missing");
	} else if (hash && str_starts(hash, "STREAMING-")) {
		return put_fail(
			put, 501, "NotImplemented",
			"signed chunks are not offered: send the body in one piece, or " STREAMING);
	} else if (hash && strcmp(hash, "UNSIGNED-PAYLOAD") != 0) {
		if (strlen(hash) != 64)
			return put_fail(put, 400, "InvalidArgument",
					"x-amz-content-sha256 is neither a SHA-256 nor "
					"UNSIGNED-PAYLOAD");
		strcpy(put->sha256, hash);
	}
	if (request_header(request, "x-amz-copy-source"))
		return put_fail(put, 501, "NotImplemented", "copying is not offered");

	uint64_t announced = put->expected, max = request->control->settings.bundle_max_bytes;
	length = request_header(request, "Content-Length");
	if (!put->chunked && length && str_to_u64(length, &announced) < 0)
		announced = 0;
	if (announced > max) {
		auto_free char *text =
			xasprintf("an object may have %ju bytes (bundle_max_size)", (uintmax_t)max);
		return put_fail(put, 400, "EntityTooLarge", text);
	}
	return 0;
}

void api_s3_put(struct request *request)
{
	struct s3_path path;
	struct error err = {0};
	if (!take_path(request, &path))
		return;
	if (!path.key[0]) { /* CreateBucket: every bucket is there */
		request_reply_headers(request, 200, 0, NULL);
		return;
	}
	struct put *put = xcalloc(1, sizeof(*put));
	put->request = request;
	put->path = path;
	str_random(put->version, VERSION_LEN);
	if (take_claims(put, request) < 0)
		return;
	if (bundle_upload_new(request->control->bundles,
			      request->control->settings.bundle_max_bytes, &put->upload,
			      &err) < 0) {
		log_error("%s", err.text);
		put_fail(put, 500, "InternalError", err.text);
		return;
	}
	request->on_piece = on_put_piece;
	request->on_close = on_put_closed;
	request->arg = put;
}
