// SPDX-License-Identifier: Apache-2.0
/* The order is the guarantee. At each instant at most one of the two agents can poll, and whatever
 * ends this program, the same command goes on from the record, and --undo goes back from it:
 *
 *   import   record; stop and mask the other; records of the groups; access to the identity;
 *            agent.yml (only now slipwayd would poll); record: taken; slipwayd starts;
 *            record: done
 *   --undo   record; stop slipwayd; agent.yml as before; files of the official layout, and the
 *            groups are forgotten; identity; unmask and start the other; slipwayd; no record */
#include "agent/cli/host.h"
#include "agent/cli/import-config.h"
#include "agent/cli/import-identity.h"
#include "agent/cli/import-record.h"
#include "agent/cli/import-service.h"
#include "agent/cli/import-tools.h"
#include "agent/cli/talk.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BEFORE "agent.yml.before-import"
#define IMPORTED "agent.yml.imported"
#define ADVICE_MAX 65536

static const struct cli_option options[] = {
	{.name = "from",
	 .arg = "DIR",
	 .kind = CLI_DIR,
	 .help = "where codedeployagent.yml is; paths in it count as they are"},
	{.name = "undo", .help = "give everything back to the official agent"},
	{.name = "dry-run", .help = "only say what would be done"},
	{0},
};

struct import {
	struct cli *cli;
	struct talk talk; /* with the worker that was asked last */
	bool dry;
	json_t *did; /* texts */
	struct import_config config;
	struct import_record record;
	struct import_unit official, ours;
	enum import_access access;
	struct buf advice;
};

static void import_clear(struct import *im)
{
	talk_clear(&im->talk);
	json_decref(im->did);
	import_config_clear(&im->config);
	import_record_clear(&im->record);
	buf_clear(&im->advice);
}

/* ---- what is told ---- */

/* done: how it reads afterwards; dry: how it reads before. */
static void say(struct import *im, const char *done, const char *dry, const char *what)
{
	auto_free char *text = xasprintf("%s %s", im->dry ? dry : done, what);
	auto_free char *clean = cli_clean(text);
	json_t *string = json_string(clean);
	if (string)
		json_array_append_new(im->did, string);
	if (!im->cli->json)
		puts(clean);
}

/* done and dry as with say(). */
static void print_groups(struct import *im, const char *done, const char *dry)
{
	size_t i;
	json_t *group;
	if (im->cli->json)
		return;
	json_array_foreach (im->talk.groups, i, group) {
		const char *id = json_string_value(json_object_get(group, "group_id"));
		const char *deployment = json_string_value(json_object_get(group, "deployment"));
		int64_t files = json_integer_value(json_object_get(group, "files"));
		int64_t directories = json_integer_value(json_object_get(group, "directories"));
		int64_t objects = json_integer_value(json_object_get(group, "objects"));
		auto_free char *name = cli_clean(id ? id : "");
		auto_free char *what = cli_clean(deployment ? deployment : "no deployment");
		printf("%s group %s: %s, %" PRId64 " files and directories\n",
		       im->dry ? dry : done, name, what, objects ? objects : files + directories);
	}
}

/* What the new agent.yml does not say, and what a person has to do. */
static void print_notes(struct import *im)
{
	size_t i;
	json_t *note;
	if (im->cli->json)
		return;
	json_array_foreach (im->config.notes, i, note) {
		auto_free char *clean = cli_clean(json_string_value(note));
		printf("  not taken over: %s\n", clean);
	}
	for (const char *line = buf_str(&im->advice); *line; line += strcspn(line, "\n") + 1) {
		auto_free char *one = xstrndup(line, strcspn(line, "\n"));
		auto_free char *clean = cli_clean(one);
		printf("to do: %s\n", clean);
	}
}

/* ---- the worker ---- */

/* 0, or the exit code of a failure that was said. */
static int ask(struct import *im, const char *step)
{
	struct error err = {0};
	talk_clear(&im->talk);
	talk_init(&im->talk, im->cli);
	im->talk.looks = true; /* nothing to recover: the same step is taken again */
	json_t *request = json_object();
	json_set_str(request, "verb", "import");
	json_set_str(request, "step", step);
	json_set_str(request, "root_dir", im->record.root_dir);
	json_set_str(request, "tracking", im->record.tracking);
	json_set_bool(request, "resume", im->record.phase != IMPORT_NONE);
	/* check_process() has seen no other process of it */
	json_set_bool(request, "stopped", !im->official.active);
	int r = talk_run(&im->talk, request, -1, &err);
	if (r < 0)
		return cli_fail(im->cli, cli_exit_of(r), &err, "%s", host_hint(r));
	int code = talk_exit(&im->talk);
	if (code == CLI_DONE)
		return 0;
	const char *text = json_string_value(json_object_get(im->talk.result, "text"));
	const char *kind = json_string_value(json_object_get(im->talk.result, "code"));
	error_set(&err, kind ? error_from_name(kind) : -EIO, "%s", text ? text : "it failed");
	return cli_fail(im->cli, code, &err, NULL);
}

static int fail(struct import *im, const struct error *err)
{
	enum import_phase phase = im->record.phase;
	bool begun = phase == IMPORT_BEGUN || phase == IMPORT_TAKEN || phase == IMPORT_UNDOING;
	bool again = begun && err->code != ERR_REFUSED;
	const char *next = again ? "the same command goes on where it was" : NULL;
	return next ? cli_fail(im->cli, cli_exit_of(err->code), err, "%s", next)
		    : cli_fail(im->cli, cli_exit_of(err->code), err, NULL);
}

/* ---- agent.yml ---- */

static int open_etc(struct import *im, struct error *err)
{
	int r = fs_mkdirs_path(im->cli->paths.etc, 0755, err);
	int fd = r < 0 ? r : open(im->cli->paths.etc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r < 0 || fd >= 0 ? fd : error_errno(err, "open '%s'", im->cli->paths.etc);
}

static bool has(int fd, const char *name)
{
	return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A proxy's password may stand in it. */
static int give_to_daemon(struct import *im, int fd, struct error *err)
{
	const struct group *daemon =
		!*im->cli->paths.root && geteuid() == 0 ? getgrnam(PATHS_DAEMON_USER) : NULL;
	if (daemon && fchownat(fd, "agent.yml", 0, daemon->gr_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "give agent.yml to group '" PATHS_DAEMON_USER "'");
	return 0;
}

static int write_settings(struct import *im, struct error *err)
{
	auto_close int fd = open_etc(im, err);
	if (fd < 0)
		return fd;
	if (im->record.had_agent_yml && !has(fd, BEFORE) &&
	    renameat(fd, "agent.yml", fd, BEFORE) < 0)
		return error_errno(err, "keep agent.yml as " BEFORE);
	int r = fs_write_atomic(fd, "agent.yml", im->config.text, strlen(im->config.text), 0640,
				err);
	return r < 0 ? r : give_to_daemon(im, fd, err);
}

static int restore_settings(struct import *im, struct error *err)
{
	auto_close int fd = open_etc(im, err);
	if (fd < 0)
		return fd;
	/* what was changed in it meanwhile is the person's */
	if (has(fd, "agent.yml") && (has(fd, BEFORE) || !im->record.had_agent_yml) &&
	    renameat(fd, "agent.yml", fd, IMPORTED) < 0)
		return error_errno(err, "keep agent.yml as " IMPORTED);
	if (has(fd, BEFORE) && renameat(fd, BEFORE, fd, "agent.yml") < 0)
		return error_errno(err, "put " BEFORE " back");
	return fs_sync_dir(fd, err);
}

static void say_settings(struct import *im)
{
	auto_free char *what = xasprintf(
		"%s%s%s", im->cli->paths.agent_yml,
		im->record.had_agent_yml ? "; the one before stays beside it as " BEFORE : "",
		im->config.file ? "" : ", from defaults");
	say(im, "wrote", "would write", what);
	if (!im->dry || im->cli->json)
		return;
	for (const char *at = im->config.text; *at; at += strcspn(at, "\n") + 1) {
		auto_free char *line = xstrndup(at, strcspn(at, "\n"));
		auto_free char *clean = cli_clean(line);
		printf("  | %s\n", clean);
	}
}

/* ---- import: before anything is touched ---- */

static int check_phase(struct import *im, struct error *err)
{
	switch (im->record.phase) {
	case IMPORT_DONE:
		return error_set(err, ERR_EXISTS,
				 "this host's installation was imported already; 'slipway import "
				 "codedeploy --undo' gives it back");
	case IMPORT_UNDOING:
		return error_set(err, ERR_REFUSED,
				 "an import is being undone: 'slipway import codedeploy --undo' "
				 "finishes that");
	default:
		return 0;
	}
}

static int check_enrolment(struct import *im, struct error *err)
{
	auto_free char *path = fs_join(im->cli->paths.host, "trust/identity.json");
	if (access(path, F_OK) < 0)
		return 0;
	return error_set(err, ERR_REFUSED,
			 "this host is enrolled at an endpoint, and takes its deployments from "
			 "there: 'slipway unenroll' first");
}

/* One that systemd does not know would go on. */
static int check_process(struct import *im, struct error *err)
{
	long pid = im->official.active ? 0 : import_service_pid(&im->config);
	if (!pid)
		return 0;
	return error_set(err, ERR_REFUSED,
			 "the official agent runs, and not as " IMPORT_UNIT " ('%s'): stop it with "
			 "'codedeploy-agent stop'",
			 im->config.pid_file);
}

/* What codedeployagent.yml names may be that of another machine. */
static int check_root(struct import *im, struct error *err)
{
	if (im->record.phase != IMPORT_NONE || access(im->config.root_dir, F_OK) == 0)
		return 0;
	return error_set(err, ERR_NOT_FOUND,
			 "there is no deployment root '%s', as %s has it: put 'root_dir' right "
			 "there (with --from, too, paths in it count as they are), or start the "
			 "official agent once",
			 im->config.root_dir,
			 im->config.file ? im->config.file : "the official agent");
}

static int look(struct import *im, struct error *err)
{
	const struct paths *paths = &im->cli->paths;
	auto_close int fd = -1;
	int r;
	if ((r = import_service_look(paths, IMPORT_UNIT, &im->official, err)) < 0 ||
	    (r = import_service_look(paths, IMPORT_OURS, &im->ours, err)) < 0 ||
	    (r = check_enrolment(im, err)) < 0 || (r = check_root(im, err)) < 0 ||
	    (r = check_process(im, err)) < 0 ||
	    (r = import_identity_look(paths, im->config.on_premises, &im->access, &im->advice,
				      err)) < 0)
		return r;
	struct import_record *record = &im->record;
	if (record->phase != IMPORT_NONE)
		return str_eq(record->root_dir, im->config.root_dir)
			       ? 0
			       : error_set(err, ERR_INPUT,
					   "the import that was begun is of '%s': finish that, or "
					   "--undo it",
					   record->root_dir);
	*record = (struct import_record){
		.root_dir = xstrdup(im->config.root_dir),
		.tracking = xstrdup(im->config.tracking),
		.on_premises = xstrdup(im->config.on_premises),
		.had_agent_yml = access(paths->agent_yml, F_OK) == 0,
		.had_unit = im->official.loaded,
		.was_active = im->official.active,
		.was_masked = im->official.masked,
		.conditioned = !im->official.masked && !im->official.maskable,
		.slipwayd_was_active = im->ours.active,
	};
	return 0;
}

/* ---- import: the steps ---- */

static int begin(struct import *im, struct error *err)
{
	struct import_record *record = &im->record;
	if (record->phase != IMPORT_NONE)
		return 0;
	int r = im->access == IMPORT_ACCESS_CHANGE ? import_identity_note(record, err) : 0;
	record->phase = IMPORT_BEGUN;
	return r < 0 ? r : import_record_save(&im->cli->paths, record, err);
}

/* systemd may have left a process: that of a script refuses to end during a deployment. */
static int check_ended(struct import *im, struct error *err)
{
	if (!import_service_pid(&im->config))
		return 0;
	return error_set(err, ERR_BUSY,
			 "systemd has stopped " IMPORT_UNIT
			 ", and its process has not ended ('%s'): it has a deployment going on, "
			 "try again when that has ended",
			 im->config.pid_file);
}

static int hold(struct import *im, struct error *err)
{
	const struct paths *paths = &im->cli->paths;
	const struct import_record *record = &im->record;
	if (!record->had_unit) {
		say(im, "found", "finds", "no service of the official agent");
		return 0;
	}
	int r = 0;
	if (!im->dry && im->official.active) {
		r = import_service_do(paths, "stop", IMPORT_UNIT, err);
		if (r >= 0)
			r = check_ended(im, err);
	}
	if (!im->dry && r >= 0)
		r = import_service_hold(paths, record, err);
	if (r >= 0 && record->conditioned)
		say(im, "stopped, and held by a drop-in,", "would stop, and hold by a drop-in,",
		    IMPORT_UNIT);
	else if (r >= 0)
		say(im, "stopped and masked", "would stop and mask", IMPORT_UNIT);
	return r;
}

/* Back to where it was: it had a deployment going on after all, or a group came up here. */
static void release(struct import *im)
{
	struct error err = {0};
	const struct paths *paths = &im->cli->paths;
	int r = import_service_release(paths, &im->record, &err);
	if (r >= 0 && im->record.was_active)
		r = import_service_do(paths, "start", IMPORT_UNIT, &err);
	if (r >= 0)
		r = import_record_remove(paths, &err);
	if (r < 0) {
		fprintf(stderr, "slipway: %s\n", err.text);
		return;
	}
	im->record.phase = IMPORT_NONE;
	fputs("slipway: " IMPORT_UNIT " is as it was\n", stderr);
}

static int open_identity(struct import *im, struct error *err)
{
	if (im->dry ? im->access != IMPORT_ACCESS_CHANGE : !im->record.identity_changed)
		return 0;
	int r = im->dry ? 0 : import_identity_change(&im->record, err);
	if (r >= 0)
		say(im, "gave", "would give",
		    "the on-premises file to group slipway, mode 0640: it stays where it is");
	return r;
}

/* From now on slipwayd may deploy, so groups are not looked at again. */
static int finish(struct import *im, struct error *err)
{
	const struct paths *paths = &im->cli->paths;
	im->record.phase = IMPORT_TAKEN;
	int r = import_record_save(paths, &im->record, err);
	if (r >= 0 && im->ours.loaded)
		r = import_service_do(paths, "restart", IMPORT_OURS, err);
	if (r < 0)
		return r;
	im->record.phase = IMPORT_DONE;
	return import_record_save(paths, &im->record, err);
}

static int end(struct import *im)
{
	json_t *result = im->talk.result;
	if (!im->cli->json) {
		print_notes(im);
		puts(im->dry ? "nothing was done" : "done");
		return CLI_DONE;
	}
	json_set_bool(result, "dry_run", im->dry);
	json_object_set(result, "done", im->did);
	if (im->config.notes)
		json_object_set(result, "not_taken_over", im->config.notes);
	if (im->config.text)
		json_set_str(result, "agent_yml", im->config.text);
	if (im->advice.len)
		json_set_str(result, "to_do", buf_str(&im->advice));
	return talk_finish_json(&im->talk);
}

/* Only files for tools: nothing here keeps an import from its end. */
static void give_tools(struct import *im)
{
	auto_settings struct settings settings = {0};
	struct error ignored;
	if (settings_load(&settings, &im->cli->paths, &ignored) >= 0)
		import_tools_give(&im->cli->paths, &settings, &im->advice);
}

static int act(struct import *im)
{
	struct error err = {0};
	bool fresh = im->record.phase == IMPORT_NONE;
	if (begin(im, &err) < 0 || hold(im, &err) < 0) {
		if (err.code == ERR_BUSY && fresh)
			release(im);
		return fail(im, &err);
	}
	int code = ask(im, "take");
	/* one that says so has taken nothing; one that was killed may have */
	if ((code == CLI_BUSY || code == CLI_REFUSED) && fresh && im->talk.result &&
	    !json_array_size(im->talk.groups))
		release(im);
	if (code)
		return code;
	print_groups(im, "took over", "");
	if (open_identity(im, &err) < 0 || write_settings(im, &err) < 0)
		return fail(im, &err);
	give_tools(im);
	say_settings(im);
	if (finish(im, &err) < 0)
		return fail(im, &err);
	if (im->ours.loaded)
		say(im, "started", "would start", IMPORT_OURS);
	return end(im);
}

/* What is left of an import that ended before slipwayd had started. */
static int act_last(struct import *im)
{
	struct error err = {0};
	im->talk.result = json_pack("{s:i}", "exit", CLI_DONE);
	if (import_service_look(&im->cli->paths, IMPORT_OURS, &im->ours, &err) < 0 ||
	    (!im->dry && finish(im, &err) < 0))
		return fail(im, &err);
	if (im->ours.loaded)
		say(im, "started", "would start", IMPORT_OURS);
	return end(im);
}

static int pretend(struct import *im)
{
	struct error err = {0};
	if (hold(im, &err) < 0)
		return fail(im, &err);
	print_groups(im, "", "would take over");
	if (open_identity(im, &err) < 0)
		return fail(im, &err);
	say_settings(im);
	if (im->ours.loaded)
		say(im, "started", "would start", IMPORT_OURS);
	return end(im);
}

static int import(struct import *im, const char *from)
{
	struct error err = {0};
	if (check_phase(im, &err) < 0)
		return fail(im, &err);
	if (im->record.phase == IMPORT_TAKEN)
		return act_last(im);
	if (import_config_read(from, &im->cli->paths, &im->config, &err) < 0 || look(im, &err) < 0)
		return fail(im, &err);
	int code = ask(im, "check");
	if (code)
		return code;
	return im->dry ? pretend(im) : act(im);
}

/* ---- undo ---- */

static int give_service(struct import *im, struct error *err)
{
	const struct paths *paths = &im->cli->paths;
	const struct import_record *record = &im->record;
	if (!record->had_unit)
		return 0;
	int r = im->dry ? 0 : import_service_release(paths, record, err);
	if (r >= 0 && !im->dry && record->was_active)
		r = import_service_do(paths, "start", IMPORT_UNIT, err);
	if (r >= 0)
		say(im, record->was_active ? "started" : "gave back",
		    record->was_active ? "would start" : "would give back", IMPORT_UNIT);
	return r;
}

static int stop_ours(struct import *im, struct error *err)
{
	const struct paths *paths = &im->cli->paths;
	int r = import_service_look(paths, IMPORT_OURS, &im->ours, err);
	if (r >= 0 && !im->dry) {
		im->record.phase = IMPORT_UNDOING;
		r = import_record_save(paths, &im->record, err);
	}
	if (r < 0 || !im->ours.active)
		return r;
	r = im->dry ? 0 : import_service_do(paths, "stop", IMPORT_OURS, err);
	if (r >= 0)
		say(im, "stopped", "would stop", IMPORT_OURS);
	return r;
}

static int start_ours(struct import *im, struct error *err)
{
	if (!im->ours.loaded || !im->record.slipwayd_was_active)
		return 0;
	int r = im->dry ? 0 : import_service_do(&im->cli->paths, "start", IMPORT_OURS, err);
	if (r >= 0)
		say(im, "started", "would start", IMPORT_OURS);
	return r;
}

static int close_identity(struct import *im, struct error *err)
{
	if (!im->record.identity_changed)
		return 0;
	int r = im->dry ? 0 : import_identity_restore(&im->record, err);
	if (r >= 0)
		say(im, "gave", "would give",
		    "the on-premises file back to the group and mode that it had");
	return r;
}

static void say_restored(struct import *im)
{
	say(im, "restored", "would restore",
	    im->record.had_agent_yml ? "agent.yml; the imported one stays as " IMPORTED
				     : "that there is no agent.yml; it stays as " IMPORTED);
}

/* A deployment began before slipwayd was stopped: it goes on, and so does Slipway. */
static int resume_ours(struct import *im, int code)
{
	struct error err = {0};
	if (finish(im, &err) < 0)
		fprintf(stderr, "slipway: %s\n", err.text);
	return code;
}

static int undo_act(struct import *im)
{
	struct error err = {0};
	enum import_phase before = im->record.phase;
	if (stop_ours(im, &err) < 0)
		return fail(im, &err);
	int code = ask(im, "give-check");
	if (code)
		return before == IMPORT_TAKEN || before == IMPORT_DONE ? resume_ours(im, code)
								       : code;
	if (restore_settings(im, &err) < 0)
		return fail(im, &err);
	say_restored(im);
	code = ask(im, "give");
	if (code)
		return code;
	print_groups(im, "gave back", "");
	import_tools_take_back(&im->cli->paths); /* before root writes there again */
	if (close_identity(im, &err) < 0 || give_service(im, &err) < 0 ||
	    start_ours(im, &err) < 0 || import_record_remove(&im->cli->paths, &err) < 0)
		return fail(im, &err);
	im->record.phase = IMPORT_NONE;
	return end(im);
}

static int undo_pretend(struct import *im)
{
	struct error err = {0};
	int code = ask(im, "give-check");
	if (code)
		return code;
	if (stop_ours(im, &err) < 0)
		return fail(im, &err);
	say_restored(im);
	print_groups(im, "", "would give back");
	if (close_identity(im, &err) < 0 || give_service(im, &err) < 0 || start_ours(im, &err) < 0)
		return fail(im, &err);
	return end(im);
}

static int undo(struct import *im)
{
	struct error err = {0};
	if (im->record.phase == IMPORT_NONE) {
		error_set(&err, ERR_NOT_FOUND, "nothing was imported on this host");
		return fail(im, &err);
	}
	return im->dry ? undo_pretend(im) : undo_act(im);
}

/* ---- the command ---- */

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	CLEANUP(import_clear)
	struct import im = {.cli = cli,
			    .dry = cli_has(args, "dry-run"),
			    .did = json_array(),
			    .advice = BUF_INIT(ADVICE_MAX)};
	if (!str_eq(args->operands[0], "codedeploy"))
		return cli_usage(cli, "'%s' cannot be imported: only codedeploy can",
				 args->operands[0]);
	if (!*cli->paths.root && geteuid() != 0)
		return cli_usage(cli, "it needs root: try it with sudo");
	auto_close int lock_fd = import_record_lock(&cli->paths, &err);
	if (lock_fd < 0 || import_record_load(&cli->paths, &im.record, &err) < 0)
		return fail(&im, &err);
	return cli_has(args, "undo") ? undo(&im) : import(&im, cli_value(args, "from"));
}

const struct cli_command cmd_import = {
	.name = "import",
	.operands = "codedeploy",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "take over from the official agent, or give back",
	.help = "What the official CodeDeploy agent has installed on this host becomes Slipway's "
		"without a new deployment: its settings, its identity, and for each deployment "
		"group the last successful revision with its files. That agent is stopped and "
		"masked. No installed file is touched, no script runs, and revisions stay where "
		"they are. --undo gives it all back, with what was deployed meanwhile.",
	.example = "slipway import codedeploy --dry-run\n"
		   "slipway import codedeploy\n"
		   "slipway import codedeploy --undo",
	.options = options,
	.page = "slipway-import",
	.run = run,
};
