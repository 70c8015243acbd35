// SPDX-License-Identifier: Apache-2.0
/* The scripts' output is a file that grows: -f reads on whenever inotify says that it did, and ends
 * with the deployment. */
#include "agent/cli/host.h"
#include "agent/cli/log-line.h"
#include "agent/cli/report.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define JSON_LOG_MAX ((size_t)1024 * 1024)
#define LOOK_AGAIN_MS 1000

static const struct cli_option options[] = {
	{.name = "follow", .letter = 'f', .help = "go on until the deployment has ended"},
	{.name = "group",
	 .arg = "G",
	 .kind = CLI_GROUP,
	 .help = "the newest deployment of this group"},
	{0},
};

struct follower {
	const struct cli *cli;
	char *dir;  /* of the log */
	FILE *file; /* NULL while there is none */
	char *line;
	size_t room;
	struct log_place place;
	json_t *lines; /* --json without -f: they are collected; else NULL */
	size_t bytes;  /* of what was collected */
	int notify;
	bool watched;
};

static void follower_clear(struct follower *f)
{
	if (f->file)
		fclose(f->file);
	if (f->notify >= 0)
		close(f->notify);
	log_place_clear(&f->place);
	json_decref(f->lines);
	free(f->line);
	free(f->dir);
}

static void open_log(struct follower *f)
{
	auto_free char *path = xasprintf("%s/scripts.log", f->dir);
	f->file = fopen(path, "re");
}

/* The end of a long log is what counts. */
static void collect(struct follower *f, json_t *line, size_t len)
{
	json_array_append_new(f->lines, line);
	f->bytes += len;
	while (f->bytes > JSON_LOG_MAX && json_array_size(f->lines) > 1) {
		f->bytes -=
			json_string_length(json_object_get(json_array_get(f->lines, 0), "line"));
		json_array_remove(f->lines, 0);
	}
}

static void print_json(struct follower *f, size_t len)
{
	auto_json json_t *line = log_line_to_json(&f->place, f->line, len);
	if (line && f->lines) {
		collect(f, json_incref(line), json_string_length(json_object_get(line, "line")));
	} else if (line) {
		auto_free char *text = json_text(line);
		puts(text);
	}
}

/* Bytes go through as they are, but not to a terminal. */
static void print_line(struct follower *f, size_t len)
{
	if (f->cli->json) {
		print_json(f, len);
	} else if (f->cli->tty) {
		auto_free char *clean = str_to_utf8(f->line, len);
		fputs(clean, stdout);
	} else {
		fwrite(f->line, 1, len, stdout);
	}
}

/* All that is there by now; of a line whose end is still to come nothing, unless it is the last. */
static void print_new(struct follower *f, bool last)
{
	if (!f->file)
		open_log(f);
	if (!f->file)
		return;
	clearerr(f->file);
	ssize_t len;
	while ((len = getline(&f->line, &f->room, f->file)) > 0) {
		if (f->line[len - 1] != '\n' && !last) {
			fseeko(f->file, -len, SEEK_CUR);
			break;
		}
		print_line(f, (size_t)len);
	}
	fflush(stdout);
}

static void await_more(struct follower *f)
{
	if (!f->watched && f->notify >= 0)
		f->watched = inotify_add_watch(f->notify, f->dir, IN_MODIFY | IN_CREATE) >= 0;
	struct pollfd fd = {.fd = f->notify, .events = POLLIN};
	if (poll(&fd, 1, LOOK_AGAIN_MS) <= 0)
		return;
	char events[4096];
	ssize_t n UNUSED = read(f->notify, events, sizeof(events));
}

static bool has_ended(const struct cli *cli, const char *id)
{
	struct state_deployment *d = NULL;
	auto_free char *group = NULL;
	if (host_deployment(cli, id, NULL, &d, &group, NULL) < 0)
		return true;
	bool ended = d->phase == STATE_CLOSED;
	state_deployment_free(d);
	return ended;
}

static void follow(struct follower *f, const char *id)
{
	/* asked before reading: what is written until the end is then read in any case */
	while (!has_ended(f->cli, id)) {
		print_new(f, false);
		await_more(f);
	}
}

/* The end of a long log is what counts. */
static char *read_tail(const struct follower *f)
{
	auto_free char *path = xasprintf("%s/scripts.log", f->dir);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return xstrdup("");
	off_t from = st.st_size > (off_t)JSON_LOG_MAX ? st.st_size - (off_t)JSON_LOG_MAX : 0;
	auto_free char *bytes = xcalloc(1, JSON_LOG_MAX);
	ssize_t n = pread(fd, bytes, JSON_LOG_MAX, from);
	return str_to_utf8(bytes, n > 0 ? (size_t)n : 0);
}

static int as_json(struct follower *f, const char *id, const char *group, bool follow)
{
	json_t *obj = json_object();
	json_set_str(obj, "deployment_id", id);
	json_set_str(obj, "group_id", group);
	if (!follow) {
		auto_free char *log = read_tail(f);
		json_set_str(obj, "log", log);
		json_object_set(obj, "lines", f->lines);
	}
	return cli_json(obj, CLI_DONE);
}

/* Who may see the deployment may not see what its scripts print, which can be anything. */
static int check_readable(const struct follower *f, struct error *err)
{
	auto_free char *path = xasprintf("%s/scripts.log", f->dir);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 || errno == ENOENT ? 0 : error_errno(err, "open '%s'", path);
}

/* How it ended, beside the output and not in it. */
static void say_end(const struct cli *cli, const char *id)
{
	struct state_deployment *d = NULL;
	auto_free char *group = NULL;
	if (host_deployment(cli, id, NULL, &d, &group, NULL) < 0)
		return;
	fprintf(stderr, "%s %s%s%s%s%s\n", id, report_verb(d), report_outcome(d),
		d->succeeded ? "" : ": 'slipway explain ", d->succeeded ? "" : id,
		d->succeeded ? "" : "' says why");
	state_deployment_free(d);
}

static int show(struct follower *f, const char *id, const char *group, bool following)
{
	struct error err = {0};
	int r = check_readable(f, &err);
	if (r < 0)
		return cli_fail(f->cli, cli_exit_of(r), &err, "%s", host_hint(r));
	if (f->cli->json && !following)
		f->lines = json_array();
	if (following) {
		f->notify = inotify_init1(IN_CLOEXEC);
		follow(f, id);
	}
	print_new(f, true);
	if (f->cli->json)
		return as_json(f, id, group, following);
	if (!f->file)
		fprintf(stderr, "%s: no script has printed anything\n", id);
	if (following)
		say_end(f->cli, id);
	return CLI_DONE;
}

static int run(struct cli *cli, const struct cli_args *args)
{
	struct error err = {0};
	struct state_deployment *found = NULL;
	auto_free char *group = NULL;
	int r = host_deployment(cli, args->operands[0], cli_value(args, "group"), &found, &group,
				&err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	auto_state_deployment struct state_deployment *d = found;
	const char *id = state_deployment_id(d);
	auto_free char *dir = host_deployment_dir(cli, group, id);
	CLEANUP(follower_clear) struct follower f = {.cli = cli, .notify = -1};
	f.dir = xasprintf("%s/logs", dir);
	return show(&f, id, group, cli_has(args, "follow"));
}

const struct cli_command cmd_logs = {
	.name = "logs",
	.operands = "[ID]",
	.max_operands = 1,
	.summary = "what the scripts of a deployment printed",
	.help = "Without ID: of the deployment that is going on, else of the newest. With -f it "
		"goes on until that deployment ends; with --json each line is an object then, and "
		"the last one has the exit code.",
	.example = "slipway logs -f\nslipway logs d-4GZ1KQ2XT",
	.operand_kind = CLI_DEPLOYMENT,
	.options = options,
	.page = "slipway-status",
	.run = run,
};
