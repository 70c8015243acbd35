// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "agent/settings.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/usage.h"

#include <string.h>

static const char intro[] =
	"Usage: slipway COMMAND [OPTION]...\n"
	"\n"
	"Slipway puts new revisions of applications onto this host, and takes them back when they "
	"do not work. 'slipway COMMAND --help' explains a command, with an example.";
static const char outro[] =
	"\n"
	"Every command takes --root DIR, --json and --help.\n"
	"Exit codes: 0 done; 1 failed, the host is as before; 2 bad usage or input, nothing was "
	"touched; 3 refused by the plan, nothing was touched; 4 failed and could not be undone, a "
	"person is needed; 5 failed, left as it is, as asked; 6 busy or unreachable, try again.\n"
	"\n"
	"The manual: man slipway";

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

void cli_help_all(FILE *out)
{
	usage_text(out, 0, intro);
	cli_list(out);
	usage_text(out, 0, outro);
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
		cli_help_all(stdout);
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
	auto_free char *group = cli_find_group((int)args->n_operands, args->operands);
	if (!group)
		return cli_no_command(cli, (int)args->n_operands, args->operands);
	cli_help_group(group, stdout);
	return CLI_DONE;
}

const struct cli_command cmd_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.max_operands = 3,
	.operand_kind = CLI_COMMAND,
	.summary = "this list, or one command in detail",
	.help = "'slipway help agent.yml' explains the options of the configuration file.",
	.example = "slipway help deploy\nslipway help fleet\nslipway help agent.yml",
	.page = "slipway",
	.run = run,
};
