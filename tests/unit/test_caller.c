// SPDX-License-Identifier: Apache-2.0
#include "agent/worker/caller.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "tests/unit/unit.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_never_answers_counts_as_gone),
		cmocka_unit_test(one_that_says_nothing_at_all_counts_as_gone),
		cmocka_unit_test(an_answer_is_heard),
		cmocka_unit_test(one_that_is_silent_stops_nobody_who_goes_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
