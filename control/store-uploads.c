// SPDX-License-Identifier: Apache-2.0
/* Multipart uploads, their parts, and the files of the bundle store that nobody may need. */
#include "control/store-sql.h"

#include "common/alloc.h"

#define UPLOAD_COLUMNS "id, bucket, key, created_s, version"
#define PART_COLUMNS "number, file, md5, size, created_s"

/* ---- uploads ---- */

void store_upload_clear(struct store_upload *upload)
{
	free(upload->key);
	*upload = (struct store_upload){0};
}

int store_upload_add(struct store *store, const struct store_upload *upload, struct error *err)
{
	int r = store_bucket_make(store, upload->bucket, upload->created_s, err);
	if (r == 0)
		r = store_write(store, err,
				"INSERT INTO uploads (" UPLOAD_COLUMNS ") "
				"VALUES ($1, $2, $3, $4, $5)",
				"sssis", upload->id, upload->bucket, upload->key, upload->created_s,
				upload->version);
	return r < 0 ? r : 0;
}

static void upload_of_row(const struct query *q, struct store_upload *upload)
{
	*upload = (struct store_upload){.key = query_dup(q, 2), .created_s = query_int(q, 3)};
	query_copy(q, 0, upload->id, sizeof(upload->id));
	query_copy(q, 1, upload->bucket, sizeof(upload->bucket));
	query_copy(q, 4, upload->version, sizeof(upload->version));
}

int store_upload_get(struct store *store, const char *id, struct store_upload *ret,
		     struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE id = $1",
			    "s", id);
	if (r == 0)
		r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no upload '%s'", id);
	upload_of_row(&q, ret);
	return 0;
}

static int drop_parts(struct store *store, const char *id, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO garbage (file) SELECT file FROM parts "
			    "WHERE upload_id = $1 ON CONFLICT (file) DO NOTHING",
			    "s", id);
	if (r >= 0)
		r = store_write(store, err, "DELETE FROM parts WHERE upload_id = $1", "s", id);
	return r < 0 ? r : 0;
}

int store_upload_complete(struct store *store, const char *id, const char *version,
			  struct error *err)
{
	int r = drop_parts(store, id, err);
	if (r == 0)
		r = store_write(store, err, "UPDATE uploads SET version = $1 WHERE id = $2", "ss",
				version, id);
	return r < 0 ? r : 0;
}

int store_upload_delete(struct store *store, const char *id, struct error *err)
{
	int r = drop_parts(store, id, err);
	if (r == 0)
		r = store_write(store, err, "DELETE FROM uploads WHERE id = $1", "s", id);
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no upload '%s'", id);
	return r < 0 ? r : 0;
}

int store_upload_each(struct store *store, const char *bucket, const char *key, const char *id,
		      store_upload_fn *fn, void *arg, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE bucket = $1 "
			    "AND version = '' AND (key > $2 OR key = $3 AND id > $4) "
			    "ORDER BY key, id",
			    "ssss", bucket, key, key, id);
	while (r >= 0 && (r = query_next(&q, err)) > 0) {
		auto_store_upload struct store_upload upload = {0};
		upload_of_row(&q, &upload);
		r = fn(&upload, arg);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return r;
}

static int take_names(struct query *q, size_t limit, struct store_names *ret, struct error *err)
{
	struct store_names list = {.names = xcalloc(limit + 1, sizeof(char *))};
	int r;
	while ((r = query_next(q, err)) > 0)
		list.names[list.count++] = query_dup(q, 0);
	if (r < 0)
		store_names_clear(&list);
	else
		*ret = list;
	return r;
}

int store_upload_old(struct store *store, int64_t before_s, size_t limit, struct store_names *ret,
		     struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT id FROM uploads WHERE created_s < $1 ORDER BY created_s "
			    "LIMIT $2",
			    "ii", before_s, (int64_t)limit);
	return r < 0 ? r : take_names(&q, limit, ret, err);
}

/* ---- parts ---- */

int store_part_put(struct store *store, const char *upload_id, const struct store_part *part,
		   struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO garbage (file) SELECT file FROM parts "
			    "WHERE upload_id = $1 AND number = $2 ON CONFLICT (file) DO NOTHING",
			    "si", upload_id, part->number);
	if (r >= 0)
		r = store_write(store, err,
				"INSERT INTO parts (upload_id, " PART_COLUMNS ") "
				"VALUES ($1, $2, $3, $4, $5, $6) "
				"ON CONFLICT (upload_id, number) DO UPDATE SET "
				"file = excluded.file, md5 = excluded.md5, "
				"size = excluded.size, created_s = excluded.created_s",
				"sissii", upload_id, part->number, part->file, part->md5,
				(int64_t)part->size, part->created_s);
	return r < 0 ? r : 0;
}

int store_part_each(struct store *store, const char *upload_id, int64_t after, store_part_fn *fn,
		    void *arg, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " PART_COLUMNS " FROM parts WHERE upload_id = $1 "
			    "AND number > $2 ORDER BY number",
			    "si", upload_id, after);
	while (r >= 0 && (r = query_next(&q, err)) > 0) {
		struct store_part part = {.number = query_int(&q, 0),
					  .size = (uint64_t)query_int(&q, 3),
					  .created_s = query_int(&q, 4)};
		query_copy(&q, 1, part.file, sizeof(part.file));
		query_copy(&q, 2, part.md5, sizeof(part.md5));
		r = fn(&part, arg);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return r;
}

/* ---- garbage ---- */

int store_garbage_add(struct store *store, const char *file, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO garbage (file) VALUES ($1) ON CONFLICT (file) DO NOTHING",
			    "s", file);
	return r < 0 ? r : 0;
}

int store_garbage_list(struct store *store, const char *after, size_t limit,
		       struct store_names *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT file FROM garbage WHERE file > $1 ORDER BY file LIMIT $2", "si",
			    after, (int64_t)limit);
	return r < 0 ? r : take_names(&q, limit, ret, err);
}

int store_garbage_remove(struct store *store, const char *file, struct error *err)
{
	int r = store_write(store, err, "DELETE FROM garbage WHERE file = $1", "s", file);
	return r < 0 ? r : 0;
}

int store_file_is_used(struct store *store, const char *file, bool *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT 1 FROM objects WHERE sha256 = $1 UNION ALL "
			    "SELECT 1 FROM parts WHERE file = $2 LIMIT 1",
			    "ss", file, file);
	if (r == 0)
		r = query_next(&q, err);
	if (r < 0)
		return r;
	*ret = r > 0;
	return 0;
}
