/* SPDX-License-Identifier: Apache-2.0 */
/* One command, from the poll to its result: specification, worker, bundle, acknowledgement, run.
 *
 *   SPECIFICATION -> WAITING -> PREPARING -> ACKNOWLEDGING -> RUNNING -> gone
 *        ^                                        |             |
 *        +------------- RETRYING <----------------+-------------+
 *
 * What cannot be done now (endpoint or worker not there, group busy) ends the worker, which has run
 * nothing before "go", and begins again later; an acknowledged command begins at WAITING with the
 * specification that it has. What can never be done becomes a result of our own, so that the
 * endpoint hears why. */
#pragma once

#include "agent/daemon/backoff.h"
#include "agent/daemon/daemon.h"
#include "agent/daemon/dialogue.h"
#include "agent/daemon/inflight.h"
#include "agent/daemon/service.h"
#include "agent/fetch/fetch.h"

enum command_state {
	COMMAND_SPECIFICATION,
	COMMAND_WAITING,
	COMMAND_PREPARING,
	COMMAND_ACKNOWLEDGING,
	COMMAND_RUNNING,
	COMMAND_RETRYING,
};
const char *command_state_to_string(enum command_state state);

struct command {
	struct daemon *daemon;
	char name[40]; /* of its files */
	struct inflight inflight;
	char *group, *deployment; /* as the specification claims; NULL before */
	bool noop;
	bool open;  /* the worker records it, even when there is nothing to run */
	bool saved; /* on disk */
	bool stale; /* but with an older specification */
	enum command_state state;
	int64_t since_s;
	struct service_call *call;
	struct fetch *fetch;
	struct dialogue *dialogue;
	sd_event_source *timer;
	struct backoff backoff;
	unsigned ack_attempts, worker_deaths;
};

/* Takes inflight over. */
struct command *command_new(struct daemon *daemon, struct inflight *inflight);
void command_free(struct command *command);
/* Begin, or begin again. The command may be gone afterwards. */
void command_start(struct command *command);
/* WAITING: its group is free now. */
void command_run(struct command *command);

/* RETRYING: do it in the loop's next turn. */
void command_hurry(struct command *command);

/* Whatever it asks of the endpoint will not be answered. */
void command_service_goes(struct command *command);

/* By command.c, implemented in commands.c: may this one run now? / it is over, and freed. */
bool commands_may_run(const struct commands *commands, const struct command *command);
void commands_remove(struct commands *commands, struct command *command);
int commands_inflight_dirfd(const struct commands *commands);
int commands_downloads_dirfd(const struct commands *commands);
