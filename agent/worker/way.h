/* SPDX-License-Identifier: Apache-2.0 */
/* Ways through directories that somebody else may change. Whoever owns a directory can put a
 * symbolic link, or another directory that lies in it, in the place of one; root must not write,
 * remove or give away by it what that user could not reach. A directory is closed when only root or
 * the user that we are may change the names in it. */
#pragma once

#include "agent/worker/live.h"
#include "common/error.h"

#include <limits.h>

/* Where path leads once every symbolic link on it is followed, as realpath(): to a directory. A
 * link in a closed directory is trusted, and so is one of ours where the sticky bit guards it; any
 * other may only lead to a directory of the user who could have made it. Returns 0, -EPERM (*err
 * names the link and what is wrong), -ENOTDIR, or another negative errno. */
int way_follow(const char *path, char out[PATH_MAX], struct error *err) MUST_CHECK;

/* A directory by its canonical path, as live_open_dir(), when it is not known by its identity. In a
 * directory that is not closed the next one must belong to the same user, who then only does harm
 * to itself, or have been made since the staging directory was: by a script of the deployment.
 * Returns the descriptor, -ESTALE when somebody may have put it there, or negative errno. */
int way_open(const char *path, const struct live_ident *stage) MUST_CHECK;
/* The same for one step: may fd have been put into dirfd by somebody whom it does not belong to? */
bool way_is_open_to_others(int dirfd, int fd, const struct live_ident *stage);
