// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "agent/problem.h"
#include "agent/settings.h"
#include "agent/worker/bundle.h"
#include "agent/worker/spec.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRIES_MAX 1000000

static const struct cli_option options[] = {
	{.name = "appspec",
	 .arg = "FILE",
	 .help = "the AppSpec's name inside PATH; default: appspec.yml"},
	{.name = "strict", .help = "warnings are mistakes, too"},
	{0},
};

struct linting {
	const char *wanted;      /* name of the AppSpec in a revision; NULL: the default */
	struct spec_limits host; /* what this host allows, if it has an agent.yml */
	struct problems *problems;
};

/* A directory that holds a revision. */
static int lint_directory(const struct linting *l, int fd, struct error *err)
{
	auto_spec struct spec *spec = NULL;
	auto_free char *name = NULL;
	int r = spec_load_usable(fd, l->wanted, &spec, &name, l->problems, err);
	if (!spec)
		return r;
	spec_check_archive(spec, name, fd, l->problems);
	spec_check_limits(spec, name, &l->host, true, l->problems);
	return r;
}

static int lint_appspec(const struct linting *l, int fd, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	auto_spec struct spec *spec = NULL;
	const char *name = slash ? slash + 1 : path;
	int r = spec_read_usable(fd, name, &spec, l->problems, err);
	if (!spec)
		return r;
	spec_check(spec, name, l->problems);
	spec_check_limits(spec, name, &l->host, true, l->problems);
	return r;
}

static bool is_appspec(const char *path)
{
	return str_ends(path, ".yml") || str_ends(path, ".yaml") || str_ends(path, ".json");
}

/* A directory for what is unpacked, which goes with the scope. */
struct scratch {
	char *path;
	int fd;
};

static void scratch_clear(struct scratch *s)
{
	if (s->fd >= 0) {
		int r UNUSED = fs_remove_tree(s->fd, "revision", NULL);
		close(s->fd);
	}
	if (s->path)
		rmdir(s->path);
	free(s->path);
}

static int scratch_init(struct scratch *s, struct error *err)
{
	const char *base = getenv("TMPDIR");
	auto_free char *path = xasprintf("%s/slipway-lint.XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(path))
		return error_errno(err, "make a directory like '%s'", path);
	s->path = TAKE(path);
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->fd < 0 ? error_errno(err, "open '%s'", s->path) : 0;
}

static int lint_bundle(const struct linting *l, int fd, const char *path, struct error *err)
{
	struct bundle_source source = {.fd = fd, .name = path, .size_bytes = -1};
	if (bundle_type_from_path(path, &source.type) < 0)
		return error_set(
			err, ERR_INPUT,
			"'%s': PATH is a directory, an AppSpec (.yml, .yaml, .json) or a bundle "
			"(.tar, .tgz, .tar.gz, .tar.zst, .zip)",
			path);
	CLEANUP(scratch_clear) struct scratch scratch = {.fd = -1};
	int r = scratch_init(&scratch, err);
	if (r < 0)
		return r;
	struct bundle_limits limits = {.max_entries = ENTRIES_MAX};
	struct bundle_stats stats;
	r = bundle_unpack(&source, scratch.fd, "revision", &limits, NULL, NULL, &stats, err);
	if (r < 0)
		return r;
	auto_close int revision =
		openat(scratch.fd, "revision", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (revision < 0)
		return error_errno(err, "open the unpacked revision");
	return lint_directory(l, revision, err);
}

static int lint(const struct linting *l, const char *path, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_errno(err, "open '%s'", path);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "look at '%s'", path);
	if (S_ISDIR(st.st_mode))
		return lint_directory(l, fd, err);
	if (is_appspec(path))
		return lint_appspec(l, fd, path, err);
	return lint_bundle(l, fd, path, err);
}

static int as_json(const struct problems *problems, int exit_code)
{
	json_t *obj = json_object();
	json_set_int(obj, "errors", (int64_t)problems->errors);
	json_set_int(obj, "warnings", (int64_t)problems->warnings);
	json_object_set_new(obj, "problems", problems_to_json(problems));
	return cli_json(obj, exit_code);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* A machine without an agent has none. */
static struct spec_limits host_limits(const struct cli *cli)
{
	auto_settings struct settings settings = {0};
	int level = log_get_level();
	log_set_level(LOG_ERR); /* its mistakes are the daemon's to complain about */
	int r = settings_load(&settings, &cli->paths, NULL);
	log_set_level(level);
	return r < 0 ? (struct spec_limits){0} : spec_limits_of_host(&settings);
}

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	auto_problems struct problems problems = {0};
	const struct linting l = {.wanted = cli_value(args, "appspec"),
				  .host = host_limits(cli),
				  .problems = &problems};
	int r = lint(&l, args->operands[0], &err);
	/* mistakes of the AppSpec are in the list; what else failed is only in err */
	if (r < 0 && !problems.errors)
		return cli_fail(cli, CLI_USAGE, &err, NULL);
	if (cli_has(args, "strict"))
		problems_harden(&problems);
	problems_by_line(&problems);
	int exit_code = problems.errors ? CLI_USAGE : CLI_DONE;
	if (cli->json)
		return as_json(&problems, exit_code);
	problems_print(&problems, stdout);
	if (problems.errors + problems.warnings == 0)
		puts("no mistakes found");
	else
		printf("%zu error%s, %zu warning%s\n", problems.errors, plural(problems.errors),
		       problems.warnings, plural(problems.warnings));
	return exit_code;
}

const struct cli_command cmd_lint = {
	.name = "lint",
	.operands = "PATH",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "check a revision or an AppSpec: all mistakes at once",
	.help = "PATH is a directory or bundle with an AppSpec, or an AppSpec file alone. Mistakes "
		"are "
		"named with line and column. Exit code 2 when there is one.",
	.example = "slipway lint ./shop --strict",
	.operand_kind = CLI_FILE,
	.options = options,
	.page = "slipway-lint",
	.run = run,
};
