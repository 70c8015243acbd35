// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"
#include "common/proc.h"
#include "tests/unit/tempdir.h"

#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A shell command with its output in the file "out". */
static struct proc_spec shell(const struct tempdir *dir, const char *const argv[], int *ret_fd)
{
	*ret_fd = openat(dir->fd, "out", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(*ret_fd >= 0);
	return (struct proc_spec){.path = "/bin/sh",
				  .argv = argv,
				  .stdin_fd = -1,
				  .stdout_fd = *ret_fd,
				  .stderr_fd = *ret_fd};
}

static void run(const struct proc_spec *spec, struct proc_end *end)
{
	struct error err = {0};
	pid_t pid = proc_start(spec, &err);
	if (pid < 0)
		fail_msg("%s", err.text);
	if (proc_wait(pid, 20000, false, end, &err) < 0)
		fail_msg("%s", err.text);
}

static void a_program_runs_with_exactly_its_arguments_and_environment(void **state)
{
	struct tempdir *dir = *state;
	const char *const argv[] = {"sh", "-c", "echo \"$1|$A|$HOME\"; exit 7", "sh", "x y", NULL};
	const char *const env[] = {"A=b c", NULL};
	auto_close int out = -1;
	struct proc_spec spec = shell(dir, argv, &out);
	spec.env = env;
	struct proc_end end;
	run(&spec, &end);
	assert_int_equal(end.exit_code, 7);
	assert_int_equal(end.signal, 0);
	assert_false(end.timed_out);
	auto_free char *text = tempdir_read(dir, "out");
	assert_string_equal(text, "x y|b c|\n");
}

static void given_descriptors_start_at_3_and_no_other_is_left(void **state)
{
	struct tempdir *dir = *state;
	const char *const argv[] = {
		"sh", "-c", "echo three >&3; echo four >&4; ls /proc/self/fd | tr '\\n' ' '", NULL};
	auto_close int out = -1;
	auto_close int leak = open("/dev/null", O_RDONLY); /* inheritable, on purpose */
	auto_close int one = openat(dir->fd, "one", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	auto_close int two = openat(dir->fd, "two", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	const int fds[] = {two, one};
	struct proc_spec spec = shell(dir, argv, &out);
	spec.fds = fds;
	spec.n_fds = 2;
	struct proc_end end;
	run(&spec, &end);
	assert_true(leak > 0);
	auto_free char *text = tempdir_read(dir, "out");
	/* 5 is ls's own view of the directory */
	assert_string_equal(text, "0 1 2 3 4 5 ");
	auto_free char *three = tempdir_read(dir, "two");
	assert_string_equal(three, "three\n");
	auto_free char *four = tempdir_read(dir, "one");
	assert_string_equal(four, "four\n");
}

/* The sources lie exactly where others have to go. */
static void crossed_descriptors_do_not_overwrite_each_other(void **state)
{
	struct tempdir *dir = *state;
	const char *const argv[] = {"sh", "-c", "echo a >&3; echo b >&4", NULL};
	auto_close int out = -1;
	struct proc_spec spec = shell(dir, argv, &out);
	auto_close int a = openat(dir->fd, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	auto_close int b = openat(dir->fd, "b", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int high_a = fcntl(a, F_DUPFD, 20), high_b = fcntl(b, F_DUPFD, 20);
		dup2(high_a, 4);
		dup2(high_b, 3);
		const int fds[] = {4, 3};
		spec.fds = fds;
		spec.n_fds = 2;
		spec.stdout_fd = spec.stderr_fd = -1;
		struct proc_end end = {.exit_code = -1};
		pid_t child = proc_start(&spec, NULL);
		int r = child > 0 ? proc_wait(child, 20000, false, &end, NULL) : -1;
		_exit(r == 0 && end.exit_code == 0 ? 0 : 1);
	}
	struct proc_end end;
	assert_int_equal(proc_wait(pid, 20000, false, &end, NULL), 0);
	assert_int_equal(end.exit_code, 0);
	auto_free char *text_a = tempdir_read(dir, "a");
	auto_free char *text_b = tempdir_read(dir, "b");
	assert_string_equal(text_a, "a\n");
	assert_string_equal(text_b, "b\n");
}

static void what_fails_before_exec_comes_back_in_words(void **state)
{
	struct tempdir *dir = *state;
	struct error err = {0};
	auto_free char *missing = fs_join(dir->path, "missing");
	struct proc_spec spec = {.path = missing, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	assert_int_equal(proc_start(&spec, &err), -ENOENT);
	assert_non_null(strstr(err.text, "missing': No such file"));
	tempdir_write(dir, "text", "no program");
	auto_free char *text = fs_join(dir->path, "text");
	spec.path = text;
	assert_int_equal(proc_start(&spec, &err), -EACCES);
	spec.path = "/bin/sh";
	spec.cwd = missing;
	assert_int_equal(proc_start(&spec, &err), -ENOENT);
	assert_non_null(strstr(err.text, "enter directory"));
	spec.cwd = NULL;
	spec.user = "no-such-user-here";
	assert_int_equal(proc_start(&spec, &err), -ENOENT);
	assert_string_equal(err.text, "there is no user 'no-such-user-here' on this host");
}

static void directory_umask_and_session_are_as_asked(void **state)
{
	struct tempdir *dir = *state;
	const char *const argv[] = {
		"sh", "-c", "pwd; umask; [ \"$(ps -o sid= -p $$ | tr -d ' ')\" = $$ ] && echo own",
		NULL};
	auto_close int out = -1;
	struct proc_spec spec = shell(dir, argv, &out);
	spec.cwd_fd = dir->fd;
	spec.umask = 0027;
	spec.new_session = true;
	struct proc_end end;
	run(&spec, &end);
	auto_free char *text = tempdir_read(dir, "out");
	auto_free char *expected = xasprintf("%s\n0027\nown\n", dir->path);
	assert_string_equal(text, expected);
}

static void signals_are_back_to_their_defaults(void **state)
{
	struct tempdir *dir = *state;
	const char *const argv[] = {"sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status", NULL};
	auto_close int out = -1;
	struct proc_spec spec = shell(dir, argv, &out);
	sigset_t set, old;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	struct proc_end end;
	run(&spec, &end);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	auto_free char *text = tempdir_read(dir, "out");
	unsigned long blocked, ignored;
	assert_int_equal(sscanf(text, "SigBlk:\t%lx\nSigIgn:\t%lx\n", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0);
	/* 32 and 33 are libc's own, which lets nobody change them */
	assert_int_equal(ignored & ~0x180000000UL, 0);
}

static void a_user_means_uid_gid_and_all_groups(void **state)
{
	struct tempdir *dir = *state;
	if (geteuid() != 0 || !getpwnam("nobody"))
		skip();
	const char *const argv[] = {"sh", "-c", "id -un; id -G; id -ru", NULL};
	auto_close int out = -1;
	struct proc_spec spec = shell(dir, argv, &out);
	spec.user = "nobody";
	struct proc_end end;
	run(&spec, &end);
	auto_free char *text = tempdir_read(dir, "out");
	const struct passwd *nobody = getpwnam("nobody");
	auto_free char *expected = xasprintf("nobody\n%u\n%u\n", nobody->pw_gid, nobody->pw_uid);
	assert_string_equal(text, expected);
}

static void death_by_signal_is_told_from_an_exit(void **state)
{
	struct tempdir *dir = *state;
	const char *const argv[] = {"sh", "-c", "kill -USR1 $$", NULL};
	auto_close int out = -1;
	struct proc_spec spec = shell(dir, argv, &out);
	struct proc_end end;
	run(&spec, &end);
	assert_int_equal(end.exit_code, -1);
	assert_int_equal(end.signal, SIGUSR1);
}

static void at_the_time_limit_the_whole_group_ends(void **state)
{
	struct tempdir *dir = *state;
	/* the child ignores SIGTERM and holds a lock that nobody else can take while it lives */
	const char *const argv[] = {
		"sh", "-c", "(trap '' TERM; flock 9; echo locked; exec sleep 1000) 9>lock & wait",
		NULL};
	auto_close int out = -1;
	struct proc_spec spec = shell(dir, argv, &out);
	spec.cwd_fd = dir->fd;
	spec.new_session = true;
	struct error err = {0};
	pid_t pid = proc_start(&spec, &err);
	assert_true(pid > 0);
	struct proc_end end;
	assert_int_equal(proc_wait(pid, 1500, true, &end, &err), 0);
	assert_true(end.timed_out);
	assert_int_equal(end.signal, SIGTERM);
	int lock = fs_lock(dir->fd, "lock", 10000, &err);
	assert_true(lock >= 0);
	close(lock);
	auto_free char *text = tempdir_read(dir, "out");
	assert_string_equal(text, "locked\n");
}

struct noted {
	pid_t pid;
	bool had_begun; /* the program ran before the note was made */
	const struct tempdir *dir;
};

static void note(pid_t pid, void *arg)
{
	struct noted *noted = arg;
	noted->pid = pid;
	noted->had_begun = faccessat(noted->dir->fd, "begun", F_OK, 0) == 0;
}

static void a_program_is_noted_before_it_runs(void **state)
{
	struct tempdir *dir = *state;
	struct noted noted = {.dir = dir};
	auto_free char *command = xasprintf("touch %s/begun", dir->path);
	const char *const argv[] = {"sh", "-c", command, NULL};
	auto_close int out = -1;
	struct proc_spec spec = shell(dir, argv, &out);
	spec.on_fork = note;
	spec.arg = &noted;
	struct error err = {0};
	pid_t pid = proc_start(&spec, &err);
	assert_int_equal(noted.pid, pid);
	struct proc_end end;
	assert_int_equal(proc_wait(pid, 20000, false, &end, &err), 0);
	assert_int_equal(end.exit_code, 0);
	assert_false(noted.had_begun);
	assert_int_equal(faccessat(dir->fd, "begun", F_OK, 0), 0);
}

static void die(pid_t pid, void *arg)
{
	_exit(0);
}

static void a_program_never_runs_without_its_note(void **state)
{
	struct tempdir *dir = *state;
	auto_free char *command = xasprintf("touch %s/begun", dir->path);
	const char *const argv[] = {"sh", "-c", command, NULL};
	int alive[2];
	assert_int_equal(pipe(alive), 0); /* open in the child until it ends, too */
	pid_t starter = fork();
	if (starter == 0) {
		close(alive[0]);
		struct proc_spec spec = {.path = "/bin/sh",
					 .argv = argv,
					 .stdin_fd = -1,
					 .stdout_fd = -1,
					 .stderr_fd = -1,
					 .on_fork = die};
		struct error err = {0};
		_exit(proc_start(&spec, &err) > 0 ? 1 : 2);
	}
	close(alive[1]);
	int status = -1;
	assert_int_equal(waitpid(starter, &status, 0), starter);
	assert_int_equal(status, 0);
	struct pollfd p = {.fd = alive[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, 20000), 1);
	close(alive[0]);
	assert_int_not_equal(faccessat(dir->fd, "begun", F_OK, 0), 0);
}

static void a_process_that_is_not_ours_cannot_be_waited_for(void **state)
{
	struct proc_end end;
	struct error err = {0};
	assert_true(proc_wait(0x3ffffff, 10, false, &end, &err) < 0);
}

static void a_process_and_the_boot_are_known_by_when_they_began(void **state)
{
	auto_free char *boot = proc_boot_id();
	auto_free char *again = proc_boot_id();
	assert_int_equal(strcspn(boot, "+"), 36);
	assert_string_equal(boot, again);
	assert_true(proc_same_boot(boot, again));
	double started = proc_started(getpid()), now = clock_wall();
	if (started < now - 600 || started > now + 1)
		fail_msg("%f is not when this test started, now is %f", started, now);
	assert_true(proc_started(0) == 0);
	assert_true(proc_started(-1) == 0);
}

static void a_container_that_starts_again_is_another_boot(void **state)
{
	assert_true(proc_same_boot("a-b+12", "a-b+12"));
	assert_false(proc_same_boot("a-b+12", "a-b+13"));
	assert_false(proc_same_boot("a-b+12", "a-b+1"));
	assert_false(proc_same_boot("a-b+12", "a-c+12"));
	assert_false(proc_same_boot("a-b", "a-bc"));
	/* Process 1 was hidden from one of the two. */
	assert_true(proc_same_boot("a-b", "a-b+12"));
	assert_true(proc_same_boot("a-b+12", "a-b"));
	assert_false(proc_same_boot("", "a-b+12"));
}

static void core_dumps_can_be_forbidden(void **state)
{
#ifndef __SANITIZE_ADDRESS__
	proc_allow_core_dumps(false);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
#endif
	proc_allow_core_dumps(true);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(core_dumps_can_be_forbidden),
		cmocka_unit_test(a_container_that_starts_again_is_another_boot),
		tempdir_test(a_program_runs_with_exactly_its_arguments_and_environment),
		tempdir_test(given_descriptors_start_at_3_and_no_other_is_left),
		tempdir_test(crossed_descriptors_do_not_overwrite_each_other),
		tempdir_test(what_fails_before_exec_comes_back_in_words),
		tempdir_test(directory_umask_and_session_are_as_asked),
		tempdir_test(signals_are_back_to_their_defaults),
		tempdir_test(a_user_means_uid_gid_and_all_groups),
		tempdir_test(death_by_signal_is_told_from_an_exit),
		tempdir_test(at_the_time_limit_the_whole_group_ends),
		tempdir_test(a_program_is_noted_before_it_runs),
		tempdir_test(a_program_never_runs_without_its_note),
		cmocka_unit_test(a_process_that_is_not_ours_cannot_be_waited_for),
		cmocka_unit_test(a_process_and_the_boot_are_known_by_when_they_began),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
