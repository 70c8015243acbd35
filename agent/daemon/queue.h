/* SPDX-License-Identifier: Apache-2.0 */
/* Which result is sent next: oldest first, within a deployment strictly one after the other, each
 * with a back-off of its own. In memory, no input or output. */
#pragma once

#include "agent/daemon/backoff.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_item {
	char name[40];
	char *deployment;
	uint64_t order;  /* smaller goes first: modification time */
	uint64_t due_us; /* not before; monotonic */
	struct backoff backoff;
	bool sending;
	void *arg; /* the sender's, while sending */
};

struct queue {
	struct queue_item **items; /* sorted by order, then name */
	size_t count;
};
void queue_clear(struct queue *queue);
/* Returns false when an item of this name is there already. */
bool queue_add(struct queue *queue, const char *name, const char *deployment, uint64_t order);
struct queue_item *queue_find(const struct queue *queue, const char *name);
void queue_remove(struct queue *queue, const char *name);
/* The next that may be sent now, or NULL; then *ret_due_us is when one may be, UINT64_MAX when all
 * that could be are being sent. */
struct queue_item *queue_next(const struct queue *queue, uint64_t now_us, uint64_t *ret_due_us);
size_t queue_sending(const struct queue *queue);
/* Everything is due now. */
void queue_hurry(struct queue *queue);
