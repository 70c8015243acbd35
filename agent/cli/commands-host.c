// SPDX-License-Identifier: Apache-2.0
/* What "slipway" does itself: the commands of this host. They need neither libcurl nor libarchive,
 * whose loading takes longer than a small deployment; everything else is the whole command line's,
 * a program of its own that this one becomes. */
#include "agent/cli/cli.h"

const char *const cli_whole = "slipway-cli";
const struct remote_ops *const cli_remote = NULL;

const struct cli_command *const cli_commands[] = {
	&cmd_deploy,  &cmd_plan,    &cmd_status,   &cmd_explain,  &cmd_logs,
	&cmd_history, &cmd_verify,  &cmd_rollback, &cmd_redeploy, &cmd_remove,
	&cmd_adopt,   &cmd_recover, &cmd_metrics,  &cmd_version,  NULL,
};
