/* SPDX-License-Identifier: Apache-2.0 */
/* One gate for all requests to a service that throttles: shut for 1 s at first, doubling to 30 s,
 * open again with the first request that succeeds. Arithmetic only. */
#pragma once

#include <stdint.h>

struct gate {
	uint64_t until_us; /* monotonic; 0: open */
	uint64_t step_ms;  /* of the last time it shut */
};

/* A request was throttled. Only one that went through an open gate makes the wait longer. */
void gate_trip(struct gate *gate, uint64_t now_us);
/* A request succeeded. */
static inline void gate_open(struct gate *gate)
{
	*gate = (struct gate){0};
}
/* How long a request has to wait; spread by up to a quarter, so that those that wait do not all go
 * at once. 0: not at all. random: any 32 bits. */
uint64_t gate_wait_ms(const struct gate *gate, uint64_t now_us, uint32_t random);
