// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/commands.h"

#include "agent/daemon/command.h"
#include "agent/daemon/report.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"

struct commands {
	struct daemon *daemon;
	struct command **list; /* in the order in which they came */
	size_t count;
	int inflight_dirfd, downloads_dirfd;
};

/* Waiting commands cost memory only, but a queue needs an end. */
enum { QUEUE_PER_GROUP = 4 };

int commands_new(struct daemon *daemon, struct commands **ret, struct error *err)
{
	struct commands *commands = xcalloc(1, sizeof(*commands));
	*commands =
		(struct commands){.daemon = daemon, .inflight_dirfd = -1, .downloads_dirfd = -1};
	*ret = commands; /* freed by the daemon, whether this succeeds or not */
	commands->inflight_dirfd = daemon_open_dir(daemon, "inflight", err);
	if (commands->inflight_dirfd < 0)
		return commands->inflight_dirfd;
	commands->downloads_dirfd = daemon_open_dir(daemon, "downloads", err);
	return commands->downloads_dirfd < 0 ? commands->downloads_dirfd : 0;
}

void commands_free(struct commands *commands)
{
	if (!commands)
		return;
	for (size_t i = 0; i < commands->count; i++)
		command_free(commands->list[i]);
	free(commands->list);
	fs_close_quiet(commands->inflight_dirfd);
	fs_close_quiet(commands->downloads_dirfd);
	free(commands);
}

int commands_inflight_dirfd(const struct commands *commands)
{
	return commands->inflight_dirfd;
}

int commands_downloads_dirfd(const struct commands *commands)
{
	return commands->downloads_dirfd;
}

static struct command *find(const struct commands *commands, const char *id)
{
	for (size_t i = 0; i < commands->count; i++)
		if (str_eq(commands->list[i]->inflight.command->id, id))
			return commands->list[i];
	return NULL;
}

static struct command *add(struct commands *commands, struct inflight *inflight)
{
	commands->list =
		xrealloc_array(commands->list, commands->count + 1, sizeof(*commands->list));
	struct command *command = command_new(commands->daemon, inflight);
	commands->list[commands->count++] = command;
	return command;
}

static void resume_one(const char *name, struct inflight *inflight, void *arg)
{
	struct commands *commands = arg;
	if (report_has_result(commands->daemon->report, name)) {
		inflight_remove(commands->inflight_dirfd, name);
		return;
	}
	log_notice("%s of '%s' goes on", inflight->command->name, inflight->command->execution_id);
	add(commands, inflight);
}

void commands_resume(struct commands *commands)
{
	struct error err = {0};
	if (inflight_each(commands->inflight_dirfd, resume_one, commands, &err) < 0)
		log_error("commands of before the restart cannot be read: %s", err.text);
	size_t count = commands->count;
	auto_free struct command **resumed = xcalloc(count, sizeof(*resumed));
	for (size_t i = 0; i < count; i++)
		resumed[i] = commands->list[i];
	for (size_t i = 0; i < count; i++)
		command_start(resumed[i]);
}

bool commands_offer(struct commands *commands, struct wire_command *command)
{
	struct inflight inflight = {.command = command};
	if (find(commands, command->id)) {
		inflight_clear(&inflight);
		return false;
	}
	command_start(add(commands, &inflight));
	return true;
}

static bool holds_a_worker(const struct command *command)
{
	return command->state == COMMAND_PREPARING || command->state == COMMAND_ACKNOWLEDGING ||
	       command->state == COMMAND_RUNNING;
}

/* Of one group, or for all that is known so far of one deployment. */
static bool is_together(const struct command *a, const struct command *b)
{
	if (a->group && b->group)
		return str_eq(a->group, b->group);
	return str_eq(a->inflight.command->execution_id, b->inflight.command->execution_id);
}

bool commands_may_run(const struct commands *commands, const struct command *command)
{
	int64_t running = 0;
	bool earlier = true;
	for (size_t i = 0; i < commands->count; i++) {
		const struct command *other = commands->list[i];
		running += holds_a_worker(other);
		if (other == command)
			earlier = false;
		else if (is_together(command, other) && (earlier || holds_a_worker(other)))
			return false;
	}
	return running < commands->daemon->settings.max_parallel;
}

bool commands_have_room(const struct commands *commands)
{
	int64_t active = 0;
	for (size_t i = 0; i < commands->count; i++)
		active += commands->list[i]->state != COMMAND_WAITING;
	int64_t most = commands->daemon->settings.max_parallel;
	return active < most && (int64_t)commands->count < most * QUEUE_PER_GROUP;
}

size_t commands_count(const struct commands *commands)
{
	return commands->count;
}

static struct command *next_to_run(const struct commands *commands)
{
	for (size_t i = 0; i < commands->count; i++)
		if (commands->list[i]->state == COMMAND_WAITING &&
		    commands_may_run(commands, commands->list[i]))
			return commands->list[i];
	return NULL;
}

void commands_schedule(struct commands *commands)
{
	struct command *command;
	while ((command = next_to_run(commands)))
		command_run(command);
}

void commands_remove(struct commands *commands, struct command *command)
{
	size_t i = 0;
	while (commands->list[i] != command)
		i++;
	for (commands->count--; i < commands->count; i++)
		commands->list[i] = commands->list[i + 1];
	command_free(command);
	daemon_work_changed(commands->daemon);
}

void commands_kick(struct commands *commands)
{
	for (size_t i = 0; i < commands->count; i++)
		if (commands->list[i]->state == COMMAND_RETRYING)
			command_hurry(commands->list[i]);
}

void commands_result_seen(struct commands *commands, const char *name)
{
	for (size_t i = 0; i < commands->count; i++) {
		struct command *command = commands->list[i];
		if (command->state != COMMAND_RETRYING || !str_eq(command->name, name))
			continue;
		inflight_remove(commands->inflight_dirfd, name);
		commands_remove(commands, command);
		return;
	}
}

void commands_stop(struct commands *commands)
{
	for (size_t i = 0; i < commands->count; i++)
		command_service_goes(commands->list[i]);
}

json_t *commands_to_json(const struct commands *commands)
{
	json_t *list = json_array();
	for (size_t i = 0; i < commands->count; i++) {
		const struct command *command = commands->list[i];
		json_t *one = json_object();
		json_set_str(one, "deployment", command->deployment);
		json_set_str(one, "group", command->group);
		json_set_str(one, "event", command->inflight.command->name);
		json_set_str(one, "state", command_state_to_string(command->state));
		json_set_int(one, "since", command->since_s);
		json_array_append_new(list, one);
	}
	return list;
}
