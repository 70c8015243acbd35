// SPDX-License-Identifier: Apache-2.0
/* The SQLite driver: connection, schema, transactions, statements.
 *
 * Statements are prepared once and kept in a table of open addressing, keyed by the address of
 * their SQL literal. A statement that is still being read when it is wanted again is prepared a
 * second time and dropped after use. */
#include "control/store-sql.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "control/store-schema.h"

#include <assert.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STATEMENTS 512 /* slots; a power of two, well above the number of literals */
#define BUSY_TIMEOUT_MS 5000

struct sql_statement {
	const char *sql;
	sqlite3_stmt *stmt;
	bool busy;
	bool extra; /* not in the table: freed after use */
};

struct store {
	sqlite3 *db;
	bool dirty;
	struct error failure; /* code 0: none in this turn */
	struct sql_statement statements[STATEMENTS];
};

static int failed(struct store *store, const char *what, struct error *err)
{
	return error_set(err, ERR_DATABASE, "database: %s: %s", what, sqlite3_errmsg(store->db));
}

/* ---- statements ---- */

static int prepare(struct store *store, struct sql_statement *st, struct error *err)
{
	unsigned flags = st->extra ? 0 : SQLITE_PREPARE_PERSISTENT;
	if (sqlite3_prepare_v3(store->db, st->sql, -1, flags, &st->stmt, NULL) != SQLITE_OK)
		return failed(store, st->sql, err);
	return 0;
}

static struct sql_statement *slot_of(struct store *store, const char *sql)
{
	uintptr_t at = (uintptr_t)sql;
	size_t i = (at ^ (at >> 9)) * 2654435761u % STATEMENTS;
	for (size_t n = 0; n < STATEMENTS; n++, i = (i + 1) % STATEMENTS) {
		struct sql_statement *st = &store->statements[i];
		if (!st->sql || st->sql == sql)
			return st;
	}
	return NULL;
}

static int statement_get(struct store *store, const char *sql, struct sql_statement **ret,
			 struct error *err)
{
	struct sql_statement *st = slot_of(store, sql);
	if (!st || st->busy) {
		st = xcalloc(1, sizeof(*st));
		st->extra = true;
	}
	if (!st->stmt) {
		st->sql = sql;
		int r = prepare(store, st, err);
		if (r < 0) {
			if (st->extra)
				free(st);
			else
				st->sql = NULL;
			return r;
		}
	}
	st->busy = true;
	*ret = st;
	return 0;
}

static void statement_put(struct sql_statement *st)
{
	if (st->extra) {
		sqlite3_finalize(st->stmt);
		free(st);
		return;
	}
	sqlite3_reset(st->stmt);
	sqlite3_clear_bindings(st->stmt);
	st->busy = false;
}

static int bind_values(struct store *store, struct sql_statement *st, const char *types, va_list ap,
		       struct error *err)
{
	assert(sqlite3_bind_parameter_count(st->stmt) == (int)strlen(types));
	for (int i = 1; types[i - 1]; i++) {
		int r;
		switch (types[i - 1]) {
		case 's':
			r = sqlite3_bind_text(st->stmt, i, va_arg(ap, const char *), -1,
					      SQLITE_TRANSIENT);
			break;
		case 'i':
			r = sqlite3_bind_int64(st->stmt, i, va_arg(ap, int64_t));
			break;
		default:
			assert(types[i - 1] == 'd');
			r = sqlite3_bind_double(st->stmt, i, va_arg(ap, double));
		}
		if (r != SQLITE_OK)
			return failed(store, st->sql, err);
	}
	return 0;
}

/* ---- reads ---- */

int query_start(struct query *q, struct store *store, struct error *err, const char *sql,
		const char *types, ...)
{
	*q = (struct query){.store = store};
	int r = statement_get(store, sql, &q->statement, err);
	if (r < 0)
		return r;
	va_list ap;
	va_start(ap, types);
	r = bind_values(store, q->statement, types, ap, err);
	va_end(ap);
	if (r < 0)
		query_end(q);
	return r;
}

int query_next(struct query *q, struct error *err)
{
	int r = sqlite3_step(q->statement->stmt);
	if (r == SQLITE_ROW)
		return 1;
	if (r == SQLITE_DONE)
		return 0;
	return failed(q->store, q->statement->sql, err);
}

const char *query_text(const struct query *q, int column)
{
	const char *s = (const char *)sqlite3_column_text(q->statement->stmt, column);
	return s ? s : "";
}

int64_t query_int(const struct query *q, int column)
{
	return sqlite3_column_int64(q->statement->stmt, column);
}

double query_real(const struct query *q, int column)
{
	return sqlite3_column_double(q->statement->stmt, column);
}

char *query_dup(const struct query *q, int column)
{
	return xstrdup(query_text(q, column));
}

char *query_dup_null(const struct query *q, int column)
{
	return xstrdup_null((const char *)sqlite3_column_text(q->statement->stmt, column));
}

void query_copy(const struct query *q, int column, char *out, size_t room)
{
	snprintf(out, room, "%s", query_text(q, column));
}

void query_end(struct query *q)
{
	if (q->statement)
		statement_put(q->statement);
	q->statement = NULL;
}

/* ---- transactions and writes ---- */

static int run_sql(struct store *store, const char *sql, struct error *err)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return failed(store, sql, err);
	return 0;
}

static int begin(struct store *store, struct error *err)
{
	if (store->dirty)
		return 0;
	/* IMMEDIATE: a turn never finds in its middle that another process writes */
	int r = run_sql(store, "BEGIN IMMEDIATE", err);
	store->dirty = r == 0;
	return r;
}

bool store_dirty(const struct store *store)
{
	return store->dirty;
}

void store_rollback(struct store *store)
{
	if (!store->dirty)
		return;
	store->dirty = false;
	store->failure.code = 0;
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

int store_commit(struct store *store, struct error *err)
{
	if (!store->dirty)
		return 0;
	int r = 0;
	if (store->failure.code < 0)
		r = error_set(err, store->failure.code, "%s", store->failure.text);
	else
		r = run_sql(store, "COMMIT", err);
	if (r < 0)
		store_rollback(store);
	store->dirty = false;
	return r;
}

void store_fail(struct store *store, const struct error *err)
{
	if (store->dirty && store->failure.code == 0)
		store->failure = *err;
}

void store_changed(struct store *store)
{
	/* nothing is kept outside the database */
}

static int step_write(struct store *store, struct sql_statement *st, struct error *err)
{
	int r = sqlite3_step(st->stmt);
	if (r == SQLITE_DONE)
		return sqlite3_changes(store->db);
	int code = sqlite3_extended_errcode(store->db);
	if (code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE)
		return error_set(err, ERR_EXISTS, "exists already");
	struct error why = {0};
	failed(store, st->sql, &why);
	store_fail(store, &why);
	return error_set(err, why.code, "%s", why.text);
}

int store_write(struct store *store, struct error *err, const char *sql, const char *types, ...)
{
	int r = begin(store, err);
	if (r < 0)
		return r;
	struct sql_statement *st;
	r = statement_get(store, sql, &st, err);
	if (r < 0)
		return r;
	va_list ap;
	va_start(ap, types);
	r = bind_values(store, st, types, ap, err);
	va_end(ap);
	if (r == 0)
		r = step_write(store, st, err);
	statement_put(st);
	return r;
}

/* ---- opening ---- */

static int schema_version(struct store *store, int64_t *ret, struct error *err)
{
	int r = run_sql(store,
			"CREATE TABLE IF NOT EXISTS schema_migrations ("
			"version BIGINT PRIMARY KEY, applied_s BIGINT NOT NULL)",
			err);
	if (r < 0)
		return r;
	auto_query struct query q = {0};
	r = query_start(&q, store, err, "SELECT coalesce(max(version), 0) FROM schema_migrations",
			"");
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	*ret = query_int(&q, 0);
	return 0;
}

static int migrate_to(struct store *store, int64_t version, struct error *err)
{
	int r = run_sql(store, store_schema[version - 1], err);
	if (r < 0)
		return r;
	r = store_write(store, err,
			"INSERT INTO schema_migrations (version, applied_s) "
			"VALUES ($1, CAST(strftime('%s', 'now') AS BIGINT))",
			"i", version);
	return r < 0 ? r : 0;
}

/* Under one write lock, so that two processes that open a new database do not both fill it. */
static int migrate(struct store *store, struct error *err)
{
	int r = begin(store, err);
	int64_t version = 0;
	if (r == 0)
		r = schema_version(store, &version, err);
	if (r == 0 && version > (int64_t)store_schema_count)
		r = error_set(err, ERR_FORMAT,
			      "control.db has schema %lld, this program knows %zu: use the newer "
			      "program",
			      (long long)version, store_schema_count);
	while (r == 0 && version < (int64_t)store_schema_count)
		r = migrate_to(store, ++version, err);
	if (r == 0)
		r = store_commit(store, err);
	store_rollback(store);
	return r;
}

static int set_up(struct store *store, struct error *err)
{
	sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	sqlite3_extended_result_codes(store->db, 1);
	int r = run_sql(store,
			"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			"PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF",
			err);
	return r < 0 ? r : migrate(store, err);
}

/* SQLite would make the file with the umask's mode. */
static int make_file(const char *path, struct error *err)
{
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? error_errno(err, "open '%s'", path) : 0;
}

int store_open(const char *dir, struct store **ret, struct error *err)
{
	auto_free char *path = fs_join(dir, "control.db");
	int r = make_file(path, err);
	if (r < 0)
		return r;
	auto_store struct store *store = xcalloc(1, sizeof(*store));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
	if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK)
		return failed(store, path, err);
	r = set_up(store, err);
	if (r < 0)
		return r;
	*ret = TAKE(store);
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store_rollback(store);
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(store->statements[i].stmt);
	sqlite3_close(store->db);
	free(store);
}
