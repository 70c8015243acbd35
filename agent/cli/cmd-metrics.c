// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "agent/ipc.h"
#include "common/json.h"
#include "common/str.h"

#define DAEMON_MS 5000

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	const char *text = NULL;
	auto_json json_t *request = json_object(), *answer = NULL;
	json_set_str(request, "request", "metrics");
	json_set_str(request, "format", cli_has(args, "prometheus") ? "prometheus" : "openmetrics");
	int r = ipc_call(&cli->paths, request, DAEMON_MS, &answer, &err);
	if (r == 0)
		r = json_need_str(answer, "text", &text, &err);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return cli_fail(cli, CLI_BUSY, &err, "'systemctl status slipwayd' says why");
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, NULL);
	if (cli->json)
		return cli_json(json_incref(answer), CLI_DONE);
	fputs(text, stdout);
	return CLI_DONE;
}

static const struct cli_option options[] = {
	{.name = "prometheus", .help = "the older text format, as metrics_file has it"},
	{0},
};

const struct cli_command cmd_metrics = {
	.name = "metrics",
	.operands = "",
	.summary = "figures for a monitoring system",
	.help = "Asks the daemon, and prints OpenMetrics text. For node_exporter, metrics_file in "
		"agent.yml has the same in a file.",
	.example = "slipway metrics\nslipway metrics --prometheus | promtool check metrics",
	.options = options,
	.page = "slipway-doctor",
	.run = run,
};
