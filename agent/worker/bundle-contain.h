/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: shut this process in, before it looks at a byte of an archive. */
#pragma once

#include "common/error.h"

#include <stdbool.h>

/* From here on the process sees no file but what is below dir_fd, has no network, no IPC with
 * others, no privilege beyond handling owners and modes, makes only the calls that unpacking needs,
 * and dies with its parent. devices: keep the right to make device nodes. Returns 0, or -EOPNOTSUPP
 * where kernel and privilege do not allow enough of that: then nothing may be unpacked. */
int bundle_contain(int dir_fd, bool devices, struct error *err) MUST_CHECK;

/* Close every descriptor but the n given, which become 3, 4, ... in their order; standard input,
 * output and error lead nowhere. Returns 0 or negative errno. */
int bundle_contain_fds(int *fds[], unsigned n);
