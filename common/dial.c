// SPDX-License-Identifier: Apache-2.0
#include "common/dial.h"

#include "common/cleanup.h"
#include "common/clock.h"

#include <errno.h>
#include <poll.h>

int dial_wait(int fd, short events, uint64_t deadline_us)
{
	for (;;) {
		uint64_t now = clock_mono_us();
		if (now >= deadline_us)
			return -ETIMEDOUT;
		struct pollfd p = {.fd = fd, .events = events};
		int n = poll(&p, 1, (int)((deadline_us - now) / 1000) + 1);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

int dial_address(const struct sockaddr *address, socklen_t len, uint64_t deadline_us)
{
	auto_close int fd =
		socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, address, len) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		int r = dial_wait(fd, POLLOUT, deadline_us);
		if (r < 0)
			return r;
	}
	int failure = 0;
	socklen_t size = sizeof(failure);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
		return -errno;
	return failure ? -failure : TAKE_FD(fd);
}
