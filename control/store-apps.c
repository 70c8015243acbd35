// SPDX-License-Identifier: Apache-2.0
/* Applications, their revisions and deployment groups. */
#include "control/store-deploy.h"
#include "control/store-sql.h"

#include "common/alloc.h"
#include "control/tags.h"

static int names_of(struct query *q, struct store_names *ret, struct error *err)
{
	auto_names struct store_names list = {0};
	int r;
	while ((r = query_next(q, err)) > 0) {
		list.names = xrealloc_array(list.names, list.count + 1, sizeof(*list.names));
		list.names[list.count++] = query_dup(q, 0);
	}
	if (r < 0)
		return r;
	*ret = list;
	list = (struct store_names){0};
	return 0;
}

/* ---- applications ---- */

void store_app_clear(struct store_app *app)
{
	free(app->id);
	free(app->name);
	free(app->tags);
	*app = (struct store_app){0};
}

int store_app_add(struct store *store, const struct store_app *app, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO applications (id, name, tags, created_s) "
			    "VALUES ($1, $2, $3, $4)",
			    "sssd", app->id, app->name, app->tags, app->created_s);
	if (r == ERR_EXISTS)
		return error_set(err, r, "an application '%s' exists already", app->name);
	return r < 0 ? r : 0;
}

int store_app_get(struct store *store, const char *name, struct store_app *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT id, name, tags, created_s FROM applications "
			    "WHERE name = $1 AND deleted_s = 0",
			    "s", name);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no application '%s'", name);
	*ret = (struct store_app){.id = query_dup(&q, 0),
				  .name = query_dup(&q, 1),
				  .tags = query_dup(&q, 2),
				  .created_s = query_real(&q, 3)};
	return 0;
}

int store_app_list(struct store *store, const char *after, size_t limit, struct store_names *ret,
		   struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT name FROM applications WHERE deleted_s = 0 AND name > $1 "
			    "ORDER BY name LIMIT $2",
			    "si", after, (int64_t)limit);
	return r < 0 ? r : names_of(&q, ret, err);
}

int store_app_delete(struct store *store, const char *id, double now_s, struct error *err)
{
	int r = store_write(store, err,
			    "UPDATE deployment_groups SET deleted_s = $1 "
			    "WHERE application_id = $2 AND deleted_s = 0",
			    "ds", now_s, id);
	if (r >= 0)
		r = store_write(store, err,
				"UPDATE applications SET deleted_s = $1 "
				"WHERE id = $2 AND deleted_s = 0",
				"ds", now_s, id);
	return r < 0 ? r : 0;
}

/* ---- revisions ---- */

int store_revision_put(struct store *store, const char *app_id, const char *location,
		       const char *description, double now_s, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO revisions (application_id, location, description, "
			    "registered_s) VALUES ($1, $2, $3, $4) "
			    "ON CONFLICT (application_id, location) DO UPDATE "
			    "SET description = excluded.description",
			    "sssd", app_id, location, description, now_s);
	return r < 0 ? r : 0;
}

int store_revision_use(struct store *store, const char *app_id, const char *location,
		       const char *description, double now_s, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO revisions (application_id, location, description, "
			    "registered_s, first_used_s, last_used_s) "
			    "VALUES ($1, $2, $3, $4, $5, $6) "
			    "ON CONFLICT (application_id, location) DO UPDATE SET "
			    "first_used_s = CASE WHEN revisions.first_used_s = 0 "
			    "THEN excluded.first_used_s ELSE revisions.first_used_s END, "
			    "last_used_s = excluded.last_used_s",
			    "sssddd", app_id, location, description, now_s, now_s, now_s);
	return r < 0 ? r : 0;
}

void store_revision_clear(struct store_revision *revision)
{
	free(revision->location);
	free(revision->description);
	*revision = (struct store_revision){0};
}

#define REVISIONS                                                                \
	"SELECT location, description, registered_s, first_used_s, last_used_s " \
	"FROM revisions WHERE application_id = $1 AND "

static struct store_revision revision_of_row(const struct query *q)
{
	return (struct store_revision){.location = query_dup(q, 0),
				       .description = query_dup(q, 1),
				       .registered_s = query_real(q, 2),
				       .first_used_s = query_real(q, 3),
				       .last_used_s = query_real(q, 4)};
}

int store_revision_get(struct store *store, const char *app_id, const char *location,
		       struct store_revision *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err, REVISIONS "location = $2", "ss", app_id, location);
	if (r < 0)
		return r;
	r = query_next(&q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no such revision");
	*ret = revision_of_row(&q);
	return 0;
}

int store_revision_each(struct store *store, const struct store_revision_range *range,
			store_revision_fn *fn, void *arg, struct error *err)
{
#define ORDERED(column, past, direction)                                                   \
	REVISIONS "($2 = '' OR " column past "$3 OR (" column " = $4 AND location > $5)) " \
		  "AND ($6 = 0 OR ($7 = 1) = (location IN (" DEPLOYED "))) "               \
		  "ORDER BY " column direction ", location"
#define DEPLOYED                                                            \
	"SELECT target_revision FROM deployment_groups "                    \
	"WHERE application_id = $8 AND deleted_s = 0 AND target_revision IS NOT NULL"
	static const char *const statements[][2] = {
		[STORE_BY_REGISTERED] = {ORDERED("registered_s", " > ", " ASC"),
					 ORDERED("registered_s", " < ", " DESC")},
		[STORE_BY_FIRST_USED] = {ORDERED("first_used_s", " > ", " ASC"),
					 ORDERED("first_used_s", " < ", " DESC")},
		[STORE_BY_LAST_USED] = {ORDERED("last_used_s", " > ", " ASC"),
					ORDERED("last_used_s", " < ", " DESC")},
	};
#undef DEPLOYED
#undef ORDERED
	auto_query struct query q = {0};
	int r = query_start(&q, store, err, statements[range->order][range->descending], "ssddsiis",
			    range->app_id, range->after, range->after_s, range->after_s,
			    range->after, (int64_t)range->use, (int64_t)range->use, range->app_id);
	int stop = 0;
	while (r >= 0 && stop == 0 && (r = query_next(&q, err)) > 0) {
		auto_store_revision struct store_revision revision = revision_of_row(&q);
		stop = fn(&revision, arg);
	}
	if (r >= 0 && stop < 0)
		r = stop;
	return r < 0 ? r : 0;
}

int store_revision_groups(struct store *store, const char *app_id, const char *location,
			  struct store_names *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT name FROM deployment_groups WHERE application_id = $1 "
			    "AND deleted_s = 0 AND target_revision = $2 ORDER BY name",
			    "ss", app_id, location);
	return r < 0 ? r : names_of(&q, ret, err);
}

/* ---- groups ---- */

#define GROUP_COLUMNS                                                                  \
	"id, application_id, name, config_name, settings, revision, target_revision, " \
	"last_successful, last_attempted, active, created_s FROM deployment_groups"

void store_group_clear(struct store_group *group)
{
	char *const owned[] = {
		group->id,
		group->app_id,
		group->name,
		group->config_name,
		group->settings,
		group->revision,
		group->target_revision,
		group->last_successful,
		group->active,
		group->last_attempted,
	};
	for (size_t i = 0; i < ARRAY_LEN(owned); i++)
		free(owned[i]);
	*group = (struct store_group){0};
}

int store_group_add(struct store *store, const struct store_group *group, struct error *err)
{
	int r = store_write(store, err,
			    "INSERT INTO deployment_groups (id, application_id, name, config_name, "
			    "settings, created_s) VALUES ($1, $2, $3, $4, $5, $6)",
			    "sssssd", group->id, group->app_id, group->name, group->config_name,
			    group->settings, group->created_s);
	if (r == ERR_EXISTS)
		return error_set(err, r, "a deployment group '%s' exists already", group->name);
	return r < 0 ? r : 0;
}

static int one_group(struct query *q, const char *what, struct store_group *ret, struct error *err)
{
	int r = query_next(q, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no deployment group '%s'", what);
	*ret = (struct store_group){.id = query_dup(q, 0),
				    .app_id = query_dup(q, 1),
				    .name = query_dup(q, 2),
				    .config_name = query_dup(q, 3),
				    .settings = query_dup(q, 4),
				    .revision = query_dup_null(q, 5),
				    .target_revision = query_dup_null(q, 6),
				    .last_successful = query_dup_null(q, 7),
				    .last_attempted = query_dup_null(q, 8),
				    .active = query_dup_null(q, 9),
				    .created_s = query_real(q, 10)};
	return 0;
}

int store_group_get(struct store *store, const char *app_id, const char *name,
		    struct store_group *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT " GROUP_COLUMNS " WHERE application_id = $1 AND name = $2 "
			    "AND deleted_s = 0",
			    "ss", app_id, name);
	return r < 0 ? r : one_group(&q, name, ret, err);
}

int store_group_get_id(struct store *store, const char *id, struct store_group *ret,
		       struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err, "SELECT " GROUP_COLUMNS " WHERE id = $1", "s", id);
	return r < 0 ? r : one_group(&q, id, ret, err);
}

int store_group_list(struct store *store, const char *app_id, const char *after, size_t limit,
		     struct store_names *ret, struct error *err)
{
	auto_query struct query q = {0};
	int r = query_start(&q, store, err,
			    "SELECT name FROM deployment_groups WHERE application_id = $1 "
			    "AND deleted_s = 0 AND name > $2 ORDER BY name LIMIT $3",
			    "ssi", app_id, after, (int64_t)limit);
	return r < 0 ? r : names_of(&q, ret, err);
}

int store_group_delete(struct store *store, const char *id, double now_s, struct error *err)
{
	int r = store_write(store, err,
			    "UPDATE deployment_groups SET deleted_s = $1 "
			    "WHERE id = $2 AND deleted_s = 0",
			    "ds", now_s, id);
	return r < 0 ? r : 0;
}

int store_group_update(struct store *store, const struct store_group *group, struct error *err)
{
	int r = store_write(store, err,
			    "UPDATE deployment_groups SET name = $1, config_name = $2, "
			    "settings = $3 WHERE id = $4",
			    "ssss", group->name, group->config_name, group->settings, group->id);
	if (r == ERR_EXISTS)
		return error_set(err, r, "a deployment group '%s' exists already", group->name);
	return r < 0 ? r : 0;
}

int store_group_save(struct store *store, const struct store_group *group, struct error *err)
{
	int r = store_write(store, err,
			    "UPDATE deployment_groups SET revision = $1, target_revision = $2, "
			    "last_successful = $3, last_attempted = $4, active = $5 WHERE id = $6",
			    "ssssss", group->revision, group->target_revision,
			    group->last_successful, group->last_attempted, group->active,
			    group->id);
	return r < 0 ? r : 0;
}

int store_group_tag(struct store *store, const char *application, const char *group, char **ret_key,
		    char **ret_value, struct error *err)
{
	auto_store_app struct store_app app = {0};
	int r = store_app_get(store, application, &app, err);
	if (r < 0)
		return r;
	auto_store_group struct store_group found = {0};
	r = store_group_get(store, app.id, group, &found, err);
	if (r < 0)
		return r;
	return tags_one_for_group(found.settings, ret_key, ret_value, err);
}
