// SPDX-License-Identifier: Apache-2.0
/* Buckets and objects of the bundle store, who may read them, and which must stay. */
#include "control/store-sql.h"

#include "common/alloc.h"

#include <string.h>

#define OBJECT_COLUMNS "bucket, key, version, sha256, etag, size, created_s, marker"
#define NEWEST                                                                     \
	"seq = (SELECT max(n.seq) FROM objects n WHERE n.bucket = objects.bucket " \
	"AND n.key = objects.key)"

void store_object_clear(struct store_object *object)
{
	free(object->key);
	*object = (struct store_object){0};
}

int store_object_put(struct store *store, const struct store_object *object, struct error *err)
{
	int r = store_bucket_make(store, object->bucket, object->created_s, err);
	if (r < 0)
		return r;
	r = store_write(store, err,
			"INSERT INTO objects (" OBJECT_COLUMNS ", seq) "
			"SELECT $1, $2, $3, $4, $5, $6, $7, $8, coalesce(max(seq), 0) + 1 "
			"FROM objects WHERE bucket = $9 AND key = $10",
			"sssssiiiss", object->bucket, object->key, object->version, object->sha256,
			object->etag, (int64_t)object->size, object->created_s,
			(int64_t)object->marker, object->bucket, object->key);
	if (r == ERR_EXISTS)
		return error_set(err, r, "version '%s' of '%s/%s' exists already", object->version,
				 object->bucket, object->key);
	return r < 0 ? r : 0;
}

static void object_of_row(const struct query *q, struct store_object *object)
{
	*object = (struct store_object){.key = query_dup(q, 1),
					.size = (uint64_t)query_int(q, 5),
					.created_s = query_int(q, 6),
					.marker = query_int(q, 7) != 0,
					.seq = query_int(q, 8)};
	query_copy(q, 0, object->bucket, sizeof(object->bucket));
	query_copy(q, 2, object->version, sizeof(object->version));
	query_copy(q, 3, object->sha256, sizeof(object->sha256));
	query_copy(q, 4, object->etag, sizeof(object->etag));
}

static int take_one(struct query *q, const char *bucket, const char *key, struct store_object *ret,
		    struct error *err)
{
	int r = query_next(q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no object '%s/%s'", bucket, key);
	object_of_row(q, ret);
	return 0;
}

int store_object_get(struct store *store, const char *bucket, const char *key, const char *version,
		     struct store_object *ret, struct error *err)
{
	auto_query struct query q = {0};
	auto_store_object struct store_object object = {0};
	int r = query_start(&q, store, err,
			    "SELECT " OBJECT_COLUMNS
			    ", seq FROM objects WHERE bucket = $1 AND key = $2 "
			    "AND ($3 IS NULL OR version = $4) ORDER BY seq DESC LIMIT 1",
			    "ssss", bucket, key, version, version);
	if (r == 0)
		r = take_one(&q, bucket, key, &object, err);
	if (r < 0)
		return r;
	if (object.marker)
		return error_set(err, ERR_NOT_FOUND, "object '%s/%s' was deleted", bucket, key);
	*ret = object;
	object = (struct store_object){0};
	return 0;
}

int store_object_get_kept(struct store *store, const char *bucket, const char *key,
			  struct store_object *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " OBJECT_COLUMNS
			    ", seq FROM objects WHERE bucket = $1 AND key = $2 "
			    "AND marker = 0 ORDER BY seq DESC LIMIT 1",
			    "ss", bucket, key);
	return r < 0 ? r : take_one(&q, bucket, key, ret, err);
}

int store_object_head(struct store *store, const char *bucket, const char *key,
		      struct store_object *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " OBJECT_COLUMNS
			    ", seq FROM objects WHERE bucket = $1 AND key = $2 "
			    "ORDER BY seq DESC LIMIT 1",
			    "ss", bucket, key);
	return r < 0 ? r : take_one(&q, bucket, key, ret, err);
}

/* ---- deleting ---- */

/* A deployment without version means the newest content at its time: it is named by its hash. */
static int check_needed(struct store *store, const struct store_object *object, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(
		&q, store, err,
		"SELECT d.id FROM deployments d JOIN deployment_groups g ON g.id = d.group_id "
		"WHERE d.bucket = $1 AND d.object_key = $2 AND g.deleted_s = 0 "
		"AND (d.object_version = $3 OR d.object_version IS NULL AND "
		"(d.sha256 = $4 OR d.sha256 IS NULL)) "
		"AND (d.completed_s = 0 OR d.id = g.last_successful OR d.id = g.last_attempted) "
		"LIMIT 1",
		"ssss", object->bucket, object->key, object->version, object->sha256);
	if (r == 0)
		r = query_next(&q, err);
	if (r <= 0)
		return r;
	return error_set(err, ERR_BUSY,
			 "version '%s' of '%s/%s' is what deployment '%s' installs: deploy another "
			 "revision to its group first, or delete the group",
			 object->version, object->bucket, object->key, query_text(&q, 0));
}

int store_object_delete(struct store *store, const char *bucket, const char *key,
			const char *version, bool *ret_marker, struct error *err)
{
	auto_store_object struct store_object object = {0};
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " OBJECT_COLUMNS
			    ", seq FROM objects WHERE bucket = $1 AND key = $2 "
			    "AND version = $3",
			    "sss", bucket, key, version);
	if (r == 0)
		r = take_one(&q, bucket, key, &object, err);
	query_end(&q);
	if (r == 0 && !object.marker)
		r = check_needed(store, &object, err);
	if (r == 0)
		r = store_write(store, err,
				"DELETE FROM objects WHERE bucket = $1 AND key = $2 AND "
				"version = $3",
				"sss", bucket, key, version);
	if (r >= 0 && !object.marker)
		r = store_garbage_add(store, object.sha256, err);
	if (r < 0)
		return r;
	*ret_marker = object.marker;
	return 0;
}

/* ---- lists ---- */

static int each_row(struct query *q, bool versions, store_object_fn *fn, void *arg,
		    struct error *err)
{
	auto_free char *before = NULL;
	int r;
	while ((r = query_next(q, err)) > 0) {
		auto_store_object struct store_object object = {0};
		object_of_row(q, &object);
		object.newest = !versions || !before || strcmp(before, object.key) != 0;
		r = fn(&object, arg);
		if (r != 0)
			return r < 0 ? r : 0;
		free(before);
		before = xstrdup(object.key);
	}
	return r;
}

int store_object_each(struct store *store, const struct store_object_range *range,
		      store_object_fn *fn, void *arg, struct error *err)
{
	auto_query struct query q = {0};
	int64_t past = range->past;
	int r;
	if (range->versions)
		r = query_start(&q, store, err,
				"SELECT " OBJECT_COLUMNS ", seq FROM objects WHERE bucket = $1 "
				"AND key >= $2 AND ($3 = 0 OR key > $4) ORDER BY key, seq DESC",
				"ssis", range->bucket, range->from, past, range->from);
	else
		r = query_start(&q, store, err,
				"SELECT " OBJECT_COLUMNS ", seq FROM objects WHERE bucket = $1 "
				"AND key >= $2 AND ($3 = 0 OR key > $4) AND marker = 0 "
				"AND " NEWEST " ORDER BY key",
				"ssis", range->bucket, range->from, past, range->from);
	return r < 0 ? r : each_row(&q, range->versions, fn, arg, err);
}

/* ---- buckets ---- */

int store_bucket_make(struct store *store, const char *name, int64_t now_s, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO buckets (name, created_s) VALUES ($1, $2) "
			    "ON CONFLICT (name) DO NOTHING",
			    "si", name, now_s);
	return r < 0 ? r : 0;
}

int store_bucket_get(struct store *store, const char *name, struct store_bucket *ret,
		     struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err, "SELECT name, created_s FROM buckets WHERE name = $1",
			    "s", name);
	if (r == 0)
		r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no bucket '%s'", name);
	*ret = (struct store_bucket){.created_s = query_int(&q, 1)};
	query_copy(&q, 0, ret->name, sizeof(ret->name));
	return 0;
}

int store_bucket_delete(struct store *store, const char *name, struct error *err)
{
	struct store_bucket bucket;
	auto_query struct query q = {0};
	int r = store_bucket_get(store, name, &bucket, err);
	if (r == 0)
		r = query_start(&q, store, err,
				"SELECT 1 FROM objects WHERE bucket = $1 UNION ALL "
				"SELECT 1 FROM uploads WHERE bucket = $2 AND version = '' LIMIT 1",
				"ss", name, name);
	if (r == 0)
		r = query_next(&q, err);
	query_end(&q);
	if (r > 0)
		return error_set(err, ERR_BUSY, "bucket '%s' holds versions of objects, or uploads",
				 name);
	if (r == 0)
		r = store_write(store, err, "DELETE FROM buckets WHERE name = $1", "s", name);
	return r < 0 ? r : 0;
}

int store_bucket_each(struct store *store, store_bucket_fn *fn, void *arg, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err, "SELECT name, created_s FROM buckets ORDER BY name",
			    "");
	while (r >= 0 && (r = query_next(&q, err)) > 0) {
		struct store_bucket bucket = {.created_s = query_int(&q, 1)};
		query_copy(&q, 0, bucket.name, sizeof(bucket.name));
		r = fn(&bucket, arg);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return r;
}

/* ---- hosts ---- */

/* A revision without version means the newest object, whichever that is when the host reads it. */
int store_host_may_read(struct store *store, const char *host, const char *bucket, const char *key,
			const char *version, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT 1 FROM deployments d JOIN targets t ON t.deployment_id = d.id "
			    "WHERE d.bucket = $1 AND d.object_key = $2 AND t.host = $3 AND "
			    "(d.object_version IS NULL OR d.object_version = coalesce($4, "
			    "(SELECT version FROM objects WHERE bucket = $5 AND key = $6 "
			    "AND marker = 0 ORDER BY seq DESC LIMIT 1))) LIMIT 1",
			    "ssssss", bucket, key, host, version, bucket, key);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r == 0)
		return error_set(err, ERR_DENIED,
				 "'%s/%s' is not the revision of a deployment to host '%s'", bucket,
				 key, host);
	return r < 0 ? r : 0;
}
