// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/backoff.h"

#include <sys/random.h>

static const uint32_t steps_s[] = {1, 2, 4, 8, 16, 30, 60, 90};
enum { LAST_STEP = ARRAY_LEN(steps_s) - 1 };

/* Where in the table the first failure of its kind begins. */
static unsigned first_step(enum outcome why)
{
	switch (why) {
	case OUTCOME_THROTTLED:
		return 4;
	case OUTCOME_DENIED:
		return LAST_STEP;
	default:
		return 0;
	}
}

uint64_t backoff_next_ms(struct backoff *b, enum outcome why, uint32_t random)
{
	unsigned step = first_step(why) + b->failures;
	if (step > LAST_STEP)
		step = LAST_STEP;
	if (b->failures < LAST_STEP)
		b->failures++;
	uint64_t base_ms = steps_s[step] * UINT64_C(1000);
	uint64_t spread_ms = base_ms / 2;
	return base_ms - spread_ms / 2 + spread_ms * random / UINT32_MAX;
}

uint32_t backoff_random(void)
{
	uint32_t random = 0;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return UINT32_MAX / 2;
	return random;
}
