// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/report.h"

#include "agent/cli/host.h"
#include "agent/cli/lines.h"
#include "agent/cli/table.h"
#include "agent/cli/view.h"
#include "agent/listener.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/proc.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_SLACK_S 1 /* between what the kernel and what a worker wrote down */
#define SUMMARY_MAX 1024

char *report_revision(const struct wire_spec *spec)
{
	auto_free char *text = NULL;
	switch (spec->revision_type) {
	case WIRE_REVISION_S3:
		text = xasprintf("s3://%s/%s", spec->bucket, spec->key);
		break;
	case WIRE_REVISION_GITHUB:
		text = xasprintf("github:%s/%s@%s", spec->account, spec->repository, spec->commit);
		break;
	case WIRE_REVISION_LOCAL_FILE:
	case WIRE_REVISION_LOCAL_DIRECTORY:
		text = xstrdup(spec->location ? spec->location : "");
		break;
	}
	return text ? cli_clean(text) : xstrdup("");
}

char *report_summary(const json_t *summary, bool as_plan)
{
	static const struct {
		const char *op, *one, *many, *done, *todo;
	} words[] = {
		{"create", "", "", "created", "to create"},
		{"replace", "", "", "replaced", "to replace"},
		{"delete", "", "", "deleted", "to delete"},
		{"mkdir", "directory ", "directories ", "made", "to make"},
		{"rmdir", "directory ", "directories ", "removed", "to remove"},
		{"symlink", "symlink ", "symlinks ", "made", "to make"},
		{"metadata", "", "", "with new owner or mode", "to get another owner or mode"},
		{"keep", "", "", "unchanged", "unchanged"},
		{"retain", "", "", "retained", "to retain"},
		{"refuse", "", "", "refused", "refused"},
	};
	struct buf text = BUF_INIT(SUMMARY_MAX);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		json_int_t n = json_integer_value(json_object_get(summary, words[i].op));
		if (n > 0)
			buf_addf(&text, "%s%" JSON_INTEGER_FORMAT " %s%s", text.len ? ", " : "", n,
				 n == 1 ? words[i].one : words[i].many,
				 as_plan ? words[i].todo : words[i].done);
	}
	if (!text.len)
		buf_adds(&text, "no file is concerned");
	return buf_take(&text);
}

/* The plan said no, or the bundle was no good: no step was begun. */
static bool was_refused(const struct state_deployment *d)
{
	return d->failure && d->n_steps == 0;
}

const char *report_outcome(const struct state_deployment *d)
{
	if (d->phase != STATE_CLOSED)
		return d->phase == STATE_ROLLING_BACK ? "going back" : "running";
	if (d->succeeded)
		return "succeeded";
	if (was_refused(d))
		return "refused";
	if (d->undo_failed)
		return "needs a person";
	if (d->rolled_back)
		return "rolled back";
	return state_step_succeeded(d, "Install") ? "left in place" : "failed";
}

char *report_short(const char *message)
{
	static const char head[] = "Script at specified location: ";
	message += str_starts(message, head) ? strlen(head) : 0;
	const char *end = strstr(message, "; rolled back");
	return xstrndup(message, end ? (size_t)(end - message) : strlen(message));
}

char *report_failed_at(const struct state_deployment *d)
{
	const struct state_failure *f = d->failure;
	if (!f || !f->event || !d->n_steps)
		return NULL;
	const char *cause = f->causes.n ? f->causes.list[0].text : NULL;
	auto_free char *text =
		xasprintf("failed at %s%s%s", f->event, cause ? ": " : "", cause ? cause : "");
	return cli_clean(text);
}

const char *report_verb(const struct state_deployment *d)
{
	switch (d->job->verb) {
	case JOB_REDEPLOY:
		return "redeploy ";
	case JOB_ROLLBACK:
		return "rollback ";
	case JOB_REMOVE:
		return "remove ";
	case JOB_ADOPT:
		return "adopt ";
	case JOB_IMPORT:
		return "import ";
	default:
		return "";
	}
}

static void print_indented(const char *text, const char *prefix, FILE *out)
{
	auto_free char *clean = cli_clean_lines(text);
	for (const char *line = clean; *line;) {
		const char *end = strchrnul(line, '\n');
		fprintf(out, "%s%.*s\n", prefix, (int)(end - line), line);
		line = *end ? end + 1 : end;
	}
}

/* How the script ended, when that says it all. NULL: it does not. Caller frees. */
static char *script_end(const struct state_failure *f)
{
	if (f->code == WIRE_SCRIPT_TIMED_OUT)
		return xstrdup("it ran into its timeout and was killed");
	if (f->shortage && f->signal)
		return xasprintf("killed by the kernel, out of memory (%s)", f->shortage);
	if (f->signal)
		return xasprintf("it ended by signal %d (%s)", f->signal, strsignal(f->signal));
	if (f->exit_code < 0)
		return NULL;
	if (f->shortage)
		return xasprintf(
			"it ended with exit code %d; the kernel killed a process of it, out "
			"of memory (%s)",
			f->exit_code, f->shortage);
	if (f->refusal)
		return xasprintf("it ended with exit code %d; the kernel refused it a process (%s)",
				 f->exit_code, f->refusal);
	return xasprintf("it ended with exit code %d", f->exit_code);
}

/* How long the script took that failed; below 0: not known. */
static double seconds_of_failure(const struct state_deployment *d)
{
	const struct state_step *step =
		d->failure->event ? state_step_find(d, d->failure->event) : NULL;
	for (size_t i = step ? step->n_runs : 0; i-- > 0;)
		if (!step->runs[i].ok)
			return step->runs[i].wall_ms < 0 ? -1
							 : (double)step->runs[i].wall_ms / 1000;
	return -1;
}

/* A worker that systemd has started may not look into other processes; who reads this as root may.
 */
static void print_listener_now(const struct state_cause *cause, FILE *out)
{
	unsigned port = 0;
	bool ours;
	if (strcmp(cause->name, "port_in_use") != 0 || !strstr(cause->text, "a process of user") ||
	    sscanf(cause->text, "port %u ", &port) != 1)
		return;
	auto_free char *who = listener_find("/proc/self/net", port, &ours);
	if (who && !strstr(cause->text, who))
		lines_itemf(out, "", "now %s listens on it", who);
}

/* said: the reason above them, which a cause need not repeat. */
static void print_causes(const struct state_causes *causes, const char *said, FILE *out)
{
	for (size_t i = 0; i < causes->n; i++) {
		const struct state_cause *cause = &causes->list[i];
		if (!strstr(said, cause->text))
			lines_item(out, i ? "or" : "cause", cause->text);
		print_listener_now(cause, out);
		if (cause->evidence)
			lines_itemf(out, "", "it says: %s", cause->evidence);
		if (cause->next)
			lines_itemf(out, "", "next: %s", cause->next);
	}
}

static void print_output(const struct state_failure *f, FILE *out)
{
	const char *text = f->output ? f->output : f->log;
	if (str_empty(text))
		return;
	fputs("  the end of its output:\n", out);
	print_indented(text, "    | ", out);
}

static void print_failure(const struct state_deployment *d, FILE *out)
{
	const struct state_failure *f = d->failure;
	auto_free char *end = NULL, *reason = NULL;
	char took[32];
	if (!str_empty(f->script_name)) {
		double seconds = seconds_of_failure(d);
		lines_item(out, "script", f->script_name);
		end = script_end(f);
		if (end && seconds >= 0)
			lines_itemf(out, "reason", "%s, after %s", end,
				    view_duration(seconds, took));
		else if (end)
			lines_item(out, "reason", end);
	}
	if (!end && !str_empty(f->message)) {
		reason = report_short(f->message);
		lines_item(out, "reason", reason);
	}
	print_causes(&f->causes, reason ? reason : "", out);
	print_output(f, out);
}

static const char *step_word(const struct state_step *step)
{
	switch (step->status) {
	case STATE_SUCCEEDED:
		return "ok";
	case STATE_SKIPPED:
		return "nothing to run";
	case STATE_FAILED:
		return "FAILED";
	case STATE_STARTED:
		break;
	}
	return "running";
}

static void print_message(const char *message, FILE *out)
{
	auto_free char *text = report_short(message);
	lines_item(out, "", text);
}

/* The scripts of the previous revision that ran on the way back. */
static void print_way_back(const struct state_deployment *d, FILE *out)
{
	for (size_t i = 0; i < d->n_steps; i++) {
		const struct state_step *step = &d->steps[i];
		if (!str_starts(step->event, STATE_ROLLBACK_PREFIX) ||
		    step->status == STATE_SKIPPED)
			continue;
		auto_free char *event = cli_clean(step->event + strlen(STATE_ROLLBACK_PREFIX));
		fprintf(out, "           %s %s\n", event, step_word(step));
		if (step->status == STATE_FAILED && !str_empty(step->message))
			print_message(step->message, out);
		print_causes(&step->causes, "", out);
	}
}

static void print_now(const struct state_deployment *d, FILE *out)
{
	const char *back = d->rolled_back;
	if (was_refused(d))
		lines_item(out, "now", "nothing was touched");
	else if (d->undo_failed && back)
		lines_itemf(out, "now",
			    "the files of %s are back, but its scripts failed: a person is needed",
			    *back ? back : "the host before it");
	else if (d->undo_failed)
		lines_item(out, "now", "its files could NOT be taken back: a person is needed");
	else if (back && *back)
		lines_itemf(out, "now", "%s is back", back);
	else if (back)
		lines_item(out, "now", "no file of it is left: the host is as before");
	else if (d->phase == STATE_CLOSED && state_step_succeeded(d, "Install"))
		lines_item(out, "now", "what it had installed was left in place");
	else if (d->phase == STATE_CLOSED)
		lines_item(out, "now", "the files are as before; the application may be stopped");
}

static void print_aftermath(const struct state_deployment *d, FILE *out)
{
	print_now(d, out);
	print_way_back(d, out);
	if (!d->left || !d->left[0])
		return;
	fputs("  left by scripts or the application in its directories:\n", out);
	for (char **path = d->left; *path; path++) {
		auto_free char *clean = cli_clean(*path);
		fprintf(out, "           %s\n", clean);
	}
}

/* One of the processes "NAME (PID)" that ran when the step ended. A PID means nothing after a
 * reboot, and may be somebody else's by now: that one is younger. */
static bool runs_still(const struct state_step *step)
{
	const char *p = step->message;
	while ((p = strchr(p, '('))) {
		double started = proc_started((pid_t)strtol(++p, NULL, 10));
		if (started > 0 && started < step->ended + CLOCK_SLACK_S)
			return true;
	}
	return false;
}

void report_left_running(const struct state_deployment *d, FILE *out)
{
	for (size_t i = 0; i < d->n_steps; i++) {
		const struct state_step *step = &d->steps[i];
		if (!str_starts(step->message ? step->message : "", STATE_LEFT_RUNNING) ||
		    !runs_still(step))
			continue;
		auto_free char *names = cli_clean(step->message + strlen(STATE_LEFT_RUNNING));
		auto_free char *event = cli_clean(step->event);
		fprintf(out, "  started  %s, by %s\n", names, event);
	}
}

static char *memory_text(int64_t bytes)
{
	static const struct {
		int64_t below;
		unsigned shift;
		const char *unit;
	} rows[] = {
		{(int64_t)1 << 20, 10, "KiB"},
		{(int64_t)1 << 33, 20, "MiB"},
		{INT64_MAX, 30, "GiB"},
	};
	size_t i = 0;
	while (bytes >= rows[i].below && i + 1 < ARRAY_LEN(rows))
		i++;
	return xasprintf("peak %" PRId64 " %s", bytes >> rows[i].shift, rows[i].unit);
}

static void add_run(struct table *table, const struct state_run *run)
{
	char out[32];
	auto_free char *wall = NULL, *cpu = NULL, *memory = NULL, *tasks = NULL;
	if (run->wall_ms >= 0)
		wall = xstrdup(view_duration((double)run->wall_ms / 1000, out));
	if (run->cpu_ms >= 0)
		cpu = xasprintf("cpu %s", view_duration((double)run->cpu_ms / 1000, out));
	if (run->memory_peak >= 0)
		memory = memory_text(run->memory_peak);
	if (run->tasks >= 0)
		tasks = xasprintf("%" PRId64 " task%s", run->tasks, run->tasks == 1 ? "" : "s");
	const char *status = run->ok ? "ok" : "FAILED";
	table_add(table, (const char *const[]){run->script, status, wall, cpu, memory, tasks});
}

static void print_runs(const struct state_deployment *d, bool back, const char *heading, FILE *out)
{
	auto_table struct table table = {.columns = 6, .indent = 4, .width = lines_width(out)};
	for (size_t i = 0; i < d->n_steps; i++) {
		const struct state_step *step = &d->steps[i];
		if (str_starts(step->event, STATE_ROLLBACK_PREFIX) != back)
			continue;
		for (size_t k = 0; k < step->n_runs; k++)
			add_run(&table, &step->runs[k]);
	}
	if (!table.rows)
		return;
	fputs(heading, out);
	table_print(&table, out);
}

void report_scripts(const struct state_deployment *d, FILE *out)
{
	print_runs(d, false, "  scripts that ran:\n", out);
	print_runs(d, true, "  and on the way back:\n", out);
}

static void print_running(const struct state_deployment *d, FILE *out)
{
	char duration[32];
	double now = clock_wall();
	fprintf(out, "  since    %s\n", view_duration(now - d->started, duration));
	const struct state_step *step = d->n_steps ? &d->steps[d->n_steps - 1] : NULL;
	if (step && step->status == STATE_STARTED) {
		auto_free char *event = cli_clean(step->event);
		fprintf(out, "  step     %s, for %s\n", event,
			view_duration(now - step->started, duration));
	}
}

void report_explain(const struct state_deployment *d, const char *group, FILE *out)
{
	char when[CLOCK_ISO_LEN];
	auto_free char *revision = report_revision(d->job->spec);
	auto_free char *label = host_group_label(d, group);
	const struct state_failure *f = d->failure;
	auto_free char *event = cli_clean(f && f->event ? f->event : "");
	if (f && d->n_steps)
		fprintf(out, "%s failed at %s\n", state_deployment_id(d), event);
	else
		fprintf(out, "%s %s%s\n", state_deployment_id(d), report_verb(d),
			report_outcome(d));
	fprintf(out, "  group    %s\n", label);
	if (*revision)
		fprintf(out, "  %-8s %s\n", d->job->verb == JOB_ADOPT ? "files" : "revision",
			revision);
	if (d->ended > 0)
		fprintf(out, "  ended    %s\n", clock_format_local((int64_t)d->ended, when));
	if (f)
		print_failure(d, out);
	if (d->phase != STATE_CLOSED)
		print_running(d, out);
	report_left_running(d, out);
	if (f || (d->phase == STATE_CLOSED && !d->succeeded))
		print_aftermath(d, out);
}

static const char *member(const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));
	return text ? text : "";
}

/* What a person calls the group of that id. */
static char *label_of(const struct cli *cli, const char *group_id)
{
	auto_host struct host host = {0};
	const struct state *state = NULL;
	if (host_load(cli, &host, NULL) == 0 && host_group(&host, group_id, &state, NULL) == 0)
		return host_state_label(state);
	return cli_clean(group_id);
}

static void end_well(const struct cli *cli, const json_t *result)
{
	bool is_plan = str_eq(cli->command->name, "plan");
	const json_t *counts = json_object_get(result, "summary");
	auto_free char *summary = report_summary(counts, is_plan);
	const char *deployment = member(result, "deployment");
	auto_free char *group = label_of(cli, member(result, "group_id"));
	if (is_plan) {
		printf("plan: %s\nnothing was touched\n", summary);
		return;
	}
	if (counts)
		printf("  %s\n", summary);
	if (str_eq(cli->command->name, "remove"))
		printf("done: nothing of group '%s' is installed any more\n", group);
	else if (str_eq(cli->command->name, "recover"))
		puts("done: nothing is left half way");
	else
		printf("done: %s runs now in group '%s'\n", deployment, group);
}

/* Event, script, exit and output, as far as the host's own record has them; else the worker's
 * text. */
static void say_why(const struct cli *cli, const json_t *result)
{
	const char *id = member(result, "deployment");
	struct state_deployment *d = NULL;
	auto_free char *group = NULL;
	if (*id && host_deployment(cli, id, NULL, &d, &group, NULL) == 0) {
		auto_state_deployment struct state_deployment *owned = d;
		if (owned->failure) {
			fputc('\n', stderr);
			report_explain(owned, group, stderr);
			return;
		}
	}
	auto_free char *text = cli_clean(member(result, "text"));
	fprintf(stderr, "slipway %s: %s\n", cli->command->name,
		*text ? text : "the worker gave no reason");
}

static bool has_run(const struct cli *cli, const char *id)
{
	auto_state_deployment struct state_deployment *d = NULL;
	auto_free char *group = NULL;
	return *id && host_deployment(cli, id, NULL, &d, &group, NULL) == 0 && !was_refused(d);
}

/* "--group G" for a command that is shown; "" where there is no other. Caller frees. */
static char *group_option(const struct host *host, const struct state *state)
{
	if (host->count < 2)
		return xstrdup("");
	auto_free char *label = host_state_label(state);
	auto_free char *clean = cli_clean(label);
	return xasprintf(" --group %s", clean);
}

/* What a failed deployment has left, as was asked. */
static void say_left(const struct cli *cli, const json_t *result)
{
	auto_host struct host host = {0};
	const struct state *state = NULL;
	bool in_place = str_eq(member(result, "installed"), member(result, "deployment"));
	fputs(in_place ? "failed: the new revision was left in place, as asked\n"
		       : "failed: the files are as before, but scripts have run: the application "
			 "may "
			 "be stopped\n",
	      stderr);
	if (host_load(cli, &host, NULL) < 0 ||
	    host_group(&host, member(result, "group_id"), &state, NULL) < 0)
		return;
	auto_free char *group = group_option(&host, state);
	if (!in_place && state->installed)
		fprintf(stderr,
			"  'slipway redeploy%s' installs and starts what is there once more\n",
			group);
	else if (in_place && state->last_successful)
		fprintf(stderr, "  'slipway rollback%s' puts the last that succeeded back\n",
			group);
	else if (in_place)
		fprintf(stderr, "  'slipway remove --group %s' takes it away\n",
			*group ? group + strlen(" --group ") : member(result, "group_id"));
}

/* ApplicationStop is a script of the revision that is to go: a broken one would stay for ever. */
static void say_way_around_stop(const struct cli *cli, const char *id)
{
	auto_state_deployment struct state_deployment *d = NULL;
	auto_free char *group = NULL;
	if (!*id || host_deployment(cli, id, NULL, &d, &group, NULL) < 0 || !d->failure ||
	    !str_eq(d->failure->event, "ApplicationStop"))
		return;
	fputs("  that script is of the revision that is installed: with "
	      "--ignore-application-stop-failures\n  this command goes on without it\n",
	      stderr);
}

/* The last line: the state of the host, and what to do. */
static void say_ending(const struct cli *cli, const json_t *result,
		       const struct report_problems *problems, int exit_code)
{
	const char *id = member(result, "deployment");
	bool is_source = cli->command == &cmd_deploy || cli->command == &cmd_plan;
	switch (exit_code) {
	case CLI_USAGE:
		fputs(is_source ? "nothing was touched: correct it, then try again\n"
				  "  'slipway lint SOURCE' checks a revision without deploying\n"
				: "nothing was touched\n",
		      stderr);
		break;
	case CLI_REFUSED:
		fputs("refused: nothing was touched\n", stderr);
		if (cli->command == &cmd_deploy)
			fputs(problems->in_the_way
				      ? "  'slipway plan' shows what would happen; of the files in "
					"the way that belong to\n  no group, "
					"--file-exists-behavior "
					"OVERWRITE replaces them, RETAIN keeps them\n"
				      : "  'slipway plan' shows what would happen\n",
			      stderr);
		break;
	case CLI_UNDO:
		fputs("FAILED, and not undone completely: a person is needed\n", stderr);
		fputs(json_is_string(json_object_get(result, "rolled_back"))
			      ? "  the files are back: look why it does not start, then 'slipway "
				"redeploy'\n"
			      : "  remove the cause above, then 'slipway recover' goes on where it "
				"stopped\n",
		      stderr);
		break;
	case CLI_LEFT:
		say_left(cli, result);
		break;
	case CLI_BUSY:
		if (str_eq(member(result, "code"), "not_mounted")) {
			fputs("it waits for that: mount what is missing or unmount what is in the "
			      "way, then 'slipway recover'\n",
			      stderr);
			break;
		}
		fputs("nothing was changed: try again in a moment ('slipway status' shows what "
		      "goes "
		      "on)\n",
		      stderr);
		break;
	default:
		fputs("failed: the host is as before\n", stderr);
		say_way_around_stop(cli, id);
		if (has_run(cli, id))
			fprintf(stderr, "  'slipway logs %s' shows all that the scripts printed\n",
				id);
		else if (str_eq(member(result, "code"), "EACCES"))
			fputs("  this needs root: try it with sudo, or with --root DIR\n", stderr);
	}
}

static void end_badly(const struct cli *cli, const json_t *result,
		      const struct report_problems *problems, int exit_code)
{
	fflush(stdout);
	/* each problem had its own line already, and the text is only their sum */
	if (!problems->errors || (exit_code != CLI_USAGE && exit_code != CLI_REFUSED))
		say_why(cli, result);
	say_ending(cli, result, problems, exit_code);
}

void report_end(const struct cli *cli, const json_t *result, const struct report_problems *problems,
		int exit_code)
{
	if (exit_code == CLI_DONE)
		end_well(cli, result);
	else
		end_badly(cli, result, problems, exit_code);
}
