/* SPDX-License-Identifier: Apache-2.0 */
/* Have a worker do something and tell the person about it: the CLI's side of
 * docs/formats/worker.md. */
#pragma once

#include "agent/cli/cli.h"
#include "agent/cli/report.h"
#include "agent/cli/spool.h"
#include "common/cleanup.h"

struct talk {
	struct cli *cli;
	json_t *result;   /* the worker's last word */
	bool heard;       /* anything, from the worker that was asked last */
	char *deployment; /* that its events were about; NULL: none yet */
	json_t *steps;    /* arrays of what came before it */
	json_t *recovered;
	json_t *groups; /* that were verified */
	struct spool problems;
	struct report_problems told;
	struct spool spool;  /* what may be many: operations of a plan, drift */
	const char *spooled; /* their name as a member; NULL: none is expected */
	bool all;            /* every problem is shown, however many there are */
	bool looks;          /* the verb only looks: a worker that is gone has left nothing */
};

void talk_init(struct talk *talk, struct cli *cli);
void talk_clear(struct talk *talk);
#define auto_talk CLEANUP(talk_clear)

/* Send the request (reference is taken over), with fd beside it when fd >= 0, and follow the worker
 * to its end. What it says is shown, or collected for --json. A worker that ends without a
 * result is followed by one that recovers. Interrupting ends this program, not the worker. */
int talk_run(struct talk *talk, json_t *request, int fd, struct error *err) MUST_CHECK;

/* Say how it ended and what runs now. what: "deploy", "remove", ... Returns the exit code. */
int talk_finish(struct talk *talk);

/* The worker's exit code. */
int talk_exit(const struct talk *talk);
/* The whole of what was heard as one object; returns the exit code. */
int talk_finish_json(struct talk *talk);

/* talk_run() and talk_finish() in one, with errors said. */
int talk_do(struct cli *cli, json_t *request, int fd);
