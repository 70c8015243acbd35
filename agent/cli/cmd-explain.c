// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/host.h"
#include "agent/cli/report.h"
#include "common/json.h"

#include <string.h>

static const struct cli_option options[] = {
	{.name = "group",
	 .arg = "G",
	 .kind = CLI_GROUP,
	 .help = "the last deployment of this group"},
	{0},
};

struct failed {
	const char *group;
	char id[64];
};

static int note_failed(const struct state_deployment *d, const char *group, void *arg)
{
	struct failed *failed = arg;
	if (d->failure && (!failed->group || strcmp(failed->group, group) == 0))
		snprintf(failed->id, sizeof(failed->id), "%s", state_deployment_id(d));
	return 0;
}

/* Nothing to explain: then perhaps it was an earlier one that was meant. */
static void point_to_failed(const struct cli *cli, const char *group)
{
	struct failed failed = {.group = group};
	if (host_history(cli, note_failed, &failed, NULL) == 0 && *failed.id)
		printf("the last that failed was %s: 'slipway explain %s'\n", failed.id, failed.id);
}

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	const char *id = args->operands[0];
	struct state_deployment *found = NULL;
	auto_free char *group = NULL;
	int r = host_deployment(cli, id, cli_value(args, "group"), &found, &group, &err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	auto_state_deployment struct state_deployment *d = found;
	if (cli->json) {
		json_t *obj = state_deployment_to_json(d);
		auto_free char *label = host_group_label(d, group);
		json_set_str(obj, "group_id", group);
		json_set_str(obj, "group", label);
		json_set_str(obj, "outcome", report_outcome(d));
		return cli_json(obj, CLI_DONE);
	}
	report_explain(d, group, stdout);
	report_scripts(d, stdout);
	if (d->failure && d->n_steps)
		printf("all output: 'slipway logs %s'\n", state_deployment_id(d));
	else if (!d->failure && !id)
		point_to_failed(cli, cli_value(args, "group") ? group : NULL);
	return CLI_DONE;
}

const struct cli_command cmd_explain = {
	.name = "explain",
	.operands = "[ID]",
	.max_operands = 1,
	.summary = "why the last deployment, or the given one, failed",
	.help = "The event and script that failed, how it ended, the end of its output, what was "
		"put back and what scripts left behind; how long each script took, its CPU time, "
		"memory and tasks.",
	.example = "slipway explain\nslipway explain d-4GZ1KQ2XT",
	.operand_kind = CLI_DEPLOYMENT,
	.options = options,
	.page = "slipway-status",
	.run = run,
};
