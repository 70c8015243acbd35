// SPDX-License-Identifier: Apache-2.0
/* For rogue.sh: slipway-unpack with a parser that an archive has taken over. An entry called
 * "rogue:DEED:WHERE" does the deed in the middle of reading. What it could do it calls an escape,
 * what the kernel refused a refusal; a deed that ends the process says nothing more. */
#include "common/attr.h"
#include "common/cleanup.h"
#include "common/str.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define MARK "rogue:"
#define DESCRIPTORS_MAX 64
#define DIR_FD 5 /* see unpack.c */

static pid_t pid_of(const char *where)
{
	uint64_t pid = 0;
	return str_to_u64(where, &pid) == 0 ? (pid_t)pid : 0;
}

/* Each returns 0 or more when it worked, else -1 with errno. */

static long do_read(const char *where)
{
	return open(where, O_RDONLY | O_CLOEXEC);
}

static long do_list(const char *where)
{
	return open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long do_write(const char *where)
{
	int fd = open(where, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : write(fd, "evil", 4);
}

static long do_create(const char *where)
{
	return open(where, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
}

static long do_truncate(const char *where)
{
	return truncate(where, 0);
}

static long do_unlink(const char *where)
{
	return unlinkat(AT_FDCWD, where, 0);
}

static long do_rename(const char *where)
{
	return renameat(AT_FDCWD, where, DIR_FD, "taken");
}

static long do_link(const char *where)
{
	return linkat(AT_FDCWD, where, DIR_FD, "taken", 0);
}

static long do_climb(const char *where)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "../../../../../../../../../../..%s", where);
	return openat(DIR_FD, path, O_RDWR | O_CLOEXEC);
}

/* Through a link of its own making. */
static long do_through(const char *where)
{
	if (symlinkat(where, DIR_FD, "through") < 0)
		return -1;
	return openat(DIR_FD, "through", O_RDWR | O_CLOEXEC);
}

static long do_setid(const char *where)
{
	return chmod(where, 04755);
}

static long do_setid_open(const char *where)
{
	int fd = open(where, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : fchmod(fd, 04755);
}

static long do_chown(const char *where)
{
	return fchownat(AT_FDCWD, where, 0, 0, AT_SYMLINK_NOFOLLOW);
}

static long do_device(const char *where UNUSED)
{
	return mknodat(DIR_FD, "device", S_IFCHR | 0666, makedev(1, 1));
}

static long do_exec(const char *where)
{
	char *const argv[] = {(char *)where, NULL};
	return execve(where, argv, argv + 1);
}

static long do_exec_memory(const char *where UNUSED)
{
	static const char script[] = "#!/bin/sh\n";
	int fd = memfd_create("program", 0);
	if (fd < 0 || write(fd, script, sizeof(script) - 1) < 0)
		return -1;
	char *const argv[] = {(char *)"program", NULL};
	return execveat(fd, "", argv, argv + 1, AT_EMPTY_PATH);
}

static long do_code(const char *where UNUSED)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	return at == MAP_FAILED ? -1 : 0;
}

static long do_fork(const char *where UNUSED)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid;
}

static long do_thread(const char *where UNUSED)
{
	return syscall(SYS_clone3, NULL, 0) < 0 && errno == EINVAL ? 0 : -1;
}

static long do_kill(const char *where)
{
	return kill(pid_of(where), SIGKILL);
}

static long do_pidfd(const char *where)
{
	return syscall(SYS_pidfd_open, pid_of(where), 0);
}

static long do_owner(const char *where)
{
	return fcntl(DIR_FD, F_SETOWN, pid_of(where));
}

static long do_ptrace(const char *where)
{
	return ptrace(PTRACE_SEIZE, pid_of(where), NULL, NULL);
}

static long do_memory(const char *where)
{
	char byte;
	struct iovec local = {&byte, 1}, remote = {(void *)0x10000, 1};
	return process_vm_readv(pid_of(where), &local, 1, &remote, 1, 0) < 0 && errno == EFAULT
		       ? 0
		       : -1;
}

static long do_proc_memory(const char *where)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%s/mem", where);
	return open(path, O_RDWR | O_CLOEXEC);
}

static long do_inet(const char *where UNUSED)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long do_unix(const char *where UNUSED)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long do_netlink(const char *where UNUSED)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
}

/* A descriptor to the worker, over the socket that it listens to. */
static long do_pass(const char *where UNUSED)
{
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = room,
				 .msg_controllen = sizeof(room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &(int){DIR_FD}, sizeof(int));
	return sendmsg(3, &message, 0);
}

static long do_mount(const char *where)
{
	return mount("none", where, "tmpfs", 0, NULL);
}

static long do_namespace(const char *where UNUSED)
{
	return unshare(CLONE_NEWUSER);
}

static long do_chroot(const char *where UNUSED)
{
	return chroot(".");
}

static long do_key(const char *where UNUSED)
{
	return syscall(SYS_add_key, "user", "rogue", "x", 1, -2);
}

static long do_bpf(const char *where UNUSED)
{
	return syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EINVAL ? 0 : -1;
}

static long do_uring(const char *where UNUSED)
{
	struct io_uring_params parameters = {0};
	return syscall(SYS_io_uring_setup, 1, &parameters);
}

static long do_perf(const char *where UNUSED)
{
	return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) < 0 && errno == EFAULT ? 0 : -1;
}

static long do_become(const char *where UNUSED)
{
	return setresuid(65534, 65534, 65534);
}

static long do_other_abi(const char *where UNUSED)
{
#ifdef __x86_64__
	return syscall(0x40000000 + SYS_getpid);
#else
	return syscall(100000);
#endif
}

/* What the handler of the filter's signal is, nobody may change. */
static long do_handler(const char *where UNUSED)
{
	return signal(SIGSYS, SIG_IGN) == SIG_ERR ? -1 : 0;
}

static long do_much_memory(const char *where UNUSED)
{
	void *at = mmap(NULL, (size_t)4 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	return at == MAP_FAILED ? -1 : 0;
}

static long do_many_files(const char *where UNUSED)
{
	for (unsigned i = 0; i < 2 * DESCRIPTORS_MAX; i++)
		if (openat(DIR_FD, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0)
			return -1;
	return 0;
}

/* A descriptor that is none of the child's own: of the standard ones only /dev/null. */
static long do_inherited(const char *where UNUSED)
{
	struct stat st;
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) == 0 && (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)))
			return fd;
	for (int fd = DIR_FD + 1; fd < DESCRIPTORS_MAX; fd++)
		if (fstat(fd, &st) == 0 && st.st_nlink > 0 && !S_ISDIR(st.st_mode))
			return fd;
	errno = EBADF;
	return -1;
}

static long do_secret(const char *where)
{
	for (char **e = environ; *e; e++)
		if (strstr(*e, where))
			return 0;
	errno = ENOENT;
	return -1;
}

static const struct {
	const char *name;
	long (*act)(const char *where);
} deeds[] = {
	{"read", do_read},
	{"list", do_list},
	{"write", do_write},
	{"create", do_create},
	{"truncate", do_truncate},
	{"unlink", do_unlink},
	{"rename", do_rename},
	{"link", do_link},
	{"climb", do_climb},
	{"through", do_through},
	{"setid", do_setid},
	{"setid-open", do_setid_open},
	{"chown", do_chown},
	{"device", do_device},
	{"exec", do_exec},
	{"exec-memory", do_exec_memory},
	{"code", do_code},
	{"fork", do_fork},
	{"thread", do_thread},
	{"kill", do_kill},
	{"pidfd", do_pidfd},
	{"owner", do_owner},
	{"ptrace", do_ptrace},
	{"memory", do_memory},
	{"proc-memory", do_proc_memory},
	{"inet", do_inet},
	{"unix", do_unix},
	{"netlink", do_netlink},
	{"pass", do_pass},
	{"mount", do_mount},
	{"namespace", do_namespace},
	{"chroot", do_chroot},
	{"key", do_key},
	{"bpf", do_bpf},
	{"uring", do_uring},
	{"perf", do_perf},
	{"become", do_become},
	{"other-abi", do_other_abi},
	{"handler", do_handler},
	{"much-memory", do_much_memory},
	{"many-files", do_many_files},
	{"inherited", do_inherited},
	{"secret", do_secret},
};

static int misbehave(struct archive *a, const char *deed)
{
	size_t len = strcspn(deed, ":");
	for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
		if (strlen(deeds[i].name) != len || strncmp(deeds[i].name, deed, len) != 0)
			continue;
		if (deeds[i].act(deed + len + (deed[len] == ':')) >= 0)
			archive_set_error(a, 0, "ESCAPED by %s", deeds[i].name);
		else
			archive_set_error(a, errno, "refused %s: %s", deeds[i].name,
					  strerror(errno));
		return ARCHIVE_FATAL;
	}
	archive_set_error(a, 0, "no such deed: %s", deed);
	return ARCHIVE_FATAL;
}

int __real_archive_read_next_header(struct archive *a, struct archive_entry **ret);
int __wrap_archive_read_next_header(struct archive *a, struct archive_entry **ret);
int __wrap_archive_read_next_header(struct archive *a, struct archive_entry **ret)
{
	int r = __real_archive_read_next_header(a, ret);
	const char *name = r == ARCHIVE_OK ? archive_entry_pathname(*ret) : NULL;
	if (!name || !str_starts(name, MARK))
		return r;
	return misbehave(a, name + strlen(MARK));
}
