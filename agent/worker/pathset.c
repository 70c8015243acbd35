// SPDX-License-Identifier: Apache-2.0
/* Open addressing with linear probing, at most two thirds full. The hash is SipHash-2-4 under a
 * random key, because whoever makes a bundle chooses its names. */
#include "agent/worker/pathset.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct pathset_slot {
	uint64_t hash; /* 0: free */
	uint64_t value;
};

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

static uint64_t hash_of(const struct pathset *set, const char *path)
{
	uint64_t v[4] = {set->key[0] ^ 0x736f6d6570736575, set->key[1] ^ 0x646f72616e646f6d,
			 set->key[0] ^ 0x6c7967656e657261, set->key[1] ^ 0x7465646279746573};
	size_t len = strlen(path), at = 0;
	uint64_t word;
	for (; at + 8 <= len; at += 8) {
		memcpy(&word, path + at, 8);
		sip_word(v, le64toh(word));
	}
	word = 0;
	memcpy(&word, path + at, len - at);
	sip_word(v, le64toh(word) | (uint64_t)len << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	uint64_t h = v[0] ^ v[1] ^ v[2] ^ v[3];
	return h ? h : 1;
}

void pathset_init(struct pathset *set)
{
	*set = (struct pathset){0};
	while (getrandom(set->key, sizeof(set->key), 0) != sizeof(set->key))
		continue;
}

void pathset_clear(struct pathset *set)
{
	free(set->slots);
	*set = (struct pathset){0};
}

int pathset_find(const struct pathset *set, const char *path, pathset_path_fn *path_of, void *arg,
		 uint64_t **ret, struct error *err)
{
	if (set->room == 0)
		return 0;
	uint64_t h = hash_of(set, path);
	for (size_t i = h & (set->room - 1); set->slots[i].hash; i = (i + 1) & (set->room - 1)) {
		if (set->slots[i].hash != h)
			continue;
		const char *there = path_of(set->slots[i].value, arg, err);
		if (!there)
			return err && err->code ? err->code : ERR_FORMAT;
		if (strcmp(there, path) == 0) {
			*ret = &set->slots[i].value;
			return 1;
		}
	}
	return 0;
}

static void put(struct pathset_slot *slots, size_t room, struct pathset_slot slot)
{
	size_t i = slot.hash & (room - 1);
	while (slots[i].hash)
		i = (i + 1) & (room - 1);
	slots[i] = slot;
}

static int grow(struct pathset *set, struct error *err)
{
	size_t room = set->room ? set->room * 2 : 64;
	if (set->count >= PATHSET_MAX)
		return error_set(err, ERR_LIMIT, "more than %d paths", PATHSET_MAX);
	struct pathset_slot *slots = calloc(room, sizeof(*slots));
	if (!slots)
		return error_set(err, -ENOMEM, "no memory for %zu paths", room);
	for (size_t i = 0; i < set->room; i++)
		if (set->slots[i].hash)
			put(slots, room, set->slots[i]);
	free(set->slots);
	set->slots = slots;
	set->room = room;
	return 0;
}

int pathset_add(struct pathset *set, const char *path, uint64_t value, struct error *err)
{
	int r = set->count >= set->room / 3 * 2 ? grow(set, err) : 0;
	if (r < 0)
		return r;
	put(set->slots, set->room, (struct pathset_slot){hash_of(set, path), value});
	set->count++;
	return 0;
}
