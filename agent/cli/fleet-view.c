// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/fleet-view.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/str.h"

#include <string.h>

#define HOSTS_MAX 100000
#define BATCH 25 /* the API's own limit */

void fleet_view_clear(struct fleet_view *view)
{
	json_decref(view->info);
	json_decref(view->hosts);
	*view = (struct fleet_view){0};
}

static int load_batch(struct fleet *fleet, const char *id, const json_t *names, size_t from,
		      json_t *hosts, struct error *err)
{
	auto_json json_t *answer = NULL;
	json_t *input = json_object(), *part = json_array();
	json_set_str(input, "deploymentId", id);
	json_object_set_new(input, "targetIds", part);
	for (size_t i = from; i < from + BATCH && i < json_array_size(names); i++)
		json_array_append(part, json_array_get(names, i));
	int r = fleet_call(fleet, "BatchGetDeploymentTargets", input, &answer, err);
	if (r < 0)
		return r;
	size_t i;
	const json_t *target;
	json_array_foreach (json_object_get(answer, "deploymentTargets"), i, target) {
		json_t *host = json_object_get(target, "instanceTarget");
		if (json_is_object(host))
			json_array_append(hosts, host);
	}
	return 0;
}

static int load_hosts(struct fleet *fleet, const char *id, json_t *hosts, struct error *err)
{
	auto_json json_t *names = NULL;
	json_t *input = json_object();
	json_set_str(input, "deploymentId", id);
	int r = fleet_list(fleet, "ListDeploymentTargets", input, "targetIds", HOSTS_MAX, &names,
			   err);
	if (r == ERR_BUSY)
		return 0; /* not started yet */
	for (size_t i = 0; r >= 0 && i < json_array_size(names); i += BATCH)
		r = load_batch(fleet, id, names, i, hosts, err);
	return r;
}

int fleet_view_load(struct fleet *fleet, const char *deployment_id, struct fleet_view *ret,
		    struct error *err)
{
	auto_json json_t *answer = NULL;
	json_t *input = json_object();
	auto_fleet_view struct fleet_view view = {.hosts = json_array()};
	json_set_str(input, "deploymentId", deployment_id);
	int r = fleet_call(fleet, "GetDeployment", input, &answer, err);
	if (r < 0)
		return r;
	view.info = json_incref(json_object_get(answer, "deploymentInfo"));
	if (!json_is_object(view.info))
		return error_set(err, ERR_NETWORK, "the endpoint's answer has no deploymentInfo");
	r = load_hosts(fleet, deployment_id, view.hosts, err);
	if (r < 0)
		return r;
	*ret = view;
	view = (struct fleet_view){0};
	return 0;
}

static const char *status_of(const struct fleet_view *view)
{
	return fleet_text(view->info, "status");
}

bool fleet_view_is_over(const struct fleet_view *view)
{
	return str_eq(status_of(view), "Succeeded") || str_eq(status_of(view), "Failed") ||
	       str_eq(status_of(view), "Stopped");
}

int fleet_view_exit(const struct fleet_view *view)
{
	return str_eq(status_of(view), "Succeeded") ? CLI_DONE : CLI_FAILED;
}

const json_t *fleet_host_event(const json_t *host)
{
	const json_t *event, *failed = NULL, *last = NULL;
	size_t i;
	json_array_foreach (json_object_get(host, "lifecycleEvents"), i, event) {
		const char *status = fleet_text(event, "status");
		if (str_eq(status, "InProgress"))
			return event;
		if (str_eq(status, "Failed") && !failed)
			failed = event;
		if (str_eq(status, "Succeeded"))
			last = event;
	}
	return failed ? failed : last;
}

/* Is it this failure that the endpoint's own sentence tells? */
static bool is_told(const struct fleet_view *view, const struct fleet_failure *failure)
{
	const char *told = fleet_text(json_object_get(view->info, "errorInformation"), "message");
	auto_free char *host = xasprintf("host '%s'", failure->host);
	return *failure->message && strstr(told, host) && strstr(told, failure->message);
}

bool fleet_view_failure(const struct fleet_view *view, struct fleet_failure *ret)
{
	double first = 0;
	bool found = false;
	size_t i;
	const json_t *host;
	json_array_foreach (view->hosts, i, host) {
		const json_t *event = fleet_host_event(host);
		if (!str_eq(fleet_text(event, "status"), "Failed"))
			continue;
		double when = json_number_value(json_object_get(event, "endTime"));
		const json_t *why = json_object_get(event, "diagnostics");
		struct fleet_failure one = {.host = fleet_text(host, "targetId"),
					    .event = fleet_text(event, "lifecycleEventName"),
					    .code = fleet_text(why, "errorCode"),
					    .script = fleet_text(why, "scriptName"),
					    .message = fleet_text(why, "message"),
					    .log = fleet_text(why, "logTail")};
		bool told = is_told(view, &one);
		if (found && !told && when >= first)
			continue;
		*ret = one;
		found = true;
		first = when;
		if (told)
			break; /* the hosts' clocks may order them otherwise */
	}
	return found;
}

char *fleet_view_counts(const struct fleet_view *view)
{
	static const struct {
		const char *status, *word;
	} kinds[] = {{"Succeeded", "succeeded"},    {"Failed", "failed"},
		     {"InProgress", "in progress"}, {"Pending", "waiting"},
		     {"Skipped", "skipped"},        {"Unknown", "unknown"}};
	auto_buf struct buf out = BUF_INIT(512);
	size_t total = json_array_size(view->hosts), i;
	const json_t *host;
	buf_addf(&out, "%zu %s", total, total == 1 ? "host" : "hosts");
	const char *separator = ": ";
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		size_t count = 0;
		json_array_foreach (view->hosts, i, host) {
			count += str_eq(fleet_text(host, "status"), kinds[k].status);
		}
		if (count == 0)
			continue;
		buf_addf(&out, "%s%zu %s", separator, count, kinds[k].word);
		separator = ", ";
	}
	return xstrdup(buf_str(&out));
}

static void print_clean(FILE *out, const char *before, const char *text)
{
	auto_free char *clean = cli_clean(text);
	fprintf(out, "%s%s\n", before, clean);
}

static void print_log(FILE *out, const char *log)
{
	auto_free char *clean = cli_clean_lines(log);
	for (char *line = clean, *end; *line; line = end + (*end != '\0')) {
		end = strchrnul(line, '\n');
		fprintf(out, "    %.*s\n", (int)(end - line), line);
	}
}

static void print_failure(const struct fleet_failure *failure, FILE *out)
{
	auto_free char *what = xasprintf("host %s, event %s%s%s", failure->host, failure->event,
					 *failure->script ? ", script " : "", failure->script);
	print_clean(out, "First failure: ", what);
	if (*failure->message)
		print_clean(out, "  ", failure->message);
	if (*failure->log) {
		fputs("  the end of its output:\n", out);
		print_log(out, failure->log);
	}
}

/* The endpoint's sentence repeats the first failure; what it says beyond that are the counts and
 * the rule that was applied. */
static const char *after_failure(const char *message, const char *failure)
{
	const char *there = *failure ? strstr(message, failure) : NULL;
	if (!there)
		return message;
	there += strlen(failure);
	return there + strspn(there, ". ");
}

void fleet_view_print_outcome(const struct fleet_view *view, FILE *out)
{
	double from = json_number_value(json_object_get(view->info, "createTime"));
	double to = json_number_value(json_object_get(view->info, "completeTime"));
	auto_free char *counts = fleet_view_counts(view);
	auto_free char *line = xasprintf("Deployment %s: %s",
					 fleet_text(view->info, "deploymentId"), status_of(view));
	auto_free char *clean = cli_clean(line);
	fputs(clean, out);
	if (to > from)
		fprintf(out, " after %.1f s", to - from);
	fprintf(out, ", %s\n", counts);
	struct fleet_failure failure = {.message = ""};
	if (fleet_view_failure(view, &failure))
		print_failure(&failure, out);
	const char *message =
		fleet_text(json_object_get(view->info, "errorInformation"), "message");
	message = after_failure(message, failure.message);
	if (*message)
		print_clean(out, "", message);
}

static json_t *host_to_json(const json_t *host)
{
	json_t *obj = json_object();
	const json_t *event = fleet_host_event(host);
	json_set_str(obj, "host", fleet_text(host, "targetId"));
	json_set_str(obj, "status", fleet_text(host, "status"));
	json_set_str(obj, "event", event ? fleet_text(event, "lifecycleEventName") : NULL);
	json_set_str(obj, "event_status", event ? fleet_text(event, "status") : NULL);
	json_object_set(obj, "events", json_object_get(host, "lifecycleEvents"));
	return obj;
}

json_t *fleet_view_to_json(const struct fleet_view *view)
{
	json_t *obj = json_object(), *hosts = json_array();
	size_t i;
	const json_t *host;
	json_set_str(obj, "deployment", fleet_text(view->info, "deploymentId"));
	json_set_str(obj, "status", status_of(view));
	json_object_set(obj, "info", view->info);
	json_array_foreach (view->hosts, i, host) {
		json_array_append_new(hosts, host_to_json(host));
	}
	json_object_set_new(obj, "hosts", hosts);
	struct fleet_failure failure;
	if (fleet_view_failure(view, &failure)) {
		json_t *first = json_object();
		json_set_str(first, "host", failure.host);
		json_set_str(first, "event", failure.event);
		json_set_str(first, "error_code", failure.code);
		json_set_str(first, "script", failure.script);
		json_set_str(first, "message", failure.message);
		json_set_str(first, "log", failure.log);
		json_object_set_new(obj, "first_failure", first);
	}
	return obj;
}
