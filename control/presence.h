/* SPDX-License-Identifier: Apache-2.0 */
/* Who is here: when each host last spoke, and which polls are parked. In memory only; the times are
 * written down now and then by deploy.c. Every call is O(1) but the walk. */
#pragma once

#include "common/cleanup.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct presence;
struct presence_host;

struct presence *presence_new(void);
/* Parked polls must be gone by then, see presence_expire(). */
void presence_free(struct presence *presence);

/* One parked poll; embedded in what the caller keeps of the request. */
struct presence_waiter {
	/* Called once, after the waiter was taken out: command NULL: nothing came in time. */
	void (*answer)(struct presence_waiter *waiter, const struct wire_command *command);
	/* presence.c's */
	uint64_t deadline_us;
	struct presence_host *host;
	struct presence_waiter *host_next; /* of the same host, newest first */
	struct presence_waiter *older, *newer;
};

/* What is remembered of a host. */
struct presence_times {
	double last_s;  /* last spoke; 0: never, as far as this process knows */
	double saved_s; /* what the store has */
};
/* The host's times, to be read and written; made on first use. Valid until presence_free(). */
struct presence_times *presence_times(struct presence *presence, const char *host);

/* Deadlines of parked polls must not decrease from call to call. */
void presence_park(struct presence *presence, const char *host, struct presence_waiter *waiter,
		   uint64_t deadline_us);
/* The peer went away: forget a waiter that is parked; nothing when it is not. */
void presence_leave(struct presence *presence, struct presence_waiter *waiter);
/* Take out the host's newest parked poll; NULL when there is none. */
struct presence_waiter *presence_take(struct presence *presence, const char *host);
bool presence_is_parked(struct presence *presence, const char *host);
/* Take out the oldest parked poll when its deadline has passed; NULL when none has. UINT64_MAX
 * takes any. */
struct presence_waiter *presence_expire(struct presence *presence, uint64_t now_us);
/* Of the oldest parked poll; 0: none is parked. */
uint64_t presence_deadline_us(const struct presence *presence);

/* Visit every host that has times. */
typedef int presence_fn(const char *host, struct presence_times *times, void *arg);
int presence_each(struct presence *presence, presence_fn *fn, void *arg) MUST_CHECK;
