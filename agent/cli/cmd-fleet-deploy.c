// SPDX-License-Identifier: Apache-2.0
/* Deployments of the fleet: deploy, watch, stop, deployments, show. */
#include "agent/cli/fleet-pushed.h"
#include "agent/cli/fleet-view.h"
#include "agent/cli/fleet-watch.h"
#include "agent/cli/fleet.h"
#include "agent/cli/table.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/str.h"

#define LIST_DEFAULT 20
#define LIST_MAX 1000

static int choose_revision(struct fleet *fleet, const struct cli_args *args, const char *app,
			   json_t **ret, struct error *err)
{
	const char *given = cli_value(args, "revision");
	return given ? fleet_revision_parse(given, ret, err)
		     : fleet_pushed_load(fleet_endpoint(fleet), app, ret, err);
}

static int create(struct fleet *fleet, const struct cli_args *args, json_t *revision, char **ret_id,
		  struct error *err)
{
	auto_json json_t *answer = NULL;
	const char *config = cli_value(args, "config");
	bool is_short = config && (str_eq(config, "AllAtOnce") || str_eq(config, "HalfAtATime") ||
				   str_eq(config, "OneAtATime"));
	auto_free char *full =
		is_short ? xasprintf("CodeDeployDefault.%s", config) : xstrdup_null(config);
	json_t *input = json_object();
	json_set_str(input, "applicationName", cli_value(args, "app"));
	json_set_str(input, "deploymentGroupName", cli_value(args, "group"));
	json_set_str(input, "deploymentConfigName", full);
	json_set_str(input, "description", cli_value(args, "description"));
	json_set_str(input, "fileExistsBehavior", cli_value(args, "file-exists-behavior"));
	json_object_set(input, "revision", revision);
	int r = fleet_call(fleet, "CreateDeployment", input, &answer, err);
	if (r < 0)
		return r;
	*ret_id = xstrdup(fleet_text(answer, "deploymentId"));
	return **ret_id ? 0
			: error_set(err, ERR_NETWORK, "the endpoint's answer has no deploymentId");
}

static int run_deploy(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	const char *app = fleet_need(cli, args, "app");
	const char *group = app ? fleet_need(cli, args, "group") : NULL;
	if (!group)
		return CLI_USAGE;
	auto_fleet struct fleet *fleet = NULL;
	auto_json json_t *revision = NULL;
	auto_free char *id = NULL;
	int r = fleet_open(args, &fleet, &err);
	if (r >= 0)
		r = choose_revision(fleet, args, app, &revision, &err);
	if (r >= 0)
		r = create(fleet, args, revision, &id, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	auto_free char *what = fleet_revision_text(revision);
	if (!cli->json)
		printf("Deployment %s: %s to %s/%s\n", id, what, app, group);
	fflush(stdout);
	if (cli_has(args, "watch"))
		return fleet_watch(cli, fleet, id);
	if (cli->json) {
		json_t *obj = json_object();
		json_set_str(obj, "deployment", id);
		json_set_str(obj, "revision", what);
		return cli_json(obj, CLI_DONE);
	}
	printf("Follow it:\n  slipway fleet watch %s\n", id);
	return CLI_DONE;
}

static int run_watch(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_fleet struct fleet *fleet = NULL;
	int r = fleet_open(args, &fleet, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	return fleet_watch(cli, fleet, args->operands[0]);
}

static int run_stop(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_fleet struct fleet *fleet = NULL;
	auto_json json_t *answer = NULL;
	json_t *input = json_object();
	json_set_str(input, "deploymentId", args->operands[0]);
	int r = fleet_open(args, &fleet, &err);
	if (r < 0)
		json_decref(input);
	else
		r = fleet_call(fleet, "StopDeployment", input, &answer, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	if (cli->json)
		return cli_json(TAKE(answer), CLI_DONE);
	auto_free char *message = cli_clean(fleet_text(answer, "statusMessage"));
	printf("Deployment %s is being stopped.%s%s\n", args->operands[0], *message ? " " : "",
	       message);
	return CLI_DONE;
}

static int get_deployments(struct fleet *fleet, const struct cli_args *args, size_t limit,
			   json_t *list, struct error *err)
{
	auto_json json_t *ids = NULL;
	json_t *input = json_object();
	json_set_str(input, "applicationName", cli_value(args, "app"));
	json_set_str(input, "deploymentGroupName", cli_value(args, "group"));
	int r = fleet_list(fleet, "ListDeployments", input, "deployments", limit, &ids, err);
	for (size_t i = 0; r >= 0 && i < json_array_size(ids); i++) {
		auto_json json_t *answer = NULL;
		json_t *one = json_object();
		json_object_set(one, "deploymentId", json_array_get(ids, i));
		r = fleet_call(fleet, "GetDeployment", one, &answer, err);
		if (r >= 0)
			json_array_append(list, json_object_get(answer, "deploymentInfo"));
	}
	return r;
}

static void print_deployments(const json_t *list)
{
	auto_table struct table table = {.columns = 5};
	table_add(&table,
		  (const char *const[]){"DEPLOYMENT", "STATUS", "GROUP", "CREATED", "REVISION"});
	size_t i;
	const json_t *info;
	json_array_foreach (list, i, info) {
		char when[CLOCK_ISO_LEN];
		double created = json_number_value(json_object_get(info, "createTime"));
		auto_free char *revision = fleet_revision_text(json_object_get(info, "revision"));
		auto_free char *group = xasprintf("%s/%s", fleet_text(info, "applicationName"),
						  fleet_text(info, "deploymentGroupName"));
		table_add(&table, (const char *const[]){fleet_text(info, "deploymentId"),
							fleet_text(info, "status"), group,
							clock_format_local((int64_t)created, when),
							revision});
	}
	if (table.rows > 1)
		table_print(&table, stdout);
	else
		puts("Nothing was deployed yet: 'slipway fleet push', then 'slipway fleet "
		     "deploy'.");
}

static int run_deployments(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_fleet struct fleet *fleet = NULL;
	auto_json json_t *list = json_array();
	uint64_t limit = LIST_DEFAULT;
	const char *given = cli_value(args, "limit");
	if (given && (str_to_u64(given, &limit) < 0 || limit < 1 || limit > LIST_MAX))
		return cli_usage(cli, "--limit must be a number from 1 to %d", LIST_MAX);
	if (!cli_value(args, "app") != !cli_value(args, "group"))
		return cli_usage(cli, "--app and --group go together");
	int r = fleet_open(args, &fleet, &err);
	if (r >= 0)
		r = get_deployments(fleet, args, limit, list, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	if (cli->json) {
		json_t *obj = json_object();
		json_object_set(obj, "deployments", list);
		return cli_json(obj, CLI_DONE);
	}
	print_deployments(list);
	return CLI_DONE;
}

static void print_view(const struct fleet_view *view)
{
	auto_free char *revision = fleet_revision_text(json_object_get(view->info, "revision"));
	auto_free char *line =
		xasprintf("%s to %s/%s, %s", revision, fleet_text(view->info, "applicationName"),
			  fleet_text(view->info, "deploymentGroupName"),
			  fleet_text(view->info, "deploymentConfigName"));
	auto_free char *clean = cli_clean(line);
	puts(clean);
	auto_table struct table table = {.columns = 4};
	table_add(&table, (const char *const[]){"HOST", "STATUS", "EVENT", ""});
	size_t i;
	const json_t *host;
	json_array_foreach (view->hosts, i, host) {
		const json_t *event = fleet_host_event(host);
		const char *status = fleet_text(host, "status"),
			   *part = fleet_text(event, "status");
		table_add(&table, (const char *const[]){fleet_text(host, "targetId"), status,
							fleet_text(event, "lifecycleEventName"),
							str_eq(status, part) ? "" : part});
	}
	if (table.rows > 1)
		table_print(&table, stdout);
	fleet_view_print_outcome(view, stdout);
}

static int run_show(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_fleet struct fleet *fleet = NULL;
	auto_fleet_view struct fleet_view view = {0};
	int r = fleet_open(args, &fleet, &err);
	if (r >= 0)
		r = fleet_view_load(fleet, args->operands[0], &view, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	if (cli->json)
		return cli_json(fleet_view_to_json(&view), CLI_DONE);
	print_view(&view);
	return CLI_DONE;
}

static const struct cli_option only_credentials[] = {FLEET_CREDENTIALS, {0}};

static const struct cli_option deploy_options[] = {
	FLEET_APP,
	FLEET_GROUP,
	{.name = "revision",
	 .arg = "s3://B/K",
	 .help = "what to deploy; default: what was pushed last from here"},
	{.name = "config",
	 .arg = "C",
	 .kind = CLI_CONFIG,
	 .help = "how many hosts at once: OneAtATime, HalfAtATime, AllAtOnce; default: as the "
		 "group says"},
	{.name = "description", .arg = "D", .help = "why, for people"},
	{.name = "file-exists-behavior",
	 .arg = "B",
	 .kind = CLI_BEHAVIOR,
	 .help = "files that are in the way: DISALLOW (default), OVERWRITE or RETAIN"},
	{.name = "watch", .help = "follow it to its end; the exit code tells how it ended"},
	FLEET_CREDENTIALS,
	{0},
};

static const struct cli_option deployments_options[] = {
	{.name = "app", .arg = "A", .help = "only of this application; together with --group"},
	{.name = "group", .arg = "G", .help = "only of this group; together with --app"},
	{.name = "limit", .arg = "N", .help = "how many at most; default: 20"},
	FLEET_CREDENTIALS,
	{0},
};

const struct cli_command cmd_fleet_deploy = {
	.name = "fleet deploy",
	.operands = "",
	.summary = "deploy a revision to a group",
	.help = "Exit codes with --watch: 0 it succeeded, 1 it failed or was stopped.",
	.example = "slipway fleet deploy --app shop --group web --watch\n"
		   "slipway fleet deploy --app shop --group web \\\n"
		   "    --revision s3://bundles/shop-7.tgz",
	.options = deploy_options,
	.page = "slipway-fleet",
	.run = run_deploy,
};

const struct cli_command cmd_fleet_watch = {
	.name = "fleet watch",
	.operands = "DEPLOYMENT",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "follow a deployment to its end",
	.help = "Exit codes: 0 it succeeded, 1 it failed or was stopped.",
	.example = "slipway fleet watch d-1A2B3C4D5",
	.options = only_credentials,
	.page = "slipway-fleet",
	.run = run_watch,
};

const struct cli_command cmd_fleet_stop = {
	.name = "fleet stop",
	.operands = "DEPLOYMENT",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "stop a deployment: no host begins anything more",
	.example = "slipway fleet stop d-1A2B3C4D5",
	.options = only_credentials,
	.page = "slipway-fleet",
	.run = run_stop,
};

const struct cli_command cmd_fleet_deployments = {
	.name = "fleet deployments",
	.operands = "",
	.summary = "what was deployed, newest first",
	.example = "slipway fleet deployments --app shop --group web --limit 5",
	.options = deployments_options,
	.page = "slipway-fleet",
	.run = run_deployments,
};

const struct cli_command cmd_fleet_show = {
	.name = "fleet show",
	.operands = "DEPLOYMENT",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "how it stands on each host, and why it failed",
	.example = "slipway fleet show d-1A2B3C4D5 --json",
	.options = only_credentials,
	.page = "slipway-fleet",
	.run = run_show,
};
