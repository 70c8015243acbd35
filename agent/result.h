/* SPDX-License-Identifier: Apache-2.0 */
/* Results of commands, on disk: written once by the worker into paths->host/results/, sent by the
 * daemon byte-identical until accepted. The directory is the queue: whatever lies there and is not
 * marked in paths->agent/reported/ is still to be sent. Format: docs/formats/result.md. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"
#include "common/wire.h"

#include <stdbool.h>

struct result {
	char *command_id;            /* HostCommandIdentifier */
	char *deployment_id, *event; /* for logs */
	enum wire_status status;
	char *payload; /* diagnostics, exactly as sent */
	int64_t finished_s;
	bool open; /* the deployment goes on: orphan_timeout counts from here */
	char *group_id;
};
void result_free(struct result *r);
DEFINE_CLEANUP(struct result *, result_free)
#define auto_result CLEANUP(result_free_at)

/* File name of a command's result: 32 hex digits of SHA-256 over its identifier, ".json". */
void result_name(const char *command_id, char out[40]);
/* Has it the form of such a name? (Others in the directory are files being written.) */
bool result_is_name(const char *name);
/* Durable before it returns. -EEXIST when a result of this command is there already (the first one
 * stands). */
int result_write(int results_dirfd, const struct result *r, struct error *err) MUST_CHECK;
int result_read(int results_dirfd, const char *name, struct result **ret,
		struct error *err) MUST_CHECK;
