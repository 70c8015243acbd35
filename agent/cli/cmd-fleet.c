// SPDX-License-Identifier: Apache-2.0
/* The fleet's inventory: hosts, applications, deployment groups. */
#include "agent/cli/fleet.h"
#include "agent/cli/table.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/str.h"

#include <string.h>

#define LIST_MAX 10000
#define TAGS_TEXT_MAX 8192
/* The API wants a role; an endpoint that deploys through its own hosts has no use for one. */
#define SERVICE_ROLE "arn:aws:iam::000000000000:role/slipway"

/* "role=web stage=prod"; the caller frees. */
static char *tags_text(const json_t *tags)
{
	auto_buf struct buf out = BUF_INIT(TAGS_TEXT_MAX);
	size_t i;
	const json_t *tag;
	json_array_foreach (tags, i, tag) {
		buf_addf(&out, "%s%s", i ? " " : "", fleet_text(tag, "Key"));
		if (json_object_get(tag, "Value"))
			buf_addf(&out, "=%s", fleet_text(tag, "Value"));
	}
	return xstrdup(buf_str(&out));
}

static const char *time_text(const json_t *obj, const char *name, char out[CLOCK_ISO_LEN])
{
	double when = json_number_value(json_object_get(obj, name));
	return when > 0 ? clock_format_local((int64_t)when, out) : "";
}

static int get_hosts(struct fleet *fleet, json_t **ret, struct error *err)
{
	auto_json json_t *names = NULL, *hosts = json_array();
	int r = fleet_list(fleet, "ListOnPremisesInstances",
			   json_pack("{s:s}", "registrationStatus", "Registered"), "instanceNames",
			   LIST_MAX, &names, err);
	for (size_t i = 0; r >= 0 && i < json_array_size(names); i++) {
		auto_json json_t *answer = NULL;
		json_t *input = json_object();
		json_object_set(input, "instanceName", json_array_get(names, i));
		r = fleet_call(fleet, "GetOnPremisesInstance", input, &answer, err);
		if (r == ERR_NOT_FOUND)
			r = 0; /* it has left meanwhile */
		else if (r >= 0)
			json_array_append(hosts, json_object_get(answer, "instanceInfo"));
	}
	if (r >= 0)
		*ret = TAKE(hosts);
	return r;
}

/* Whether it would be deployed to now; only our endpoint says so. Caller frees. */
static char *state_text(const json_t *host)
{
	char since[CLOCK_ISO_LEN];
	const json_t *state = json_object_get(host, "slipway");
	if (json_is_true(json_object_get(state, "online")))
		return xstrdup("online");
	const char *when = time_text(state, "lastPollTime", since);
	return *when ? xasprintf("silent since %s", when)
		     : xstrdup(state ? "has never polled" : "");
}

static void print_hosts(const json_t *hosts)
{
	auto_table struct table table = {.columns = 4};
	table_add(&table, (const char *const[]){"HOST", "STATE", "TAGS", "ENROLLED"});
	size_t i;
	const json_t *host;
	json_array_foreach (hosts, i, host) {
		char since[CLOCK_ISO_LEN];
		auto_free char *state = state_text(host);
		auto_free char *tags = tags_text(json_object_get(host, "tags"));
		table_add(&table,
			  (const char *const[]){fleet_text(host, "instanceName"), state, tags,
						time_text(host, "registerTime", since)});
	}
	if (table.rows > 1)
		table_print(&table, stdout);
	else
		puts("No host has joined yet: 'slipway-controld token create' prints the 'slipway "
		     "enroll' for one.");
}

/* {"hosts": [...]}: the one member of the object is the list. */
static int say_list(const char *member, json_t *list)
{
	json_t *obj = json_object();
	json_object_set(obj, member, list);
	return cli_json(obj, CLI_DONE);
}

static int run_hosts(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_fleet struct fleet *fleet = NULL;
	auto_json json_t *hosts = NULL;
	int r = fleet_open(args, &fleet, &err);
	if (r >= 0)
		r = get_hosts(fleet, &hosts, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	if (cli->json)
		return say_list("hosts", hosts);
	print_hosts(hosts);
	return CLI_DONE;
}

/* One call whose answer matters little; then a sentence, or the same as JSON. */
static int do_one(struct cli *cli, const struct cli_args *args, const char *operation,
		  json_t *input, const char *done)
{
	struct error err = {0};
	auto_fleet struct fleet *fleet = NULL;
	auto_json json_t *owned = input, *answer = NULL;
	int r = fleet_open(args, &fleet, &err);
	if (r >= 0)
		r = fleet_call(fleet, operation, json_incref(owned), &answer, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	if (cli->json)
		return cli_json(TAKE(answer), CLI_DONE);
	puts(done);
	return CLI_DONE;
}

static int run_app_create(struct cli *cli, const struct cli_args *args)
{
	const char *app = fleet_need(cli, args, "app");
	if (!app)
		return CLI_USAGE;
	json_t *input = json_object();
	json_set_str(input, "applicationName", app);
	json_set_str(input, "computePlatform", "Server");
	auto_free char *done =
		xasprintf("Application '%s' is made. Say next which hosts get it:\n"
			  "  slipway fleet group create --app %s --group GROUP --tag KEY=VALUE",
			  app, app);
	return do_one(cli, args, "CreateApplication", input, done);
}

static int run_app_delete(struct cli *cli, const struct cli_args *args)
{
	const char *app = fleet_need(cli, args, "app");
	if (!app)
		return CLI_USAGE;
	json_t *input = json_object();
	json_set_str(input, "applicationName", app);
	auto_free char *done =
		xasprintf("Application '%s' and its groups are gone; on the hosts it stays.", app);
	return do_one(cli, args, "DeleteApplication", input, done);
}

static int run_app_list(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_fleet struct fleet *fleet = NULL;
	auto_json json_t *apps = NULL;
	int r = fleet_open(args, &fleet, &err);
	if (r >= 0)
		r = fleet_list(fleet, "ListApplications", json_object(), "applications", LIST_MAX,
			       &apps, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	if (cli->json)
		return say_list("applications", apps);
	for (size_t i = 0; i < json_array_size(apps); i++) {
		auto_free char *name = cli_clean(json_string_value(json_array_get(apps, i)));
		puts(name);
	}
	if (json_array_size(apps) == 0)
		puts("There is no application yet: 'slipway fleet app create --app NAME'.");
	return CLI_DONE;
}

/* "AllAtOnce" is short for "CodeDeployDefault.AllAtOnce"; the caller frees. */
static char *config_name(const char *given)
{
	static const char *const built_in[] = {"AllAtOnce", "HalfAtATime", "OneAtATime"};
	for (size_t i = 0; given && i < ARRAY_LEN(built_in); i++)
		if (str_eq(given, built_in[i]))
			return xasprintf("CodeDeployDefault.%s", given);
	return xstrdup_null(given);
}

static json_t *tag_filters(const struct cli_args *args)
{
	auto_free const char **given = cli_values(args, "tag");
	json_t *filters = json_array();
	for (size_t i = 0; given[i]; i++) {
		const char *equals = strchr(given[i], '=');
		auto_free char *key = xstrndup(given[i], strcspn(given[i], "="));
		json_t *filter = json_object();
		json_set_str(filter, "Type", equals ? "KEY_AND_VALUE" : "KEY_ONLY");
		json_set_str(filter, "Key", key);
		json_set_str(filter, "Value", equals ? equals + 1 : NULL);
		json_array_append_new(filters, filter);
	}
	return filters;
}

static int run_group_create(struct cli *cli, const struct cli_args *args)
{
	const char *app = fleet_need(cli, args, "app");
	const char *group = app ? fleet_need(cli, args, "group") : NULL;
	if (!group)
		return CLI_USAGE;
	if (!cli_has(args, "tag"))
		return cli_usage(cli, "--tag K=V is missing: it says which hosts belong to the "
				      "group");
	auto_free char *config = config_name(cli_value(args, "config"));
	json_t *input = json_object();
	json_set_str(input, "applicationName", app);
	json_set_str(input, "deploymentGroupName", group);
	json_set_str(input, "deploymentConfigName", config);
	json_set_str(input, "serviceRoleArn", SERVICE_ROLE);
	json_object_set_new(input, "onPremisesInstanceTagFilters", tag_filters(args));
	auto_free char *done = xasprintf("Group '%s' of '%s' is made.", group, app);
	return do_one(cli, args, "CreateDeploymentGroup", input, done);
}

static int run_group_delete(struct cli *cli, const struct cli_args *args)
{
	const char *app = fleet_need(cli, args, "app");
	const char *group = app ? fleet_need(cli, args, "group") : NULL;
	if (!group)
		return CLI_USAGE;
	json_t *input = json_object();
	json_set_str(input, "applicationName", app);
	json_set_str(input, "deploymentGroupName", group);
	auto_free char *done =
		xasprintf("Group '%s' of '%s' is gone; on the hosts it stays.", group, app);
	return do_one(cli, args, "DeleteDeploymentGroup", input, done);
}

static int get_groups(struct fleet *fleet, const char *app, json_t *groups, struct error *err)
{
	auto_json json_t *names = NULL;
	int r = fleet_list(fleet, "ListDeploymentGroups",
			   json_pack("{s:s}", "applicationName", app), "deploymentGroups", LIST_MAX,
			   &names, err);
	for (size_t i = 0; r >= 0 && i < json_array_size(names); i++) {
		auto_json json_t *answer = NULL;
		json_t *input = json_pack("{s:s}", "applicationName", app);
		json_object_set(input, "deploymentGroupName", json_array_get(names, i));
		r = fleet_call(fleet, "GetDeploymentGroup", input, &answer, err);
		if (r == ERR_NOT_FOUND)
			r = 0;
		else if (r >= 0)
			json_array_append(groups, json_object_get(answer, "deploymentGroupInfo"));
	}
	return r;
}

/* Of one application, or of all. */
static int get_all_groups(struct fleet *fleet, const char *app, json_t *groups, struct error *err)
{
	if (app)
		return get_groups(fleet, app, groups, err);
	auto_json json_t *apps = NULL;
	int r = fleet_list(fleet, "ListApplications", json_object(), "applications", LIST_MAX,
			   &apps, err);
	for (size_t i = 0; r >= 0 && i < json_array_size(apps); i++)
		r = get_groups(fleet, json_string_value(json_array_get(apps, i)), groups, err);
	return r;
}

static void print_groups(const json_t *groups)
{
	auto_table struct table table = {.columns = 4};
	table_add(&table, (const char *const[]){"APPLICATION", "GROUP", "HOSTS WITH", "CONFIG"});
	size_t i;
	const json_t *group;
	json_array_foreach (groups, i, group) {
		auto_free char *tags =
			tags_text(json_object_get(group, "onPremisesInstanceTagFilters"));
		table_add(&table,
			  (const char *const[]){fleet_text(group, "applicationName"),
						fleet_text(group, "deploymentGroupName"), tags,
						fleet_text(group, "deploymentConfigName")});
	}
	if (table.rows > 1)
		table_print(&table, stdout);
	else
		puts("There is no group yet: 'slipway fleet group create --app A --group G --tag "
		     "K=V'.");
}

static int run_group_list(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_fleet struct fleet *fleet = NULL;
	auto_json json_t *groups = json_array();
	int r = fleet_open(args, &fleet, &err);
	if (r >= 0)
		r = get_all_groups(fleet, cli_value(args, "app"), groups, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	if (cli->json)
		return say_list("groups", groups);
	print_groups(groups);
	return CLI_DONE;
}

static const struct cli_option only_credentials[] = {FLEET_CREDENTIALS, {0}};
static const struct cli_option app_options[] = {FLEET_APP, FLEET_CREDENTIALS, {0}};
static const struct cli_option group_options[] = {FLEET_APP, FLEET_GROUP, FLEET_CREDENTIALS, {0}};
static const struct cli_option group_list_options[] = {
	{.name = "app", .arg = "A", .help = "only those of this application"},
	FLEET_CREDENTIALS,
	{0},
};
static const struct cli_option group_create_options[] = {
	FLEET_APP,
	FLEET_GROUP,
	{.name = "tag",
	 .arg = "K=V",
	 .needed = true,
	 .help = "hosts with this tag belong to it; with several, any one is enough"},
	{.name = "config",
	 .arg = "C",
	 .kind = CLI_CONFIG,
	 .help = "how many hosts at once: OneAtATime (default), HalfAtATime, AllAtOnce"},
	FLEET_CREDENTIALS,
	{0},
};

const struct cli_command cmd_fleet_hosts = {
	.name = "fleet hosts",
	.operands = "",
	.summary = "the hosts that have joined, whether they are there",
	.example = "slipway fleet hosts",
	.options = only_credentials,
	.page = "slipway-fleet",
	.run = run_hosts,
};

const struct cli_command cmd_fleet_app_create = {
	.name = "fleet app create",
	.operands = "",
	.summary = "make an application: a name for what is deployed",
	.example = "slipway fleet app create --app shop",
	.options = app_options,
	.page = "slipway-fleet",
	.run = run_app_create,
};

const struct cli_command cmd_fleet_app_list = {
	.name = "fleet app list",
	.operands = "",
	.summary = "the applications",
	.example = "slipway fleet app list",
	.options = only_credentials,
	.page = "slipway-fleet",
	.run = run_app_list,
};

const struct cli_command cmd_fleet_app_delete = {
	.name = "fleet app delete",
	.operands = "",
	.summary = "forget an application; its hosts keep what they have",
	.example = "slipway fleet app delete --app shop",
	.options = app_options,
	.page = "slipway-fleet",
	.run = run_app_delete,
};

const struct cli_command cmd_fleet_group_create = {
	.name = "fleet group create",
	.operands = "",
	.summary = "make a deployment group: say which hosts it has",
	.example = "slipway fleet group create --app shop --group web --tag role=web \\\n"
		   "    --config HalfAtATime",
	.options = group_create_options,
	.page = "slipway-fleet",
	.run = run_group_create,
};

const struct cli_command cmd_fleet_group_list = {
	.name = "fleet group list",
	.operands = "",
	.summary = "the deployment groups, of one application or of all",
	.example = "slipway fleet group list --app shop",
	.options = group_list_options,
	.page = "slipway-fleet",
	.run = run_group_list,
};

const struct cli_command cmd_fleet_group_delete = {
	.name = "fleet group delete",
	.operands = "",
	.summary = "forget a group; its hosts keep what they have",
	.example = "slipway fleet group delete --app shop --group web",
	.options = group_options,
	.page = "slipway-fleet",
	.run = run_group_delete,
};
