// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/takeover.h"

#include "agent/messages.h"
#include "agent/state.h"
#include "agent/worker/history.h"
#include "agent/worker/manifest.h"
#include "agent/worker/transact.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define INTENT "adopt"
#define INTENT_MAX 8192
#define INTENT_VERSION 1

int takeover_begin(struct run *run, const struct takeover *t, struct error *err)
{
	auto_json json_t *doc = json_object();
	json_set_int(doc, "version", INTENT_VERSION);
	json_set_str(doc, "group", t->group);
	json_set_str(doc, "group_label", t->group_label);
	json_set_str(doc, "from", t->from);
	json_set_str(doc, "from_label", t->from_label);
	json_set_str(doc, "deployment", t->deployment);
	json_set_str(doc, "deployment_from", t->deployment_from);
	json_set_int(doc, "objects", t->objects);
	json_set_bool(doc, "all", t->all);
	int r = json_write_file_max(run->host_fd, INTENT, doc, INTENT_MAX, 0640, err);
	/* It may have its name all the same. Both manifests stay, for whoever finds it then. */
	struct error ignored;
	if (r < 0 && unlinkat(run->host_fd, INTENT, 0) == 0 &&
	    fs_sync_dir(run->host_fd, &ignored) < 0)
		log_warning("'%s' may come back: %s", INTENT, ignored.text);
	return r;
}

static int intent_load(struct run *run, json_t **ret_doc, struct takeover *t, struct error *err)
{
	auto_json json_t *doc = NULL;
	int64_t version = 0;
	int r = json_read_file(run->host_fd, INTENT, INTENT_MAX, &doc, err);
	if (r < 0)
		return r;
	if ((r = json_need_int(doc, "version", &version, err)) < 0 ||
	    (r = json_need_str(doc, "group", &t->group, err)) < 0 ||
	    (r = json_need_str(doc, "group_label", &t->group_label, err)) < 0 ||
	    (r = json_need_str(doc, "from", &t->from, err)) < 0 ||
	    (r = json_need_str(doc, "from_label", &t->from_label, err)) < 0 ||
	    (r = json_need_str(doc, "deployment", &t->deployment, err)) < 0 ||
	    (r = json_need_str(doc, "deployment_from", &t->deployment_from, err)) < 0 ||
	    (r = json_need_int(doc, "objects", &t->objects, err)) < 0 ||
	    (r = json_opt_bool(doc, "all", &t->all, err)) < 0)
		return r;
	if (version != INTENT_VERSION)
		return error_set(err, ERR_FORMAT, "version %" PRId64 " is not known", version);
	if (!str_is_filename(t->group) || !str_is_filename(t->from))
		return error_set(err, ERR_FORMAT, "a group cannot be a file name");
	*ret_doc = TAKE(doc);
	return 0;
}

static int open_group(struct run *run, const char *id, struct error *err)
{
	int fd = openat(run->groups_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "open group '%s'", id) : fd;
}

/* Not there: it has its place already. */
static int place_manifest(int group_fd, struct error *err)
{
	if (renameat(group_fd, TAKEOVER_MANIFEST, group_fd, MANIFEST) < 0 && errno != ENOENT)
		return error_errno(err, "rename " TAKEOVER_MANIFEST);
	return fs_sync_dir(group_fd, err);
}

/* A record like a deployment's, under the names that the group has: what is newest names it. */
static int make_record(const struct state *state, const char *id, const char *what,
		       struct state_deployment **ret, struct error *err)
{
	const struct wire_spec *names = state->last ? state->last->job->spec : NULL;
	bool is_default = str_eq(state->group_id, JOB_LOCAL_GROUP);
	const char *group_name = names ? names->group_name : NULL;
	const char *application = names ? names->application : NULL;
	if (!group_name)
		group_name = is_default ? JOB_LOCAL_GROUP_NAME : state->group_id;
	auto_json json_t *doc =
		json_pack("{s:{s:s,s:{s:s}}}", "Revision", "RevisionType", "Local Directory",
			  "LocalRevision", "BundleType", "directory");
	json_t *revision = json_object_get(doc, "Revision");
	json_set_str(json_object_get(revision, "LocalRevision"), "Location", what);
	json_set_str(doc, "DeploymentId", id);
	json_set_str(doc, "DeploymentGroupId", state->group_id);
	json_set_str(doc, "DeploymentGroupName", group_name);
	json_set_str(doc, "ApplicationName", application ? application : state->group_id);
	auto_job struct job *job = xcalloc(1, sizeof(*job));
	job->verb = JOB_ADOPT;
	int r = wire_spec_from_json(doc, &job->spec, err);
	if (r < 0)
		return r;
	*ret = state_deployment_new(TAKE(job));
	return 0;
}

/* empty: nothing is installed in it any more. Done already where its record is. */
static int record(struct run *run, int group_fd, const char *group, const char *id,
		  const char *what, bool empty, struct error *err)
{
	auto_state struct state *state = NULL;
	int r = state_load(group_fd, &state, err);
	if (r == -ENOENT)
		state = state_new(group);
	else if (r < 0)
		return error_prefix(err, r, "group '%s'", group);
	if (!state_has_finished(state, id)) {
		if (state->open)
			return error_set(err, ERR_BUSY, "group '%s' has a deployment going on",
					 group);
		r = make_record(state, id, what, &state->open, err);
		if (r < 0)
			return r;
		if (empty) {
			free(TAKE(state->installed));
			free(TAKE(state->last_successful));
		}
		state_close(state, true);
		r = state_save(group_fd, state, err);
		if (r < 0)
			return r;
	}
	struct error quiet = {0};
	if (history_ensure(run->host_fd, state, &quiet) < 0)
		log_warning("history was not written: %s", quiet.text);
	return 0;
}

static int finish(struct run *run, const struct takeover *t, struct error *err)
{
	auto_close int fd = open_group(run, t->group, err);
	if (fd < 0)
		return fd;
	auto_close int from_fd = open_group(run, t->from, err);
	if (from_fd < 0)
		return from_fd;
	const char *things = t->objects == 1 ? "object" : "objects";
	auto_free char *got =
		xasprintf("%" PRId64 " %s of group %s", t->objects, things, t->from_label);
	auto_free char *gave =
		xasprintf("%" PRId64 " %s to group %s", t->objects, things, t->group_label);
	int r;
	if ((r = place_manifest(fd, err)) < 0 || (r = place_manifest(from_fd, err)) < 0 ||
	    (r = record(run, fd, t->group, t->deployment, got, false, err)) < 0 ||
	    (r = record(run, from_fd, t->from, t->deployment_from, gave, t->all, err)) < 0)
		return r;
	if (unlinkat(run->host_fd, INTENT, 0) < 0)
		return error_errno(err, "remove " INTENT);
	return fs_sync_dir(run->host_fd, err);
}

static int load_and_finish(struct run *run, struct takeover *t, json_t **ret_doc, struct error *err)
{
	int r = intent_load(run, ret_doc, t, err);
	if (r == -ENOENT)
		return 0;
	if (r >= 0)
		r = finish(run, t, err);
	return r < 0 ? error_prefix(err, r, INTENT) : 1;
}

int takeover_finish(struct run *run, char **ret_group, char **ret_deployment, struct error *err)
{
	struct takeover t = {0};
	auto_json json_t *doc = NULL;
	int r = load_and_finish(run, &t, &doc, err);
	if (r > 0 && ret_group) {
		*ret_group = xstrdup(t.group);
		*ret_deployment = xstrdup(t.deployment);
	}
	return r;
}

int takeover_recover(struct run *run, const char *id, char **ret_group, char **ret_deployment,
		     struct error *err)
{
	struct takeover t = {0};
	auto_json json_t *doc = NULL;
	if (faccessat(run->host_fd, INTENT, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	auto_close int lock_fd = transact_lock(run, err);
	int r = lock_fd < 0 ? lock_fd : load_and_finish(run, &t, &doc, err);
	if (r > 0) {
		log_event(LOG_NOTICE, MESSAGE_RECOVERED,
			  (const char *const[]){"GROUP_ID", t.group, NULL},
			  "group '%s': it has taken over files of group '%s', as was begun",
			  t.group_label, t.from_label);
		if (ret_group) {
			*ret_group = xstrdup(t.group);
			*ret_deployment = xstrdup(t.deployment);
		}
	}
	/* One that cannot be read concerns nobody: 'slipway recover' says what is wrong with it. */
	bool concerned = !id || (doc ? str_eq(id, t.group) || str_eq(id, t.from)
				     : r != ERR_FORMAT && r != -EFBIG);
	if (r >= 0 || concerned)
		return r;
	log_warning("what 'adopt' had begun in other groups is not finished: %s", err->text);
	*err = (struct error){0};
	return 0;
}
