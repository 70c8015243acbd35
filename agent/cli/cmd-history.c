// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/host.h"
#include "agent/cli/lines.h"
#include "agent/cli/report.h"
#include "agent/cli/view.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/str.h"

#include <inttypes.h>
#include <string.h>

#define SHOWN 20
#define NEAR 100
#define INDENT 21 /* the width of a time, and two */
#define INDENT_NARROW 2

static const struct cli_option options[] = {
	{.name = "group", .arg = "G", .kind = CLI_GROUP, .help = "only this deployment group"},
	{.name = "count", .letter = 'n', .arg = "N", .help = "the last N; 0: all; default: 20"},
	{0},
};

/* The newest lines, in a ring of JSON objects: one per deployment, the later line counts. */
struct history {
	const char *group;
	json_t *lines;
	size_t max; /* 0: all */
};

static void drop_earlier(json_t *lines, const char *id)
{
	/* a second line comes soon after the first, if at all */
	size_t count = json_array_size(lines), oldest = count > NEAR ? count - NEAR : 0;
	for (size_t i = count; i-- > oldest;) {
		const json_t *line = json_array_get(lines, i);
		if (str_eq(json_string_value(json_object_get(line, "deployment_id")), id)) {
			json_array_remove(lines, i);
			return;
		}
	}
}

static json_t *line_of(const struct state_deployment *d, const char *group)
{
	json_t *line = json_object();
	const struct wire_spec *spec = d->job->spec;
	auto_free char *revision = report_revision(spec), *label = host_group_label(d, group);
	json_set_str(line, "deployment_id", state_deployment_id(d));
	json_set_str(line, "group_id", group);
	json_set_str(line, "group", label);
	json_set_str(line, "verb", job_verb_to_string(d->job->verb));
	json_set_str(line, "outcome", report_outcome(d));
	json_set_bool(line, "succeeded", d->succeeded);
	json_set_str(line, "revision", revision);
	json_set_time(line, "started", d->started);
	json_set_time(line, "ended", d->ended);
	if (d->failure && d->n_steps) {
		json_set_str(line, "failed_event", d->failure->event);
		json_set_str(line, "message", d->failure->message);
		if (d->failure->causes.n)
			json_set_str(line, "cause", d->failure->causes.list[0].text);
	}
	json_set_str(line, "rolled_back", d->rolled_back);
	return line;
}

static int collect(const struct state_deployment *d, const char *group, void *arg)
{
	struct history *history = arg;
	if (history->group && strcmp(history->group, group) != 0)
		return 0;
	drop_earlier(history->lines, state_deployment_id(d));
	json_array_append_new(history->lines, line_of(d, group));
	if (history->max && json_array_size(history->lines) > history->max)
		json_array_remove(history->lines, 0);
	return 0;
}

static const char *member(const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));
	return text ? text : "";
}

static void print_line(const json_t *line)
{
	char when[CLOCK_ISO_LEN], duration[32];
	double started = json_number_value(json_object_get(line, "started"));
	double ended = json_number_value(json_object_get(line, "ended"));
	const char *event = member(line, "failed_event"), *cause = member(line, "cause");
	auto_free char *failed = xasprintf("failed at %s%s%s", event, *cause ? ": " : "", cause);
	auto_free char *group = cli_clean(member(line, "group"));
	auto_free char *revision = cli_clean(member(line, "revision"));
	printf("%s  %-17s %-8s %-14s %11s\n", clock_format_local((int64_t)ended, when),
	       member(line, "deployment_id"), member(line, "verb"), member(line, "outcome"),
	       view_duration(ended - started, duration));
	bool narrow = lines_width(stdout) < LINES_WIDTH;
	int indent = narrow ? INDENT_NARROW : INDENT;
	printf("%*sgroup %s\n", indent, "", group);
	if (*revision)
		printf("%*s%s\n", indent, "", revision);
	if (*event)
		lines_below(stdout, (unsigned)indent, failed);
}

static int read_count(const struct cli_args *args, size_t *ret, struct error *err)
{
	const char *text = cli_value(args, "count");
	uint64_t count = SHOWN;
	if (text && (str_to_u64(text, &count) < 0 || count > 1000000))
		return error_set(err, ERR_INPUT, "--count is a number, not '%s'", text);
	*ret = count;
	return 0;
}

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_free char *group = NULL;
	auto_json json_t *lines = json_array();
	struct history history = {.lines = lines};
	if (read_count(args, &history.max, &err) < 0 ||
	    host_group_id(cli, cli_value(args, "group"), &group, &err) < 0)
		return cli_usage(cli, "%s", err.text);
	history.group = group;
	int r = host_history(cli, collect, &history, &err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	if (cli->json)
		return cli_json(json_pack("{s:O}", "deployments", lines), CLI_DONE);
	size_t i;
	const json_t *line;
	json_array_foreach (lines, i, line)
		print_line(line);
	if (json_array_size(lines) == 0)
		puts("no deployment has ended here yet");
	return CLI_DONE;
}

const struct cli_command cmd_history = {
	.name = "history",
	.operands = "",
	.summary = "the deployments that have ended, newest last",
	.example = "slipway history --group shop -n 5",
	.options = options,
	.page = "slipway-status",
	.run = run,
};
