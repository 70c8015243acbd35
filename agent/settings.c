// SPDX-License-Identifier: Apache-2.0
#include "agent/settings.h"

#include "agent/state.h"
#include "common/attr.h"

#include <stddef.h>

#define AT(member) .offset = offsetof(struct settings, member)

/* A key of the official agent that has no meaning here. */
#define RETIRED(key)                                                                            \
	{                                                                                       \
		.name = (key), .type = CONF_RETIRED, .help = "Accepted, but without an effect." \
	}

static const struct conf_option table[] = {
	{.name = "destination_root",
	 .type = CONF_PATH,
	 AT(destination_root),
	 .help = "Prefix of every destination and permission object; scripts see it as "
		 "SLIPWAY_DESTINATION_ROOT."},
	{.name = "hook_environment",
	 .type = CONF_MAP,
	 AT(hook_environment),
	 .help = "Variables that every lifecycle script gets beside the documented ones."},
	{.name = "max_revisions",
	 .type = CONF_INT,
	 AT(max_revisions),
	 .def = "5",
	 .min = 0,
	 .max = STATE_REVISIONS_MAX,
	 .help = "How many deployments are kept for each group; 0: only what is needed."},
	{.name = "max_revision_age",
	 .type = CONF_DURATION,
	 AT(max_revision_age),
	 .def = "0",
	 .unit = "0: for ever",
	 .help = "How long a deployment that is not needed is kept."},
	{.name = "max_revision_bytes",
	 .type = CONF_SIZE,
	 AT(max_revision_bytes),
	 .def = "0",
	 .unit = "0: no ceiling",
	 .help = "How much disk space the deployments of a group may take that are kept."},
	{.name = "local_rollback",
	 .type = CONF_BOOL,
	 AT(local_rollback),
	 .def = "true",
	 .help = "Whether a failed deployment is undone on the host; false is the official "
		 "agent's behaviour."},
	{.name = "orphan_timeout",
	 .type = CONF_DURATION,
	 AT(orphan_timeout),
	 .def = "10m",
	 .min = 1000,
	 .max = 604800000,
	 .help = "How long the endpoint may be silent in the middle of a deployment before the "
		 "host rolls it back."},
	{.name = "max_parallel",
	 .type = CONF_INT,
	 AT(max_parallel),
	 .def = "16",
	 .min = 1,
	 .max = 256,
	 .help = "How many deployment groups may be deployed at the same time."},
	{.name = "http_read_timeout",
	 .type = CONF_DURATION,
	 AT(http_read_timeout),
	 .def = "80s",
	 .min = 1000,
	 .max = 3600000,
	 .help = "How long an answer of the endpoint may take."},
	{.name = "proxy_uri",
	 .type = CONF_STRING,
	 AT(proxy_uri),
	 .help = "HTTP proxy for the endpoint and for downloads: "
		 "http://[user:password@]host:port."},
	{.name = "proxy_uri_commands",
	 .type = CONF_STRING,
	 AT(proxy_uri_commands),
	 .help = "Proxy for the endpoint, instead of proxy_uri."},
	{.name = "proxy_uri_s3",
	 .type = CONF_STRING,
	 AT(proxy_uri_s3),
	 .help = "Proxy for downloads from S3, instead of proxy_uri."},
	{.name = "proxy_uri_github",
	 .type = CONF_STRING,
	 AT(proxy_uri_github),
	 .help = "Proxy for downloads from GitHub, instead of proxy_uri."},
	{.name = "no_proxy",
	 .type = CONF_STRING,
	 AT(no_proxy),
	 .help = "Names, addresses and networks, separated by commas, that are asked without a "
		 "proxy."},
	{.name = "deploy_control_endpoint",
	 .type = CONF_HTTPS,
	 AT(endpoint),
	 .help = "URL of the endpoint, instead of the one this host was enrolled at."},
	{.name = "ca_file",
	 .type = CONF_PATH,
	 AT(ca_file),
	 .help = "Certificates (PEM) to trust instead of the system's."},
	{.name = "verbose",
	 .type = CONF_BOOL,
	 AT(verbose),
	 .def = "false",
	 .help = "Whether debug messages are logged too."},
	{.name = "bundle_max_bytes",
	 .type = CONF_SIZE,
	 AT(bundle_max_bytes),
	 .def = "0",
	 .unit = "0: no ceiling",
	 .help = "The largest bundle that is downloaded."},
	{.name = "archive_max_bytes",
	 .type = CONF_SIZE,
	 AT(archive_max_bytes),
	 .def = "0",
	 .unit = "0: no ceiling",
	 .help = "The most that one bundle may unpack to."},
	{.name = "archive_max_entries",
	 .type = CONF_INT,
	 AT(archive_max_entries),
	 .def = "1000000",
	 .min = 1,
	 .max = 100000000,
	 .help = "The most files and directories that one bundle may hold."},
	{.name = "script_output_max",
	 .type = CONF_SIZE,
	 AT(script_output_max),
	 .def = "64M",
	 .min = 1024 * 1024,
	 .max = INT64_MAX / 2,
	 .help = "How much of a script's output is kept: of its beginning; its end always is."},
	{.name = "script_memory_max",
	 .type = CONF_SIZE,
	 AT(script_memory_max),
	 .def = "0",
	 .unit = "0: no limit",
	 .help = "The most memory that a script and all that it starts may have."},
	{.name = "script_tasks_max",
	 .type = CONF_INT,
	 AT(script_tasks_max),
	 .def = "0",
	 .min = 0,
	 .max = 4194304,
	 .unit = "0: no limit",
	 .help = "How many processes and threads a script and all that it starts may have."},
	{.name = "script_cpu_max",
	 .type = CONF_PERCENT,
	 AT(script_cpu_max),
	 .def = "0",
	 .min = 0,
	 .max = 1000000,
	 .unit = "0: no limit",
	 .help = "How much CPU time a script and all that it starts may use, 100% being one "
		 "processor."},
	{.name = "script_nice",
	 .type = CONF_INT,
	 AT(script_nice),
	 .def = "0",
	 .min = -20,
	 .max = 19,
	 .help = "The nice value of scripts and all that they start."},
	{.name = "allow_setid",
	 .type = CONF_BOOL,
	 AT(allow_setid),
	 .def = "false",
	 .help = "Whether a bundle may bring set-id bits and device nodes."},
	{.name = "log_dir",
	 .type = CONF_PATH,
	 AT(log_dir),
	 .help = "Where log files go; the journal gets everything anyway."},
	{.name = "root_dir",
	 .type = CONF_PATH,
	 AT(root_dir),
	 .help = "Where revisions are kept instead of /var/lib/slipway/deployment-root."},

	RETIRED("pid_dir"),
	RETIRED("program_name"),
	RETIRED("log_aws_wire"),
	RETIRED("wait_between_runs"),
	RETIRED("wait_after_error"),
	RETIRED("on_premises_config_file"),
	RETIRED("enable_deployments_log"),
	RETIRED("use_fips_mode"),
	RETIRED("enable_auth_policy"),
	RETIRED("s3_endpoint_override"),
	RETIRED("disable_imds_v1"),
	RETIRED("kill_agent_max_wait_time_seconds"),
	RETIRED("ongoing_deployment_tracking"),
	RETIRED("children"),
	RETIRED("wait_between_spawning_children"),
	RETIRED("wait_after_throttle_error"),
	RETIRED("wait_after_connection_problem"),
	RETIRED("max_runs_per_worker"),
	RETIRED("user"),
	RETIRED("group"),
	RETIRED("plugins"),
	RETIRED("codedeploy_test_profile"),
	RETIRED("use_mock_command_service"),
	RETIRED("shared_dir"),
	RETIRED("instance_service_region"),
	RETIRED("instance_service_endpoint"),
	RETIRED("instance_service_port"),
};

int settings_load(struct settings *settings, const struct paths *paths, struct error *err)
{
	*settings = (struct settings){0};
	conf_defaults(table, ARRAY_LEN(table), settings);
	struct error why;
	int r = conf_load_file(table, ARRAY_LEN(table), paths->agent_yml, settings, &why);
	if (r == 0 || r == -ENOENT)
		return 0;
	settings_clear(settings);
	return error_set(err, r, "%s", why.text);
}

void settings_clear(struct settings *settings)
{
	conf_clear(table, ARRAY_LEN(table), settings);
}

const struct conf_option *settings_table(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(table);
	return table;
}
