// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/talk.h"

#include "agent/cli/host.h"
#include "agent/cli/report.h"
#include "agent/cli/view.h"
#include "agent/launch.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#define TICK_MS 1000

void talk_init(struct talk *talk, struct cli *cli)
{
	*talk = (struct talk){
		.cli = cli,
		.steps = json_array(),
		.recovered = json_array(),
		.groups = json_array(),
	};
}

void talk_clear(struct talk *talk)
{
	json_decref(talk->result);
	spool_clear(&talk->problems);
	json_decref(talk->steps);
	json_decref(talk->recovered);
	json_decref(talk->groups);
	spool_clear(&talk->spool);
	free(talk->deployment);
	*talk = (struct talk){0};
}

static int watch_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The worker goes on; say so, and end as the signal would have ended us. */
static NORETURN void leave(int signals)
{
	struct signalfd_siginfo info = {0};
	ssize_t n = read(signals, &info, sizeof(info));
	int sig = n == (ssize_t)sizeof(info) ? (int)info.ssi_signo : SIGTERM;
	fputs("\nslipway: it goes on without this terminal\n"
	      "  'slipway status' says how far it is, 'slipway logs -f' shows what it prints\n",
	      stderr);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	signal(sig, SIG_DFL);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	_exit(128 + sig);
}

/* Wait for the worker's next word; the live line is drawn meanwhile. */
static void await(const struct launch *worker, int signals, struct view *view)
{
	struct pollfd fds[] = {{.fd = worker->fd, .events = POLLIN},
			       {.fd = signals, .events = POLLIN}};
	for (;;) {
		int r = poll(fds, ARRAY_LEN(fds), view->live ? TICK_MS : -1);
		if (r == 0)
			view_tick(view);
		if (r > 0 && fds[1].revents) {
			view_clear(view);
			leave(signals);
		}
		if (r > 0 && fds[0].revents)
			return;
	}
}

static void note_deployment(struct talk *talk, const json_t *event)
{
	const char *id = json_string_value(json_object_get(event, "deployment"));
	if (!id || talk->deployment)
		return;
	talk->deployment = xstrdup(id);
}

static void note_error(struct talk *talk, const json_t *event)
{
	const char *text = json_string_value(json_object_get(event, "text"));
	if (!str_eq(json_string_value(json_object_get(event, "level")), "error"))
		return;
	talk->told.errors++;
	talk->told.in_the_way |= text && strstr(text, "file_exists_behavior");
}

/* Of these there may be more than memory should hold. Returns 1 when it is one of them. */
static int keep_many(struct talk *talk, json_t *event, const char *name, struct error *err)
{
	const struct {
		const char *name;
		struct spool *spool;
	} many[] = {
		{"problem", &talk->problems},
		{"operation", &talk->spool},
		{"drift", &talk->spool},
	};
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		if (strcmp(many[i].name, name) != 0)
			continue;
		note_error(talk, event);
		json_object_del(event, "event");
		int r = spool_add(many[i].spool, event, err);
		return r < 0 ? r : 1;
	}
	return 0;
}

/* Take the members that callers of --json want from an event. */
static void keep(struct talk *talk, const json_t *event, const char *name)
{
	const struct {
		const char *name;
		json_t *list;
	} lists[] = {
		{"step", talk->steps},      {"recovered", talk->recovered},
		{"verified", talk->groups}, {"imported", talk->groups},
		{"given", talk->groups},
	};
	/* what was found in a group that turns out to be busy does not count */
	if (strcmp(name, "verified") == 0)
		spool_mark(&talk->spool, !json_object_get(event, "busy"));
	if (strcmp(name, "step") == 0 &&
	    str_eq(json_string_value(json_object_get(event, "state")), "started"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (strcmp(lists[i].name, name) != 0)
			continue;
		json_t *copy = json_copy((json_t *)event);
		json_object_del(copy, "event");
		json_array_append_new(lists[i].list, copy);
	}
}

/* Returns 1 on the result, 0 when the worker is gone, or below 0. */
static int follow(struct talk *talk, const struct launch *worker, int signals, struct view *view,
		  struct error *err)
{
	for (;;) {
		await(worker, signals, view);
		auto_json json_t *event = NULL;
		int r = launch_receive(worker->fd, &event, NULL, err);
		if (r <= 0)
			return r;
		talk->heard = true;
		const char *name = json_string_value(json_object_get(event, "event"));
		if (str_eq(name, "result")) {
			json_object_del(event, "event");
			talk->result = TAKE(event);
			return 1;
		}
		view_event(view, event);
		if (str_eq(name, "step"))
			note_deployment(talk, event);
		r = name ? keep_many(talk, event, name, err) : 0;
		if (r < 0)
			return r;
		if (name && r == 0)
			keep(talk, event, name);
	}
}

static int converse_with(struct talk *talk, const struct launch *worker, const json_t *request,
			 int fd, struct error *err)
{
	auto_close int signals = watch_signals();
	if (signals < 0)
		return error_errno(err, "watch for signals");
	struct view view = {.quiet = talk->cli->json, .live = talk->cli->live, .all = talk->all};
	talk->heard = false;
	int r = launch_send(worker->fd, request, fd, err);
	if (r == 0)
		r = follow(talk, worker, signals, &view, err);
	view_clear(&view);
	view_end(&view);
	return r;
}

/* systemd takes only so many connections and closes what is above, and whoever is in the daemon's
 * place may hold them all. A worker that begins anything says so first. */
static bool was_turned_away(const struct talk *talk, const struct launch *worker, int r)
{
	return worker->pid == 0 && !talk->heard && (r == 0 || r == -EPIPE) && geteuid() == 0;
}

static int converse(struct talk *talk, const json_t *request, int fd, struct error *err)
{
	struct launch worker = {.fd = -1};
	int r = launch_start(&talk->cli->paths, &worker, err);
	if (r < 0)
		return r;
	r = converse_with(talk, &worker, request, fd, err);
	bool again = was_turned_away(talk, &worker, r);
	launch_clear(&worker);
	if (!again)
		return r;
	fputs("slipway: systemd gives no worker (too many connections? 'systemctl stop slipwayd' "
	      "ends the agent's); this one runs without it\n",
	      stderr);
	r = launch_start_own(&talk->cli->paths, &worker, err);
	if (r < 0)
		return r;
	r = converse_with(talk, &worker, request, fd, err);
	launch_clear(&worker);
	return r;
}

/* The host's own record knows better than what was heard: a worker that is not listened to for long
 * enough goes on without us. Returns false when it knows of no end. */
static bool read_record(const struct talk *talk, int *ret_exit)
{
	auto_state_deployment struct state_deployment *d = NULL;
	auto_free char *group = NULL;
	if (!talk->deployment ||
	    host_deployment(talk->cli, talk->deployment, NULL, &d, &group, NULL) < 0 ||
	    d->phase != STATE_CLOSED)
		return false;
	json_set_str(talk->result, "deployment", talk->deployment);
	json_set_str(talk->result, "group_id", group);
	json_set_str(talk->result, "rolled_back", d->rolled_back);
	if (d->succeeded)
		*ret_exit = CLI_DONE;
	else if (d->undo_failed)
		*ret_exit = CLI_UNDO;
	else
		*ret_exit = state_is_left(d) ? CLI_LEFT : CLI_FAILED;
	return true;
}

/* What recovery did, as the exit code of the command whose worker ended without a result. */
static int exit_after_recovery(const struct talk *talk)
{
	static const struct {
		const char *what;
		int exit;
	} rows[] = {
		{"completed", CLI_DONE},   {"adopted", CLI_DONE}, {"rolled back", CLI_FAILED},
		{"undone", CLI_FAILED},    {"left", CLI_LEFT},    {"not mounted", CLI_BUSY},
		{"undo failed", CLI_UNDO},
	};
	json_int_t code = json_integer_value(json_object_get(talk->result, "exit"));
	if (code)
		return (int)code;
	const json_t *last = json_array_get(talk->recovered, json_array_size(talk->recovered) - 1);
	const char *what = json_string_value(json_object_get(last, "what"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq(what, rows[i].what))
			return rows[i].exit;
	return CLI_BUSY; /* it had begun nothing */
}

/* What it had begun, if it was killed, is finished or undone by the next one, which is started at
 * once: nobody should have to know that. */
static int recover(struct talk *talk, struct error *err)
{
	fputs("slipway: the worker is gone without a result; finishing or undoing what it may have "
	      "left\n",
	      stderr);
	auto_json json_t *request = json_pack("{s:s}", "verb", "recover");
	bool known = talk->deployment; /* from here on they are other groups' as well */
	int r = converse(talk, request, -1, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, ERR_BUSY, "the worker was killed again while it recovered");
	int code;
	if (!known || !read_record(talk, &code))
		code = exit_after_recovery(talk);
	json_object_set_new(talk->result, "exit", json_integer(code));
	json_object_del(talk->result, "code");
	if (code == CLI_DONE)
		return 0;
	json_set_str(talk->result, "code", "interrupted");
	json_set_str(talk->result, "text", "the worker was killed");
	return 0;
}

int talk_run(struct talk *talk, json_t *request, int fd, struct error *err)
{
	auto_json json_t *owned = request;
	int r = converse(talk, owned, fd, err);
	if (r < 0)
		return r;
	if (r == 0 && talk->looks)
		return error_set(err, ERR_BUSY, "the worker is gone without a result");
	return r == 0 ? recover(talk, err) : 0;
}

int talk_exit(const struct talk *talk)
{
	const json_t *code = json_object_get(talk->result, "exit");
	return json_is_integer(code) ? (int)json_integer_value(code) : CLI_FAILED;
}

int talk_finish_json(struct talk *talk)
{
	int code = talk_exit(talk);
	const struct {
		const char *name;
		json_t *list;
	} lists[] = {
		{"steps", talk->steps},
		{"recovered", talk->recovered},
		{"groups", talk->groups},
	};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (json_array_size(lists[i].list))
			json_object_set(talk->result, lists[i].name, lists[i].list);
	json_set_int(talk->result, "exit", code);
	auto_free char *text = json_text(talk->result);
	printf("%.*s,\"problems\":[", (int)strlen(text) - 1, text);
	spool_print(&talk->problems, stdout);
	if (talk->spooled) {
		printf("],\"%s\":[", talk->spooled);
		spool_print(&talk->spool, stdout);
	}
	puts("]}");
	return code;
}

int talk_finish(struct talk *talk)
{
	if (talk->cli->json)
		return talk_finish_json(talk);
	int code = talk_exit(talk);
	report_end(talk->cli, talk->result, &talk->told, code);
	return code;
}

int talk_do(struct cli *cli, json_t *request, int fd)
{
	struct error err = {0};
	auto_talk struct talk talk;
	talk_init(&talk, cli);
	int r = talk_run(&talk, request, fd, &err);
	if (r < 0)
		return cli_fail(cli, cli_exit_of(r), &err, "%s", host_hint(r));
	return talk_finish(&talk);
}
