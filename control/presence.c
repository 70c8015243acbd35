// SPDX-License-Identifier: Apache-2.0
/* A chained hash table of hosts that doubles when it is full, and one queue of parked polls: all
 * wait equally long, so the oldest is the next to expire. */
#include "control/presence.h"

#include "common/alloc.h"

#include <assert.h>
#include <string.h>

struct presence_host {
	struct presence_times times;
	struct presence_waiter *waiters;
	struct presence_host *next;
	uint64_t hash;
	char name[];
};

struct presence {
	struct presence_host **buckets;
	size_t bucket_count, host_count;
	struct presence_waiter *oldest, *newest;
};

struct presence *presence_new(void)
{
	struct presence *p = xcalloc(1, sizeof(*p));
	p->bucket_count = 64;
	p->buckets = xcalloc(p->bucket_count, sizeof(*p->buckets));
	return p;
}

void presence_free(struct presence *p)
{
	if (!p)
		return;
	assert(!p->oldest);
	for (size_t i = 0; i < p->bucket_count; i++)
		while (p->buckets[i]) {
			struct presence_host *host = p->buckets[i];
			p->buckets[i] = host->next;
			free(host);
		}
	free(p->buckets);
	free(p);
}

/* ---- hosts ---- */

/* FNV-1a: names are enrolled by people, nobody gains from collisions. */
static uint64_t hash_of(const char *name)
{
	uint64_t h = 14695981039346656037u;
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211u;
	return h;
}

static struct presence_host *find(struct presence *p, const char *name, uint64_t hash)
{
	struct presence_host *host = p->buckets[hash & (p->bucket_count - 1)];
	while (host && (host->hash != hash || strcmp(host->name, name) != 0))
		host = host->next;
	return host;
}

static void grow(struct presence *p)
{
	size_t count = 2 * p->bucket_count;
	struct presence_host **buckets = xcalloc(count, sizeof(struct presence_host *));
	for (size_t i = 0; i < p->bucket_count; i++)
		while (p->buckets[i]) {
			struct presence_host *host = p->buckets[i];
			p->buckets[i] = host->next;
			host->next = buckets[host->hash & (count - 1)];
			buckets[host->hash & (count - 1)] = host;
		}
	free(p->buckets);
	p->buckets = buckets;
	p->bucket_count = count;
}

static struct presence_host *find_or_make(struct presence *p, const char *name)
{
	uint64_t hash = hash_of(name);
	struct presence_host *host = find(p, name, hash);
	if (host)
		return host;
	if (p->host_count == p->bucket_count)
		grow(p);
	host = xcalloc(1, sizeof(*host) + strlen(name) + 1);
	host->hash = hash;
	memcpy(host->name, name, strlen(name) + 1);
	struct presence_host **bucket = &p->buckets[hash & (p->bucket_count - 1)];
	host->next = *bucket;
	*bucket = host;
	p->host_count++;
	return host;
}

struct presence_times *presence_times(struct presence *p, const char *host)
{
	return &find_or_make(p, host)->times;
}

int presence_each(struct presence *p, presence_fn *fn, void *arg)
{
	for (size_t i = 0; i < p->bucket_count; i++)
		for (struct presence_host *host = p->buckets[i]; host; host = host->next) {
			int r = fn(host->name, &host->times, arg);
			if (r < 0)
				return r;
		}
	return 0;
}

/* ---- parked polls ---- */

void presence_park(struct presence *p, const char *host, struct presence_waiter *w,
		   uint64_t deadline_us)
{
	assert(!p->newest || p->newest->deadline_us <= deadline_us);
	w->deadline_us = deadline_us;
	w->host = find_or_make(p, host);
	w->host_next = w->host->waiters;
	w->host->waiters = w;
	w->newer = NULL;
	w->older = p->newest;
	*(p->newest ? &p->newest->newer : &p->oldest) = w;
	p->newest = w;
}

void presence_leave(struct presence *p, struct presence_waiter *w)
{
	if (!w->host)
		return;
	struct presence_waiter **link = &w->host->waiters;
	while (*link != w)
		link = &(*link)->host_next;
	*link = w->host_next;
	*(w->older ? &w->older->newer : &p->oldest) = w->newer;
	*(w->newer ? &w->newer->older : &p->newest) = w->older;
	w->host = NULL;
}

static struct presence_waiter *taken(struct presence *p, struct presence_waiter *w)
{
	if (w)
		presence_leave(p, w);
	return w;
}

struct presence_waiter *presence_take(struct presence *p, const char *host)
{
	struct presence_host *found = find(p, host, hash_of(host));
	return taken(p, found ? found->waiters : NULL);
}

bool presence_is_parked(struct presence *p, const char *host)
{
	struct presence_host *found = find(p, host, hash_of(host));
	return found && found->waiters;
}

struct presence_waiter *presence_expire(struct presence *p, uint64_t now_us)
{
	return taken(p, p->oldest && p->oldest->deadline_us <= now_us ? p->oldest : NULL);
}

uint64_t presence_deadline_us(const struct presence *p)
{
	return p->oldest ? p->oldest->deadline_us : 0;
}
