/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of slipway-controld: a table of commands, one function each. */
#pragma once

#include "control/control.h"

#include <stdbool.h>
#include <stdint.h>

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

/* cmd-secrets.c */
cmd_fn cmd_token_create, cmd_token_list, cmd_token_delete;
cmd_fn cmd_key_create, cmd_key_list, cmd_key_delete;
/* cmd-hosts.c */
cmd_fn cmd_host_list, cmd_host_revoke;
