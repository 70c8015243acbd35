// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "common/alloc.h"
#include "common/str.h"

#include <stdlib.h>
#include <string.h>

const struct cli_option cli_global_options[] = {
	{.name = "root",
	 .arg = "DIR",
	 .kind = CLI_DIR,
	 .help = "keep everything of Slipway below DIR"},
	{.name = "json", .help = "one JSON object instead of text"},
	{.name = "help", .letter = 'h', .help = "show this help"},
	{0},
};

struct parse {
	struct cli *cli;
	const struct cli_command *command;
	struct cli_args *args;
	const char **ret_root;
	bool *ret_help;
	struct error *err;
};

/* len: of the name, without what follows a '='. letter instead when name is NULL. */
static const struct cli_option *find_in(const struct cli_option *list, const char *name, size_t len,
					char letter)
{
	for (; list && list->name; list++) {
		if (name && strlen(list->name) == len && memcmp(list->name, name, len) == 0)
			return list;
		if (!name && list->letter && list->letter == letter)
			return list;
	}
	return NULL;
}

static const struct cli_option *find(const struct parse *p, const char *name, size_t len,
				     char letter)
{
	const struct cli_option *own = p->command ? p->command->options : NULL;
	const struct cli_option *found = find_in(own, name, len, letter);
	return found ? found : find_in(cli_global_options, name, len, letter);
}

static void take(struct parse *p, const struct cli_option *option, const char *value)
{
	if (option == &cli_global_options[0])
		*p->ret_root = value;
	else if (option == &cli_global_options[1])
		p->cli->json = true;
	else if (option == &cli_global_options[2])
		*p->ret_help = true;
	else {
		struct cli_args *args = p->args;
		args->given = xrealloc_array(args->given, args->n_given + 1, sizeof(*args->given));
		args->given[args->n_given++] = (struct cli_given){option, value};
	}
}

static int unknown(const struct parse *p, const char *name, const char *word, int len)
{
	const struct cli_option *lists[] = {p->command ? p->command->options : NULL,
					    cli_global_options};
	auto_free char *typed = name ? xstrndup(word + 2, (size_t)len - 2) : NULL;
	const char *near = NULL;
	for (size_t i = 0; typed && i < ARRAY_LEN(lists); i++)
		for (const struct cli_option *o = lists[i]; o && o->name; o++)
			near = str_nearer(typed, near, o->name);
	if (near)
		return error_set(p->err, ERR_INPUT, "unknown option '%.*s'; did you mean '--%s'?",
				 len, word, near);
	return error_set(p->err, ERR_INPUT, "unknown option '%.*s'", len, word);
}

/* argv[0] is an option. Returns how many words it took. */
static int read_option(struct parse *p, int argc, const char *const *argv)
{
	const char *word = argv[0];
	bool is_long = word[1] == '-';
	const char *name = is_long ? word + 2 : NULL;
	const char *equals = is_long ? strchr(name, '=') : NULL;
	size_t len = equals ? (size_t)(equals - name) : name ? strlen(name) : 0;
	const struct cli_option *option = find(p, name, len, word[1]);
	if (!option || (!is_long && word[2]))
		return unknown(p, name, word, is_long ? (int)len + 2 : (int)strlen(word));
	if (!option->arg && equals)
		return error_set(p->err, ERR_INPUT, "option '--%s' takes no value", option->name);
	if (!option->arg) {
		take(p, option, NULL);
		return 1;
	}
	const char *value = equals ? equals + 1 : argc > 1 ? argv[1] : NULL;
	if (str_empty(value))
		return error_set(p->err, ERR_INPUT, "option '--%s' needs a value: --%s %s",
				 option->name, option->name, option->arg);
	take(p, option, value);
	return equals ? 1 : 2;
}

static int check_operands(const struct parse *p)
{
	const struct cli_command *command = p->command;
	size_t n = p->args->n_operands;
	if (!command || *p->ret_help)
		return 0;
	if (n < command->min_operands)
		return error_set(p->err, ERR_INPUT, "%s is missing", command->operands);
	if (n > command->max_operands)
		return error_set(p->err, ERR_INPUT, "'%s' is one argument too many",
				 p->args->operands[command->max_operands]);
	return 0;
}

int cli_args_parse(struct cli *cli, const struct cli_command *command, int argc,
		   const char *const *argv, struct cli_args *ret, const char **ret_root,
		   bool *ret_help, struct error *err)
{
	struct parse p = {.cli = cli,
			  .command = command,
			  .args = ret,
			  .ret_root = ret_root,
			  .ret_help = ret_help,
			  .err = err};
	bool only_operands = false;
	ret->operands = xrealloc_array(ret->operands, (size_t)argc + 1, sizeof(*ret->operands));
	for (int i = 0; i < argc;) {
		const char *word = argv[i];
		if (!only_operands && strcmp(word, "--") == 0) {
			only_operands = true;
			i++;
		} else if (!only_operands && word[0] == '-' && word[1]) {
			int used = read_option(&p, argc - i, argv + i);
			if (used < 0)
				return used;
			i += used;
		} else {
			ret->operands[ret->n_operands++] = word;
			i++;
		}
	}
	ret->operands[ret->n_operands] = NULL;
	return check_operands(&p);
}

void cli_args_clear(struct cli_args *args)
{
	free(args->operands);
	free(args->given);
	*args = (struct cli_args){0};
}

const char *cli_value(const struct cli_args *args, const char *name)
{
	const char *value = NULL;
	for (size_t i = 0; i < args->n_given; i++)
		if (strcmp(args->given[i].option->name, name) == 0)
			value = args->given[i].value;
	return value;
}

bool cli_has(const struct cli_args *args, const char *name)
{
	for (size_t i = 0; i < args->n_given; i++)
		if (strcmp(args->given[i].option->name, name) == 0)
			return true;
	return false;
}

const char **cli_values(const struct cli_args *args, const char *name)
{
	const char **list = xcalloc(args->n_given + 1, sizeof(*list));
	size_t count = 0;
	for (size_t i = 0; i < args->n_given; i++)
		if (strcmp(args->given[i].option->name, name) == 0)
			list[count++] = args->given[i].value;
	return list;
}
