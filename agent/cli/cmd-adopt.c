// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/host.h"
#include "agent/cli/talk.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define PATHS_MAX 1000

static const struct cli_option options[] = {
	{.name = "group",
	 .arg = "G",
	 .kind = CLI_GROUP,
	 .needed = true,
	 .help = "the group that takes over; must be given"},
	{.name = "from",
	 .arg = "H",
	 .kind = CLI_GROUP,
	 .needed = true,
	 .help = "the group that gives; must be given"},
	{0},
};

/* A name that is none of this host's groups is a new group's id, and an endpoint's has a '/' or is
 * known. */
static int find_group(const struct cli *cli, const char *name, char **ret, struct error *err)
{
	auto_free char *id = NULL;
	int r = host_group_id(cli, name, &id, err);
	if (r < 0)
		return r;
	if (!str_is_filename(id))
		return error_set(err, ERR_INPUT,
				 "this host does not know the group '%s' yet: deploy to it once; "
				 "that is refused, and it is known then",
				 name);
	*ret = TAKE(id);
	return 0;
}

static int find_from(const struct cli *cli, const char *name, char **ret, struct error *err)
{
	auto_host struct host host = {0};
	const struct state *state = NULL;
	int r = host_load(cli, &host, err);
	if (r >= 0)
		r = host_need_group(&host, name, &state, err);
	if (r >= 0)
		*ret = xstrdup(state->group_id);
	return r;
}

static int add_paths(json_t *request, const struct cli_args *args, struct error *err)
{
	auto_free char *cwd = getcwd(NULL, 0);
	json_t *list = json_array();
	json_object_set_new(request, "paths", list);
	for (size_t i = 0; i < args->n_operands; i++) {
		const char *path = args->operands[i];
		if (*path != '/' && !cwd)
			return error_errno(err, "find the current directory");
		auto_free char *absolute =
			*path == '/' ? xstrdup(path) : xasprintf("%s/%s", cwd, path);
		if (!*path || json_array_append_new(list, json_string(absolute)) < 0)
			return error_set(
				err, ERR_INPUT,
				"'%s' cannot be given as a path: name a directory above it", path);
	}
	return 0;
}

static void print_done(const struct talk *talk, const char *name, const char *from)
{
	int64_t objects = 0, left = 0;
	struct error ignored;
	if (json_need_int(talk->result, "objects", &objects, &ignored) < 0 ||
	    json_opt_int(talk->result, "left", &left, &ignored) < 0) {
		puts("done: it was finished after its worker was gone"); /* by recovery */
		return;
	}
	printf("done: %" PRId64 " files and directories of group '%s' belong to '%s' now\n",
	       objects, from, name);
	if (left)
		printf("  %" PRId64 " stay with '%s'\n", left, from);
	else
		printf("  nothing of '%s' is installed any more\n", from);
	printf("no file was touched; the next deployment of '%s' replaces or removes them\n", name);
}

/* Nothing of the host's files is concerned either way. */
static int finish(struct talk *talk, const char *name, const char *from)
{
	int code = talk_exit(talk);
	if (talk->cli->json)
		return talk_finish_json(talk);
	if (code == CLI_DONE) {
		print_done(talk, name, from);
		return code;
	}
	struct error err = {0};
	const char *text = json_string_value(json_object_get(talk->result, "text"));
	const char *kind = json_string_value(json_object_get(talk->result, "code"));
	error_set(&err, kind ? error_from_name(kind) : -EIO, "%s", text ? text : "it failed");
	return cli_fail(talk->cli, code, &err, "%s", host_hint(err.code));
}

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	const char *name = cli_value(args, "group"), *from_name = cli_value(args, "from");
	if (!name || !from_name)
		return cli_usage(cli, "say which group takes over, and from which: --group G "
				      "--from H");
	auto_free char *group = NULL;
	auto_free char *from = NULL;
	auto_json json_t *request = json_object();
	auto_talk struct talk talk;
	talk_init(&talk, cli);
	int r = find_from(cli, from_name, &from, &err);
	if (r >= 0)
		r = find_group(cli, name, &group, &err);
	if (r >= 0)
		r = add_paths(request, args, &err);
	if (r >= 0) {
		json_set_str(request, "verb", "adopt");
		json_set_str(request, "group", group);
		json_set_str(request, "from", from);
		r = talk_run(&talk, json_incref(request), -1, &err);
	}
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	return finish(&talk, name, from_name);
}

const struct cli_command cmd_adopt = {
	.name = "adopt",
	.operands = "[PATH...]",
	.max_operands = PATHS_MAX,
	.operand_kind = CLI_FILE,
	.summary = "a group takes over another's files",
	.help = "What H has installed, all of it or what lies at or below the PATHs, belongs to G "
		"from now on: G's next deployment replaces it, and removes what its revision does "
		"not have; deployments of H leave it alone. No file is touched, no script runs.",
	.example = "slipway adopt --group shop-2 --from shop\n"
		   "slipway adopt --group www --from shop /srv/www /etc/nginx/shop.conf",
	.options = options,
	.page = "slipway-deploy",
	.run = run,
};
