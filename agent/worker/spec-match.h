/* SPDX-License-Identifier: Apache-2.0 */
/* Which objects an entry of 'permissions' applies to: rules in the reference "appspec", section 5.
 */
#pragma once

#include "agent/worker/spec.h"

/* Is path below object? *ret_rel: what follows, borrowed. Both absolute and normalised. */
bool spec_match_below(const char *path, const char *object, const char **ret_rel);

/* kind: what object is: 'f' exactly that file or symlink, 'd' a directory, 0: the entry applies to
 * nothing. object: canonical. type of path: 'f' 'd' 'l'. */
bool spec_match(const struct spec_permission *permission, char kind, const char *object,
		const char *path, char type);
