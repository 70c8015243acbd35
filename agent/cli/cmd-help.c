// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "agent/settings.h"
#include "common/json.h"

#include <string.h>

static const char intro[] =
	"Slipway puts new revisions of applications onto this host, and takes them back when they\n"
	"do not work.\n"
	"\n"
	"  slipway COMMAND [OPTION]...    'slipway COMMAND --help' explains one, with an example\n"
	"\n"
	"Commands:\n";
static const char outro[] = "\n"
			    "Every command takes --root DIR, --json and --help.\n"
			    "Exit codes: 0 done, 1 failed and the host is as before, 2 bad usage "
			    "or input, 3 refused by\n"
			    "the plan, 4 failed and a person is needed, 5 failed and left in place "
			    "as asked, 6 busy or\n"
			    "unreachable. After 2 and 3 nothing was touched; after 6 try again.\n";

static int list_json(void)
{
	json_t *list = json_array();
	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		json_t *one = json_object();
		json_set_str(one, "name", (*c)->name);
		json_set_str(one, "operands", (*c)->operands);
		json_set_str(one, "summary", (*c)->summary);
		json_set_str(one, "example", (*c)->example);
		json_array_append_new(list, one);
	}
	return cli_json(json_pack("{s:o}", "commands", list), CLI_DONE);
}

static int help_options(void)
{
	size_t count;
	const struct conf_option *table = settings_table(&count);
	puts("Options of /etc/slipway/agent.yml, one NAME: VALUE line each:\n");
	conf_help(table, count, stdout);
	return CLI_DONE;
}

static int run(struct cli *cli, const struct cli_args *args)
{
	if (cli->json)
		return list_json();
	if (args->n_operands == 0) {
		fputs(intro, stdout);
		cli_list(NULL, stdout);
		fputs(outro, stdout);
		return CLI_DONE;
	}
	if (strcmp(args->operands[0], "agent.yml") == 0)
		return help_options();
	int words;
	const struct cli_command *command = cli_find((int)args->n_operands, args->operands, &words);
	if (command) {
		cli_help(command, stdout);
		return CLI_DONE;
	}
	return cli_usage(cli, "there is no command '%s'", args->operands[0]);
}

const struct cli_command cmd_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.max_operands = 2,
	.summary = "this list, or one command in detail",
	.help = "'slipway help agent.yml' explains the options of the configuration file.",
	.example = "slipway help deploy",
	.run = run,
};
