// SPDX-License-Identifier: Apache-2.0
#include "control/cmd.h"

#include "common/alloc.h"
#include "common/log.h"
#include "common/str.h"
#include "control/ca.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* ---- options ---- */

enum option_id {
	OPT_DIR = 1,
	OPT_CONFIG,
	OPT_NAME,
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
	OPT_HELP_CONFIG,
	OPT_VERSION,
};

static const struct option options[] = {
	{"dir", required_argument, NULL, OPT_DIR},
	{"config", required_argument, NULL, OPT_CONFIG},
	{"name", required_argument, NULL, OPT_NAME},
	{"tag", required_argument, NULL, OPT_TAG},
	{"set", required_argument, NULL, OPT_SET},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"region", required_argument, NULL, OPT_REGION},
	{"account", required_argument, NULL, OPT_ACCOUNT},
	{"ttl", required_argument, NULL, OPT_TTL},
	{"uses", required_argument, NULL, OPT_USES},
	{"fixed-tags", no_argument, NULL, OPT_FIXED_TAGS},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"json", no_argument, NULL, OPT_JSON},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"help", no_argument, NULL, OPT_HELP},
	{"help-config", no_argument, NULL, OPT_HELP_CONFIG},
	{"version", no_argument, NULL, OPT_VERSION},
	{0},
};

#define BIT(id) (1u << (id))
#define EVERY (BIT(OPT_DIR) | BIT(OPT_CONFIG) | BIT(OPT_SET) | BIT(OPT_VERBOSE) | BIT(OPT_HELP))

/* ---- commands ---- */

static cmd_fn cmd_init, cmd_serve;

static const struct cmd {
	const char *name, *sub; /* "token create"; sub NULL: one word */
	cmd_fn *fn;
	unsigned options;
	const char *operand; /* its name, NULL: none */
	bool certificates;   /* needs the server's certificate: may make it */
	const char *usage, *help;
} commands[] = {
	{"init", NULL, cmd_init,
	 EVERY | BIT(OPT_NAME) | BIT(OPT_REGION) | BIT(OPT_ACCOUNT) | BIT(OPT_LISTEN), NULL, true,
	 "[--name DNS-or-IP]... [--region R] [--account N] [--listen A:P]",
	 "make CA, certificates, database and the first admin access key"},
	{"serve", NULL, cmd_serve, EVERY | BIT(OPT_NAME) | BIT(OPT_LISTEN), NULL, true,
	 "[--listen ADDRESS:PORT] [--name DNS-or-IP]...",
	 "serve; an empty directory is initialised first"},
	{"token", "create", cmd_token_create,
	 EVERY | BIT(OPT_TTL) | BIT(OPT_USES) | BIT(OPT_TAG) | BIT(OPT_NAME) | BIT(OPT_FIXED_TAGS) |
		 BIT(OPT_QUIET) | BIT(OPT_JSON),
	 NULL, false,
	 "[--ttl 1h] [--uses 1] [--tag K=V]... [--fixed-tags] [--name GLOB] [--quiet | --json]",
	 "a token with which hosts may enrol"},
	{"token", "list", cmd_token_list, EVERY | BIT(OPT_JSON), NULL, false, "[--json]",
	 "the tokens that were made (not their text)"},
	{"token", "delete", cmd_token_delete, EVERY, "ID", false, "",
	 "a token is not accepted any more; ID as 'token list' shows it"},
	{"key", "create", cmd_key_create, EVERY | BIT(OPT_NAME) | BIT(OPT_JSON), NULL, false,
	 "[--name N] [--json]", "an access key for a person or a pipeline"},
	{"key", "list", cmd_key_list, EVERY | BIT(OPT_JSON), NULL, false, "[--json]",
	 "the access keys (not their secrets)"},
	{"key", "delete", cmd_key_delete, EVERY, "ACCESS-KEY-ID", false, "",
	 "an access key is not accepted any more"},
	{"host", "list", cmd_host_list, EVERY | BIT(OPT_JSON), NULL, false, "[--json]",
	 "the hosts that enrolled"},
	{"host", "revoke", cmd_host_revoke, EVERY, "NAME", false, "",
	 "a host is refused at once, its name is free again"},
};

static void usage(FILE *out)
{
	fprintf(out, "Usage: slipway-controld COMMAND [OPTION]...\n\n"
		     "The control endpoint of Slipway. Commands work while it serves.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct cmd *c = &commands[i];
		fprintf(out, "  %s%s%s%s%s%s%s\n      %s\n", c->name, c->sub ? " " : "",
			c->sub ? c->sub : "", c->operand ? " " : "", c->operand ? c->operand : "",
			c->usage[0] ? " " : "", c->usage, c->help);
	}
	fprintf(out, "\nOptions of every command:\n"
		     "  --dir DIR         where everything is kept (default " CONTROL_DIR ")\n"
		     "  --config FILE     settings (default " CONTROL_SETTINGS ")\n"
		     "  --set NAME=VALUE  one setting, before that of the file\n"
		     "  --verbose         log more\n"
		     "  --help, --help-config, --version\n");
}

static const struct cmd *find_command(const char *name, const char *sub)
{
	for (size_t i = 0; name && i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0 &&
		    (!commands[i].sub || (sub && strcmp(commands[i].sub, sub) == 0)))
			return &commands[i];
	return NULL;
}

static int add(const char **list, unsigned *count, const char *value, const char *what,
	       struct error *err)
{
	if (*count == CMD_LIST_MAX)
		return error_set(err, ERR_INPUT, "at most %d %s options", CMD_LIST_MAX, what);
	list[(*count)++] = value;
	return 0;
}

static int take_option(int id, struct cmd_args *args, struct error *err)
{
	switch (id) {
	case OPT_DIR:
		args->dir = optarg;
		return 0;
	case OPT_CONFIG:
		args->config = optarg;
		return 0;
	case OPT_NAME:
		return add(args->names, &args->n_names, optarg, "--name", err);
	case OPT_TAG:
		return add(args->tags, &args->n_tags, optarg, "--tag", err);
	case OPT_SET:
		return add(args->settings, &args->n_settings, optarg, "--set", err);
	case OPT_LISTEN:
		args->listen = optarg;
		return 0;
	case OPT_REGION:
		args->region = optarg;
		return 0;
	case OPT_ACCOUNT:
		args->account = optarg;
		return 0;
	case OPT_TTL:
		if (str_to_duration(optarg, &args->ttl_ms) < 0 || args->ttl_ms < 1000)
			return error_set(err, ERR_INPUT,
					 "--ttl '%s' is no duration such as 30m, 1h or 7d", optarg);
		return 0;
	case OPT_USES:
		if (str_to_i64(optarg, &args->uses) < 0 || args->uses < 1)
			return error_set(err, ERR_INPUT, "--uses '%s' is no number above 0",
					 optarg);
		return 0;
	case OPT_FIXED_TAGS:
		args->fixed_tags = true;
		return 0;
	case OPT_QUIET:
		args->quiet = true;
		return 0;
	case OPT_JSON:
		args->json = true;
		return 0;
	case OPT_VERBOSE:
		args->verbose = true;
		return 0;
	default:
		return error_set(err, ERR_INPUT, "see 'slipway-controld --help'");
	}
}

/* Options of this command into args. Returns 1 when only help was wanted. */
static int parse(const struct cmd *cmd, int argc, char **argv, struct cmd_args *args,
		 struct error *err)
{
	int id, index = 0, r = 0;
	optind = 1;
	while (r >= 0 && (id = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (id == OPT_HELP) {
			usage(stdout);
			return 1;
		}
		if (id != '?' && !(cmd->options & BIT(id)))
			return error_set(err, ERR_INPUT, "--%s is no option of '%s%s%s'",
					 options[index].name, cmd->name, cmd->sub ? " " : "",
					 cmd->sub ? cmd->sub : "");
		r = take_option(id, args, err);
	}
	if (r < 0)
		return r;
	int left = argc - optind;
	if (left != (cmd->operand ? 1 : 0))
		return error_set(err, ERR_INPUT, "'%s%s%s' takes %s", cmd->name,
				 cmd->sub ? " " : "", cmd->sub ? cmd->sub : "",
				 cmd->operand ? cmd->operand : "no argument");
	args->operand = cmd->operand ? argv[optind] : NULL;
	return 0;
}

static int load_settings(struct settings *settings, const struct cmd_args *args, struct error *err)
{
	settings_init(settings);
	int r = settings_load(settings, args->config, err);
	for (unsigned i = 0; r >= 0 && i < args->n_settings; i++) {
		const char *equals = strchr(args->settings[i], '=');
		if (!equals)
			return error_set(err, ERR_INPUT, "--set '%s' is not NAME=VALUE",
					 args->settings[i]);
		auto_free char *name =
			xstrndup(args->settings[i], (size_t)(equals - args->settings[i]));
		r = settings_set(settings, name, equals + 1, err);
	}
	const struct {
		const char *name, *value;
	} own[] = {{"listen", args->listen}, {"region", args->region}, {"account", args->account}};
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(own); i++)
		if (own[i].value)
			r = settings_set(settings, own[i].name, own[i].value, err);
	return r;
}

static int log_level(const struct settings *settings, bool verbose)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};
	for (int i = 0; i < (int)ARRAY_LEN(names); i++)
		if (!verbose && strcmp(names[i], settings->log_level) == 0)
			return LOG_ERR + i;
	return LOG_DEBUG;
}

static int run(const struct cmd *cmd, const struct cmd_args *args, struct error *err)
{
	auto_control struct control control = CONTROL_INIT;
	int r = load_settings(&control.settings, args, err);
	if (r < 0)
		return r;
	log_init("slipway-controld", log_level(&control.settings, args->verbose));
	r = control_open(&control, args->dir, cmd->certificates ? args->names : NULL, err);
	return r < 0 ? r : cmd->fn(&control, args, err);
}

int cmd_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	if (name && strcmp(name, "--version") == 0) {
		puts("slipway-controld " PACKAGE_VERSION);
		return 0;
	}
	if (name && strcmp(name, "--help-config") == 0) {
		settings_help(stdout);
		return 0;
	}
	if (name && (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0)) {
		usage(stdout);
		return 0;
	}
	const struct cmd *cmd = find_command(name, argc > 2 ? argv[2] : NULL);
	if (!cmd) {
		usage(stderr);
		return 2;
	}
	struct error err = {0};
	struct cmd_args args = {.dir = CONTROL_DIR, .ttl_ms = 3600 * 1000, .uses = 1};
	int words = cmd->sub ? 2 : 1;
	int r = parse(cmd, argc - words, argv + words, &args, &err);
	if (r > 0)
		return 0;
	if (r >= 0)
		r = run(cmd, &args, &err);
	if (r >= 0)
		return r;
	fprintf(stderr, "slipway-controld: %s\n", err.text);
	return r == ERR_INPUT ? 2 : r == ERR_BUSY ? 6 : 1;
}

/* ---- init and serve ---- */

static int cmd_init(struct control *control, const struct cmd_args *args, struct error *err)
{
	printf("Slipway control endpoint in %s%s\n", control->dir,
	       control->made ? "" : " (was there already; nothing was overwritten)");
	printf("  CA fingerprint (SHA-256)  %s\n", ca_fingerprint(control->ca));
	printf("  admin access key          %s/%s (a secret)\n", control->dir, CONTROL_CREDENTIALS);
	printf("Next:\n"
	       "  slipway-controld serve --dir %s\n"
	       "  slipway-controld token create --dir %s    # then 'slipway enroll' on a host\n"
	       "  export SLIPWAY_CREDENTIALS=%s/%s          # then 'slipway fleet hosts'\n",
	       control->dir, control->dir, control->dir, CONTROL_CREDENTIALS);
	return control_commit(control, err);
}

static int cmd_serve(struct control *control, const struct cmd_args *args, struct error *err)
{
	if (control->made)
		log_notice("made a new endpoint in '%s', CA fingerprint %s", control->dir,
			   ca_fingerprint(control->ca));
	return control_serve(control, err);
}
