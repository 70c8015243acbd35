// SPDX-License-Identifier: Apache-2.0
/* Objects of the bundle store, and who may read them. */
#include "control/store-sql.h"

#include "common/alloc.h"

#define OBJECT_COLUMNS "bucket, key, version, sha256, md5, size, created_s"

void store_object_clear(struct store_object *object)
{
	free(object->key);
	*object = (struct store_object){0};
}

int store_object_put(struct store *store, const struct store_object *object, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO objects (" OBJECT_COLUMNS ", seq) "
			    "SELECT $1, $2, $3, $4, $5, $6, $7, coalesce(max(seq), 0) + 1 "
			    "FROM objects WHERE bucket = $8 AND key = $9",
			    "sssssiiss", object->bucket, object->key, object->version,
			    object->sha256, object->md5, (int64_t)object->size, object->created_s,
			    object->bucket, object->key);
	if (r == ERR_EXISTS)
		return error_set(err, r, "version '%s' of '%s/%s' exists already", object->version,
				 object->bucket, object->key);
	return r < 0 ? r : 0;
}

static void object_of_row(const struct query *q, struct store_object *object)
{
	*object = (struct store_object){.key = query_dup(q, 1),
					.size = (uint64_t)query_int(q, 5),
					.created_s = query_int(q, 6)};
	query_copy(q, 0, object->bucket, sizeof(object->bucket));
	query_copy(q, 2, object->version, sizeof(object->version));
	query_copy(q, 3, object->sha256, sizeof(object->sha256));
	query_copy(q, 4, object->md5, sizeof(object->md5));
}

int store_object_get(struct store *store, const char *bucket, const char *key, const char *version,
		     struct store_object *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " OBJECT_COLUMNS " FROM objects WHERE bucket = $1 AND key = $2 "
			    "AND ($3 IS NULL OR version = $4) ORDER BY seq DESC LIMIT 1",
			    "ssss", bucket, key, version, version);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no object '%s/%s'", bucket, key);
	object_of_row(&q, ret);
	return 0;
}

/* A revision without version means the newest object, whichever that is when the host reads it. */
int store_host_may_read(struct store *store, const char *host, const char *bucket, const char *key,
			const char *version, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT 1 FROM deployments d JOIN targets t ON t.deployment_id = d.id "
			    "WHERE d.bucket = $1 AND d.object_key = $2 AND t.host = $3 AND "
			    "($4 IS NULL OR d.object_version IS NULL OR d.object_version = $5) "
			    "LIMIT 1",
			    "sssss", bucket, key, host, version, version);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r == 0)
		return error_set(err, ERR_DENIED,
				 "'%s/%s' is not the revision of a deployment to host '%s'", bucket,
				 key, host);
	return r < 0 ? r : 0;
}
