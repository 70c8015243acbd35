/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker notes of its scripts in the group's directory, for the worker that comes after it
 * if it is killed. Formats: docs/formats/state.md. */
#pragma once

#include "agent/worker/hook.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The script that runs now, or ran last. */
struct hook_note {
	char *boot;       /* the boot that it runs in */
	char *deployment; /* under which it runs */
	char *step;       /* "AfterInstall", "Rollback: AfterInstall" */
	char *unit;       /* NULL: a process of ours */
	char *script;     /* as in the AppSpec; NULL: an older worker's note */
	char *log_before; /* as hook_request has it */
	char *left;       /* what the step's scripts have left running so far; NULL: nothing */
	char *told;      /* the deployment that it is told, when that is another; NULL: it is not */
	unsigned index;  /* of the script in its event, from 0 */
	unsigned number; /* of the script in its deployment */
	pid_t pid;       /* of a process of ours, 0: none */
	uint64_t start_time;
	bool started; /* PID 1 has taken the order */
	bool ended;   /* then result is what there is to know */
	struct hook_result result;
};
void hook_note_clear(struct hook_note *note);
#define auto_hook_note CLEANUP(hook_note_clear)

/* A new one, of this boot. Strings are copied. */
void hook_note_init(struct hook_note *note, const char *deployment, const char *step);
/* Durable, when it is of a unit: the next worker relies on it. */
int hook_note_save(int group_fd, const struct hook_note *note, struct error *err) MUST_CHECK;
/* Returns false when there is none that can be read, or it is of an earlier boot. */
bool hook_note_load(int group_fd, struct hook_note *ret);
void hook_note_remove(int group_fd);

/* How far its output has been copied, readable and writable, empty or as it was left (keep). -1: it
 * cannot be had. */
int hook_note_open_marks(int group_fd, bool keep);

/* Where there are no units: sessions that scripts have left running. */
void hook_left_add(int group_fd, const struct hook_note *note);
/* Stop those of the deployment (NULL: all), on the host with that destination_root. */
void hook_left_stop(int group_fd, const struct hook_whose *whose);
/* Forget those that have ended. */
void hook_left_tidy(int group_fd, const char *root);
