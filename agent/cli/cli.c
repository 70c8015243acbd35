// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"

#include "agent/cli/codedeploy-local.h"
#include "agent/launch.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

/* How many words of argv the name is; 0: it is another one. */
static int name_matches(const char *name, int argc, const char *const *argv)
{
	int words = 0;
	while (*name) {
		size_t len = strcspn(name, " ");
		if (words == argc || strlen(argv[words]) != len ||
		    memcmp(argv[words], name, len) != 0)
			return 0;
		words++;
		name += len + (name[len] == ' ');
	}
	return words;
}

const struct cli_command *cli_find(int argc, const char *const *argv, int *ret_words)
{
	const struct cli_command *best = NULL;
	*ret_words = 0;
	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		int words = name_matches((*c)->name, argc, argv);
		if (words <= *ret_words)
			continue;
		best = *c;
		*ret_words = words;
	}
	return best;
}

int cli_exit_of(int code)
{
	switch (code) {
	case ERR_INPUT:
	case ERR_FORMAT:
	case ERR_NOT_FOUND:
	case ERR_EXISTS:
		return CLI_USAGE;
	case ERR_REFUSED:
		return CLI_REFUSED;
	case ERR_UNDO:
		return CLI_UNDO;
	case ERR_BUSY:
	case ERR_NETWORK:
	case ERR_THROTTLED:
	case ERR_NOT_MOUNTED:
	case -ETIMEDOUT:
	case -ECONNREFUSED:
		return CLI_BUSY;
	default:
		return CLI_FAILED;
	}
}

char *cli_clean(const char *text)
{
	return str_to_line(text, strlen(text));
}

char *cli_clean_lines(const char *text)
{
	return str_to_utf8(text, strlen(text));
}

int cli_json(json_t *obj, int exit_code)
{
	auto_json json_t *owned = obj;
	json_set_int(owned, "exit", exit_code);
	auto_free char *text = json_text(owned);
	puts(text);
	return exit_code;
}

static int say_json(int exit_code, const struct error *err, const char *next)
{
	json_t *obj = json_object();
	json_set_str(obj, "code", error_name(err->code));
	json_set_str(obj, "text", err->text);
	json_set_str(obj, "next", next);
	return cli_json(obj, exit_code);
}

int cli_fail(const struct cli *cli, int exit_code, const struct error *err, const char *next, ...)
{
	auto_free char *hint = NULL;
	if (next) {
		va_list ap;
		va_start(ap, next);
		hint = xvasprintf(next, ap);
		va_end(ap);
	}
	if (cli->json)
		return say_json(exit_code, err, hint);
	auto_free char *text = cli_clean(err->text);
	fflush(stdout);
	if (cli->called)
		fprintf(stderr, "%s: %s\n", cli->called, text);
	else
		fprintf(stderr, "slipway%s%s: %s\n", cli->command ? " " : "",
			cli->command ? cli->command->name : "", text);
	if (hint)
		fprintf(stderr, "  %s\n", hint);
	return exit_code;
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	struct error err = {.code = ERR_INPUT};
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err.text, sizeof(err.text), fmt, ap);
	va_end(ap);
	if (!cli->command)
		return cli_fail(cli, CLI_USAGE, &err, "'slipway help' lists the commands");
	if (cli->called)
		return cli_fail(cli, CLI_USAGE, &err, "'%s --help' shows how it is called",
				cli->called);
	return cli_fail(cli, CLI_USAGE, &err, "'slipway %s --help' shows how it is called",
			cli->command->name);
}

/* No command was found: help was asked for, or somebody has to be told. */
static int without_command(const struct cli *cli, int argc, const char *const *argv, bool help)
{
	if (!help)
		return cli_no_command(cli, argc, argv);
	auto_free char *group = cli_find_group(argc, argv);
	if (group)
		cli_help_group(group, stdout);
	else if (argc == 0)
		return cmd_help.run((struct cli *)cli, &(struct cli_args){0});
	else
		return cli_no_command(cli, argc, argv);
	return CLI_DONE;
}

/* Global options may stand in front of the command, too. Returns how many words they are. */
static int read_leading(struct cli *cli, int argc, const char *const *argv, const char **ret_root,
			bool *ret_help, struct error *err)
{
	int i = 0;
	while (i < argc && argv[i][0] == '-' && strcmp(argv[i], "--version") != 0) {
		bool takes_next = strcmp(argv[i], "--root") == 0;
		int words = takes_next && i + 1 < argc ? 2 : 1;
		struct cli_args args = {0};
		int r = cli_args_parse(cli, NULL, words, argv + i, &args, ret_root, ret_help, err);
		cli_args_clear(&args);
		if (r < 0)
			return r;
		i += words;
	}
	return i;
}

/* "slipway history | head": that is no error. */
static bool reader_left(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO};
	return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

/* "dumb" is what editors and logging consoles say. */
static bool can_redraw(void)
{
	const char *term = getenv("TERM");
	return !str_empty(term) && strcmp(term, "dumb") != 0;
}

static int run_command(struct cli *cli, const struct cli_args *args, const char *root)
{
	struct error err = {0};
	int r = paths_init(&cli->paths, root, &err);
	if (r < 0)
		return cli_fail(cli, CLI_FAILED, &err, NULL);
	cli->tty = !cli->json && isatty(STDOUT_FILENO);
	cli->live = cli->tty && can_redraw();
	int code = cli->command->run(cli, args);
	paths_clear(&cli->paths);
	/* a full disk behind a redirection must not look like success */
	bool failed = fflush(stdout) == EOF || ferror(stdout);
	if (failed && !reader_left()) {
		error_errno(&err, "write to standard output");
		cli->json = false;
		cli_fail(cli, CLI_FAILED, &err, NULL);
		return code == CLI_DONE ? CLI_FAILED : code;
	}
	return code;
}

int cli_become_whole(const struct cli *cli)
{
	struct error err = {0};
	auto_free char *program = launch_program(cli_whole);
	execv(program, cli->argv);
	error_errno(&err, "start '%s'", program);
	return cli_fail(cli, CLI_FAILED, &err, "install the package slipway again");
}

int cli_run(struct cli *cli, int argc)
{
	struct cli_args args = {0};
	struct error err = {0};
	const char *root = NULL;
	bool help = false;
	const char *const *words = (const char *const *)cli->argv + 1;
	/* seen first, so that a mistake in front of it is told as JSON, too */
	for (int i = 1; i < argc && strcmp(cli->argv[i], "--") != 0; i++)
		cli->json = cli->json || strcmp(cli->argv[i], "--json") == 0;
	int used = read_leading(cli, argc - 1, words, &root, &help, &err);
	if (used < 0)
		return cli_usage(cli, "%s", err.text);
	words += used;
	int left = argc - 1 - used, name_words;
	if (left > 0 && strcmp(words[0], "--version") == 0)
		cli->command = &cmd_version, name_words = 1;
	else
		cli->command = cli_find(left, words, &name_words);
	if (!cli->command && cli_whole)
		return cli_become_whole(cli);
	for (int i = 1; i < left && !cli->command; i++)
		help = help || strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0;
	if (!cli->command)
		return without_command(cli, left, words, help);
	int r = cli_args_parse(cli, cli->command, left - name_words, words + name_words, &args,
			       &root, &help, &err);
	int code = CLI_DONE;
	if (r < 0)
		code = cli_usage(cli, "%s", err.text);
	else if (help)
		cli_help(cli->command, stdout);
	else
		code = run_command(cli, &args, root);
	cli_args_clear(&args);
	return code;
}

int cli_main(int argc, char **argv)
{
	log_init("slipway", LOG_WARNING);
	signal(SIGPIPE, SIG_IGN);
	struct cli cli = {.argv = argv};
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	if (argc > 0 && str_eq(slash ? slash + 1 : argv[0], CODEDEPLOY_LOCAL))
		return cli_whole ? cli_become_whole(&cli) : codedeploy_local_main(argc, argv);
	bool complete = argc > 1 && strcmp(argv[1], "--complete") == 0;
	if (complete && cli_whole)
		return cli_become_whole(&cli);
	if (complete)
		return cli_complete(argc - 2, (const char *const *)argv + 2);
	return cli_run(&cli, argc);
}
