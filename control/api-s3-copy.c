// SPDX-License-Identifier: Apache-2.0
/* CopyObject: contents are named by their hash, so a copy is a row. */
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

static void reply(struct request *request, const struct store_object *copy,
		  const char *source_version)
{
	auto_buf struct buf body = BUF_INIT(4096);
	s3_xml_begin(&body, "CopyObjectResult");
	s3_xml_time(&body, "LastModified", copy->created_s);
	s3_xml_etag(&body, copy->etag);
	s3_xml_close(&body, "CopyObjectResult");
	const char *const headers[] = {"Content-Type",
				       "application/xml",
				       "x-amz-version-id",
				       copy->version,
				       "x-amz-copy-source-version-id",
				       source_version,
				       NULL};
	request_reply_body(request, 200, headers, body.data, body.len);
}

void s3_copy_object(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	auto_store_object struct store_object source = {0};
	if (!find_source(request, &source) || !s3_may_write(request, path))
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
