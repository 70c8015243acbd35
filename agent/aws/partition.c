// SPDX-License-Identifier: Apache-2.0
#include "agent/aws/partition.h"

#include "common/alloc.h"
#include "common/attr.h"
#include "common/str.h"

#include <string.h>

enum { REGION_MAX = 32 };

/* The first whose prefix fits, so "us-iso-" does not take "us-isob-". */
static const struct partition partitions[] = {
	{"aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-"},
	{"aws-us-gov", "amazonaws.com", "api.aws", "us-gov-"},
	{"aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-"},
	{"aws-iso", "c2s.ic.gov", "api.aws.ic.gov", "us-iso-"},
	{"aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", "us-isob-"},
	{"aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe-"},
	{"aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof-"},
	{"aws", "amazonaws.com", "api.aws", ""},
};

const struct partition *partition_of_region(const char *region)
{
	const struct partition *p = partitions;
	while (!str_starts(region, p->region_prefix))
		p++;
	return p;
}

const struct partition *partition_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(partitions); i++)
		if (str_eq(partitions[i].name, name))
			return &partitions[i];
	return NULL;
}

bool partition_is_region(const char *s)
{
	size_t len = s ? strlen(s) : 0;
	return len > 0 && len <= REGION_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && s[0] != '-' &&
	       s[len - 1] != '-';
}

static int check_region(const char *region, struct error *err)
{
	if (partition_is_region(region))
		return 0;
	return error_set(err, ERR_INPUT, "'%.64s' is no region of AWS", region ? region : "");
}

static const char *suffix_of(const char *region, const struct partition_options *options)
{
	const struct partition *p = partition_of_region(region);
	if (options->suffix)
		return options->suffix;
	return options->dual_stack ? p->dual_stack_suffix : p->suffix;
}

/* The command service has no others. */
static bool has_fips(const char *region)
{
	static const char *const regions[] = {"us-east-1", "us-east-2",     "us-west-1",
					      "us-west-2", "us-gov-west-1", "us-gov-east-1"};
	for (size_t i = 0; i < ARRAY_LEN(regions); i++)
		if (str_eq(regions[i], region))
			return true;
	return false;
}

const char *partition_commands_service(bool secure)
{
	return secure ? "codedeploy-commands-secure" : "codedeploy-commands";
}

const char *partition_commands_target(bool secure)
{
	return secure ? "CodeDeployCommandService" : "CodeDeployCommandService_v20141006";
}

int partition_commands_url(const char *region, const struct partition_options *options, char **ret,
			   struct error *err)
{
	int r = check_region(region, err);
	if (r < 0)
		return r;
	if (options->fips && !has_fips(region))
		return error_set(err, ERR_INPUT,
				 "the command service has no FIPS endpoint in region '%s': set "
				 "use_fips_mode to false, or deploy_control_endpoint",
				 region);
	*ret = xasprintf("https://%s%s.%s.%s", partition_commands_service(options->secure),
			 options->fips ? "-fips" : "", region, suffix_of(region, options));
	return 0;
}

/* S3 says dual-stack in the name, under the suffix of IPv4. */
int partition_s3_host(const char *region, const struct partition_options *options, char **ret,
		      struct error *err)
{
	int r = check_region(region, err);
	if (r < 0)
		return r;
	const char *suffix =
		options->suffix ? options->suffix : partition_of_region(region)->suffix;
	*ret = xasprintf("s3%s%s.%s.%s", options->fips ? "-fips" : "",
			 options->dual_stack ? ".dualstack" : "", region, suffix);
	return 0;
}

char *partition_instance_arn(const char *partition, const char *region, const char *account,
			     const char *instance)
{
	return xasprintf("arn:%s:ec2:%s:%s:instance/%s", partition, region, account, instance);
}
