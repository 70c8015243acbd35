/* SPDX-License-Identifier: Apache-2.0 */
/* Where the services of AWS are, for every region of every partition, and how a host there is
 * named. Pure. Partitions and suffixes: partitions.json of the AWS SDKs; names of the command
 * service: docs/formats/aws.md. */
#pragma once

#include "common/error.h"

#include <stdbool.h>

struct partition {
	const char *name;              /* "aws", "aws-cn", ... */
	const char *suffix;            /* "amazonaws.com" */
	const char *dual_stack_suffix; /* "api.aws" */
	const char *region_prefix;     /* "cn-"; "": all that no other partition has */
};

/* Never NULL: a region that nobody has named yet is of "aws". */
const struct partition *partition_of_region(const char *region);
/* NULL: none of that name. */
const struct partition *partition_named(const char *name);
/* May s stand in a host name as a region? [a-z0-9-], 1 to 32 characters, no '-' at its ends. */
bool partition_is_region(const char *s);

struct partition_options {
	bool secure; /* enable_auth_policy */
	bool fips, dual_stack;
	const char *suffix; /* of all hosts, instead of the partition's; NULL: the partition's */
};

/* "https://codedeploy-commands.eu-west-1.amazonaws.com" into *ret, which the caller frees.
 * ERR_INPUT when the region is none, or has no endpoint of that kind. */
int partition_commands_url(const char *region, const struct partition_options *options, char **ret,
			   struct error *err) MUST_CHECK;
/* What requests to it are signed for, and what X-Amz-Target begins with. */
const char *partition_commands_service(bool secure);
const char *partition_commands_target(bool secure);

/* "s3.eu-west-1.amazonaws.com" into *ret: a bucket goes in front of it, or into the path. */
int partition_s3_host(const char *region, const struct partition_options *options, char **ret,
		      struct error *err) MUST_CHECK;

/* "arn:aws:ec2:REGION:ACCOUNT:instance/ID". Caller frees. */
char *partition_instance_arn(const char *partition, const char *region, const char *account,
			     const char *instance);
