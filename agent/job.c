// SPDX-License-Identifier: Apache-2.0
#include "agent/job.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <stdio.h>
#include <string.h>

#define EVENTS_MAX 100

/* One row per standard event: what it does, whose scripts it runs while the new bundle is not
 * downloaded (in a blue/green rollback: the second column), and what must have been walked. */
static const struct {
	enum job_kind kind;
	enum job_revision normal, blue_green_rollback;
	int needs;       /* a wire_event, -1: nothing */
	bool by_default; /* of a local deployment */
} steps[WIRE_EVENT_COUNT] = {
	[WIRE_BEFORE_BLOCK_TRAFFIC] = {JOB_HOOKS, JOB_PREVIOUS, JOB_MOST_RECENT, -1, true},
	[WIRE_BLOCK_TRAFFIC] = {JOB_FOREIGN, JOB_NEW, JOB_NEW, -1, false},
	[WIRE_AFTER_BLOCK_TRAFFIC] = {JOB_HOOKS, JOB_PREVIOUS, JOB_MOST_RECENT, -1, true},
	[WIRE_APPLICATION_STOP] = {JOB_HOOKS, JOB_PREVIOUS, JOB_PREVIOUS, -1, true},
	[WIRE_DOWNLOAD_BUNDLE] = {JOB_DOWNLOAD, JOB_NEW, JOB_NEW, -1, true},
	[WIRE_BEFORE_INSTALL] = {JOB_HOOKS, JOB_NEW, JOB_NEW, WIRE_DOWNLOAD_BUNDLE, true},
	[WIRE_INSTALL] = {JOB_INSTALL, JOB_NEW, JOB_NEW, WIRE_DOWNLOAD_BUNDLE, true},
	[WIRE_AFTER_INSTALL] = {JOB_HOOKS, JOB_NEW, JOB_NEW, WIRE_INSTALL, true},
	[WIRE_APPLICATION_START] = {JOB_HOOKS, JOB_NEW, JOB_NEW, WIRE_INSTALL, true},
	[WIRE_VALIDATE_SERVICE] = {JOB_HOOKS, JOB_NEW, JOB_NEW, WIRE_INSTALL, true},
	[WIRE_BEFORE_ALLOW_TRAFFIC] = {JOB_HOOKS, JOB_NEW, JOB_PREVIOUS, -1, true},
	[WIRE_ALLOW_TRAFFIC] = {JOB_FOREIGN, JOB_NEW, JOB_NEW, -1, false},
	[WIRE_AFTER_ALLOW_TRAFFIC] = {JOB_HOOKS, JOB_NEW, JOB_PREVIOUS, -1, true},
};

static const char *const verbs[] = {
	[JOB_ENDPOINT] = "endpoint", [JOB_DEPLOY] = "deploy", [JOB_REDEPLOY] = "redeploy",
	[JOB_ROLLBACK] = "rollback", [JOB_REMOVE] = "remove", [JOB_ADOPT] = "adopt",
	[JOB_IMPORT] = "import",
};

const char *job_verb_to_string(enum job_verb verb)
{
	return verbs[verb];
}

int job_verb_from_string(const char *name, enum job_verb *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i], name) == 0) {
			*ret = (enum job_verb)i;
			return 0;
		}
	return -EINVAL;
}

void job_free(struct job *job)
{
	if (!job)
		return;
	wire_spec_free(job->spec);
	job_events_free(job->events);
	free(job);
}

bool job_is_local(const struct job *job)
{
	return job->verb != JOB_ENDPOINT;
}

json_t *job_to_json(const struct job *job)
{
	json_t *obj = json_object();
	json_set_str(obj, "verb", verbs[job->verb]);
	json_set_bool(obj, "rollback", job->rollback);
	if (job->ignore_stop)
		json_set_bool(obj, "ignore_stop", true);
	json_object_set_new(obj, "specification", wire_spec_to_json(job->spec));
	if (job->events) {
		json_t *list = json_array();
		for (size_t i = 0; job->events[i]; i++)
			json_array_append_new(list, json_string(job->events[i]));
		json_object_set_new(obj, "events", list);
	}
	return obj;
}

static int events_from_json(const json_t *list, char ***ret, struct error *err)
{
	size_t n = json_array_size(list);
	if (n > EVENTS_MAX)
		return error_set(err, ERR_FORMAT, "more than %d events", EVENTS_MAX);
	char **events = xcalloc(n + 1, sizeof(*events));
	for (size_t i = 0; i < n; i++) {
		const char *name = json_string_value(json_array_get(list, i));
		if (str_empty(name)) {
			job_events_free(events);
			return error_set(err, ERR_FORMAT, "an event is not a name");
		}
		events[i] = xstrdup(name);
	}
	*ret = events;
	return 0;
}

int job_from_json(const json_t *obj, struct job **ret, struct error *err)
{
	auto_job struct job *job = xcalloc(1, sizeof(*job));
	const char *verb = NULL;
	json_t *spec = NULL, *events = NULL;
	int r;
	if ((r = json_need_str(obj, "verb", &verb, err)) < 0 ||
	    (r = json_opt_bool(obj, "rollback", &job->rollback, err)) < 0 ||
	    (r = json_opt_bool(obj, "ignore_stop", &job->ignore_stop, err)) < 0 ||
	    (r = json_need_obj(obj, "specification", &spec, err)) < 0 ||
	    (r = json_opt_array(obj, "events", &events, err)) < 0)
		return r;
	if (job_verb_from_string(verb, &job->verb) < 0)
		return error_set(err, ERR_FORMAT, "'verb' is '%s'", verb);
	r = wire_spec_from_json(spec, &job->spec, err);
	if (r < 0)
		return error_prefix(err, r, "specification");
	if (events && (r = events_from_json(events, &job->events, err)) < 0)
		return r;
	*ret = TAKE(job);
	return 0;
}

static bool listed(char **list, const char *name)
{
	for (size_t i = 0; list && list[i]; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

enum job_kind job_kind(const struct job *job, const char *event)
{
	enum wire_event e;
	if (wire_event_from_string(event, &e) == 0)
		return steps[e].kind;
	if (strcmp(event, "Start") == 0 || strcmp(event, "End") == 0)
		return JOB_FOREIGN;
	return listed(job->events, event) ? JOB_HOOKS : JOB_FOREIGN;
}

bool job_is_command(const char *event)
{
	enum wire_event e;
	return wire_event_from_string(event, &e) == 0 && steps[e].kind != JOB_FOREIGN;
}

enum job_revision job_revision(const struct job *job, const char *event, bool downloaded)
{
	enum wire_event e;
	if (downloaded || wire_event_from_string(event, &e) < 0)
		return JOB_NEW;
	bool back = str_eq(job->spec->creator, "codeDeployRollback") &&
		    str_eq(job->spec->deployment_type, "BLUE_GREEN");
	return back ? steps[e].blue_green_rollback : steps[e].normal;
}

int job_position(const char *event)
{
	enum wire_event e;
	return wire_event_from_string(event, &e) == 0 ? (int)e : -1;
}

bool job_is_from(const char *event, enum wire_event from)
{
	return job_position(event) >= (int)from;
}

static bool was_walked(const char *const *walked, size_t n, const char *event)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(walked[i], event) == 0)
			return true;
	return false;
}

int job_check_next(const struct job *job, const char *const *walked, size_t n_walked,
		   const char *event, struct error *err)
{
	if (job_kind(job, event) == JOB_FOREIGN)
		return error_set(err, -EINVAL, "'%s' is not a command that this agent carries out",
				 event);
	int position = job_position(event);
	if (position < 0)
		return 0;
	for (size_t i = 0; i < n_walked && !job_is_local(job); i++)
		if (job_position(walked[i]) >= position)
			return error_set(err, -EINVAL, "'%s' cannot come after '%s'", event,
					 walked[i]);
	int needs = job->verb == JOB_REMOVE ? -1 : steps[position].needs;
	if (needs >= 0 && !was_walked(walked, n_walked, wire_event_to_string(needs)))
		return error_set(err, -EINVAL, "'%s' cannot come before '%s' has succeeded", event,
				 wire_event_to_string(needs));
	return 0;
}

/* The last of the list that comes to this host as a command. */
static const char *last_command(const struct job *job)
{
	char **list = job->events ? job->events : job->spec->all_events;
	const char *last = NULL;
	for (size_t i = 0; list && list[i]; i++) {
		if (job_kind(job, list[i]) == JOB_FOREIGN)
			continue;
		bool later = !last || job->events || job_position(list[i]) > job_position(last);
		last = later ? list[i] : last;
	}
	return last;
}

bool job_completes(const struct job *job, const char *event)
{
	const char *validate = wire_event_to_string(WIRE_VALIDATE_SERVICE);
	if (!job_is_local(job) &&
	    (!job->spec->all_events || listed(job->spec->all_events, validate)))
		return strcmp(event, validate) == 0;
	const char *last = last_command(job);
	return last && strcmp(event, last) == 0;
}

bool job_failure_is_ignorable(const char *event)
{
	int position = job_position(event);
	return position >= 0 && position <= WIRE_APPLICATION_STOP;
}

bool job_needs_bundle(const struct job *job, const char *event)
{
	int position = job_position(event);
	bool traffic = position >= 0 && (position <= WIRE_AFTER_BLOCK_TRAFFIC ||
					 position >= WIRE_BEFORE_ALLOW_TRAFFIC);
	return !(traffic && str_eq(job->spec->deployment_type, "BLUE_GREEN"));
}

void job_events_free(char **events)
{
	for (size_t i = 0; events && events[i]; i++)
		free(events[i]);
	free(events);
}

static int index_of(char **list, enum wire_event event)
{
	for (int i = 0; list[i]; i++)
		if (job_position(list[i]) == (int)event)
			return i;
	return -1;
}

/* Only scripts of the previous revision can run before the new one is on the host. */
static int check_local_order(char **events, struct error *err)
{
	int download = index_of(events, WIRE_DOWNLOAD_BUNDLE);
	int install = index_of(events, WIRE_INSTALL);
	for (int i = 0; i < install; i++) {
		int position = job_position(events[i]);
		bool early = position >= 0 && position <= WIRE_APPLICATION_STOP;
		bool between = i > download && position == WIRE_BEFORE_INSTALL;
		if (i == download || early || between)
			continue;
		return error_set(err, ERR_INPUT, "event '%s' cannot come before '%s'", events[i],
				 i < download ? "DownloadBundle" : "Install");
	}
	if (install < download)
		return error_set(err, ERR_INPUT,
				 "event 'Install' cannot come before 'DownloadBundle'");
	return 0;
}

static int check_local_names(const char *const *given, size_t n, struct error *err)
{
	if (n > EVENTS_MAX)
		return error_set(err, ERR_INPUT, "more than %d events", EVENTS_MAX);
	for (size_t i = 0; i < n; i++) {
		int position = job_position(given[i]);
		if (!*given[i])
			return error_set(err, ERR_INPUT, "an event has no name");
		if (position >= 0 && steps[position].kind == JOB_FOREIGN)
			return error_set(err, ERR_INPUT, "event '%s' is done by the endpoint",
					 given[i]);
		if (was_walked(given, i, given[i]))
			return error_set(err, ERR_INPUT, "event '%s' is given twice", given[i]);
	}
	return 0;
}

static size_t default_events(char **list)
{
	size_t n = 0;
	for (int e = 0; e < WIRE_EVENT_COUNT; e++)
		if (steps[e].by_default)
			list[n++] = xstrdup(wire_event_to_string(e));
	return n;
}

int job_local_events(const char *const *given, char ***ret, struct error *err)
{
	size_t n = 0;
	while (given && given[n])
		n++;
	int r = check_local_names(given, n, err);
	if (r < 0)
		return r;
	char **list = xcalloc(n + WIRE_EVENT_COUNT + 1, sizeof(*list));
	if (!given) {
		default_events(list);
		*ret = list;
		return 0;
	}
	const char *download = wire_event_to_string(WIRE_DOWNLOAD_BUNDLE);
	const char *install = wire_event_to_string(WIRE_INSTALL);
	bool add_download = !was_walked(given, n, download);
	bool add_install = !was_walked(given, n, install);
	size_t used = 0;
	if (add_download)
		list[used++] = xstrdup(download);
	if (add_download && add_install)
		list[used++] = xstrdup(install);
	for (size_t i = 0; i < n; i++) {
		list[used++] = xstrdup(given[i]);
		if (!add_download && add_install && strcmp(given[i], download) == 0)
			list[used++] = xstrdup(install);
	}
	r = check_local_order(list, err);
	if (r < 0) {
		job_events_free(list);
		return r;
	}
	*ret = list;
	return 0;
}

void job_local_id(char out[JOB_LOCAL_ID_LEN])
{
	char random[10];
	str_random(random, 9);
	snprintf(out, JOB_LOCAL_ID_LEN, "d-%s-local", random);
}
