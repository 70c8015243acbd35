// SPDX-License-Identifier: Apache-2.0
/* A seccomp filter of our own: libseccomp would be one more library in a process that is to have
 * few, for what two tables say here.
 *
 *   allowed     what libarchive, zlib, libc and the writer call, on any of the architectures
 *   rules       calls of which one argument decides
 *   forbidden   what only an attack calls: SIGSYS, and the handler's exit status tells which row
 *   the rest    ENOSYS: a newer libc falls back to what it did before
 *
 * The handler runs nothing but a search and _exit; if an attack replaced it (rt_sigaction is not
 * allowed), the call would still not be made. A call of another architecture or ABI (x32, int 0x80)
 * kills the process at once. */
#include "agent/worker/bundle-calls.h"

#include "common/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__) && defined(__LP64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#endif

#define STATUS_FIRST 64  /* exit statuses of forbidden calls: this and their row */
#define NUMBERS_MAX 1024 /* x86-64: calls of the x32 ABI are beyond */

/* Those that are made most come first. */
static const int allowed[] = {
	SYS_read,
	SYS_write,
	SYS_pwrite64,
	SYS_openat,
	SYS_openat2,
	SYS_close,
	SYS_utimensat,
	SYS_fchown,
	SYS_fchownat,
	SYS_fchmod,
	SYS_mkdirat,
	SYS_symlinkat,
	SYS_linkat,
	SYS_unlinkat,
	SYS_ftruncate,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_fstatfs,
	SYS_lseek,
	SYS_pread64,
	SYS_readv,
	SYS_writev,
	SYS_sync_file_range,
	SYS_copy_file_range,
	SYS_fallocate,
	SYS_fadvise64,
	SYS_readlinkat,
	SYS_umask,
	SYS_dup,
	SYS_sendto,
	SYS_recvfrom,
	SYS_munmap,
	SYS_mremap,
	SYS_brk,
	SYS_madvise,
	SYS_futex,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sigaltstack,
	SYS_restart_syscall,
	SYS_exit,
	SYS_exit_group,
	SYS_getpid,
	SYS_gettid,
	SYS_getppid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	SYS_clock_gettime,
	SYS_gettimeofday,
	SYS_getrandom,
	SYS_uname,
	SYS_sysinfo,
	SYS_sched_yield,
	SYS_sched_getaffinity,
#ifdef SYS_time
	SYS_time,
#endif
};

#define CALL(name)                \
	{                         \
		SYS_##name, #name \
	}

static const struct forbidden {
	int number;
	const char *name;
} forbidden[] = {
	/* network */
	CALL(socket),
	CALL(socketpair),
	CALL(connect),
	CALL(bind),
	CALL(listen),
	CALL(accept),
	CALL(accept4),
	CALL(sendmsg),
	CALL(sendmmsg),
	CALL(recvmsg),
	CALL(recvmmsg),
	CALL(setsockopt),
	/* other programs and processes */
	CALL(execve),
	CALL(execveat),
	CALL(clone),
#ifdef SYS_clone3
	CALL(clone3),
#endif
#ifdef SYS_fork
	CALL(fork),
	CALL(vfork),
#endif
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(kill),
	CALL(tkill),
	CALL(tgkill),
	CALL(rt_sigqueueinfo),
	CALL(rt_tgsigqueueinfo),
#ifdef SYS_pidfd_open
	CALL(pidfd_open),
	CALL(pidfd_send_signal),
#endif
#ifdef SYS_pidfd_getfd
	CALL(pidfd_getfd),
#endif
#ifdef SYS_process_madvise
	CALL(process_madvise),
#endif
	CALL(kcmp),
	CALL(setpriority),
	CALL(sched_setaffinity),
	CALL(sched_setscheduler),
	/* code that was not in the program */
	CALL(mmap),
	CALL(mprotect),
	CALL(pkey_mprotect),
	CALL(personality),
	/* another view of the file system, and files without a way through it */
	CALL(mount),
	CALL(umount2),
	CALL(pivot_root),
	CALL(chroot),
	CALL(unshare),
	CALL(setns),
#ifdef SYS_open_tree
	CALL(open_tree),
	CALL(move_mount),
	CALL(fsopen),
	CALL(fsconfig),
	CALL(fsmount),
	CALL(fspick),
#endif
#ifdef SYS_mount_setattr
	CALL(mount_setattr),
#endif
	CALL(open_by_handle_at),
	CALL(name_to_handle_at),
	CALL(swapon),
	CALL(swapoff),
	CALL(quotactl),
	CALL(mknodat),
	/* modes by name: the writer changes only what it has open */
	CALL(fchmodat),
#ifdef SYS_fchmodat2
	CALL(fchmodat2),
#endif
#ifdef SYS_chmod
	CALL(chmod),
	CALL(chown),
	CALL(lchown),
	CALL(mknod),
#endif
	/* who this is */
	CALL(setuid),
	CALL(setgid),
	CALL(setreuid),
	CALL(setregid),
	CALL(setresuid),
	CALL(setresgid),
	CALL(setgroups),
	CALL(setfsuid),
	CALL(setfsgid),
	CALL(capset),
	/* the kernel itself */
	CALL(add_key),
	CALL(request_key),
	CALL(keyctl),
	CALL(bpf),
	CALL(perf_event_open),
	CALL(userfaultfd),
#ifdef SYS_io_uring_setup
	CALL(io_uring_setup),
	CALL(io_uring_enter),
	CALL(io_uring_register),
#endif
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(kexec_load),
	CALL(reboot),
	CALL(syslog),
	CALL(acct),
	CALL(settimeofday),
	CALL(clock_settime),
	CALL(adjtimex),
	CALL(clock_adjtime),
	CALL(sethostname),
	CALL(setdomainname),
#ifdef SYS_iopl
	CALL(iopl),
	CALL(ioperm),
	CALL(modify_ldt),
#endif
};

_Static_assert(STATUS_FIRST + ARRAY_LEN(forbidden) < 256, "an exit status has a byte");

static const struct forbidden *row_of(int number)
{
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		if (forbidden[i].number == number)
			return &forbidden[i];
	return NULL;
}

const char *bundle_calls_caught(int status)
{
	size_t row = WIFEXITED(status) ? (size_t)WEXITSTATUS(status) : 0;
	if (row < STATUS_FIRST || row - STATUS_FIRST >= ARRAY_LEN(forbidden))
		return NULL;
	return forbidden[row - STATUS_FIRST].name;
}

#ifdef ARCHITECTURE
static void tell_and_end(int signal UNUSED, siginfo_t *info, void *context UNUSED)
{
	const struct forbidden *row = row_of(info->si_syscall);
	_exit(row ? STATUS_FIRST + (int)(row - forbidden) : 1);
}

#define TELL SECCOMP_RET_TRAP
#define FAIL(code) (SECCOMP_RET_ERRNO | (code))

/* If the argument passes the test: hit, else miss; a miss of 0 leaves it to the next row. */
struct rule {
	int number;
	unsigned argument;
	uint16_t test; /* BPF_JEQ: is it the value? BPF_JSET: has it one of these bits? */
	uint32_t value;
	uint32_t hit, miss;
};

struct filter {
	struct sock_filter code[1024];
	unsigned short len;
};

static void add(struct filter *f, struct sock_filter statement)
{
	if (f->len < ARRAY_LEN(f->code))
		f->code[f->len++] = statement;
}

static void load(struct filter *f, size_t offset)
{
	add(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void end(struct filter *f, uint32_t verdict)
{
	add(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

/* Otherwise skip that many statements. */
static void test(struct filter *f, uint16_t how, uint32_t value, uint8_t skip)
{
	add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | how | BPF_K, value, 0, skip));
}

static void add_call(struct filter *f, int number, uint32_t verdict)
{
	test(f, BPF_JEQ, (uint32_t)number, 1);
	end(f, verdict);
}

/* Arguments are looked at by their lower half, which these calls alone read. */
static void add_rule(struct filter *f, const struct rule *rule)
{
	test(f, BPF_JEQ, (uint32_t)rule->number, 4);
	load(f, offsetof(struct seccomp_data, args) + rule->argument * sizeof(uint64_t));
	test(f, rule->test, rule->value, 1);
	end(f, rule->hit);
	if (rule->miss)
		end(f, rule->miss);
	else
		load(f, offsetof(struct seccomp_data, nr));
}

static void make_filter(struct filter *f, bool devices)
{
	const struct rule rules[] = {
		{SYS_mmap, 2, BPF_JSET, PROT_EXEC, TELL, SECCOMP_RET_ALLOW},
		{SYS_mprotect, 2, BPF_JSET, PROT_EXEC, TELL, SECCOMP_RET_ALLOW},
		{SYS_ioctl, 1, BPF_JEQ, (uint32_t)FICLONE, SECCOMP_RET_ALLOW, FAIL(ENOTTY)},
		/* F_SETOWN would send signals to others */
		{SYS_fcntl, 1, BPF_JEQ, F_GETFL, SECCOMP_RET_ALLOW, 0},
		{SYS_fcntl, 1, BPF_JEQ, F_GETFD, SECCOMP_RET_ALLOW, 0},
		{SYS_fcntl, 1, BPF_JEQ, F_SETFD, SECCOMP_RET_ALLOW, 0},
		{SYS_fcntl, 1, BPF_JEQ, F_DUPFD_CLOEXEC, SECCOMP_RET_ALLOW, FAIL(EINVAL)},
		/* what abort() does */
		{SYS_tgkill, 0, BPF_JEQ, (uint32_t)getpid(), SECCOMP_RET_ALLOW, TELL},
	};
	load(f, offsetof(struct seccomp_data, arch));
	add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
	end(f, SECCOMP_RET_KILL_PROCESS);
	load(f, offsetof(struct seccomp_data, nr));
	test(f, BPF_JGE, NUMBERS_MAX, 1);
	end(f, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		add_call(f, allowed[i], SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		add_rule(f, &rules[i]);
	if (devices)
		add_call(f, SYS_mknodat, SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		add_call(f, forbidden[i].number, TELL);
	end(f, FAIL(ENOSYS));
}

int bundle_calls_limit(bool devices)
{
	struct filter f = {.len = 0};
	make_filter(&f, devices);
	const struct sock_fprog program = {.len = f.len, .filter = f.code};
	struct sigaction action = {.sa_flags = SA_SIGINFO, .sa_sigaction = tell_and_end};
	if (sigaction(SIGSYS, &action, NULL) < 0)
		return -errno;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0)
		return 0;
	return errno == EINVAL || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}
#else
int bundle_calls_limit(bool devices UNUSED)
{
	return -EOPNOTSUPP;
}
#endif
