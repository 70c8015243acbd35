// SPDX-License-Identifier: Apache-2.0
/* What each step is for:
 *
 *   unshare    no network, not even loopback; no System V IPC with other processes
 *   Landlock   no writing, creating, renaming outside of the directory; no exec at all
 *   chroot     no reading and no chmod or chown outside either, which Landlock does not cover
 *   capset     root's other powers (mount, ptrace, modules, chroot itself) are gone
 *   rlimits    no core file with the archive's bytes, an end to loops and to memory
 *
 * Raw system calls: neither libcap nor a Landlock library is worth a dependency. There is no
 * RLIMIT_FSIZE: it counts the holes of sparse files, and what is really written is counted by the
 * writer. */
#include "agent/worker/bundle-contain.h"

#include "common/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
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
#define LANDLOCK_ABI1 0x1fffULL /* bits 0 to 12 */
#define LANDLOCK_READ ((1ULL << 2) | (1ULL << 3))
#define LANDLOCK_REFER (1ULL << 13)     /* ABI 2 */
#define LANDLOCK_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define LANDLOCK_IOCTL_DEV (1ULL << 15) /* ABI 5 */

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
#ifndef SANITIZERS
	set_limit(RLIMIT_DATA, MEMORY_MAX);
#endif
}

static uint64_t landlock_rights(long abi)
{
	uint64_t rights = LANDLOCK_ABI1;
	if (abi >= 2)
		rights |= LANDLOCK_REFER;
	if (abi >= 3)
		rights |= LANDLOCK_TRUNCATE;
	if (abi >= 5)
		rights |= LANDLOCK_IOCTL_DEV;
	return rights & ~LANDLOCK_READ;
}

/* Without ABI 2 links from one directory to another are forbidden altogether; the writer copies
 * then. */
static void forbid_writing_elsewhere(int dir_fd)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return;
	struct landlock_ruleset_attr ruleset = {.handled_access_fs = landlock_rights(abi)};
	long fd = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset.handled_access_fs),
			  0);
	if (fd < 0)
		return;
	struct landlock_path_beneath_attr rule = {
		.allowed_access = ruleset.handled_access_fs &
				  ~((uint64_t)LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_IOCTL_DEV),
		.parent_fd = dir_fd};
	if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0)
		syscall(SYS_landlock_restrict_self, fd, 0);
	close((int)fd);
}

static void change_root(int dir_fd)
{
	int r UNUSED = fchdir(dir_fd);
	if (r == 0)
		r = chroot(".");
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

void bundle_contain(int dir_fd, bool devices)
{
	uint64_t keep = 1ULL << CAP_CHOWN | 1ULL << CAP_FOWNER | 1ULL << CAP_DAC_OVERRIDE |
			1ULL << CAP_FSETID;
	if (devices)
		keep |= 1ULL << CAP_MKNOD;
	int r UNUSED = unshare(CLONE_NEWNET);
	r = unshare(CLONE_NEWIPC);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	limit_resources();
	change_root(dir_fd);
	forbid_writing_elsewhere(dir_fd);
	keep_capabilities(keep);
	/* capset makes the process undumpable and forgets this */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
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
	return close_range(FDS_FIRST + n, ~0U, 0) < 0 ? -errno : 0;
}
