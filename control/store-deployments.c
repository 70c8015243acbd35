// SPDX-License-Identifier: Apache-2.0
/* Deployments. */
#include "control/store-deploy.h"
#include "control/store-sql.h"

#include "common/alloc.h"

#include <string.h>

static const char *const statuses[] = {
	[STORE_CREATED] = "Created",        [STORE_PENDING] = "Pending",
	[STORE_IN_PROGRESS] = "InProgress", [STORE_SUCCEEDED] = "Succeeded",
	[STORE_FAILED] = "Failed",          [STORE_STOPPED] = "Stopped",
	[STORE_SKIPPED] = "Skipped",
};

const char *store_status_to_string(enum store_status status)
{
	return statuses[status];
}

int store_status_from_string(const char *name, enum store_status *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (strcmp(statuses[i], name) == 0) {
			*ret = (enum store_status)i;
			return 0;
		}
	return -EINVAL;
}

bool store_status_is_final(enum store_status status)
{
	return status >= STORE_SUCCEEDED;
}

void store_deployment_clear(struct store_deployment *d)
{
	char *const owned[] = {
		d->id,
		d->app_id,
		d->group_id,
		d->application,
		d->group,
		d->config_name,
		d->halt,
		d->creator,
		d->revision,
		d->previous_revision,
		d->options,
		d->bucket,
		d->object_key,
		d->object_version,
		d->sha256,
		d->error_code,
		d->error_message,
		d->first_failure,
		d->rollback_message,
	};
	for (size_t i = 0; i < ARRAY_LEN(owned); i++)
		free(owned[i]);
	*d = (struct store_deployment){0};
}

int store_deployment_add(struct store *store, const struct store_deployment *d, struct error *err)
{
	int r = store_write(
		store, err,
		"INSERT INTO deployments (seq, id, application_id, group_id, application, "
		"group_name, config_name, status, creator, revision, previous_revision, options, "
		"bucket, object_key, object_version, sha256, size, created_s) "
		"SELECT coalesce(max(seq), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
		"$12, $13, $14, $15, $16, $17 FROM deployments",
		"sssssssssssssssid", d->id, d->app_id, d->group_id, d->application, d->group,
		d->config_name, statuses[d->status], d->creator, d->revision, d->previous_revision,
		d->options, d->bucket, d->object_key, d->object_version, d->sha256, d->size,
		d->created_s);
	if (r == ERR_EXISTS)
		return error_set(err, r, "deployment '%s' exists already", d->id);
	return r < 0 ? r : 0;
}

/* Columns in the order of deployment_of_row(). */
#define DEPLOYMENT_COLUMNS                                                                    \
	"id, application_id, group_id, application, group_name, config_name, status, halt, "  \
	"creator, revision, previous_revision, options, bucket, object_key, object_version, " \
	"sha256, size, error_code, error_message, first_failure, rollback_message, total, "   \
	"minimum, pending, running, succeeded, failed, skipped, created_s, started_s, "       \
	"completed_s, deadline_s"

static int deployment_of_row(const struct query *q, struct store_deployment *ret, struct error *err)
{
	enum store_status status;
	if (store_status_from_string(query_text(q, 6), &status) < 0)
		return error_set(err, ERR_DATABASE, "deployment '%s' has status '%s'",
				 query_text(q, 0), query_text(q, 6));
	*ret = (struct store_deployment){
		.id = query_dup(q, 0),
		.app_id = query_dup(q, 1),
		.group_id = query_dup(q, 2),
		.application = query_dup(q, 3),
		.group = query_dup(q, 4),
		.config_name = query_dup(q, 5),
		.status = status,
		.halt = query_dup(q, 7),
		.creator = query_dup(q, 8),
		.revision = query_dup(q, 9),
		.previous_revision = query_dup_null(q, 10),
		.options = query_dup(q, 11),
		.bucket = query_dup_null(q, 12),
		.object_key = query_dup_null(q, 13),
		.object_version = query_dup_null(q, 14),
		.sha256 = query_dup_null(q, 15),
		.size = query_int(q, 16),
		.error_code = query_dup_null(q, 17),
		.error_message = query_dup_null(q, 18),
		.first_failure = query_dup_null(q, 19),
		.rollback_message = query_dup_null(q, 20),
		.total = query_int(q, 21),
		.minimum = query_int(q, 22),
		.pending = query_int(q, 23),
		.running = query_int(q, 24),
		.succeeded = query_int(q, 25),
		.failed = query_int(q, 26),
		.skipped = query_int(q, 27),
		.created_s = query_real(q, 28),
		.started_s = query_real(q, 29),
		.completed_s = query_real(q, 30),
		.deadline_s = query_real(q, 31),
	};
	return 0;
}

int store_deployment_get(struct store *store, const char *id, struct store_deployment *ret,
			 struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " DEPLOYMENT_COLUMNS " FROM deployments WHERE id = $1", "s",
			    id);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no deployment '%s'", id);
	return deployment_of_row(&q, ret, err);
}

int store_deployment_hidden(struct store *store, const char *id, bool *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT 1 FROM deployments d JOIN applications a "
			    "ON a.id = d.application_id WHERE d.id = $1 AND a.deleted_s = 0",
			    "s", id);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	*ret = r == 0;
	return 0;
}

int store_deployment_save(struct store *store, const struct store_deployment *d, struct error *err)
{
	int r = store_write(
		store, err,
		"UPDATE deployments SET status = $1, halt = $2, error_code = $3, "
		"error_message = $4, first_failure = $5, rollback_message = $6, total = $7, "
		"minimum = $8, pending = $9, running = $10, succeeded = $11, failed = $12, "
		"skipped = $13, started_s = $14, completed_s = $15, deadline_s = $16 "
		"WHERE id = $17",
		"ssssssiiiiiiiddds", statuses[d->status], d->halt, d->error_code, d->error_message,
		d->first_failure, d->rollback_message, d->total, d->minimum, d->pending, d->running,
		d->succeeded, d->failed, d->skipped, d->started_s, d->completed_s, d->deadline_s,
		d->id);
	return r < 0 ? r : 0;
}

/* ---- lists ---- */

/* One statement for each of the two scopes, so that each has its index. */
static int start_list(struct query *q, struct store *store, const struct store_deployment_filter *f,
		      struct error *err)
{
	if (f->group_id)
		return query_start(q, store, err,
				   "SELECT id, seq, status, created_s FROM deployments "
				   "WHERE group_id = $1 AND ($2 = 0 OR seq < $3) ORDER BY seq DESC",
				   "sii", f->group_id, f->seq, f->seq);
	return query_start(q, store, err,
			   "SELECT d.id, d.seq, d.status, d.created_s FROM deployments d "
			   "JOIN applications a ON a.id = d.application_id "
			   "WHERE a.deleted_s = 0 AND ($1 = 0 OR d.seq < $2) ORDER BY d.seq DESC",
			   "ii", f->seq, f->seq);
}

static bool row_wanted(const struct query *q, const struct store_deployment_filter *f)
{
	enum store_status status;
	double created_s = query_real(q, 3);
	return store_status_from_string(query_text(q, 2), &status) == 0 &&
	       (f->statuses & STORE_STATUS_BIT(status)) && created_s >= f->from_s &&
	       (f->before_s <= 0 || created_s <= f->before_s);
}

int store_deployment_list(struct store *store, const struct store_deployment_filter *filter,
			  struct store_names *ret, int64_t *ret_seq, struct error *err)
{
	auto_query struct query q = {0};
	int r = start_list(&q, store, filter, err);
	if (r < 0)
		return r;
	auto_names struct store_names list = {0};
	int64_t seq = 0;
	while (list.count < filter->limit && (r = query_next(&q, err)) > 0) {
		if (!row_wanted(&q, filter))
			continue;
		list.names = xrealloc_array(list.names, list.count + 1, sizeof(*list.names));
		list.names[list.count++] = query_dup(&q, 0);
		seq = query_int(&q, 1);
	}
	if (r < 0)
		return r;
	*ret = list;
	list = (struct store_names){0};
	*ret_seq = seq;
	return 0;
}

int store_deployment_due(struct store *store, double now_s, struct store_names *ret,
			 struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT id FROM deployments WHERE deadline_s > 0 AND deadline_s <= $1",
			    "d", now_s);
	if (r < 0)
		return r;
	auto_names struct store_names list = {0};
	while ((r = query_next(&q, err)) > 0) {
		list.names = xrealloc_array(list.names, list.count + 1, sizeof(*list.names));
		list.names[list.count++] = query_dup(&q, 0);
	}
	if (r < 0)
		return r;
	*ret = list;
	list = (struct store_names){0};
	return 0;
}
