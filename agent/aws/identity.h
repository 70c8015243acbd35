/* SPDX-License-Identifier: Apache-2.0 */
/* Who this host is for AWS, and who says so: the on-premises file, else the instance's metadata
 * (IMDS). How it is found out: credentials.h. */
#pragma once

#include "agent/aws/partition.h"
#include "agent/settings.h"
#include "common/cleanup.h"

enum aws_source {
	AWS_USER,    /* on-premises file, keys of an IAM user in it */
	AWS_SESSION, /* on-premises file, keys in the credentials file that it names */
	AWS_ROLE,    /* the instance's role, from IMDS */
};
/* "user", "session", "role". */
const char *aws_source_to_string(enum aws_source source);

struct aws_identity {
	enum aws_source source;
	char *host_identifier; /* ARN */
	char *region;
	char *name;   /* the last part of the ARN */
	char *suffix; /* of host names, where the region's partition is not known here; else NULL */
};
void aws_identity_free(struct aws_identity *identity);
DEFINE_CLEANUP(struct aws_identity *, aws_identity_free)
#define auto_aws_identity CLEANUP(aws_identity_free_at)

/* "true" in any case, as the SDKs have it. */
bool aws_env_is_true(const char *name);
/* What agent.yml and the environment (AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT) say of
 * endpoints; suffix is borrowed from identity, and not known where that is NULL. */
struct partition_options aws_options(const struct settings *settings,
				     const struct aws_identity *identity);
/* The command service: deploy_control_endpoint, or by region and options. Caller frees *ret. */
int aws_commands_url(const struct settings *settings, const struct aws_identity *identity,
		     char **ret, struct error *err) MUST_CHECK;
