/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of slipway-controld: a table of commands, one function each. The same table
 * (cmd-table.c) parses, explains and completes. */
#pragma once

#include "control/control.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CMD_LIST_MAX 64

/* Everything that options can say; each command allows some of them. */
struct cmd_args {
	const char *dir, *config;
	const char *names[CMD_LIST_MAX + 1]; /* --name, NULL-terminated */
	unsigned n_names;
	const char *tags[CMD_LIST_MAX + 1]; /* --tag K=V */
	unsigned n_tags;
	const char *settings[CMD_LIST_MAX + 1]; /* --set NAME=VALUE */
	unsigned n_settings;
	const char *listen, *region, *account;
	uint64_t ttl_ms;
	int64_t uses;
	bool fixed_tags, quiet, json, verbose;
	const char *operand; /* after the options, NULL: none */
};

/* Returns the exit code, or below 0. control is open; what was written is committed by
 * control_commit(). */
typedef int cmd_fn(struct control *control, const struct cmd_args *args, struct error *err);

int cmd_main(int argc, char **argv);

/* What an option may say; a bit of struct cmd's options. One word may have several meanings. */
enum cmd_option_id {
	OPT_DIR = 1,
	OPT_CONFIG,
	OPT_NAME,
	OPT_HOST_NAME,
	OPT_KEY_NAME,
	OPT_TAG,
	OPT_SET,
	OPT_LISTEN,
	OPT_REGION,
	OPT_ACCOUNT,
	OPT_TTL,
	OPT_USES,
	OPT_FIXED_TAGS,
	OPT_QUIET,
	OPT_JSON,
	OPT_VERBOSE,
	OPT_HELP,
	OPT_COUNT
};

/* What the shells' completion offers for a value. */
enum cmd_kind { CMD_TEXT, CMD_FILE, CMD_DIR, CMD_SETTING, CMD_HOST, CMD_KEY, CMD_TOKEN };

struct cmd_option {
	enum cmd_option_id id;
	const char *name, *arg; /* arg NULL: a flag */
	enum cmd_kind kind;
	const char *help;
};

struct cmd {
	const char *name; /* "serve", "token create" */
	cmd_fn *fn;
	unsigned options;    /* beside those of every command */
	const char *operand; /* its name, NULL: none */
	enum cmd_kind operand_kind;
	bool certificates; /* needs the server's certificate: may make it */
	const char *summary, *help, *example;
};

/* cmd-table.c; both end with a row without name. */
extern const struct cmd cmd_commands[];
extern const struct cmd_option cmd_options[];
/* The bits of all options that the command takes. */
unsigned cmd_allowed(const struct cmd *cmd);

/* cmd-help.c */
void cmd_list(FILE *out);
void cmd_help(const struct cmd *cmd);
/* The command that argv begins with; *ret_words: how many words its name has. NULL: none. */
const struct cmd *cmd_find(int argc, const char *const *argv, int *ret_words);
/* Say that there is none, and which was meant. Returns the exit code. argc is above 0. */
int cmd_no_command(int argc, const char *const *argv);
/* "--complete WORD...": candidates for the last word, one per line, "WORD<TAB>WHAT IT IS", or
 * ":file" or ":dir" where the shell knows better. */
int cmd_complete(int argc, const char *const *words);

/* cmd.c */
cmd_fn cmd_init, cmd_serve;
/* cmd-secrets.c */
#define CMD_TOKEN_ID_LEN 12 /* of the SHA-256, enough to tell tokens apart */

cmd_fn cmd_token_create, cmd_token_list, cmd_token_delete;
cmd_fn cmd_key_create, cmd_key_list, cmd_key_delete;
/* cmd-hosts.c */
cmd_fn cmd_host_list, cmd_host_revoke;
