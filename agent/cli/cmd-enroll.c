// SPDX-License-Identifier: Apache-2.0
/* This host and its endpoint: enroll, unenroll, whoami. */
#include "agent/cli/cli.h"

#include "agent/cli/aws-view.h"
#include "agent/identity.h"
#include "agent/ipc.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/pki.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>

#define TOKEN_FILE_MAX 4096
#define CERT_MAX (64 * 1024)
#define RELOAD_MS 5000
#define TAGS_MAX 10

/* Have a running daemon read the identity again. True: it did; false: none runs here. */
static int reload_daemon(const struct cli *cli, bool *ret_running, struct error *err)
{
	auto_json json_t *request = json_object(), *answer = NULL;
	json_set_str(request, "request", "reload");
	int r = ipc_call(&cli->paths, request, RELOAD_MS, &answer, err);
	*ret_running = r >= 0;
	return r == -ENOENT || r == -ECONNREFUSED ? 0 : r;
}

static int read_token(const char *file, char **ret, struct error *err)
{
	auto_free char *text = NULL;
	int r = str_eq(file, "-") ? fs_read_fd(STDIN_FILENO, TOKEN_FILE_MAX, &text, NULL, err)
				  : fs_read_file(AT_FDCWD, file, TOKEN_FILE_MAX, &text, NULL, err);
	if (r < 0)
		return error_prefix(err, r, "token file '%s'", file);
	text[strcspn(text, "\r\n \t")] = '\0';
	if (!*text)
		return error_set(err, ERR_INPUT, "token file '%s' is empty", file);
	*ret = TAKE(text);
	return 0;
}

struct tags {
	char *keys[TAGS_MAX + 1], *values[TAGS_MAX + 1];
};

static void tags_clear(struct tags *tags)
{
	for (size_t i = 0; i < TAGS_MAX; i++) {
		free(tags->keys[i]);
		free(tags->values[i]);
	}
}
#define auto_tags CLEANUP(tags_clear)

static int read_tags(const struct cli_args *args, struct tags *ret, struct error *err)
{
	auto_free const char **given = cli_values(args, "tag");
	for (size_t i = 0; given[i]; i++) {
		const char *equals = strchr(given[i], '=');
		if (!equals || equals == given[i])
			return error_set(err, ERR_INPUT, "tag '%s' is not of the form KEY=VALUE",
					 given[i]);
		if (i == TAGS_MAX)
			return error_set(err, ERR_INPUT, "a host has at most %d tags", TAGS_MAX);
		ret->keys[i] = xstrndup(given[i], (size_t)(equals - given[i]));
		ret->values[i] = xstrdup(equals + 1);
	}
	return 0;
}

static json_t *identity_to_json(const struct identity *id)
{
	json_t *obj = json_object();
	json_set_bool(obj, "enrolled", true);
	json_set_str(obj, "name", id->name);
	json_set_str(obj, "endpoint", id->endpoint);
	json_set_str(obj, "host_identifier", id->host_identifier);
	json_set_str(obj, "region", id->region);
	json_set_str(obj, "ca_fingerprint", id->ca_fingerprint);
	json_set_int(obj, "enrolled_at", id->enrolled_s);
	return obj;
}

static int say_enrolled(const struct cli *cli, const struct identity *id, bool running)
{
	if (cli->json) {
		json_t *obj = identity_to_json(id);
		json_set_bool(obj, "daemon_reloaded", running);
		return cli_json(obj, CLI_DONE);
	}
	printf("This host is '%s' of %s now.\n", id->name, id->endpoint);
	if (running)
		puts("The daemon has been told.");
	else if (*cli->paths.root)
		printf("No daemon runs here; start it: slipwayd --root %s\n", cli->paths.root);
	else
		puts("No daemon runs here; start it: systemctl enable --now slipwayd");
	return CLI_DONE;
}

static const char *next_after(int code)
{
	switch (code) {
	case ERR_NETWORK:
		return "check the address, and that the endpoint serves there: slipway-controld "
		       "serve";
	case -EACCES:
	case -EPERM:
		return "run it as root, or with --root DIR of your own";
	default:
		return NULL;
	}
}

static int fail(const struct cli *cli, int r, const struct error *err)
{
	const char *next = next_after(r);
	return next ? cli_fail(cli, cli_exit_of(r), err, "%s", next)
		    : cli_fail(cli, cli_exit_of(r), err, NULL);
}

/* One exit code wherever a verb needs an enrolment: nothing was touched. */
static int is_not_enrolled(const struct cli *cli, const struct error *err)
{
	return cli_fail(cli, CLI_USAGE, err, NULL);
}

static int run_enroll(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	const char *token = cli_value(args, "token"), *file = cli_value(args, "token-file");
	const char *fingerprint = cli_value(args, "ca-fingerprint");
	if (!token == !file)
		return cli_usage(cli, "give the token with --token T or --token-file F");
	if (!fingerprint)
		return cli_usage(cli, "--ca-fingerprint F is missing: without it nobody can tell "
				      "the endpoint from a stranger");
	auto_tags struct tags tags = {0};
	auto_free char *from_file = NULL;
	int r = read_tags(args, &tags, &err);
	if (r >= 0 && file)
		r = read_token(file, &from_file, &err);
	if (r < 0)
		return fail(cli, r == -ENOENT ? ERR_INPUT : r, &err);
	const struct identity_enroll order = {
		.endpoint = args->operands[0],
		.token = file ? from_file : token,
		.ca_fingerprint = fingerprint,
		.name = cli_value(args, "name"),
		.tag_keys = (const char *const *)tags.keys,
		.tag_values = (const char *const *)tags.values,
		.group = cli_value(args, "group"),
	};
	auto_identity struct identity *id = NULL;
	r = identity_enroll(&cli->paths, &order, &id, &err);
	if (r < 0)
		return fail(cli, r, &err);
	bool running = false;
	r = reload_daemon(cli, &running, &err);
	if (r < 0)
		return cli_fail(cli, CLI_FAILED, &err,
				"this host is enrolled, but its daemon did not take it up: restart "
				"slipwayd");
	return say_enrolled(cli, id, running);
}

static int run_unenroll(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	bool running = false;
	auto_identity struct identity *id = NULL;
	auto_free char *name =
		xstrdup(identity_load(&cli->paths, &id, NULL) == 0 ? id->name : "NAME");
	int r = identity_remove(&cli->paths, &err);
	if (r == -ENOENT)
		return is_not_enrolled(cli, &err);
	if (r < 0)
		return fail(cli, r, &err);
	r = reload_daemon(cli, &running, &err);
	if (r < 0)
		return cli_fail(cli, CLI_FAILED, &err,
				"this host has left, but its daemon did not notice: restart "
				"slipwayd");
	if (cli->json) {
		json_t *obj = json_object();
		json_set_bool(obj, "enrolled", false);
		json_set_bool(obj, "daemon_reloaded", running);
		return cli_json(obj, CLI_DONE);
	}
	puts("This host belongs to no endpoint any more; what was deployed stays as it is.");
	printf("The endpoint still lists it until 'slipway-controld host revoke %s' there.\n",
	       name);
	return CLI_DONE;
}

/* Unix time; 0: the certificate cannot be read by this user. */
static int64_t certificate_expires(const struct identity *id)
{
	auto_free char *pem = NULL;
	auto_x509 X509 *cert = NULL;
	auto_close int fd = open(id->cert_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fs_read_fd(fd, CERT_MAX, &pem, NULL, NULL) < 0 ||
	    pki_cert_from_pem(pem, &cert, NULL) < 0)
		return 0;
	return pki_cert_not_after(cert);
}

/* Nobody but the daemon knows: it may be the only one who can read the files. */
static json_t *ask_aws(const struct cli *cli)
{
	auto_json json_t *request = json_object();
	json_t *answer = NULL;
	json_set_str(request, "request", "status");
	if (ipc_call(&cli->paths, request, RELOAD_MS, &answer, NULL) < 0)
		return NULL;
	if (!aws_view_of(answer))
		json_decref(TAKE(answer));
	return answer;
}

static void print_member(const char *label, const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));
	auto_free char *clean = cli_clean(text ? text : "");
	if (*clean)
		printf("%-17s%s\n", label, clean);
}

static int say_aws(struct cli *cli, const json_t *status)
{
	static const char *const names[] = {"name", "endpoint", "host_identifier"};
	const json_t *aws = aws_view_of(status);
	if (cli->json) {
		json_t *obj = json_object();
		json_object_update(obj, (json_t *)aws);
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			json_set_str(obj, names[i],
				     json_string_value(json_object_get(status, names[i])));
		return cli_json(obj, CLI_DONE);
	}
	print_member("name", status, "name");
	print_member("endpoint", status, "endpoint");
	print_member("host identifier", status, "host_identifier");
	aws_view_print(aws, "AWS", 17);
	return CLI_DONE;
}

static int run_whoami(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_identity struct identity *id = NULL;
	int r = identity_load(&cli->paths, &id, &err);
	auto_json json_t *aws = r == -ENOENT ? ask_aws(cli) : NULL;
	if (aws)
		return say_aws(cli, aws);
	if (r == -ENOENT)
		return is_not_enrolled(cli, &err);
	if (r < 0)
		return fail(cli, r, &err);
	int64_t expires = certificate_expires(id);
	if (cli->json) {
		json_t *obj = identity_to_json(id);
		if (expires)
			json_set_int(obj, "certificate_expires", expires);
		return cli_json(obj, CLI_DONE);
	}
	char since[CLOCK_ISO_LEN], until[CLOCK_ISO_LEN];
	printf("name             %s\n", id->name);
	printf("endpoint         %s\n", id->endpoint);
	printf("host identifier  %s\n", id->host_identifier);
	printf("CA fingerprint   %s\n", id->ca_fingerprint);
	printf("enrolled         %s\n", clock_format_local(id->enrolled_s, since));
	if (expires)
		printf("certificate      until %s, renews itself\n",
		       clock_format_local(expires, until));
	return CLI_DONE;
}

static const struct cli_option enroll_options[] = {
	{.name = "token", .arg = "T", .help = "what 'slipway-controld token create' printed"},
	{.name = "token-file",
	 .arg = "F",
	 .kind = CLI_FILE,
	 .help = "read the token from a file; - is standard input"},
	{.name = "ca-fingerprint",
	 .arg = "F",
	 .needed = true,
	 .help = "SHA-256 of the endpoint's CA, as 'slipway-controld init' printed it"},
	{.name = "name", .arg = "N", .help = "name of this host there; default: its host name"},
	{.name = "tag", .arg = "K=V", .help = "a tag of this host; may be repeated"},
	{.name = "group", .arg = "APP/GROUP", .help = "get the tags that this group selects"},
	{0},
};

const struct cli_command cmd_enroll = {
	.name = "enroll",
	.operands = "URL",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "join an endpoint, so that it can deploy here",
	.help = "Compares the fingerprint of the endpoint's CA before anything is sent, makes a "
		"key that "
		"never leaves this host, and gets a certificate for it.",
	.example = "slipway enroll https://deploy.example.org:8443 --token-file token \\\n"
		   "    --ca-fingerprint 3f1c... --tag role=web",
	.options = enroll_options,
	.page = "slipway-enroll",
	.run = run_enroll,
};

const struct cli_command cmd_unenroll = {
	.name = "unenroll",
	.operands = "",
	.summary = "leave the endpoint; what was deployed stays",
	.example = "slipway unenroll",
	.page = "slipway-enroll",
	.run = run_unenroll,
};

const struct cli_command cmd_whoami = {
	.name = "whoami",
	.operands = "",
	.summary = "who this host is for its endpoint",
	.example = "slipway whoami\nslipway whoami --json",
	.page = "slipway-enroll",
	.run = run_whoami,
};
