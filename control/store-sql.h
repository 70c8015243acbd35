/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the store only: statements in the SQL that both databases accept ($1, $2 in order, ON
 * CONFLICT, RETURNING), and a driver of few calls. The store-*.c files know tables, a driver knows
 * a database. */
#pragma once

#include "control/store.h"

struct sql_statement;

/* A running read. Rows are read one by one; texts are borrowed until the next row. */
struct query {
	struct store *store;
	struct sql_statement *statement;
};

/* Values follow as types says, one letter each: 's' const char * (NULL is NULL), 'i' int64_t, 'd'
 * double. sql is a literal: statements are kept by its address. */
int query_start(struct query *q, struct store *store, struct error *err, const char *sql,
		const char *types, ...) MUST_CHECK;
int query_next(struct query *q, struct error *err) MUST_CHECK; /* 1: a row; 0: no more */
const char *query_text(const struct query *q, int column);     /* never NULL */
int64_t query_int(const struct query *q, int column);
double query_real(const struct query *q, int column);
char *query_dup(const struct query *q, int column);      /* owned; never NULL */
char *query_dup_null(const struct query *q, int column); /* owned; NULL for NULL */
void query_copy(const struct query *q, int column, char *out, size_t room);
void query_end(struct query *q); /* accepts one that never started */
#define auto_query CLEANUP(query_end)

/* One write. Begins the turn's transaction when it is the first. Returns how many rows changed;
 * ERR_EXISTS when a primary key or a unique index stands against it. */
int store_write(struct store *store, struct error *err, const char *sql, const char *types,
		...) MUST_CHECK;
