// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/hook-note.h"
#include "agent/worker/hook-process.h"
#include "agent/worker/hook-unit.h"
#include "agent/worker/hook.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"
#include "tests/unit/hook.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void a_script_that_works_is_a_success(void **state)
{
	auto_hook_result struct hook_result result = {0};
	run("#!/bin/sh\necho hello\necho oops >&2\n", &result);
	assert_int_equal(result.code, WIRE_SUCCESS);
	assert_null(result.message);
	assert_int_equal(result.exit_code, 0);
	assert_false(result.timed_out);
	assert_true(result.wall_s > 0 && result.wall_s < 20);
	assert_true(result.memory_peak_bytes > 100000);
	auto_free char *out = content("AfterInstall-1.stdout", NULL);
	auto_free char *err = content("AfterInstall-1.stderr", NULL);
	assert_string_equal(out, "hello\n");
	assert_string_equal(err, "oops\n");
	assert_string_equal(result.log_tail, "LifecycleEvent - AfterInstall\nScript - s.sh\n"
					     "[stdout]hello\n[stderr]oops\n");
}

static void scripts_log_has_the_official_form(void **state)
{
	auto_hook_result struct hook_result one = {0}, two = {0};
	run("#!/bin/sh\nprintf 'no end'\n", &one);
	struct hook_request request = request_of("s.sh");
	request.number = 2;
	request.log_before = one.log_tail;
	assert_int_equal(hook_run(&request, &two, NULL), 0);
	auto_free char *log = content("scripts.log", NULL);
	static const char *const lines[] = {"LifecycleEvent - AfterInstall", "Script - s.sh",
					    "[stdout]no end", "Script - s.sh", "[stdout]no end"};
	char **got = str_split(log, '\n');
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		int n = 0;
		sscanf(got[i], "%*4d-%*2d-%*2d %*2d:%*2d:%*2d %n", &n);
		assert_int_equal(n, 20);
		assert_string_equal(got[i] + n, lines[i]);
	}
	assert_string_equal(got[ARRAY_LEN(lines)], "");
	str_list_free(got);
	assert_string_equal(two.log_tail, "LifecycleEvent - AfterInstall\nScript - s.sh\n"
					  "[stdout]no end\nScript - s.sh\n[stdout]no end\n");
}

static void a_script_gets_its_environment_and_nothing_else(void **state)
{
	auto_hook_result struct hook_result result = {0};
	setenv("SLIPWAY_TEST_LEAK", "1", 1);
	run("#!/bin/sh\n/usr/bin/env | sort\npwd\numask\ncat\nls /proc/self/fd | wc -l\n"
	    "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader\n",
	    &result);
	assert_int_equal(result.code, WIRE_SUCCESS);
	auto_free char *out = content("AfterInstall-1.stdout", NULL);
	const struct passwd *me = getpwuid(geteuid());
	auto_free char *home = xasprintf("\nHOME=%s\n", me->pw_dir);
	auto_free char *user = xasprintf("\nUSER=%s\n", me->pw_name);
	assert_true(str_starts(out, "A=b c\n"));
	assert_non_null(strstr(out, home));
	assert_non_null(strstr(out, user));
	assert_non_null(strstr(out, "\nLIFECYCLE_EVENT=AfterInstall\n"));
	assert_non_null(strstr(out, "\nPATH=/usr/local/sbin:"));
	assert_null(strstr(out, "SLIPWAY_TEST_LEAK"));
	assert_non_null(strstr(out, "\n/\n0022\n4\nleader\n")); /* 0, 1, 2 and ls's own */
}

static void a_given_variable_wins_over_the_account(void **state)
{
	static const char *const env[] = {"HOME=/elsewhere", "PATH=/bin:/usr/bin", NULL};
	auto_hook_result struct hook_result result = {0};
	put("s.sh", "#!/bin/sh\necho $HOME $PATH\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.env = env;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	auto_free char *out = content("AfterInstall-1.stdout", NULL);
	assert_string_equal(out, "/elsewhere /bin:/usr/bin\n");
}

static void a_variable_that_is_too_long_is_named(void **state)
{
	static const size_t lens[] = {128 * 1024 - 1, 128 * 1024};
	auto_free char *text = xcalloc(1, 128 * 1024 + 1);
	memset(text, 'x', 128 * 1024);
	memcpy(text, "BIG=", 4);
	const char *env[] = {text, NULL};
	put("s.sh", "#!/bin/sh\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.env = env;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		auto_hook_result struct hook_result result = {0};
		text[128 * 1024 - 1] = 'x';
		text[lens[i]] = '\0';
		assert_int_equal(hook_run(&request, &result, NULL), 0);
		if (i == 0)
			assert_int_equal(result.code, WIRE_SUCCESS);
		else
			assert_non_null(strstr(result.message, "variable 'BIG' is longer than"));
	}
}

static void failures_are_told_apart(void **state)
{
	static const struct {
		const char *text, *message;
		int exit_code, signal;
	} rows[] = {
		{"#!/bin/sh\nexit 3\n",
		 "Script at specified location: s.sh failed with exit code 3", 3, 0},
		{"#!/bin/sh\nkill -9 $$\n",
		 "Script at specified location: s.sh failed with signal 9 (Killed)", -1, 9},
		{"#!/no/such/program\n",
		 "Script at specified location: s.sh failed with error Errno::ENOENT with message "
		 "there is no interpreter '/no/such/program'",
		 -1, 0},
		{"#!/bin/sh\r\nexit 0\r\n",
		 "Script at specified location: s.sh failed with error Errno::ENOENT with message "
		 "the interpreter '/bin/sh' is followed by a carriage return: the script has "
		 "Windows line ends",
		 -1, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_hook_result struct hook_result result = {0};
		run(rows[i].text, &result);
		assert_int_equal(result.code, WIRE_SCRIPT_FAILED);
		assert_string_equal(result.message, rows[i].message);
		assert_int_equal(result.exit_code, rows[i].exit_code);
		assert_int_equal(result.signal, rows[i].signal);
		assert_true(str_starts(result.log_tail, "LifecycleEvent - AfterInstall\nScript"));
	}
}

static void a_missing_script_is_named_by_its_whole_path(void **state)
{
	auto_hook_result struct hook_result result = {0};
	struct hook_request request = request_of("sub/gone.sh");
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.code, WIRE_SCRIPT_MISSING);
	auto_free char *message =
		xasprintf("Script does not exist at specified location: %s/sub/gone.sh", root_path);
	assert_string_equal(result.message, message);
}

static void a_script_outside_of_the_revision_does_not_run(void **state)
{
	auto_hook_result struct hook_result result = {0};
	assert_int_equal(symlinkat("/bin/true", root, "out.sh"), 0);
	struct hook_request request = request_of("out.sh");
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.code, WIRE_SCRIPT_MISSING);
}

static void a_directory_is_no_script(void **state)
{
	auto_hook_result struct hook_result result = {0};
	struct hook_request request = request_of("logs");
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.code, WIRE_SCRIPT_FAILED);
	assert_non_null(strstr(result.message, "Errno::EACCES"));
}

static void what_is_not_executable_is_made_so(void **state)
{
	auto_hook_result struct hook_result result = {0};
	struct stat st;
	put("plain.sh", "#!/bin/sh\necho ran\n", 0640);
	struct hook_request request = request_of("plain.sh");
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.code, WIRE_SUCCESS);
	assert_int_equal(fstatat(root, "plain.sh", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0751);
}

static void without_shebang_the_shell_runs_it(void **state)
{
	auto_hook_result struct hook_result result = {0}, empty = {0};
	run("echo \"$0\"\n", &result);
	assert_int_equal(result.code, WIRE_SUCCESS);
	auto_free char *out = content("AfterInstall-1.stdout", NULL);
	auto_free char *path = xasprintf("%s/s.sh\n", root_path);
	assert_string_equal(out, path);
	run("", &empty);
	assert_int_equal(empty.code, WIRE_SUCCESS);
}

static void a_path_with_blanks_and_shell_characters_works(void **state)
{
	auto_hook_result struct hook_result result = {0};
	put("a b;$(id)&.sh", "#!/bin/sh\nexit 0\n", 0755);
	struct hook_request request = request_of("a b;$(id)&.sh");
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.code, WIRE_SUCCESS);
}

/* Output */

static void bytes_stay_bytes_and_the_tail_is_text(void **state)
{
	auto_hook_result struct hook_result result = {0};
	run("#!/bin/sh\nprintf 'a\\377b\\000c\\033[1m\\n\\303\\244\\n'\n", &result);
	size_t len = 0;
	auto_free char *log = content("scripts.log", &len);
	assert_non_null(memmem(log, len, "[stdout]a\377b\0c\033[1m\n", 17));
	assert_true(str_is_utf8(result.log_tail, strlen(result.log_tail)));
	assert_non_null(strstr(result.log_tail, "[stdout]a\xef\xbf\xbd"
						"b?c?[1m\n[stdout]\xc3\xa4\n"));
}

static void a_long_line_is_cut_and_drives_nothing_out(void **state)
{
	auto_hook_result struct hook_result result = {0};
	run("#!/bin/sh\necho before\nprintf '%03000d\\n' 7\necho after\n", &result);
	assert_non_null(strstr(result.log_tail, "[stdout]before\n[stdout]000"));
	assert_non_null(strstr(result.log_tail, "000...\n[stdout]after\n"));
	assert_true(strlen(result.log_tail) < WIRE_LOG_TAIL_MAX);
	size_t len = 0;
	auto_free char *log = content("scripts.log", &len);
	assert_true(len > 3000);
}

static void the_tail_holds_the_last_whole_lines(void **state)
{
	auto_hook_result struct hook_result result = {0};
	run("#!/bin/sh\ni=0\nwhile [ $i -lt 500 ]; do echo \"line $i\"; i=$((i+1)); done\n",
	    &result);
	size_t len = strlen(result.log_tail);
	assert_true(len < WIRE_LOG_TAIL_MAX && len > WIRE_LOG_TAIL_MAX - 20);
	assert_true(str_starts(result.log_tail, "[stdout]line "));
	assert_true(str_ends(result.log_tail, "[stdout]line 498\n[stdout]line 499\n"));
}

/* 30 + 14 bytes of headers, then lines of 1008 and 995 bytes, or one more. */
static void the_tail_is_shorter_than_2048_bytes_and_loses_whole_entries(void **state)
{
	for (unsigned more = 0; more < 2; more++) {
		auto_hook_result struct hook_result result = {0};
		auto_free char *text = xasprintf("#!/bin/sh\nprintf '%%0999d\\n' 0\nprintf "
						 "'%%0%ud\\n' 0\n",
						 986 + more);
		run(text, &result);
		size_t len = strlen(result.log_tail);
		assert_int_equal(len, more ? 2048 - 30 : 2047);
		assert_int_equal(str_starts(result.log_tail, "LifecycleEvent"), !more);
		assert_non_null(strstr(result.log_tail, "Script - s.sh\n[stdout]000"));
	}
}

static void ten_megabytes_of_any_bytes_arrive_as_they_were(void **state)
{
	auto_hook_result struct hook_result result = {0};
	auto_free char *text = xasprintf("#!/bin/sh\nhead -c 10485760 /dev/urandom >%s/sent\n"
					 "head -c 64 /dev/zero >>%s/sent\ncat %s/sent\n",
					 root_path, root_path, root_path);
	run(text, &result);
	assert_int_equal(result.code, WIRE_SUCCESS);
	char *sent = NULL;
	size_t sent_len = 0, out_len = 0;
	assert_int_equal(fs_read_file(root, "sent", 100 << 20, &sent, &sent_len, NULL), 0);
	auto_free char *owned = sent, *out = content("AfterInstall-1.stdout", &out_len);
	assert_int_equal(sent_len, 10485760 + 64);
	assert_int_equal(out_len, sent_len);
	assert_int_equal(memcmp(out, sent, sent_len), 0);
	assert_true(str_is_utf8(result.log_tail, strlen(result.log_tail)));
}

/* In scripts.log in pieces of 64 KiB, each with its date: nothing of it is lost. */
static void a_line_of_a_megabyte_arrives_whole(void **state)
{
	auto_hook_result struct hook_result result = {0};
	run("#!/bin/sh\necho before\nhead -c 1048576 /dev/zero | tr '\\0' x\necho\necho after\n",
	    &result);
	size_t len = 0;
	auto_free char *out = content("AfterInstall-1.stdout", &len);
	assert_int_equal(len, 7 + MIB + 1 + 6);
	assert_int_equal(strspn(out + 7, "x"), MIB);
	auto_free char *log = content("scripts.log", NULL);
	size_t copied = 0;
	for (const char *p = log; (p = strstr(p, "[stdout]x")); p++)
		copied += strspn(p + strlen("[stdout]"), "x");
	assert_int_equal(copied, MIB);
	assert_non_null(strstr(result.log_tail, "[stdout]before\n[stdout]xxx"));
	assert_true(str_ends(result.log_tail, "x...\n[stdout]after\n"));
}

static void beyond_the_ceiling_only_the_files_go_on(void **state)
{
	auto_hook_result struct hook_result result = {0};
	run("#!/bin/sh\nyes $(printf '%0999d' 1) | head -c 68000000\necho; "
	    "echo last\n",
	    &result);
	size_t log_len = 0, out_len = 0;
	auto_free char *log = content("scripts.log", &log_len);
	auto_free char *out = content("AfterInstall-1.stdout", &out_len);
	assert_int_equal(out_len, 68000006);
	assert_non_null(strstr(log, "[slipway]more than 67108864 bytes of output"));
	assert_null(strstr(log, "[stdout]last"));
	assert_true(str_ends(result.log_tail, "[stdout]last\n"));
}

/* The script ends well: it was not stopped by anything. */
static void more_than_the_ceiling_is_cut_in_the_middle(void **state)
{
	auto_hook_result struct hook_result result = {0};
	put("s.sh", "#!/bin/sh\nyes 1234567 | head -c 90000000\necho last\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.output_max = 2 * MIB;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.exit_code, 0);
	assert_true(str_ends(result.log_tail, "[stdout]last\n"));

	size_t len = 0;
	auto_free char *out = content("AfterInstall-1.stdout", &len);
	struct stat st;
	assert_int_equal(fstatat(logs, "AfterInstall-1.stdout", &st, 0), 0);
	assert_true((size_t)st.st_blocks * 512 < 8 * MIB);
	assert_int_equal(memcmp(out + 2 * MIB - 8, "1234567\n\n[slipway] ", 19), 0);
	unsigned long long left_out = 0;
	int end = 0;
	assert_int_equal(sscanf(out + 2 * MIB, " [slipway] %llu bytes of output were left out%n",
				&left_out, &end),
			 1);
	assert_true(end > 0);
	/* a block was given to the mark; where the file system cannot take the hole out, it stays
	 */
	assert_true(len == 90000005 || len == 90000005 - left_out + 4096);
	assert_int_equal(memcmp(out + len - 13, "1234567\nlast\n", 13), 0);
	auto_free char *log = content("scripts.log", NULL);
	auto_free char *said = xasprintf("[slipway]%llu bytes were left out of the file", left_out);
	assert_non_null(strstr(log, said));
}

static void an_event_name_is_no_path(void **state)
{
	auto_hook_result struct hook_result result = {0};
	put("s.sh", "#!/bin/sh\necho x\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.event = "../My Event";
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	auto_free char *out = content("___My_Event-1.stdout", NULL);
	assert_string_equal(out, "x\n");
}

static void a_log_that_cannot_be_written_is_survived(void **state)
{
	auto_hook_result struct hook_result result = {0};
	put("s.sh", "#!/bin/sh\necho x\nexit 4\n", 0755);
	auto_close int no_dir = openat(root, "s.sh", O_RDONLY | O_CLOEXEC);
	struct hook_request request = request_of("s.sh");
	request.logs_fd = no_dir;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.exit_code, 4);
}

static void note_line(const char *stream, const char *line, size_t len, void *arg)
{
	struct seen *seen = arg;
	size_t used = strlen(seen->text);
	snprintf(seen->text + used, sizeof(seen->text) - used, "%s:%.*s;", stream, (int)len, line);
}

static void start_and_lines_are_told_as_they_come(void **state)
{
	auto_hook_result struct hook_result result = {0};
	struct seen seen = {0};
	put("s.sh", "#!/bin/sh\necho $$\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.on_line = note_line;
	request.on_start = note_start;
	request.arg = &seen;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	auto_free char *expected = xasprintf("stdout:%d;", (int)seen.pid);
	assert_string_equal(seen.text, expected);
	assert_true(seen.start_time > 0);
}

/* Accounts */

static void an_unknown_account_is_named(void **state)
{
	auto_hook_result struct hook_result result = {0};
	put("s.sh", "#!/bin/sh\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.runas = "no-such-user";
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	assert_int_equal(result.code, WIRE_SCRIPT_FAILED);
	assert_string_equal(result.message,
			    "Script at specified location: s.sh run as user no-such-user failed: "
			    "there is no user 'no-such-user' on this host");
}

static void a_script_runs_as_its_account(void **state)
{
	const struct passwd *nobody = getpwnam("nobody");
	if (geteuid() != 0 || !nobody)
		skip();
	auto_free char *expected = xasprintf("%u %u %u nobody %s\nagain\n", nobody->pw_uid,
					     nobody->pw_gid, nobody->pw_gid, nobody->pw_dir);
	auto_hook_result struct hook_result result = {0};
	put("s.sh",
	    "#!/bin/sh\necho $(id -u) $(id -g) $(id -G) $USER $HOME\n"
	    "echo again >>/dev/stdout\nexit 5\n",
	    0755);
	struct hook_request request = request_of("s.sh");
	request.runas = "nobody";
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	auto_free char *out = content("AfterInstall-1.stdout", NULL);
	assert_string_equal(out, expected);
	assert_string_equal(result.message, "Script at specified location: s.sh run as user nobody "
					    "failed with exit code 5");
}

/* Without services */
static void a_nice_value_holds_for_all_that_it_starts(void **state)
{
	auto_hook_result struct hook_result result = {0};
	put("s.sh", "#!/bin/sh\nnice; sh -c nice\n", 0755);
	struct hook_request request = request_of("s.sh");
	request.limits.nice = 7;
	assert_int_equal(hook_run(&request, &result, NULL), 0);
	auto_free char *out = content("AfterInstall-1.stdout", NULL);
	assert_string_equal(out, "7\n7\n");
	assert_int_equal(result.tasks_peak, -1); /* nobody counts them here */
}

static void a_script_has_the_limits_of_the_worker(void **state)
{
	const struct passwd *nobody = getpwnam("nobody");
	auto_hook_result struct hook_result mine = {0}, theirs = {0};
	run("#!/bin/sh\nulimit -a; ulimit -Ha\n", &mine);
	auto_free char *before = content("AfterInstall-1.stdout", NULL);
	struct hook_request request = request_of("s.sh");
	request.runas = geteuid() == 0 && nobody ? "nobody" : NULL;
	request.number = 2;
	assert_int_equal(hook_run(&request, &theirs, NULL), 0);
	auto_free char *after = content("AfterInstall-2.stdout", NULL);
	assert_true(strlen(before) > 100);
	assert_string_equal(before, after);
}

/* Services */

static void a_unit_is_named_by_deployment_event_and_number(void **state)
{
	static const struct {
		const char *deployment, *event, *name;
	} rows[] = {
		{"d-ABC", "AfterInstall", "slipway-hook-d-ABC-AfterInstall-7.service"},
		{"d-1.x_y", "My-Event", "slipway-hook-d-1.x_y-My_Event-7.service"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *name = hook_unit_name(rows[i].deployment, rows[i].event, 7);
		assert_string_equal(name, rows[i].name);
		assert_true(hook_unit_is_of(name, rows[i].deployment));
	}
	assert_false(hook_unit_is_of("slipway-hook-d-1-foo-AfterInstall-7.service", "d-1"));
	assert_false(hook_unit_is_of("slipway-hook-d-1-5-AfterInstall-7.service", "d-1"));
	assert_false(hook_unit_is_of("slipway-hook-d-1-AfterInstall-7.socket", "d-1"));
}

static void an_id_that_does_not_fit_a_unit_is_told_apart_by_its_hash(void **state)
{
	auto_free char *a = hook_unit_name("d 1*", "E", 1), *b = hook_unit_name("d/1?", "E", 1);
	assert_true(str_starts(a, "slipway-hook-d_1_."));
	assert_string_not_equal(a, b);
	assert_true(hook_unit_is_of(a, "d 1*"));
	assert_false(hook_unit_is_of(a, "d/1?"));
	char longest[500];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	auto_free char *name = hook_unit_name(longest, longest, UINT32_MAX);
	assert_true(strlen(name) <= 255);
	assert_true(hook_unit_is_of(name, longest));
}

static void a_script_has_a_slice_of_its_own(void **state)
{
	auto_free char *a = hook_unit_name("d-A", "AfterInstall", 7);
	auto_free char *slice = unit_slice_name(a);
	assert_string_equal(slice, "slipway-hooks-d:A:AfterInstall:7.slice");
	/* each '-' in a slice's name is a level */
	auto_free char *b = hook_unit_name("d-A_B", "E", 1), *c = hook_unit_name("d_A-B", "E", 1);
	auto_free char *slice_b = unit_slice_name(b), *slice_c = unit_slice_name(c);
	assert_string_not_equal(slice_b, slice_c);
}

static void a_refusal_of_pid_1_is_told_from_its_absence(void **state)
{
	static const struct {
		const char *name;
		int code;
		bool away;
	} answers[] = {
		{"org.freedesktop.DBus.Error.NoReply", -ETIMEDOUT, true},
		{"org.freedesktop.DBus.Error.ServiceUnknown", -EHOSTUNREACH, true},
		{"org.freedesktop.DBus.Error.Spawn.ChildExited", -EIO, true},
		{NULL, -ENOTCONN, true},
		{NULL, -ENOENT, true}, /* no socket */
		{"org.freedesktop.DBus.Error.AccessDenied", -EACCES, false},
		{"org.freedesktop.systemd1.NoSuchUnit", -ENOENT, false},
		{"org.freedesktop.systemd1.UnitExists", -EEXIST, false},
		{NULL, -ENOMEM, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct error err = {0};
		const struct bus_error why = {{.name = answers[i].name}};
		int r = unit_fail(&err, answers[i].code, &why, "ask about", "x.service");
		assert_int_equal(r, err.code);
		assert_true(r < 0);
		assert_int_equal(unit_is_away(r), answers[i].away);
	}
	assert_false(unit_is_away(0));
}

static void a_note_has_what_the_script_took(void **state)
{
	char path[] = "/tmp/test_hook.XXXXXX";
	assert_non_null(mkdtemp(path));
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_hook_note struct hook_note note = {0};
	hook_note_init(&note, "d-1", "AfterInstall");
	note.unit = xstrdup("x.service");
	note.script = xstrdup("s.sh");
	note.ended = true;
	note.result = (struct hook_result){.wall_s = 1.25,
					   .cpu_s = 0.5,
					   .memory_peak_bytes = (int64_t)1 << 33,
					   .tasks_peak = 12,
					   .refusal = xstrdup("its limit is 12 tasks"),
					   .left_running = xstrdup("server (12)")};
	assert_int_equal(hook_note_save(fd, &note, NULL), 0);
	auto_hook_note struct hook_note again = {0};
	assert_true(hook_note_load(fd, &again));
	assert_true(again.result.wall_s == 1.25 && again.result.cpu_s == 0.5);
	assert_true(again.result.memory_peak_bytes == (int64_t)1 << 33);
	assert_string_equal(again.result.left_running, "server (12)");
	assert_int_equal(again.result.tasks_peak, 12);
	assert_string_equal(again.result.refusal, "its limit is 12 tasks");
	assert_string_equal(again.script, "s.sh");
	hook_note_remove(fd);
	assert_int_equal(rmdir(path), 0);
}

static void a_note_of_an_older_worker_does_not_have_it(void **state)
{
	char path[] = "/tmp/test_hook.XXXXXX";
	assert_non_null(mkdtemp(path));
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *boot = proc_boot_id();
	auto_free char *text = xasprintf("{\"version\":1,\"boot\":\"%s\",\"deployment_id\":\"d-1\","
					 "\"step\":\"AfterInstall\",\"result\":{\"code\":0}}",
					 boot);
	assert_int_equal(fs_write_atomic(fd, "hook", text, strlen(text), 0600, NULL), 0);
	auto_hook_note struct hook_note note = {0};
	assert_true(hook_note_load(fd, &note));
	assert_true(note.ended && note.result.wall_s == -1 && note.result.cpu_s == -1);
	assert_int_equal(note.result.memory_peak_bytes, -1);
	assert_int_equal(note.result.tasks_peak, -1);
	hook_note_remove(fd);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_script_that_works_is_a_success),
		TEST(scripts_log_has_the_official_form),
		TEST(a_script_gets_its_environment_and_nothing_else),
		TEST(a_given_variable_wins_over_the_account),
		TEST(a_variable_that_is_too_long_is_named),
		TEST(failures_are_told_apart),
		TEST(a_missing_script_is_named_by_its_whole_path),
		TEST(a_script_outside_of_the_revision_does_not_run),
		TEST(a_directory_is_no_script),
		TEST(what_is_not_executable_is_made_so),
		TEST(without_shebang_the_shell_runs_it),
		TEST(a_path_with_blanks_and_shell_characters_works),
		TEST(bytes_stay_bytes_and_the_tail_is_text),
		TEST(a_long_line_is_cut_and_drives_nothing_out),
		TEST(the_tail_holds_the_last_whole_lines),
		TEST(the_tail_is_shorter_than_2048_bytes_and_loses_whole_entries),
		TEST(ten_megabytes_of_any_bytes_arrive_as_they_were),
		TEST(a_line_of_a_megabyte_arrives_whole),
		TEST(beyond_the_ceiling_only_the_files_go_on),
		TEST(more_than_the_ceiling_is_cut_in_the_middle),
		TEST(an_event_name_is_no_path),
		TEST(a_log_that_cannot_be_written_is_survived),
		TEST(start_and_lines_are_told_as_they_come),
		TEST(a_unit_is_named_by_deployment_event_and_number),
		TEST(an_id_that_does_not_fit_a_unit_is_told_apart_by_its_hash),
		TEST(a_script_has_a_slice_of_its_own),
		TEST(a_refusal_of_pid_1_is_told_from_its_absence),
		cmocka_unit_test(a_note_has_what_the_script_took),
		cmocka_unit_test(a_note_of_an_older_worker_does_not_have_it),
		TEST(an_unknown_account_is_named),
		TEST(a_script_runs_as_its_account),
		TEST(a_nice_value_holds_for_all_that_it_starts),
		TEST(a_script_has_the_limits_of_the_worker),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
