// SPDX-License-Identifier: Apache-2.0
/* The inventory: hosts, their tags, their certificates. */
#include "control/store-sql.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <string.h>

#define HOST_COLUMNS                                                                           \
	"h.name, h.arn, h.registered_s, h.deregistered_s, h.revoked_s, h.last_poll_s, t.key, " \
	"t.value FROM hosts h LEFT JOIN host_tags t ON t.host = h.name"

void store_host_clear(struct store_host *host)
{
	for (size_t i = 0; i < host->tag_count; i++) {
		free(host->tags[i].key);
		free(host->tags[i].value);
	}
	free(host->tags);
	free(host->name);
	free(host->arn);
	*host = (struct store_host){0};
}

/* ---- reading ---- */

static void host_of_row(const struct query *q, struct store_host *host)
{
	*host = (struct store_host){.name = query_dup(q, 0),
				    .arn = query_dup(q, 1),
				    .registered_s = query_int(q, 2),
				    .deregistered_s = query_int(q, 3),
				    .revoked_s = query_int(q, 4),
				    .last_poll_s = query_int(q, 5)};
}

/* A row without tag has an empty key: no tag has one. */
static void tag_of_row(const struct query *q, struct store_host *host)
{
	if (query_text(q, 6)[0] == '\0')
		return;
	host->tags = xrealloc_array(host->tags, host->tag_count + 1, sizeof(*host->tags));
	host->tags[host->tag_count++] =
		(struct store_tag){.key = query_dup(q, 6), .value = query_dup(q, 7)};
}

int store_host_get(struct store *store, const char *name, struct store_host *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " HOST_COLUMNS " WHERE h.name = $1 ORDER BY t.key", "s", name);
	if (r < 0)
		return r;
	auto_store_host struct store_host host = {0};
	while ((r = query_next(&q, err)) > 0) {
		if (!host.name)
			host_of_row(&q, &host);
		tag_of_row(&q, &host);
	}
	if (r < 0)
		return r;
	if (!host.name)
		return error_set(err, ERR_NOT_FOUND, "no host '%s'", name);
	*ret = host;
	host = (struct store_host){0};
	return 0;
}

static int give_host(struct store_host *host, store_host_fn *fn, void *arg)
{
	if (!host->name)
		return 0;
	int r = fn(host, arg);
	store_host_clear(host);
	return r;
}

static int each_row(struct query *q, store_host_fn *fn, void *arg, struct error *err)
{
	auto_store_host struct store_host host = {0};
	int r;
	while ((r = query_next(q, err)) > 0) {
		if (!host.name || strcmp(host.name, query_text(q, 0)) != 0) {
			r = give_host(&host, fn, arg);
			if (r < 0)
				return r;
			host_of_row(q, &host);
		}
		tag_of_row(q, &host);
	}
	return r < 0 ? r : give_host(&host, fn, arg);
}

int store_host_each(struct store *store, enum store_host_which which, const char *after,
		    size_t limit, store_host_fn *fn, void *arg, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " HOST_COLUMNS " WHERE h.name IN (SELECT name FROM hosts "
			    "WHERE name > $1 AND ($2 = 2 OR (deregistered_s = 0) = ($3 = 0)) "
			    "ORDER BY name LIMIT $4) ORDER BY h.name, t.key",
			    "siii", after, (int64_t)which, (int64_t)which,
			    limit ? (int64_t)limit : INT64_MAX);
	if (r < 0)
		return r;
	r = each_row(&q, fn, arg, err);
	return r < 0 ? r : 0;
}

/* ---- tags ---- */

static int count_tags(struct store *store, const char *host, const char *but, int64_t *ret,
		      struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT count(*) FROM host_tags WHERE host = $1 AND key <> $2", "ss",
			    host, but);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	*ret = query_int(&q, 0);
	return 0;
}

int store_host_tag_set(struct store *store, const char *name, const char *key, const char *value,
		       struct error *err)
{
	int64_t others = 0;
	int r = count_tags(store, name, key, &others, err);
	if (r < 0)
		return r;
	if (others >= STORE_HOST_TAGS_MAX)
		return error_set(err, ERR_LIMIT, "host '%s' has %d tags already, which is the most",
				 name, STORE_HOST_TAGS_MAX);
	r = store_write(store, err,
			"INSERT INTO host_tags (host, key, value) VALUES ($1, $2, $3) "
			"ON CONFLICT (host, key) DO UPDATE SET value = excluded.value",
			"sss", name, key, value);
	return r < 0 ? r : 0;
}

int store_host_tag_remove(struct store *store, const char *name, const char *key, struct error *err)
{
	int r = store_write(store, err, "DELETE FROM host_tags WHERE host = $1 AND key = $2", "ss",
			    name, key);
	return r < 0 ? r : 0;
}

/* ---- coming and going ---- */

/* The row of a name that is free, new or used before. */
static int write_host(struct store *store, const struct store_enroll *enroll, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO hosts (name, arn, registered_s, enrolled_by) "
			    "VALUES ($1, $2, $3, $4) "
			    "ON CONFLICT (name) DO UPDATE SET arn = excluded.arn, "
			    "registered_s = excluded.registered_s, deregistered_s = 0, "
			    "revoked_s = 0, last_poll_s = 0, enrolled_by = excluded.enrolled_by "
			    "WHERE hosts.deregistered_s <> 0",
			    "ssis", enroll->name, enroll->arn, enroll->now_s,
			    enroll->by ? enroll->by : "");
	if (r == 0)
		return error_set(err, ERR_EXISTS, "a host '%s' is registered already",
				 enroll->name);
	return r < 0 ? r : 0;
}

int store_host_enroll(struct store *store, const struct store_enroll *enroll, struct error *err)
{
	if (enroll->tag_count > STORE_HOST_TAGS_MAX)
		return error_set(err, ERR_LIMIT, "a host has at most %d tags", STORE_HOST_TAGS_MAX);
	int r = write_host(store, enroll, err);
	if (r == 0)
		r = store_write(store, err, "DELETE FROM host_tags WHERE host = $1", "s",
				enroll->name);
	for (size_t i = 0; i < enroll->tag_count && r >= 0; i++)
		r = store_host_tag_set(store, enroll->name, enroll->tags[i].key,
				       enroll->tags[i].value, err);
	if (r >= 0)
		r = store_cert_add(store, enroll->name, enroll->serial, enroll->not_after_s, err);
	return r;
}

int store_host_enrolled_by(struct store *store, const char *name, const char *by, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT 1 FROM hosts WHERE name = $1 AND enrolled_by = $2 "
			    "AND enrolled_by <> '' AND deregistered_s = 0",
			    "ss", name, by);
	return r < 0 ? r : query_next(&q, err);
}

int store_host_settle(struct store *store, const char *name, struct error *err)
{
	int r = store_write(
		store, err,
		"UPDATE hosts SET enrolled_by = '' WHERE name = $1 AND enrolled_by <> ''", "s",
		name);
	return r < 0 ? r : 0;
}

static int end_host(struct store *store, const char *name, int64_t now_s, int64_t revoked_s,
		    struct error *err)
{
	int r = store_write(store, err,
			    "UPDATE hosts SET deregistered_s = $1, revoked_s = $2 "
			    "WHERE name = $3 AND deregistered_s = 0",
			    "iis", now_s, revoked_s, name);
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no registered host '%s'", name);
	if (r > 0)
		r = store_write(store, err, "DELETE FROM host_tags WHERE host = $1", "s", name);
	if (r >= 0)
		r = store_write(store, err,
				"UPDATE certificates SET revoked_s = $1 "
				"WHERE host = $2 AND revoked_s = 0",
				"is", now_s, name);
	return r < 0 ? r : 0;
}

int store_host_deregister(struct store *store, const char *name, int64_t now_s, struct error *err)
{
	return end_host(store, name, now_s, 0, err);
}

int store_host_revoke(struct store *store, const char *name, int64_t now_s, struct error *err)
{
	return end_host(store, name, now_s, now_s, err);
}

int store_host_set_poll(struct store *store, const char *name, int64_t last_poll_s,
			struct error *err)
{
	int r = store_write(store, err, "UPDATE hosts SET last_poll_s = $1 WHERE name = $2", "is",
			    last_poll_s, name);
	return r < 0 ? r : 0;
}

/* ---- certificates ---- */

int store_cert_add(struct store *store, const char *host, const char *serial, int64_t not_after_s,
		   struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO certificates (serial, host, not_after_s) "
			    "SELECT $1, name, $2 FROM hosts WHERE name = $3 AND deregistered_s = 0",
			    "sis", serial, not_after_s, host);
	if (r == ERR_EXISTS)
		return error_set(err, r, "certificate '%s' exists already", serial);
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no registered host '%s'", host);
	return r < 0 ? r : 0;
}

int store_cert_check(struct store *store, const char *host, const char *serial, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT h.revoked_s, h.deregistered_s, c.serial IS NOT NULL, "
			    "c.revoked_s FROM hosts h LEFT JOIN certificates c "
			    "ON c.host = h.name AND c.serial = $1 WHERE h.name = $2",
			    "ss", serial, host);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_DENIED, "no host '%s' is enrolled here", host);
	if (query_int(&q, 0))
		return error_set(err, ERR_DENIED, "host '%s' is revoked", host);
	if (query_int(&q, 1))
		return error_set(err, ERR_DENIED, "host '%s' is deregistered", host);
	if (!query_int(&q, 2))
		return error_set(err, ERR_DENIED,
				 "certificate '%s' was not issued to host '%s' by this endpoint",
				 serial, host);
	if (query_int(&q, 3))
		return error_set(err, ERR_DENIED, "certificate '%s' of host '%s' is revoked",
				 serial, host);
	return 0;
}
