// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/remote.h"

#include "agent/cli/bar.h"
#include "agent/cli/lines.h"
#include "agent/fetch/fetch.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/str.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define REDRAW_US 100000
#define FILES_DIR "/var/tmp" /* on a disk, where TMPDIR does not say otherwise */
#define TOKEN_VARIABLE "GITHUB_TOKEN"

struct remote {
	struct fetch_source source; /* the fetch takes it */
	bool is_s3;
	struct loop loop;
	struct settings settings;
	struct aws_provider *aws;
	struct fetch *fetch;
	bool live;
	struct bar bar;
	uint64_t drawn_us;
	/* how it ended */
	bool asked, ended, has_error; /* asked: all was set up */
	struct error error;
	int fd;
	char *etag;
};

static void remote_free(struct remote *remote)
{
	fetch_source_clear(&remote->source);
	fs_close_quiet(remote->fd);
	free(remote->etag);
	free(remote);
}

/* As the specification of an endpoint would name it. */
static void describe(const struct fetch_source *s, json_t *request)
{
	const char *type = str_eq(s->type, "tar.zst") ? "tar" : s->type;
	json_t *place = json_object();
	json_set_str(place, "BundleType", type);
	if (s->kind == FETCH_S3) {
		json_set_str(place, "Bucket", s->bucket);
		json_set_str(place, "Key", s->key);
		json_set_str(place, "Version", s->version);
		json_set_str(place, "ETag", s->etag);
		json_object_set_new(request, "s3", place);
	} else if (s->kind == FETCH_GITHUB) {
		json_set_str(place, "Account", s->account);
		json_set_str(place, "Repository", s->repository);
		json_set_str(place, "CommitId", s->commit);
		json_object_set_new(request, "github", place);
	} else {
		json_decref(place);
	}
}

static int check_hash(const struct remote *remote, const char *text, const char *sha256,
		      struct error *err)
{
	const char *inside = remote->source.sha256;
	if (inside && sha256 && !str_eq(inside, sha256))
		return error_set(err, ERR_INPUT, "'%.200s' and --sha256 name different hashes",
				 text);
	if (remote->source.kind != FETCH_HTTPS || inside || sha256)
		return 0;
	return error_set(err, ERR_INPUT,
			 "'%.200s' needs --sha256 HEX, or #sha256=HEX after it: nothing else says "
			 "which bytes are meant",
			 remote->source.name);
}

static int remote_open(const char *text, const char *type, const char *sha256, struct remote **ret,
		       json_t *request, struct error *err)
{
	struct remote *remote = xcalloc(1, sizeof(*remote));
	remote->fd = -1;
	int r = fetch_source_parse(text, type, &remote->source, err);
	if (r == 0)
		r = check_hash(remote, text, sha256, err);
	if (r < 0) {
		remote_free(remote);
		return r;
	}
	struct fetch_source *source = &remote->source;
	remote->is_s3 = source->kind == FETCH_S3;
	const char *token = getenv(TOKEN_VARIABLE);
	if (source->kind == FETCH_GITHUB && !str_empty(token))
		source->token = xstrdup(token);
	json_t *origin = json_object();
	json_set_str(origin, "type", source->type);
	json_set_str(origin, "name", source->name);
	json_object_set_new(request, "source", origin);
	json_set_str(request, "sha256", sha256 ? sha256 : source->sha256);
	describe(source, request);
	*ret = remote;
	return 0;
}

static void clear_line(const struct remote *remote)
{
	if (!remote->live || !*remote->bar.what)
		return;
	fputs("\r\033[K", stdout);
	fflush(stdout);
}

static void on_progress(uint64_t done, uint64_t total, void *arg)
{
	struct remote *remote = arg;
	uint64_t now_us = clock_mono_us();
	if (!remote->live || now_us - remote->drawn_us < REDRAW_US)
		return;
	if (!*remote->bar.what)
		bar_start(&remote->bar, "download", true, now_us);
	remote->drawn_us = now_us;
	bar_set(&remote->bar, done, total);
	auto_free char *line = bar_line(&remote->bar, now_us, lines_width(stdout) - 1);
	printf("\r%s\033[K", line);
	fflush(stdout);
}

static void on_pause(const struct error *why, uint64_t ms, void *arg)
{
	struct remote *remote = arg;
	auto_free char *text = cli_clean(why->text);
	clear_line(remote);
	fprintf(stderr, "slipway: %s; goes on in %.0f s\n", text, (double)ms / 1000);
}

static void on_done(const struct fetch_end *end, void *arg)
{
	struct remote *remote = arg;
	remote->fetch = NULL;
	remote->ended = true;
	remote->fd = end->fd;
	remote->has_error = end->error;
	if (end->error)
		remote->error = *end->error;
	else if (end->etag && !end->etag_is_opaque && remote->is_s3)
		remote->etag = xstrdup(end->etag);
	loop_stop(&remote->loop, 0);
}

/* "again" is of pipes. */
static int run_fetch(struct remote *remote, int dirfd, struct error *err)
{
	const struct fetch_order order = {.settings = &remote->settings,
					  .aws = remote->aws,
					  .size_bytes = -1,
					  .dirfd = dirfd};
	const struct fetch_handler handler = {
		.progress = on_progress, .pause = on_pause, .done = on_done, .arg = remote};
	int r = fetch_start(&remote->loop, &remote->source, &order, &handler, &remote->fetch, NULL,
			    err);
	remote->asked = r == 0;
	if (r == 0)
		r = loop_run(&remote->loop, err);
	fetch_cancel(TAKE(remote->fetch));
	if (r < 0)
		return r;
	if (!remote->ended)
		return error_set(err, -EINTR, "interrupted; nothing was touched");
	if (remote->has_error)
		*err = remote->error;
	return remote->has_error ? err->code : 0;
}

static int fetch_with_credentials(struct remote *remote, const struct paths *paths, int dirfd,
				  struct error *err)
{
	int r = settings_load(&remote->settings, paths, err);
	if (r == 0 && remote->source.kind == FETCH_S3)
		r = aws_provider_new(&remote->loop, &remote->settings, paths, &remote->aws, err);
	if (r == 0)
		r = run_fetch(remote, dirfd, err);
	aws_provider_free(TAKE(remote->aws));
	settings_clear(&remote->settings);
	return r;
}

/* The loop blocks signals, which those who come after it do not expect. */
static int fetch_on_a_loop(struct remote *remote, const struct paths *paths, struct error *err)
{
	const char *dir = getenv("TMPDIR");
	if (str_empty(dir))
		dir = FILES_DIR;
	auto_close int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return error_errno(err, "open '%s', where the download goes", dir);
	sigset_t before;
	sigprocmask(SIG_BLOCK, NULL, &before);
	int r = loop_init(&remote->loop, err);
	if (r == 0)
		r = fetch_with_credentials(remote, paths, dirfd, err);
	loop_clear(&remote->loop);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* Where nobody was asked yet, or what was asked cannot be right, it is settings, a directory, a
 * variable: the text says which. */
static const char *next_step(int code, enum fetch_kind kind, bool asked)
{
	switch (code) {
	case -EINTR:
	case ERR_INPUT:
		return NULL;
	case ERR_NETWORK:
	case ERR_THROTTLED:
		return "try again later; 'slipway doctor' says where the network fails";
	case ERR_TRUST:
		return "ca_file in agent.yml names certificates that are trusted beside the "
		       "system's";
	case ERR_DENIED:
		return kind == FETCH_GITHUB
			       ? "a token in " TOKEN_VARIABLE
				 " must be allowed to read the repository"
			       : "these credentials must be allowed to read the object "
				 "(s3:GetObject); 'slipway doctor' shows whose they are";
	case ERR_SIGNATURE:
		return "name the object as it is now, or the version that is meant";
	case ERR_LIMIT:
		return "bundle_max_bytes in agent.yml is the ceiling";
	case -ENOSPC:
	case -EDQUOT:
		return "TMPDIR may name a directory with more room";
	case -EACCES:
		return "this needs root: try it with sudo";
	default:
		if (!asked)
			return NULL;
		return kind == FETCH_S3 ? "check bucket, key and region; 'slipway doctor' shows "
					  "identity and credentials"
					: "check the address";
	}
}

static int remote_download(struct cli *cli, struct remote *remote, json_t *request, int *ret_fd)
{
	struct error err = {0};
	enum fetch_kind kind = remote->source.kind;
	remote->live = cli->live;
	int r = fetch_on_a_loop(remote, &cli->paths, &err);
	clear_line(remote);
	if (r < 0) {
		const char *next = next_step(r, kind, remote->asked);
		return cli_fail(cli, cli_exit_of(r), &err, next ? "%s" : NULL, next);
	}
	json_set_str(request, "etag", remote->etag);
	*ret_fd = TAKE_FD(remote->fd);
	return CLI_DONE;
}

const struct remote_ops remote_ops = {
	.open = remote_open,
	.download = remote_download,
	.free = remote_free,
};
