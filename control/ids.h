/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the endpoint gives: deployment ids, ARNs, identifiers of commands, page tokens.
 * Functions that return a string give it to the caller. */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

#define IDS_DEPLOYMENT_LEN 11 /* "d-" and nine of [A-Z0-9] */

/* The place that every ARN names. */
struct ids_place {
	const char *region, *account;
};

void ids_deployment_new(char out[IDS_DEPLOYMENT_LEN + 1]);
bool ids_is_deployment(const char *s);

/* arn:aws:codedeploy:REGION:ACCOUNT:instance/NAME: a host's identifier and its instanceArn; for a
 * name that begins "i-" the targetArn is the EC2 one. */
char *ids_host_arn(const struct ids_place *place, const char *name);
char *ids_target_arn(const struct ids_place *place, const char *name);

/* DeploymentExecutionId: CodeDeploy/REGION/slipway/arn:aws:codedeploy:REGION:ACCOUNT:deployment/ID
 */
char *ids_execution(const struct ids_place *place, const char *deployment_id);
/* The deployment id at its end; -EINVAL when it is not one of ours. */
int ids_execution_parse(const char *text,
			char ret_deployment_id[IDS_DEPLOYMENT_LEN + 1]) MUST_CHECK;

/* HostCommandIdentifier: opaque to the host, base64url of ["d-...", host, event, attempt]. */
struct ids_command {
	char deployment_id[IDS_DEPLOYMENT_LEN + 1];
	char host[129];
	int64_t event; /* enum wire_event */
	int64_t attempt;
};
char *ids_command_format(const struct ids_command *command);
int ids_command_parse(const char *text, struct ids_command *ret) MUST_CHECK; /* -EINVAL */

/* nextToken: opaque to the client, base64url of the list's name and where to go on. A token of
 * another list is refused (-EINVAL). */
#define IDS_PAGE_TOKEN_MAX 16384 /* a revision's location may be in it */
char *ids_page_format(const char *list, const char *after);
int ids_page_parse(const char *list, const char *token, char **ret_after) MUST_CHECK;
