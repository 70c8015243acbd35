// SPDX-License-Identifier: Apache-2.0
#include "control/route.h"
#include "tests/unit/unit.h"

static void an_operation_is_found_by_its_target(void **state)
{
	const struct route *route = NULL;
	assert_int_equal(route_find("POST", "/", "CodeDeploy_20141006.ListApplications", &route),
			 ROUTE_FOUND);
	assert_string_equal(route->operation, "ListApplications");
	assert_int_equal(route->roles, ROLE_ADMIN);
}

static void the_command_service_has_three_names(void **state)
{
	const struct route *plain = NULL, *secure = NULL, *policy = NULL;
	assert_int_equal(route_find("POST", "/",
				    "CodeDeployCommandService_v20141006.PollHostCommand", &plain),
			 ROUTE_FOUND);
	assert_int_equal(route_find("POST", "/",
				    "CodeDeployCommandService_v20141006-secure.PollHostCommand",
				    &secure),
			 ROUTE_FOUND);
	assert_int_equal(
		route_find("POST", "/", "CodeDeployCommandService.PollHostCommand", &policy),
		ROUTE_FOUND);
	assert_ptr_equal(plain, secure);
	assert_ptr_equal(plain, policy);
	assert_int_equal(plain->roles, ROLE_HOST);
}

static void operations_of_one_service_are_not_of_the_other(void **state)
{
	const struct route *route = NULL;
	assert_int_equal(route_find("POST", "/", "CodeDeploy_20141006.PollHostCommand", &route),
			 ROUTE_UNKNOWN_OPERATION);
	assert_int_equal(route_find("POST", "/",
				    "CodeDeployCommandService_v20141006.ListApplications", &route),
			 ROUTE_UNKNOWN_OPERATION);
}

static void a_target_that_is_none_is_no_operation(void **state)
{
	static const char *const targets[] = {"",
					      ".",
					      "x",
					      "CodeDeploy_20141006.",
					      "CodeDeploy_20141006",
					      "CodeDeploy_20141006x.GetX",
					      "a.CodeDeploy_20141006.ListApplications"};
	const struct route *route = NULL;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++)
		assert_int_equal(route_find("POST", "/", targets[i], &route),
				 ROUTE_UNKNOWN_OPERATION);
	assert_int_equal(route_find("POST", "/", NULL, &route), ROUTE_NO_TARGET);
}

static void every_management_operation_is_for_administrators(void **state)
{
	static const char *const names[] = {
		"CodeDeploy_20141006.CreateDeployment",
		"CodeDeploy_20141006.UpdateDeploymentGroup",
		"CodeDeploy_20141006.DeleteResourcesByExternalId",
		"CodeDeploy_20141006.AddTagsToOnPremisesInstances",
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct route *route = NULL;
		assert_int_equal(route_find("POST", "/", names[i], &route), ROUTE_FOUND);
		assert_int_equal(route->roles, ROLE_ADMIN);
		assert_int_equal(route->body_max, ROUTE_JSON_MAX);
	}
}

static void enrolment_is_for_everybody_and_renewal_for_hosts(void **state)
{
	const struct route *route = NULL;
	assert_int_equal(route_find("POST", "/slipway/v1/enroll", NULL, &route), ROUTE_FOUND);
	assert_int_equal(route->roles, ROLE_NOBODY);
	assert_int_equal(route_find("POST", "/slipway/v1/renew", NULL, &route), ROUTE_FOUND);
	assert_int_equal(route->roles, ROLE_HOST);
	assert_int_equal(route_find("GET", "/slipway/v1/enroll", NULL, &route), ROUTE_NO_METHOD);
}

static void our_own_prefix_is_no_bucket(void **state)
{
	const struct route *route = NULL;
	assert_int_equal(route_find("GET", "/slipway/v1/other", NULL, &route), ROUTE_NO_PATH);
	assert_int_equal(route_find("PUT", "/slipway/x", NULL, &route), ROUTE_NO_PATH);
	assert_int_equal(route_find("PUT", "/slipwayx/x", NULL, &route), ROUTE_FOUND);
}

static void only_administrators_write_objects_and_only_uploads_are_streamed(void **state)
{
	const struct route *route = NULL;
	assert_int_equal(route_find("GET", "/bundles/key", NULL, &route), ROUTE_FOUND);
	assert_int_equal(route->roles, ROLE_HOST | ROLE_ADMIN);
	assert_false(route->streamed);
	assert_int_equal(route_find("PUT", "/bundles/key", NULL, &route), ROUTE_FOUND);
	assert_int_equal(route->roles, ROLE_ADMIN);
	assert_true(route->streamed);
	assert_true(route->s3);
	assert_int_equal(route_find("PATCH", "/bundles/key", NULL, &route), ROUTE_NO_METHOD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_operation_is_found_by_its_target),
		cmocka_unit_test(the_command_service_has_three_names),
		cmocka_unit_test(operations_of_one_service_are_not_of_the_other),
		cmocka_unit_test(a_target_that_is_none_is_no_operation),
		cmocka_unit_test(every_management_operation_is_for_administrators),
		cmocka_unit_test(enrolment_is_for_everybody_and_renewal_for_hosts),
		cmocka_unit_test(our_own_prefix_is_no_bucket),
		cmocka_unit_test(only_administrators_write_objects_and_only_uploads_are_streamed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
