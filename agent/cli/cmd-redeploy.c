// SPDX-License-Identifier: Apache-2.0
/* redeploy and rollback: from what the host has kept. */
#include "agent/cli/host.h"
#include "agent/cli/talk.h"
#include "common/json.h"

static const struct cli_option options[] = {
	{.name = "group",
	 .arg = "G",
	 .kind = CLI_GROUP,
	 .help = "deployment group; not needed when this host has only one"},
	{.name = "to",
	 .arg = "ID",
	 .kind = CLI_KEPT,
	 .help = "this deployment: one that 'slipway status' shows as kept"},
	{.name = "no-rollback", .help = "leave it in place when it fails"},
	{.name = "ignore-application-stop-failures",
	 .help = "go on when ApplicationStop of the installed revision fails"},
	{0},
};

static int run_as(struct cli *cli, const struct cli_args *args, const char *verb)
{
	struct error err = {0};
	auto_host struct host host = {0};
	const struct state *group = NULL;
	int r = host_load(cli, &host, &err);
	if (r == 0)
		r = host_need_group(&host, cli_value(args, "group"), &group, &err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	json_t *request = json_object();
	json_set_str(request, "verb", verb);
	json_set_str(request, "group", group->group_id);
	json_set_str(request, "to", cli_value(args, "to"));
	json_set_bool(request, "rollback", !cli_has(args, "no-rollback"));
	json_set_bool(request, "ignore_stop", cli_has(args, "ignore-application-stop-failures"));
	return talk_do(cli, request, -1);
}

static int run_redeploy(struct cli *cli, const struct cli_args *args)
{
	return run_as(cli, args, "redeploy");
}

static int run_rollback(struct cli *cli, const struct cli_args *args)
{
	return run_as(cli, args, "rollback");
}

const struct cli_command cmd_redeploy = {
	.name = "redeploy",
	.operands = "",
	.summary = "install what runs once more, without any server",
	.help = "It comes from what this host has kept: no download. All lifecycle events run "
		"again. Files that were "
		"changed "
		"or lost since come back as the revision has them.",
	.example = "slipway redeploy --group shop",
	.options = options,
	.page = "slipway-deploy",
	.run = run_redeploy,
};

const struct cli_command cmd_rollback = {
	.name = "rollback",
	.operands = "",
	.summary = "go back to the revision before, without any server",
	.help = "It comes from what this host has kept. Without --to: the successful deployment "
		"before the one that is installed.",
	.example = "slipway rollback --group shop\nslipway rollback --to d-4GZ1KQ2XT",
	.options = options,
	.page = "slipway-deploy",
	.run = run_rollback,
};
