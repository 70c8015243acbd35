/* SPDX-License-Identifier: Apache-2.0 */
/* What the official layout keeps below deployment-root for tools of the host: which deployments
 * have a command running, what is installed and was downloaded last, instructions and clean-up
 * list. Slipway reads none of it. So nothing here fails a deployment (a warning says what is
 * missing), every file is replaced by a rename, nothing is synced of its own, and recovery writes
 * again what a crash may have lost. Format: docs/formats/host.md. */
#pragma once

#include "agent/worker/group.h"

#include <stdbool.h>

/* Is that one of the names that it has beside the groups? */
bool layout_is_taken(const char *name);
/* Modes below root_dir, as restrict_agent_dir_permissions has it: what is only passed through, what
 * is for tools, and their files. */
mode_t layout_mode_way(const struct run *run);
mode_t layout_mode_tools(const struct run *run);
mode_t layout_mode_file(const struct run *run);
/* An existing directory follows that option, too. */
void layout_heal(const struct run *run, int dirfd);
/* A directory that has the other mode gets this one. */
void layout_heal_to(int dirfd, mode_t wanted, mode_t other);

/* The open deployment's command runs, or none of it does. */
void layout_track(struct group *g);
/* The pointer files, where they are not what state says. */
void layout_write_pointers(struct group *g);
/* Instructions and clean-up list of what is in place now. */
void layout_write_instructions(struct group *g);
/* All of it, after a crash. */
void layout_repair(struct group *g);

/* For layout.c and instructions.c: open deployment-instructions, made when missing; below 0 with a
 * warning. */
int layout_open_instructions(struct group *g);
