// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/poll.h"
#include "agent/daemon/renew.h"
#include "agent/daemon/service.h"
#include "common/alloc.h"
#include "common/json.h"
#include "tests/unit/unit.h"

#include <string.h>

static enum outcome judge(int status, const char *body, struct error *err)
{
	struct http_response response = {.status = status, .body = BUF_INIT(4096)};
	buf_adds(&response.body, body);
	auto_json json_t *parsed = NULL;
	enum outcome outcome = service_judge(&response, &parsed, err);
	assert_int_equal(outcome == OUTCOME_OK, parsed != NULL);
	http_response_clear(&response);
	return outcome;
}

static void answers_are_told_apart_by_what_to_do_next(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum outcome outcome;
	} cases[] = {
		{200, "{}", OUTCOME_OK},
		{200, "", OUTCOME_OK},
		{200, "<html>hello</html>", OUTCOME_BROKEN},
		{200, "[1]", OUTCOME_BROKEN},
		{200, "{\"HostCommand\":", OUTCOME_BROKEN},
		{302, "", OUTCOME_BROKEN},
		{500, "{\"__type\":\"InternalFailure\"}", OUTCOME_BROKEN},
		{503, "", OUTCOME_BROKEN},
		{429, "", OUTCOME_THROTTLED},
		{400, "{\"__type\":\"ThrottlingException\"}", OUTCOME_THROTTLED},
		{400, "{\"__type\":\"AccessDeniedException\",\"message\":\"revoked\"}",
		 OUTCOME_DENIED},
		{400, "{\"__type\":\"UnrecognizedClientException\"}", OUTCOME_DENIED},
		{403, "", OUTCOME_DENIED},
		{400, "{\"__type\":\"a.b#ClientException\"}", OUTCOME_REFUSED},
		/* a proxy's page is nobody's verdict on a result */
		{404, "<html>not here</html>", OUTCOME_BROKEN},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = {0};
		enum outcome outcome = judge(cases[i].status, cases[i].body, &err);
		if (outcome != cases[i].outcome)
			fail_msg("HTTP %d '%s': outcome %d", cases[i].status, cases[i].body,
				 (int)outcome);
		assert_int_equal(outcome == OUTCOME_OK, err.code == 0);
	}
}

static void the_reason_names_the_fault(void **state)
{
	struct error err = {0};
	judge(400, "{\"__type\":\"AccessDeniedException\",\"message\":\"host revoked\"}", &err);
	assert_string_equal(err.text, "AccessDeniedException: host revoked (HTTP 400)");
	assert_int_equal(err.code, ERR_DENIED);
}

static void silence_keeps_the_reason_of_the_connection(void **state)
{
	struct http_response response = {.code = ERR_TRUST, .body = BUF_INIT(16)};
	error_set(&response.error, ERR_TRUST, "certificate has expired");
	auto_json json_t *body = NULL;
	struct error err = {0};
	assert_int_equal(service_judge(&response, &body, &err), OUTCOME_UNREACHABLE);
	assert_string_equal(err.text, "certificate has expired");
}

static int read_poll(const char *text, struct wire_command **ret, struct error *err)
{
	auto_json json_t *body = NULL;
	assert_int_equal(json_parse(text, strlen(text), 4096, &body, err), 0);
	return poll_read_answer(body, "arn:aws:codedeploy:r:1:instance/web1", ret, err);
}

#define COMMAND(id, host, name)                                                             \
	"{\"HostCommand\":{\"HostCommandIdentifier\":\"" id "\",\"HostIdentifier\":\"" host \
	"\",\"DeploymentExecutionId\":\"a/b/c/d-1\",\"CommandName\":\"" name "\",\"Nonce\":1}}"
#define OWN "arn:aws:codedeploy:r:1:instance/web1"

static void a_poll_without_a_command_is_empty(void **state)
{
	struct wire_command *command = NULL;
	struct error err = {0};
	assert_int_equal(read_poll("{}", &command, &err), 0);
	assert_null(command);
	assert_int_equal(read_poll("{\"HostCommand\":null}", &command, &err), 0);
	assert_null(command);
}

static void a_poll_for_this_host_gives_its_command(void **state)
{
	auto_wire_command struct wire_command *command = NULL;
	struct error err = {0};
	assert_int_equal(read_poll(COMMAND("c1", OWN, "Install"), &command, &err), 0);
	assert_string_equal(command->id, "c1");
	assert_string_equal(command->name, "Install");
}

static void a_poll_that_makes_no_sense_is_an_error(void **state)
{
	static const char *const bodies[] = {
		COMMAND("c1", "arn:aws:codedeploy:r:1:instance/web2", "Install"),
		COMMAND("c1", "", "Install"),
		COMMAND("", OWN, "Install"),
		COMMAND("c1", OWN, ""),
		"{\"HostCommand\":7}",
		"{\"HostCommand\":{}}",
		"{\"HostCommand\":{\"HostCommandIdentifier\":7}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct wire_command *command = NULL;
		struct error err = {0};
		if (read_poll(bodies[i], &command, &err) != ERR_NETWORK)
			fail_msg("accepted: %s", bodies[i]);
		assert_null(command);
	}
}

static void certificates_renew_at_two_thirds_of_their_life(void **state)
{
	assert_int_equal(renew_time(1000, 1900), 1600);
	assert_int_equal(renew_time(0, INT64_C(4102444800)), INT64_C(2734963200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_told_apart_by_what_to_do_next),
		cmocka_unit_test(the_reason_names_the_fault),
		cmocka_unit_test(silence_keeps_the_reason_of_the_connection),
		cmocka_unit_test(a_poll_without_a_command_is_empty),
		cmocka_unit_test(a_poll_for_this_host_gives_its_command),
		cmocka_unit_test(a_poll_that_makes_no_sense_is_an_error),
		cmocka_unit_test(certificates_renew_at_two_thirds_of_their_life),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
