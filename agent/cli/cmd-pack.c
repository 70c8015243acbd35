// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "agent/problem.h"
#include "agent/worker/bundle.h"
#include "agent/worker/spec.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct cli_option options[] = {
	{.name = "output",
	 .letter = 'o',
	 .arg = "FILE",
	 .kind = CLI_FILE,
	 .help = "a .tgz or .zip file; default: DIR.tgz in the current directory"},
	{.name = "appspec",
	 .arg = "FILE",
	 .help = "the AppSpec's name inside DIR; default: appspec.yml"},
	{0},
};

/* The bundle is written beside its name and renamed when it is complete. */
struct target {
	char *dir_path;
	char *name, *beside;
	int dirfd, fd;
};

static void target_clear(struct target *t)
{
	if (t->fd >= 0) {
		close(t->fd);
		fs_unlink_quiet(t->dirfd, t->beside);
	}
	fs_close_quiet(t->dirfd);
	free(t->dir_path);
	free(t->name);
	free(t->beside);
}

/* "shop/" and "." have a name as well: that of the directory itself. */
static char *default_output(const char *dir)
{
	auto_free char *path = realpath(dir, NULL);
	const char *slash = path ? strrchr(path, '/') : NULL;
	return xasprintf("%s.tgz", slash && slash[1] ? slash + 1 : "revision");
}

/* A bundle in the directory that is packed would hold itself. */
static int check_outside(const char *source, const char *target_dir, struct error *err)
{
	auto_free char *inner = realpath(target_dir, NULL);
	auto_free char *outer = realpath(source, NULL);
	size_t len = outer ? strlen(outer) : 0;
	if (inner && outer && strncmp(inner, outer, len) == 0 && (inner[len] == '/' || !inner[len]))
		return error_set(err, ERR_INPUT,
				 "the bundle would lie in '%s' itself: name another place with "
				 "--output",
				 source);
	return 0;
}

static int target_open(const char *path, const char *source, struct target *t, struct error *err)
{
	const char *slash = strrchr(path, '/');
	t->dir_path = !slash          ? xstrdup(".")
		      : slash == path ? xstrdup("/")
				      : xstrndup(path, (size_t)(slash - path));
	t->name = xstrdup(slash ? slash + 1 : path);
	t->beside = xasprintf(".%s.new", t->name);
	int r = check_outside(source, t->dir_path, err);
	if (r < 0)
		return r;
	t->dirfd = open(t->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->dirfd < 0)
		return error_errno(err, "open '%s'", t->dir_path);
	t->fd = openat(t->dirfd, t->beside, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		       0644);
	return t->fd < 0 ? error_errno(err, "write '%s'", path) : 0;
}

static int target_finish(struct target *t, struct error *err)
{
	if (fsync(t->fd) < 0 || renameat(t->dirfd, t->beside, t->dirfd, t->name) < 0)
		return error_errno(err, "write '%s'", t->name);
	close(TAKE_FD(t->fd));
	return 0;
}

static int check(int dirfd, const char *wanted, struct problems *problems, struct error *err)
{
	auto_spec struct spec *spec = NULL;
	auto_free char *name = NULL;
	int r = spec_load_usable(dirfd, wanted, &spec, &name, problems, err);
	if (spec)
		spec_check_archive(spec, name, dirfd, problems);
	/* mistakes of the AppSpec are in the list */
	if (r < 0 && !problems->errors)
		return r;
	return problems_check(problems, ERR_INPUT, err);
}

static int say(const struct cli *cli, const char *path, const struct bundle_stats *stats,
	       uint64_t size, const struct problems *problems)
{
	char human[32];
	if (!cli->json) {
		printf("%s  %" PRIu64 " entries, %s\nsha256 %s\n", path, stats->entries,
		       str_human_bytes(size, human, sizeof(human)), stats->sha256);
		return CLI_DONE;
	}
	json_t *obj = json_object();
	json_set_str(obj, "file", path);
	json_set_str(obj, "sha256", stats->sha256);
	json_set_int(obj, "size", (int64_t)size);
	json_set_int(obj, "entries", (int64_t)stats->entries);
	json_object_set_new(obj, "problems", problems_to_json(problems));
	return cli_json(obj, CLI_DONE);
}

static int pack(struct cli *cli, int source, const char *dir, const char *path,
		const struct problems *problems)
{
	struct error err = {0};
	enum bundle_type type;
	if (bundle_type_from_path(path, &type) < 0 || (type != BUNDLE_TGZ && type != BUNDLE_ZIP))
		return cli_usage(cli, "'%s': a bundle is packed as .tgz, .tar.gz or .zip", path);
	CLEANUP(target_clear) struct target target = {.dirfd = -1, .fd = -1};
	struct bundle_stats stats;
	struct stat st = {0};
	int r = target_open(path, dir, &target, &err);
	if (r == 0)
		r = bundle_pack(source, type, target.fd, &stats, &err);
	if (r >= 0 && fstat(target.fd, &st) == 0)
		r = target_finish(&target, &err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, NULL);
	return say(cli, path, &stats, (uint64_t)st.st_size, problems);
}

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	const char *dir = args->operands[0];
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		error_errno(&err, "open directory '%s'", dir);
		return cli_fail(cli, CLI_USAGE, &err, NULL);
	}
	auto_problems struct problems problems = {0};
	int r = check(fd, cli_value(args, "appspec"), &problems, &err);
	if (!cli->json)
		problems_print(&problems, stderr);
	if (r < 0 && cli->json)
		return cli_json(json_pack("{s:s,s:s,s:o}", "code", error_name(r), "text", err.text,
					  "problems", problems_to_json(&problems)),
				CLI_USAGE);
	if (r < 0)
		return cli_fail(cli, CLI_USAGE, &err, "nothing was packed");
	const char *given = cli_value(args, "output");
	auto_free char *path = given ? xstrdup(given) : default_output(dir);
	return pack(cli, fd, dir, path, &problems);
}

const struct cli_command cmd_pack = {
	.name = "pack",
	.operands = "DIR",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "make a bundle of a directory",
	.help = "The AppSpec is checked first. The same content gives the same bundle, byte for "
		"byte.",
	.example = "slipway pack ./shop -o shop-42.tgz",
	.operand_kind = CLI_DIR,
	.options = options,
	.page = "slipway-lint",
	.run = run,
};
