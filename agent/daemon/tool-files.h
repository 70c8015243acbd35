/* SPDX-License-Identifier: Apache-2.0 */
/* Files that tools written for the official agent look at: PROGRAM.log in log_dir and PROGRAM.pid
 * in pid_dir of agent.yml. Slipway reads neither. */
#pragma once

#include "agent/settings.h"

struct tool_files;

/* As the settings have it, which are borrowed for the call; what cannot be written is warned about
 * and left out. old (may be NULL) is taken over: what the settings do not name any more is closed,
 * and a process id that is ours removed. */
struct tool_files *tool_files_open(const struct settings *settings, struct tool_files *old);
/* Closes the log, removes the process id. NULL: nothing. */
void tool_files_free(struct tool_files *files);
