/* SPDX-License-Identifier: Apache-2.0 */
/* The host's certificate renews itself at two thirds of its life, in a process of its own
 * (slipwayd --renew), because that blocks. */
#pragma once

#include "agent/daemon/daemon.h"

struct renew;
struct renew *renew_new(struct daemon *daemon);
void renew_free(struct renew *renew);
/* Another certificate is on disk: read its dates. */
void renew_load(struct renew *renew);
/* Renew if it is time; called when the endpoint has just answered, so it needs no timer. */
void renew_check(struct renew *renew);
int64_t renew_expires_s(const struct renew *renew); /* Unix time; 0: unknown */
int64_t renew_due_s(const struct renew *renew);
const char *renew_problem(const struct renew *renew); /* "" when all is well */

/* When a certificate of that life is to be renewed. Pure. */
int64_t renew_time(int64_t not_before_s, int64_t not_after_s);
/* What "slipwayd --renew" does. */
int renew_main(const char *root, struct error *err) MUST_CHECK;
