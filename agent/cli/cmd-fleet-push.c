// SPDX-License-Identifier: Apache-2.0
/* fleet push: a directory or an archive becomes a revision in the endpoint's store. */
#include "agent/cli/bar.h"
#include "agent/cli/fleet-pushed.h"
#include "agent/cli/fleet.h"
#include "agent/cli/lines.h"
#include "agent/worker/bundle.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/json.h"
#include "common/str.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REDRAW_US 100000 /* of the bar */
#define BUCKET "bundles"

struct push {
	const char *app, *source, *bucket;
	char *key;
	const char *type; /* tar, tgz, zip */
	int fd;           /* the bundle */
	char sha256[DIGEST_SHA256_HEX];
	uint64_t size;
	char *etag, *version;
};

static void push_clear(struct push *push)
{
	free(push->key);
	free(push->etag);
	free(push->version);
	if (push->fd >= 0)
		close(push->fd);
}
#define auto_push CLEANUP(push_clear)

/* A file without a name: it is gone with us. */
static int temporary_file(struct error *err)
{
	const char *given = getenv("TMPDIR");
	const char *dir = str_empty(given) ? "/var/tmp" : given;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd >= 0 ? fd : error_errno(err, "make a temporary file in '%s'", dir);
	auto_free char *name = xasprintf("%s/slipway-push.XXXXXX", dir);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "make a temporary file in '%s'", dir);
	unlink(name);
	return fd;
}

static int pack(struct push *push, int dirfd, struct error *err)
{
	struct bundle_stats stats;
	push->type = "tgz";
	push->fd = temporary_file(err);
	if (push->fd < 0)
		return push->fd;
	int r = bundle_pack(dirfd, BUNDLE_TGZ, push->fd, &stats, err);
	if (r == -ENOENT)
		r = ERR_INPUT; /* no AppSpec */
	return r < 0 ? error_prefix(err, r, "pack '%s'", push->source) : 0;
}

static int take_archive(struct push *push, struct error *err)
{
	enum bundle_type type;
	if (bundle_type_from_path(push->source, &type) < 0 || type == BUNDLE_TAR_ZST)
		return error_set(err, ERR_INPUT,
				 "'%s' is no directory and does not end in .tgz, .tar.gz, .tar or "
				 ".zip",
				 push->source);
	push->type = bundle_type_to_string(type);
	return 0;
}

static int open_source(struct push *push, struct error *err)
{
	struct stat st;
	auto_close int fd = open(push->source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set(err, ERR_INPUT, "open '%s': %s", push->source, strerror(errno));
	if (fstat(fd, &st) < 0)
		return error_errno(err, "look at '%s'", push->source);
	if (S_ISDIR(st.st_mode))
		return pack(push, fd, err);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_INPUT, "'%s' is neither a directory nor a file",
				 push->source);
	push->fd = TAKE_FD(fd);
	return take_archive(push, err);
}

/* Never used twice by accident, and sorted by time: shop/20260102T030405Z-0123abcd.tgz */
static void choose_key(struct push *push, const char *given)
{
	char now[CLOCK_ISO_LEN];
	push->key =
		given ? xstrdup(given)
		      : xasprintf("%s/%s-%.8s.%s", push->app, clock_format_amz(clock_wall_s(), now),
				  push->sha256, push->type);
}

struct upload_bar {
	struct bar bar;
	uint64_t drawn_us;
};

static void show_progress(uint64_t done, uint64_t total, void *arg)
{
	struct upload_bar *shown = arg;
	uint64_t now_us = clock_mono_us();
	if (done < total && now_us - shown->drawn_us < REDRAW_US)
		return;
	if (!*shown->bar.what)
		bar_start(&shown->bar, "upload", true, now_us);
	shown->drawn_us = now_us;
	bar_set(&shown->bar, done, total);
	auto_free char *line = bar_line(&shown->bar, now_us, lines_width(stdout) - 1);
	printf("\r%s\033[K", line);
	fflush(stdout);
}

static int upload(const struct cli *cli, struct fleet *fleet, struct push *push, struct error *err)
{
	struct upload_bar shown = {0};
	const struct fleet_object object = {.bucket = push->bucket,
					    .key = push->key,
					    .fd = push->fd,
					    .size = push->size,
					    .sha256 = push->sha256,
					    .on_progress = cli->live ? show_progress : NULL,
					    .arg = &shown};
	int r = fleet_put(fleet, &object, &push->etag, &push->version, err);
	if (cli->live)
		fputs("\r\033[K", stdout);
	fflush(stdout);
	return r;
}

static int register_revision(struct fleet *fleet, const struct push *push, const json_t *revision,
			     const char *description, struct error *err)
{
	json_t *input = json_object();
	json_set_str(input, "applicationName", push->app);
	json_set_str(input, "description", description);
	json_object_set(input, "revision", (json_t *)revision);
	return fleet_call(fleet, "RegisterApplicationRevision", input, NULL, err);
}

static int do_push(const struct cli *cli, struct fleet *fleet, struct push *push,
		   const struct cli_args *args, struct error *err)
{
	int r = open_source(push, err);
	if (r >= 0)
		r = digest_sha256_fd(push->fd, push->sha256, &push->size, err);
	if (r < 0)
		return r;
	choose_key(push, cli_value(args, "key"));
	r = upload(cli, fleet, push, err);
	if (r < 0)
		return r;
	auto_json json_t *revision =
		fleet_revision(push->bucket, push->key, push->type, push->etag, push->version);
	r = register_revision(fleet, push, revision, cli_value(args, "description"), err);
	if (r < 0)
		return r;
	/* only a convenience: the revision is there, and can be named */
	struct error minor = {0};
	if (fleet_pushed_save(fleet_endpoint(fleet), push->app, revision, &minor) < 0)
		fprintf(stderr, "slipway fleet push: 'fleet deploy' will need --revision: %s\n",
			minor.text);
	return 0;
}

static int say_pushed(const struct cli *cli, const struct push *push)
{
	auto_free char *revision = xasprintf("s3://%s/%s", push->bucket, push->key);
	bool plain = !revision[strcspn(revision, " \t\n'\"\\$`&|;<>()*?[]#~!{}")];
	auto_free char *command =
		xasprintf("slipway fleet deploy --app %s --group GROUP "
			  "--revision %s%s%s --watch",
			  push->app, plain ? "" : "'", revision, plain ? "" : "'");
	if (cli->json) {
		json_t *obj = json_object();
		json_set_str(obj, "revision", revision);
		json_set_str(obj, "bucket", push->bucket);
		json_set_str(obj, "key", push->key);
		json_set_str(obj, "bundle_type", push->type);
		json_set_str(obj, "sha256", push->sha256);
		json_set_int(obj, "bytes", (int64_t)push->size);
		json_set_str(obj, "etag", push->etag);
		json_set_str(obj, "version", push->version);
		json_set_str(obj, "deploy", command);
		return cli_json(obj, CLI_DONE);
	}
	char size[32];
	printf("Pushed %s as %s (%s). Deploy it:\n  %s\n", push->source, revision,
	       str_human_bytes(push->size, size, sizeof(size)), command);
	return CLI_DONE;
}

static int run_push(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	const char *app = fleet_need(cli, args, "app"), *bucket = cli_value(args, "bucket");
	if (!app)
		return CLI_USAGE;
	auto_push struct push push = {.app = app,
				      .source = args->operands[0],
				      .bucket = bucket ? bucket : BUCKET,
				      .fd = -1};
	if (strchr(push.bucket, '/'))
		return cli_usage(cli, "bucket '%s' must not hold a '/'", push.bucket);
	auto_fleet struct fleet *fleet = NULL;
	int r = fleet_open(args, &fleet, &err);
	if (r >= 0)
		r = do_push(cli, fleet, &push, args, &err);
	if (r < 0)
		return fleet_fail(cli, fleet, r, &err);
	return say_pushed(cli, &push);
}

static const struct cli_option push_options[] = {
	FLEET_APP,
	{.name = "bucket", .arg = "B", .help = "where in the store; default: " BUCKET},
	{.name = "key", .arg = "K", .help = "its name there; default: a new one each time"},
	{.name = "description", .arg = "D", .help = "what is new, for people"},
	FLEET_CREDENTIALS,
	{0},
};

const struct cli_command cmd_fleet_push = {
	.name = "fleet push",
	.operands = "DIR|FILE",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "put a new revision into the endpoint's store",
	.help = "A directory is packed first; it must have an appspec.yml. Nothing is deployed "
		"yet.",
	.example = "slipway fleet push ./shop --app shop --description 'new basket'",
	.operand_kind = CLI_FILE,
	.options = push_options,
	.page = "slipway-fleet",
	.run = run_push,
};
