// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/dialogue.h"

#include "agent/launch.h"
#include "common/alloc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

struct dialogue {
	struct launch launch;
	sd_event_source *io;
	struct dialogue_handler handler;
};

/* A worker that we started ourselves is our child and outlives the dialogue: the loop waits for it,
 * the source then goes by itself. */
static int on_exit_of_worker(sd_event_source *source, const siginfo_t *info, void *arg)
{
	log_debug("worker %d ended with %s %d", (int)info->si_pid,
		  info->si_code == CLD_EXITED ? "code" : "signal", info->si_status);
	sd_event_source_set_floating(source, false);
	return 0;
}

static void leave_to_the_loop(struct loop *loop, struct launch *launch)
{
	if (launch->pid <= 0)
		return;
	int r = sd_event_add_child(loop->event, NULL, launch->pid, WEXITED, on_exit_of_worker,
				   NULL);
	if (r < 0)
		log_debug("worker %d cannot be waited for: %s", (int)launch->pid, strerror(-r));
	else
		launch->pid = 0;
}

static int on_packet(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct dialogue *dialogue = arg;
	auto_json json_t *message = NULL;
	struct error err = {0};
	int r = launch_receive(fd, &message, NULL, &err);
	if (r == -EAGAIN)
		return 0;
	const char *event = NULL;
	if (r > 0)
		r = json_need_str(message, "event", &event, &err);
	if (r < 0)
		log_warning("a worker does not speak as it should: %s", err.text);
	if (event) {
		dialogue->handler.event(event, message, dialogue->handler.arg);
		return 0;
	}
	sd_event_source_set_enabled(dialogue->io, SD_EVENT_OFF);
	dialogue->handler.end(dialogue->handler.arg);
	return 0;
}

int dialogue_start(struct loop *loop, const struct paths *paths, const json_t *first,
		   const struct dialogue_handler *handler, struct dialogue **ret, struct error *err)
{
	auto_dialogue struct dialogue *dialogue = xcalloc(1, sizeof(*dialogue));
	*dialogue = (struct dialogue){.launch.fd = -1, .handler = *handler};
	int r = launch_start(paths, &dialogue->launch, err);
	if (r < 0)
		return error_prefix(err, r, "start a worker");
	leave_to_the_loop(loop, &dialogue->launch);
	r = launch_send(dialogue->launch.fd, first, -1, err);
	if (r < 0)
		return error_prefix(err, r, "talk to the worker");
	int fd = dialogue->launch.fd;
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return error_errno(err, "make the worker's socket non-blocking");
	r = sd_event_add_io(loop->event, &dialogue->io, fd, EPOLLIN, on_packet, dialogue);
	if (r < 0)
		return error_set(err, r, "watch the worker: %s", strerror(-r));
	*ret = TAKE(dialogue);
	return 0;
}

int dialogue_send(struct dialogue *dialogue, const json_t *message, int fd, struct error *err)
{
	return launch_send(dialogue->launch.fd, message, fd, err);
}

static const char *member(const json_t *message, const char *name)
{
	const char *value = json_string_value(json_object_get(message, name));
	return value ? value : "";
}

void dialogue_log(const char *event, const json_t *message)
{
	const char *deployment = member(message, "deployment");
	const char *const fields[] = {"DEPLOYMENT_ID", deployment, "HOOK", member(message, "step"),
				      NULL};
	if (str_eq(event, "step")) {
		const char *text = member(message, "message");
		bool failed = str_eq(member(message, "state"), "failed");
		log_event(failed ? LOG_WARNING : LOG_INFO, NULL, *deployment ? fields : NULL,
			  "deployment '%s': %s %s%s%s", deployment, member(message, "step"),
			  member(message, "state"), *text ? ": " : "", text);
	} else if (str_eq(event, "problem")) {
		bool error = str_eq(member(message, "level"), "error");
		log_line(error ? LOG_WARNING : LOG_INFO, "%s%s%s", member(message, "where"),
			 *member(message, "where") ? ": " : "", member(message, "text"));
	}
}

void dialogue_free(struct dialogue *dialogue)
{
	if (!dialogue)
		return;
	sd_event_source_disable_unref(dialogue->io);
	launch_clear(&dialogue->launch);
	free(dialogue);
}
