// SPDX-License-Identifier: Apache-2.0
#include "control/guard.h"

#include <stdio.h>
#include <string.h>

static const struct guard_slot *find(const struct guard *guard, const char *address)
{
	for (int i = 0; i < GUARD_SLOTS; i++)
		if (strcmp(guard->slots[i].address, address) == 0)
			return &guard->slots[i];
	return NULL;
}

bool guard_blocks(const struct guard *guard, const char *address, int64_t now_s)
{
	const struct guard_slot *slot = find(guard, address);
	return slot && slot->debt_until_s - now_s >= GUARD_FAILURES * GUARD_REGAIN_S;
}

void guard_failed(struct guard *guard, const char *address, int64_t now_s)
{
	struct guard_slot *slot = (struct guard_slot *)find(guard, address);
	if (!slot) {
		slot = &guard->slots[0];
		for (int i = 1; i < GUARD_SLOTS; i++)
			if (guard->slots[i].debt_until_s < slot->debt_until_s)
				slot = &guard->slots[i];
		snprintf(slot->address, sizeof(slot->address), "%s", address);
		slot->debt_until_s = now_s;
	}
	if (slot->debt_until_s < now_s)
		slot->debt_until_s = now_s;
	slot->debt_until_s += GUARD_REGAIN_S;
}
