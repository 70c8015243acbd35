/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the hook module: the files that a script writes to, followed while it runs, and the logs
 * that are made of them. */
#pragma once

#include "agent/worker/hook-cut.h"
#include "agent/worker/hook.h"
#include "common/buf.h"

#include <sys/types.h>

struct hook_stream {
	const char *name; /* "stdout" */
	int write_fd;     /* for the script; -1 once it has it */
	int read_fd;      /* and to cut the file */
	uint64_t offset;  /* read up to here */
	uint64_t seen;    /* lines up to here were handed on */
	uint64_t marked;  /* up to here a worker before us has copied it: only the tail needs it */
	struct buf line;  /* begun, its end has not come yet */
	bool in_line;     /* a piece of the same line was handed on before */
	struct hook_cut cut;
};

struct hook_output {
	const struct hook_request *request;
	struct hook_stream streams[2];
	int log_fd;     /* scripts.log; -1: cannot be written */
	int inotify_fd; /* -1: none, look from time to time */
	struct buf log; /* to be written */
	struct buf all; /* and to the log of all deployments */
	bool all_lost;
	struct buf tail;   /* the end of the log as diagnostics show it: text, whole lines */
	struct buf recent; /* more of it, without the headings */
	bool again;        /* another worker has begun to copy it */
	uint64_t copied;   /* of this script's output */
	bool full;         /* output_max is reached */
	int64_t stamp_s;   /* of stamp */
	char stamp[32];
};

/* Nothing is open; _close() may follow. */
void hook_output_init(struct hook_output *out);
/* Make the files. owner: the account that the script runs as, so that it may open /dev/stdout
 * again. */
void hook_output_open(struct hook_output *out, const struct hook_request *request, uid_t owner);
void hook_output_close(struct hook_output *out);
#define auto_hook_output CLEANUP(hook_output_close)

/* Copy what has been written since the last time. */
void hook_output_follow(struct hook_output *out);
/* The script has ended: copy the rest, end a line that has no end. */
void hook_output_finish(struct hook_output *out);
/* Caller frees. */
char *hook_output_tail(const struct hook_output *out);
/* The end of this script's output: text, entries as in the tail, at least its last 64 KiB. Caller
 * frees. */
char *hook_output_recent(const struct hook_output *out);
