/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon says of AWS mode, for people. */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* The daemon's status has an "aws" object, or NULL. */
const json_t *aws_view_of(const json_t *status);
/* Region, where the credentials are from and until when, and what is wrong with them; label stands
 * before the first line, everything else below each other behind so many columns. */
void aws_view_print(const json_t *aws, const char *label, int column);
/* For people: "EC2 instance", "on-premises instance, IAM user", ... */
const char *aws_view_kind(const json_t *aws);
