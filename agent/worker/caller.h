/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of its dialogue (docs/formats/worker.md). A caller that is gone, or that does
 * not read for a while, is no reason to stop: from then on nothing is said, the work goes on. */
#pragma once

#include "agent/problem.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct caller {
	int sock;     /* borrowed */
	bool trusted; /* may give commands that nobody signed */
	bool gone;
	uint64_t progress_us;              /* when the last progress was sent */
	size_t problems;                   /* that were said */
	unsigned first_word_ms, answer_ms; /* how long it may be silent */
	unsigned slow_ms;                  /* how long it may keep us, all it was told together */
	uint64_t kept_us;                  /* how long it has */
	/* Asked a few times a second while an answer is awaited: true, and it is not any longer. */
	bool (*gives_way)(void *arg);
	void *gives_way_arg;
};

/* Asks the kernel who the peer is. */
int caller_init(struct caller *caller, int sock, struct error *err) MUST_CHECK;

/* The first message. Returns 1, or 0 when the peer closed or waited too long without one. *ret_fd
 * as in launch_receive(). */
int caller_listen(struct caller *caller, json_t **ret, int *ret_fd, struct error *err) MUST_CHECK;

/* Send an event; takes the reference of message. */
void caller_say(struct caller *caller, json_t *message);
/* Send an event and wait for what is answered. Returns 1 with the answer, 0 when the caller is gone
 * (nobody answers, or not within an hour), ERR_BUSY when somebody else goes first, or below 0.
 * ret_fd may be NULL. */
int caller_ask(struct caller *caller, json_t *message, json_t **ret, int *ret_fd,
	       struct error *err) MUST_CHECK;

/* The same for what comes unasked, later. */
int caller_hear(struct caller *caller, json_t **ret, int *ret_fd, struct error *err) MUST_CHECK;

/* A new event object: {"event": NAME}. */
json_t *caller_event(const char *name);

void caller_step(struct caller *caller, const char *deployment, const char *step, const char *state,
		 const char *message, double seconds);
/* At most ten a second; the last one (done == total) always. */
void caller_progress(struct caller *caller, const char *what, uint64_t done, uint64_t total);
void caller_output(struct caller *caller, const char *stream, const char *line, size_t len);
void caller_problem(struct caller *caller, enum problem_level level, const char *where,
		    const char *text);
void caller_problems(struct caller *caller, const struct problems *problems);
