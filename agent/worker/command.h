/* SPDX-License-Identifier: Apache-2.0 */
/* The verb "command": one signed command of the endpoint. */
#pragma once

#include "agent/worker/run.h"
#include "common/wire.h"

run_verb_fn command_verb;

/* Check a specification as it came: signature, chain, signer; host and expiry; that it is for this
 * command. ERR_SIGNATURE, ERR_TRUST, ERR_EXPIRED, ERR_DENIED (another host), ERR_FORMAT. */
int command_verify(struct run *run, const struct wire_command *command, const json_t *specification,
		   struct wire_spec **ret, struct error *err) MUST_CHECK;
