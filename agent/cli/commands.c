// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "agent/cli/remote.h"

const char *const cli_whole = NULL;
const struct remote_ops *const cli_remote = &remote_ops;

/* In the order of the help: what is used daily first. */
const struct cli_command *const cli_commands[] = {
	/* this host */
	&cmd_deploy,
	&cmd_plan,
	&cmd_status,
	&cmd_explain,
	&cmd_logs,
	&cmd_history,
	&cmd_verify,
	&cmd_rollback,
	&cmd_redeploy,
	&cmd_remove,
	&cmd_adopt,
	&cmd_recover,
	&cmd_import,

	/* this host and its endpoint */
	&cmd_enroll,
	&cmd_unenroll,
	&cmd_whoami,
	&cmd_doctor,
	&cmd_metrics,

	/* making revisions */
	&cmd_lint,
	&cmd_pack,

	/* the fleet */
	&cmd_fleet_hosts,
	&cmd_fleet_app_create,
	&cmd_fleet_app_list,
	&cmd_fleet_app_delete,
	&cmd_fleet_group_create,
	&cmd_fleet_group_list,
	&cmd_fleet_group_delete,
	&cmd_fleet_push,
	&cmd_fleet_deploy,
	&cmd_fleet_watch,
	&cmd_fleet_stop,
	&cmd_fleet_deployments,
	&cmd_fleet_show,

	/* about slipway */
	&cmd_version,
	&cmd_help,
	NULL,
};
