/* SPDX-License-Identifier: Apache-2.0 */
/* A set of credentials in memory of its own: not in core dumps, zeroed when it goes. And the files
 * and answers that it is read from; those are parsed from bytes, and never quoted in an error. */
#pragma once

#include "agent/aws/credentials.h"
#include "agent/aws/identity.h"

#include <stddef.h>

/* Copies; token may be NULL. ERR_FORMAT when one of them cannot stand in a header. */
int aws_keys_new(const char *id, const char *secret, const char *token, int64_t expires_s,
		 struct aws_credentials **ret, struct error *err) MUST_CHECK;
void aws_keys_free(struct aws_credentials *keys);
DEFINE_CLEANUP(struct aws_credentials *, aws_keys_free)
#define auto_aws_keys CLEANUP(aws_keys_free_at)

/* Text that holds secrets: zeroed, then freed. */
void aws_keys_free_text(char *text);
DEFINE_CLEANUP(char *, aws_keys_free_text)
#define auto_secret CLEANUP(aws_keys_free_text_at)

/* A file of secrets, at most 64 KiB, through symbolic links. -ENOENT when missing; -EACCES says who
 * should be able to read it. stamp changes with the file. */
struct aws_keys_stamp {
	uint64_t device, inode, size;
	int64_t changed_ns;
};
int aws_keys_read(const char *file, char **ret, size_t *ret_len, struct aws_keys_stamp *ret_stamp,
		  struct error *err) MUST_CHECK;
/* Is the file another than when it was read? false also when it is not to be seen. */
bool aws_keys_changed(const char *file, const struct aws_keys_stamp *stamp);

/* codedeploy.onpremises.yml (docs/formats/aws.md). *ret is NULL when it names no identity. name
 * stands in front of messages. */
struct aws_onpremises {
	struct aws_identity *identity;
	struct aws_credentials *keys; /* AWS_USER */
	char *credentials_file;       /* AWS_SESSION */
};
int aws_onpremises_parse(const char *name, const char *text, size_t len,
			 struct aws_onpremises **ret, struct error *err) MUST_CHECK;
void aws_onpremises_free(struct aws_onpremises *onpremises);
DEFINE_CLEANUP(struct aws_onpremises *, aws_onpremises_free)
#define auto_aws_onpremises CLEANUP(aws_onpremises_free_at)

/* [PROFILE] of an INI file with aws_access_key_id, aws_secret_access_key, aws_session_token. */
int aws_session_parse(const char *name, const char *text, size_t len, const char *profile,
		      struct aws_credentials **ret, struct error *err) MUST_CHECK;

/* JSON of iam/security-credentials/ROLE. */
int aws_role_parse(const char *text, size_t len, struct aws_credentials **ret,
		   struct error *err) MUST_CHECK;

/* Who an instance is. document: JSON of instance-identity/document, NULL where both region and
 * host_identifier (AWS_REGION, AWS_HOST_IDENTIFIER; NULL: not set) are given, which count before
 * it. partition: text of services/partition, NULL or nonsense: by the region. domain: that of
 * services/domain, used where the partition is not known here. */
struct aws_instance {
	const char *document, *partition, *domain, *region, *host_identifier;
};
int aws_instance_parse(const struct aws_instance *instance, struct aws_identity **ret,
		       struct error *err) MUST_CHECK;
