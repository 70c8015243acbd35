// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/health.h"

#include "agent/messages.h"

#include <inttypes.h>
#include <stdio.h>
#include <syslog.h>

static const char *const state_names[] = {
	[HEALTH_CONNECTING] = "connecting",   [HEALTH_REACHABLE] = "reachable",
	[HEALTH_UNREACHABLE] = "unreachable", [HEALTH_THROTTLED] = "throttled",
	[HEALTH_REFUSED] = "refused",
};

/* What an outcome says about the endpoint, and what a person is told when it becomes so. */
static const struct {
	enum health_state state;
	int level;
	const char *message_id;
	const char *says, *then; /* around the reason */
} meanings[] = {
	[OUTCOME_OK] = {HEALTH_REACHABLE, LOG_NOTICE, MESSAGE_ENDPOINT_REACHABLE, "is reachable",
			""},
	[OUTCOME_UNREACHABLE] = {HEALTH_UNREACHABLE, LOG_WARNING, MESSAGE_ENDPOINT_UNREACHABLE,
				 "is unreachable: ", "; trying again until it answers"},
	[OUTCOME_BROKEN] = {HEALTH_UNREACHABLE, LOG_WARNING, MESSAGE_ENDPOINT_UNREACHABLE,
			    "does not work: ", "; trying again until it does"},
	[OUTCOME_REFUSED] = {HEALTH_UNREACHABLE, LOG_WARNING, MESSAGE_ENDPOINT_UNREACHABLE,
			     "refuses the request: ", "; trying again"},
	[OUTCOME_THROTTLED] = {HEALTH_THROTTLED, LOG_WARNING, NULL,
			       "asks us to slow down: ", "; trying again later"},
	[OUTCOME_DENIED] = {HEALTH_REFUSED, LOG_ERR, MESSAGE_ENDPOINT_REFUSES,
			    "refuses this host: ",
			    "; if that is not meant to be, run 'slipway enroll' again; trying "
			    "again every 90 s"},
};

const char *health_state_to_string(enum health_state state)
{
	return state_names[state];
}

const char *health_duration(uint64_t seconds, char *out, size_t room)
{
	static const struct {
		uint64_t size;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	size_t i = 0;
	while (i + 1 < ARRAY_LEN(units) && seconds < units[i].size)
		i++;
	uint64_t rest = i + 1 < ARRAY_LEN(units) ? seconds % units[i].size / units[i + 1].size : 0;
	int n = snprintf(out, room, "%" PRIu64 " %s", seconds / units[i].size, units[i].name);
	if (rest && n > 0 && (size_t)n < room)
		snprintf(out + n, room - (size_t)n, " %" PRIu64 " %s", rest, units[i + 1].name);
	return out;
}

static void describe(const struct health *h, enum health_state before, enum outcome outcome,
		     const char *endpoint, uint64_t now_us, struct health_line *ret)
{
	char after[64] = "";
	if (outcome == OUTCOME_OK && before != HEALTH_CONNECTING) {
		char duration[32];
		snprintf(after, sizeof(after), " again after %s",
			 health_duration((now_us - h->lost_us) / 1000000, duration,
					 sizeof(duration)));
	}
	ret->level = meanings[outcome].level;
	ret->message_id = meanings[outcome].message_id;
	const char *then = meanings[outcome].then;
	if (outcome == OUTCOME_DENIED && h->aws)
		then = "; 'slipway doctor' looks for the reason; trying again every 90 s";
	snprintf(ret->text, sizeof(ret->text), "endpoint '%s' %s%s%s", endpoint,
		 meanings[outcome].says, outcome == OUTCOME_OK ? after : h->error.text, then);
}

bool health_note(struct health *h, enum outcome outcome, const struct error *why,
		 const char *endpoint, struct health_now now, struct health_line *ret)
{
	if (outcome != OUTCOME_OK) {
		h->error = *why;
		h->error_s = now.wall_s;
	}
	enum health_state before = h->state, state = meanings[outcome].state;
	if (state == before)
		return false;
	if (before == HEALTH_REACHABLE || before == HEALTH_CONNECTING)
		h->lost_us = now.mono_us;
	h->state = state;
	h->since_s = now.wall_s;
	describe(h, before, outcome, endpoint, now.mono_us, ret);
	return true;
}
