// SPDX-License-Identifier: Apache-2.0
#include "agent/launch.h"
#include "common/json.h"
#include "tests/unit/tempdir.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int pair[2] = {-1, -1};

static int make_pair(void **state)
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
	fs_close_quiet(pair[0]);
	fs_close_quiet(pair[1]);
	return 0;
}

static void a_message_and_its_descriptor_arrive(void **state)
{
	struct error err = {0};
	auto_json json_t *message = json_pack("{s:s}", "verb", "bundle");
	auto_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(launch_send(pair[0], message, null, &err), 0);
	auto_json json_t *seen = NULL;
	auto_close int fd = -1;
	assert_int_equal(launch_receive(pair[1], &seen, &fd, &err), 1);
	assert_true(json_equal(message, seen));
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	struct stat a, b;
	assert_int_equal(fstat(fd, &a), 0);
	assert_int_equal(fstat(null, &b), 0);
	assert_int_equal(a.st_rdev, b.st_rdev);
}

static void an_unexpected_descriptor_is_closed(void **state)
{
	struct error err = {0};
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	auto_json json_t *message = json_object();
	assert_int_equal(launch_send(pair[0], message, ends[1], &err), 0);
	close(ends[1]);
	auto_json json_t *seen = NULL;
	assert_int_equal(launch_receive(pair[1], &seen, NULL, &err), 1);
	char byte;
	assert_int_equal(read(ends[0], &byte, 1), 0); /* nobody holds the other end */
	close(ends[0]);
}

static void a_large_message_passes_and_a_larger_one_does_not(void **state)
{
	struct error err = {0};
	auto_free char *text = xcalloc(1, LAUNCH_PACKET_MAX + 1);
	memset(text, 'x', LAUNCH_PACKET_MAX);
	auto_json json_t *too_long = json_pack("{s:s}", "t", text);
	assert_int_equal(launch_send(pair[0], too_long, -1, &err), -EMSGSIZE);
	text[LAUNCH_PACKET_MAX - 8] = '\0';
	auto_json json_t *fits = json_pack("{s:s}", "t", text);
	assert_int_equal(launch_send(pair[0], fits, -1, &err), 0);
	auto_json json_t *seen = NULL;
	assert_int_equal(launch_receive(pair[1], &seen, NULL, &err), 1);
	assert_true(json_equal(fits, seen));
}

static void what_is_no_json_is_an_error(void **state)
{
	struct error err = {0};
	assert_int_equal(send(pair[0], "{", 1, 0), 1);
	json_t *seen = NULL;
	assert_int_equal(launch_receive(pair[1], &seen, NULL, &err), ERR_FORMAT);
	assert_null(seen);
}

static void a_packet_that_is_too_long_is_an_error(void **state)
{
	struct error err = {0};
	auto_free char *text = xcalloc(1, LAUNCH_PACKET_MAX + 10);
	memset(text, ' ', LAUNCH_PACKET_MAX + 10);
	assert_int_equal(send(pair[0], text, LAUNCH_PACKET_MAX + 10, 0), LAUNCH_PACKET_MAX + 10);
	json_t *seen = NULL;
	assert_int_equal(launch_receive(pair[1], &seen, NULL, &err), -EMSGSIZE);
}

static void a_closed_peer_is_told(void **state)
{
	struct error err = {0};
	close(TAKE_FD(pair[0]));
	json_t *seen = NULL;
	assert_int_equal(launch_receive(pair[1], &seen, NULL, &err), 0);
	auto_json json_t *message = json_object();
	assert_int_equal(launch_send(pair[1], message, -1, &err), -EPIPE);
}

static void an_empty_socket_that_does_not_block_says_so(void **state)
{
	struct error err = {0};
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	json_t *seen = NULL;
	assert_int_equal(launch_receive(pair[1], &seen, NULL, &err), -EAGAIN);
}

/* A worker in a few lines: it answers with what it was given. */
static const char script[] =
	"#!/usr/bin/env python3\n"
	"import json, os, socket, sys\n"
	"s = socket.socket(fileno=3)\n"
	"s.recv(65536)\n"
	"fds = sorted(int(f) for f in os.listdir('/proc/self/fd') if int(f) > 3 and\n"
	"             os.path.exists('/proc/self/fd/' + f))\n"
	"s.send(json.dumps({'argv': sys.argv[1:], 'leads': os.getsid(0) == os.getpid(),\n"
	"    'in': os.readlink('/proc/self/fd/0'), 'out': os.readlink('/proc/self/fd/1'),\n"
	"    'more': len(fds)}).encode())\n";

static void the_worker_gets_its_root_and_nothing_else(void **state)
{
	struct error err = {0};
	const struct tempdir *dir = *state;
	auto_free char *program = fs_join(dir->path, "worker");
	tempdir_write(dir, "worker", script);
	assert_int_equal(chmod(program, 0700), 0);
	setenv("SLIPWAY_WORKER", program, 1);
	auto_paths struct paths paths;
	assert_int_equal(paths_init(&paths, dir->path, &err), 0);
	struct launch launch;
	assert_int_equal(launch_start(&paths, &launch, &err), 0);
	assert_true(launch.pid > 0);
	auto_json json_t *message = json_object();
	assert_int_equal(launch_send(launch.fd, message, -1, &err), 0);
	struct pollfd p = {.fd = launch.fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 20000), 1);
	auto_json json_t *seen = NULL;
	assert_int_equal(launch_receive(launch.fd, &seen, NULL, &err), 1);
	json_t *argv = json_object_get(seen, "argv");
	assert_int_equal(json_array_size(argv), 2);
	assert_string_equal(json_string_value(json_array_get(argv, 0)), "--root");
	assert_string_equal(json_string_value(json_array_get(argv, 1)), dir->path);
	assert_true(json_is_true(json_object_get(seen, "leads")));
	assert_string_equal(json_string_value(json_object_get(seen, "in")), "/dev/null");
	assert_string_equal(json_string_value(json_object_get(seen, "out")), "/dev/null");
	assert_int_equal(json_integer_value(json_object_get(seen, "more")), 0);
	pid_t pid = launch.pid;
	assert_int_equal(launch_receive(launch.fd, &seen, NULL, &err), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	launch_clear(&launch);
	assert_int_equal(launch.fd, -1);
}

static void the_systems_own_worker_is_reached_by_its_socket(void **state)
{
	struct error err = {0};
	const struct tempdir *dir = *state;
	auto_free char *path = fs_join(dir->path, "worker.sock");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	assert_true(strlen(path) < sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path));
	auto_close int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	const struct paths paths = {.root = (char *)"", .run = dir->path};
	struct launch launch;
	assert_int_equal(launch_start(&paths, &launch, &err), 0);
	assert_int_equal(launch.pid, 0);
	auto_close int worker = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	auto_json json_t *message = json_pack("{s:s}", "verb", "recover");
	assert_int_equal(launch_send(launch.fd, message, -1, &err), 0);
	auto_json json_t *seen = NULL;
	assert_int_equal(launch_receive(worker, &seen, NULL, &err), 1);
	assert_true(json_equal(message, seen));
	launch_clear(&launch);
}

static void a_worker_that_is_missing_is_named(void **state)
{
	struct error err = {0};
	setenv("SLIPWAY_WORKER", "/nonexistent/worker", 1);
	auto_paths struct paths paths;
	assert_int_equal(paths_init(&paths, "/tmp/nowhere", &err), 0);
	struct launch launch = {.fd = -1};
	assert_int_equal(launch_start(&paths, &launch, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/worker"));
}

#define WITH_PAIR(fn) cmocka_unit_test_setup_teardown(fn, make_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PAIR(a_message_and_its_descriptor_arrive),
		WITH_PAIR(an_unexpected_descriptor_is_closed),
		WITH_PAIR(a_large_message_passes_and_a_larger_one_does_not),
		WITH_PAIR(what_is_no_json_is_an_error),
		WITH_PAIR(a_packet_that_is_too_long_is_an_error),
		WITH_PAIR(a_closed_peer_is_told),
		WITH_PAIR(an_empty_socket_that_does_not_block_says_so),
		tempdir_test(the_worker_gets_its_root_and_nothing_else),
		tempdir_test(the_systems_own_worker_is_reached_by_its_socket),
		cmocka_unit_test(a_worker_that_is_missing_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
