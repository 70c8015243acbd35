// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/caller.h"

#include "agent/launch.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 10
#define SLOW_MS 300000 /* a group is locked meanwhile */
#define FIRST_WORD_MS 60000
#define ANSWER_MS 3600000 /* a large bundle is downloaded meanwhile */
#define LOOK_MS 200       /* who else wants the group */
#define LINGER_MS 500     /* how long closing what was sent may take */
#define PROGRESS_US 100000
#define LINE_MAX_BYTES 4096

int caller_init(struct caller *caller, int sock, struct error *err)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return error_errno(err, "ask who the caller is");
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	if (setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return error_errno(err, "limit the time to send");
	*caller = (struct caller){
		.sock = sock,
		.first_word_ms = FIRST_WORD_MS,
		.answer_ms = ANSWER_MS,
		.slow_ms = SLOW_MS,
		.trusted = peer.uid == 0 || (geteuid() != 0 && peer.uid == geteuid()),
	};
	return 0;
}

/* Returns 1 when there is something to hear, 0 when there was nothing for so long. */
static int await(struct caller *caller, unsigned limit_ms, struct error *err)
{
	uint64_t end_us = clock_mono_us() + (uint64_t)limit_ms * 1000;
	struct pollfd fd = {.fd = caller->sock, .events = POLLIN};
	for (uint64_t now_us; (now_us = clock_mono_us()) < end_us;) {
		uint64_t left_ms = (end_us - now_us) / 1000 + 1;
		bool look = caller->gives_way && left_ms > LOOK_MS;
		int r = poll(&fd, 1, look ? LOOK_MS : (int)left_ms);
		if (r > 0)
			return 1;
		if (r < 0 && errno != EINTR)
			return error_errno(err, "wait for the caller");
		if (caller->gives_way && caller->gives_way(caller->gives_way_arg))
			return error_set(err, ERR_BUSY,
					 "a person on this host goes first; try again later");
	}
	return 0;
}

static void on_alarm(int sig)
{
}

static void ring_every(unsigned ms)
{
	const struct timeval often = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	setitimer(ITIMER_REAL, &(struct itimerval){often, often}, NULL);
}

/* Nobody sends sockets for a reason. */
static void drop_socket(int *fd)
{
	struct stat st;
	if (fd && *fd >= 0 && fstat(*fd, &st) == 0 && S_ISSOCK(st.st_mode))
		fs_close_quiet(TAKE_FD(*fd));
}

/* Whatever descriptors come along, we may be the last who have them, and closing a socket takes as
 * long as its sender has set it to linger: hours, in which we would hold our group. A signal ends
 * that. */
static int receive(struct caller *caller, json_t **ret, int *ret_fd, struct error *err)
{
	struct sigaction before;
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, &before);
	ring_every(LINGER_MS);
	int r = launch_receive(caller->sock, ret, ret_fd, err);
	if (r > 0)
		drop_socket(ret_fd);
	ring_every(0);
	sigaction(SIGALRM, &before, NULL);
	return r;
}

/* One that is silent for too long counts as gone: it must not keep a group locked for ever. */
static int hear(struct caller *caller, unsigned limit_ms, json_t **ret, int *ret_fd,
		struct error *err)
{
	int r = await(caller, limit_ms, err);
	if (r == 0)
		log_warning("the caller says nothing for %u s: taken as gone", limit_ms / 1000);
	if (r > 0)
		r = receive(caller, ret, ret_fd, err);
	if (r == 0)
		caller->gone = true;
	return r;
}

int caller_listen(struct caller *caller, json_t **ret, int *ret_fd, struct error *err)
{
	return hear(caller, caller->first_word_ms, ret, ret_fd, err);
}

/* One that takes each message just in time must not keep a group locked either. */
void caller_say(struct caller *caller, json_t *message)
{
	auto_json json_t *owned = message;
	struct error err = {0};
	if (caller->gone)
		return;
	uint64_t begin_us = clock_mono_us();
	if (launch_send(caller->sock, owned, -1, &err) < 0) {
		caller->gone = true;
		log_debug("nobody listens any more: %s", err.text);
		return;
	}
	caller->kept_us += clock_mono_us() - begin_us;
	if (caller->kept_us <= (uint64_t)caller->slow_ms * 1000)
		return;
	caller->gone = true;
	log_warning("the caller reads so slowly that it kept this for %u s: taken as gone",
		    caller->slow_ms / 1000);
}

int caller_ask(struct caller *caller, json_t *message, json_t **ret, int *ret_fd, struct error *err)
{
	caller_say(caller, message);
	if (caller->gone)
		return 0;
	return hear(caller, caller->answer_ms, ret, ret_fd, err);
}

int caller_hear(struct caller *caller, json_t **ret, int *ret_fd, struct error *err)
{
	return hear(caller, caller->answer_ms, ret, ret_fd, err);
}

json_t *caller_event(const char *name)
{
	json_t *obj = json_object();
	json_set_str(obj, "event", name);
	return obj;
}

void caller_step(struct caller *caller, const char *deployment, const char *step, const char *state,
		 const char *message, double seconds)
{
	json_t *obj = caller_event("step");
	json_set_str(obj, "deployment", deployment);
	json_set_str(obj, "step", step);
	json_set_str(obj, "state", state);
	json_set_str(obj, "message", message);
	if (seconds > 0)
		json_object_set_new(obj, "seconds", json_real(seconds));
	caller_say(caller, obj);
}

void caller_progress(struct caller *caller, const char *what, uint64_t done, uint64_t total)
{
	uint64_t now_us = clock_mono_us();
	if (done != total && now_us - caller->progress_us < PROGRESS_US)
		return;
	caller->progress_us = now_us;
	json_t *obj = caller_event("progress");
	json_set_str(obj, "what", what);
	json_set_int(obj, "done", (int64_t)done);
	json_set_int(obj, "total", (int64_t)total);
	caller_say(caller, obj);
}

void caller_output(struct caller *caller, const char *stream, const char *line, size_t len)
{
	if (caller->gone)
		return;
	auto_free char *text = str_to_utf8(line, len < LINE_MAX_BYTES ? len : LINE_MAX_BYTES);
	json_t *obj = caller_event("output");
	json_set_str(obj, "stream", stream);
	json_set_str(obj, "line", text);
	caller_say(caller, obj);
}

void caller_problem(struct caller *caller, enum problem_level level, const char *where,
		    const char *text)
{
	caller->problems++;
	json_t *obj = caller_event("problem");
	json_set_str(obj, "level", level == PROBLEM_ERROR ? "error" : "warning");
	json_set_str(obj, "where", where);
	json_set_str(obj, "text", text);
	caller_say(caller, obj);
}

void caller_problems(struct caller *caller, const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		caller_problem(caller, problems->list[i].level, problems->list[i].where,
			       problems->list[i].text);
	size_t told = problems->count, all = problems->errors + problems->warnings;
	if (all <= told)
		return;
	auto_free char *more = xasprintf(
		"there are %zu problems in all; 'slipway plan --json' has each of them", all);
	caller_problem(caller, PROBLEM_WARNING, "", more);
}
