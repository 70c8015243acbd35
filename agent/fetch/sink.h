/* SPDX-License-Identifier: Apache-2.0 */
/* Inside fetch: where the bytes go. Either a file without a name, or a pipe, which may be full:
 * what it did not take waits here, and nothing more is taken before that is gone. */
#pragma once

#include "common/buf.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct fetch_sink {
	struct loop *loop;
	int fd; /* the file, or the writing end; -1: none */
	bool pipe;
	uint64_t bytes;     /* taken so far */
	struct buf waiting; /* of them not written yet */
	sd_event_source *io;
	void (*on_room)(int code, void *arg); /* what waited is written, or why it cannot be */
	void *arg;
};

/* A file in the directory. */
int fetch_sink_file(struct fetch_sink *sink, int dirfd, struct error *err) MUST_CHECK;
/* A pipe, a new one at each call: nothing is in it. *ret_fd is the reading end, the caller's. */
int fetch_sink_pipe(struct fetch_sink *sink, int *ret_fd, struct error *err) MUST_CHECK;
void fetch_sink_clear(struct fetch_sink *sink);

/* Returns 0, HTTP_PAUSE when it takes nothing now (on_room will be called), or an error: -EPIPE
 * when nobody reads any more. */
int fetch_sink_take(struct fetch_sink *sink, const void *data, size_t len,
		    struct error *err) MUST_CHECK;
/* Is everything that was taken written? */
bool fetch_sink_is_idle(const struct fetch_sink *sink);
/* A file: forget what is in it. */
int fetch_sink_empty(struct fetch_sink *sink, struct error *err) MUST_CHECK;
