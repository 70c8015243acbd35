// SPDX-License-Identifier: Apache-2.0
#include "control/cmd.h"

#include "common/alloc.h"
#include "common/log.h"
#include "common/str.h"
#include "control/ca.h"
#include "control/messages.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

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
	case OPT_HOST_NAME:
	case OPT_KEY_NAME:
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
		return -EINVAL;
	}
}

/* What getopt_long() could not take. */
static int refuse_option(const struct cmd *cmd, int id, const char *word, struct error *err)
{
	const char *near = NULL;
	auto_free char *typed = xstrndup(word, strcspn(word, "="));
	if (id == ':')
		return error_set(err, ERR_INPUT, "option '%s' needs a value", typed);
	for (const struct cmd_option *o = cmd_options; o->name; o++)
		if ((cmd_allowed(cmd) & (1u << o->id)) && str_starts(typed, "--"))
			near = str_nearer(typed + 2, near, o->name);
	return error_set(err, ERR_INPUT, "'%s' has no option '%s'%s%s%s", cmd->name, typed,
			 near ? "; did you mean '--" : "", near ? near : "", near ? "'?" : "");
}

static int check_operands(const struct cmd *cmd, int argc, char **argv, struct cmd_args *args,
			  struct error *err)
{
	int left = argc - optind, wanted = cmd->operand ? 1 : 0;
	if (left < wanted)
		return error_set(err, ERR_INPUT, "%s is missing", cmd->operand);
	if (left > wanted)
		return error_set(err, ERR_INPUT, "'%s' is one argument too many",
				 argv[optind + wanted]);
	args->operand = cmd->operand ? argv[optind] : NULL;
	return 0;
}

/* Options of this command into args. Returns 1 when only help was wanted. */
static int parse(const struct cmd *cmd, int argc, char **argv, struct cmd_args *args,
		 struct error *err)
{
	struct option options[OPT_COUNT + 1] = {0};
	size_t n = 0;
	for (const struct cmd_option *o = cmd_options; o->name; o++)
		if (cmd_allowed(cmd) & (1u << o->id))
			options[n++] =
				(struct option){o->name, o->arg ? required_argument : no_argument,
						NULL, (int)o->id};
	optind = 1;
	for (int id, r = 0; (id = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		if (id == OPT_HELP || id == 'h')
			return 1;
		if (id == '?' || id == ':')
			return refuse_option(cmd, id, argv[optind - 1], err);
		r = take_option(id, args, err);
		if (r < 0)
			return r;
	}
	return check_operands(cmd, argc, argv, args, err);
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

/* Words in front of any command. Returns below 0 when it is another one. */
static int special(const char *name)
{
	if (strcmp(name, "--version") == 0)
		puts("slipway-controld " PACKAGE_VERSION);
	else if (strcmp(name, "--help-config") == 0)
		settings_help(stdout);
	else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ||
		 strcmp(name, "help") == 0)
		cmd_list(stdout);
	else
		return -ENOENT;
	return 0;
}

static int carry_out(const struct cmd *cmd, int argc, char **argv)
{
	struct error err = {0};
	struct cmd_args args = {.dir = CONTROL_DIR, .ttl_ms = 3600 * 1000, .uses = 1};
	int r = parse(cmd, argc, argv, &args, &err);
	if (r > 0) {
		cmd_help(cmd);
		return 0;
	}
	bool usage = r < 0;
	if (r >= 0)
		r = run(cmd, &args, &err);
	if (r >= 0)
		return r;
	fprintf(stderr, "slipway-controld: %s\n", err.text);
	if (usage)
		fprintf(stderr, "  'slipway-controld %s --help' shows how it is called\n",
			cmd->name);
	else if ((r == -EACCES || r == -EPERM) && geteuid() != 0)
		fputs("  this needs root, or the directory's owner: try it with sudo\n", stderr);
	return r == ERR_INPUT ? 2 : r == ERR_BUSY ? 6 : 1;
}

int cmd_main(int argc, char **argv)
{
	const char *const *given = (const char *const *)argv + 1;
	if (argc < 2) {
		cmd_list(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--complete") == 0)
		return cmd_complete(argc - 2, given + 1);
	int words, r = special(argv[1]);
	if (r >= 0)
		return r;
	const struct cmd *cmd = cmd_find(argc - 1, given, &words);
	if (!cmd)
		return cmd_no_command(argc - 1, given);
	return carry_out(cmd, argc - words, argv + words);
}

/* ---- init and serve ---- */

int cmd_init(struct control *control, const struct cmd_args *args, struct error *err)
{
	printf("Slipway control endpoint in %s%s\n", control->dir,
	       control->made ? "" : " (was there already; nothing was overwritten)");
	printf("  CA fingerprint (SHA-256)  %s\n", ca_fingerprint(control->ca));
	printf("  admin access key          %s/%s (a secret)\n", control->dir, CONTROL_CREDENTIALS);
	bool usual = strcmp(control->dir, CONTROL_DIR) == 0;
	auto_free char *dir = usual ? xstrdup("") : xasprintf(" --dir %s", control->dir);
	printf("Next:\n"
	       "  %s%s\n"
	       "  slipway-controld token create%s\n"
	       "      prints the 'slipway enroll' command for a host\n"
	       "  export SLIPWAY_CREDENTIALS=%s/%s\n"
	       "      opens 'slipway fleet'; only root and the service can read that file\n"
	       "  slipway-controld key create%s --name WHO --json >FILE\n"
	       "      makes a file of the same kind for somebody else\n",
	       usual ? "systemctl enable slipway-controld && systemctl restart slipway-controld"
		     : "slipway-controld serve",
	       dir, dir, control->dir, CONTROL_CREDENTIALS, dir);
	return control_commit(control, err);
}

int cmd_serve(struct control *control, const struct cmd_args *args, struct error *err)
{
	if (control->made)
		log_event(
			LOG_NOTICE, MESSAGE_ENDPOINT_MADE,
			(const char *const[]){"CA_FINGERPRINT", ca_fingerprint(control->ca), NULL},
			"made a new endpoint, CA fingerprint %s; the first access key is in "
			"'%s/" CONTROL_CREDENTIALS "'",
			ca_fingerprint(control->ca), control->dir);
	return control_serve(control, err);
}
