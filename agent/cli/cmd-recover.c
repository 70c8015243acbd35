// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/talk.h"
#include "common/json.h"

static int run(struct cli *cli, const struct cli_args *args)
{
	json_t *request = json_object();
	json_set_str(request, "verb", "recover");
	return talk_do(cli, request, -1);
}

const struct cli_command cmd_recover = {
	.name = "recover",
	.operands = "",
	.summary = "finish or undo what a crash left half way",
	.help = "Every deployment does this first for its own group, and the system does it at "
		"boot; "
		"it is safe at any time.",
	.example = "slipway recover",
	.page = "slipway-recover",
	.run = run,
};
