// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "common/json.h"

static int run(struct cli *cli, const struct cli_args *args)
{
	if (cli->json) {
		json_t *obj = json_object();
		json_set_str(obj, "program", PACKAGE_NAME);
		json_set_str(obj, "version", PACKAGE_VERSION);
		return cli_json(obj, CLI_DONE);
	}
	puts(PACKAGE_NAME " " PACKAGE_VERSION);
	return CLI_DONE;
}

const struct cli_command cmd_version = {
	.name = "version",
	.operands = "",
	.summary = "which version this is",
	.page = "slipway",
	.example = "slipway version --json",
	.run = run,
};
