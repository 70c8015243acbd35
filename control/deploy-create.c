// SPDX-License-Identifier: Apache-2.0
/* A new deployment: find its hosts, put them in order, start. */
#include "control/deploy-walk.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "control/tags.h"

#include <inttypes.h>
#include <string.h>

#define ID_TRIES 10

/* ---- hosts ---- */

struct found {
	const json_t *settings;   /* of the group */
	struct sched_host *hosts; /* owned strings; hosts that have health stand at their name */
	size_t count, room;
	size_t current; /* left out, because they have the revision */
	size_t next_health;
};

static void found_clear(struct found *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free((char *)f->hosts[i].name);
		free((char *)f->hosts[i].revision);
	}
	free(f->hosts);
}

static int add_host(const struct store_host *host, void *arg)
{
	struct found *f = arg;
	if (!tags_group_selects(f->settings, host))
		return 0;
	if (f->count == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->hosts = xrealloc_array(f->hosts, f->room, sizeof(*f->hosts));
	}
	f->hosts[f->count++] = (struct sched_host){.name = xstrdup(host->name)};
	return 0;
}

/* Hosts and health both come by name: one walk joins them. */
static int add_health(const struct store_health *health, void *arg)
{
	struct found *f = arg;
	while (f->next_health < f->count && strcmp(f->hosts[f->next_health].name, health->host) < 0)
		f->next_health++;
	if (f->next_health == f->count || strcmp(f->hosts[f->next_health].name, health->host) != 0)
		return 0;
	struct sched_host *host = &f->hosts[f->next_health];
	host->healthy = health->healthy;
	host->revision = xstrdup_null(health->revision);
	return 0;
}

static void leave_out_current(struct found *f, const char *revision)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->count; i++) {
		struct sched_host *host = &f->hosts[i];
		if (host->healthy && str_eq(host->revision, revision)) {
			free((char *)host->name);
			free((char *)host->revision);
			f->current++;
		} else {
			f->hosts[kept++] = *host;
		}
	}
	f->count = kept;
}

static int find_hosts(struct deploy *deploy, const struct deploy_request *request,
		      const json_t *settings, struct found *f, struct error *err)
{
	f->settings = settings;
	int r = store_host_each(deploy->options.store, STORE_HOSTS_REGISTERED, "", 0, add_host, f,
				err);
	if (r == 0)
		r = store_health_each(deploy->options.store, request->group->id, add_health, f,
				      err);
	if (r < 0)
		return r;
	if (request->outdated_only)
		leave_out_current(f, request->revision);
	sched_sort(f->hosts, f->count, request->group->revision);
	return 0;
}

static int add_targets(struct deploy *deploy, struct store_deployment *d, const struct found *f,
		       struct error *err)
{
	double now = deploy_now(deploy);
	for (size_t i = 0; i < f->count; i++) {
		struct store_target t = {.deployment_id = d->id,
					 .host = (char *)f->hosts[i].name,
					 .position = (int64_t)i,
					 .status = STORE_PENDING,
					 .event = -1,
					 .updated_s = now};
		int r = store_target_add(deploy->options.store, &t, err);
		if (r < 0)
			return r;
	}
	d->total = d->pending = (int64_t)f->count;
	return 0;
}

/* ---- deployments that cannot start ---- */

static int refuse(struct deploy *deploy, struct store_deployment *d, const char *code,
		  char *message, struct error *err)
{
	int n = store_target_skip(deploy->options.store, d->id, deploy_now(deploy), err);
	if (n < 0) {
		free(message);
		return n;
	}
	d->skipped = d->total;
	d->pending = 0;
	deploy_set_error(d, code, message);
	return deploy_finish(deploy, d, STORE_FAILED, err);
}

static int refuse_empty(struct deploy *deploy, struct store_deployment *d, const struct found *f,
			struct error *err)
{
	if (f->current > 0)
		return refuse(deploy, d, "NO_INSTANCES",
			      xasprintf("All %zu hosts of deployment group '%s' run this revision "
					"already, and only outdated hosts were asked for.",
					f->current, d->group),
			      err);
	auto_free char *looked_for = tags_group_describe(f->settings);
	return refuse(deploy, d, "NO_INSTANCES",
		      xasprintf("The deployment failed because no instances were found for your "
				"deployment group: '%s' selects %s, and no registered host is one "
				"of them.",
				d->group, looked_for),
		      err);
}

static int refuse_crowd(struct deploy *deploy, struct store_deployment *d, const struct found *f,
			struct error *err)
{
	return refuse(deploy, d, "OVER_MAX_INSTANCES",
		      xasprintf("Deployment group '%s' selects %zu hosts, a deployment goes to at "
				"most %d.",
				d->group, f->count, DEPLOY_HOSTS_MAX),
		      err);
}

static int refuse_minimum(struct deploy *deploy, struct store_deployment *d,
			  const struct sched_config *config, struct error *err)
{
	auto_free char *rule = sched_describe(config, d->total);
	return refuse(deploy, d, "HEALTH_CONSTRAINTS_INVALID",
		      xasprintf("The deployment cannot start: %s.", rule), err);
}

/* ---- starting ---- */

static int start(struct deploy *deploy, struct store_deployment *d, const struct found *f,
		 const struct sched_config *config, struct error *err)
{
	d->started_s = deploy_now(deploy);
	if (f->count == 0)
		return refuse_empty(deploy, d, f, err);
	if (f->count > DEPLOY_HOSTS_MAX)
		return refuse_crowd(deploy, d, f, err);
	int r = add_targets(deploy, d, f, err);
	if (r < 0)
		return r;
	d->minimum = sched_minimum(config, d->total);
	if (d->minimum >= d->total)
		return refuse_minimum(deploy, d, config, err);
	d->status = STORE_IN_PROGRESS;
	d->deadline_s = d->started_s + (double)DEPLOY_LIFE_MS / 1e3;
	deploy->moved = true;
	return deploy_settle(deploy, d, err);
}

static int add_deployment(struct deploy *deploy, const struct deploy_request *request, char *id,
			  struct error *err)
{
	int r = ERR_EXISTS;
	for (int i = 0; i < ID_TRIES && r == ERR_EXISTS; i++) {
		ids_deployment_new(id);
		struct store_deployment d = {
			.id = id,
			.app_id = request->app->id,
			.group_id = request->group->id,
			.application = request->app->name,
			.group = request->group->name,
			.config_name = (char *)request->config->name,
			.status = STORE_CREATED,
			.creator = (char *)request->creator,
			.revision = (char *)request->revision,
			.previous_revision = request->group->revision,
			.options = (char *)request->options,
			.bucket = (char *)request->bucket,
			.object_key = (char *)request->object_key,
			.object_version = (char *)request->object_version,
			.sha256 = (char *)request->sha256,
			.size = request->size,
			.created_s = deploy_now(deploy),
		};
		r = store_deployment_add(deploy->options.store, &d, err);
	}
	return r;
}

static int note_in_group(struct deploy *deploy, const struct deploy_request *request,
			 const char *id, struct error *err)
{
	struct store_group *group = request->group;
	free(group->target_revision);
	free(group->last_attempted);
	free(group->active);
	group->target_revision = xstrdup(request->revision);
	group->last_attempted = xstrdup(id);
	group->active = xstrdup(id);
	return store_group_save(deploy->options.store, group, err);
}

int deploy_create(struct deploy *deploy, const struct deploy_request *request,
		  char ret_id[IDS_DEPLOYMENT_LEN + 1], struct error *err)
{
	struct store_group *group = request->group;
	auto_json json_t *settings = NULL;
	int r = json_parse(group->settings, strlen(group->settings), SIZE_MAX, &settings, err);
	if (r == 0)
		r = add_deployment(deploy, request, ret_id, err);
	if (r == 0)
		r = note_in_group(deploy, request, ret_id, err);
	auto_store_deployment struct store_deployment d = {0};
	if (r == 0)
		r = store_deployment_get(deploy->options.store, ret_id, &d, err);
	CLEANUP(found_clear) struct found found = {0};
	if (r == 0)
		r = find_hosts(deploy, request, settings, &found, err);
	return r < 0 ? r : start(deploy, &d, &found, request->config, err);
}
