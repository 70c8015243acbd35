/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share: one struct describes a command, one table (commands.c) lists them all,
 * and the rest is parsing, output and exit codes done once.
 *
 * A new command: cmd-X.c with one "const struct cli_command cmd_X", declared below, and a row in
 * commands.c. A name may have two words ("fleet hosts"). */
#pragma once

#include "agent/paths.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The contract with scripts: docs say what each means, and no other number is ever used, but by
 * doctor: 10 to 20 say which layer failed. */
enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,  /* the host is as before */
	CLI_USAGE = 2,   /* bad usage or input, nothing touched */
	CLI_REFUSED = 3, /* by the plan, nothing touched */
	CLI_UNDO = 4,    /* failed and could not be undone, a person is needed */
	CLI_LEFT = 5,    /* failed, left as it is as asked: state_is_left() */
	CLI_BUSY = 6,    /* busy or unreachable, try again */
};

/* The program's settings, from the global options; every command gets it. */
struct cli {
	const struct cli_command *command;
	struct paths paths;
	bool json;   /* --json: exactly one JSON object on stdout and nothing else there */
	bool tty;    /* stdout is a terminal, and not for JSON */
	bool live;   /* and one that can redraw a line: bars and live lines are welcome */
	char **argv; /* of the program */
	/* The program that a person has called; NULL: slipway. */
	const char *called;
};

/* What a value or an operand is: what the shells' completion offers for it (complete.c). */
enum cli_kind {
	CLI_TEXT, /* nobody can guess it */
	CLI_FILE,
	CLI_DIR,
	CLI_GROUP,      /* of this host */
	CLI_DEPLOYMENT, /* that this host remembers */
	CLI_KEPT,       /* that this host can install again */
	CLI_EVENTS,     /* lifecycle events, separated by commas */
	CLI_BEHAVIOR,   /* of files that are in the way */
	CLI_CONFIG,     /* how many hosts at once */
	CLI_COMMAND,
	CLI_KIND_COUNT
};

struct cli_option {
	const char *name; /* "group" for --group; "json", "root" and "help" exist already */
	char letter;      /* 'f' for -f; 0: none */
	const char *arg;  /* what stands for the value in the help ("G"); NULL: a flag */
	enum cli_kind kind;
	bool needed;      /* stands in the help's first line */
	const char *help; /* one line */
};

struct cli_args {
	const char **operands;
	size_t n_operands;
	struct cli_given {
		const struct cli_option *option;
		const char *value; /* NULL for a flag */
	} * given;
	size_t n_given;
};

struct cli_command {
	const char *name;
	const char *operands; /* for the synopsis: "SOURCE", "[ID]"; "" when there are none */
	unsigned min_operands, max_operands;
	enum cli_kind operand_kind;
	const char *summary;              /* one line, for the list */
	const char *help;                 /* what a person has to know; help.c breaks the lines */
	const char *example;              /* lines that begin with "slipway " */
	const struct cli_option *options; /* ends with a row without name; NULL: none */
	const char *page;                 /* of the manual: "slipway-deploy" */
	/* Returns an exit code. */
	int (*run)(struct cli *cli, const struct cli_args *args);
};

/* The table, ends with NULL. */
extern const struct cli_command *const cli_commands[];
/* Of every command: root, json, help, in this order. Ends with a row without name. */
extern const struct cli_option cli_global_options[];

/* main() of slipway. */
int cli_main(int argc, char **argv);
/* The same where another program than slipway was called; argv is cli's. */
int cli_run(struct cli *cli, int argc);

/* The option's last value; NULL when it was not given. */
const char *cli_value(const struct cli_args *args, const char *name);
bool cli_has(const struct cli_args *args, const char *name);
/* All values of an option that may be repeated: NULL-terminated, the array is the caller's. */
const char **cli_values(const struct cli_args *args, const char *name);

/* Parse what follows the command's name into *ret, global options into cli. ERR_INPUT names the
 * option that is wrong. *ret_help: --help was given. */
int cli_args_parse(struct cli *cli, const struct cli_command *command, int argc,
		   const char *const *argv, struct cli_args *ret, const char **ret_root,
		   bool *ret_help, struct error *err) MUST_CHECK;
void cli_args_clear(struct cli_args *args);

/* The command that argv begins with, the longest name first; *ret_words: how many words its name
 * has. NULL: there is none. */
const struct cli_command *cli_find(int argc, const char *const *argv, int *ret_words);

/* What --help prints (help.c): the commands under their headings, those of a group ("fleet"), and
 * one command. */
void cli_list(FILE *out);
void cli_help_group(const char *group, FILE *out);
/* All of them, as 'slipway help' prints it. */
void cli_help_all(FILE *out);
void cli_help(const struct cli_command *command, FILE *out);
/* The longest group that argv begins with ("fleet app"), NULL: none. Caller frees. */
char *cli_find_group(int argc, const char *const *argv);
bool cli_in_group(const struct cli_command *command, const char *group);
const char *cli_group_summary(const char *name); /* NULL: there is no such group */
/* No command has the name that argv begins with: say so, and which one was meant. Returns 2. */
int cli_no_command(const struct cli *cli, int argc, const char *const *argv);

/* What the shells' completion asks (complete.c): words are those after "slipway", the last one is
 * being typed. Prints one candidate per line, "WORD<TAB>WHAT IT IS", or ":file" or ":dir" where the
 * shell knows better. Says nothing of its own. */
int cli_complete(int argc, const char *const *words);

/* The one JSON object of a command: adds "exit", prints, drops the reference. Returns exit. */
int cli_json(json_t *obj, int exit_code);
/* The exit code that belongs to an error of our own. */
int cli_exit_of(int code);
/* Say an error: on stderr "slipway VERB: TEXT", then next (may be NULL) as what to do now; with
 * --json one object {"exit","code","text","next"} on stdout. Returns exit_code. */
int cli_fail(const struct cli *cli, int exit_code, const struct error *err, const char *next, ...)
	PRINTF_LIKE(4, 5);
/* Same for a mistake in how the command was called: exit 2 and a pointer to its help. */
int cli_usage(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Text that is printed to a terminal and came from elsewhere, names of files too: control
 * characters became '?', so that it is one line and no command to the terminal. The caller frees.
 */
char *cli_clean(const char *text);
/* The same for what may have several lines: \n and \t stay. */
char *cli_clean_lines(const char *text);

/* The program that has all commands, where this one has not; else NULL. */
extern const char *const cli_whole;
/* Become it. Returns only when it is not there, with an exit code. */
int cli_become_whole(const struct cli *cli);
/* How sources are fetched that are not on this host; NULL where only cli_whole can. */
struct remote_ops;
extern const struct remote_ops *const cli_remote;
extern const struct cli_command cmd_adopt, cmd_deploy, cmd_doctor, cmd_explain, cmd_help,
	cmd_history, cmd_import, cmd_lint, cmd_metrics, cmd_logs, cmd_pack, cmd_plan, cmd_recover,
	cmd_redeploy, cmd_remove, cmd_rollback, cmd_status, cmd_verify, cmd_version;
extern const struct cli_command cmd_enroll, cmd_unenroll, cmd_whoami;
extern const struct cli_command cmd_fleet_app_create, cmd_fleet_app_delete, cmd_fleet_app_list,
	cmd_fleet_deploy, cmd_fleet_deployments, cmd_fleet_group_create, cmd_fleet_group_delete,
	cmd_fleet_group_list, cmd_fleet_hosts, cmd_fleet_push, cmd_fleet_show, cmd_fleet_stop,
	cmd_fleet_watch;
