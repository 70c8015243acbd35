/* SPDX-License-Identifier: Apache-2.0 */
/* A handshake with a time limit, shared by what looks at a peer's TLS. */
#pragma once

#include "common/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/* On a connected, non-blocking fd, with the server's name sent where host is one. -ETIMEDOUT when
 * no answer comes, ERR_NETWORK otherwise; *ret_reason is then OpenSSL's code, 0: the peer closed.
 */
int tls_shake_hands(SSL *ssl, int fd, const char *host, uint64_t deadline_us,
		    unsigned long *ret_reason, struct error *err) MUST_CHECK;
bool tls_is_address(const char *host);
