// SPDX-License-Identifier: Apache-2.0
#include "agent/launch.h"
#include "agent/worker/caller.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct pair {
	int ours, theirs;
	struct caller caller;
};

static void connect_pair(struct pair *p)
{
	int fds[2];
	struct error err = {0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	p->ours = fds[0];
	p->theirs = fds[1];
	assert_int_equal(caller_init(&p->caller, p->ours, &err), 0);
}

static void disconnect(struct pair *p)
{
	close(p->ours);
	close(p->theirs);
}

static void one_that_never_answers_counts_as_gone(void **state)
{
	struct pair p;
	connect_pair(&p);
	assert_true(p.caller.answer_ms > 0);
	p.caller.answer_ms = 20;
	auto_json json_t *answer = NULL;
	struct error err = {0};
	assert_int_equal(caller_ask(&p.caller, caller_event("ready"), &answer, NULL, &err), 0);
	assert_true(p.caller.gone);
	assert_null(answer);
	disconnect(&p);
}

static void one_that_says_nothing_at_all_counts_as_gone(void **state)
{
	struct pair p;
	connect_pair(&p);
	assert_true(p.caller.first_word_ms > 0);
	p.caller.first_word_ms = 20;
	auto_json json_t *first = NULL;
	int fd = -1;
	struct error err = {0};
	assert_int_equal(caller_listen(&p.caller, &first, &fd, &err), 0);
	assert_true(p.caller.gone);
	disconnect(&p);
}

static void one_that_keeps_us_for_too_long_counts_as_gone(void **state)
{
	struct pair p;
	connect_pair(&p);
	assert_true(p.caller.slow_ms > 0);
	caller_say(&p.caller, caller_event("step"));
	assert_false(p.caller.gone);
	p.caller.kept_us = (uint64_t)p.caller.slow_ms * 1000; /* by what it was told before */
	while (!p.caller.gone && p.caller.kept_us == (uint64_t)p.caller.slow_ms * 1000)
		caller_say(&p.caller, caller_event("step"));
	assert_true(p.caller.gone);
	char text[64];
	for (int i = 0; i < 2; i++) /* nothing that was said is lost */
		assert_true(recv(p.theirs, text, sizeof(text), MSG_DONTWAIT) > 0);
	disconnect(&p);
}

static void an_answer_is_heard(void **state)
{
	struct pair p;
	connect_pair(&p);
	assert_int_equal(send(p.theirs, "{\"verb\":\"go\"}", 13, 0), 13);
	auto_json json_t *answer = NULL;
	struct error err = {0};
	assert_int_equal(caller_ask(&p.caller, caller_event("ready"), &answer, NULL, &err), 1);
	assert_string_equal(json_string_value(json_object_get(answer, "verb")), "go");
	assert_false(p.caller.gone);
	disconnect(&p);
}

static bool is_wanted(void *arg)
{
	unsigned *looked = arg;
	return ++*looked == 2;
}

static void one_that_is_silent_stops_nobody_who_goes_first(void **state)
{
	struct pair p;
	connect_pair(&p);
	unsigned looked = 0;
	p.caller.gives_way = is_wanted;
	p.caller.gives_way_arg = &looked;
	auto_json json_t *answer = NULL;
	struct error err = {0};
	assert_int_equal(caller_ask(&p.caller, caller_event("ready"), &answer, NULL, &err),
			 ERR_BUSY);
	assert_false(p.caller.gone); /* it is told */
	assert_int_equal(looked, 2);
	disconnect(&p);
}

/* A connected socket with bytes that the other end does not take, which lingers for ten minutes. */
static int make_lingering(int *ret_other)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(addr);
	auto_close int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listening, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&addr, &len), 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	*ret_other = accept(listening, NULL, NULL);
	char bytes[65536] = "";
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	const struct linger linger = {.l_onoff = 1, .l_linger = 600};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

static void a_socket_that_lingers_stops_nobody(void **state)
{
	struct pair p;
	connect_pair(&p);
	int other = -1;
	struct error err = {0};
	for (unsigned wanted = 0; wanted < 2; wanted++) {
		int sent = make_lingering(&other), fd = -1;
		auto_json json_t *message = json_pack("{s:s}", "verb", "bundle");
		auto_json json_t *answer = NULL;
		assert_int_equal(launch_send(p.theirs, message, sent, &err), 0);
		close(sent); /* the message has the last one */
		uint64_t before_us = clock_mono_us();
		assert_int_equal(caller_ask(&p.caller, caller_event("fetch"), &answer,
					    wanted ? &fd : NULL, &err),
				 1);
		assert_true(clock_mono_us() - before_us < 60 * UINT64_C(1000000));
		assert_int_equal(fd, -1);
		close(other);
	}
	disconnect(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_never_answers_counts_as_gone),
		cmocka_unit_test(one_that_says_nothing_at_all_counts_as_gone),
		cmocka_unit_test(one_that_keeps_us_for_too_long_counts_as_gone),
		cmocka_unit_test(an_answer_is_heard),
		cmocka_unit_test(one_that_is_silent_stops_nobody_who_goes_first),
		cmocka_unit_test(a_socket_that_lingers_stops_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
