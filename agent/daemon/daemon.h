/* SPDX-License-Identifier: Apache-2.0 */
/* slipwayd: everything that touches the network. It polls the endpoint for commands, downloads
 * revisions, has a worker run each command and reports the results. It needs no root, parses no
 * bundle, and whatever it is in the middle of survives its death. */
#pragma once

#include "agent/identity.h"
#include "agent/paths.h"
#include "agent/settings.h"
#include "common/error.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct daemon {
	struct loop loop;
	struct paths paths;
	struct settings settings;
	struct identity *identity; /* NULL: not enrolled, and nobody at AWS */
	struct service *service;   /* NULL as long as identity is */
	struct recovery *recovery;
	struct commands *commands;
	struct report *report;
	struct orphans *orphans;
	struct poll *poll;
	struct renew *renew;
	struct metrics *metrics;
	struct amazon *amazon;
	struct ipc *ipc;
	sd_event_source *quiet;
	int agent_dirfd, lock_fd;
	struct tool_files *tool_files;
	bool verbose; /* asked for on the command line */
	bool running; /* the recovery at start is over */
	int64_t started_s;
	char *status; /* last STATUS= */
};

struct daemon_options {
	const char *root; /* NULL: the system */
	bool verbose;
};

/* Run until SIGTERM. Returns the exit code; below 0 when it could not start. */
int daemon_main(const struct daemon_options *options, struct error *err) MUST_CHECK;

/* Read settings and identity again. */
int daemon_reload(struct daemon *daemon, struct error *err) MUST_CHECK;

struct aws_provider;
/* Be served by the endpoint of identity, which is taken over. aws: signs for AWS, NULL for an
 * endpoint of ours. */
int daemon_join(struct daemon *daemon, struct identity *identity, struct aws_provider *aws,
		struct error *err) MUST_CHECK;
/* Be served by nobody. */
void daemon_leave(struct daemon *daemon);

/* For the modules: a run of recovery is over. */
void daemon_recovered(struct daemon *daemon);
/* The endpoint answered a poll; again: for the first time, or after a silence. */
void daemon_endpoint_answers(struct daemon *daemon, bool again);
/* A command is over, or what is in work changed otherwise. */
void daemon_work_changed(struct daemon *daemon);
/* The endpoint took, or refused, a result. */
void daemon_results_sent(struct daemon *daemon);
/* Something that STATUS= shows may have changed. */
void daemon_show_status(struct daemon *daemon);

/* Open ROOT/var/lib/slipway/agent/NAME, made when missing (0700). */
int daemon_open_dir(struct daemon *daemon, const char *name, struct error *err) MUST_CHECK;
