// SPDX-License-Identifier: Apache-2.0
/* The management API without HTTP: each handler is called as route.c would, and the answer is
 * caught where server.c would send it. */
#include "control/api.h"
#include "tests/unit/unit.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"
#include "common/str.h"
#include "control/api-check.h"
#include "control/ca.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define OK(call)                                                \
	do {                                                    \
		if ((call) < 0)                                 \
			fail_msg("%s: %s", #call, f->err.text); \
	} while (0)

struct fixture {
	char dir[64];
	struct control control;
	struct error err;
	/* the answer to the last call */
	int status;
	bool parked;
	json_t *body;
	char fault[128], message[2048];
};

static struct fixture *current;

/* ---- where answers end up ---- */

void request_reply_json(struct request *request, int status, const json_t *body)
{
	current->status = status;
	current->body = json_deep_copy(body);
}

void request_reply_empty(struct request *request)
{
	current->status = 200;
}

void request_reply_fault(struct request *request, int status, const char *type, const char *fmt,
			 ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(current->message, sizeof(current->message), fmt, ap);
	va_end(ap);
	snprintf(current->fault, sizeof(current->fault), "%s", type);
	current->status = status;
}

void request_park(struct request *request, request_close_fn *on_close, void *arg)
{
	current->parked = true;
	on_close(request, arg);
}

int ca_sign(struct ca *ca, const void *content, size_t len, char **ret_pem, struct error *err)
{
	*ret_pem = xstrndup(content, len);
	return 0;
}

/* ---- calling ---- */

static void call_as(struct fixture *f, api_fn *fn, const char *input, const struct caller *caller)
{
	json_decref(TAKE(f->body));
	f->fault[0] = f->message[0] = '\0';
	f->status = 0;
	f->parked = false;
	auto_json json_t *json = NULL;
	OK(json_parse(input, strlen(input), 65536, &json, &f->err));
	struct request request = {.control = &f->control, .caller = *caller};
	fn(&request, json);
}

static void call(struct fixture *f, api_fn *fn, const char *input)
{
	struct caller admin = {.kind = CALLER_KEY, .name = "AKADMIN"};
	call_as(f, fn, input, &admin);
}

static void call_ok(struct fixture *f, api_fn *fn, const char *input)
{
	call(f, fn, input);
	if (f->status != 200)
		fail_msg("%s: %s", f->fault, f->message);
}

static void assert_fault(struct fixture *f, const char *fault, const char *part)
{
	if (!str_eq(f->fault, fault) || f->status != 400)
		fail_msg("%s expected, got %d %s: %s", fault, f->status, f->fault, f->message);
	if (!strstr(f->message, part))
		fail_msg("'%s' is not in '%s'", part, f->message);
}

static void assert_body(struct fixture *f, const char *expected)
{
	auto_free char *text = f->body ? json_text(f->body) : xstrdup("");
	assert_string_equal(text, expected);
}

static const char *text_of(struct fixture *f, const char *object, const char *member)
{
	const char *text = api_text(object ? json_object_get(f->body, object) : f->body, member);
	return text ? text : "(absent)";
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	current = f;
	log_init("test", LOG_EMERG);
	snprintf(f->dir, sizeof(f->dir), "/tmp/slipway-api-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->control.settings.region = (char *)"us-east-1";
	f->control.settings.account = (char *)"123456789012";
	OK(store_open(f->dir, &f->control.store, &f->err));
	struct deploy_options options = {.store = f->control.store,
					 .place = {"us-east-1", "123456789012"},
					 .lease_ms = 30000,
					 .poll_ms = 60000,
					 .offline_ms = 120000,
					 .event_start_ms = 300000,
					 .event_run_ms = 3600000};
	OK(deploy_new(&options, &f->control.deploy, &f->err));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	deploy_stop(f->control.deploy);
	store_close(f->control.store);
	auto_close int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	OK(fs_remove_tree(tmp, f->dir + strlen("/tmp/"), &f->err));
	json_decref(f->body);
	free(f);
	return 0;
}

#define ROLE "\"serviceRoleArn\":\"arn:aws:iam::123456789012:role/R\""
#define GROUP "\"applicationName\":\"app\",\"deploymentGroupName\":\"web\""
#define WEB                                                                      \
	"\"onPremisesInstanceTagFilters\":[{\"Key\":\"role\",\"Value\":\"web\"," \
	"\"Type\":\"KEY_AND_VALUE\"}]"
#define S3                                                                          \
	"\"revision\":{\"revisionType\":\"S3\",\"s3Location\":{\"bucket\":\"bkt\"," \
	"\"key\":\"app.zip\",\"bundleType\":\"zip\"}}"

static void with_group(struct fixture *f)
{
	call_ok(f, api_create_application, "{\"applicationName\":\"app\"}");
	call_ok(f, api_create_deployment_group, "{" GROUP "," ROLE "," WEB "}");
}

static void with_host(struct fixture *f, const char *name)
{
	struct store_tag tag = {(char *)"role", (char *)"web"};
	struct ids_place place = {"us-east-1", "123456789012"};
	auto_free char *arn = ids_host_arn(&place, name);
	struct store_enroll enroll = {.name = name,
				      .arn = arn,
				      .serial = name,
				      .now_s = 1425579465,
				      .tag_count = 1,
				      .tags = &tag};
	OK(store_host_enroll(f->control.store, &enroll, &f->err));
}

static void host_calls(struct fixture *f, const char *host, api_fn *fn, const char *input)
{
	struct caller caller = {.kind = CALLER_HOST};
	snprintf(caller.name, sizeof(caller.name), "%s", host);
	call_as(f, fn, input, &caller);
}

static void poll_as(struct fixture *f, const char *host, const char *identifier)
{
	char input[256];
	snprintf(input, sizeof(input),
		 "{\"HostIdentifier\":\"arn:aws:codedeploy:us-east-1:123456789012:instance/%s\"}",
		 identifier);
	host_calls(f, host, api_poll_host_command, input);
}

/* ---- faults, a table per operation ---- */

struct bad {
	const char *input, *fault, *part;
};

static void assert_all(struct fixture *f, api_fn *fn, const struct bad *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		call(f, fn, rows[i].input);
		assert_fault(f, rows[i].fault, rows[i].part);
	}
}

#define LONG                                                                                       \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aa"                                                                                       \
	"aaaaaaaaaaaaaaaaaaa"

static void applications_are_checked(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	static const struct bad rows[] = {
		{"{}", "ApplicationNameRequiredException", "'applicationName' is required"},
		{"{\"applicationName\":null}", "ApplicationNameRequiredException", ""},
		{"{\"applicationName\":\"\"}", "ApplicationNameRequiredException", ""},
		{"{\"applicationName\":7}", "SerializationException", "must be a string"},
		{"{\"applicationName\":\"a b\"}", "InvalidApplicationNameException", "'a b'"},
		{"{\"applicationName\":\"" LONG "\"}", "InvalidApplicationNameException", "100"},
		{"{\"applicationName\":\"x\",\"computePlatform\":\"Lambda\"}",
		 "InvalidComputePlatformException", "must be Server"},
		{"{\"applicationName\":\"x\",\"computePlatform\":\"Toaster\"}",
		 "InvalidComputePlatformException", "Toaster"},
		{"{\"applicationName\":\"x\",\"tags\":[{\"Value\":\"v\"}]}",
		 "InvalidTagsToAddException", "'Key' is required"},
		{"{\"applicationName\":\"app\"}", "ApplicationAlreadyExistsException",
		 "Application already exists: app"},
	};
	assert_all(f, api_create_application, rows, ARRAY_LEN(rows));
	call(f, api_get_application, "{\"applicationName\":\"x\"}");
	assert_fault(f, "ApplicationDoesNotExistException", "No application found for name: x");
	call(f, api_list_applications, "{\"nextToken\":\"rubbish\"}");
	assert_fault(f, "InvalidNextTokenException", "");
}

static void groups_are_checked(void **state)
{
	struct fixture *f = *state;
	with_group(f);
#define NEW "\"applicationName\":\"app\",\"deploymentGroupName\":\"new\""
	static const struct bad rows[] = {
		{"{\"deploymentGroupName\":\"g\"," ROLE "}", "ApplicationNameRequiredException",
		 ""},
		{"{\"applicationName\":\"app\"," ROLE "}", "DeploymentGroupNameRequiredException",
		 ""},
		{"{\"applicationName\":\"no\",\"deploymentGroupName\":\"g\"," ROLE "}",
		 "ApplicationDoesNotExistException", "No application found for name: no"},
		{"{\"applicationName\":\"app\",\"deploymentGroupName\":\"a/b\"," ROLE "}",
		 "InvalidDeploymentGroupNameException", "a/b"},
		{"{" NEW "}", "RoleRequiredException", ""},
		{"{" NEW ",\"serviceRoleArn\":\"root\"}", "InvalidRoleException",
		 "Cannot assume role provided."},
		{"{" NEW ",\"serviceRoleArn\":\"arn:aws:iam::12345678901:role/R\"}",
		 "InvalidRoleException", ""},
		{"{" NEW ",\"serviceRoleArn\":\"arn:aws:iam::123456789012:user/R\"}",
		 "InvalidRoleException", ""},
		{"{" GROUP "," ROLE "}", "DeploymentGroupAlreadyExistsException", "web"},
		{"{" NEW "," ROLE ",\"deploymentConfigName\":\"x\"}",
		 "DeploymentConfigDoesNotExistException", "x"},
		{"{" NEW "," ROLE ",\"deploymentConfigName\":\"x y\"}",
		 "InvalidDeploymentConfigNameException", "x y"},
		{"{" NEW "," ROLE ",\"onPremisesInstanceTagFilters\":[{\"Type\":\"KEY_ONLY\"}]}",
		 "InvalidTagException", "needs a Key or a Value"},
		{"{" NEW "," ROLE ",\"onPremisesInstanceTagFilters\":[{\"Key\":\"a\","
		 "\"Type\":\"ANY\"}]}",
		 "InvalidTagException", "ANY"},
		{"{" NEW "," ROLE ",\"ec2TagFilters\":[{\"Value\":\"a\",\"Type\":\"KEY_ONLY\"}]}",
		 "InvalidEC2TagException", "needs a Key"},
		{"{" NEW "," ROLE ",\"ec2TagFilters\":[{\"Key\":\"a\",\"Type\":\"VALUE_ONLY\"}]}",
		 "InvalidEC2TagException", "needs a Value"},
		{"{" NEW "," ROLE ",\"ec2TagFilters\":[{},{},{},{},{},{},{},{},{},{},{}]}",
		 "InvalidEC2TagException", "more than 10"},
		{"{" NEW "," ROLE ",\"ec2TagFilters\":[{\"Key\":\"a\"}],\"ec2TagSet\":"
		 "{\"ec2TagSetList\":[[{\"Key\":\"a\"}]]}}",
		 "InvalidEC2TagCombinationException", "not both"},
		{"{" NEW "," ROLE "," WEB ",\"onPremisesTagSet\":{\"onPremisesTagSetList\":"
		 "[[{\"Key\":\"a\"}]]}}",
		 "InvalidOnPremisesTagCombinationException", "not both"},
		{"{" NEW "," ROLE ",\"onPremisesTagSet\":{\"onPremisesTagSetList\":"
		 "[[],[],[],[]]}}",
		 "TagSetListLimitExceededException", "more than 3"},
		{"{" NEW "," ROLE ",\"onPremisesTagSet\":{\"onPremisesTagSetList\":[{}]}}",
		 "SerializationException", "list of lists"},
		{"{" NEW "," ROLE ",\"alarmConfiguration\":{\"enabled\":true}}",
		 "InvalidAlarmConfigException", "none is named"},
		{"{" NEW "," ROLE ",\"alarmConfiguration\":{\"alarms\":[{\"name\":\"x\"},"
		 "{\"name\":\"x\"}]}}",
		 "InvalidAlarmConfigException", "twice"},
		{"{" NEW "," ROLE ",\"alarmConfiguration\":{\"enabled\":true,"
		 "\"alarms\":[{\"name\":\"x\"}]}}",
		 "InvalidAlarmConfigException", "not offered by this version"},
		{"{" NEW "," ROLE ",\"autoRollbackConfiguration\":{\"enabled\":true}}",
		 "InvalidAutoRollbackConfigException", "no events"},
		{"{" NEW "," ROLE ",\"autoRollbackConfiguration\":{\"enabled\":true,"
		 "\"events\":[\"RAIN\"]}}",
		 "InvalidAutoRollbackConfigException", "RAIN"},
		{"{" NEW "," ROLE ",\"deploymentStyle\":{\"deploymentType\":\"BLUE_GREEN\"}}",
		 "InvalidDeploymentStyleException", "not offered"},
		{"{" NEW "," ROLE ",\"deploymentStyle\":{\"deploymentOption\":"
		 "\"WITH_TRAFFIC_CONTROL\"}}",
		 "InvalidDeploymentStyleException", "not offered"},
		{"{" NEW "," ROLE ",\"autoScalingGroups\":[\"asg\"]}",
		 "InvalidAutoScalingGroupException", "not offered"},
		{"{" NEW "," ROLE ",\"loadBalancerInfo\":{\"elbInfoList\":[{\"name\":\"x\"}]}}",
		 "InvalidLoadBalancerInfoException", "not offered"},
		{"{" NEW "," ROLE ",\"triggerConfigurations\":[{\"triggerName\":\"x\"}]}",
		 "InvalidTriggerConfigException", "not offered"},
		{"{" NEW "," ROLE ",\"ecsServices\":[{}]}", "InvalidECSServiceException", ""},
		{"{" NEW "," ROLE ",\"outdatedInstancesStrategy\":\"MAYBE\"}",
		 "InvalidInputException", "MAYBE"},
	};
	assert_all(f, api_create_deployment_group, rows, ARRAY_LEN(rows));
	call(f, api_get_deployment_group,
	     "{\"applicationName\":\"app\",\"deploymentGroupName\":\"x\"}");
	assert_fault(f, "DeploymentGroupDoesNotExistException",
		     "No Deployment Group found for name: x");
}

static void revisions_are_checked(void **state)
{
	struct fixture *f = *state;
	with_group(f);
#define LOCATION(type, member, value)                                                        \
	"{\"applicationName\":\"app\",\"revision\":{\"revisionType\":\"" type "\",\"" member \
	"\":" value "}}"
	static const struct bad rows[] = {
		{"{\"applicationName\":\"app\"}", "RevisionRequiredException", ""},
		{"{\"applicationName\":\"app\",\"revision\":{}}", "InvalidRevisionException",
		 "'revisionType' is required"},
		{LOCATION("String", "string", "{\"content\":\"x\"}"), "InvalidRevisionException",
		 "not for servers"},
		{LOCATION("S3", "gitHubLocation", "{}"), "InvalidRevisionException",
		 "needs 's3Location'"},
		{LOCATION("S3", "s3Location", "{\"bucket\":\"bkt\",\"key\":\"k\"}"),
		 "InvalidRevisionException", "'bundleType' is required"},
		{LOCATION("S3", "s3Location",
			  "{\"bucket\":\"bkt\",\"key\":\"k\",\"bundleType\":\"YAML\"}"),
		 "InvalidRevisionException", "YAML"},
		{LOCATION("S3", "s3Location",
			  "{\"bucket\":\"B K\",\"key\":\"k\",\"bundleType\":\"zip\"}"),
		 "InvalidRevisionException", "B K"},
		{LOCATION("GitHub", "gitHubLocation",
			  "{\"repository\":\"owner\",\"commitId\":"
			  "\"0123456789012345678901234567890123456789\"}"),
		 "InvalidRevisionException", "owner"},
		{LOCATION("GitHub", "gitHubLocation",
			  "{\"repository\":\"owner/name\",\"commitId\":\"main\"}"),
		 "InvalidRevisionException", "main"},
		{"{\"applicationName\":\"no\"," S3 "}", "ApplicationDoesNotExistException", "no"},
		{"{\"applicationName\":\"app\"," S3 ",\"description\":\"" LONG LONG LONG "\"}",
		 "DescriptionTooLongException", "256"},
	};
	assert_all(f, api_register_application_revision, rows, ARRAY_LEN(rows));
	call_ok(f, api_register_application_revision, "{\"applicationName\":\"app\"," S3 "}");
	assert_null(f->body);
}

static void deployments_are_checked(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	static const struct bad rows[] = {
		{"{\"applicationName\":\"app\"," S3 "}", "DeploymentGroupNameRequiredException",
		 ""},
		{"{" GROUP "}", "RevisionRequiredException", ""},
		{"{\"applicationName\":\"app\",\"deploymentGroupName\":\"x\"," S3 "}",
		 "DeploymentGroupDoesNotExistException", "No Deployment Group found for name: x"},
		{"{" GROUP "," S3 ",\"deploymentConfigName\":\"x\"}",
		 "DeploymentConfigDoesNotExistException", "x"},
		{"{" GROUP "," S3 ",\"fileExistsBehavior\":\"EAT\"}",
		 "InvalidFileExistsBehaviorException", "EAT"},
		{"{" GROUP "," S3 ",\"targetInstances\":{}}", "InvalidTargetInstancesException",
		 "in place"},
		{"{" GROUP "," S3 ",\"ignoreApplicationStopFailures\":\"yes\"}",
		 "SerializationException", "true or false"},
		{"{" GROUP "," S3 ",\"overrideAlarmConfiguration\":{\"enabled\":true,"
		 "\"alarms\":[{\"name\":\"x\"}]}}",
		 "InvalidAlarmConfigException", "not offered"},
		{"{" GROUP "," S3 ",\"autoRollbackConfiguration\":{\"enabled\":true}}",
		 "InvalidAutoRollbackConfigException", "no events"},
	};
	assert_all(f, api_create_deployment, rows, ARRAY_LEN(rows));
	static const struct bad ids[] = {
		{"{}", "DeploymentIdRequiredException", ""},
		{"{\"deploymentId\":\"x\"}", "InvalidDeploymentIdException", "'x'"},
		{"{\"deploymentId\":\"d-abcdefghi\"}", "InvalidDeploymentIdException", ""},
		{"{\"deploymentId\":\"d-USUAELQEX\"}", "DeploymentDoesNotExistException",
		 "The deployment d-USUAELQEX could not be found"},
	};
	assert_all(f, api_get_deployment, ids, ARRAY_LEN(ids));
	assert_all(f, api_stop_deployment, ids, ARRAY_LEN(ids));
	assert_all(f, api_list_deployment_targets, ids, ARRAY_LEN(ids));
	static const struct bad lists[] = {
		{"{\"applicationName\":\"app\"}", "DeploymentGroupNameRequiredException", ""},
		{"{\"deploymentGroupName\":\"web\"}", "ApplicationNameRequiredException", ""},
		{"{\"includeOnlyStatuses\":[\"Done\"]}", "InvalidDeploymentStatusException",
		 "Done"},
		{"{\"createTimeRange\":{\"start\":20,\"end\":10.5}}", "InvalidTimeRangeException",
		 "after its end"},
		{"{\"nextToken\":\"x\"}", "InvalidNextTokenException", ""},
	};
	assert_all(f, api_list_deployments, lists, ARRAY_LEN(lists));
}

static void hosts_are_checked(void **state)
{
	struct fixture *f = *state;
	with_host(f, "web1");
	static const struct bad rows[] = {
		{"{\"instanceNames\":[\"web1\"]}", "TagRequiredException", ""},
		{"{\"tags\":[],\"instanceNames\":[\"web1\"]}", "TagRequiredException", ""},
		{"{\"tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}", "InstanceNameRequiredException",
		 ""},
		{"{\"tags\":[{\"Key\":\"a\"}],\"instanceNames\":[\"web1\"]}", "InvalidTagException",
		 "has no value"},
		{"{\"tags\":[{\"Key\":\"a\",\"Value\":\"b\"}],\"instanceNames\":[\"a b\"]}",
		 "InvalidInstanceNameException", "a b"},
		{"{\"tags\":[{\"Key\":\"a\",\"Value\":\"b\"}],\"instanceNames\":[\"web1\","
		 "\"ghost\"]}",
		 "InstanceNotRegisteredException", "ghost"},
		{"{\"tags\":[{\"Key\":\"a\",\"Value\":\"b\"},{\"Key\":\"b\",\"Value\":\"\"},"
		 "{\"Key\":\"c\",\"Value\":\"\"},{\"Key\":\"d\",\"Value\":\"\"},"
		 "{\"Key\":\"e\",\"Value\":\"\"},{\"Key\":\"f\",\"Value\":\"\"},"
		 "{\"Key\":\"g\",\"Value\":\"\"},{\"Key\":\"h\",\"Value\":\"\"},"
		 "{\"Key\":\"i\",\"Value\":\"\"},{\"Key\":\"j\",\"Value\":\"\"}],"
		 "\"instanceNames\":[\"web1\"]}",
		 "TagLimitExceededException", "more than 10 tags"},
	};
	assert_all(f, api_add_tags_to_on_premises_instances, rows, ARRAY_LEN(rows));
	/* nothing was written by a call that was refused */
	call_ok(f, api_get_on_premises_instance, "{\"instanceName\":\"web1\"}");
	assert_body(f, "{\"instanceInfo\":{\"instanceName\":\"web1\",\"instanceArn\":"
		       "\"arn:aws:codedeploy:us-east-1:123456789012:instance/web1\","
		       "\"registerTime\":1425579465.0,\"tags\":[{\"Key\":\"role\",\"Value\":"
		       "\"web\"}],\"slipway\":{\"online\":false}}}");
	call(f, api_get_on_premises_instance, "{\"instanceName\":\"ghost\"}");
	assert_fault(f, "InstanceNotRegisteredException", "ghost");
	call(f, api_list_on_premises_instances, "{\"registrationStatus\":\"Lost\"}");
	assert_fault(f, "InvalidRegistrationStatusException", "Lost");
	call(f, api_list_on_premises_instances, "{\"tagFilters\":[{\"Type\":\"KEY_ONLY\"}]}");
	assert_fault(f, "InvalidTagFilterException", "");
}

/* ---- answers ---- */

static void an_application_is_answered_in_its_documented_shape(void **state)
{
	struct fixture *f = *state;
	call_ok(f, api_create_application, "{\"applicationName\":\"app\",\"unknown\":1}");
	assert_int_equal(strlen(text_of(f, NULL, "applicationId")), 36);
	call_ok(f, api_get_application, "{\"applicationName\":\"app\"}");
	const json_t *info = json_object_get(f->body, "application");
	assert_int_equal(json_object_size(info), 5);
	assert_true(json_is_number(json_object_get(info, "createTime")));
	assert_true(json_is_false(json_object_get(info, "linkedToGitHub")));
	call_ok(f, api_list_applications, "{}");
	assert_body(f, "{\"applications\":[\"app\"]}");
	call_ok(f, api_delete_application, "{\"applicationName\":\"app\"}");
	assert_null(f->body);
	call_ok(f, api_delete_application, "{\"applicationName\":\"app\"}");
	call_ok(f, api_list_applications, "{}");
	assert_body(f, "{\"applications\":[]}");
}

static void a_long_list_comes_in_pages(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 150; i++) {
		char input[64];
		snprintf(input, sizeof(input), "{\"applicationName\":\"app%03d\"}", i);
		call_ok(f, api_create_application, input);
	}
	call_ok(f, api_list_applications, "{}");
	assert_int_equal(json_array_size(json_object_get(f->body, "applications")), 100);
	auto_free char *input = xasprintf("{\"nextToken\":\"%s\"}", text_of(f, NULL, "nextToken"));
	call_ok(f, api_list_applications, input);
	const json_t *rest = json_object_get(f->body, "applications");
	assert_int_equal(json_array_size(rest), 50);
	assert_string_equal(json_string_value(json_array_get(rest, 0)), "app100");
	assert_null(json_object_get(f->body, "nextToken"));
	/* a token of one list is no token of another */
	call(f, api_list_on_premises_instances, input);
	assert_fault(f, "InvalidNextTokenException", "");
}

static void a_group_is_answered_with_its_settings_and_defaults(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	call_ok(f, api_get_deployment_group, "{" GROUP "}");
	json_t *info = json_object_get(f->body, "deploymentGroupInfo");
	json_object_del(info, "deploymentGroupId");
	assert_body(f, "{\"deploymentGroupInfo\":{" WEB "," ROLE ",\"applicationName\":\"app\","
		       "\"deploymentGroupName\":\"web\",\"deploymentConfigName\":"
		       "\"CodeDeployDefault.OneAtATime\",\"computePlatform\":\"Server\","
		       "\"ec2TagFilters\":[],\"autoScalingGroups\":[],\"triggerConfigurations\":[],"
		       "\"outdatedInstancesStrategy\":\"UPDATE\",\"terminationHookEnabled\":false,"
		       "\"deploymentStyle\":{\"deploymentType\":\"IN_PLACE\",\"deploymentOption\":"
		       "\"WITHOUT_TRAFFIC_CONTROL\"}}}");
	call_ok(f, api_list_deployment_groups, "{\"applicationName\":\"app\"}");
	assert_body(f, "{\"deploymentGroups\":[\"web\"],\"applicationName\":\"app\"}");
	call_ok(f, api_delete_deployment_group, "{" GROUP "}");
	assert_body(f, "{\"hooksNotCleanedUp\":[]}");
	call_ok(f, api_delete_deployment_group, "{" GROUP "}");
}

static void settings_that_switch_something_off_are_kept(void **state)
{
	struct fixture *f = *state;
	call_ok(f, api_create_application, "{\"applicationName\":\"app\"}");
	call_ok(f, api_create_deployment_group,
		"{" GROUP "," ROLE ",\"alarmConfiguration\":{\"alarms\":[],\"enabled\":false,"
		"\"ignorePollAlarmFailure\":false},\"autoRollbackConfiguration\":{\"enabled\":"
		"false,\"events\":[]},\"triggerConfigurations\":[],\"autoScalingGroups\":[]}");
	call_ok(f, api_get_deployment_group, "{" GROUP "}");
	const json_t *info = json_object_get(f->body, "deploymentGroupInfo");
	auto_free char *rollback = json_text(json_object_get(info, "autoRollbackConfiguration"));
	assert_string_equal(rollback, "{\"enabled\":false,\"events\":[]}");
	assert_non_null(json_object_get(info, "alarmConfiguration"));
}

static void the_three_configurations_are_there(void **state)
{
	struct fixture *f = *state;
	call_ok(f, api_list_deployment_configs, "{}");
	assert_body(f, "{\"deploymentConfigsList\":[\"CodeDeployDefault.AllAtOnce\","
		       "\"CodeDeployDefault.HalfAtATime\",\"CodeDeployDefault.OneAtATime\"]}");
	call_ok(f, api_get_deployment_config,
		"{\"deploymentConfigName\":\"CodeDeployDefault.OneAtATime\"}");
	assert_body(f, "{\"deploymentConfigInfo\":{\"deploymentConfigId\":"
		       "\"00000000-0000-0000-0000-000000000001\",\"deploymentConfigName\":"
		       "\"CodeDeployDefault.OneAtATime\",\"minimumHealthyHosts\":{\"type\":"
		       "\"MOST_CONCURRENCY\",\"value\":1},\"computePlatform\":\"Server\"}}");
	call(f, api_get_deployment_config, "{}");
	assert_fault(f, "DeploymentConfigNameRequiredException", "");
	call(f, api_get_deployment_config, "{\"deploymentConfigName\":\"x\"}");
	assert_fault(f, "DeploymentConfigDoesNotExistException", "x");
}

static void hosts_are_listed_by_status_and_tag(void **state)
{
	struct fixture *f = *state;
	with_host(f, "a");
	with_host(f, "b");
	with_host(f, "c");
	OK(store_host_deregister(f->control.store, "c", 5, &f->err));
	call_ok(f, api_add_tags_to_on_premises_instances,
		"{\"tags\":[{\"Key\":\"stage\",\"Value\":\"prod\"}],\"instanceNames\":[\"b\"]}");
	assert_null(f->body);
	call_ok(f, api_list_on_premises_instances, "{}");
	assert_body(f, "{\"instanceNames\":[\"a\",\"b\",\"c\"]}");
	call_ok(f, api_list_on_premises_instances, "{\"registrationStatus\":\"Deregistered\"}");
	assert_body(f, "{\"instanceNames\":[\"c\"]}");
	call_ok(f, api_list_on_premises_instances,
		"{\"tagFilters\":[{\"Key\":\"stage\",\"Type\":\"KEY_ONLY\"}]}");
	assert_body(f, "{\"instanceNames\":[\"b\"]}");
	call_ok(f, api_remove_tags_from_on_premises_instances,
		"{\"tags\":[{\"Key\":\"stage\",\"Value\":\"prod\"}],\"instanceNames\":[\"b\"]}");
	call_ok(f, api_list_on_premises_instances,
		"{\"tagFilters\":[{\"Key\":\"stage\",\"Type\":\"KEY_ONLY\"}]}");
	assert_body(f, "{\"instanceNames\":[]}");
}

/* ---- a deployment as people see it ---- */

static char *deploy(struct fixture *f)
{
	call_ok(f, api_create_deployment, "{" GROUP "," S3 ",\"description\":\"first\"}");
	return xstrdup(text_of(f, NULL, "deploymentId"));
}

static char *with_id(const char *id, const char *rest)
{
	return xasprintf("{\"deploymentId\":\"%s\"%s}", id, rest);
}

static void a_deployment_is_answered_in_its_documented_shape(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	with_host(f, "web1");
	poll_as(f, "web1", "web1");
	assert_true(f->parked);
	auto_free char *id = deploy(f);
	assert_true(ids_is_deployment(id));
	auto_free char *input = with_id(id, "");
	call_ok(f, api_get_deployment, input);
	json_t *info = json_object_get(f->body, "deploymentInfo");
	assert_true(json_is_number(json_object_get(info, "createTime")));
	assert_true(json_is_number(json_object_get(info, "startTime")));
	assert_null(json_object_get(info, "completeTime"));
	json_object_del(info, "createTime");
	json_object_del(info, "startTime");
	json_object_del(info, "deploymentId");
	assert_body(f,
		    "{\"deploymentInfo\":{\"applicationName\":\"app\",\"deploymentGroupName\":"
		    "\"web\",\"deploymentConfigName\":\"CodeDeployDefault.OneAtATime\",\"status\":"
		    "\"InProgress\",\"creator\":\"user\",\"computePlatform\":\"Server\","
		    "\"deploymentOverview\":{\"Pending\":0,\"InProgress\":1,\"Succeeded\":0,"
		    "\"Failed\":0,\"Skipped\":0,\"Ready\":0},\"deploymentStatusMessages\":["
		    "\"CodeDeployDefault.OneAtATime: the only host must succeed\","
		    "\"0 succeeded, 0 failed, 1 in progress, 0 pending, 0 skipped\"],"
		    "\"revision\":{\"revisionType\":\"S3\",\"s3Location\":{\"bucket\":\"bkt\","
		    "\"key\":\"app.zip\",\"bundleType\":\"zip\"}},\"rollbackInfo\":{},"
		    "\"deploymentStyle\":{\"deploymentType\":\"IN_PLACE\",\"deploymentOption\":"
		    "\"WITHOUT_TRAFFIC_CONTROL\"},\"instanceTerminationWaitTimeStarted\":false,"
		    "\"description\":\"first\",\"ignoreApplicationStopFailures\":false,"
		    "\"updateOutdatedInstancesOnly\":false,\"fileExistsBehavior\":\"DISALLOW\"}}");
	call_ok(f, api_list_deployments, "{" GROUP ",\"includeOnlyStatuses\":[\"InProgress\"]}");
	auto_free char *list = xasprintf("{\"deployments\":[\"%s\"]}", id);
	assert_body(f, list);
	call(f, api_create_deployment, "{" GROUP "," S3 "}");
	auto_free char *active =
		xasprintf("The Deployment Group 'web' already has an active Deployment '%s'", id);
	assert_fault(f, "DeploymentLimitExceededException", active);
}

static void a_target_is_answered_in_its_documented_shape(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	with_host(f, "web1");
	poll_as(f, "web1", "web1");
	auto_free char *id = deploy(f);
	auto_free char *batch = with_id(id, ",\"targetIds\":[\"web1\"]");
	call_ok(f, api_batch_get_deployment_targets, batch);
	json_t *target = json_object_get(
		json_array_get(json_object_get(f->body, "deploymentTargets"), 0), "instanceTarget");
	assert_string_equal(api_text(target, "targetArn"),
			    "arn:aws:codedeploy:us-east-1:123456789012:instance/web1");
	assert_string_equal(api_text(target, "status"), "InProgress");
	auto_free char *events = json_text(json_object_get(target, "lifecycleEvents"));
	assert_string_equal(events,
			    "[{\"lifecycleEventName\":\"ApplicationStop\",\"status\":\"Pending\"},"
			    "{\"lifecycleEventName\":\"DownloadBundle\",\"status\":\"Pending\"},"
			    "{\"lifecycleEventName\":\"BeforeInstall\",\"status\":\"Pending\"},"
			    "{\"lifecycleEventName\":\"Install\",\"status\":\"Pending\"},"
			    "{\"lifecycleEventName\":\"AfterInstall\",\"status\":\"Pending\"},"
			    "{\"lifecycleEventName\":\"ApplicationStart\",\"status\":\"Pending\"},"
			    "{\"lifecycleEventName\":\"ValidateService\",\"status\":\"Pending\"}]");
	auto_free char *ghost = with_id(id, ",\"targetId\":\"ghost\"");
	call(f, api_get_deployment_target, ghost);
	assert_fault(f, "DeploymentTargetDoesNotExistException", "ghost");
	auto_free char *failed = with_id(id, ",\"targetFilters\":{\"TargetStatus\":[\"Failed\"]}");
	call_ok(f, api_list_deployment_targets, failed);
	assert_body(f, "{\"targetIds\":[]}");
	auto_free char *label =
		with_id(id, ",\"targetFilters\":{\"ServerInstanceLabel\":[\"Blue\"]}");
	call(f, api_list_deployment_targets, label);
	assert_fault(f, "InvalidDeploymentInstanceTypeException", "blue/green");
	auto_free char *odd = with_id(id, ",\"targetFilters\":{\"Mood\":[\"good\"]}");
	call(f, api_list_deployment_targets, odd);
	assert_fault(f, "InvalidTargetFilterNameException", "Mood");
	auto_free char *status = with_id(id, ",\"targetFilters\":{\"TargetStatus\":[\"Odd\"]}");
	call(f, api_list_deployment_targets, status);
	assert_fault(f, "InvalidInstanceStatusException", "Odd");
}

static void a_stopped_deployment_may_be_stopped_again(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	with_host(f, "web1");
	poll_as(f, "web1", "web1");
	auto_free char *id = deploy(f), *input = with_id(id, ",\"autoRollbackEnabled\":true");
	for (int i = 0; i < 2; i++) {
		call_ok(f, api_stop_deployment, input);
		assert_body(f, "{\"status\":\"Succeeded\",\"statusMessage\":\"No more commands "
			       "will be scheduled for execution in the deployment instances\"}");
	}
	call_ok(f, api_get_deployment, input);
	const json_t *info = json_object_get(f->body, "deploymentInfo");
	assert_string_equal(api_text(info, "status"), "Stopped");
	assert_string_equal(api_text(json_object_get(info, "errorInformation"), "code"),
			    "MANUAL_STOP");
	assert_string_equal(api_text(json_object_get(info, "rollbackInfo"), "rollbackMessage"),
			    DEPLOY_NO_ROLLBACK);
	assert_true(json_is_number(json_object_get(info, "completeTime")));
}

static void a_finished_deployment_cannot_be_stopped(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	auto_free char *id = deploy(f), *input = with_id(id, "");
	call(f, api_stop_deployment, input);
	assert_fault(f, "DeploymentAlreadyCompletedException", id);
	call_ok(f, api_get_deployment, input);
	const json_t *info = json_object_get(f->body, "deploymentInfo");
	assert_string_equal(api_text(info, "status"), "Failed");
	assert_string_equal(api_text(json_object_get(info, "errorInformation"), "code"),
			    "NO_INSTANCES");
}

static void deleting_a_group_ends_its_deployment(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	with_host(f, "web1");
	poll_as(f, "web1", "web1");
	auto_free char *id = deploy(f), *input = with_id(id, "");
	call_ok(f, api_delete_deployment_group, "{" GROUP "}");
	call_ok(f, api_get_deployment, input);
	const json_t *info = json_object_get(f->body, "deploymentInfo");
	assert_string_equal(api_text(json_object_get(info, "errorInformation"), "code"),
			    "DEPLOYMENT_GROUP_MISSING");
	call_ok(f, api_delete_application, "{\"applicationName\":\"app\"}");
	call(f, api_get_deployment, input);
	assert_fault(f, "DeploymentDoesNotExistException", id);
}

/* ---- bundles of our own store ---- */

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void put_object(struct fixture *f)
{
	struct store_object object = {.bucket = "bkt",
				      .key = (char *)"app.zip",
				      .version = "v1",
				      .sha256 = SHA256,
				      .md5 = "etag1",
				      .size = 12,
				      .created_s = 1};
	OK(store_object_put(f->control.store, &object, &f->err));
}

#define TAGGED(etag)                                                                           \
	"{" GROUP ",\"revision\":{\"revisionType\":\"S3\",\"s3Location\":{\"bucket\":\"bkt\"," \
	"\"key\":\"app.zip\",\"bundleType\":\"zip\",\"eTag\":" etag "}}}"

static void an_etag_is_compared_with_our_own_object(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	put_object(f);
	call(f, api_create_deployment, TAGGED("\"other\""));
	assert_fault(f, "InvalidRevisionException",
		     "the object s3://bkt/app.zip has ETag 'etag1', the revision says 'other'");
	call_ok(f, api_create_deployment, TAGGED("\"\\\"etag1\\\"\""));
}

static void the_specification_names_host_bytes_and_expiry(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	put_object(f);
	with_host(f, "web1");
	poll_as(f, "web1", "web1");
	call_ok(f, api_create_deployment, TAGGED("\"etag1\""));
	poll_as(f, "web1", "web1");
	const json_t *command = json_object_get(f->body, "HostCommand");
	auto_free char *input = xasprintf(
		"{\"DeploymentExecutionId\":\"%s\",\"HostIdentifier\":\"%s\"}",
		api_text(command, "DeploymentExecutionId"), api_text(command, "HostIdentifier"));
	host_calls(f, "web1", api_get_deployment_specification, input);
	assert_int_equal(f->status, 200);
	const json_t *envelope = json_object_get(
		json_object_get(f->body, "DeploymentSpecification"), "GenericEnvelope");
	assert_string_equal(api_text(envelope, "Format"), "PKCS7/JSON");
	const char *payload = api_text(envelope, "Payload");
	auto_json json_t *json = NULL;
	auto_wire_spec struct wire_spec *spec = NULL;
	OK(json_parse(payload, strlen(payload), 65536, &json, &f->err));
	OK(wire_spec_from_json(json, &spec, &f->err));
	assert_string_equal(spec->sha256, SHA256);
	assert_int_equal(spec->size_bytes, 12);
	assert_string_equal(spec->host, "arn:aws:codedeploy:us-east-1:123456789012:instance/web1");
	assert_true(spec->not_after_s > 0);
	assert_string_equal(spec->bucket, "bkt");
	assert_string_equal(spec->etag, "etag1");
	assert_string_equal(spec->file_exists, "DISALLOW");
}

/* ---- the command API ---- */

static void a_host_polls_for_itself_only(void **state)
{
	struct fixture *f = *state;
	with_host(f, "web1");
	with_host(f, "web2");
	poll_as(f, "web1", "web2");
	assert_fault(f, "AccessDeniedException", "not the caller's own");
	call(f, api_poll_host_command, "{\"HostIdentifier\":\"x\"}");
	assert_fault(f, "AccessDeniedException", "only an enrolled host");
	host_calls(f, "web1", api_poll_host_command, "{}");
	assert_fault(f, "ClientException", "'HostIdentifier' is required");
}

static void reports_are_checked(void **state)
{
	struct fixture *f = *state;
	with_host(f, "web1");
	host_calls(f, "web1", api_put_host_command_complete, "{\"CommandStatus\":\"Failed\"}");
	assert_fault(f, "ClientException", "'HostCommandIdentifier' is required");
	host_calls(f, "web1", api_put_host_command_complete,
		   "{\"HostCommandIdentifier\":\"x\",\"CommandStatus\":\"Pending\"}");
	assert_fault(f, "ClientException", "Pending");
	host_calls(f, "web1", api_put_host_command_complete,
		   "{\"HostCommandIdentifier\":\"x\",\"CommandStatus\":\"Failed\"}");
	assert_fault(f, "AccessDeniedException", "not given out by this endpoint");
	host_calls(f, "web1", api_put_host_command_acknowledgement,
		   "{\"HostCommandIdentifier\":\"x\",\"Diagnostics\":{\"Format\":\"XML\","
		   "\"Payload\":\"<x/>\"}}");
	assert_fault(f, "ClientException", "XML");
	host_calls(f, "web1", api_post_host_command_update, "{\"HostCommandIdentifier\":\"x\"}");
	assert_fault(f, "AccessDeniedException", "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(applications_are_checked),
		TEST(groups_are_checked),
		TEST(revisions_are_checked),
		TEST(deployments_are_checked),
		TEST(hosts_are_checked),
		TEST(an_application_is_answered_in_its_documented_shape),
		TEST(a_long_list_comes_in_pages),
		TEST(a_group_is_answered_with_its_settings_and_defaults),
		TEST(settings_that_switch_something_off_are_kept),
		TEST(the_three_configurations_are_there),
		TEST(hosts_are_listed_by_status_and_tag),
		TEST(a_deployment_is_answered_in_its_documented_shape),
		TEST(a_target_is_answered_in_its_documented_shape),
		TEST(a_stopped_deployment_may_be_stopped_again),
		TEST(a_finished_deployment_cannot_be_stopped),
		TEST(deleting_a_group_ends_its_deployment),
		TEST(an_etag_is_compared_with_our_own_object),
		TEST(the_specification_names_host_bytes_and_expiry),
		TEST(a_host_polls_for_itself_only),
		TEST(reports_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
