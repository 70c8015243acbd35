// SPDX-License-Identifier: Apache-2.0
#include "agent/daemon/claim.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/pki.h"
#include "common/str.h"
#include "common/wire.h"

#include <string.h>

static int content(const json_t *specification, char **ret, size_t *ret_len, struct error *err)
{
	const char *format = NULL, *payload = NULL;
	int r = json_need_str(specification, "Format", &format, err);
	if (r == 0)
		r = json_need_str(specification, "Payload", &payload, err);
	if (r < 0)
		return r;
	if (str_eq(format, "PKCS7/JSON"))
		return pki_cms_peek(payload, ret, ret_len, err);
	*ret = xstrdup(payload);
	*ret_len = strlen(payload);
	return 0;
}

/* A deployment id may be the whole ARN: what follows the last '/' names it. */
static char *short_id(const char *id)
{
	const char *slash = str_starts(id, "arn:") ? strrchr(id, '/') : NULL;
	return xstrdup(slash ? slash + 1 : id);
}

static json_t *open_claim(const json_t *specification)
{
	auto_claim_token char *text = NULL;
	size_t len = 0;
	json_t *doc = NULL;
	if (content(specification, &text, &len, NULL) < 0 ||
	    json_parse(text, len, WIRE_MESSAGE_MAX, &doc, NULL) < 0)
		return NULL;
	return doc;
}

void claim_read(const json_t *specification, char **ret_group, char **ret_deployment)
{
	*ret_group = *ret_deployment = NULL;
	auto_json json_t *doc = open_claim(specification);
	const char *group = NULL, *deployment = NULL;
	if (!doc)
		return;
	if (json_opt_str(doc, "DeploymentGroupId", &group, NULL) == 0)
		*ret_group = xstrdup_null(group);
	if (json_opt_str(doc, "DeploymentId", &deployment, NULL) == 0 && deployment)
		*ret_deployment = short_id(deployment);
}

char *claim_github_token(const json_t *specification)
{
	auto_json json_t *doc = open_claim(specification);
	const char *token = NULL;
	if (!doc || json_opt_str(doc, "GitHubAccessToken", &token, NULL) < 0 || str_empty(token))
		return NULL;
	return xstrdup(token);
}

void claim_token_free(char *token)
{
	if (token)
		explicit_bzero(token, strlen(token));
	free(token);
}
