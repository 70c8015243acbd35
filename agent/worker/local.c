// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/local.h"

#include "agent/worker/finish.h"
#include "agent/worker/install.h"
#include "agent/worker/lifecycle.h"
#include "agent/worker/prepare.h"
#include "agent/worker/recover.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <string.h>

void local_request_clear(struct local_request *request)
{
	job_free(request->job);
	*request = (struct local_request){.source.fd = -1};
}

/* NULL: absent. */
static int take_events(const json_t *message, const char ***ret, struct error *err)
{
	json_t *list = NULL;
	int r = json_opt_array(message, "events", &list, err);
	if (r < 0 || !list)
		return r;
	size_t n = json_array_size(list);
	const char **events = xcalloc(n + 1, sizeof(*events));
	for (size_t i = 0; i < n; i++) {
		events[i] = json_string_value(json_array_get(list, i));
		if (!events[i]) {
			free(events);
			return error_set(err, ERR_INPUT, "'events' must be a list of names");
		}
	}
	*ret = events;
	return 0;
}

/* The revision as the specification of an endpoint would name it. */
static json_t *describe_revision(const json_t *message, const struct local_request *request)
{
	static const struct {
		const char *member, *type, *place;
	} remote[] = {{"s3", "S3", "S3Revision"}, {"github", "GitHub", "GitHubRevision"}};
	json_t *revision = json_object();
	for (size_t i = 0; i < ARRAY_LEN(remote); i++) {
		json_t *place = json_object_get(message, remote[i].member);
		if (!json_is_object(place))
			continue;
		json_set_str(revision, "RevisionType", remote[i].type);
		json_object_set(revision, remote[i].place, place);
		return revision;
	}
	static const char *const types[] = {
		[BUNDLE_AUTO] = "tar", [BUNDLE_DIRECTORY] = "directory", [BUNDLE_TAR] = "tar",
		[BUNDLE_TGZ] = "tgz",  [BUNDLE_TAR_ZST] = "tar",         [BUNDLE_ZIP] = "zip",
	};
	bool directory = request->source.type == BUNDLE_DIRECTORY;
	json_t *place = json_object();
	json_set_str(place, "Location", request->source.name);
	json_set_str(place, "BundleType", types[request->source.type]);
	json_set_str(revision, "RevisionType", directory ? "Local Directory" : "Local File");
	json_object_set_new(revision, "LocalRevision", place);
	return revision;
}

static int take_source(const json_t *message, int fd, struct local_request *request,
		       struct error *err)
{
	json_t *source = NULL;
	const char *type = NULL, *name = NULL;
	int r;
	if ((r = json_need_obj(message, "source", &source, err)) < 0 ||
	    (r = json_need_str(source, "type", &type, err)) < 0 ||
	    (r = json_need_str(source, "name", &name, err)) < 0)
		return r;
	if (fd < 0)
		return error_set(err, ERR_INPUT, "no descriptor came with '%s'", name);
	request->source = (struct bundle_source){.fd = fd, .name = name, .size_bytes = -1};
	if (bundle_type_from_string(type, &request->source.type) < 0)
		return error_set(err, ERR_INPUT, "source type '%s' is not known", type);
	r = json_opt_str(message, "etag", &request->source.etag, err);
	return r < 0 ? r : json_opt_str(message, "sha256", &request->source.sha256, err);
}

static int make_spec(const json_t *message, const struct local_request *request,
		     struct wire_spec **ret, struct error *err)
{
	const char *application = request->source.name, *group_name = JOB_LOCAL_GROUP_NAME;
	const char *appspec = NULL, *file_exists = NULL;
	int r;
	if ((r = json_opt_str(message, "application", &application, err)) < 0 ||
	    (r = json_opt_str(message, "group_name", &group_name, err)) < 0 ||
	    (r = json_opt_str(message, "appspec", &appspec, err)) < 0 ||
	    (r = json_opt_str(message, "file_exists_behavior", &file_exists, err)) < 0)
		return r;
	char id[JOB_LOCAL_ID_LEN];
	job_local_id(id);
	auto_json json_t *doc = json_object();
	json_set_str(doc, "DeploymentId", id);
	json_set_str(doc, "DeploymentGroupId", request->group);
	json_set_str(doc, "DeploymentGroupName", group_name);
	json_set_str(doc, "ApplicationName", application);
	json_set_str(doc, "AppSpecFilename", appspec);
	if (file_exists)
		json_object_set_new(doc, "AgentActionOverrides",
				    json_pack("{s:{s:s}}", "AgentOverrides", "FileExistsBehavior",
					      file_exists));
	json_object_set_new(doc, "Revision", describe_revision(message, request));
	return wire_spec_from_json(doc, ret, err);
}

static int parse_request(const json_t *message, int fd, struct local_request *request,
			 struct error *err)
{
	request->group = JOB_LOCAL_GROUP;
	request->job = xcalloc(1, sizeof(*request->job));
	request->job->verb = JOB_DEPLOY;
	request->job->rollback = true;
	int r;
	if ((r = json_opt_str(message, "group", &request->group, err)) < 0 ||
	    (r = json_opt_bool(message, "rollback", &request->job->rollback, err)) < 0 ||
	    (r = json_opt_bool(message, "ignore_stop", &request->job->ignore_stop, err)) < 0 ||
	    (r = take_source(message, fd, request, err)) < 0 ||
	    (r = group_check_id(request->group, err)) < 0 ||
	    (r = make_spec(message, request, &request->job->spec, err)) < 0)
		return r;
	const char **events = NULL;
	r = take_events(message, &events, err);
	if (r >= 0)
		r = job_local_events(events, &request->job->events, err);
	free(events);
	return r;
}

int local_request_parse(const json_t *message, int fd, struct local_request *ret, struct error *err)
{
	CLEANUP(local_request_clear) struct local_request request = {.source.fd = -1};
	int r = parse_request(message, fd, &request, err);
	if (r == ERR_FORMAT)
		r = err->code = ERR_INPUT;
	if (r < 0)
		return r;
	*ret = request;
	request = (struct local_request){.source.fd = -1};
	return 0;
}

int local_open_group(struct run *run, const char *id, const char *verb, bool must_exist,
		     struct group *ret, struct error *err)
{
	auto_group struct group g = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
	int r = group_claim(run, id, verb, must_exist, &g, err);
	if (r >= 0)
		r = recover_group(&g, NULL, err);
	if (r < 0)
		return r;
	struct state_deployment *d = g.state->open;
	if (d && !recover_is_orphan(&g, clock_wall()))
		return error_set(err, ERR_BUSY,
				 "group '%s' is busy: deployment '%s' of the endpoint is going on; "
				 "stop it there, or wait",
				 id, state_deployment_id(d));
	if (d &&
	    (r = recover_abandon(&g, "a person on the host went on without the endpoint", err)) < 0)
		return r;
	*ret = g;
	g = (struct group){.lock_fd = -1, .fd = -1, .dir_fd = -1};
	return 0;
}

static void begin(struct group *g, struct job *job)
{
	struct state_deployment *d = state_deployment_new(job);
	d->previous = xstrdup_null(g->state->installed);
	g->state->open = d;
	log_field("DEPLOYMENT_ID", state_deployment_id(d));
	log_field("GROUP_ID", g->id);
}

static int walk_all(struct group *g, struct error *err)
{
	const struct job *job = g->state->open->job;
	const char *message = "";
	for (size_t i = 0; job->events[i]; i++) {
		if (lifecycle_walk(g, job->events[i], &message, err) >= 0)
			continue;
		if (!job->ignore_stop || !job_failure_is_ignorable(job->events[i]))
			return finish_failed(g, err);
		lifecycle_ignore_failure(g);
	}
	return finish_succeeded(g, message, err);
}

/* Whoever hears only of the last error shall not believe that the host is as before. */
static int still_open(struct group *g, int r, struct error *err)
{
	enum install_state state;
	struct error quiet;
	if (r == ERR_UNDO || r == ERR_NOT_MOUNTED || r == ERR_BUSY ||
	    install_state(g->fd, &state, NULL, &quiet) < 0)
		return r;
	/* It may even be closed, and only that could not be saved. */
	const struct state_deployment *d = g->state->open;
	if (d ? d->phase == STATE_COMPLETING : g->state->last->succeeded)
		return error_prefix(
			err, ERR_UNDO,
			"the new revision is installed, but that could not be recorded");
	if (state == INSTALL_NONE || state == INSTALL_STAGED)
		return r;
	return error_prefix(err, ERR_UNDO,
			    "the installation could be neither completed nor undone");
}

/* Returns the exit code. */
static int carry_out(struct group *g, json_t *result, struct error *err)
{
	int r = walk_all(g, err);
	if (r < 0) {
		finish_describe(result, g, g->state->open);
		return run_exit_code(still_open(g, r, err));
	}
	const struct state_deployment *d = g->state->last;
	finish_describe(result, g, d);
	*err = (struct error){0};
	int code = finish_exit_code(d);
	if (code)
		error_set(err, finish_error_code(d), "%s", d->failure->message);
	return code;
}

/* Nothing was touched, and nothing stays but the record. */
static int refuse(struct group *g, json_t *result, struct error *err)
{
	prepare_discard(g);
	struct error quiet = {0};
	if (finish_refused(g, err, &quiet) < 0)
		log_warning("the refusal was not recorded: %s", quiet.text);
	finish_describe(result, g, g->state->last);
	return run_exit_code(err->code);
}

void local_put_summary(json_t *result, const struct plan_summary *summary)
{
	json_t *obj = json_object();
	for (int op = 0; op < PLAN_OP_COUNT; op++)
		json_set_int(obj, plan_op_to_string(op), (int64_t)summary->ops[op]);
	json_set_int(obj, "bytes", (int64_t)summary->bytes);
	json_object_set_new(result, "summary", obj);
}

int local_deploy_verb(struct run *run, const json_t *message, int fd, json_t *result,
		      struct error *err)
{
	CLEANUP(local_request_clear) struct local_request request = {.source.fd = -1};
	auto_group struct group g = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
	int r = local_request_parse(message, fd, &request, err);
	if (r >= 0)
		r = local_open_group(run, request.group, "deploy", false, &g, err);
	if (r < 0)
		return run_exit_code(r);
	begin(&g, TAKE(request.job));
	struct plan_summary summary;
	r = prepare_unpack(&g, &request.source, err);
	if (r >= 0)
		r = prepare_check(&g, &summary, err);
	if (r < 0)
		return refuse(&g, result, err);
	local_put_summary(result, &summary);
	return carry_out(&g, result, err);
}

/* A new deployment of what is kept: the specification of the old one under a new id. */
static int make_kept_job(const struct state_revision *revision, enum job_verb verb,
			 const json_t *message, struct job **ret, struct error *err)
{
	auto_json json_t *doc = wire_spec_to_json(revision->spec);
	char id[JOB_LOCAL_ID_LEN];
	job_local_id(id);
	json_set_str(doc, "DeploymentId", id);
	json_set_str(doc, "DeploymentCreator", "user");
	json_set_str(doc, "DeploymentType", "IN_PLACE");
	json_object_del(doc, "AllPossibleLifecycleEvents");
	auto_job struct job *job = xcalloc(1, sizeof(*job));
	job->verb = verb;
	job->rollback = true;
	int r = json_opt_bool(message, "rollback", &job->rollback, err);
	if (r >= 0)
		r = json_opt_bool(message, "ignore_stop", &job->ignore_stop, err);
	if (r >= 0)
		r = wire_spec_from_json(doc, &job->spec, err);
	if (r >= 0)
		r = job_local_events(NULL, &job->events, err);
	if (r < 0)
		return r;
	*ret = TAKE(job);
	return 0;
}

static const struct state_revision *choose_kept(const struct group *g, enum job_verb verb,
						const char *to, struct error *err)
{
	const struct state *state = g->state;
	const struct state_revision *found;
	if (to)
		found = state_revision_find(state, to);
	else if (verb == JOB_REDEPLOY)
		found = state_revision_find(state, state->installed);
	else
		found = state_revision_before(state);
	if (found)
		return found;
	auto_free char *label = state_label(g->state);
	if (to)
		error_set(err, ERR_NOT_FOUND,
			  "deployment '%s' is not kept in group '%s' (see 'slipway history')", to,
			  label);
	else
		error_set(err, ERR_NOT_FOUND, "group '%s' has no %s", label,
			  verb == JOB_REDEPLOY ? "installed deployment"
					       : "earlier successful deployment to go back to");
	return NULL;
}

static int kept_verb(struct run *run, const json_t *message, enum job_verb verb, json_t *result,
		     struct error *err)
{
	const char *group = JOB_LOCAL_GROUP, *to = NULL;
	int r;
	if ((r = json_opt_str(message, "group", &group, err)) < 0 ||
	    (r = json_opt_str(message, "to", &to, err)) < 0)
		return 2;
	auto_group struct group g = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
	r = local_open_group(run, group, job_verb_to_string(verb), true, &g, err);
	if (r < 0)
		return run_exit_code(r);
	const struct state_revision *revision = choose_kept(&g, verb, to, err);
	if (!revision)
		return run_exit_code(err->code);
	struct job *job = NULL;
	r = make_kept_job(revision, verb, message, &job, err);
	if (r < 0)
		return run_exit_code(r);
	begin(&g, job);
	struct plan_summary summary;
	r = prepare_reuse(&g, revision, err);
	if (r >= 0)
		r = prepare_check(&g, &summary, err);
	if (r < 0)
		return refuse(&g, result, err);
	local_put_summary(result, &summary);
	return carry_out(&g, result, err);
}

int local_redeploy_verb(struct run *run, const json_t *message, int fd, json_t *result,
			struct error *err)
{
	return kept_verb(run, message, JOB_REDEPLOY, result, err);
}

int local_rollback_verb(struct run *run, const json_t *message, int fd, json_t *result,
			struct error *err)
{
	return kept_verb(run, message, JOB_ROLLBACK, result, err);
}

static int one_is_enough(const char *path, char type, void *arg)
{
	return -EEXIST;
}

static bool has_files(const struct group *g)
{
	struct error ignored;
	return install_manifest_each(g->fd, one_is_enough, NULL, &ignored) == -EEXIST;
}

static int make_remove_job(const struct group *g, const json_t *message, struct job **ret,
			   struct error *err)
{
	const struct state_revision *installed = state_revision_find(g->state, g->state->installed);
	auto_free char *label = state_label(g->state);
	if (!installed && has_files(g))
		return error_set(err, ERR_NOT_FOUND,
				 "group '%s' has adopted files, but no revision of its own yet: "
				 "deploy one first, or let another group adopt them",
				 label);
	if (!installed)
		return error_set(err, ERR_NOT_FOUND, "nothing is installed in group '%s'", label);
	auto_job struct job *job = NULL;
	int r = make_kept_job(installed, JOB_REMOVE, message, &job, err);
	if (r < 0)
		return r;
	job->rollback = true;
	static const enum wire_event walked[] = {WIRE_APPLICATION_STOP, WIRE_INSTALL};
	job_events_free(job->events);
	job->events = xcalloc(ARRAY_LEN(walked) + 1, sizeof(*job->events));
	for (size_t i = 0; i < ARRAY_LEN(walked); i++)
		job->events[i] = xstrdup(wire_event_to_string(walked[i]));
	*ret = TAKE(job);
	return 0;
}

int local_remove_verb(struct run *run, const json_t *message, int fd, json_t *result,
		      struct error *err)
{
	const char *group = JOB_LOCAL_GROUP;
	if (json_opt_str(message, "group", &group, err) < 0)
		return 2;
	auto_group struct group g = {.lock_fd = -1, .fd = -1, .dir_fd = -1};
	int r = local_open_group(run, group, "remove", true, &g, err);
	struct job *job = NULL;
	if (r >= 0)
		r = make_remove_job(&g, message, &job, err);
	if (r < 0)
		return run_exit_code(r);
	begin(&g, job);
	return carry_out(&g, result, err);
}
