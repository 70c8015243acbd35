// SPDX-License-Identifier: Apache-2.0
#include "agent/aws/identity.h"

#include "common/alloc.h"

#include <strings.h>

const char *aws_source_to_string(enum aws_source source)
{
	static const char *const names[] = {
		[AWS_USER] = "user",
		[AWS_SESSION] = "session",
		[AWS_ROLE] = "role",
	};
	return names[source];
}

void aws_identity_free(struct aws_identity *identity)
{
	if (!identity)
		return;
	free(identity->host_identifier);
	free(identity->region);
	free(identity->name);
	free(identity->suffix);
	free(identity);
}

bool aws_env_is_true(const char *name)
{
	const char *value = getenv(name);
	return value && strcasecmp(value, "true") == 0;
}

struct partition_options aws_options(const struct settings *settings,
				     const struct aws_identity *identity)
{
	return (struct partition_options){
		.secure = settings->enable_auth_policy,
		.fips = settings->use_fips_mode || aws_env_is_true("AWS_USE_FIPS_ENDPOINT"),
		.dual_stack = settings->use_dualstack_endpoint ||
			      aws_env_is_true("AWS_USE_DUALSTACK_ENDPOINT"),
		.suffix = identity ? identity->suffix : NULL,
	};
}

int aws_commands_url(const struct settings *settings, const struct aws_identity *identity,
		     char **ret, struct error *err)
{
	const struct partition_options options = aws_options(settings, identity);
	if (!settings->endpoint)
		return partition_commands_url(identity->region, &options, ret, err);
	*ret = xstrdup(settings->endpoint);
	return 0;
}
