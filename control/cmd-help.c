// SPDX-License-Identifier: Apache-2.0
/* What --help prints and what the shells' completion offers, from the commands' own tables. */
#include "control/cmd.h"

#include "common/alloc.h"
#include "common/log.h"
#include "common/str.h"
#include "common/usage.h"
#include "control/store.h"

#include <ctype.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LIST_COLUMN 27

static void print_options(unsigned wanted)
{
	for (const struct cmd_option *o = cmd_options; o->name; o++)
		if (wanted & (1u << o->id))
			usage_option(stdout, 0, o->name, o->arg, o->help);
}

void cmd_help(const struct cmd *cmd)
{
	printf("Usage: slipway-controld %s [OPTION]...%s%s\n\n", cmd->name, cmd->operand ? " " : "",
	       cmd->operand ? cmd->operand : "");
	auto_free char *summary = xasprintf("%s.", cmd->summary);
	summary[0] = (char)toupper((unsigned char)summary[0]);
	usage_text(stdout, 0, summary);
	if (cmd->help) {
		putchar('\n');
		usage_text(stdout, 0, cmd->help);
	}
	if (cmd->options) {
		puts("\nOptions:");
		print_options(cmd->options);
	}
	puts("\nOf every command:");
	print_options(cmd_allowed(cmd) & ~cmd->options);
	putchar('\n');
	usage_example(stdout, cmd->example);
	puts("\nThe manual: man slipway-controld");
}

void cmd_list(FILE *out)
{
	usage_text(out, 0,
		   "Usage: slipway-controld COMMAND [OPTION]...\n"
		   "\n"
		   "The control endpoint of Slipway. Commands work while it serves. "
		   "'slipway-controld COMMAND --help' explains a command, with an example.\n"
		   "\n"
		   "Commands:");
	for (const struct cmd *c = cmd_commands; c->name; c++) {
		auto_free char *call = xasprintf("%s%s%s", c->name, c->operand ? " " : "",
						 c->operand ? c->operand : "");
		usage_item(out, call, LIST_COLUMN, c->summary);
	}
	usage_text(out, 0,
		   "\n"
		   "'slipway-controld --help-config' explains every setting, 'slipway-controld "
		   "--version' says which version this is.\n"
		   "The manual: man slipway-controld");
}

const struct cmd *cmd_find(int argc, const char *const *argv, int *ret_words)
{
	for (const struct cmd *c = cmd_commands; argc > 0 && c->name; c++) {
		auto_free char *two = xasprintf("%s %s", argv[0], argc > 1 ? argv[1] : "");
		bool is_two = strchr(c->name, ' ') != NULL;
		if (!str_eq(c->name, is_two ? two : argv[0]))
			continue;
		*ret_words = is_two ? 2 : 1;
		return c;
	}
	return NULL;
}

/* "token": begins names of two words. Says which, and returns true. */
static bool say_second_words(const char *first)
{
	unsigned n = 0;
	for (const struct cmd *c = cmd_commands; c->name; c++) {
		size_t len = strcspn(c->name, " ");
		if (strlen(first) != len || strncmp(c->name, first, len) != 0)
			continue;
		if (n++ == 0)
			fprintf(stderr, "slipway-controld: '%s' wants one more word:\n", first);
		usage_item(stderr, c->name, LIST_COLUMN, c->summary);
	}
	return n > 0;
}

int cmd_no_command(int argc, const char *const *argv)
{
	const char *near = NULL;
	bool two = argc > 1 && argv[1][0] != '-';
	if (!two && say_second_words(argv[0]))
		return 2;
	auto_free char *typed = xasprintf("%s%s%s", argv[0], two ? " " : "", two ? argv[1] : "");
	for (const struct cmd *c = cmd_commands; c->name; c++)
		near = str_nearer(strchr(c->name, ' ') ? typed : argv[0], near, c->name);
	fprintf(stderr, "slipway-controld: there is no command '%s'", typed);
	if (near)
		fprintf(stderr, "; did you mean '%s'?", near);
	fputs("\n  'slipway-controld --help' lists the commands\n", stderr);
	return 2;
}

/* ---- completion: as agent/cli/complete.c, but simpler ---- */

struct completion {
	const char *current;
	const char *dir;
};

static void offer(const struct completion *c, const char *word, const char *what)
{
	if (str_starts(word, c->current) && !strpbrk(word, "\n\t"))
		printf("%s\t%s\n", word, what);
}

static int offer_host(const struct store_host *host, void *arg)
{
	offer(arg, host->name, "registered host");
	return 0;
}

static int offer_key(const struct store_key *key, void *arg)
{
	offer(arg, key->id, key->name);
	return 0;
}

static int offer_token(const struct store_token *token, void *arg)
{
	auto_free char *id = xstrndup(token->sha256, CMD_TOKEN_ID_LEN);
	offer(arg, id, token->name_glob[0] ? token->name_glob : "any host");
	return 0;
}

/* Only where an endpoint is: control_open() would make one. */
static void offer_stored(struct completion *c, enum cmd_kind kind)
{
	auto_control struct control control = CONTROL_INIT;
	auto_free char *database = xasprintf("%s/control.db", c->dir);
	settings_init(&control.settings);
	if (access(database, R_OK | W_OK) < 0 || control_open(&control, c->dir, NULL, NULL) < 0)
		return;
	int r = 0;
	if (kind == CMD_HOST)
		r = store_host_each(control.store, STORE_HOSTS_REGISTERED, "", 0, offer_host, c,
				    NULL);
	else if (kind == CMD_KEY)
		r = store_key_each(control.store, offer_key, c, NULL);
	else if (kind == CMD_TOKEN)
		r = store_token_each(control.store, offer_token, c, NULL);
	if (r < 0)
		log_debug("completion: error %d", r);
}

static void offer_kind(struct completion *c, enum cmd_kind kind)
{
	if (kind == CMD_FILE || kind == CMD_DIR)
		puts(kind == CMD_FILE ? ":file" : ":dir");
	else if (kind == CMD_SETTING)
		settings_each_name(c->current, stdout);
	else if (kind != CMD_TEXT)
		offer_stored(c, kind);
}

static void offer_commands(const struct completion *c, const char *first)
{
	const char *last = "";
	for (const struct cmd *cmd = cmd_commands; cmd->name; cmd++) {
		size_t len = strcspn(cmd->name, " ");
		const char *second = cmd->name[len] ? cmd->name + len + 1 : NULL;
		auto_free char *word = xstrndup(cmd->name, len);
		if (first && second && str_eq(word, first))
			offer(c, second, cmd->summary);
		else if (!first && strncmp(last, cmd->name, len + 1) != 0)
			offer(c, word, second ? "" : cmd->summary);
		last = cmd->name;
	}
}

static const struct cmd_option *find_option(const struct cmd *cmd, const char *word)
{
	for (const struct cmd_option *o = cmd_options; o->name; o++)
		if ((cmd_allowed(cmd) & (1u << o->id)) && str_starts(word, "--") &&
		    str_eq(word + 2, o->name))
			return o;
	return NULL;
}

static void offer_options(const struct completion *c, const struct cmd *cmd)
{
	for (const struct cmd_option *o = cmd_options; o->name; o++) {
		auto_free char *word = xasprintf("--%s", o->name);
		if (cmd_allowed(cmd) & (1u << o->id))
			offer(c, word, o->help);
	}
}

int cmd_complete(int argc, const char *const *words)
{
	int n = argc - 1, name_words;
	if (argc == 0)
		return 2;
	log_set_level(LOG_CRIT);
	struct completion c = {.current = words[n], .dir = CONTROL_DIR};
	for (int i = 0; i + 1 < n; i++)
		if (str_eq(words[i], "--dir"))
			c.dir = words[i + (str_eq(words[i + 1], "=") && i + 2 < n ? 2 : 1)];
	const struct cmd *cmd = cmd_find(n, words, &name_words);
	if (!cmd) {
		if (n < 2)
			offer_commands(&c, n ? words[0] : NULL);
		return 0;
	}
	bool cut = n > name_words + 1 && str_eq(words[n - 1], "="); /* bash: "--dir" "=" "x" */
	bool begun = n > name_words && str_eq(c.current, "=");
	const struct cmd_option *option =
		n > name_words ? find_option(cmd, words[n - (cut ? 2 : 1)]) : NULL;
	c.current = begun ? "" : c.current;
	if (option && option->arg)
		offer_kind(&c, option->kind);
	else if (c.current[0] == '-' || !cmd->operand)
		offer_options(&c, cmd);
	else
		offer_kind(&c, cmd->operand_kind);
	return 0;
}
