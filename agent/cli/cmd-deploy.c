// SPDX-License-Identifier: Apache-2.0
/* deploy and plan: the same request, and the same rules for what a SOURCE is. */
#include "agent/cli/changes.h"
#include "agent/cli/host.h"
#include "agent/cli/remote.h"
#include "agent/cli/talk.h"
#include "agent/job.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
	const char *suffix, *type;
} types[] = {
	{".tar", "tar"},         {".tgz", "tgz"}, {".tar.gz", "tgz"},
	{".tar.zst", "tar.zst"}, {".zip", "zip"},
};

#define GROUP_OPTION                                                                         \
	{                                                                                    \
		.name = "group", .arg = "G", .kind = CLI_GROUP,                              \
		.help = "deployment group, a name of your choice; default: " JOB_LOCAL_GROUP \
	}
#define APPSPEC_OPTION                                                           \
	{                                                                        \
		.name = "appspec", .arg = "FILE",                                \
		.help = "the AppSpec's name inside SOURCE; default: appspec.yml" \
	}
#define BEHAVIOR_OPTION                                                                      \
	{                                                                                    \
		.name = "file-exists-behavior", .arg = "B", .kind = CLI_BEHAVIOR,            \
		.help = "files that are in the way: DISALLOW (default), OVERWRITE or RETAIN" \
	}

#define TYPE_OPTION                                                                        \
	{                                                                                  \
		.name = "type", .arg = "T",                                                \
		.help = "what SOURCE is, where its name does not say it: directory, tar, " \
			"tgz, tar.zst or zip"                                              \
	}

#define SHA256_OPTION                                                                       \
	{                                                                                   \
		.name = "sha256", .arg = "HEX",                                             \
		.help = "SHA-256 that the bundle must have; https:// needs it, here or as " \
			"#sha256=HEX after the address"                                     \
	}

static const struct cli_option deploy_options[] = {
	GROUP_OPTION,
	{.name = "group-name", .arg = "N", .help = "the group's name, for the scripts; default: G"},
	{.name = "app", .arg = "A", .help = "application name, for the scripts; default: SOURCE"},
	TYPE_OPTION,
	SHA256_OPTION,
	APPSPEC_OPTION,
	{.name = "events",
	 .arg = "A,B",
	 .kind = CLI_EVENTS,
	 .help = "only these lifecycle events, in this order, and DownloadBundle and Install in "
		 "any case; default: all"},
	BEHAVIOR_OPTION,
	{.name = "no-rollback", .help = "leave the new revision in place when it fails"},
	{.name = "ignore-application-stop-failures",
	 .help = "go on when ApplicationStop of the installed revision fails"},
	{0},
};
static const struct cli_option plan_options[] = {
	GROUP_OPTION,
	TYPE_OPTION,
	SHA256_OPTION,
	APPSPEC_OPTION,
	BEHAVIOR_OPTION,
	{.name = "all", .help = "a line for each path, however many there are"},
	{0},
};

struct source {
	int fd;
	const char *type;
	char *path; /* absolute */
};

static void source_clear(struct source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	free(source->path);
}

static bool is_remote(const char *name)
{
	static const char *const schemes[] = {"s3://", "https://", "http://", "github:"};
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (str_starts(name, schemes[i]))
			return true;
	return false;
}

/* The type that was said must be one, and fit. */
static int check_type(const char *name, bool directory, const char *said, const char **ret,
		      struct error *err)
{
	static const char *const known[] = {"directory", "tar", "tgz", "tar.zst", "zip"};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (str_eq(known[i], said))
			*ret = known[i];
	if (!*ret)
		return error_set(err, ERR_INPUT,
				 "--type is directory, tar, tgz, tar.zst or zip, not '%s'", said);
	if (directory != str_eq(said, "directory"))
		return error_set(err, ERR_INPUT, "'%s' is a %s, and --type says %s", name,
				 directory ? "directory" : "file", said);
	return 0;
}

static int find_type(const char *name, mode_t mode, const char *said, const char **ret,
		     struct error *err)
{
	*ret = NULL;
	if (!S_ISDIR(mode) && !S_ISREG(mode))
		return error_set(err, ERR_INPUT, "'%s' is neither a directory nor a file", name);
	if (said)
		return check_type(name, S_ISDIR(mode), said, ret, err);
	if (S_ISDIR(mode)) {
		*ret = "directory";
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_ends(name, types[i].suffix)) {
			*ret = types[i].type;
			return 0;
		}
	return error_set(err, ERR_INPUT,
			 "'%s': SOURCE is a directory or a .tar, .tgz, .tar.gz, .tar.zst or .zip "
			 "file; what has another name needs --type",
			 name);
}

/* A name that a person can read back later, from any directory. */
static char *absolute(const char *name)
{
	char *path = realpath(name, NULL);
	return path ? path : xstrdup(name);
}

/* Told before a whole directory is copied in vain: it is easily the wrong one. */
static int need_appspec(int dir_fd, const char *name, const char *wanted, struct error *err)
{
	const char *const names[] = {wanted ? wanted : "appspec.yml", "appspec.yaml",
				     "appspec.yml"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (faccessat(dir_fd, names[i], F_OK, 0) == 0 || errno == EACCES)
			return 0;
	return error_set(err, ERR_INPUT, "'%s' is no revision: there is no '%s' in it", name,
			 names[0]);
}

static int source_open(const char *name, const struct cli_args *args, struct source *ret,
		       struct error *err)
{
	auto_close int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		error_errno(err, "open '%s'", name);
		return err->code = ERR_INPUT;
	}
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "look at '%s'", name);
	int r = find_type(name, st.st_mode, cli_value(args, "type"), &ret->type, err);
	if (r >= 0 && S_ISDIR(st.st_mode))
		r = need_appspec(fd, name, cli_value(args, "appspec"), err);
	if (r < 0)
		return r;
	ret->path = absolute(name);
	ret->fd = TAKE_FD(fd);
	return 0;
}

/* "A,B" as a list; events may not be empty or repeated. */
static int add_events(json_t *request, const char *value, struct error *err)
{
	json_t *list = json_array();
	json_object_set_new(request, "events", list);
	char **events = str_split(value, ',');
	int r = 0;
	for (char **event = events; r == 0 && *event; event++) {
		if (!**event)
			r = error_set(err, ERR_INPUT, "--events '%s' has an empty name", value);
		for (char **other = events; r == 0 && other < event; other++)
			if (strcmp(*other, *event) == 0)
				r = error_set(err, ERR_INPUT, "--events has '%s' twice", *event);
		json_array_append_new(list, json_string(*event));
	}
	str_list_free(events);
	return r;
}

static int add_behavior(json_t *request, const char *value, struct error *err)
{
	static const char *const known[] = {"DISALLOW", "OVERWRITE", "RETAIN"};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcasecmp(known[i], value) == 0) {
			json_set_str(request, "file_exists_behavior", known[i]);
			return 0;
		}
	return error_set(err, ERR_INPUT,
			 "--file-exists-behavior is DISALLOW, OVERWRITE or RETAIN, not '%s'",
			 value);
}

/* A group that is here keeps its names; an unknown one is new, and the name its id. */
static int add_group(const struct cli *cli, const struct cli_args *args, json_t *request,
		     struct error *err)
{
	const char *wanted = cli_value(args, "group"), *application = cli_value(args, "app");
	auto_host struct host host = {0};
	const struct state *known = NULL;
	/* who may not look will be told by the worker */
	int r = wanted && host_load(cli, &host, NULL) == 0 ? host_group(&host, wanted, &known, err)
							   : ERR_NOT_FOUND;
	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	const char *id = known ? known->group_id : wanted;
	const struct wire_spec *names = known ? host_state_names(known) : NULL;
	if (id && !str_is_filename(id))
		return error_set(err, ERR_INPUT, "--group '%s' cannot be a file name", wanted);
	json_set_str(request, "group", id);
	const char *group_name = cli_value(args, "group-name");
	if (!group_name)
		group_name = names ? names->group_name : wanted;
	json_set_str(request, "group_name", group_name);
	json_set_str(request, "application",
		     application || !names ? application : names->application);
	return 0;
}

static void describe(const struct source *source, json_t *request)
{
	json_t *origin = json_object();
	json_set_str(origin, "type", source->type);
	json_set_str(origin, "name", source->path);
	json_object_set_new(request, "source", origin);
}

static int fill_request(const struct cli *cli, const struct cli_args *args, json_t *request,
			struct error *err)
{
	int r = add_group(cli, args, request, err);
	if (r < 0)
		return r;
	json_set_str(request, "appspec", cli_value(args, "appspec"));
	json_set_bool(request, "rollback", !cli_has(args, "no-rollback"));
	json_set_bool(request, "ignore_stop", cli_has(args, "ignore-application-stop-failures"));
	const char *events = cli_value(args, "events");
	const char *behavior = cli_value(args, "file-exists-behavior");
	r = events ? add_events(request, events, err) : 0;
	if (r == 0 && behavior)
		r = add_behavior(request, behavior, err);
	return r;
}

static const char plan_verb[] = "plan";

/* The reference is taken over. */
static int plan(struct cli *cli, const struct cli_args *args, json_t *request, int fd)
{
	struct error err = {0};
	auto_talk struct talk talk;
	talk_init(&talk, cli);
	talk.looks = true;
	talk.all = cli_has(args, "all");
	talk.spooled = "operations";
	int r = talk_run(&talk, request, fd, &err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	if (!cli->json)
		changes_print(&talk.spool, talk.all, stdout);
	return talk_finish(&talk);
}

static int ask_worker(struct cli *cli, const struct cli_args *args, json_t *request, int fd)
{
	const char *verb = json_string_value(json_object_get(request, "verb"));
	return str_eq(verb, plan_verb) ? plan(cli, args, json_incref(request), fd)
				       : talk_do(cli, json_incref(request), fd);
}

static int check_sha256(const char *hex, bool directory, struct error *err)
{
	if (hex && directory)
		return error_set(err, ERR_INPUT, "--sha256 is of a file: a directory has none");
	if (!hex || (strlen(hex) == 64 && strspn(hex, "0123456789abcdef") == 64))
		return 0;
	return error_set(err, ERR_INPUT, "--sha256 has 64 digits of 0-9a-f, not '%.80s'", hex);
}

static int read_local(const struct cli_args *args, struct source *source, json_t *request,
		      struct error *err)
{
	const char *sha256 = cli_value(args, "sha256");
	int r = source_open(args->operands[0], args, source, err);
	if (r == 0)
		r = check_sha256(sha256, str_eq(source->type, "directory"), err);
	if (r < 0)
		return r;
	describe(source, request);
	json_set_str(request, "sha256", sha256);
	return 0;
}

static int read_remote(const struct cli_args *args, struct remote **ret, json_t *request,
		       struct error *err)
{
	const char *type = cli_value(args, "type"), *sha256 = cli_value(args, "sha256");
	int r = check_sha256(sha256, false, err);
	if (r == 0 && type)
		r = check_type(args->operands[0], false, type, &type, err);
	return r < 0 ? r : cli_remote->open(args->operands[0], type, sha256, ret, request, err);
}

/* What is wrong with the command is told before anything is fetched. */
static int run_as(struct cli *cli, const struct cli_args *args, const char *verb)
{
	struct error err = {0};
	CLEANUP(source_clear) struct source source = {.fd = -1};
	struct remote *remote = NULL;
	bool away = is_remote(args->operands[0]);
	if (away && !cli_remote)
		return cli_become_whole(cli);
	auto_json json_t *request = json_object();
	json_set_str(request, "verb", verb);
	int r = away ? read_remote(args, &remote, request, &err)
		     : read_local(args, &source, request, &err);
	if (r == 0)
		r = fill_request(cli, args, request, &err);
	int code = r < 0 ? cli_usage(cli, "%s", err.text) : CLI_DONE;
	if (r == 0 && away)
		code = cli_remote->download(cli, remote, request, &source.fd);
	if (remote)
		cli_remote->free(remote);
	return code == CLI_DONE ? ask_worker(cli, args, request, source.fd) : code;
}

static int run_deploy(struct cli *cli, const struct cli_args *args)
{
	return run_as(cli, args, "deploy");
}

static int run_plan(struct cli *cli, const struct cli_args *args)
{
	return run_as(cli, args, plan_verb);
}

const struct cli_command cmd_deploy = {
	.name = "deploy",
	.operands = "SOURCE",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "put a revision in place of the one that runs",
	.operand_kind = CLI_FILE,
	.help = "SOURCE is a directory with an AppSpec file, or a .tar, .tgz, .tar.gz, .tar.zst or "
		".zip file of one: on this host, s3://BUCKET/KEY, github:OWNER/REPOSITORY@REF or "
		"https://ADDRESS. It is unpacked, checked and planned while the old revision "
		"still runs. When a script fails, the old revision comes back and is started "
		"again.",
	.example = "slipway deploy ./shop\n"
		   "slipway deploy shop-42.tgz --group shop --file-exists-behavior OVERWRITE\n"
		   "slipway deploy s3://bundles/shop-42.tgz --group shop",
	.options = deploy_options,
	.page = "slipway-deploy",
	.run = run_deploy,
};

const struct cli_command cmd_plan = {
	.name = "plan",
	.operands = "SOURCE",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "what deploy would create, replace, delete or refuse",
	.operand_kind = CLI_FILE,
	.help = "Nothing is touched and no script runs. Exit code 3: deploy would refuse it.",
	.example = "slipway plan ./shop --group shop",
	.options = plan_options,
	.page = "slipway-deploy",
	.run = run_plan,
};
