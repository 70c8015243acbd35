/* SPDX-License-Identifier: Apache-2.0 */
/* AWS mode: a host that is not enrolled, with 'aws: true', finds out who it is there, and is then
 * served by AWS as it would be by an endpoint. */
#pragma once

#include "agent/daemon/daemon.h"

#include <jansson.h>

struct amazon;
struct amazon *amazon_new(struct daemon *daemon);
void amazon_free(struct amazon *amazon);

/* Find out who this host is, again when settings or identity have changed; daemon_join() follows.
 * What is known and has not changed stays. */
void amazon_begin(struct amazon *amazon);
/* The mode is over: the host is enrolled, or 'aws' is off. The daemon has left already. */
void amazon_end(struct amazon *amazon);
bool amazon_is_on(const struct amazon *amazon);
/* Why this host is nobody at AWS so far; "" when it is somebody. */
const char *amazon_problem(const struct amazon *amazon);
/* For ipc's status: new reference. */
json_t *amazon_to_json(const struct amazon *amazon);
