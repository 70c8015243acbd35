/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation with one worker, on the loop. Format: docs/formats/worker.md. */
#pragma once

#include "agent/paths.h"
#include "common/cleanup.h"
#include "common/loop.h"

#include <jansson.h>

struct dialogue;

struct dialogue_handler {
	/* One message of the worker; borrowed. May free the dialogue. */
	void (*event)(const char *event, const json_t *message, void *arg);
	/* The worker is gone, or talks nonsense; nothing more will come. May free the dialogue. */
	void (*end)(void *arg);
	void *arg;
};

/* Start a worker and tell it what to do. */
int dialogue_start(struct loop *loop, const struct paths *paths, const json_t *first,
		   const struct dialogue_handler *handler, struct dialogue **ret,
		   struct error *err) MUST_CHECK;
/* Say something, with fd beside it when fd >= 0 (it stays the caller's). */
int dialogue_send(struct dialogue *dialogue, const json_t *message, int fd,
		  struct error *err) MUST_CHECK;
/* The story of a deployment, as the worker tells it, in our log: steps and problems. */
void dialogue_log(const char *event, const json_t *message);
/* Hang up: a worker that waits takes it as "drop", one that runs goes on. No callback comes after
 * it. NULL is allowed. */
void dialogue_free(struct dialogue *dialogue);
DEFINE_CLEANUP(struct dialogue *, dialogue_free)
#define auto_dialogue CLEANUP(dialogue_free_at)
