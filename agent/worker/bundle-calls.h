/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: which system calls the process that looks at hostile bytes may make. */
#pragma once

#include "common/attr.h"

#include <stdbool.h>

/* From here on this process makes only the calls that unpacking needs. One that only an attack
 * makes (a socket, another process, a mount, ...) is not made: the process ends, and its exit
 * status names the call. All others fail with ENOSYS, as on an older kernel. devices: device nodes
 * may be made. Needs no_new_privs. Returns 0, -EOPNOTSUPP where kernel or architecture has no
 * filters, or negative errno. */
int bundle_calls_limit(bool devices) MUST_CHECK;

/* The call that a wait status tells of; NULL: none. */
const char *bundle_calls_caught(int status);
