/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's local socket, ROOT/run/slipway/agent/agent.sock. Format: docs/formats/ipc.md. */
#pragma once

#include "agent/daemon/daemon.h"

struct ipc;
int ipc_new(struct daemon *daemon, struct ipc **ret, struct error *err) MUST_CHECK;
void ipc_free(struct ipc *ipc);
