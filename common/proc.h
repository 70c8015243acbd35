/* SPDX-License-Identifier: Apache-2.0 */
/* Start a program: descriptors, user, limits, environment given in full; nothing is inherited by
 * accident. */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_spec {
	const char *path;         /* executable; no PATH search, no shell */
	const char *const *argv;  /* NULL-terminated; NULL: just path */
	const char *const *env;   /* NULL-terminated "K=V"; NULL: the caller's own environment */
	const char *cwd;          /* NULL: stay */
	int cwd_fd;               /* used when cwd is NULL and this is > 0 */
	int stdin_fd;             /* -1: /dev/null */
	int stdout_fd, stderr_fd; /* -1: inherited */
	const int *fds; /* become descriptors 3, 4, ... of the program; all others are closed */
	unsigned n_fds;
	const char *user; /* NULL: stay; else uid, gid and supplementary groups of this account */
	bool new_session; /* setsid */
	mode_t umask;     /* 0: 0022 */
	int nice;         /* 0: the caller's; one that it may not have is not taken */
	/* Called between fork and exec, in the caller's process; the child waits for it, and ends
	 * when the caller dies in it: so a program that was noted here never runs without the note.
	 * May be NULL. */
	void (*on_fork)(pid_t pid, void *arg);
	void *arg;
};

/* fork + exec. Returns the pid, or below 0 with the reason, also for what failed between fork and
 * exec (user, cwd, exec). The child's signal mask and dispositions are the defaults. */
pid_t proc_start(const struct proc_spec *spec, struct error *err) MUST_CHECK;

/* Whether this process may leave a core dump, which holds its secrets, and be traced by its own
 * user. What it starts may again. */
void proc_allow_core_dumps(bool allow);

/* Which boot of this machine, or start of this container, it is: a PID means nothing in another
 * one. The kernel's boot id, and "+TICKS", when process 1 started, where that may be looked at. ""
 * when the kernel does not tell. Caller frees. */
char *proc_boot_id(void);
/* Of two such texts; what only one of them tells does not count. */
bool proc_same_boot(const char *a, const char *b);

/* When that process started, in clock ticks of the kernel. 0: it is not there. */
uint64_t proc_start_ticks(pid_t pid);
/* When that process started, Unix time, as the clock is set now. 0: it is not there. */
double proc_started(pid_t pid);

/* How a child ended. */
struct proc_end {
	bool timed_out;
	int exit_code; /* -1 when a signal ended it */
	int signal;    /* 0 when it exited */
	bool core;
	double cpu_s; /* user + system of it and its waited-for children, from wait4 */
	uint64_t max_rss_kib;
};

/* Wait for pid. timeout_ms 0: without limit. At the limit: SIGTERM, 5 s, SIGKILL to its process
 * group when group, and everything still in the group is killed too. Uses a pidfd, no signals, no
 * loop. */
int proc_wait(pid_t pid, uint64_t timeout_ms, bool group, struct proc_end *ret,
	      struct error *err) MUST_CHECK;
