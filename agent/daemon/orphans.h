/* SPDX-License-Identifier: Apache-2.0 */
/* Deployments that are open while the endpoint is silent: after settings.orphan_timeout a worker is
 * asked (verb "orphan") to put the host right by itself. */
#pragma once

#include "agent/daemon/daemon.h"
#include "agent/result.h"

struct orphans;
struct orphans *orphans_new(struct daemon *daemon);
void orphans_free(struct orphans *orphans);
/* A result was seen: an open deployment's time starts, a closed one's ends. Older results of the
 * same group than the newest seen are ignored. */
void orphans_note(struct orphans *orphans, const struct result *result);
/* A command of the group came: its time stops. */
void orphans_command(struct orphans *orphans, const char *group_id);
/* The endpoint has answered a poll. */
void orphans_heard(struct orphans *orphans);
