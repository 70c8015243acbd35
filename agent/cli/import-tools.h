/* SPDX-License-Identifier: Apache-2.0 */
/* log_dir and pid_dir of the official agent, which belong to root: slipwayd, which is not, is to go
 * on writing there for the tools that look there. */
#pragma once

#include "agent/settings.h"
#include "common/buf.h"

#include <sys/types.h>

/* The official agent's own directories are given to slipwayd's user, as far as they are root's.
 * Others may be shared: what a person has to do for them is added to advice. Best effort. Without
 * such a user, and below another root, nothing. */
void import_tools_give(const struct paths *paths, const struct settings *settings,
		       struct buf *advice);
/* They are root's again. */
void import_tools_take_back(const struct paths *paths);

/* For the former: a directory, and the log in it, from one owner to another; anything that is not
 * from's stays. Returns 0 or negative errno. */
int import_tools_hand_over(const char *dir, const char *log, uid_t from, uid_t to, gid_t to_group);
