// SPDX-License-Identifier: Apache-2.0
#include "agent/aws/identity.h"

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
