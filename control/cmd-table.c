// SPDX-License-Identifier: Apache-2.0
#include "control/cmd.h"

#include "common/attr.h"

#include <stddef.h>

const struct cmd_option cmd_options[] = {
	{OPT_NAME, "name", "DNS|IP", CMD_TEXT,
	 "a name or address of this server, for its certificate; may be repeated; default: the "
	 "host's name"},
	{OPT_LISTEN, "listen", "ADDRESS:PORT", CMD_TEXT,
	 "where to listen; default: :8443, every address"},
	{OPT_REGION, "region", "R", CMD_TEXT, "region in ARNs, set once; default: us-east-1"},
	{OPT_ACCOUNT, "account", "N", CMD_TEXT,
	 "account in ARNs, 12 digits, set once; default: 000000000000"},
	{OPT_TTL, "ttl", "TIME", CMD_TEXT, "how long it is good: 30m, 1h, 7d; default: 1h"},
	{OPT_USES, "uses", "N", CMD_TEXT, "for how many hosts it is good; default: 1"},
	{OPT_TAG, "tag", "K=V", CMD_TEXT, "a tag that its hosts get; may be repeated"},
	{OPT_FIXED_TAGS, "fixed-tags", NULL, CMD_TEXT,
	 "its hosts may ask for no tags beside those"},
	{OPT_HOST_NAME, "name", "GLOB", CMD_TEXT, "only for hosts with such a name, as 'web-*'"},
	{OPT_KEY_NAME, "name", "N", CMD_TEXT, "whose it is, for 'key list'"},
	{OPT_QUIET, "quiet", NULL, CMD_TEXT, "print the token and nothing else"},
	{OPT_JSON, "json", NULL, CMD_TEXT, "JSON instead of text"},
	{OPT_DIR, "dir", "DIR", CMD_DIR, "where everything is kept; default: " CONTROL_DIR},
	{OPT_CONFIG, "config", "FILE", CMD_FILE, "settings; default: " CONTROL_SETTINGS},
	{OPT_SET, "set", "NAME=VALUE", CMD_SETTING,
	 "one setting, before that of the file; may be repeated"},
	{OPT_VERBOSE, "verbose", NULL, CMD_TEXT, "log more"},
	{OPT_HELP, "help", NULL, CMD_TEXT, "show this help"},
	{0},
};

#define BIT(id) (1u << (id))

const struct cmd cmd_commands[] = {
	{.name = "init",
	 .fn = cmd_init,
	 .options = BIT(OPT_NAME) | BIT(OPT_REGION) | BIT(OPT_ACCOUNT) | BIT(OPT_LISTEN),
	 .certificates = true,
	 .summary = "make CA, certificates, database, first admin key",
	 .help = "What is there already is never overwritten: called again, it adds a --name to "
		 "the server's certificate, for the next start, and says where everything is.",
	 .example = "slipway-controld init --name deploy.example.com"},
	{.name = "serve",
	 .fn = cmd_serve,
	 .options = BIT(OPT_NAME) | BIT(OPT_LISTEN),
	 .certificates = true,
	 .summary = "serve; an empty directory is initialised first",
	 .help = "Stays in the foreground, for a service manager: 'systemctl start "
		 "slipway-controld' runs it. SIGTERM ends it, SIGHUP has it read its certificates "
		 "again.",
	 .example = "slipway-controld serve --listen :8443"},
	{.name = "token create",
	 .fn = cmd_token_create,
	 .options = BIT(OPT_TTL) | BIT(OPT_USES) | BIT(OPT_TAG) | BIT(OPT_FIXED_TAGS) |
		    BIT(OPT_HOST_NAME) | BIT(OPT_QUIET) | BIT(OPT_JSON),
	 .summary = "a token with which hosts may enrol",
	 .help = "Prints the 'slipway enroll' command to type on the host. The token is not shown "
		 "again.",
	 .example = "slipway-controld token create --tag role=web\n"
		    "slipway-controld token create --uses 20 --ttl 1d --name 'web-*' --fixed-tags "
		    "\\\n"
		    "    --tag role=web --quiet"},
	{.name = "token list",
	 .fn = cmd_token_list,
	 .options = BIT(OPT_JSON),
	 .summary = "the tokens that were made, not their text",
	 .example = "slipway-controld token list"},
	{.name = "token delete",
	 .fn = cmd_token_delete,
	 .operand = "ID",
	 .operand_kind = CMD_TOKEN,
	 .summary = "a token is not accepted any more",
	 .help = "ID is what 'slipway-controld token list' shows. Hosts that have joined with it "
		 "stay.",
	 .example = "slipway-controld token delete 3f1c09a7d2e4"},
	{.name = "key create",
	 .fn = cmd_key_create,
	 .options = BIT(OPT_KEY_NAME) | BIT(OPT_JSON),
	 .summary = "an access key for a person or a pipeline",
	 .help = "For 'slipway fleet' (--json prints the credentials file), the aws CLI, an SDK. "
		 "The secret is not shown again.",
	 .example = "slipway-controld key create --name pipeline\n"
		    "slipway-controld key create --name alice --json >credentials.json"},
	{.name = "key list",
	 .fn = cmd_key_list,
	 .options = BIT(OPT_JSON),
	 .summary = "the access keys, not their secrets",
	 .example = "slipway-controld key list"},
	{.name = "key delete",
	 .fn = cmd_key_delete,
	 .operand = "ACCESS-KEY-ID",
	 .operand_kind = CMD_KEY,
	 .summary = "an access key is not accepted any more",
	 .example = "slipway-controld key delete AKIA4GZ1KQ2XTB7M3WNP"},
	{.name = "host list",
	 .fn = cmd_host_list,
	 .options = BIT(OPT_JSON),
	 .summary = "the hosts that enrolled, with their tags",
	 .example = "slipway-controld host list"},
	{.name = "host revoke",
	 .fn = cmd_host_revoke,
	 .operand = "NAME",
	 .operand_kind = CMD_HOST,
	 .summary = "a host is refused at once, its name is free again",
	 .help = "What is deployed on the host stays there. To come back it needs a new token.",
	 .example = "slipway-controld host revoke web-1"},
	{0},
};

unsigned cmd_allowed(const struct cmd *cmd)
{
	return cmd->options | BIT(OPT_DIR) | BIT(OPT_CONFIG) | BIT(OPT_SET) | BIT(OPT_VERBOSE) |
	       BIT(OPT_HELP);
}
