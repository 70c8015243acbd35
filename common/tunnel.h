/* SPDX-License-Identifier: Apache-2.0 */
/* A TCP connection to a peer, through a proxy where the rules say so: for looking at the peer
 * before anything of HTTP is sent to it. */
#pragma once

#include "common/error.h"
#include "common/proxy.h"

#include <stdint.h>

/* host: a name or an address without brackets. Returns a non-blocking descriptor that is the
 * caller's, or ERR_NETWORK, which names host and port. *ret_status: how the proxy has answered
 * (RFC 9110 9.3.6); 0: it has not, or there is none. Blocking, at most timeout_ms. */
int tunnel_open(const char *host, const char *port, const struct proxy_rules *rules,
		uint64_t timeout_ms, int *ret_status, struct error *err) MUST_CHECK;
