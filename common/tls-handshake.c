// SPDX-License-Identifier: Apache-2.0
#include "common/tls-handshake.h"

#include "common/dial.h"
#include "common/pki-error.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>

bool tls_is_address(const char *host)
{
	unsigned char room[sizeof(struct in6_addr)];
	return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

int tls_shake_hands(SSL *ssl, int fd, const char *host, uint64_t deadline_us,
		    unsigned long *ret_reason, struct error *err)
{
	*ret_reason = 0;
	if (!SSL_set_fd(ssl, fd) || (!tls_is_address(host) && !SSL_set_tlsext_host_name(ssl, host)))
		return pki_error(err, "prepare TLS");
	for (;;) {
		ERR_clear_error();
		int r = SSL_connect(ssl);
		if (r == 1)
			return 0;
		int want = SSL_get_error(ssl, r);
		if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
			break;
		r = dial_wait(fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline_us);
		if (r < 0)
			return error_set(err, r, "TLS handshake with '%s': %s", host, strerror(-r));
	}
	*ret_reason = ERR_peek_last_error();
	const char *reason = *ret_reason ? ERR_reason_error_string(*ret_reason) : NULL;
	error_set(err, ERR_NETWORK, "TLS handshake with '%s': %s", host,
		  reason ? reason : "the connection was closed");
	ERR_clear_error();
	return ERR_NETWORK;
}
