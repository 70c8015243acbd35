/* SPDX-License-Identifier: Apache-2.0 */
/* The commands in work: each is a small machine of its own (command.c); here is what they share.
 * One command of a group runs at a time, further ones wait in order; groups run in parallel up to
 * max_parallel. */
#pragma once

#include "agent/daemon/daemon.h"
#include "agent/daemon/inflight.h"

#include <jansson.h>
#include <stdbool.h>

struct commands;
struct command;

int commands_new(struct daemon *daemon, struct commands **ret, struct error *err) MUST_CHECK;
/* Workers are hung up on, which those that run survive. */
void commands_free(struct commands *commands);

/* What was in work when the daemon last ended. Called once, after recovery. */
void commands_resume(struct commands *commands);
/* A polled command, taken over. Returns false when it is in work already. */
bool commands_offer(struct commands *commands, struct wire_command *command);
/* Is there room for another? */
bool commands_have_room(const struct commands *commands);
size_t commands_count(const struct commands *commands);
/* The endpoint answers (again), or a recovery ended: commands that wait for a retry go on now. */
void commands_kick(struct commands *commands);
/* A result is there: a command that waits for another try needs none. */
void commands_result_seen(struct commands *commands, const char *name);
/* Run those that wait and may run now. */
void commands_schedule(struct commands *commands);
/* The service goes: commands that wait for an answer of it begin again later. */
void commands_stop(struct commands *commands);
/* For ipc's status: new reference. */
json_t *commands_to_json(const struct commands *commands);
