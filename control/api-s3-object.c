// SPDX-License-Identifier: Apache-2.0
/* Objects: reading, and deleting. */
#include "control/api-s3.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "control/bundles.h"
#include "control/control.h"
#include "control/keeper.h"
#include "control/s3-xml.h"

#include <string.h>
#include <time.h>

#define DELETE_XML_MAX (8UL * 1024 * 1024)

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
	s3_refuse(request, 403, "AccessDenied", "%s", err.text);
	return false;
}

/* A host finds what it is to install although people see it as deleted. */
static bool find_object(struct request *request, const struct s3_path *path, const char *version,
			struct store_object *object)
{
	struct error err = {0};
	struct store *store = request->control->store;
	int r = store_object_get(store, path->bucket, path->key, version, object, &err);
	if (r == ERR_NOT_FOUND && !version && request->caller.kind == CALLER_HOST)
		r = store_object_get_kept(store, path->bucket, path->key, object, &err);
	if (r == ERR_NOT_FOUND)
		s3_refuse(request, 404, version ? "NoSuchVersion" : "NoSuchKey", "%s", err.text);
	else if (r < 0)
		s3_fail(request, &err);
	return r >= 0;
}

bool s3_tag_matches(const char *header, const char *etag)
{
	if (strcmp(header, "*") == 0)
		return true;
	size_t len = strlen(header);
	if (len >= 2 && header[0] == '"' && header[len - 1] == '"')
		return strlen(etag) == len - 2 && strncmp(header + 1, etag, len - 2) == 0;
	return strcmp(header, etag) == 0;
}

/* If-Match and If-None-Match; answers when they say so. */
static bool conditions_hold(struct request *request, const struct store_object *object,
			    const char *const headers[])
{
	const char *match = request_header(request, "If-Match");
	const char *none = request_header(request, "If-None-Match");
	if (match && !s3_tag_matches(match, object->etag)) {
		s3_refuse(request, 412, "PreconditionFailed", "the object's ETag is \"%s\"",
			  object->etag);
		return false;
	}
	if (none && s3_tag_matches(none, object->etag)) {
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
	if (if_range && !s3_tag_matches(if_range, object->etag))
		return 200;
	int r = s3_range_parse(request_header(request, "Range"), object->size, offset, len);
	if (r == ERR_INPUT) {
		s3_refuse(request, 416, "InvalidRange", "the object has %ju bytes",
			  (uintmax_t)object->size);
		return 0;
	}
	return r > 0 ? 206 : 200;
}

static void send_object(struct request *request, const struct store_object *object)
{
	char date[64], content_range[96], etag[48];
	struct tm tm;
	time_t created = (time_t)object->created_s;
	gmtime_r(&created, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	snprintf(etag, sizeof(etag), "\"%s\"", object->etag);
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
	if (fd < 0)
		s3_fail(request, &err);
	else
		request_reply_fd(request, status, fd, offset, len, headers);
}

void s3_get_object(struct request *request, const struct s3_path *path)
{
	auto_store_object struct store_object object = {0};
	const char *version = request_query(request, "versionId");
	if (may_read(request, path, version) && find_object(request, path, version, &object))
		send_object(request, &object);
}

/* There are none; a client that copies an object wants to hear that. */
void s3_get_tagging(struct request *request, const struct s3_path *path)
{
	auto_store_object struct store_object object = {0};
	if (!find_object(request, path, request_query(request, "versionId"), &object))
		return;
	auto_buf struct buf body = BUF_INIT(4096);
	s3_xml_begin(&body, "Tagging");
	s3_xml_open(&body, "TagSet");
	s3_xml_close(&body, "TagSet");
	s3_xml_close(&body, "Tagging");
	s3_reply_xml(request, &body);
}

/* ---- writing, on a condition ---- */

bool s3_may_write(struct request *request, const struct s3_path *path)
{
	const char *match = request_header(request, "If-Match");
	const char *none = request_header(request, "If-None-Match");
	if (!match && !none)
		return true;
	struct error err = {0};
	auto_store_object struct store_object object = {0};
	int r = store_object_get(request->control->store, path->bucket, path->key, NULL, &object,
				 &err);
	if (r < 0 && r != ERR_NOT_FOUND) {
		s3_fail(request, &err);
		return false;
	}
	if (match && r < 0)
		s3_refuse(request, 404, "NoSuchKey", "%s", err.text);
	else if ((match && !s3_tag_matches(match, object.etag)) ||
		 (none && r == 0 && s3_tag_matches(none, object.etag)))
		s3_refuse(request, 412, "PreconditionFailed",
			  "At least one of the pre-conditions you specified did not hold");
	else
		return true;
	return false;
}

/* ---- deleting ---- */

/* What became of one key: a version is gone, or a marker says that the key is. */
struct deleted {
	char version[S3_VERSION_LEN + 1]; /* "": there was nothing to delete */
	bool marker;                      /* that version is, or was, a delete marker */
};

/* The newest version gets a delete marker over it. One that is there already will do, so that a
 * repeated request leaves nothing new. */
static int mark_deleted(struct store *store, const char *bucket, const char *key,
			struct deleted *ret, struct error *err)
{
	auto_store_object struct store_object object = {0};
	*ret = (struct deleted){0};
	int r = store_object_head(store, bucket, key, &object, err);
	if (r == ERR_NOT_FOUND)
		return 0;
	if (r < 0)
		return r;
	if (!object.marker) {
		object.marker = true;
		object.sha256[0] = object.etag[0] = '\0';
		object.size = 0;
		object.created_s = clock_wall_s();
		str_random(object.version, S3_VERSION_LEN);
		r = store_object_put(store, &object, err);
	}
	ret->marker = true;
	strcpy(ret->version, object.version);
	return r;
}

static int delete_version(struct store *store, const char *bucket, const char *key,
			  const char *version, struct deleted *ret, struct error *err)
{
	*ret = (struct deleted){0};
	int r = store_object_delete(store, bucket, key, version, &ret->marker, err);
	if (r == ERR_NOT_FOUND)
		return 0; /* as S3 does */
	snprintf(ret->version, sizeof(ret->version), "%s", version);
	return r;
}

static int delete_one(struct request *request, const char *bucket, const char *key,
		      const char *version, struct deleted *ret, struct error *err)
{
	struct store *store = request->control->store;
	int r = version ? delete_version(store, bucket, key, version, ret, err)
			: mark_deleted(store, bucket, key, ret, err);
	if (r == 0 && version)
		keeper_wake(request->control->keeper);
	if (r == 0 && ret->version[0])
		log_info("s3://%s/%s: %s by '%s'", bucket, key,
			 version ? "a version is deleted for good" : "deleted",
			 request->caller.name);
	return r;
}

void s3_delete_object(struct request *request, const struct s3_path *path)
{
	struct deleted deleted;
	struct error err = {0};
	const char *version = request_query(request, "versionId");
	int r = delete_one(request, path->bucket, path->key, version, &deleted, &err);
	if (r == ERR_BUSY) {
		s3_refuse(request, 403, "AccessDenied", "%s", err.text);
		return;
	}
	if (r < 0) {
		s3_fail(request, &err);
		return;
	}
	const char *headers[] = {"x-amz-version-id", deleted.version, NULL, "true", NULL};
	if (deleted.marker)
		headers[2] = "x-amz-delete-marker";
	s3_reply_nothing(request, deleted.version[0] ? headers : NULL);
}

struct item {
	char *key, *version; /* version: NULL, the newest */
};

struct batch {
	struct item items[S3_LIST_MAX];
	unsigned count;
	struct item reading;
	bool quiet;
	struct buf body;
};

static void item_clear(struct item *item)
{
	free(item->key);
	free(item->version);
	*item = (struct item){0};
}

static void batch_free(struct batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++)
		item_clear(&batch->items[i]);
	item_clear(&batch->reading);
	buf_clear(&batch->body);
	free(batch);
}
DEFINE_CLEANUP(struct batch *, batch_free)

static int take_item(struct batch *batch, struct error *err)
{
	struct item *item = &batch->reading;
	if (!item->key || !*item->key || strlen(item->key) > S3_KEY_MAX)
		return error_set(err, ERR_FORMAT, "an object without key, or with a too long one");
	if (batch->count == S3_LIST_MAX)
		return error_set(err, ERR_FORMAT, "more than %d objects", S3_LIST_MAX);
	batch->items[batch->count++] = *item;
	*item = (struct item){0};
	return 0;
}

static int on_delete_element(const char *path, const char *text, void *arg, struct error *err)
{
	struct batch *batch = arg;
	if (strcmp(path, "Delete/Object/Key") == 0) {
		free(batch->reading.key);
		batch->reading.key = xstrdup(text);
	} else if (strcmp(path, "Delete/Object/VersionId") == 0) {
		free(batch->reading.version);
		batch->reading.version = *text ? xstrdup(text) : NULL;
	} else if (strcmp(path, "Delete/Quiet") == 0) {
		batch->quiet = strcmp(text, "true") == 0;
	} else if (strcmp(path, "Delete/Object") == 0) {
		return take_item(batch, err);
	}
	return 0;
}

static void add_deleted(struct buf *out, const struct item *item, const struct deleted *deleted)
{
	s3_xml_open(out, "Deleted");
	s3_xml_text(out, "Key", item->key);
	s3_xml_text(out, "VersionId", item->version);
	if (deleted->marker) {
		s3_xml_bool(out, "DeleteMarker", true);
		s3_xml_text(out, "DeleteMarkerVersionId", deleted->version);
	}
	s3_xml_close(out, "Deleted");
}

static void add_refused(struct buf *out, const struct item *item, const char *text)
{
	s3_xml_open(out, "Error");
	s3_xml_text(out, "Key", item->key);
	s3_xml_text(out, "VersionId", item->version);
	s3_xml_text(out, "Code", "AccessDenied");
	s3_xml_text(out, "Message", text);
	s3_xml_close(out, "Error");
}

static int delete_batch(struct request *request, const char *bucket, struct batch *batch,
			struct error *err)
{
	for (unsigned i = 0; i < batch->count; i++) {
		struct deleted deleted;
		const struct item *item = &batch->items[i];
		int r = delete_one(request, bucket, item->key, item->version, &deleted, err);
		if (r == ERR_BUSY)
			add_refused(&batch->body, item, err->text);
		else if (r < 0)
			return r;
		else if (!batch->quiet)
			add_deleted(&batch->body, item, &deleted);
	}
	return 0;
}

/* Up to 1000 objects. S3 wants a checksum of the list; it was checked with the body. */
void s3_delete_objects(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	if (!s3_find_bucket(request, path))
		return;
	CLEANUP(batch_free_at) struct batch *batch = xcalloc(1, sizeof(*batch));
	batch->body = BUF_INIT(DELETE_XML_MAX);
	int r = s3_xml_parse(buf_str(&request->body), request->body.len, on_delete_element, batch,
			     &err);
	if (r == 0 && batch->count == 0)
		r = error_set(&err, ERR_FORMAT, "no objects are named");
	if (r < 0) {
		s3_refuse(request, 400, "MalformedXML", "%s", err.text);
		return;
	}
	s3_xml_begin(&batch->body, "DeleteResult");
	if (delete_batch(request, path->bucket, batch, &err) < 0) {
		s3_fail(request, &err);
		return;
	}
	s3_xml_close(&batch->body, "DeleteResult");
	s3_reply_xml(request, &batch->body);
}
