/* SPDX-License-Identifier: Apache-2.0 */
/* Ask the endpoint for work: one long poll after the other while there is room for another command,
 * with a back-off on errors. */
#pragma once

#include "agent/daemon/daemon.h"
#include "agent/daemon/health.h"
#include "common/wire.h"

struct poll;
struct poll *poll_new(struct daemon *daemon);
void poll_free(struct poll *poll);
/* Poll now, if there is an endpoint, room, and no wait in progress. Called whenever one of these
 * may have changed. */
void poll_go_on(struct poll *poll);
/* Forget the endpoint: another identity, or none. */
void poll_reset(struct poll *poll);
const struct health *poll_health(const struct poll *poll);

/* Read a poll's answer. *ret is NULL when there is no command. host: our own HostIdentifier, of
 * which the command's must be a part. Pure. */
int poll_read_answer(const json_t *body, const char *host, struct wire_command **ret,
		     struct error *err) MUST_CHECK;
