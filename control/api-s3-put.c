// SPDX-License-Identifier: Apache-2.0
/* PutObject, UploadPart and UploadPartCopy. The headers are checked and the signature admitted (it
 * covers the hash that the client claims) -> pieces are hashed and written -> at the end everything
 * that was claimed is held against them -> the helper thread syncs -> the row is written -> the
 * answer leaves after its commit. */
#include "control/api-s3.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "control/control.h"
#include "control/keeper.h"
#include "control/s3-body.h"

#include <stdlib.h>
#include <string.h>

struct put {
	struct control *control;
	struct request *request; /* NULL: the peer is gone */
	struct s3_path path;
	struct s3_body body;
	char version[S3_VERSION_LEN + 1];
	/* of a part */
	char upload[33];
	int64_t number; /* 0: an object */
	bool copied;
	char file[BUNDLE_NAME_LEN + 1];
};

static struct put *put_new(struct request *request, const struct s3_path *path)
{
	struct put *put = xcalloc(1, sizeof(*put));
	put->control = request->control;
	put->request = request;
	put->path = *path;
	str_random(put->version, S3_VERSION_LEN);
	return put;
}

static void put_free(struct put *put)
{
	s3_body_clear(&put->body);
	free(put);
}

/* Nobody waits for the answer of this request any more. */
static struct request *take_request(struct put *put)
{
	struct request *request = put->request;
	request->on_piece = NULL;
	request->on_close = NULL;
	put->request = NULL;
	return request;
}

static int put_refuse(struct put *put, const struct s3_fault *fault)
{
	struct request *request = take_request(put);
	put_free(put);
	s3_refuse(request, fault->status, fault->code, "%s", fault->text);
	return -ECANCELED;
}

/* ---- after the sync ---- */

static int record_object(struct put *put, struct error *err)
{
	struct store_object object = {
		.key = put->path.key, .size = put->body.digest.size, .created_s = clock_wall_s()};
	strcpy(object.bucket, put->path.bucket);
	strcpy(object.version, put->version);
	strcpy(object.sha256, put->body.digest.sha256);
	strcpy(object.etag, put->body.digest.md5);
	return store_object_put(put->control->store, &object, err);
}

static int record_part(struct put *put, struct error *err)
{
	struct store_part part = {
		.number = put->number, .size = put->body.digest.size, .created_s = clock_wall_s()};
	strcpy(part.file, put->file);
	strcpy(part.md5, put->body.digest.md5);
	return store_part_put(put->control->store, put->upload, &part, err);
}

static void reply(struct put *put, struct request *request)
{
	char etag[48];
	static const char *const xml[] = {"Content-Type", "application/xml", NULL};
	if (put->copied) {
		s3_reply_copied(request, "CopyPartResult", put->body.digest.md5, clock_wall_s(),
				xml);
		return;
	}
	snprintf(etag, sizeof(etag), "\"%s\"", put->body.digest.md5);
	const char *headers[] = {"ETag", etag, NULL, NULL, NULL, NULL, NULL};
	size_t n = 2;
	if (put->body.checksum[0]) {
		headers[n++] = put->body.checksum_header;
		headers[n++] = put->body.checksum;
	}
	if (!put->number) {
		headers[n++] = "x-amz-version-id";
		headers[n++] = put->version;
	}
	request_reply_headers(request, 200, 0, headers);
}

static void tell(const struct put *put, const struct request *request)
{
	char size[32];
	str_human_bytes(put->body.digest.size, size, sizeof(size));
	if (put->number)
		log_debug("s3://%s/%s: part %jd of upload %s: %s", put->path.bucket, put->path.key,
			  (intmax_t)put->number, put->upload, size);
	else
		log_info("s3://%s/%s: %s from '%s', SHA-256 %s", put->path.bucket, put->path.key,
			 size, request->caller.name, put->body.digest.sha256);
}

/* May it still be written? Things may have changed while the body came. Otherwise it is answered.
 */
static bool is_wanted(const struct put *put, struct request *request)
{
	auto_store_upload struct store_upload upload = {0};
	if (put->number)
		return s3_find_upload(request, &put->path, &upload);
	return s3_may_write(request, &put->path);
}

static void discard(const struct put *put)
{
	struct error err = {0};
	const char *file = put->number ? put->file : put->body.digest.sha256;
	if (store_garbage_add(put->control->store, file, &err) < 0)
		log_warning("s3://%s/%s: %s", put->path.bucket, put->path.key, err.text);
	keeper_wake(put->control->keeper);
}

static void finish(struct put *put, struct request *request)
{
	struct error err = {0};
	int r = put->number ? record_part(put, &err) : record_object(put, &err);
	if (r < 0) {
		s3_fail(request, &err);
		return;
	}
	tell(put, request);
	reply(put, request);
}

static void on_stored(int result, const struct error *error, void *arg)
{
	struct put *put = arg;
	struct request *request = put->request ? take_request(put) : NULL;
	put->body.upload = NULL; /* it frees itself */
	if (result < 0 && request)
		s3_fail(request, error);
	else if (result >= 0 && request && is_wanted(put, request))
		finish(put, request);
	else if (result >= 0)
		discard(put);
	put_free(put);
}

/* ---- the body ---- */

static void on_closed(struct request *request, void *arg)
{
	put_free(arg);
}

/* What is being stored cannot be called back: it becomes garbage then. */
static void on_closed_late(struct request *request, void *arg)
{
	struct put *put = arg;
	put->request = NULL;
}

static int put_end(struct put *put)
{
	struct s3_fault fault;
	if (s3_body_end(&put->body, &fault) < 0)
		return put_refuse(put, &fault);
	request_park(put->request, on_closed_late, put);
	if (put->number)
		bundle_upload_keep(put->body.upload, put->file, on_stored, put);
	else
		bundle_upload_store(put->body.upload, on_stored, put);
	return 0;
}

static int on_piece(struct request *request, const char *data, size_t len, void *arg)
{
	struct put *put = arg;
	struct s3_fault fault;
	if (!data)
		return put_end(put);
	return s3_body_take(&put->body, data, len, &fault) < 0 ? put_refuse(put, &fault) : 0;
}

/* Is it a part? False: it was answered. */
static bool take_part(struct put *put, struct request *request)
{
	auto_store_upload struct store_upload upload = {0};
	const char *id = request_query(request, "uploadId");
	if (!id)
		return s3_may_write(request, &put->path);
	if (!s3_query_number(request, "partNumber", 0, INT64_MAX, &put->number))
		return false;
	if (put->number < 1 || put->number > S3_PARTS_MAX) {
		s3_refuse(request, 400, "InvalidArgument",
			  "Part number must be an integer between 1 and %d, inclusive",
			  S3_PARTS_MAX);
		return false;
	}
	if (!s3_find_upload(request, &put->path, &upload))
		return false;
	strcpy(put->upload, upload.id);
	return true;
}

/* Its bytes are in the bundle store already: a thread copies them. */
static void start_copy(struct put *put, const struct store_object *source,
		       struct bundle_range *from)
{
	struct request *request = put->request;
	struct bundles *bundles = put->control->bundles;
	struct error err = {0};
	from->fd = bundles_fd(bundles, source->sha256, &err);
	if (from->fd < 0 || bundle_upload_new(bundles, put->control->settings.bundle_max_bytes,
					      &put->body.upload, &err) < 0) {
		fs_close_quiet(from->fd);
		put_free(put);
		s3_fail(request, &err);
		return;
	}
	put->copied = true;
	request_park(request, on_closed_late, put);
	bundle_upload_copy(put->body.upload, from, &put->body.digest, put->file, on_stored, put);
}

static void copy_part(struct request *request, const struct s3_path *path)
{
	auto_store_object struct store_object source = {0};
	struct bundle_range from;
	struct put *put = put_new(request, path);
	if (take_part(put, request) && s3_copy_source(request, &source) &&
	    s3_copy_range(request, source.size, &from.offset, &from.len))
		start_copy(put, &source, &from);
	else
		put_free(put);
}

void s3_put_object(struct request *request, const struct s3_path *path)
{
	struct s3_fault fault;
	if (request_header(request, "x-amz-copy-source")) {
		bool part = request_query(request, "uploadId");
		s3_without_body(request, path, part ? copy_part : s3_copy_object);
		return;
	}
	struct put *put = put_new(request, path);
	if (!take_part(put, request)) {
		put_free(put);
		return;
	}
	if (s3_body_begin(&put->body, request, &fault) < 0) {
		put_refuse(put, &fault);
		return;
	}
	request->on_piece = on_piece;
	request->on_close = on_closed;
	request->arg = put;
}

/* ---- streamed routes that want no body ---- */

struct empty {
	struct s3_path path;
	s3_fn *fn;
	uint64_t len;
};

static void on_empty_closed(struct request *request, void *arg)
{
	free(arg);
}

static int on_empty_piece(struct request *request, const char *data, size_t len, void *arg)
{
	struct empty *empty = arg;
	empty->len += len;
	if (data && empty->len <= 65536)
		return 0;
	request->on_piece = NULL;
	request->on_close = NULL;
	if (data)
		s3_refuse(request, 400, "InvalidRequest", "this request takes no such body");
	else
		empty->fn(request, &empty->path);
	free(empty);
	return data ? -ECANCELED : 0;
}

void s3_without_body(struct request *request, const struct s3_path *path, s3_fn *fn)
{
	struct empty *empty = xcalloc(1, sizeof(*empty));
	empty->path = *path;
	empty->fn = fn;
	request->on_piece = on_empty_piece;
	request->on_close = on_empty_closed;
	request->arg = empty;
}
