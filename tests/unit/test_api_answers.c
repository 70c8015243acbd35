// SPDX-License-Identifier: Apache-2.0
/* What the APIs answer, in the documented shapes. */
#include "tests/unit/api.h"

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
	/* a token that lost its end would go on at another place */
	auto_free char *cut = xasprintf("%.*s\"}", (int)strlen(input) - 3, input);
	call(f, api_list_applications, cut);
	assert_fault(f, "InvalidNextTokenException", "");
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

static void a_group_is_updated_by_what_is_given(void **state)
{
	struct fixture *f = *state;
#define CURRENT "\"applicationName\":\"app\",\"currentDeploymentGroupName\":\"web\""
	with_group(f);
	call_ok(f, api_get_deployment_group, "{" GROUP "}");
	auto_json json_t *before = json_incref(f->body);
	call_ok(f, api_update_deployment_group, "{" CURRENT ",\"tags\":[1]}");
	assert_body(f, "{\"hooksNotCleanedUp\":[]}");
	call_ok(f, api_get_deployment_group, "{" GROUP "}");
	assert_true(json_equal(before, f->body));

	call(f, api_update_deployment_group, "{" CURRENT ",\"serviceRoleArn\":\"x\"}");
	assert_fault(f, "InvalidRoleException", "x");
	call(f, api_update_deployment_group,
	     "{" CURRENT ",\"deploymentStyle\":{\"deploymentType\":\"BLUE_GREEN\"}}");
	assert_fault(f, "InvalidDeploymentStyleException", "IN_PLACE");
	call_ok(f, api_update_deployment_group,
		"{" CURRENT ",\"newDeploymentGroupName\":\"front\",\"deploymentConfigName\":"
		"\"CodeDeployDefault.AllAtOnce\",\"onPremisesInstanceTagFilters\":[]}");
	call(f, api_get_deployment_group, "{" GROUP "}");
	assert_fault(f, "DeploymentGroupDoesNotExistException", "web");
	call_ok(f, api_get_deployment_group,
		"{\"applicationName\":\"app\",\"deploymentGroupName\":\"front\"}");
	const json_t *info = json_object_get(f->body, "deploymentGroupInfo");
	assert_string_equal(api_text(info, "deploymentConfigName"), "CodeDeployDefault.AllAtOnce");
	assert_int_equal(json_array_size(json_object_get(info, "onPremisesInstanceTagFilters")), 0);
	assert_string_equal(
		api_text(info, "deploymentGroupId"),
		api_text(json_object_get(before, "deploymentGroupInfo"), "deploymentGroupId"));
#undef CURRENT
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

static void batches_have_what_is_there(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	with_host(f, "a");
	call_ok(f, api_batch_get_applications, "{\"applicationNames\":[\"app\"]}");
	assert_int_equal(json_array_size(json_object_get(f->body, "applicationsInfo")), 1);
	call(f, api_batch_get_applications, "{\"applicationNames\":[\"app\",\"no\"]}");
	assert_fault(f, "ApplicationDoesNotExistException", "no");
	call(f, api_batch_get_applications, "{\"applicationNames\":[\"a b\"]}");
	assert_fault(f, "InvalidApplicationNameException", "a b");
	call_ok(f, api_batch_get_deployment_groups,
		"{\"applicationName\":\"app\",\"deploymentGroupNames\":[\"x\",\"web\",\"y\"]}");
	assert_int_equal(json_array_size(json_object_get(f->body, "deploymentGroupsInfo")), 1);
	assert_string_equal(text_of(f, NULL, "errorMessage"), "not found: x, y");
	call_ok(f, api_batch_get_on_premises_instances, "{\"instanceNames\":[\"b\",\"a\"]}");
	assert_int_equal(json_array_size(json_object_get(f->body, "instanceInfos")), 1);
	call_ok(f, api_batch_get_deployments, "{\"deploymentIds\":[\"d-USUAELQEX\"]}");
	assert_body(f, "{\"deploymentsInfo\":[]}");
	call(f, api_batch_get_deployments, "{}");
	assert_fault(f, "DeploymentIdRequiredException", "");
}

static void revisions_are_found_again(void **state)
{
	struct fixture *f = *state;
	with_group(f);
	call(f, api_get_application_revision, "{\"applicationName\":\"app\"," S3 "}");
	assert_fault(f, "RevisionDoesNotExistException", "app");
	call_ok(f, api_create_deployment, "{" GROUP "," S3 "}");
	call_ok(f, api_get_application_revision, "{\"applicationName\":\"app\"," S3 "}");
	const json_t *info = json_object_get(f->body, "revisionInfo");
	auto_free char *groups = json_text(json_object_get(info, "deploymentGroups"));
	assert_string_equal(groups, "[\"web\"]");
	assert_true(json_is_number(json_object_get(info, "firstUsedTime")));
	call_ok(f, api_list_application_revisions, "{\"applicationName\":\"app\"}");
	assert_body(f, "{\"revisions\":[{\"revisionType\":\"S3\",\"s3Location\":{\"bucket\":"
		       "\"bkt\",\"key\":\"app.zip\",\"bundleType\":\"zip\"}}]}");
	call_ok(f, api_list_application_revisions,
		"{\"applicationName\":\"app\",\"deployed\":\"exclude\"}");
	assert_body(f, "{\"revisions\":[]}");
	call_ok(f, api_list_application_revisions,
		"{\"applicationName\":\"app\",\"deployed\":\"include\"}");
	assert_int_equal(json_array_size(json_object_get(f->body, "revisions")), 1);
	call(f, api_list_application_revisions,
	     "{\"applicationName\":\"app\",\"s3KeyPrefix\":\"a\"}");
	assert_fault(f, "BucketNameFilterRequiredException", "s3Bucket");
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
				      .etag = "etag1",
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_application_is_answered_in_its_documented_shape),
		TEST(a_long_list_comes_in_pages),
		TEST(a_group_is_answered_with_its_settings_and_defaults),
		TEST(a_group_is_updated_by_what_is_given),
		TEST(settings_that_switch_something_off_are_kept),
		TEST(the_three_configurations_are_there),
		TEST(hosts_are_listed_by_status_and_tag),
		TEST(a_deployment_is_answered_in_its_documented_shape),
		TEST(batches_have_what_is_there),
		TEST(revisions_are_found_again),
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
