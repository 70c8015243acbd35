/* SPDX-License-Identifier: Apache-2.0 */
/* TCP with time limits, for looking at a peer without libcurl. */
#pragma once

#include "common/attr.h"

#include <stdint.h>
#include <sys/socket.h>

/* Wait for events (poll's) on fd until the monotonic instant. Returns 0, -ETIMEDOUT or -errno. */
int dial_wait(int fd, short events, uint64_t deadline_us) MUST_CHECK;
/* Connect to one address. Returns a non-blocking descriptor or -errno. */
int dial_address(const struct sockaddr *address, socklen_t len, uint64_t deadline_us) MUST_CHECK;
