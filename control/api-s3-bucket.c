// SPDX-License-Identifier: Apache-2.0
/* Buckets: a name under which objects are found. Writing an object makes its bucket. */
#include "control/api-s3.h"

#include "common/clock.h"
#include "common/str.h"
#include "control/control.h"
#include "control/s3-xml.h"

#include <string.h>

#define BUCKETS_XML_MAX (16UL * 1024 * 1024)

struct bucket_list {
	struct buf body;
	const char *prefix;
};

static int add_bucket(const struct store_bucket *bucket, void *arg)
{
	struct bucket_list *list = arg;
	if (!str_starts(bucket->name, list->prefix))
		return 0;
	s3_xml_open(&list->body, "Bucket");
	s3_xml_text(&list->body, "Name", bucket->name);
	s3_xml_time(&list->body, "CreationDate", bucket->created_s);
	s3_xml_close(&list->body, "Bucket");
	return list->body.failed;
}

void s3_list_buckets(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	const char *prefix = request_query(request, "prefix");
	struct bucket_list list = {.body = BUF_INIT(BUCKETS_XML_MAX),
				   .prefix = prefix ? prefix : ""};
	s3_xml_begin(&list.body, "ListAllMyBucketsResult");
	s3_xml_open(&list.body, "Owner");
	s3_xml_text(&list.body, "ID", request->control->settings.account);
	s3_xml_close(&list.body, "Owner");
	s3_xml_open(&list.body, "Buckets");
	int r = store_bucket_each(request->control->store, add_bucket, &list, &err);
	s3_xml_close(&list.body, "Buckets");
	s3_xml_close(&list.body, "ListAllMyBucketsResult");
	if (r < 0)
		s3_fail(request, &err);
	else
		s3_reply_xml(request, &list.body);
	buf_clear(&list.body);
}

void s3_head_bucket(struct request *request, const struct s3_path *path)
{
	if (!s3_find_bucket(request, path))
		return;
	const char *const headers[] = {"x-amz-bucket-region", request->control->settings.region,
				       NULL};
	request_reply_headers(request, 200, 0, headers);
}

static void make_bucket(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	char location[80];
	snprintf(location, sizeof(location), "/%s", path->bucket);
	const char *const headers[] = {"Location", location, NULL};
	if (store_bucket_make(request->control->store, path->bucket, clock_wall_s(), &err) < 0)
		s3_fail(request, &err);
	else
		request_reply_headers(request, 200, 0, headers);
}

/* The body names a region: there is one. */
void s3_create_bucket(struct request *request, const struct s3_path *path)
{
	if (strcmp(path->bucket, "slipway") == 0)
		s3_refuse(request, 400, "InvalidBucketName", "a bucket cannot be called 'slipway'");
	else
		s3_without_body(request, path, make_bucket);
}

void s3_delete_bucket(struct request *request, const struct s3_path *path)
{
	struct error err = {0};
	int r = store_bucket_delete(request->control->store, path->bucket, &err);
	if (r == ERR_NOT_FOUND)
		s3_refuse(request, 404, "NoSuchBucket", "The specified bucket does not exist");
	else if (r == ERR_BUSY)
		s3_refuse(request, 409, "BucketNotEmpty", "%s", err.text);
	else if (r < 0)
		s3_fail(request, &err);
	else
		s3_reply_nothing(request, NULL);
}

void s3_bucket_location(struct request *request, const struct s3_path *path)
{
	auto_buf struct buf body = BUF_INIT(4096);
	const char *region = request->control->settings.region;
	if (!s3_find_bucket(request, path))
		return;
	s3_xml_begin(&body, "LocationConstraint");
	if (strcmp(region, "us-east-1") != 0) /* S3 says nothing for this one */
		buf_adds(&body, region);
	s3_xml_close(&body, "LocationConstraint");
	s3_reply_xml(request, &body);
}

void s3_bucket_versioning(struct request *request, const struct s3_path *path)
{
	auto_buf struct buf body = BUF_INIT(4096);
	if (!s3_find_bucket(request, path))
		return;
	s3_xml_begin(&body, "VersioningConfiguration");
	s3_xml_text(&body, "Status", "Enabled");
	s3_xml_close(&body, "VersioningConfiguration");
	s3_reply_xml(request, &body);
}
