/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the hook module: everything that a script has started, where there is no control group to
 * tell. While it runs we are the reaper of all that is below us: who loses its parent becomes our
 * child, whatever session it has made for itself, and not that of init. */
#pragma once

#include "agent/worker/hook-process.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct hook_family {
	pid_t script; /* 0: it does not run (any more) */
	const char *const
		*env; /* the script's: what names another deployment or event is not of it */
	struct hook_process *strangers; /* below us already before it began */
	size_t n_strangers;
	int signal_fd;
	int watch_fd; /* readable: a child of ours has ended, perhaps the script */
	sigset_t mask_before;
	bool begun;
};

/* Before the script is started. hook_family_end() in any case. */
int hook_family_begin(struct hook_family *f, const char *const *env, struct error *err) MUST_CHECK;
/* It has been started; pidfd is its. */
int hook_family_watch(struct hook_family *f, pid_t script, int pidfd, struct error *err) MUST_CHECK;
/* Who ended, and is not the script, must not stay as a zombie: somebody may wait for it to go. */
void hook_family_reap(struct hook_family *f);
/* The script's end has been taken: its number may become somebody else's. */
void hook_family_ended(struct hook_family *f);
/* The words for those that run now; NULL: nobody. Caller frees. */
char *hook_family_names(const struct hook_family *f);
/* SIGTERM to each, up to 5 s, SIGKILL, until there is none. Best effort, with a warning. */
void hook_family_kill(struct hook_family *f);
void hook_family_end(struct hook_family *f);
#define auto_hook_family CLEANUP(hook_family_end)
