// SPDX-License-Identifier: Apache-2.0
/* Multipart uploads. Parts are files of their own, durable before they are answered
 * (api-s3-put.c). Completing:
 *
 *     the list is checked -> a thread joins the parts to one content and syncs it -> in one
 *     transaction: the object's row, the upload's version, the parts become garbage -> the answer
 *
 * so an object is there whole or not at all, and its parts stay until it is. A client that lost the
 * answer asks again: while parts are being joined it waits for the same end, later it gets the same
 * answer, until upload_max_age has passed. */
#include "control/api-s3.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/str.h"
#include "control/bundles.h"
#include "control/control.h"
#include "control/keeper.h"
#include "control/s3-checksum.h"
#include "control/s3-xml.h"

#include <string.h>

#define LIST_XML_MAX (16UL * 1024 * 1024)

struct waiter {
	struct waiter *next;
	struct s3_join *join;
	struct request *request;
};

struct s3_join {
	struct s3_join *next; /* in control->joins */
	struct control *control;
	struct waiter *waiters;
	struct store_upload upload;
	struct store_object object; /* that it becomes; its key is upload.key */
	char *by;
	char **files;
	size_t count;
	struct s3_checksum *sum; /* of the whole, when the client says what it must be */
	char *claimed;
};

static void join_free(struct s3_join *join)
{
	for (size_t i = 0; i < join->count; i++)
		free(join->files[i]);
	free(join->files);
	free(join->by);
	free(join->claimed);
	s3_checksum_free(join->sum);
	store_upload_clear(&join->upload);
	free(join);
}
DEFINE_CLEANUP(struct s3_join *, join_free)

static struct s3_join *find_join(const struct control *control, const char *id)
{
	for (struct s3_join *join = control->joins; join; join = join->next)
		if (strcmp(join->upload.id, id) == 0)
			return join;
	return NULL;
}

bool s3_is_joining(const struct control *control, const char *id)
{
	return find_join(control, id) != NULL;
}

/* ---- begin, find, abort ---- */

void s3_create_upload(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	struct store_upload upload = {.key = (char *)path->key, .created_s = clock_wall_s()};
	strcpy(upload.bucket, path->bucket);
	str_random(upload.id, sizeof(upload.id) - 1);
	if (store_upload_add(request->control->store, &upload, &err) < 0) {
		s3_fail(request, &err);
		return;
	}
	auto_buf struct buf body = BUF_INIT(65536);
	s3_xml_begin(&body, "InitiateMultipartUploadResult");
	s3_xml_text(&body, "Bucket", path->bucket);
	s3_xml_text(&body, "Key", path->key);
	s3_xml_text(&body, "UploadId", upload.id);
	s3_xml_close(&body, "InitiateMultipartUploadResult");
	s3_reply_xml(request, &body);
}

static void refuse_upload(struct request *request)
{
	s3_refuse(request, 404, "NoSuchUpload",
		  "The specified upload does not exist. The upload ID may be invalid, or the "
		  "upload may have been aborted or completed.");
}

/* Also one that was completed. */
static bool find_any_upload(struct request *request, const struct s3_path *path,
			    struct store_upload *ret)
{
	struct error err = {0};
	auto_store_upload struct store_upload upload = {0};
	int r = store_upload_get(request->control->store, request_query(request, "uploadId"),
				 &upload, &err);
	if (r < 0 && r != ERR_NOT_FOUND) {
		s3_fail(request, &err);
		return false;
	}
	if (r < 0 || strcmp(upload.bucket, path->bucket) != 0 ||
	    strcmp(upload.key, path->key) != 0) {
		refuse_upload(request);
		return false;
	}
	*ret = upload;
	upload = (struct store_upload){0};
	return true;
}

bool s3_find_upload(struct request *request, const struct s3_path *path, struct store_upload *ret)
{
	if (!find_any_upload(request, path, ret))
		return false;
	if (s3_is_joining(request->control, ret->id))
		s3_refuse(request, 409, "OperationAborted", "The upload is being completed");
	else if (ret->version[0])
		refuse_upload(request);
	else
		return true;
	return false;
}

void s3_abort_upload(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	auto_store_upload struct store_upload upload = {0};
	if (!s3_find_upload(request, path, &upload))
		return;
	if (store_upload_delete(request->control->store, upload.id, &err) < 0) {
		s3_fail(request, &err);
		return;
	}
	keeper_wake(request->control->keeper);
	s3_reply_nothing(request, NULL);
}

/* ---- complete: the list ---- */

struct wanted {
	int64_t number;
	char etag[40];
};

struct part_list {
	struct wanted *wanted;
	size_t count, found;
	struct wanted reading;
	/* what they make */
	char **files;
	uint64_t size;
	struct digest *md5s;
	const char *code; /* of a refusal */
};

static void part_list_clear(struct part_list *list)
{
	for (size_t i = 0; list->files && i < list->count; i++)
		free(list->files[i]);
	free(list->files);
	free(list->wanted);
	digest_free(list->md5s);
}
#define auto_part_list CLEANUP(part_list_clear)

static int refuse_list(struct part_list *list, const char *code, struct error *err,
		       const char *text)
{
	list->code = code;
	return error_set(err, ERR_INPUT, "%s", text);
}

static int take_wanted(struct part_list *list, struct error *err)
{
	const struct wanted *part = &list->reading;
	if (part->number < 1 || part->number > S3_PARTS_MAX || !part->etag[0])
		return refuse_list(list, "MalformedXML", err,
				   "a part needs a PartNumber from 1 to 10000 and an ETag");
	if (list->count == S3_PARTS_MAX)
		return refuse_list(list, "MalformedXML", err, "more than 10000 parts");
	if (list->count && part->number <= list->wanted[list->count - 1].number)
		return refuse_list(list, "InvalidPartOrder", err,
				   "The list of parts was not in ascending order. Parts must be "
				   "ordered by part number.");
	if (list->count % 256 == 0)
		list->wanted =
			xrealloc_array(list->wanted, list->count + 256, sizeof(*list->wanted));
	list->wanted[list->count++] = *part;
	list->reading = (struct wanted){0};
	return 0;
}

static int on_part_element(const char *path, const char *text, void *arg, struct error *err)
{
	struct part_list *list = arg;
	if (strcmp(path, "CompleteMultipartUpload/Part/PartNumber") == 0) {
		if (str_to_i64(text, &list->reading.number) < 0)
			list->reading.number = -1;
	} else if (strcmp(path, "CompleteMultipartUpload/Part/ETag") == 0) {
		size_t len = strlen(text), quoted = len >= 2 && text[0] == '"';
		snprintf(list->reading.etag, sizeof(list->reading.etag), "%.*s",
			 (int)(len - 2 * quoted), text + quoted);
	} else if (strcmp(path, "CompleteMultipartUpload/Part") == 0) {
		return take_wanted(list, err);
	}
	return 0;
}

static int read_list(struct part_list *list, const struct buf *body, struct error *err)
{
	int r = s3_xml_parse(buf_str(body), body->len, on_part_element, list, err);
	if (r == 0 && list->count == 0)
		r = error_set(err, ERR_FORMAT, "no parts are named");
	if (r < 0 && !list->code)
		list->code = "MalformedXML";
	return r;
}

static bool is_etag(const char *etag, const char *md5)
{
	return strcasecmp(etag, md5) == 0;
}

/* Parts come by number, and so does the list: each is looked for in what is left of it. */
static int match_part(const struct store_part *part, void *arg)
{
	struct part_list *list = arg;
	uint8_t md5[16];
	const struct wanted *wanted = &list->wanted[list->found];
	if (list->found == list->count || part->number > wanted->number)
		return 1;
	if (part->number < wanted->number)
		return 0; /* uploaded, and not wanted */
	if (!is_etag(wanted->etag, part->md5) || str_unhex(part->md5, md5, sizeof(md5)) != 16)
		return 1;
	if (part->size < S3_PART_MIN && list->found + 1 < list->count) {
		list->code = "EntityTooSmall";
		return 1;
	}
	digest_update(list->md5s, md5, sizeof(md5));
	list->size += part->size;
	list->files[list->found++] = xstrdup(part->file);
	return 0;
}

static int match_list(struct part_list *list, struct control *control, const char *id,
		      struct error *err)
{
	int r = digest_new_md5(&list->md5s, err);
	list->files = xcalloc(list->count, sizeof(*list->files));
	if (r == 0)
		r = store_part_each(control->store, id, 0, match_part, list, err);
	if (r < 0)
		return r;
	if (list->code)
		return error_set(err, ERR_INPUT,
				 "Your proposed upload is smaller than the minimum allowed size");
	if (list->found < list->count) {
		list->code = "InvalidPart";
		return error_set(err, ERR_INPUT,
				 "part %jd could not be found: it was not uploaded, or its entity "
				 "tag is another one",
				 (intmax_t)list->wanted[list->found].number);
	}
	if (list->size > control->settings.bundle_max_bytes) {
		list->code = "EntityTooLarge";
		return error_set(err, ERR_INPUT, "an object may have %ju bytes (bundle_max_size)",
				 (uintmax_t)control->settings.bundle_max_bytes);
	}
	return 0;
}

/* ---- complete: the answer ---- */

static void reply_completed(struct request *request, const struct store_object *object)
{
	auto_buf struct buf body = BUF_INIT(65536);
	auto_free char *key = str_uri_encode(object->key, strlen(object->key), true);
	auto_free char *location =
		xasprintf("%s/%s/%s", request->control->endpoint, object->bucket, key);
	s3_xml_begin(&body, "CompleteMultipartUploadResult");
	s3_xml_text(&body, "Location", location);
	s3_xml_text(&body, "Bucket", object->bucket);
	s3_xml_text(&body, "Key", object->key);
	s3_xml_etag(&body, object->etag);
	s3_xml_close(&body, "CompleteMultipartUploadResult");
	const char *const headers[] = {"Content-Type", "application/xml", "x-amz-version-id",
				       object->version, NULL};
	request_reply_body(request, 200, headers, body.data, body.len);
}

/* Once more, for a client that did not hear it. */
static void reply_again(struct request *request, const struct store_upload *upload)
{
	struct error err = {0};
	auto_store_object struct store_object object = {0};
	int r = store_object_get(request->control->store, upload->bucket, upload->key,
				 upload->version, &object, &err);
	if (r == ERR_NOT_FOUND)
		refuse_upload(request);
	else if (r < 0)
		s3_fail(request, &err);
	else
		reply_completed(request, &object);
}

/* ---- complete: the join ---- */

static void on_waiter_closed(struct request *request, void *arg)
{
	struct waiter *waiter = arg, **at = &waiter->join->waiters;
	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
	free(waiter);
}

static void wait_for(struct s3_join *join, struct request *request)
{
	struct waiter *waiter = xcalloc(1, sizeof(*waiter));
	waiter->join = join;
	waiter->request = request;
	waiter->next = join->waiters;
	join->waiters = waiter;
	request_park(request, on_waiter_closed, waiter);
}

static bool sum_is_right(struct s3_join *join)
{
	if (!join->sum)
		return true;
	auto_free char *have = s3_checksum_base64(join->sum);
	return strcmp(have, join->claimed) == 0;
}

/* 0, or what to answer. */
static int record(struct s3_join *join, const struct bundle_digest *digest, struct error *err)
{
	struct store *store = join->control->store;
	strcpy(join->object.sha256, digest->sha256);
	join->object.size = digest->size;
	join->object.created_s = clock_wall_s();
	int r;
	if (!sum_is_right(join)) {
		r = store_garbage_add(store, digest->sha256, err);
		return r < 0 ? r
			     : error_set(err, ERR_SIGNATURE,
					 "The %s you specified did not match the calculated "
					 "checksum.",
					 s3_checksum_header(join->sum));
	}
	r = store_object_put(store, &join->object, err);
	if (r == 0)
		r = store_upload_complete(store, join->upload.id, join->object.version, err);
	return r;
}

static void tell(const struct s3_join *join)
{
	char size[32];
	log_info("s3://%s/%s: %s in %zu parts from '%s', SHA-256 %s", join->object.bucket,
		 join->object.key, str_human_bytes(join->object.size, size, sizeof(size)),
		 join->count, join->by, join->object.sha256);
}

static void answer(struct s3_join *join, struct request *request, int r, const struct error *err)
{
	if (r == ERR_SIGNATURE)
		s3_refuse(request, 400, "BadDigest", "%s", err->text);
	else if (r < 0)
		s3_fail(request, err);
	else
		reply_completed(request, &join->object);
}

static void on_joined(int result, const struct bundle_digest *digest, const struct error *error,
		      void *arg)
{
	CLEANUP(join_free_at) struct s3_join *join = arg;
	struct s3_join **at = &join->control->joins;
	struct error err = *error;
	while (*at != join)
		at = &(*at)->next;
	*at = join->next;
	if (result == -ECANCELED) /* the endpoint stops: nobody waits any more */
		return;
	if (result >= 0)
		result = record(join, digest, &err);
	if (result >= 0)
		tell(join);
	keeper_wake(join->control->keeper);
	while (join->waiters) {
		struct waiter *waiter = join->waiters;
		join->waiters = waiter->next;
		waiter->request->on_close = NULL;
		answer(join, waiter->request, result, &err);
		free(waiter);
	}
}

static void on_join_piece(void *arg, const void *data, size_t len)
{
	struct s3_join *join = arg;
	s3_checksum_update(join->sum, data, len);
}

/* x-amz-checksum-* and x-amz-mp-object-size are about the whole object here. False: answered. */
static bool take_claims(struct s3_join *join, struct request *request, uint64_t size)
{
	struct error err = {0};
	uint64_t wanted;
	const char *text = request_header(request, "x-amz-mp-object-size");
	if (text && (str_to_u64(text, &wanted) < 0 || wanted != size)) {
		s3_refuse(request, 400, "InvalidRequest",
			  "the parts have %ju bytes, x-amz-mp-object-size says '%.32s'",
			  (uintmax_t)size, text);
		return false;
	}
	for (size_t i = 0; s3_checksum_known(i) && !join->sum; i++) {
		text = request_header(request, s3_checksum_known(i));
		if (!text)
			continue;
		if (strchr(text, '-')) {
			s3_refuse(request, 501, "NotImplemented",
				  "%s: checksums of checksums are not offered: use "
				  "x-amz-checksum-type FULL_OBJECT",
				  s3_checksum_known(i));
			return false;
		}
		join->claimed = xstrdup(text);
		if (s3_checksum_new(s3_checksum_known(i), &join->sum, &err) < 0) {
			s3_fail(request, &err);
			return false;
		}
	}
	return true;
}

static void start_join(struct request *request, struct store_upload *upload, struct part_list *list)
{
	char md5[DIGEST_SHA256_HEX];
	CLEANUP(join_free_at) struct s3_join *join = xcalloc(1, sizeof(*join));
	if (!take_claims(join, request, list->size))
		return;
	join->control = request->control;
	join->by = xstrdup(request->caller.name);
	join->files = TAKE(list->files);
	join->count = list->count;
	join->upload = *upload;
	*upload = (struct store_upload){0};
	join->object.key = join->upload.key;
	strcpy(join->object.bucket, join->upload.bucket);
	str_random(join->object.version, S3_VERSION_LEN);
	digest_hex(list->md5s, md5);
	snprintf(join->object.etag, sizeof(join->object.etag), "%.32s-%zu", md5, list->count);
	join->next = join->control->joins;
	join->control->joins = join;
	struct bundle_join job = {.files = (const char *const *)join->files,
				  .count = join->count,
				  .piece = join->sum ? on_join_piece : NULL,
				  .done = on_joined,
				  .arg = join};
	wait_for(join, request);
	bundles_join(join->control->bundles, &job);
	join = NULL;
}

void s3_complete_upload(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	auto_store_upload struct store_upload upload = {0};
	auto_part_list struct part_list list = {0};
	if (!find_any_upload(request, path, &upload))
		return;
	struct s3_join *join = find_join(request->control, upload.id);
	if (join) {
		wait_for(join, request);
		return;
	}
	if (upload.version[0]) {
		reply_again(request, &upload);
		return;
	}
	int r = read_list(&list, &request->body, &err);
	if (r == 0)
		r = match_list(&list, request->control, upload.id, &err);
	if (r < 0 && list.code)
		s3_refuse(request, 400, list.code, "%s", err.text);
	else if (r < 0)
		s3_fail(request, &err);
	else if (s3_may_write(request, path))
		start_join(request, &upload, &list);
}

/* ---- lists ---- */

struct page {
	struct buf body;
	int64_t max, count;
	bool url, truncated;
	const char *prefix;
	int64_t last_number;
	char *last_key, last_id[33];
};

static void page_clear(struct page *page)
{
	buf_clear(&page->body);
	free(page->last_key);
}
#define auto_page CLEANUP(page_clear)

static bool is_full(struct page *page)
{
	if (page->count < page->max)
		return false;
	page->truncated = page->max > 0;
	return true;
}

static int list_part(const struct store_part *part, void *arg)
{
	struct page *page = arg;
	if (is_full(page))
		return 1;
	s3_xml_open(&page->body, "Part");
	s3_xml_number(&page->body, "PartNumber", (uint64_t)part->number);
	s3_xml_time(&page->body, "LastModified", part->created_s);
	s3_xml_etag(&page->body, part->md5);
	s3_xml_number(&page->body, "Size", part->size);
	s3_xml_close(&page->body, "Part");
	page->last_number = part->number;
	page->count++;
	return 0;
}

void s3_list_parts(struct request *request, const struct s3_path *path)
{
	int64_t after;
	struct error err = {0};
	auto_store_upload struct store_upload upload = {0};
	auto_buf struct buf out = BUF_INIT(2 * LIST_XML_MAX);
	auto_page struct page page = {.body = BUF_INIT(LIST_XML_MAX)};
	if (!s3_find_upload(request, path, &upload) ||
	    !s3_query_number(request, "max-parts", S3_LIST_MAX, S3_LIST_MAX, &page.max) ||
	    !s3_query_number(request, "part-number-marker", 0, S3_PARTS_MAX, &after))
		return;
	if (store_part_each(request->control->store, upload.id, after, list_part, &page, &err) <
	    0) {
		s3_fail(request, &err);
		return;
	}
	s3_xml_begin(&out, "ListPartsResult");
	s3_xml_text(&out, "Bucket", path->bucket);
	s3_xml_text(&out, "Key", path->key);
	s3_xml_text(&out, "UploadId", upload.id);
	s3_xml_number(&out, "PartNumberMarker", (uint64_t)after);
	if (page.truncated)
		s3_xml_number(&out, "NextPartNumberMarker", (uint64_t)page.last_number);
	s3_xml_number(&out, "MaxParts", (uint64_t)page.max);
	s3_xml_bool(&out, "IsTruncated", page.truncated);
	s3_xml_text(&out, "StorageClass", "STANDARD");
	buf_add(&out, buf_str(&page.body), page.body.len);
	s3_xml_close(&out, "ListPartsResult");
	s3_reply_xml(request, &out);
}

static int list_upload(const struct store_upload *upload, void *arg)
{
	struct page *page = arg;
	if (!str_starts(upload->key, page->prefix))
		return strcmp(upload->key, page->prefix) < 0 ? 0 : 1;
	if (is_full(page))
		return 1;
	s3_xml_open(&page->body, "Upload");
	s3_xml_key(&page->body, "Key", upload->key, page->url);
	s3_xml_text(&page->body, "UploadId", upload->id);
	s3_xml_text(&page->body, "StorageClass", "STANDARD");
	s3_xml_time(&page->body, "Initiated", upload->created_s);
	s3_xml_close(&page->body, "Upload");
	free(page->last_key);
	page->last_key = xstrdup(upload->key);
	strcpy(page->last_id, upload->id);
	page->count++;
	return 0;
}

static void add_uploads_head(struct buf *out, const struct page *page, const char *bucket)
{
	s3_xml_begin(out, "ListMultipartUploadsResult");
	s3_xml_text(out, "Bucket", bucket);
	s3_xml_key(out, "Prefix", page->prefix, page->url);
	if (page->truncated) {
		s3_xml_key(out, "NextKeyMarker", page->last_key, page->url);
		s3_xml_text(out, "NextUploadIdMarker", page->last_id);
	}
	s3_xml_number(out, "MaxUploads", (uint64_t)page->max);
	s3_xml_bool(out, "IsTruncated", page->truncated);
	if (page->url)
		s3_xml_text(out, "EncodingType", "url");
}

void s3_list_uploads(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	auto_buf struct buf out = BUF_INIT(2 * LIST_XML_MAX);
	auto_page struct page page = {.body = BUF_INIT(LIST_XML_MAX)};
	const char *key = request_query(request, "key-marker");
	const char *id = request_query(request, "upload-id-marker");
	page.prefix = request_query(request, "prefix");
	page.prefix = page.prefix ? page.prefix : "";
	if (!s3_find_bucket(request, path) ||
	    !s3_query_number(request, "max-uploads", S3_LIST_MAX, S3_LIST_MAX, &page.max) ||
	    !s3_query_encoding(request, &page.url))
		return;
	/* without an id: behind all uploads of that key */
	const char *after = id ? id : "~";
	if (store_upload_each(request->control->store, path->bucket, key ? key : "", after,
			      list_upload, &page, &err) < 0) {
		s3_fail(request, &err);
		return;
	}
	add_uploads_head(&out, &page, path->bucket);
	buf_add(&out, buf_str(&page.body), page.body.len);
	s3_xml_close(&out, "ListMultipartUploadsResult");
	s3_reply_xml(request, &out);
}
