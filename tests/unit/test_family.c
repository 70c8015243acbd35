// SPDX-License-Identifier: Apache-2.0
/* Scripts without a service manager: their time, and all that they start. */
#include "agent/worker/hook-process.h"
#include "common/clock.h"
#include "common/proc.h"
#include "common/str.h"
#include "tests/unit/hook.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_US ((uint64_t)20 * 1000 * 1000)

static bool is_gone(pid_t pid)
{
	auto_free char *path = xasprintf("/proc/%d/stat", (int)pid);
	auto_fclose FILE *f = fopen(path, "re");
	char mode = 'Z';
	return !f || fscanf(f, "%*d (%*[^)]) %c", &mode) != 1 || mode == 'Z';
}

static void assert_gone(pid_t pid)
{
	uint64_t deadline = clock_mono_us() + DEADLINE_US;
	while (!is_gone(pid)) {
		assert_true(clock_mono_us() < deadline);
		poll(NULL, 0, 5);
	}
}

static void a_timeout_ends_the_whole_group(void **state)
{
	auto_hook_result struct hook_result result = {0};
	put("s.sh", "#!/bin/sh\n(sh -c 'echo $$; exec sleep 1000') &\nsleep 1000\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.timeout_s = 1;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.code, WIRE_SCRIPT_TIMED_OUT);
	assert_string_equal(result.message,
			    "Script at specified location: s.sh failed to complete in 1 seconds");
	assert_true(result.timed_out);
	assert_int_equal(result.signal, SIGTERM);
	assert_true(result.wall_s >= 1 && result.wall_s < 5);
	auto_free char *out = content("AfterInstall-1.stdout", NULL);
	assert_gone(atoi(out));
}

/* Two ways to leave everything by which a parent could find a child again: its own session, no
 * parent, no environment, deaf. */
#define RUNAWAY                                                                         \
	"(setsid env -i /bin/sh -c 'trap \"\" TERM HUP INT; (echo $$ >%s/runaway.tmp; " \
	"mv %s/runaway.tmp %s/runaway; exec 2>&-; while :; do sleep 1000; done)' &)\n"  \
	"while [ ! -e %s/runaway ]; do sleep 0.01; done\n"

static char *runaway(const char *then)
{
	return xasprintf("#!/bin/sh\n" RUNAWAY "%s", root_path, root_path, root_path, root_path,
			 then);
}

static pid_t runaway_pid(void)
{
	char *text = NULL;
	assert_int_equal(fs_read_file(root, "runaway", 100, &text, NULL, NULL), 0);
	pid_t pid = atoi(text);
	free(text);
	assert_true(pid > 1);
	return pid;
}

static void a_timeout_leaves_no_survivor(void **state)
{
	auto_hook_result struct hook_result result = {0};
	auto_free char *text = runaway("sleep 1000\n");
	put("s.sh", text, 0755);
	struct hook_request request = request_of("s.sh");
	request.timeout_s = 3;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.code, WIRE_SCRIPT_TIMED_OUT);
	assert_true(is_gone(runaway_pid()));
	assert_null(result.left_running);
	/* nor anything else below us */
	assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void what_left_its_session_is_named_as_left_running(void **state)
{
	auto_hook_result struct hook_result result = {0};
	auto_free char *text = runaway("exit 0\n");
	run(text, &result);
	assert_int_equal(result.code, WIRE_SUCCESS);
	pid_t pid = runaway_pid();
	assert_false(is_gone(pid));
	auto_free char *name = xasprintf("sh (%d)", (int)pid);
	assert_non_null(strstr(result.left_running, name));
	kill(-pid, SIGKILL);
	assert_gone(pid);
}

static void a_timeout_spares_what_an_earlier_script_left_running(void **state)
{
	auto_hook_result struct hook_result first = {0}, second = {0};
	auto_free char *text = runaway("exit 0\n");
	run(text, &first);
	pid_t pid = runaway_pid();
	put("s.sh", "#!/bin/sh\nsleep 1000 & sleep 1000\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.timeout_s = 1;
	assert_int_equal(hook_run(&request, &second, NULL), 0);
	assert_int_equal(second.code, WIRE_SCRIPT_TIMED_OUT);
	assert_false(is_gone(pid));
	kill(-pid, SIGKILL);
	assert_gone(pid);
}

/* A server of an earlier event begins anew: its new process was not there when the script began. */
static void a_timeout_spares_what_another_event_has_started(void **state)
{
	static const char *const other[] = {"LIFECYCLE_EVENT=ApplicationStart",
					    "PATH=/bin:/usr/bin", NULL};
	auto_hook_result struct hook_result first = {0}, second = {0};
	auto_free char *text =
		xasprintf("#!/bin/sh\n(setsid sh -c 'until [ -e %s/again ]; do sleep 0.01; done\n"
			  "setsid sh -c \"echo \\$\\$ >%s/runaway; exec sleep 1000\" &' &)\n",
			  root_path, root_path);
	put("s.sh", text, 0755);
	struct hook_request request = request_of("s.sh");
	request.env = other;
	assert_int_equal(hook_run(&request, &first, NULL), 0);
	assert_non_null(first.left_running);

	auto_free char *then = xasprintf("#!/bin/sh\n>%s/again\nsleep 1000\n", root_path);
	put("s.sh", then, 0755);
	request.env = plain_env;
	request.timeout_s = 3;
	assert_int_equal(hook_run(&request, &second, NULL), 0);
	assert_int_equal(second.code, WIRE_SCRIPT_TIMED_OUT);
	assert_false(is_gone(runaway_pid()));
	kill(-runaway_pid(), SIGKILL);
	assert_gone(runaway_pid());
}

/* What an earlier script left running is our child by now: as a zombie it would be waited for. */
static void a_script_can_wait_for_the_end_of_what_another_left(void **state)
{
	auto_hook_result struct hook_result first = {0}, second = {0};
	run("#!/bin/sh\n(setsid sleep 1000 & echo $!)\n", &first);
	assert_non_null(first.left_running);
	auto_free char *out = content("AfterInstall-1.stdout", NULL);
	auto_free char *text =
		xasprintf("#!/bin/sh\nkill %d\nwhile kill -0 %d 2>&-; do sleep 0.01; done\n",
			  atoi(out), atoi(out));
	run(text, &second);
	assert_int_equal(second.code, WIRE_SUCCESS);
}

static void whatever_blocks_ends_at_its_timeout(void **state)
{
	static const char *const texts[] = {
		"while :; do :; done\n", "sleep 1000\n",    "mkfifo $0.fifo; read line <$0.fifo\n",
		"tail -f /dev/null\n",   "kill -STOP $$\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		auto_hook_result struct hook_result result = {0};
		auto_free char *text = xasprintf("#!/bin/sh\n%s", texts[i]);
		put("s.sh", text, 0755);
		struct hook_request request = request_of("s.sh");
		request.timeout_s = 1;
		assert_int_equal(hook_run(&request, &result, NULL), 0);
		assert_int_equal(result.code, WIRE_SCRIPT_TIMED_OUT);
		assert_true(result.timed_out && result.wall_s >= 1);
		assert_int_equal(result.signal, SIGTERM);
		assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	}
}

/* Those that end a process, from a script to its own process group. */
static void a_script_that_kills_its_own_group_fails_and_nothing_else(void **state)
{
	for (int sig = 1; sig < NSIG; sig++) {
		auto_hook_result struct hook_result result = {0};
		if (sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH ||
		    sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU ||
		    (sig > SIGSYS && sig < SIGRTMIN))
			continue;
		auto_free char *text = xasprintf("#!/bin/sh\nulimit -c 0\nkill -%d 0\n", sig);
		run(text, &result);
		assert_int_equal(result.code, WIRE_SCRIPT_FAILED);
		assert_int_equal(result.signal, sig);
		auto_free char *words =
			xasprintf("failed with signal %d (%s)", sig, strsignal(sig));
		assert_non_null(strstr(result.message, words));
	}
}

static void who_ignores_sigterm_is_killed(void **state)
{
	auto_hook_result struct hook_result result = {0};
	put("s.sh", "#!/bin/sh\ntrap 'echo no' TERM\nwhile :; do sleep 0.1; done\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.timeout_s = 1;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.code, WIRE_SCRIPT_TIMED_OUT);
	assert_int_equal(result.signal, SIGKILL);
	assert_true(result.wall_s >= 6 && result.wall_s < 12);
	assert_non_null(strstr(result.log_tail, "[stdout]no\n"));
}

static void what_is_left_running_lives_and_writes_on(void **state)
{
	auto_hook_result struct hook_result result = {0};
	assert_int_equal(mkfifoat(root, "go", 0600), 0);
	auto_free char *text =
		xasprintf("#!/bin/sh\n(read go <%s/go; echo late) &\necho $!\n", root_path);
	run(text, &result);
	assert_int_equal(result.code, WIRE_SUCCESS);
	assert_true(result.wall_s < 10);
	auto_free char *out = content("AfterInstall-1.stdout", NULL);
	pid_t pid = atoi(out);
	assert_false(is_gone(pid));

	auto_close int go = openat(root, "go", O_RDWR | O_CLOEXEC);
	assert_int_equal(fs_write_all(go, "now\n", 4), 0);
	assert_gone(pid);
	auto_free char *later = content("AfterInstall-1.stdout", NULL);
	assert_true(str_ends(later, "\nlate\n"));
	assert_null(strstr(result.log_tail, "late"));
}

static pid_t start_sleeper(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		execl("/bin/sleep", "sleep", "1000", (char *)NULL);
		_exit(127);
	}
	uint64_t deadline = clock_mono_us() + DEADLINE_US;
	while (getpgid(pid) != pid && clock_mono_us() < deadline)
		poll(NULL, 0, 1);
	return pid;
}

static void a_leftover_is_killed_only_if_it_is_the_one(void **state)
{
	pid_t pid = start_sleeper();
	uint64_t start = proc_start_ticks(pid);
	assert_true(start > 0);
	hook_kill_leftover(pid, start + 1, &(struct hook_whose){"d-1", NULL, NULL});
	hook_kill_leftover(pid, 0, &(struct hook_whose){"d-1", NULL, NULL});
	assert_false(is_gone(pid));
	hook_kill_leftover(pid, start, &(struct hook_whose){"d-1", NULL, NULL});
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	hook_kill_leftover(pid, start, &(struct hook_whose){"d-1", NULL, NULL});
}

static void a_leftover_whose_leader_has_ended_is_killed_too(void **state)
{
	auto_hook_result struct hook_result result = {0};
	struct seen seen = {0};
	put("s.sh", "#!/bin/sh\nsh -c 'trap \"\" TERM; echo $$; exec sleep 1000' &\nexit 0\n",
	    0755);
	static const char *const env[] = {"DEPLOYMENT_ID=d-1", NULL};
	struct hook_request request = request_of("s.sh");
	request.env = env;
	request.on_start = note_start;
	request.arg = &seen;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_non_null(result.left_running);
	pid_t *pids = NULL;
	assert_int_equal(hook_process_session(seen.pid, &pids), 1);
	pid_t pid = pids[0];
	free(pids);
	hook_kill_leftover(seen.pid, seen.start_time, &(struct hook_whose){"d-2", NULL, NULL});
	assert_false(is_gone(pid));
	hook_kill_leftover(seen.pid, seen.start_time, &(struct hook_whose){"d-1", NULL, NULL});
	assert_true(is_gone(pid)); /* it has waited */
}

/* Its worker was killed in the middle of it: nobody was its reaper then. */
static void a_leftover_that_left_its_session_is_known_by_its_environment(void **state)
{
	static const char *const env[] = {"DEPLOYMENT_ID=d-1", "PATH=/bin:/usr/bin", NULL};
	auto_hook_result struct hook_result result = {0};
	struct seen seen = {0};
	auto_free char *text = runaway("exit 0\n");
	char *bare = strstr(text, "env -i ");
	memset(bare, ' ', strlen("env -i "));
	put("s.sh", text, 0755);
	struct hook_request request = request_of("s.sh");
	request.env = env;
	request.on_start = note_start;
	request.arg = &seen;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	pid_t pid = runaway_pid();
	assert_false(
		hook_is_left(seen.pid, seen.start_time, &(struct hook_whose){"d-2", NULL, NULL}));
	hook_kill_leftover(seen.pid, seen.start_time, &(struct hook_whose){"d-2", NULL, NULL});
	/* another host of this machine, with the same deployment */
	hook_kill_leftover(seen.pid, seen.start_time, &(struct hook_whose){"d-1", "/x", NULL});
	assert_false(is_gone(pid));
	assert_true(
		hook_is_left(seen.pid, seen.start_time, &(struct hook_whose){"d-1", NULL, NULL}));
	hook_kill_leftover(seen.pid, seen.start_time, &(struct hook_whose){"d-1", NULL, NULL});
	assert_true(is_gone(pid));
}

/* A server of an earlier event of the same deployment forks whenever it likes. */
static void a_leftover_is_not_what_another_event_has_started(void **state)
{
	static const char *const env[] = {"DEPLOYMENT_ID=d-1", "LIFECYCLE_EVENT=ApplicationStart",
					  "PATH=/bin:/usr/bin", NULL};
	auto_hook_result struct hook_result result = {0};
	struct seen seen = {0};
	auto_free char *text = runaway("exit 0\n");
	memset(strstr(text, "env -i "), ' ', strlen("env -i "));
	put("s.sh", text, 0755);
	struct hook_request request = request_of("s.sh");
	request.env = env;
	request.on_start = note_start;
	request.arg = &seen;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	pid_t pid = runaway_pid();
	hook_kill_leftover(seen.pid, seen.start_time,
			   &(struct hook_whose){"d-1", NULL, "ValidateService"});
	assert_false(is_gone(pid));
	hook_kill_leftover(seen.pid, seen.start_time,
			   &(struct hook_whose){"d-1", NULL, "ApplicationStart"});
	assert_true(is_gone(pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_timeout_ends_the_whole_group),
		TEST(a_timeout_leaves_no_survivor),
		TEST(what_left_its_session_is_named_as_left_running),
		TEST(a_timeout_spares_what_an_earlier_script_left_running),
		TEST(a_timeout_spares_what_another_event_has_started),
		TEST(a_script_can_wait_for_the_end_of_what_another_left),
		TEST(whatever_blocks_ends_at_its_timeout),
		TEST(a_script_that_kills_its_own_group_fails_and_nothing_else),
		TEST(who_ignores_sigterm_is_killed),
		TEST(what_is_left_running_lives_and_writes_on),
		TEST(a_leftover_is_killed_only_if_it_is_the_one),
		TEST(a_leftover_whose_leader_has_ended_is_killed_too),
		TEST(a_leftover_that_left_its_session_is_known_by_its_environment),
		TEST(a_leftover_is_not_what_another_event_has_started),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
