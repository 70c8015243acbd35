/* SPDX-License-Identifier: Apache-2.0 */
/* Every handler, for the table in route.c. Each is described where it is defined. */
#pragma once

#include "control/route.h"

/* api-enroll.c */
api_fn api_enroll, api_renew;

/* api-s3.c */
route_fn api_s3_get, api_s3_head, api_s3_put, api_s3_other;

/* The management API: api-apps.c ... */

/* The command API: api-commands.c */
