/* SPDX-License-Identifier: Apache-2.0 */
/* A deployment as the endpoint tells it, and what of it matters to a person: which host is where,
 * and what failed first. */
#pragma once

#include "agent/cli/fleet.h"

#include <stdbool.h>

struct fleet_view {
	json_t *info;  /* DeploymentInfo */
	json_t *hosts; /* array of InstanceTarget; empty while the endpoint has not begun */
};
void fleet_view_clear(struct fleet_view *view);
#define auto_fleet_view CLEANUP(fleet_view_clear)
int fleet_view_load(struct fleet *fleet, const char *deployment_id, struct fleet_view *ret,
		    struct error *err) MUST_CHECK;

/* Succeeded, Failed or Stopped. */
bool fleet_view_is_over(const struct fleet_view *view);
/* CLI_DONE when it succeeded, else CLI_FAILED. */
int fleet_view_exit(const struct fleet_view *view);

/* The lifecycle event that a host is in: what runs, else what failed, else what ended last; NULL
 * before the first. Borrowed. */
const json_t *fleet_host_event(const json_t *host);

struct fleet_failure {
	const char *host, *event, *code, *script, *message, *log; /* borrowed from the view; "" */
};
/* The host and event that failed first. False: none did. */
bool fleet_view_failure(const struct fleet_view *view, struct fleet_failure *ret);

/* How it ended, why, and the end of the script's output. */
void fleet_view_print_outcome(const struct fleet_view *view, FILE *out);
/* One line: "3 hosts: 1 succeeded, 2 in progress". The caller frees. */
char *fleet_view_counts(const struct fleet_view *view);
/* All of it for --json; new reference. */
json_t *fleet_view_to_json(const struct fleet_view *view);
