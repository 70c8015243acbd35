/* SPDX-License-Identifier: Apache-2.0 */
/* What a deployment specification claims to be about. Nothing is checked: the daemon uses it to
 * keep a group's commands in order and for its log, the worker finds out whether it is true. */
#pragma once

#include <jansson.h>

/* specification: {"Format", "Payload"}. Each is NULL when nothing readable is claimed; caller
 * frees. */
void claim_read(const json_t *specification, char **ret_group, char **ret_deployment);
