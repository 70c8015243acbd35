/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before trying again: 1, 2, 4, 8, 16, 30, 60, 90 s, each spread by a quarter to
 * both sides so that a fleet does not come back in step. Arithmetic only. */
#pragma once

#include "agent/daemon/service.h"

#include <stdint.h>

struct backoff {
	unsigned failures; /* in a row */
};

/* One more failure: milliseconds until the next attempt. A peer that asks us to slow down, or that
 * refuses our identity, is left alone for longer from the first time on. random: any 32 bits. */
uint64_t backoff_next_ms(struct backoff *b, enum outcome why, uint32_t random);
/* Random bits for it. */
uint32_t backoff_random(void);
static inline void backoff_reset(struct backoff *b)
{
	b->failures = 0;
}
