/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences about deployments: how one ended, why it failed, what runs now. */
#pragma once

#include "agent/cli/cli.h"
#include "agent/state.h"

/* "/home/me/shop.tgz", "s3://bucket/key", "github:owner/repo@commit". Caller frees. */
char *report_revision(const struct wire_spec *spec);

/* "12 created, 3 replaced, 240 unchanged", of a result's summary; as a plan "12 to create, ...".
 * Caller frees; "no file is concerned" when all counts are 0. */
char *report_summary(const json_t *summary, bool as_plan);

/* A word or two: "succeeded", "failed", "refused", "rolled back", "left in place", "needs a
 * person", "going back", "running". */
const char *report_outcome(const struct state_deployment *d);
/* A message of diagnostics for people, who are told the rest in other lines: without the official
 * beginning, and what the rollback did. Caller frees. */
char *report_short(const char *message);
/* "failed at ValidateService: port 80 is in use"; NULL when it did not fail at an event. Caller
 * frees. */
char *report_failed_at(const struct state_deployment *d);
/* "rollback ", to stand before the outcome of what was no plain deployment; else "". */
const char *report_verb(const struct state_deployment *d);

/* What happened to this deployment, in lines; for a failed one event, script, exit, the end of its
 * output, what was put back and what was left. */
void report_explain(const struct state_deployment *d, const char *group, FILE *out);

/* What each of its scripts that ran took, a line for each. Nothing when that is not known. */
void report_scripts(const struct state_deployment *d, FILE *out);

/* What its scripts had left running when they ended, a line for each event: "started nginx (12), by
 * ApplicationStart". Nothing when no process of them is left. */
void report_left_running(const struct state_deployment *d, FILE *out);

/* What was told line by line before the end. */
struct report_problems {
	size_t errors;   /* a warning alone explains no refusal */
	bool in_the_way; /* among them a file that file_exists_behavior is about */
};

/* The end of a command that a worker carried out; result: its last message. */
void report_end(const struct cli *cli, const json_t *result, const struct report_problems *problems,
		int exit_code);
