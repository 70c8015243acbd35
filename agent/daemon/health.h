/* SPDX-License-Identifier: Apache-2.0 */
/* How we get on with the endpoint, and what to say about it: one line per change of state, nothing
 * in between. No input or output of its own. */
#pragma once

#include "agent/daemon/service.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

enum health_state {
	HEALTH_CONNECTING, /* nothing heard yet */
	HEALTH_REACHABLE,
	HEALTH_UNREACHABLE, /* no answer, or only errors and nonsense */
	HEALTH_THROTTLED,
	HEALTH_REFUSED, /* our identity is not accepted */
};
const char *health_state_to_string(enum health_state state);

struct health {
	enum health_state state;
	bool aws;           /* not an endpoint of ours: for what a person is told */
	int64_t since_s;    /* of this state; wall clock, for people */
	uint64_t lost_us;   /* monotonic: when it was last left for the worse */
	int64_t last_ok_s;  /* of the last good answer, kept by the caller; 0: never */
	struct error error; /* the newest failure; code 0: none yet */
	int64_t error_s;
};

struct health_now {
	uint64_t mono_us;
	int64_t wall_s;
};

struct health_line {
	int level;
	const char *message_id; /* NULL: none */
	char text[768];
};

/* Take in how a request ended. Returns true when the state changed; then *ret is what to log. */
bool health_note(struct health *h, enum outcome outcome, const struct error *why,
		 const char *endpoint, struct health_now now, struct health_line *ret);

/* "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h" into out (32 bytes are enough). */
const char *health_duration(uint64_t seconds, char *out, size_t room);
