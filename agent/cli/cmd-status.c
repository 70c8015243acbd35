// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/aws-view.h"
#include "agent/cli/host.h"
#include "agent/cli/lines.h"
#include "agent/cli/report.h"
#include "agent/cli/view.h"
#include "agent/ipc.h"
#include "agent/trust.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/str.h"

#include <string.h>

#define DAEMON_TIMEOUT_MS 3000

/* The installed deployment's own record, as far as it is kept. */
static const struct wire_spec *installed_spec(const struct state *state)
{
	const struct state_revision *revision = state_revision_find(state, state->installed);
	return revision ? revision->spec : NULL;
}

/* What is installed may not be what should run, or may not run at all. */
static void print_caution(const struct state *state)
{
	const struct state_deployment *last = state->open ? state->open : state->last;
	if (last && last->undo_failed)
		lines_itemf(stdout, "caution", "a person is needed: %s",
			    last->rolled_back ? "its files are back, but its scripts failed, so it "
						"may not run"
					      : "a failed deployment could not be taken back");
	if (last && state->installed && state_is_left(last) &&
	    !state_step_succeeded(last, "Install"))
		lines_item(
			stdout, "caution",
			"the last deployment failed before its files were in place, and was left "
			"like that: the application may be stopped ('slipway redeploy')");
	if (str_eq(state->installed, state->last_successful))
		return;
	if (state->last_successful)
		lines_itemf(
			stdout, "caution",
			"this deployment did not succeed and was left in place; the last that did "
			"is %s ('slipway rollback')",
			state->last_successful);
	else
		lines_item(stdout, "caution",
			   "this deployment did not succeed and was left in place");
}

static void print_installed(const struct state *state)
{
	char when[CLOCK_ISO_LEN];
	if (!state->installed) {
		puts("  runs     no revision");
		return;
	}
	const struct state_revision *revision = state_revision_find(state, state->installed);
	const struct wire_spec *spec = installed_spec(state);
	auto_free char *text = spec ? report_revision(spec) : xstrdup("");
	printf("  runs     %s%s%s\n", state->installed, *text ? "  " : "", text);
	if (state->last && str_eq(state_deployment_id(state->last), state->installed))
		report_left_running(state->last, stdout);
	if (revision && revision->installed > 0)
		printf("  since    %s\n", clock_format_local((int64_t)revision->installed, when));
	print_caution(state);
}

/* What rollback --to takes, the newest first. */
static void print_kept(const struct state *state)
{
	int width = 0;
	for (size_t i = 0; i < state->n_revisions; i++) {
		int len = (int)strlen(state->revisions[i].deployment_id);
		width = len > width ? len : width;
	}
	for (size_t i = state->n_revisions; i-- > 0;) {
		const struct state_revision *r = &state->revisions[i];
		char when[CLOCK_ISO_LEN], size[32];
		printf("  %-8s %-*s  %s", i + 1 == state->n_revisions ? "kept" : "", width,
		       r->deployment_id, clock_format_local((int64_t)r->installed, when));
		if (r->bytes)
			printf("  %9s", str_human_bytes(r->bytes, size, sizeof(size)));
		puts(r->succeeded ? "" : "  failed");
	}
}

static double orphan_timeout_s(const struct cli *cli)
{
	auto_settings struct settings settings = {0};
	return host_settings(cli, &settings) < 0 ? 0 : (double)settings.orphan_timeout / 1000;
}

/* Between two commands of the endpoint. */
static void print_waiting(const struct cli *cli, const struct state_deployment *d)
{
	char when[CLOCK_ISO_LEN], duration[32];
	double since = d->last_command > 0 ? d->last_command : d->started;
	double timeout = orphan_timeout_s(cli);
	lines_itemf(stdout, "", "waits for the endpoint's next command since %s",
		    view_duration(clock_wall() - since, duration));
	if (timeout > 0 && d->job->rollback)
		lines_itemf(stdout, "",
			    "when none comes before %s, it is rolled back (orphan_timeout)",
			    clock_format_local((int64_t)(since + timeout), when));
}

/* Its worker is gone, and whatever it has begun is still to be finished or undone. */
static void print_interrupted(const struct state_deployment *d)
{
	bool back = d->phase == STATE_ROLLING_BACK;
	lines_itemf(stdout, "", "it is half way%s, and nobody works at it:", back ? " back" : "");
	lines_item(stdout, "",
		   "'slipway recover' finishes or undoes it, and so does the agent's next start");
	if (back)
		lines_itemf(stdout, "", "'slipway explain %s' says why it failed",
			    state_deployment_id(d));
}

static void print_step(const struct state_deployment *d)
{
	char duration[32];
	const struct state_step *step = d->n_steps ? &d->steps[d->n_steps - 1] : NULL;
	if (!step || step->status != STATE_STARTED)
		return;
	lines_itemf(stdout, "", "%s for %s; 'slipway logs -f' shows its output", step->event,
		    view_duration(clock_wall() - step->started, duration));
}

static void print_open(const struct cli *cli, const struct state *state)
{
	char duration[32];
	const struct state_deployment *d = state->open;
	bool held = host_is_held(cli, state->group_id);
	lines_itemf(stdout, "now", "%s %s%s for %s", state_deployment_id(d), report_verb(d),
		    held ? report_outcome(d) : "open",
		    view_duration(clock_wall() - d->started, duration));
	if (held)
		print_step(d);
	else if (d->phase == STATE_RUNNING && !job_is_local(d->job) && !d->command)
		print_waiting(cli, d);
	else
		print_interrupted(d);
}

static void print_last(const struct state_deployment *d)
{
	char when[CLOCK_ISO_LEN];
	auto_free char *failed = report_failed_at(d);
	lines_itemf(stdout, "last", "%s %s%s, %s", state_deployment_id(d), report_verb(d),
		    report_outcome(d), clock_format_local((int64_t)d->ended, when));
	if (d->job->verb == JOB_ADOPT) {
		auto_free char *what = report_revision(d->job->spec);
		printf("           %s\n", what);
	}
	if (failed)
		lines_item(stdout, "", failed);
	if (!d->succeeded)
		printf("           'slipway explain %s' says why\n", state_deployment_id(d));
}

static void print_group(const struct cli *cli, const struct state *state)
{
	auto_free char *label = host_state_label(state);
	printf("group %s", label);
	if (strcmp(label, state->group_id) != 0)
		printf(" (%s)", state->group_id); /* the name of its directories */
	fputc('\n', stdout);
	print_installed(state);
	if (state->open)
		print_open(cli, state);
	if (state->last)
		print_last(state->last);
	print_kept(state);
}

static const char *member(const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));
	return text ? text : "";
}

static void print_endpoint(const json_t *daemon)
{
	char when[CLOCK_ISO_LEN];
	auto_free char *endpoint = cli_clean(member(daemon, "endpoint"));
	double polled = json_number_value(json_object_get(daemon, "last_poll"));
	const char *state = member(daemon, "state");
	printf("endpoint   %s as '%s'\n           %s", endpoint, member(daemon, "name"), state);
	if (polled > 0)
		printf(", last heard %s\n", clock_format_local((int64_t)polled, when));
	else /* a poll that finds nothing is answered after a minute */
		puts(strcmp(state, "connecting") == 0
			     ? ": an endpoint with nothing to do answers after a minute"
			     : "");
	const json_t *error = json_object_get(daemon, "last_error");
	auto_free char *text = cli_clean(member(error, "text"));
	if (*text && strcmp(state, "reachable") != 0)
		printf("           %s\n", text);
	if (aws_view_of(daemon))
		aws_view_print(aws_view_of(daemon), "aws", 11);
}

/* What the daemon cannot get done, and what it has not done yet. */
static void print_worries(const json_t *daemon)
{
	static const struct {
		const char *member, *say;
	} worries[] = {
		{"recovery", "what a crash left has to be tried again"},
		{"certificate_error", "the certificate could not be renewed"},
	};
	if (strcmp(member(daemon, "phase"), "recovering") == 0)
		puts("           it puts right what a crash left, then goes on");
	for (size_t i = 0; i < ARRAY_LEN(worries); i++) {
		auto_free char *text = cli_clean(member(daemon, worries[i].member));
		if (*text)
			printf("           %s: %s\n", worries[i].say, text);
	}
	json_int_t waiting = json_integer_value(json_object_get(daemon, "results_waiting"));
	if (waiting > 0)
		printf("           %" JSON_INTEGER_FORMAT " %s to be reported\n", waiting,
		       waiting == 1 ? "result waits" : "results wait");
}

static void print_daemon(const json_t *daemon)
{
	if (!daemon) {
		puts("agent      slipwayd does not run, so deployments of an endpoint do not "
		     "arrive;\n           'systemctl status slipwayd' says why");
		return;
	}
	if (*member(daemon, "endpoint"))
		print_endpoint(daemon);
	else if (aws_view_of(daemon))
		aws_view_print(aws_view_of(daemon), "aws", 11);
	else
		puts("agent      slipwayd runs; this host has no endpoint ('slipway enroll')");
	print_worries(daemon);
}

/* Whose specifications root carries out; below 0: that cannot be told, or need not. */
static int load_trust(const struct cli *cli, struct trust *ret, struct error *err)
{
	auto_settings struct settings settings = {0};
	int r = host_settings(cli, &settings);
	return r < 0 ? r : trust_load(&cli->paths, &settings, ret, err);
}

static void print_trust(const struct cli *cli)
{
	auto_trust struct trust trust = {0};
	struct error err = {0};
	if (load_trust(cli, &trust, &err) < 0) {
		if (err.code)
			printf("trust      %s\n", err.text);
		return;
	}
	auto_free char *text = trust_describe(&trust);
	if (trust.kind != TRUST_NOBODY)
		printf("trust      %s\n", text);
}

static json_t *trust_json(const struct cli *cli)
{
	auto_trust struct trust trust = {0};
	return load_trust(cli, &trust, NULL) < 0 ? json_null() : trust_to_json(&trust);
}

static json_t *kept_to_json(const struct state_revision *r)
{
	json_t *obj = json_object();
	json_set_str(obj, "deployment_id", r->deployment_id);
	json_set_str(obj, "archive", r->archive);
	json_set_bool(obj, "succeeded", r->succeeded);
	json_object_set_new(obj, "installed", json_real(r->installed));
	if (r->bytes)
		json_set_int(obj, "bytes", (int64_t)r->bytes);
	return obj;
}

static json_t *group_to_json(const struct state *state)
{
	json_t *obj = json_object();
	auto_free char *label = host_state_label(state);
	json_set_str(obj, "group_id", state->group_id);
	json_set_str(obj, "group", label);
	json_set_str(obj, "installed", state->installed);
	json_set_str(obj, "last_successful", state->last_successful);
	const struct wire_spec *spec = installed_spec(state);
	auto_free char *revision = spec ? report_revision(spec) : NULL;
	json_set_str(obj, "revision", revision);
	if (state->open)
		json_object_set_new(obj, "open", state_deployment_to_json(state->open));
	if (state->last)
		json_object_set_new(obj, "last", state_deployment_to_json(state->last));
	json_t *kept = json_array(), *revisions = json_array();
	for (size_t i = 0; i < state->n_revisions; i++) {
		json_array_append_new(revisions, kept_to_json(&state->revisions[i]));
		json_array_append_new(kept, json_string(state->revisions[i].deployment_id));
	}
	json_object_set_new(obj, "kept", kept);
	json_object_set_new(obj, "revisions", revisions);
	return obj;
}

/* NULL: it does not run, or does not answer. */
static json_t *ask_daemon(const struct cli *cli)
{
	auto_json json_t *request = json_pack("{s:s}", "request", "status");
	json_t *answer = NULL;
	if (ipc_call(&cli->paths, request, DAEMON_TIMEOUT_MS, &answer, NULL) < 0)
		return NULL;
	return answer;
}

static int as_json(const struct cli *cli, const struct host *host, json_t *daemon)
{
	json_t *groups = json_array();
	for (size_t i = 0; i < host->count; i++)
		json_array_append_new(groups, group_to_json(host->groups[i]));
	json_t *obj = json_object();
	json_object_set_new(obj, "groups", groups);
	json_object_set(obj, "agent", daemon ? daemon : json_null());
	json_object_set_new(obj, "trust", trust_json(cli));
	return cli_json(obj, CLI_DONE);
}

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_host struct host host = {0};
	int r = host_load(cli, &host, &err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	auto_json json_t *daemon = ask_daemon(cli);
	if (cli->json)
		return as_json(cli, &host, daemon);
	for (size_t i = 0; i < host.count; i++)
		print_group(cli, host.groups[i]);
	if (!host.count)
		puts("nothing was ever deployed on this host");
	print_daemon(daemon);
	print_trust(cli);
	return CLI_DONE;
}

const struct cli_command cmd_status = {
	.name = "status",
	.operands = "",
	.summary = "what runs on this host, and what is going on",
	.example = "slipway status\nslipway status --json",
	.page = "slipway-status",
	.run = run,
};
