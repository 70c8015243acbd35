// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/run.h"

#include "agent/worker/adopt.h"
#include "agent/worker/command.h"
#include "agent/worker/import.h"
#include "agent/worker/inspect.h"
#include "agent/worker/layout.h"
#include "agent/worker/local.h"
#include "agent/worker/preview.h"
#include "agent/worker/recover.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALLER_FD 3

/* trusted: unsigned, so only from someone who is root anyway. */
static const struct {
	const char *name;
	run_verb_fn *fn;
	bool trusted;
} verbs[] = {
	{"command", command_verb, false},
	{"deploy", local_deploy_verb, true},
	{"plan", preview_verb, true},
	{"verify", inspect_verify_verb, true},
	{"redeploy", local_redeploy_verb, true},
	{"rollback", local_rollback_verb, true},
	{"remove", local_remove_verb, true},
	{"adopt", adopt_verb, true},
	{"import", import_verb, true},
	{"recover", recover_verb, false},
	{"orphan", recover_orphan_verb, false},
};

int run_exit_code(int code)
{
	switch (code) {
	case ERR_INPUT:
	case ERR_FORMAT:
	case ERR_NOT_FOUND:
	case ERR_SIGNATURE:
	case ERR_TRUST:
	case ERR_DENIED:
	case ERR_EXPIRED:
	case ERR_LIMIT:
		return 2;
	case ERR_REFUSED:
		return 3;
	case ERR_UNDO:
		return 4;
	case ERR_BUSY:
	case ERR_NETWORK:
	case ERR_NOT_MOUNTED:
		return 6;
	default:
		return 1;
	}
}

static void run_clear(struct run *run)
{
	fs_close_quiet(run->root_fd);
	fs_close_quiet(run->locks_fd);
	fs_close_quiet(run->results_fd);
	fs_close_quiet(run->groups_fd);
	fs_close_quiet(run->host_fd);
	free(run->root_path);
	settings_clear(&run->settings);
	paths_clear(&run->paths);
}

static int open_path(const char *path, mode_t mode, struct error *err)
{
	int r = fs_mkdirs_path(path, mode, err);
	if (r < 0)
		return r;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "open '%s'", path) : fd;
}

static int open_directories(struct run *run, struct error *err)
{
	run->host_fd = paths_open_host(&run->paths, err);
	if (run->host_fd < 0)
		return run->host_fd;
	const struct {
		const char *name;
		int *place;
	} below[] = {
		{"groups", &run->groups_fd},
		{"results", &run->results_fd},
		{"locks", &run->locks_fd},
	};
	for (size_t i = 0; i < ARRAY_LEN(below); i++) {
		*below[i].place = fs_mkdirs(run->host_fd, below[i].name, 0750, err);
		if (*below[i].place < 0)
			return *below[i].place;
	}
	run->root_path = xstrdup(run->settings.root_dir ? run->settings.root_dir
							: run->paths.deployment_root);
	run->root_fd = open_path(run->root_path, layout_mode_way(run), err);
	if (run->root_fd < 0)
		return run->root_fd;
	layout_heal(run, run->root_fd);
	return 0;
}

static int carry_out(struct run *run, const json_t *message, int fd, json_t *result,
		     struct error *err)
{
	const char *verb = NULL;
	if (json_need_str(message, "verb", &verb, err) < 0)
		return 2;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].name, verb) != 0)
			continue;
		if (verbs[i].trusted && !run->caller.trusted) {
			error_set(err, ERR_DENIED, "'%s' needs root: try it with sudo", verb);
			return 2;
		}
		return verbs[i].fn(run, message, fd, result, err);
	}
	error_set(err, ERR_INPUT, "verb '%s' is not known", verb);
	return 2;
}

static void say_result(struct run *run, json_t *result, int exit_code, const struct error *err)
{
	json_set_int(result, "exit", exit_code);
	if (exit_code && err->code) {
		json_set_str(result, "code", error_name(err->code));
		json_set_str(result, "text", err->text);
	}
	if (run->caller.problems)
		json_set_int(result, "warnings", (int64_t)run->caller.problems);
	if (run->caller.gone && exit_code)
		log_warning("nobody was there to hear it: %s", err->text);
	caller_say(&run->caller, result);
}

/* Trees are put right whatever agent.yml says, also when it says nothing that can be read: at boot
 * nobody is there to correct it. */
static bool needs_settings(const json_t *message)
{
	return !str_eq(json_string_value(json_object_get(message, "verb")), "recover") ||
	       !json_is_true(json_object_get(message, "files"));
}

/* A mistake in the settings is told to the caller, too: it would take us for killed. */
static int get_ready(struct run *run, const json_t *message, struct error *err)
{
	int r = settings_load(&run->settings, &run->paths, err);
	if (r < 0 && !needs_settings(message)) {
		caller_problem(&run->caller, PROBLEM_WARNING, "settings", err->text);
		*err = (struct error){0};
		r = 0;
	}
	if (r >= 0 && run->settings.verbose)
		log_set_level(LOG_DEBUG);
	proc_allow_core_dumps(!run->settings.disable_core_dumps);
	return r < 0 ? r : open_directories(run, err);
}

static int listen_and_run(struct run *run, struct error *err)
{
	auto_json json_t *message = NULL;
	auto_close int fd = -1;
	int r = caller_listen(&run->caller, &message, &fd, err);
	if (r <= 0)
		return r;
	struct error why = {0};
	json_t *result = caller_event("result");
	int exit_code;
	if (get_ready(run, message, &why) < 0)
		exit_code = why.code == ERR_INPUT || why.code == ERR_FORMAT ? 2 : 1;
	else
		exit_code = carry_out(run, message, fd, result, &why);
	say_result(run, result, exit_code, &why);
	return 0;
}

static int start(struct run *run, const char *root, struct error *err)
{
	struct stat st;
	if (fstat(CALLER_FD, &st) < 0 || !S_ISSOCK(st.st_mode))
		return error_set(err, ERR_INPUT,
				 "descriptor %d is not the socket of a caller: slipway-worker is "
				 "started by slipwayd and slipway",
				 CALLER_FD);
	if (fcntl(CALLER_FD, F_SETFD, FD_CLOEXEC) < 0)
		return error_errno(err, "descriptor %d", CALLER_FD);
	int r = caller_init(&run->caller, CALLER_FD, err);
	if (r >= 0)
		r = paths_init(&run->paths, root, err);
	return r;
}

static const char usage[] =
	"Usage: slipway-worker [--root DIR]\n"
	"\n"
	"Runs one command of slipwayd or slipway and exits. It is not for typing:\n"
	"descriptor 3 is the socket of its caller, which says what to do. It is started\n"
	"by slipway-worker.socket, slipwayd and slipway.\n"
	"\n"
	"  --root DIR   keep everything below DIR\n"
	"  --version    print the version\n"
	"  --help       print this\n"
	"\n"
	"Example, one deployment by hand (the CLI starts the worker):\n"
	"  slipway deploy ./shop\n"
	"\n"
	"The manual: man slipway-worker\n";

static int parse_arguments(int argc, char **argv, const char **ret_root)
{
	*ret_root = NULL;
	if (argc == 1)
		return 0;
	if (argc == 3 && strcmp(argv[1], "--root") == 0) {
		*ret_root = argv[2];
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("slipway-worker " VERSION);
		return 1;
	}
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return 1;
	}
	fputs("slipway-worker takes only --root DIR, --version and --help\n", stderr);
	return -EINVAL;
}

int run_main(int argc, char **argv)
{
	const char *root;
	int r = parse_arguments(argc, argv, &root);
	if (r != 0)
		return r < 0 ? 2 : 0;
	log_init("slipway-worker", getenv("JOURNAL_STREAM") ? LOG_INFO : LOG_WARNING);
	umask(0022);
	signal(SIGPIPE, SIG_IGN);
	CLEANUP(run_clear)
	struct run run = {
		.host_fd = -1, .groups_fd = -1, .results_fd = -1, .locks_fd = -1, .root_fd = -1};
	struct error err = {0};
	r = start(&run, root, &err);
	if (r >= 0)
		r = listen_and_run(&run, &err);
	if (r < 0)
		log_error("%s", err.text);
	return r < 0 ? 1 : 0;
}
