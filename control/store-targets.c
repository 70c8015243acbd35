// SPDX-License-Identifier: Apache-2.0
/* Targets of deployments, their events, and what groups know of their hosts. */
#include "control/store-deploy.h"
#include "control/store-sql.h"

#include "common/alloc.h"

#include <inttypes.h>

/* ---- targets ---- */

#define TARGET_COLUMNS "deployment_id, host, position, status, event, updated_s, deadline_s"

void store_target_clear(struct store_target *target)
{
	free(target->deployment_id);
	free(target->host);
	*target = (struct store_target){0};
}

void store_targets_clear(struct store_targets *list)
{
	for (size_t i = 0; i < list->count; i++)
		store_target_clear(&list->targets[i]);
	free(list->targets);
	*list = (struct store_targets){0};
}

int store_target_add(struct store *store, const struct store_target *t, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO targets (" TARGET_COLUMNS ") "
			    "VALUES ($1, $2, $3, $4, $5, $6, $7)",
			    "ssisidd", t->deployment_id, t->host, t->position,
			    store_status_to_string(t->status), t->event, t->updated_s,
			    t->deadline_s);
	return r < 0 ? r : 0;
}

static int target_of_row(const struct query *q, struct store_target *ret, struct error *err)
{
	enum store_status status;
	if (store_status_from_string(query_text(q, 3), &status) < 0)
		return error_set(err, ERR_DATABASE, "target '%s' of '%s' has status '%s'",
				 query_text(q, 1), query_text(q, 0), query_text(q, 3));
	*ret = (struct store_target){
		.deployment_id = query_dup(q, 0),
		.host = query_dup(q, 1),
		.position = query_int(q, 2),
		.status = status,
		.event = query_int(q, 4),
		.updated_s = query_real(q, 5),
		.deadline_s = query_real(q, 6),
	};
	return 0;
}

static int targets_of(struct query *q, struct store_targets *ret, struct error *err)
{
	auto_store_targets struct store_targets list = {0};
	size_t room = 0;
	int r;
	while ((r = query_next(q, err)) > 0) {
		if (list.count == room) {
			room = room ? 2 * room : 16;
			list.targets = xrealloc_array(list.targets, room, sizeof(*list.targets));
		}
		r = target_of_row(q, &list.targets[list.count], err);
		if (r < 0)
			return r;
		list.count++;
	}
	if (r < 0)
		return r;
	*ret = list;
	list = (struct store_targets){0};
	return 0;
}

int store_target_get(struct store *store, const char *deployment_id, const char *host,
		     struct store_target *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " TARGET_COLUMNS " FROM targets "
			    "WHERE deployment_id = $1 AND host = $2",
			    "ss", deployment_id, host);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "deployment '%s' has no target '%s'",
				 deployment_id, host);
	return target_of_row(&q, ret, err);
}

int store_target_save(struct store *store, const struct store_target *t, struct error *err)
{
	int r = store_write(store, err,
			    "UPDATE targets SET status = $1, event = $2, updated_s = $3, "
			    "deadline_s = $4 WHERE deployment_id = $5 AND host = $6",
			    "siddss", store_status_to_string(t->status), t->event, t->updated_s,
			    t->deadline_s, t->deployment_id, t->host);
	return r < 0 ? r : 0;
}

int store_target_by_status(struct store *store, const char *deployment_id, enum store_status status,
			   int64_t after, size_t limit, struct store_targets *ret,
			   struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " TARGET_COLUMNS " FROM targets WHERE deployment_id = $1 "
			    "AND status = $2 AND position > $3 ORDER BY position LIMIT $4",
			    "ssii", deployment_id, store_status_to_string(status), after,
			    (int64_t)limit);
	return r < 0 ? r : targets_of(&q, ret, err);
}

int store_target_list(struct store *store, const char *deployment_id, unsigned statuses,
		      int64_t after, size_t limit, struct store_names *ret, int64_t *ret_position,
		      struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT host, position, status FROM targets WHERE deployment_id = $1 "
			    "AND position > $2 ORDER BY position",
			    "si", deployment_id, after);
	if (r < 0)
		return r;
	auto_names struct store_names list = {0};
	int64_t position = after;
	while (list.count < limit && (r = query_next(&q, err)) > 0) {
		enum store_status status;
		if (store_status_from_string(query_text(&q, 2), &status) < 0 ||
		    !(statuses & STORE_STATUS_BIT(status)))
			continue;
		list.names = xrealloc_array(list.names, list.count + 1, sizeof(*list.names));
		list.names[list.count++] = query_dup(&q, 0);
		position = query_int(&q, 1);
	}
	if (r < 0)
		return r;
	*ret = list;
	list = (struct store_names){0};
	*ret_position = position;
	return 0;
}

int store_target_skip(struct store *store, const char *deployment_id, double now_s,
		      struct error *err)
{
	return store_write(store, err,
			   "UPDATE targets SET status = 'Skipped', updated_s = $1 "
			   "WHERE deployment_id = $2 AND status = 'Pending'",
			   "ds", now_s, deployment_id);
}

int store_target_due(struct store *store, double now_s, size_t limit, struct store_targets *ret,
		     struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " TARGET_COLUMNS " FROM targets WHERE deadline_s > 0 "
			    "AND deadline_s <= $1 ORDER BY deadline_s LIMIT $2",
			    "di", now_s, (int64_t)limit);
	return r < 0 ? r : targets_of(&q, ret, err);
}

int store_target_gone(struct store *store, struct store_targets *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " TARGET_COLUMNS " FROM targets JOIN hosts ON name = host "
			    "WHERE status = 'InProgress' AND deregistered_s > 0",
			    "");
	return r < 0 ? r : targets_of(&q, ret, err);
}

int store_next_deadline(struct store *store, double *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT (SELECT min(deadline_s) FROM targets WHERE deadline_s > 0), "
			    "(SELECT min(deadline_s) FROM deployments WHERE deadline_s > 0)",
			    "");
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	double a = query_real(&q, 0), b = query_real(&q, 1);
	*ret = a > 0 && (b <= 0 || a < b) ? a : b;
	return 0;
}

/* ---- events ---- */

#define EVENT_COLUMNS                                                                     \
	"e.deployment_id, e.host, e.event, e.attempt, e.status, e.ready_s, e.offered_s, " \
	"e.started_s, e.ended_s, e.error_code, e.script, e.message, e.log_tail FROM events e"

void store_event_clear(struct store_event *event)
{
	free(event->deployment_id);
	free(event->host);
	free(event->script);
	free(event->message);
	free(event->log_tail);
	*event = (struct store_event){0};
}

int store_event_add(struct store *store, const struct store_event *e, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO events (deployment_id, host, event, attempt, status, "
			    "ready_s) VALUES ($1, $2, $3, $4, $5, $6)",
			    "ssiisd", e->deployment_id, e->host, e->event, e->attempt,
			    store_status_to_string(e->status), e->ready_s);
	return r < 0 ? r : 0;
}

static int event_of_row(const struct query *q, struct store_event *ret, struct error *err)
{
	enum store_status status;
	if (store_status_from_string(query_text(q, 4), &status) < 0)
		return error_set(err, ERR_DATABASE, "an event of '%s' has status '%s'",
				 query_text(q, 1), query_text(q, 4));
	*ret = (struct store_event){
		.deployment_id = query_dup(q, 0),
		.host = query_dup(q, 1),
		.event = query_int(q, 2),
		.attempt = query_int(q, 3),
		.status = status,
		.ready_s = query_real(q, 5),
		.offered_s = query_real(q, 6),
		.started_s = query_real(q, 7),
		.ended_s = query_real(q, 8),
		.error_code = query_int(q, 9),
		.script = query_dup_null(q, 10),
		.message = query_dup_null(q, 11),
		.log_tail = query_dup_null(q, 12),
	};
	return 0;
}

static int one_event(struct query *q, const char *host, struct store_event *ret, struct error *err)
{
	int r = query_next(q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no such event of host '%s'", host);
	return event_of_row(q, ret, err);
}

int store_event_get(struct store *store, const char *deployment_id, const char *host, int64_t event,
		    struct store_event *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " EVENT_COLUMNS " WHERE e.deployment_id = $1 AND e.host = $2 "
			    "AND e.event = $3",
			    "ssi", deployment_id, host, event);
	return r < 0 ? r : one_event(&q, host, ret, err);
}

int store_event_save(struct store *store, const struct store_event *e, struct error *err)
{
	int r = store_write(store, err,
			    "UPDATE events SET status = $1, offered_s = $2, started_s = $3, "
			    "ended_s = $4, error_code = $5, script = $6, message = $7, "
			    "log_tail = $8 WHERE deployment_id = $9 AND host = $10 AND event = $11",
			    "sdddisssssi", store_status_to_string(e->status), e->offered_s,
			    e->started_s, e->ended_s, e->error_code, e->script, e->message,
			    e->log_tail, e->deployment_id, e->host, e->event);
	return r < 0 ? r : 0;
}

int store_event_each(struct store *store, const char *deployment_id, const char *host,
		     store_event_fn *fn, void *arg, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " EVENT_COLUMNS " WHERE e.deployment_id = $1 AND e.host = $2 "
			    "ORDER BY e.event",
			    "ss", deployment_id, host);
	if (r < 0)
		return r;
	while ((r = query_next(&q, err)) > 0) {
		auto_store_event struct store_event event = {0};
		r = event_of_row(&q, &event, err);
		if (r == 0)
			r = fn(&event, arg);
		if (r < 0)
			return r;
	}
	return r;
}

int store_event_next(struct store *store, const char *host, double lease_s, struct store_event *ret,
		     struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " EVENT_COLUMNS " JOIN targets t "
			    "ON t.deployment_id = e.deployment_id AND t.host = e.host "
			    "AND t.event = e.event WHERE t.host = $1 AND t.status = 'InProgress' "
			    "AND e.status = 'Pending' AND e.offered_s <= $2 "
			    "ORDER BY e.ready_s LIMIT 1",
			    "sd", host, lease_s);
	return r < 0 ? r : one_event(&q, host, ret, err);
}

int store_host_busy(struct store *store, const char *host, bool *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT 1 FROM targets t JOIN events e "
			    "ON e.deployment_id = t.deployment_id AND e.host = t.host "
			    "AND e.event = t.event WHERE t.host = $1 AND t.status = 'InProgress' "
			    "AND e.status = 'InProgress' LIMIT 1",
			    "s", host);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	*ret = r > 0;
	return 0;
}

/* ---- health ---- */

int store_health_each(struct store *store, const char *group_id, store_health_fn *fn, void *arg,
		      struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT host, healthy, revision FROM health WHERE group_id = $1 "
			    "ORDER BY host",
			    "s", group_id);
	if (r < 0)
		return r;
	while ((r = query_next(&q, err)) > 0) {
		auto_free char *host = query_dup(&q, 0);
		auto_free char *revision = query_dup_null(&q, 2);
		struct store_health health = {host, query_int(&q, 1) != 0, revision};
		r = fn(&health, arg);
		if (r < 0)
			return r;
	}
	return r;
}

int store_health_set(struct store *store, const char *group_id, const char *host, bool healthy,
		     const char *revision, double now_s, struct error *err)
{
	int r = store_write(
		store, err,
		"INSERT INTO health (group_id, host, healthy, revision, updated_s) "
		"VALUES ($1, $2, $3, $4, $5) "
		"ON CONFLICT (group_id, host) DO UPDATE SET healthy = excluded.healthy, "
		"revision = CASE WHEN excluded.healthy = 1 THEN excluded.revision "
		"ELSE health.revision END, updated_s = excluded.updated_s",
		"ssisd", group_id, host, (int64_t)healthy, healthy ? revision : NULL, now_s);
	return r < 0 ? r : 0;
}

int store_health_unknown(struct store *store, const char *group_id, const char *deployment_id,
			 const char *revision, struct error *err)
{
	int r = store_write(store, err,
			    "UPDATE health SET revision = NULL WHERE group_id = $1 "
			    "AND revision = $2 AND healthy = 0 AND host IN (SELECT host "
			    "FROM targets WHERE deployment_id = $3 AND status = 'Failed')",
			    "sss", group_id, revision, deployment_id);
	return r < 0 ? r : 0;
}
