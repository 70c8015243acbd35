// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"
#include "common/loop.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int stop_with_3(sd_event_source *source, uint64_t usec, void *arg)
{
	loop_stop(arg, 3);
	return 0;
}

/* No test of this file may hang. */
static int setup(void **state)
{
	alarm(20);
	return 0;
}

static void a_timer_fires_once_and_the_exit_code_comes_back(void **state)
{
	struct loop loop = {0};
	struct error err = {0};
	assert_int_equal(loop_init(&loop, &err), 0);
	uint64_t start = clock_mono_us();
	sd_event_source *timer = NULL;
	assert_int_equal(loop_timer(&loop, &timer, 30, 0, stop_with_3, &loop, &err), 0);
	assert_int_equal(loop_run(&loop, &err), 3);
	assert_true(clock_mono_us() - start >= 30000);
	assert_true(loop.stopping);
	sd_event_source_disable_unref(timer);
	loop_clear(&loop);
}

static int must_not_fire(sd_event_source *source, uint64_t usec, void *arg)
{
	fail_msg("a timer fired that was off");
	return 0;
}

static void a_timer_is_armed_again_and_switched_off(void **state)
{
	struct loop loop = {0};
	struct error err = {0};
	assert_int_equal(loop_init(&loop, &err), 0);
	auto_source sd_event_source *off = NULL;
	auto_source sd_event_source *far = NULL;
	assert_int_equal(loop_timer(&loop, &off, 1, 0, must_not_fire, NULL, &err), 0);
	loop_timer_off(off);
	loop_timer_off(NULL);
	assert_int_equal(loop_timer(&loop, &far, 3600000, 0, stop_with_3, &loop, &err), 0);
	assert_int_equal(loop_timer(&loop, &far, 20, 0, stop_with_3, &loop, &err), 0);
	assert_int_equal(loop_run(&loop, &err), 3);
	loop_clear(&loop);
}

static void a_signal_ends_the_loop_where_nobody_asked_to_hear_of_it(void **state)
{
	struct loop loop = {0};
	struct error err = {0};
	assert_int_equal(loop_init(&loop, &err), 0);
	kill(getpid(), SIGTERM);
	assert_int_equal(loop_run(&loop, &err), 0);
	loop_clear(&loop);
}

static struct loop *heard;
static char calls[8];

static void on_reload(void *arg)
{
	strcat(calls, "r");
	kill(getpid(), SIGINT);
}

static void on_stop(void *arg)
{
	strcat(calls, "s");
	assert_string_equal(arg, "mine");
	loop_stop(heard, 5);
}

static void reload_and_stop_are_told_to_the_daemon(void **state)
{
	static char mine[] = "mine";
	struct loop loop = {.on_reload = on_reload, .on_stop = on_stop, .arg = mine};
	struct error err = {0};
	heard = &loop;
	assert_int_equal(loop_init(&loop, &err), 0);
	kill(getpid(), SIGHUP);
	assert_int_equal(loop_run(&loop, &err), 5);
	assert_string_equal(calls, "rs");
	loop_clear(&loop);
}

static void the_service_manager_hears_of_readiness_and_status(void **state)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	/* in the abstract name space: the kernel chooses, nothing is left behind */
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	socklen_t len = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	char name[sizeof(address.sun_path) + 2] = "@";
	memcpy(name + 1, address.sun_path + 1, len - sizeof(sa_family_t) - 1);
	setenv("NOTIFY_SOCKET", name, 1);
	loop_ready();
	loop_status("%d deployments", 2);
	unsetenv("NOTIFY_SOCKET");
	char text[100] = "";
	assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), 7);
	assert_string_equal(text, "READY=1");
	assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), 20);
	assert_memory_equal(text, "STATUS=2 deployments", 20);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_fires_once_and_the_exit_code_comes_back),
		cmocka_unit_test(a_timer_is_armed_again_and_switched_off),
		cmocka_unit_test(a_signal_ends_the_loop_where_nobody_asked_to_hear_of_it),
		cmocka_unit_test(reload_and_stop_are_told_to_the_daemon),
		cmocka_unit_test(the_service_manager_hears_of_readiness_and_status),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
