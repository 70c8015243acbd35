// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/gate.h"

enum { FIRST_MS = 1000, LAST_MS = 30000 };

void gate_trip(struct gate *gate, uint64_t now_us)
{
	if (now_us < gate->until_us)
		return;
	uint64_t step_ms = gate->step_ms ? gate->step_ms * 2 : FIRST_MS;
	gate->step_ms = step_ms < LAST_MS ? step_ms : LAST_MS;
	gate->until_us = now_us + gate->step_ms * 1000;
}

uint64_t gate_wait_ms(const struct gate *gate, uint64_t now_us, uint32_t random)
{
	if (now_us >= gate->until_us)
		return 0;
	uint64_t rest_ms = (gate->until_us - now_us + 999) / 1000;
	return rest_ms + gate->step_ms / 4 * random / UINT32_MAX;
}
