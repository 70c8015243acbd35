// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"

/* In the order of the help: what is used daily first. */
const struct cli_command *const cli_commands[] = {
	/* this host */
	&cmd_deploy,
	&cmd_plan,
	&cmd_status,
	&cmd_explain,
	&cmd_logs,
	&cmd_history,
	&cmd_rollback,
	&cmd_redeploy,
	&cmd_remove,
	&cmd_recover,

	/* this host and its endpoint */

	/* making revisions */
	&cmd_lint,
	&cmd_pack,

	/* the fleet */

	/* about slipway */
	&cmd_version,
	&cmd_help,
	NULL,
};
