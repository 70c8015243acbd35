/* SPDX-License-Identifier: Apache-2.0 */
/* One stored copy of what two kept revisions have in common, where the file system shares blocks.
 */
#pragma once

/* Files of the same name, size (16 KiB and more) and content in the two unpacked revisions share
 * their blocks from now on, as many as are done in ten seconds. The kernel compares and shares in
 * one step, nothing else of a file changes, times included; so it may end at any point. What
 * archive_fd holds must be synced, or each file is written out on its own. Best effort. */
void share_unchanged(int archive_fd, int earlier_fd);
