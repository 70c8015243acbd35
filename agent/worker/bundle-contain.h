/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the bundle module: shut this process in, before it looks at a byte of an archive. */
#pragma once

#include <stdbool.h>

/* From here on the process sees no file but what is below dir_fd, has no network, no IPC with
 * others, no privilege beyond handling owners and modes, and dies with its parent. Takes every step
 * that kernel and privilege allow; where one is missing it goes on, for the unpacking itself is
 * confined to dir_fd by openat2 anyway. devices: keep the right to make device nodes. */
void bundle_contain(int dir_fd, bool devices);

/* Close every descriptor but the n given, which become 3, 4, ... in their order, and standard
 * error. Returns 0 or negative errno. */
int bundle_contain_fds(int *fds[], unsigned n);
