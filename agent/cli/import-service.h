/* SPDX-License-Identifier: Apache-2.0 */
/* The two agents as services and processes: who runs, stopping the one, starting the other. */
#pragma once

#include "agent/cli/import-config.h"
#include "agent/cli/import-record.h"
#include "common/error.h"

#include <stdbool.h>

#define IMPORT_UNIT "codedeploy-agent.service" /* also what systemd makes of the SysV script */
#define IMPORT_OURS "slipwayd.service"

struct import_unit {
	bool loaded; /* or masked */
	bool active, masked;
	bool maskable; /* its file is not where the mask would have to be */
};

/* Does a service manager answer for this root? */
bool import_service_managed(const struct paths *paths);
int import_service_look(const struct paths *paths, const char *unit, struct import_unit *ret,
			struct error *err) MUST_CHECK;
/* "start", "stop", "restart" and such. */
int import_service_do(const struct paths *paths, const char *verb, const char *unit,
		      struct error *err) MUST_CHECK;
/* After it was stopped it starts no more: masked, or held by a drop-in. */
int import_service_hold(const struct paths *paths, const struct import_record *r,
			struct error *err) MUST_CHECK;
/* The opposite, unless it was masked before. */
int import_service_release(const struct paths *paths, const struct import_record *r,
			   struct error *err) MUST_CHECK;

/* The live process of the official agent that its PID file or its lock names: 0 when there is none,
 * -1 when there is one, and its number is not known. */
long import_service_pid(const struct import_config *config);
