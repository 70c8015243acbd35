// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/talk.h"
#include "common/json.h"

static const struct cli_option options[] = {
	{.name = "files", .help = "only the files: no script is run, the rest is left for later"},
	{0},
};

static int run(struct cli *cli, const struct cli_args *args)
{
	json_t *request = json_object();
	json_set_str(request, "verb", "recover");
	if (cli_has(args, "files"))
		json_set_bool(request, "files", true);
	return talk_do(cli, request, -1);
}

const struct cli_command cmd_recover = {
	.name = "recover",
	.operands = "",
	.summary = "finish or undo what a crash left half way",
	.help = "Every deployment does this first for its own group, and the system does it at "
		"boot; "
		"it is safe at any time. With --files, as at boot before applications start, "
		"installs are finished or undone and a deployment that will be rolled back has its "
		"files put back; scripts are left to the next recovery.",
	.example = "slipway recover\nslipway recover --files",
	.options = options,
	.page = "slipway-recover",
	.run = run,
};
