/* SPDX-License-Identifier: Apache-2.0 */
/* What a deployment specification claims to be about. Nothing is checked: the daemon uses it to
 * keep a group's commands in order and for its log, the worker finds out whether it is true. */
#pragma once

#include "common/cleanup.h"

#include <jansson.h>

/* specification: {"Format", "Payload"}. Each is NULL when nothing readable is claimed; caller
 * frees. */
void claim_read(const json_t *specification, char **ret_group, char **ret_deployment);

/* The token for GitHub that comes with it; NULL: none. The caller ends it by claim_token_free(),
 * and writes it nowhere. */
char *claim_github_token(const json_t *specification);
void claim_token_free(char *token);
DEFINE_CLEANUP(char *, claim_token_free)
#define auto_claim_token CLEANUP(claim_token_free_at)
