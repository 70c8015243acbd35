/* SPDX-License-Identifier: Apache-2.0 */
/* How often may an address fail? Guessing an enrolment token is hopeless anyway (165 bits); this
 * keeps the attempts from costing anything. Pure: the caller brings the time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GUARD_SLOTS 256
#define GUARD_FAILURES 10 /* at once ... */
#define GUARD_REGAIN_S 6  /* ... and one more every so many seconds */

struct guard {
	struct guard_slot {
		char address[64];
		int64_t debt_until_s; /* each failure moves this forward by GUARD_REGAIN_S */
	} slots[GUARD_SLOTS];
};

/* Is this address to wait? */
bool guard_blocks(const struct guard *guard, const char *address, int64_t now_s);
/* It failed. With all slots taken the one that is closest to being forgotten is. */
void guard_failed(struct guard *guard, const char *address, int64_t now_s);
