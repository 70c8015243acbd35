// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/host.h"
#include "agent/cli/talk.h"
#include "common/json.h"

static const struct cli_option options[] = {
	{.name = "group",
	 .arg = "G",
	 .kind = CLI_GROUP,
	 .needed = true,
	 .help = "deployment group; must be given"},
	{.name = "ignore-application-stop-failures",
	 .help = "go on when ApplicationStop of the installed revision fails"},
	{0},
};

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	const char *name = cli_value(args, "group");
	if (!name)
		return cli_usage(cli, "say which group: --group G");
	auto_host struct host host = {0};
	const struct state *group = NULL;
	int r = host_load(cli, &host, &err);
	if (r == 0)
		r = host_need_group(&host, name, &group, &err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	json_t *request = json_object();
	json_set_str(request, "verb", "remove");
	json_set_str(request, "group", group->group_id);
	json_set_bool(request, "ignore_stop", cli_has(args, "ignore-application-stop-failures"));
	return talk_do(cli, request, -1);
}

const struct cli_command cmd_remove = {
	.name = "remove",
	.operands = "",
	.summary = "stop a group's application, take its files away",
	.help = "Only what deployments of the group installed is removed; what the application or "
		"its "
		"scripts made stays.",
	.example = "slipway remove --group shop",
	.options = options,
	.page = "slipway-deploy",
	.run = run,
};
