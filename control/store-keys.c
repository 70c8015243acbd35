// SPDX-License-Identifier: Apache-2.0
/* What the endpoint knows of itself and of those who ask: settings, access keys, enrolment tokens.
 */
#include "control/store-sql.h"

#include "common/alloc.h"

#include <string.h>

void store_names_clear(struct store_names *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
	*list = (struct store_names){0};
}

/* ---- meta ---- */

int store_meta_get(struct store *store, const char *name, char **ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err, "SELECT value FROM meta WHERE name = $1", "s", name);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "the store has no '%s'", name);
	*ret = query_dup(&q, 0);
	return 0;
}

int store_meta_set(struct store *store, const char *name, const char *value, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO meta (name, value) VALUES ($1, $2) "
			    "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
			    "ss", name, value);
	return r < 0 ? r : 0;
}

/* ---- access keys ---- */

int store_key_add(struct store *store, const struct store_key *key, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO access_keys (id, secret, name, created_s) "
			    "VALUES ($1, $2, $3, $4)",
			    "sssi", key->id, key->secret, key->name, key->created_s);
	if (r == ERR_EXISTS)
		return error_set(err, r, "access key '%s' exists already", key->id);
	return r < 0 ? r : 0;
}

static void key_of_row(const struct query *q, struct store_key *key)
{
	query_copy(q, 0, key->id, sizeof(key->id));
	query_copy(q, 1, key->secret, sizeof(key->secret));
	query_copy(q, 2, key->name, sizeof(key->name));
	key->created_s = query_int(q, 3);
}

int store_key_get(struct store *store, const char *id, struct store_key *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT id, secret, name, created_s FROM access_keys WHERE id = $1",
			    "s", id);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no access key '%s'", id);
	key_of_row(&q, ret);
	return 0;
}

int store_key_delete(struct store *store, const char *id, struct error *err)
{
	int r = store_write(store, err, "DELETE FROM access_keys WHERE id = $1", "s", id);
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no access key '%s'", id);
	return r < 0 ? r : 0;
}

int store_key_each(struct store *store, store_key_fn *fn, void *arg, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT id, secret, name, created_s FROM access_keys ORDER BY id", "");
	if (r < 0)
		return r;
	while ((r = query_next(&q, err)) > 0) {
		struct store_key key = {0};
		key_of_row(&q, &key);
		r = fn(&key, arg);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- enrolment tokens ---- */

#define TOKEN_COLUMNS "sha256, created_s, expires_s, uses_left, name_glob, tags, tags_fixed"

void store_token_clear(struct store_token *token)
{
	free(token->tags);
	*token = (struct store_token){0};
}

int store_token_add(struct store *store, const struct store_token *token, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO tokens (" TOKEN_COLUMNS ") "
			    "VALUES ($1, $2, $3, $4, $5, $6, $7)",
			    "siiissi", token->sha256, token->created_s, token->expires_s,
			    token->uses_left, token->name_glob, token->tags,
			    (int64_t)token->tags_fixed);
	if (r == ERR_EXISTS)
		return error_set(err, r, "this token exists already");
	return r < 0 ? r : 0;
}

static void token_of_row(const struct query *q, struct store_token *token)
{
	*token = (struct store_token){.created_s = query_int(q, 1),
				      .expires_s = query_int(q, 2),
				      .uses_left = query_int(q, 3),
				      .tags_fixed = query_int(q, 6) != 0,
				      .tags = query_dup_null(q, 5)};
	query_copy(q, 0, token->sha256, sizeof(token->sha256));
	query_copy(q, 4, token->name_glob, sizeof(token->name_glob));
}

int store_token_get(struct store *store, const char *sha256, struct store_token *ret,
		    struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " TOKEN_COLUMNS " FROM tokens WHERE sha256 = $1", "s", sha256);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no such token");
	token_of_row(&q, ret);
	return 0;
}

int store_token_spend(struct store *store, const char *sha256, struct error *err)
{
	int r = store_write(store, err,
			    "UPDATE tokens SET uses_left = CASE WHEN uses_left > 0 "
			    "THEN uses_left - 1 ELSE uses_left END "
			    "WHERE sha256 = $1 AND uses_left <> 0",
			    "s", sha256);
	if (r != 0)
		return r < 0 ? r : 0;
	auto_store_token struct store_token token = {0};
	r = store_token_get(store, sha256, &token, err);
	return r < 0 ? r : error_set(err, ERR_LIMIT, "the token has no use left");
}

int store_token_delete(struct store *store, const char *sha256, struct error *err)
{
	int r = store_write(store, err, "DELETE FROM tokens WHERE sha256 = $1", "s", sha256);
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no such token");
	return r < 0 ? r : 0;
}

int store_token_each(struct store *store, store_token_fn *fn, void *arg, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " TOKEN_COLUMNS " FROM tokens ORDER BY created_s, sha256", "");
	if (r < 0)
		return r;
	while ((r = query_next(&q, err)) > 0) {
		auto_store_token struct store_token token = {0};
		token_of_row(&q, &token);
		r = fn(&token, arg);
		if (r < 0)
			return r;
	}
	return r;
}
