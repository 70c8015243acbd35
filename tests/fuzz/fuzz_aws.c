// SPDX-License-Identifier: Apache-2.0
/* What files and the metadata service say of identity and credentials: whatever is taken can stand
 * in a header and in a host name, and what is not taken is not quoted. */
#include "agent/aws/keys.h"
#include "agent/aws/partition.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

static void check_text(const char *s)
{
	assert(s && *s);
	for (; *s; s++)
		assert(*s > ' ' && *s < 127);
}

static void check_keys(const struct aws_credentials *keys)
{
	check_text(keys->access_key_id);
	check_text(keys->secret);
	if (keys->session_token)
		check_text(keys->session_token);
}

static void check_identity(const struct aws_identity *who)
{
	check_text(who->host_identifier);
	assert(partition_is_region(who->region));
	assert(!strpbrk(who->region, "./:@") && (!who->suffix || !strpbrk(who->suffix, "/:@?#")));
}

static void check_failure(int r, const struct error *err)
{
	assert(r < 0 && err->code < 0 && *err->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_aws_onpremises struct aws_onpremises *file = NULL;
	auto_aws_keys struct aws_credentials *session = NULL, *role = NULL;
	auto_aws_identity struct aws_identity *who = NULL;
	struct error err = {0};
	auto_secret char *text = strndup((const char *)data, size);
	int r = aws_onpremises_parse("f.yml", (const char *)data, size, &file, &err);
	if (r < 0)
		check_failure(r, &err);
	if (file) {
		check_identity(file->identity);
		assert(!file->keys != !file->credentials_file);
		if (file->keys)
			check_keys(file->keys);
	}
	r = aws_session_parse("f", text, strlen(text), "default", &session, &err);
	if (r == 0)
		check_keys(session);
	else
		check_failure(r, &err);
	r = aws_role_parse((const char *)data, size, &role, &err);
	if (r == 0)
		check_keys(role);
	else
		check_failure(r, &err);
	const struct aws_instance instance = {
		.document = text, .partition = "aws-moon", .domain = text};
	r = aws_instance_parse(&instance, &who, &err);
	if (r == 0)
		check_identity(who);
	else
		check_failure(r, &err);
	return 0;
}
