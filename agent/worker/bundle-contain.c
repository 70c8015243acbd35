// SPDX-License-Identifier: Apache-2.0
/* What each step is for:
 *
 *   unshare    no network, not even loopback; no System V IPC with other processes. Who is not root
 *              gets a user namespace first, in which it may do this and the next step
 *   chroot     no reading and no chmod or chown outside of the directory, which Landlock does not
 *              cover
 *   Landlock   the same for reading, writing, creating, renaming; no exec at all; no TCP, and no
 *              signals to other processes (Linux 6.7 and 6.12)
 *   capset     root's other powers (mount, ptrace, modules, chroot itself) are gone
 *   rlimits    no core file with the archive's bytes, an end to loops and to memory
 *   seccomp    no socket, no other process, no exec: see bundle-calls.c
 *
 * Some do the same where it matters, so that one of them may be missing: chroot or Landlock keeps
 * it from other files (root must have chroot, for chown), seccomp or a network namespace with
 * chroot from everything else. With less than that nothing is unpacked.
 *
 * Raw system calls: neither libcap nor a Landlock library is worth a dependency. There is no
 * RLIMIT_FSIZE: it counts the holes of sparse files, and what is really written is counted by the
 * writer. */
#include "agent/worker/bundle-contain.h"

#include "agent/worker/bundle-calls.h"
#include "common/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS_FIRST 3
#define FDS_MAX 8
#define CPU_SECONDS_MAX 3600
#define MEMORY_MAX ((rlim_t)1 << 30)
#define OPEN_FILES_MAX 64

/* Landlock's rights by the ABI that brought them; newer than some kernel headers. */
#define LANDLOCK_ABI1 0x1fffULL         /* bits 0 to 12 */
#define LANDLOCK_REFER (1ULL << 13)     /* ABI 2 */
#define LANDLOCK_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define LANDLOCK_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define LANDLOCK_TCP 3ULL               /* ABI 4: bind, connect */
#define LANDLOCK_SCOPES 3ULL            /* ABI 6: abstract sockets, signals */

/* As of ABI 6; an older kernel is given the part that it knows. */
struct ruleset {
	uint64_t files, network, scopes;
};

static void set_limit(int resource, rlim_t value)
{
	struct rlimit now;
	if (getrlimit(resource, &now) < 0 || now.rlim_max < value)
		return;
	struct rlimit limit = {value, value};
	int r UNUSED = setrlimit(resource, &limit);
}

static void limit_resources(void)
{
	set_limit(RLIMIT_CORE, 0);
	set_limit(RLIMIT_CPU, CPU_SECONDS_MAX);
	set_limit(RLIMIT_NOFILE, OPEN_FILES_MAX);
	set_limit(RLIMIT_MEMLOCK, 0);
	set_limit(RLIMIT_MSGQUEUE, 0);
#ifndef SANITIZERS
	set_limit(RLIMIT_DATA, MEMORY_MAX);
#endif
}

/* Returns the length of what this kernel knows. */
static size_t landlock_ruleset(long abi, struct ruleset *ret)
{
	*ret = (struct ruleset){.files = LANDLOCK_ABI1};
	if (abi >= 2)
		ret->files |= LANDLOCK_REFER;
	if (abi >= 3)
		ret->files |= LANDLOCK_TRUNCATE;
	if (abi >= 4)
		ret->network = LANDLOCK_TCP;
	if (abi >= 5)
		ret->files |= LANDLOCK_IOCTL_DEV;
	if (abi >= 6)
		ret->scopes = LANDLOCK_SCOPES;
	return (abi >= 6 ? 3 : abi >= 4 ? 2 : 1) * sizeof(uint64_t);
}

/* Without ABI 2 links from one directory to another are forbidden altogether; the writer copies
 * then. */
static bool forbid_other_files(int dir_fd)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return false;
	struct ruleset ruleset;
	size_t len = landlock_ruleset(abi, &ruleset);
	long fd = syscall(SYS_landlock_create_ruleset, &ruleset, len, 0);
	if (fd < 0)
		return false;
	struct landlock_path_beneath_attr rule = {
		.allowed_access = ruleset.files &
				  ~((uint64_t)LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_IOCTL_DEV),
		.parent_fd = dir_fd};
	bool done = syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0 &&
		    syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	close((int)fd);
	return done;
}

static bool change_root(int dir_fd)
{
	return fchdir(dir_fd) == 0 && chroot(".") == 0;
}

/* 64-bit capability sets, as two halves in the kernel's interface. */
static void keep_capabilities(uint64_t keep)
{
	for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (!(keep >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	if (syscall(SYS_capget, &header, data) < 0)
		return;
	for (unsigned half = 0; half < 2; half++) {
		uint32_t mask = (uint32_t)(keep >> (32 * half));
		data[half].permitted &= mask;
		data[half].effective = data[half].permitted;
		data[half].inheritable = 0;
	}
	syscall(SYS_capset, &header, data);
}

/* In a user namespace this process is nobody in particular to itself, and to the kernel's checks of
 * files the user that it was. */
static bool leave_network(void)
{
	int r UNUSED = geteuid() == 0 ? 0 : unshare(CLONE_NEWUSER);
	r = unshare(CLONE_NEWIPC);
	return unshare(CLONE_NEWNET) == 0;
}

int bundle_contain(int dir_fd, bool devices, struct error *err)
{
	uint64_t keep = 1ULL << CAP_CHOWN | 1ULL << CAP_FOWNER | 1ULL << CAP_DAC_OVERRIDE |
			1ULL << CAP_FSETID;
	if (devices)
		keep |= 1ULL << CAP_MKNOD;
	bool root = geteuid() == 0;
	if (!root)
		keep = 0;
	bool no_network = leave_network();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	limit_resources();
	bool own_root = change_root(dir_fd);
	bool landlock = forbid_other_files(dir_fd);
	keep_capabilities(keep);
	/* capset makes the process undumpable and forgets this */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	int r = bundle_calls_limit(devices);
	if (r < 0 && (r != -EOPNOTSUPP || !own_root || !no_network))
		return error_set(err, r,
				 "the process that unpacks bundles cannot be shut in: no seccomp "
				 "filter (%s), and no chroot with a network namespace in its place",
				 strerror(-r));
	if (!own_root && (root || !landlock))
		return error_set(err, -EOPNOTSUPP,
				 "the process that unpacks bundles cannot be shut in: %s",
				 root ? "chroot is not possible here (it needs CAP_SYS_CHROOT)"
				      : "neither Landlock (Linux 5.13) nor a user namespace is "
					"possible here");
	return 0;
}

int bundle_contain_fds(int *fds[], unsigned n)
{
	if (n > FDS_MAX)
		return -EINVAL;
	/* first out of the way, so that no target is a source */
	for (unsigned i = 0; i < n; i++) {
		*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, FDS_FIRST + FDS_MAX);
		if (*fds[i] < 0)
			return -errno;
	}
	for (unsigned i = 0; i < n; i++) {
		*fds[i] = dup3(*fds[i], (int)(FDS_FIRST + i), O_CLOEXEC);
		if (*fds[i] < 0)
			return -errno;
	}
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -errno;
#ifndef SANITIZERS
	/* the journal is behind it */
	if (dup2(null, STDERR_FILENO) < 0)
		return -errno;
#endif
	return close_range(FDS_FIRST + n, ~0U, 0) < 0 ? -errno : 0;
}
