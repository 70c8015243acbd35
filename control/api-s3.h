/* SPDX-License-Identifier: Apache-2.0 */
/* What the api-s3-*.c files share: one function per operation of S3, called once the caller is
 * admitted and the request is known to be that operation; and how they answer. */
#pragma once

#include "common/buf.h"
#include "control/s3.h"
#include "control/server.h"
#include "control/store.h"

#define S3_VERSION_LEN 32
#define S3_LIST_MAX 1000 /* names in one answer */
#define S3_PARTS_MAX 10000
#define S3_PART_MIN (5 * 1024 * 1024) /* bytes, but the last */

typedef void s3_fn(struct request *request, const struct s3_path *path);

/* api-s3-object.c */
s3_fn s3_get_object, s3_get_tagging, s3_delete_object, s3_delete_objects;
/* api-s3-put.c: streamed */
s3_fn s3_put_object;
/* api-s3-copy.c */
s3_fn s3_copy_object;
/* api-s3-parts.c */
s3_fn s3_create_upload, s3_complete_upload, s3_abort_upload, s3_list_parts, s3_list_uploads;
/* api-s3-list.c */
s3_fn s3_list_objects, s3_list_objects_v2, s3_list_versions;
/* api-s3-bucket.c */
s3_fn s3_list_buckets, s3_head_bucket, s3_create_bucket, s3_delete_bucket, s3_bucket_location,
	s3_bucket_versioning;

/* Answer with a fault of S3. */
void s3_refuse(struct request *request, int status, const char *code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* A failure of our own: logged, 500 InternalError; what the turn wrote is rolled back. */
void s3_fail(struct request *request, const struct error *err);
/* 200 with the document, or 500 when it failed to be built. */
void s3_reply_xml(struct request *request, struct buf *body);
/* 204 */
void s3_reply_nothing(struct request *request, const char *const headers[]);

/* Does the bucket exist? Otherwise it is answered. */
bool s3_find_bucket(struct request *request, const struct s3_path *path) MUST_CHECK;
/* A number from the query, at most max; def when absent. False: it was answered. */
bool s3_query_number(struct request *request, const char *name, int64_t def, int64_t max,
		     int64_t *ret) MUST_CHECK;
/* encoding-type=url? False: another one, it was answered. */
bool s3_query_encoding(struct request *request, bool *ret_url) MUST_CHECK;
/* A key as the list's encoding wants it. NULL for NULL. */
void s3_xml_key(struct buf *out, const char *name, const char *key, bool url);

/* api-s3-object.c: may the object be written as the request's If-Match and If-None-Match say?
 * Otherwise it is answered. */
bool s3_may_write(struct request *request, const struct s3_path *path) MUST_CHECK;

/* Is it this ETag? Quotes and "*" as in If-Match. */
bool s3_tag_matches(const char *header, const char *etag);

/* api-s3-copy.c: the object that x-amz-copy-source names, when its conditions hold; and which of
 * its bytes x-amz-copy-source-range wants. Otherwise it is answered. */
bool s3_copy_source(struct request *request, struct store_object *ret) MUST_CHECK;
bool s3_copy_range(struct request *request, uint64_t size, uint64_t *ret_offset,
		   uint64_t *ret_len) MUST_CHECK;
/* <CopyObjectResult>, <CopyPartResult> */
void s3_reply_copied(struct request *request, const char *element, const char *etag,
		     int64_t created_s, const char *const headers[]);

/* api-s3-put.c: a streamed route that wants no body (PUT of a bucket, of a copy): call fn at its
 * end. */
void s3_without_body(struct request *request, const struct s3_path *path, s3_fn *fn);

/* api-s3-parts.c: is the upload of this id for this key and open? Otherwise it is answered. */
bool s3_find_upload(struct request *request, const struct s3_path *path,
		    struct store_upload *ret) MUST_CHECK;
/* Are its parts being joined? */
bool s3_is_joining(const struct control *control, const char *id);
