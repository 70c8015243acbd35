/* SPDX-License-Identifier: Apache-2.0 */
/* Takes from the bundle store what nobody needs any more: files in the store's list of garbage,
 * parts that no upload knows, uploads that were never completed. */
#pragma once

#include "common/error.h"

struct control;
struct keeper;

/* Looks at once, and then every hour. */
int keeper_start(struct control *control, struct keeper **ret, struct error *err) MUST_CHECK;
/* There is garbage: look soon, once the turn's changes are durable. */
void keeper_wake(struct keeper *keeper);
void keeper_stop(struct keeper *keeper); /* accepts NULL */
