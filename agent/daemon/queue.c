// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/queue.h"

#include "common/alloc.h"
#include "common/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void item_free(struct queue_item *item)
{
	free(item->deployment);
	free(item);
}

void queue_clear(struct queue *queue)
{
	for (size_t i = 0; i < queue->count; i++)
		item_free(queue->items[i]);
	free(queue->items);
	*queue = (struct queue){0};
}

struct queue_item *queue_find(const struct queue *queue, const char *name)
{
	for (size_t i = 0; i < queue->count; i++)
		if (str_eq(queue->items[i]->name, name))
			return queue->items[i];
	return NULL;
}

static bool goes_before(const struct queue_item *a, const struct queue_item *b)
{
	return a->order != b->order ? a->order < b->order : strcmp(a->name, b->name) < 0;
}

bool queue_add(struct queue *queue, const char *name, const char *deployment, uint64_t order)
{
	if (queue_find(queue, name))
		return false;
	struct queue_item *item = xcalloc(1, sizeof(*item));
	snprintf(item->name, sizeof(item->name), "%s", name);
	item->deployment = xstrdup(deployment);
	item->order = order;
	queue->items = xrealloc_array(queue->items, queue->count + 1, sizeof(struct queue_item *));
	size_t at = queue->count++;
	for (; at > 0 && goes_before(item, queue->items[at - 1]); at--)
		queue->items[at] = queue->items[at - 1];
	queue->items[at] = item;
	return true;
}

void queue_remove(struct queue *queue, const char *name)
{
	for (size_t i = 0; i < queue->count; i++) {
		if (!str_eq(queue->items[i]->name, name))
			continue;
		item_free(queue->items[i]);
		memmove(queue->items + i, queue->items + i + 1,
			(--queue->count - i) * sizeof(struct queue_item *));
		return;
	}
}

/* Does an older result of the same deployment still wait? */
static bool is_behind(const struct queue *queue, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (str_eq(queue->items[i]->deployment, queue->items[index]->deployment))
			return true;
	return false;
}

struct queue_item *queue_next(const struct queue *queue, uint64_t now_us, uint64_t *ret_due_us)
{
	*ret_due_us = UINT64_MAX;
	for (size_t i = 0; i < queue->count; i++) {
		struct queue_item *item = queue->items[i];
		if (item->sending || is_behind(queue, i))
			continue;
		if (item->due_us <= now_us)
			return item;
		if (item->due_us < *ret_due_us)
			*ret_due_us = item->due_us;
	}
	return NULL;
}

size_t queue_sending(const struct queue *queue)
{
	size_t n = 0;
	for (size_t i = 0; i < queue->count; i++)
		n += queue->items[i]->sending;
	return n;
}

void queue_hurry(struct queue *queue)
{
	for (size_t i = 0; i < queue->count; i++)
		queue->items[i]->due_us = 0;
}
