// SPDX-License-Identifier: Apache-2.0
/* What the management API refuses, and in which words. */
#include "tests/unit/api.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(applications_are_checked), TEST(groups_are_checked),
		TEST(revisions_are_checked),    TEST(deployments_are_checked),
		TEST(hosts_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
