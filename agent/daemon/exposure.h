/* SPDX-License-Identifier: Apache-2.0 */
/* Files that hold a secret and that others than they should may read. */
#pragma once

#include "agent/identity.h"
#include "agent/settings.h"

#include <sys/types.h>

/* A warning where a file with a secret has a mode that is too wide. wide: the bits that it must not
 * have; to: the mode that is right. */
void exposure_check(const char *path, const char *secret, mode_t wide, mode_t to);

/* One warning for each of them: the host's key, and agent.yml where the proxy has a password.
 * identity may be NULL. */
void exposure_warn(const struct paths *paths, const struct settings *settings,
		   const struct identity *identity);
