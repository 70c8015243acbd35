// SPDX-License-Identifier: Apache-2.0
/* Hosts of AWS, for all partitions and options. */
#include "agent/aws/partition.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "tests/unit/unit.h"

#include <string.h>

static void every_region_belongs_to_its_partition(void **state)
{
	static const struct {
		const char *region, *name, *suffix, *dual_stack;
	} cases[] = {
		{"us-east-1", "aws", "amazonaws.com", "api.aws"},
		{"ap-southeast-7", "aws", "amazonaws.com", "api.aws"},
		{"eu-west-1", "aws", "amazonaws.com", "api.aws"},
		{"mx-central-1", "aws", "amazonaws.com", "api.aws"},
		{"us-gov-west-1", "aws-us-gov", "amazonaws.com", "api.aws"},
		{"cn-north-1", "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
		{"eusc-de-east-1", "aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"},
		{"us-iso-east-1", "aws-iso", "c2s.ic.gov", "api.aws.ic.gov"},
		{"us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud"},
		{"eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
		{"us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct partition *p = partition_of_region(cases[i].region);
		assert_string_equal(p->name, cases[i].name);
		assert_string_equal(p->suffix, cases[i].suffix);
		assert_string_equal(p->dual_stack_suffix, cases[i].dual_stack);
		assert_ptr_equal(partition_named(cases[i].name), p);
	}
	assert_null(partition_named("aws-moon"));
}

static void a_region_is_nothing_that_changes_the_host(void **state)
{
	static const char *const bad[] = {"",
					  "-us-east-1",
					  "us-east-1-",
					  "us_east_1",
					  "US-EAST-1",
					  "us-east-1.evil.example",
					  "us-east-1/x",
					  "x@evil",
					  "us-east-1 ",
					  "a23456789012345678901234567890123"};
	struct error err = {0};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *url = NULL;
		const struct partition_options plain = {0};
		assert_false(partition_is_region(bad[i]));
		assert_int_equal(partition_commands_url(bad[i], &plain, &url, &err), ERR_INPUT);
		assert_int_equal(partition_s3_host(bad[i], &plain, &url, &err), ERR_INPUT);
		assert_null(url);
	}
	assert_false(partition_is_region(NULL));
	assert_true(partition_is_region("us-east-1"));
}

static void the_command_service_has_a_host_for_every_option(void **state)
{
	static const struct {
		const char *region;
		struct partition_options options;
		const char *url;
	} cases[] = {
		{"eu-west-1", {0}, "https://codedeploy-commands.eu-west-1.amazonaws.com"},
		{"us-east-1",
		 {.fips = true},
		 "https://codedeploy-commands-fips.us-east-1.amazonaws.com"},
		{"eu-west-1",
		 {.secure = true},
		 "https://codedeploy-commands-secure.eu-west-1.amazonaws.com"},
		{"us-gov-west-1",
		 {.secure = true, .fips = true},
		 "https://codedeploy-commands-secure-fips.us-gov-west-1.amazonaws.com"},
		{"eu-west-1",
		 {.dual_stack = true},
		 "https://codedeploy-commands.eu-west-1.api.aws"},
		{"us-west-2",
		 {.secure = true, .fips = true, .dual_stack = true},
		 "https://codedeploy-commands-secure-fips.us-west-2.api.aws"},
		{"cn-north-1", {0}, "https://codedeploy-commands.cn-north-1.amazonaws.com.cn"},
		{"eusc-de-east-1", {0}, "https://codedeploy-commands.eusc-de-east-1.amazonaws.eu"},
		{"us-iso-east-1", {0}, "https://codedeploy-commands.us-iso-east-1.c2s.ic.gov"},
		{"us-isob-east-1", {0}, "https://codedeploy-commands.us-isob-east-1.sc2s.sgov.gov"},
		{"eu-isoe-west-1",
		 {0},
		 "https://codedeploy-commands.eu-isoe-west-1.cloud.adc-e.uk"},
		{"us-isof-south-1",
		 {.dual_stack = true},
		 "https://codedeploy-commands.us-isof-south-1.api.aws.hci.ic.gov"},
		{"new-moon-1",
		 {.suffix = "aws.moon"},
		 "https://codedeploy-commands.new-moon-1.aws.moon"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *url = NULL;
		struct error err = {0};
		if (partition_commands_url(cases[i].region, &cases[i].options, &url, &err) < 0)
			fail_msg("%s", err.text);
		assert_string_equal(url, cases[i].url);
	}
}

static void fips_is_refused_where_there_is_none(void **state)
{
	static const char *const none[] = {"eu-west-1", "cn-north-1", "ca-central-1",
					   "us-iso-east-1"};
	static const char *const some[] = {"us-east-1", "us-east-2",     "us-west-1",
					   "us-west-2", "us-gov-west-1", "us-gov-east-1"};
	const struct partition_options fips = {.fips = true};
	struct error err = {0};
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		char *url = NULL;
		assert_int_equal(partition_commands_url(none[i], &fips, &url, &err), ERR_INPUT);
		assert_non_null(strstr(err.text, none[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(some); i++) {
		auto_free char *url = NULL;
		assert_int_equal(partition_commands_url(some[i], &fips, &url, &err), 0);
	}
}

static void the_signature_knows_nothing_of_fips(void **state)
{
	assert_string_equal(partition_commands_service(false), "codedeploy-commands");
	assert_string_equal(partition_commands_service(true), "codedeploy-commands-secure");
	assert_string_equal(partition_commands_target(false), "CodeDeployCommandService_v20141006");
	assert_string_equal(partition_commands_target(true), "CodeDeployCommandService");
}

static void s3_has_a_host_for_every_option(void **state)
{
	static const struct {
		const char *region;
		struct partition_options options;
		const char *host;
	} cases[] = {
		{"us-east-1", {0}, "s3.us-east-1.amazonaws.com"},
		{"cn-north-1", {0}, "s3.cn-north-1.amazonaws.com.cn"},
		{"eusc-de-east-1", {0}, "s3.eusc-de-east-1.amazonaws.eu"},
		{"us-isob-east-1", {0}, "s3.us-isob-east-1.sc2s.sgov.gov"},
		{"us-gov-east-1", {.fips = true}, "s3-fips.us-gov-east-1.amazonaws.com"},
		{"eu-west-1", {.dual_stack = true}, "s3.dualstack.eu-west-1.amazonaws.com"},
		{"us-west-2",
		 {.fips = true, .dual_stack = true},
		 "s3-fips.dualstack.us-west-2.amazonaws.com"},
		{"new-moon-1", {.suffix = "aws.moon"}, "s3.new-moon-1.aws.moon"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_free char *host = NULL;
		struct error err = {0};
		assert_int_equal(partition_s3_host(cases[i].region, &cases[i].options, &host, &err),
				 0);
		assert_string_equal(host, cases[i].host);
	}
}

static void an_instance_is_named_by_its_arn(void **state)
{
	auto_free char *arn =
		partition_instance_arn("aws-cn", "cn-north-1", "111122223333", "i-0abc");
	assert_string_equal(arn, "arn:aws-cn:ec2:cn-north-1:111122223333:instance/i-0abc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_region_belongs_to_its_partition),
		cmocka_unit_test(a_region_is_nothing_that_changes_the_host),
		cmocka_unit_test(the_command_service_has_a_host_for_every_option),
		cmocka_unit_test(fips_is_refused_where_there_is_none),
		cmocka_unit_test(the_signature_knows_nothing_of_fips),
		cmocka_unit_test(s3_has_a_host_for_every_option),
		cmocka_unit_test(an_instance_is_named_by_its_arn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
