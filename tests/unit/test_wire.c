// SPDX-License-Identifier: Apache-2.0
#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire.h"
#include "tests/unit/unit.h"

#include <string.h>

static json_t *parse(const char *text)
{
	json_t *doc = NULL;
	struct error err = {0};
	if (json_parse(text, strlen(text), WIRE_MESSAGE_MAX, &doc, &err) < 0)
		fail_msg("%s", err.text);
	return doc;
}

static void every_event_has_a_name_that_leads_back(void **state)
{
	for (int i = 0; i < WIRE_EVENT_COUNT; i++) {
		enum wire_event event = WIRE_EVENT_COUNT;
		assert_int_equal(wire_event_from_string(wire_event_to_string(i), &event), 0);
		assert_int_equal(event, i);
	}
	enum wire_event event;
	assert_int_equal(wire_event_from_string("Start", &event), -EINVAL);
	assert_int_equal(wire_event_from_string("", &event), -EINVAL);
	assert_true(wire_event_has_hooks(WIRE_APPLICATION_STOP));
	assert_false(wire_event_has_hooks(WIRE_DOWNLOAD_BUNDLE));
	assert_false(wire_event_has_hooks(WIRE_INSTALL));
}

static void statuses_and_error_codes_have_the_names_of_the_protocol(void **state)
{
	enum wire_status status;
	assert_int_equal(wire_status_from_string("InProgress", &status), 0);
	assert_int_equal(status, WIRE_IN_PROGRESS);
	assert_int_equal(wire_status_from_string("inprogress", &status), -EINVAL);
	assert_string_equal(wire_error_code_to_api(0), "Success");
	assert_string_equal(wire_error_code_to_api(4), "ScriptFailed");
	assert_string_equal(wire_error_code_to_api(7), "UnknownError");
	assert_string_equal(wire_error_code_to_api(-1), "UnknownError");
}

static void a_command_survives_the_way(void **state)
{
	struct wire_command c = {.id = "WyJ4Il0=",
				 .host = "arn:aws:codedeploy:r:1:instance/a",
				 .execution_id = "CodeDeploy/r/Prod/arn:x:deployment/d-1",
				 .name = "Install",
				 .nonce = 1LL << 40};
	auto_json json_t *obj = wire_command_to_json(&c);
	auto_wire_command struct wire_command *back = NULL;
	assert_int_equal(wire_command_from_json(obj, &back, NULL), 0);
	assert_string_equal(back->id, c.id);
	assert_string_equal(back->host, c.host);
	assert_string_equal(back->execution_id, c.execution_id);
	assert_string_equal(back->name, c.name);
	assert_int_equal(back->nonce, c.nonce);
}

static void unknown_members_of_a_newer_peer_are_ignored(void **state)
{
	auto_json json_t *obj = parse("{\"HostCommandIdentifier\":\"i\",\"HostIdentifier\":\"h\","
				      "\"DeploymentExecutionId\":\"e\",\"CommandName\":\"Install\","
				      "\"Later\":{\"a\":[1]}}");
	auto_wire_command struct wire_command *c = NULL;
	assert_int_equal(wire_command_from_json(obj, &c, NULL), 0);
	assert_int_equal(c->nonce, 0);
}

static void a_command_without_a_name_is_refused(void **state)
{
	auto_json json_t *obj = parse("{\"HostCommandIdentifier\":\"i\",\"HostIdentifier\":\"h\","
				      "\"DeploymentExecutionId\":\"e\",\"CommandName\":\"\"}");
	struct wire_command *c = NULL;
	struct error err = {0};
	assert_int_equal(wire_command_from_json(obj, &c, &err), ERR_FORMAT);
	assert_string_equal(err.text, "'CommandName' is empty");
	assert_null(c);
}

static void diagnostics_have_exactly_the_four_members(void **state)
{
	struct wire_diagnostics d = {.error_code = 0, .message = "Succeeded: "};
	auto_free char *text = wire_diagnostics_format(&d);
	assert_string_equal(text, "{\"error_code\":0,\"script_name\":\"\",\"message\":"
				  "\"Succeeded: \",\"log\":\"\"}");
}

static char *repeat(const char *unit, size_t times)
{
	char *text = xcalloc(strlen(unit) * times + 1, 1);
	for (size_t i = 0; i < times; i++)
		memcpy(text + i * strlen(unit), unit, strlen(unit));
	return text;
}

static void too_long_a_log_loses_whole_lines_at_its_front(void **state)
{
	auto_free char *log = repeat("[stdout]a \"quoted\" line\n", 1000);
	struct wire_diagnostics d = {.error_code = 4, .message = "boom", .log = log};
	auto_free char *text = wire_diagnostics_format(&d);
	assert_in_range(strlen(text), WIRE_PAYLOAD_MAX - 60, WIRE_PAYLOAD_MAX);
	auto_wire_diagnostics struct wire_diagnostics back = {0};
	assert_int_equal(wire_diagnostics_parse(text, &back, NULL), 0);
	assert_true(str_starts(back.log, "[stdout]a \"quoted\" line\n"));
	assert_true(str_ends(log, back.log));
	assert_string_equal(back.message, "boom");
}

static void one_endless_line_keeps_its_end(void **state)
{
	auto_free char *log = repeat("\xc3\xa4", 20000);
	struct wire_diagnostics d = {.log = log};
	auto_free char *text = wire_diagnostics_format(&d);
	assert_in_range(strlen(text), WIRE_PAYLOAD_MAX - 40, WIRE_PAYLOAD_MAX);
	assert_true(str_is_utf8(text, strlen(text)));
}

static void too_long_a_message_is_cut_at_its_end_and_leaves_no_log(void **state)
{
	auto_free char *message = repeat("\xc3\xa4", 20000);
	auto_free char *script = repeat("s", 5000);
	struct wire_diagnostics d = {
		.error_code = -2147483647, .script_name = script, .message = message, .log = "x\n"};
	auto_free char *text = wire_diagnostics_format(&d);
	assert_in_range(strlen(text), WIRE_PAYLOAD_MAX - 40, WIRE_PAYLOAD_MAX);
	auto_json json_t *obj = parse(text);
	const char *cut = json_string_value(json_object_get(obj, "message"));
	assert_true(str_starts(message, cut));
	assert_int_equal(strlen(cut) % 2, 0);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
	struct wire_diagnostics d = {.message = "a\xff", .log = "\x01\xc3(\n"};
	auto_free char *text = wire_diagnostics_format(&d);
	assert_true(str_is_utf8(text, strlen(text)));
	auto_wire_diagnostics struct wire_diagnostics back = {0};
	assert_int_equal(wire_diagnostics_parse(text, &back, NULL), 0);
	assert_string_equal(back.message, "a\xef\xbf\xbd");
}

static void the_official_agents_unknown_code_is_understood(void **state)
{
	auto_wire_diagnostics struct wire_diagnostics d = {0};
	assert_int_equal(wire_diagnostics_parse("{\"error_code\":\"Unknown\",\"script_name\":\"\","
						"\"message\":\"m\",\"log\":\"\"}",
						&d, NULL),
			 0);
	assert_int_equal(d.error_code, WIRE_UNKNOWN_ERROR);
	assert_string_equal(d.message, "m");
	assert_null(d.log);
	struct wire_diagnostics bad;
	assert_int_equal(wire_diagnostics_parse("{}", &bad, NULL), ERR_FORMAT);
	assert_int_equal(wire_diagnostics_parse("{\"error_code\":-3}", &bad, NULL), ERR_FORMAT);
	assert_int_equal(wire_diagnostics_parse("[1]", &bad, NULL), ERR_FORMAT);
	assert_int_equal(wire_diagnostics_parse("nonsense", &bad, NULL), ERR_FORMAT);
}

static const char spec_text[] =
	"{\"DeploymentId\":\"arn:aws:codedeploy:r:1:deployment/d-ABC\","
	"\"DeploymentGroupId\":\"6d2b\",\"DeploymentGroupName\":\"web\",\"ApplicationName\":"
	"\"shop\","
	"\"AgentActionOverrides\":{\"AgentOverrides\":{\"FileExistsBehavior\":\"retain\"}},"
	"\"AllPossibleLifecycleEvents\":[\"BeforeInstall\",\"Install\"],"
	"\"Revision\":{\"RevisionType\":\"S3\",\"S3Revision\":{\"Bucket\":\"b\",\"Key\":\"k.tgz\","
	"\"BundleType\":\"tgz\",\"ETag\":null}},"
	"\"Slipway\":{\"Host\":\"arn:h\",\"NotAfter\":1800000000,"
	"\"BundleSha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
	"\"BundleSize\":4294967296}}";

static void a_specification_gives_ids_defaults_and_our_members(void **state)
{
	auto_json json_t *obj = parse(spec_text);
	auto_wire_spec struct wire_spec *s = NULL;
	struct error err = {0};
	if (wire_spec_from_json(obj, &s, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(s->deployment_id, "d-ABC");
	assert_string_equal(s->creator, "user");
	assert_string_equal(s->deployment_type, "IN_PLACE");
	assert_string_equal(s->file_exists, "RETAIN");
	assert_string_equal(s->all_events[1], "Install");
	assert_null(s->all_events[2]);
	assert_null(s->etag);
	assert_string_equal(s->host, "arn:h");
	assert_int_equal(s->not_after_s, 1800000000);
	assert_int_equal(s->size_bytes, 4294967296);

	auto_json json_t *again = wire_spec_to_json(s);
	auto_wire_spec struct wire_spec *back = NULL;
	assert_int_equal(wire_spec_from_json(again, &back, NULL), 0);
	assert_string_equal(back->sha256, s->sha256);
	assert_string_equal(back->file_exists, "RETAIN");
	assert_string_equal(back->key, "k.tgz");
	assert_int_equal(back->size_bytes, s->size_bytes);
}

/* The good specification with one member replaced, by its path. */
static int with(const char *path, json_t *value, struct error *err)
{
	auto_json json_t *obj = parse(spec_text);
	auto_free char *copy = xstrdup(path);
	json_t *at = obj;
	char *name = copy;
	for (char *dot; (dot = strchr(name, '.')); name = dot + 1) {
		*dot = '\0';
		at = json_object_get(at, name);
		assert_non_null(at);
	}
	if (value)
		json_object_set_new(at, name, value);
	else
		json_object_del(at, name);
	auto_wire_spec struct wire_spec *s = NULL;
	return wire_spec_from_json(obj, &s, err);
}

static void a_wish_for_an_earlier_revision_is_no_reason_to_refuse(void **state)
{
	static const struct {
		const char *json, *id;
	} rows[] = {
		{"\"d-ABC\"", "d-ABC"},
		{"\"arn:aws:codedeploy:r:a:deployment/d-ABC\"", "d-ABC"},
		{"\"../d-ABC\"", "../d-ABC"}, /* for the worker to refuse */
		{"\"\"", NULL},
		{"null", NULL},
		{"7", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_json json_t *obj = parse(spec_text), *value = NULL;
		auto_free char *text = xasprintf("{\"v\":%s}", rows[i].json);
		auto_wire_spec struct wire_spec *s = NULL, *back = NULL;
		value = parse(text);
		json_object_set(obj, "ReuseArchiveFromDeploymentId", json_object_get(value, "v"));
		assert_int_equal(wire_spec_from_json(obj, &s, NULL), 0);
		assert_true(str_eq(s->reuse_from, rows[i].id));
		auto_json json_t *again = wire_spec_to_json(s);
		assert_int_equal(wire_spec_from_json(again, &back, NULL), 0);
		assert_true(str_eq(back->reuse_from, rows[i].id));
	}
}

static void a_specification_that_could_climb_or_lacks_something_is_refused(void **state)
{
	static const char *const needed[] = {"DeploymentId",
					     "DeploymentGroupId",
					     "DeploymentGroupName",
					     "ApplicationName",
					     "Revision",
					     "Revision.RevisionType",
					     "Revision.S3Revision",
					     "Revision.S3Revision.Bucket",
					     "Revision.S3Revision.Key",
					     "Revision.S3Revision.BundleType"};
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		struct error err = {0};
		assert_int_equal(with(needed[i], NULL, &err), ERR_FORMAT);
		assert_int_equal(with(needed[i], json_integer(7), &err), ERR_FORMAT);
	}
	static const char *const ids[] = {"..", ".", "a/b", "../x", "a b", "x\ny", ""};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		assert_int_equal(with("DeploymentId", json_string(ids[i]), NULL), ERR_FORMAT);
		assert_int_equal(with("DeploymentGroupId", json_string(ids[i]), NULL), ERR_FORMAT);
	}
	assert_int_equal(with("DeploymentId", json_string("arn:a:b:c:d:deployment/.."), NULL),
			 ERR_FORMAT);
	assert_int_equal(with("Revision.RevisionType", json_string("String"), NULL), ERR_FORMAT);
	assert_int_equal(with("Revision.S3Revision.BundleType", json_string("YAML"), NULL),
			 ERR_FORMAT);
	assert_int_equal(with("Slipway.BundleSha256", json_string("ABC"), NULL), ERR_FORMAT);
	assert_int_equal(with("Slipway.BundleSize", json_integer(-5), NULL), ERR_FORMAT);
	assert_int_equal(with("Slipway.NotAfter", json_string("soon"), NULL), ERR_FORMAT);
	assert_int_equal(with("Slipway", NULL, NULL), 0);
	assert_int_equal(with("DeploymentCreator", json_null(), NULL), 0);
}

static void all_kinds_of_revisions_are_read(void **state)
{
	assert_int_equal(
		with("Revision",
		     json_pack("{s:s,s:{s:s,s:s,s:s}}", "RevisionType", "GitHub", "GitHubRevision",
			       "Account", "a", "Repository", "r", "CommitId", "c"),
		     NULL),
		0);
	assert_int_equal(
		with("Revision",
		     json_pack("{s:s,s:{s:s,s:s}}", "RevisionType", "Local Directory",
			       "LocalRevision", "Location", "/srv/x", "BundleType", "directory"),
		     NULL),
		0);
}

static void faults_are_read_from_body_header_or_status(void **state)
{
	struct wire_fault f;
	const char body[] = "{\"__type\":\"ns#ThrottlingException\",\"Message\":\"Rate exceeded\"}";
	wire_fault_parse(400, NULL, body, strlen(body), &f);
	assert_string_equal(f.type, "ThrottlingException");
	assert_string_equal(f.message, "Rate exceeded");
	assert_true(wire_fault_is_throttling(400, &f));
	assert_false(wire_fault_is_denied(400, &f));
	assert_true(wire_fault_is_denied(401, &f));
	assert_true(wire_fault_is_transient(400, &f));

	wire_fault_parse(403, "AccessDenied:http://x/", "<xml>", 5, &f);
	assert_string_equal(f.type, "AccessDenied");
	assert_false(wire_fault_is_transient(403, &f));
	assert_true(wire_fault_is_denied(403, &f));
	assert_true(wire_fault_is_denied(400, &f));

	wire_fault_parse(502, NULL, "<html>", 6, &f);
	assert_string_equal(f.type, "HTTP 502");
	assert_true(wire_fault_is_transient(502, &f));
	assert_false(wire_fault_is_throttling(502, &f));

	wire_fault_parse(429, NULL, NULL, 0, &f);
	assert_true(wire_fault_is_throttling(429, &f));
	const char array[] = "[1,2]";
	wire_fault_parse(500, NULL, array, strlen(array), &f);
	assert_string_equal(f.type, "HTTP 500");
}

static void an_enrolment_survives_the_way(void **state)
{
	char *keys[] = {"role", "stage", NULL}, *values[] = {"web", "", NULL};
	struct wire_enroll e = {.token = "t-1",
				.name = "web-1.example",
				.csr = "-----BEGIN",
				.tag_keys = keys,
				.tag_values = values,
				.group = "shop/web"};
	auto_json json_t *obj = wire_enroll_to_json(&e);
	auto_wire_enroll struct wire_enroll back = {0};
	assert_int_equal(wire_enroll_from_json(obj, &back, NULL), 0);
	assert_string_equal(back.token, "t-1");
	assert_string_equal(back.tag_keys[0], "role");
	assert_string_equal(back.tag_values[1], "");
	assert_null(back.tag_keys[2]);
	assert_string_equal(back.group, "shop/web");

	e.token = NULL; /* renewal */
	e.tag_keys = NULL;
	auto_json json_t *renewal = wire_enroll_to_json(&e);
	assert_null(json_object_get(renewal, "Token"));
	assert_null(json_object_get(renewal, "Tags"));
}

static void host_names_are_checked(void **state)
{
	assert_true(wire_is_host_name("i-0abc"));
	assert_true(wire_is_host_name("A.b_c@d=e,f+g-h"));
	assert_false(wire_is_host_name(""));
	assert_false(wire_is_host_name("a b"));
	assert_false(wire_is_host_name("a/b"));
	assert_false(wire_is_host_name("0123456789012345678901234567890123456789"
				       "0123456789012345678901234"));
	auto_json json_t *obj = parse("{\"Name\":\"../x\",\"Csr\":\"c\"}");
	struct wire_enroll e;
	assert_int_equal(wire_enroll_from_json(obj, &e, NULL), ERR_FORMAT);
	auto_json json_t *tags =
		parse("{\"Name\":\"x\",\"Csr\":\"c\",\"Tags\":[{\"Value\":\"v\"}]}");
	assert_int_equal(wire_enroll_from_json(tags, &e, NULL), ERR_FORMAT);
}

static void an_enrolments_answer_survives_the_way(void **state)
{
	struct wire_enrolled e = {.name = "n",
				  .host_identifier = "arn",
				  .certificate = "c",
				  .ca = "ca",
				  .region = "r"};
	auto_json json_t *obj = wire_enrolled_to_json(&e);
	auto_wire_enrolled struct wire_enrolled back = {0};
	assert_int_equal(wire_enrolled_from_json(obj, &back, NULL), 0);
	assert_string_equal(back.host_identifier, "arn");
	assert_string_equal(back.ca, "ca");
	json_object_del(obj, "Ca");
	struct wire_enrolled bad;
	assert_int_equal(wire_enrolled_from_json(obj, &bad, NULL), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_has_a_name_that_leads_back),
		cmocka_unit_test(statuses_and_error_codes_have_the_names_of_the_protocol),
		cmocka_unit_test(a_command_survives_the_way),
		cmocka_unit_test(unknown_members_of_a_newer_peer_are_ignored),
		cmocka_unit_test(a_command_without_a_name_is_refused),
		cmocka_unit_test(diagnostics_have_exactly_the_four_members),
		cmocka_unit_test(too_long_a_log_loses_whole_lines_at_its_front),
		cmocka_unit_test(one_endless_line_keeps_its_end),
		cmocka_unit_test(too_long_a_message_is_cut_at_its_end_and_leaves_no_log),
		cmocka_unit_test(bytes_that_are_no_text_are_replaced),
		cmocka_unit_test(the_official_agents_unknown_code_is_understood),
		cmocka_unit_test(a_specification_gives_ids_defaults_and_our_members),
		cmocka_unit_test(a_specification_that_could_climb_or_lacks_something_is_refused),
		cmocka_unit_test(a_wish_for_an_earlier_revision_is_no_reason_to_refuse),
		cmocka_unit_test(all_kinds_of_revisions_are_read),
		cmocka_unit_test(faults_are_read_from_body_header_or_status),
		cmocka_unit_test(an_enrolment_survives_the_way),
		cmocka_unit_test(host_names_are_checked),
		cmocka_unit_test(an_enrolments_answer_survives_the_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
