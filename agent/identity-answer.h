/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint's answer to an enrolment, kept from the moment it came until the host is enrolled:
 * the endpoint has registered the host by then, and would not do so twice. It says which CA the
 * worker trusts, so it is kept in paths->host (host_fd): in the daemon's directory, whoever owns
 * the daemon could have one ready for the next enrolment. Format: docs/formats/identity.md. */
#pragma once

#include "common/error.h"
#include "common/wire.h"

int identity_answer_save(int host_fd, const char *endpoint, const char *fingerprint,
			 const struct wire_enrolled *answer, struct error *err) MUST_CHECK;
/* Returns 1 with an answer that this endpoint gave to a host of this name, for a key that is still
 * in paths->agent (agent_fd); else 0. */
int identity_answer_load(int host_fd, int agent_fd, const char *endpoint, const char *fingerprint,
			 const char *name, struct wire_enrolled *ret, struct error *err) MUST_CHECK;
void identity_answer_drop(int host_fd);
