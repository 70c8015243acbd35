// SPDX-License-Identifier: Apache-2.0
/* CopyObject: contents are named by their hash, so a copy is a row. What UploadPartCopy takes from
 * where; api-s3-put.c makes the part. */
#include "control/api-s3.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"
#include "control/control.h"
#include "control/s3-xml.h"

#include <string.h>

/* "bucket/key?versionId=V" or "/bucket/key". False: it was answered. */
static bool find_source(struct request *request, struct store_object *ret)
{
	static const char mark[] = "?versionId=";
	struct s3_path path;
	struct error err = {0};
	const char *text = request_header(request, "x-amz-copy-source");
	auto_free char *source = xasprintf("%s%s", text[0] == '/' ? "" : "/", text);
	char *version = strstr(source, mark);
	if (version) {
		*version = '\0';
		version += strlen(mark);
	}
	if (s3_path_parse(source, &path, &err) < 0 || !path.key[0]) {
		s3_refuse(request, 400, "InvalidArgument",
			  "x-amz-copy-source is not bucket/key: %s", err.text);
		return false;
	}
	int r = store_object_get(request->control->store, path.bucket, path.key, version, ret,
				 &err);
	if (r == ERR_NOT_FOUND)
		s3_refuse(request, 404, version ? "NoSuchVersion" : "NoSuchKey", "%s", err.text);
	else if (r < 0)
		s3_fail(request, &err);
	return r >= 0;
}

bool s3_copy_source(struct request *request, struct store_object *ret)
{
	const char *match = request_header(request, "x-amz-copy-source-if-match");
	const char *none = request_header(request, "x-amz-copy-source-if-none-match");
	auto_store_object struct store_object object = {0};
	if (!find_source(request, &object))
		return false;
	if ((match && !s3_tag_matches(match, object.etag)) ||
	    (none && s3_tag_matches(none, object.etag))) {
		s3_refuse(request, 412, "PreconditionFailed", "the source's ETag is \"%s\"",
			  object.etag);
		return false;
	}
	*ret = object;
	object = (struct store_object){0};
	return true;
}

bool s3_copy_range(struct request *request, uint64_t size, uint64_t *ret_offset, uint64_t *ret_len)
{
	const char *range = request_header(request, "x-amz-copy-source-range");
	*ret_offset = 0;
	*ret_len = size;
	if (!range)
		return true;
	uint64_t last;
	const char *dash = strrchr(range, '-');
	if (s3_range_parse(range, size, ret_offset, ret_len) == 1 && dash &&
	    str_to_u64(dash + 1, &last) == 0 && last == *ret_offset + *ret_len - 1)
		return true;
	s3_refuse(request, 400, "InvalidArgument",
		  "x-amz-copy-source-range must be bytes=first-last, within the %ju bytes of the "
		  "source",
		  (uintmax_t)size);
	return false;
}

void s3_reply_copied(struct request *request, const char *element, const char *etag,
		     int64_t created_s, const char *const headers[])
{
	auto_buf struct buf body = BUF_INIT(4096);
	s3_xml_begin(&body, element);
	s3_xml_time(&body, "LastModified", created_s);
	s3_xml_etag(&body, etag);
	s3_xml_close(&body, element);
	request_reply_body(request, 200, headers, body.data, body.len);
}

static void reply(struct request *request, const struct store_object *copy,
		  const char *source_version)
{
	const char *const headers[] = {"Content-Type",
				       "application/xml",
				       "x-amz-version-id",
				       copy->version,
				       "x-amz-copy-source-version-id",
				       source_version,
				       NULL};
	s3_reply_copied(request, "CopyObjectResult", copy->etag, copy->created_s, headers);
}

void s3_copy_object(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	auto_store_object struct store_object source = {0};
	if (!s3_copy_source(request, &source) || !s3_may_write(request, path))
		return;
	struct store_object copy = source; /* its key is replaced */
	memcpy(copy.bucket, path->bucket, sizeof(copy.bucket));
	copy.key = (char *)path->key;
	copy.created_s = clock_wall_s();
	str_random(copy.version, S3_VERSION_LEN);
	if (store_object_put(request->control->store, &copy, &err) < 0) {
		s3_fail(request, &err);
		return;
	}
	log_info("s3://%s/%s: copied from s3://%s/%s by '%s'", copy.bucket, copy.key, source.bucket,
		 source.key, request->caller.name);
	reply(request, &copy, source.version);
}
