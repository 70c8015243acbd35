/* SPDX-License-Identifier: Apache-2.0 */
/* Ask the daemon: its local socket, from the caller's side, and the address that both sides use.
 * Format: docs/formats/ipc.md. */
#pragma once

#include "agent/paths.h"
#include "common/error.h"

#include <jansson.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define IPC_PACKET_MAX ((size_t)96 * 1024)
#define IPC_SOCKET_NAME "agent.sock"

/* Send request and wait for the answer; new reference in *ret. -ENOENT or -ECONNREFUSED when no
 * daemon runs here, -ETIMEDOUT, ERR_FORMAT, or the code that the daemon answered with. */
int ipc_call(const struct paths *paths, const json_t *request, uint64_t timeout_ms, json_t **ret,
	     struct error *err) MUST_CHECK;

/* Address of a socket in the directory run. A path that is too long for an address goes through
 * *ret_dirfd (else -1), which must stay open until connect() or bind() is done. Returns the
 * address's length. */
int ipc_address(const char *run, const char *name, struct sockaddr_un *ret, int *ret_dirfd,
		struct error *err) MUST_CHECK;
