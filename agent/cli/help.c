// SPDX-License-Identifier: Apache-2.0
/* What --help prints, and what a person is told who typed a command that does not exist. All of it
 * comes from the commands' own table. */
#include "agent/cli/cli.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/str.h"
#include "common/usage.h"

#include <ctype.h>
#include <string.h>

#define NAME_MAX_BYTES 256
#define LIST_COLUMN 26

/* Commands whose name begins with these words are told together. */
static const struct {
	const char *name, *summary;
} groups[] = {
	{"fleet", "the hosts of an endpoint: push, deploy, watch, stop"},
	{"fleet app", "applications: names for what is deployed"},
	{"fleet group", "deployment groups: which hosts get an application"},
};

const char *cli_group_summary(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (str_eq(groups[i].name, name))
			return groups[i].summary;
	return NULL;
}

bool cli_in_group(const struct cli_command *command, const char *group)
{
	size_t len = strlen(group);
	return strncmp(command->name, group, len) == 0 && command->name[len] == ' ';
}

static void list_one(const struct cli_command *command, FILE *out)
{
	auto_free char *call = xasprintf("%s%s%s", command->name, *command->operands ? " " : "",
					 command->operands);
	usage_item(out, call, LIST_COLUMN, command->summary);
}

void cli_list(FILE *out)
{
	static const struct {
		const char *first; /* by name: a program that lists few commands links few */
		const char *title;
	} sections[] = {
		{"deploy", "On this host"},   {"enroll", "This host and its endpoint"},
		{"lint", "Making revisions"}, {"fleet hosts", "The fleet, from anywhere"},
		{"version", "About slipway"},
	};
	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		for (size_t i = 0; i < ARRAY_LEN(sections); i++)
			if (strcmp((*c)->name, sections[i].first) == 0)
				fprintf(out, "\n%s:\n", sections[i].title);
		list_one(*c, out);
	}
}

void cli_help_group(const char *group, FILE *out)
{
	fprintf(out, "Usage: slipway %s COMMAND [OPTION]...\n\n", group);
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		if (cli_in_group(*c, group))
			list_one(*c, out);
	fprintf(out, "\n'slipway %s COMMAND --help' explains one, with an example.\n", group);
}

static void print_options(const struct cli_option *list, FILE *out)
{
	for (; list && list->name; list++)
		usage_option(out, list->letter, list->name, list->arg, list->help);
}

/* "Usage: slipway fleet stop [OPTION]... DEPLOYMENT": what must be given stands there. */
static void print_call(const struct cli_command *command, FILE *out)
{
	fprintf(out, "Usage: slipway %s", command->name);
	for (const struct cli_option *o = command->options; o && o->name; o++)
		if (o->needed)
			fprintf(out, " --%s %s", o->name, o->arg);
	fprintf(out, " [OPTION]...%s%s\n\n", *command->operands ? " " : "", command->operands);
}

void cli_help(const struct cli_command *command, FILE *out)
{
	print_call(command, out);
	auto_free char *summary = xasprintf("%s.", command->summary);
	summary[0] = (char)toupper((unsigned char)summary[0]);
	usage_text(out, 0, summary);
	if (!str_empty(command->help)) {
		fputc('\n', out);
		usage_text(out, 0, command->help);
	}
	if (command->options && command->options->name) {
		fputs("\nOptions:\n", out);
		print_options(command->options, out);
	}
	fputs("\nOf every command:\n", out);
	print_options(cli_global_options, out);
	fputc('\n', out);
	usage_example(out, command->example);
	fprintf(out, "\nThe manual: man %s\n", command->page);
}

/* Is word the end of a longer name: "push" of "fleet push"? */
static bool is_tail(const char *name, const char *word)
{
	const char *space = strchr(name, ' ');
	return space && str_eq(space + 1, word);
}

static const char *nearest(const char *typed)
{
	const char *best = NULL;
	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		if (is_tail((*c)->name, typed))
			return (*c)->name;
		best = str_nearer(typed, best, (*c)->name);
	}
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		best = str_nearer(typed, best, groups[i].name);
	return best;
}

/* The words that were meant as a command: up to the first option, at most three. */
static void typed_words(int argc, const char *const *argv, struct buf *out)
{
	for (int i = 0; i < argc && i < 3 && argv[i][0] != '-'; i++)
		buf_addf(out, "%s%s", i ? " " : "", argv[i]);
}

char *cli_find_group(int argc, const char *const *argv)
{
	char *found = NULL;
	auto_buf struct buf name = BUF_INIT(NAME_MAX_BYTES);
	for (int i = 0; i < argc && i < 3; i++) {
		buf_addf(&name, "%s%s", i ? " " : "", argv[i]);
		if (!cli_group_summary(buf_str(&name)))
			break;
		free(found);
		found = xstrdup(buf_str(&name));
	}
	return found;
}

int cli_no_command(const struct cli *cli, int argc, const char *const *argv)
{
	if (argc == 0 && cli->json)
		return cli_usage(cli, "no command was given");
	if (argc == 0) {
		cli_help_all(stderr);
		return CLI_USAGE;
	}
	auto_buf struct buf typed = BUF_INIT(NAME_MAX_BYTES);
	auto_free char *group = cli_find_group(argc, argv);
	typed_words(group ? argc : 1, argv, &typed);
	if (str_eq(group, buf_str(&typed)) && cli->json)
		return cli_usage(cli, "no command was given after '%s'", group);
	if (str_eq(group, buf_str(&typed))) {
		cli_help_group(group, stderr);
		return CLI_USAGE;
	}
	const char *near = nearest(buf_str(&typed));
	if (near)
		return cli_usage(cli, "there is no command '%s'; did you mean '%s'?",
				 buf_str(&typed), near);
	return cli_usage(cli, "there is no command '%s'", buf_str(&typed));
}
