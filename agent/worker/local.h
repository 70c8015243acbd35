/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of a person on this host: the same events through the same functions, in one process.
 * Only callers that the kernel vouches for get here. */
#pragma once

#include "agent/job.h"
#include "agent/worker/bundle.h"
#include "agent/worker/group.h"
#include "agent/worker/plan.h"
#include "agent/worker/run.h"

run_verb_fn local_deploy_verb;
run_verb_fn local_redeploy_verb;
run_verb_fn local_rollback_verb;
run_verb_fn local_remove_verb;

/* Take the group for a local verb: what a crash left is finished; an endpoint's deployment that is
 * going on is left alone (ERR_BUSY), unless the endpoint has been silent for too long. */
int local_open_group(struct run *run, const char *id, const char *verb, bool must_exist,
		     struct group *ret, struct error *err) MUST_CHECK;

/* What "deploy" and "plan" ask for. Strings of source are borrowed from the message. */
struct local_request {
	const char *group;
	struct job *job;
	struct bundle_source source;
};
/* ERR_INPUT when it makes no sense. fd is borrowed. */
int local_request_parse(const json_t *message, int fd, struct local_request *ret,
			struct error *err) MUST_CHECK;
void local_request_clear(struct local_request *request);

/* Counts of operations, as the member "summary". */
void local_put_summary(json_t *result, const struct plan_summary *summary);
