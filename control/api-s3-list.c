// SPDX-License-Identifier: Apache-2.0
/* Lists of objects: the two forms of ListObjects, and ListObjectVersions. All three walk the keys
 * of a bucket in order, from where the last page ended, with one rule for delimiters: keys that
 * share what stands before the first delimiter after the prefix are one entry, and the walk goes on
 * behind all of them. */
#include "control/api-s3.h"

#include "common/alloc.h"
#include "common/str.h"
#include "control/control.h"
#include "control/s3-xml.h"

#include <string.h>

#define LIST_XML_MAX (16UL * 1024 * 1024) /* 1000 keys of 1024 bytes, escaped, fit */

struct listing {
	struct request *request;
	const struct s3_path *path;
	/* asked for */
	const char *prefix, *delimiter;
	int64_t max;
	bool url, versions, owner;
	/* where the walk is */
	char *from;
	bool past;
	int64_t skip_seq; /* of the first key: down to this version; 0: none */
	/* found */
	struct buf body;   /* of the entries */
	struct buf groups; /* CommonPrefixes */
	int64_t count;
	char *last;
	int64_t last_seq; /* 0: a common prefix */
	char *group;      /* the walk stopped at this common prefix: go on behind it */
	bool truncated;
};

static void listing_clear(struct listing *list)
{
	free(list->from);
	free(list->last);
	free(list->group);
	buf_clear(&list->body);
	buf_clear(&list->groups);
}
#define auto_listing CLEANUP(listing_clear)

static const char *query_text(struct request *request, const char *name)
{
	const char *text = request_query(request, name);
	return text ? text : "";
}

/* Parameters that all three have. False: it was answered. */
static bool begin(struct listing *list, struct request *request, const struct s3_path *path)
{
	*list = (struct listing){.request = request,
				 .path = path,
				 .prefix = query_text(request, "prefix"),
				 .delimiter = query_text(request, "delimiter"),
				 .body = BUF_INIT(LIST_XML_MAX),
				 .groups = BUF_INIT(LIST_XML_MAX)};
	if (!s3_find_bucket(request, path) ||
	    !s3_query_number(request, "max-keys", S3_LIST_MAX, S3_LIST_MAX, &list->max) ||
	    !s3_query_encoding(request, &list->url))
		return false;
	list->from = xstrdup(list->prefix);
	return true;
}

/* The common prefix of a key, or NULL. Caller frees. */
static char *group_of(const struct listing *list, const char *key)
{
	size_t skip = strlen(list->prefix);
	const char *found = *list->delimiter ? strstr(key + skip, list->delimiter) : NULL;
	return found ? xstrndup(key, (size_t)(found - key) + strlen(list->delimiter)) : NULL;
}

/* The first key behind all that begin with text. */
static char *behind(const char *text)
{
	char *next = xstrdup(text);
	next[strlen(next) - 1]++; /* UTF-8 has no byte that would overflow */
	return next;
}

/* Go on after this key or common prefix, if it is further than where the walk is. */
static void start_after(struct listing *list, const char *after)
{
	if (strcmp(after, list->from) < 0)
		return;
	auto_free char *group = str_starts(after, list->prefix) ? group_of(list, after) : NULL;
	bool whole = group && strcmp(group, after) == 0;
	free(list->from);
	list->from = whole ? behind(after) : xstrdup(after);
	list->past = !whole;
}

static void remember(struct listing *list, const char *key, int64_t seq)
{
	free(list->last);
	list->last = xstrdup(key);
	list->last_seq = seq;
	list->count++;
}

static void add_owner(const struct listing *list, struct buf *out)
{
	s3_xml_open(out, "Owner");
	s3_xml_text(out, "ID", list->request->control->settings.account);
	s3_xml_close(out, "Owner");
}

static void add_entry(struct listing *list, const struct store_object *object)
{
	const char *element = object->marker   ? "DeleteMarker"
			      : list->versions ? "Version"
					       : "Contents";
	struct buf *out = &list->body;
	s3_xml_open(out, element);
	s3_xml_key(out, "Key", object->key, list->url);
	if (list->versions) {
		s3_xml_text(out, "VersionId", object->version);
		s3_xml_bool(out, "IsLatest", object->newest);
	}
	s3_xml_time(out, "LastModified", object->created_s);
	if (!object->marker) {
		s3_xml_etag(out, object->etag);
		s3_xml_number(out, "Size", object->size);
		s3_xml_text(out, "StorageClass", "STANDARD");
	}
	if (list->owner)
		add_owner(list, out);
	s3_xml_close(out, element);
}

static int add_object(const struct store_object *object, void *arg)
{
	struct listing *list = arg;
	if (!str_starts(object->key, list->prefix))
		return 1;
	if (list->skip_seq && object->seq >= list->skip_seq && strcmp(object->key, list->from) == 0)
		return 0;
	if (list->count == list->max) {
		list->truncated = list->max > 0;
		return 1;
	}
	list->group = group_of(list, object->key);
	if (list->group) {
		s3_xml_open(&list->groups, "CommonPrefixes");
		s3_xml_key(&list->groups, "Prefix", list->group, list->url);
		s3_xml_close(&list->groups, "CommonPrefixes");
		remember(list, list->group, 0);
		return 1;
	}
	add_entry(list, object);
	remember(list, object->key, object->seq);
	return 0;
}

/* Walk until the page is full; each common prefix begins the walk anew, behind it. */
static bool walk(struct listing *list)
{
	struct error err = {0};
	do {
		if (list->group) {
			free(list->from);
			list->from = behind(list->group);
			list->past = false;
			free(list->group);
			list->group = NULL;
		}
		struct store_object_range range = {.bucket = list->path->bucket,
						   .from = list->from,
						   .past = list->past,
						   .versions = list->versions};
		if (store_object_each(list->request->control->store, &range, add_object, list,
				      &err) < 0) {
			s3_fail(list->request, &err);
			return false;
		}
	} while (list->group);
	return true;
}

/* ---- answers ---- */

static void add_head(const struct listing *list, struct buf *out, const char *root)
{
	s3_xml_begin(out, root);
	s3_xml_text(out, "Name", list->path->bucket);
	s3_xml_key(out, "Prefix", list->prefix, list->url);
	s3_xml_number(out, "MaxKeys", (uint64_t)list->max);
	s3_xml_bool(out, "IsTruncated", list->truncated);
	if (*list->delimiter)
		s3_xml_key(out, "Delimiter", list->delimiter, list->url);
	if (list->url)
		s3_xml_text(out, "EncodingType", "url");
}

static void reply(struct listing *list, struct buf *out, const char *root)
{
	if (list->body.failed || list->groups.failed)
		out->failed = -EFBIG;
	buf_add(out, buf_str(&list->body), list->body.len);
	buf_add(out, buf_str(&list->groups), list->groups.len);
	s3_xml_close(out, root);
	s3_reply_xml(list->request, out);
}

void s3_list_objects(struct request *request, const struct s3_path *path)
{
	auto_listing struct listing list;
	auto_buf struct buf out = BUF_INIT(2 * LIST_XML_MAX);
	if (!begin(&list, request, path))
		return;
	const char *marker = query_text(request, "marker");
	if (*marker)
		start_after(&list, marker);
	list.owner = true;
	if (!walk(&list))
		return;
	add_head(&list, &out, "ListBucketResult");
	s3_xml_key(&out, "Marker", marker, list.url);
	if (list.truncated)
		s3_xml_key(&out, "NextMarker", list.last, list.url);
	reply(&list, &out, "ListBucketResult");
}

/* The token is the last key or prefix, in hex: opaque, and plain ASCII whatever the key is. */
static bool take_token(struct listing *list, const char *token)
{
	char key[S3_KEY_MAX + 1];
	int len = str_unhex(token, key, S3_KEY_MAX);
	if (len <= 0 || !str_is_utf8(key, (size_t)len)) {
		s3_refuse(list->request, 400, "InvalidArgument",
			  "The continuation token provided is incorrect");
		return false;
	}
	key[len] = '\0';
	start_after(list, key);
	return true;
}

void s3_list_objects_v2(struct request *request, const struct s3_path *path)
{
	auto_listing struct listing list;
	auto_buf struct buf out = BUF_INIT(2 * LIST_XML_MAX);
	if (!begin(&list, request, path))
		return;
	const char *token = request_query(request, "continuation-token");
	const char *after = query_text(request, "start-after");
	if (token && !take_token(&list, token))
		return;
	if (!token && strcmp(after, list.from) > 0) {
		free(list.from);
		list.from = xstrdup(after);
		list.past = true;
	}
	list.owner = strcmp(query_text(request, "fetch-owner"), "true") == 0;
	if (!walk(&list))
		return;
	add_head(&list, &out, "ListBucketResult");
	s3_xml_number(&out, "KeyCount", (uint64_t)list.count);
	s3_xml_text(&out, "ContinuationToken", token);
	if (*after)
		s3_xml_key(&out, "StartAfter", after, list.url);
	if (list.truncated) {
		char next[2 * S3_KEY_MAX + 1];
		str_hex(list.last, strlen(list.last), next);
		s3_xml_text(&out, "NextContinuationToken", next);
	}
	reply(&list, &out, "ListBucketResult");
}

/* Where to go on within a key: the number of the last version that was shown, which stays true when
 * that version is deleted meanwhile. */
static bool take_version_marker(struct listing *list, const char *text)
{
	if (!list->past || !*text)
		return true;
	list->past = false;
	if (str_to_i64(text, &list->skip_seq) == 0 && list->skip_seq > 0)
		return true;
	s3_refuse(list->request, 400, "InvalidArgument", "Invalid version id marker specified");
	return false;
}

void s3_list_versions(struct request *request, const struct s3_path *path)
{
	auto_listing struct listing list;
	auto_buf struct buf out = BUF_INIT(2 * LIST_XML_MAX);
	if (!begin(&list, request, path))
		return;
	const char *marker = query_text(request, "key-marker");
	const char *version = query_text(request, "version-id-marker");
	list.versions = list.owner = true;
	if (*marker)
		start_after(&list, marker);
	if (!take_version_marker(&list, version) || !walk(&list))
		return;
	add_head(&list, &out, "ListVersionsResult");
	s3_xml_key(&out, "KeyMarker", marker, list.url);
	s3_xml_text(&out, "VersionIdMarker", version);
	if (list.truncated) {
		s3_xml_key(&out, "NextKeyMarker", list.last, list.url);
		if (list.last_seq)
			s3_xml_number(&out, "NextVersionIdMarker", (uint64_t)list.last_seq);
	}
	reply(&list, &out, "ListVersionsResult");
}
