// SPDX-License-Identifier: Apache-2.0
#include "control/ids.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"
#include "common/wire.h"

#include <string.h>


/* ---- base64url, RFC 4648 section 5, without padding ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(const char *text)
{
	size_t len = strlen(text), n = 0;
	char *out = xcalloc(len / 3 + 1, 5);
	unsigned bits = 0, held = 0;
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | (unsigned char)text[i];
		for (held += 8; held >= 6;) {
			held -= 6;
			out[n++] = digits[bits >> held & 63];
		}
	}
	if (held)
		out[n++] = digits[bits << (6 - held) & 63];
	return out;
}

/* -EINVAL for foreign digits, an impossible length and bytes that are no text. */
static int decode(const char *text, char **ret)
{
	size_t len = strlen(text), n = 0;
	if (len % 4 == 1)
		return -EINVAL;
	auto_free char *out = xcalloc(len + 1, 1);
	unsigned bits = 0, held = 0;
	for (size_t i = 0; i < len; i++) {
		const char *digit = strchr(digits, text[i]);
		bits = bits << 6 | (unsigned)(digit ? digit - digits : 0);
		if (!digit)
			return -EINVAL;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[n++] = (char)(bits >> held);
		}
	}
	if (!str_is_utf8(out, n))
		return -EINVAL;
	*ret = TAKE(out);
	return 0;
}

/* ---- deployments and ARNs ---- */

void ids_deployment_new(char out[IDS_DEPLOYMENT_LEN + 1])
{
	memcpy(out, "d-", 2);
	str_random(out + 2, IDS_DEPLOYMENT_LEN - 2);
}

bool ids_is_deployment(const char *s)
{
	return strlen(s) == IDS_DEPLOYMENT_LEN && str_starts(s, "d-") &&
	       strspn(s + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == IDS_DEPLOYMENT_LEN - 2;
}

char *ids_host_arn(const struct ids_place *place, const char *name)
{
	return xasprintf("arn:aws:codedeploy:%s:%s:instance/%s", place->region, place->account,
			 name);
}

char *ids_target_arn(const struct ids_place *place, const char *name)
{
	if (!str_starts(name, "i-"))
		return ids_host_arn(place, name);
	return xasprintf("arn:aws:ec2:%s:%s:instance/%s", place->region, place->account, name);
}

char *ids_execution(const struct ids_place *place, const char *deployment_id)
{
	return xasprintf("CodeDeploy/%s/slipway/arn:aws:codedeploy:%s:%s:deployment/%s",
			 place->region, place->region, place->account, deployment_id);
}

int ids_execution_parse(const char *text, char ret_deployment_id[IDS_DEPLOYMENT_LEN + 1])
{
	const char *slash = strrchr(text, '/');
	if (!str_starts(text, "CodeDeploy/") || !ids_is_deployment(slash + 1))
		return -EINVAL;
	memcpy(ret_deployment_id, slash + 1, IDS_DEPLOYMENT_LEN + 1);
	return 0;
}

/* ---- commands ---- */

char *ids_command_format(const struct ids_command *c)
{
	auto_json json_t *array = json_pack("[s, s, I, I]", c->deployment_id, c->host,
					    (json_int_t)c->event, (json_int_t)c->attempt);
	auto_free char *text = json_text(array);
	return encode(text);
}

int ids_command_parse(const char *text, struct ids_command *ret)
{
	auto_free char *plain = NULL;
	if (strlen(text) > WIRE_ID_MAX || decode(text, &plain) < 0)
		return -EINVAL;
	auto_json json_t *array = NULL;
	if (json_parse(plain, strlen(plain), WIRE_ID_MAX, &array, NULL) < 0)
		return -EINVAL;
	const char *id, *host;
	json_int_t event, attempt;
	if (json_unpack(array, "[s, s, I, I!]", &id, &host, &event, &attempt) < 0 ||
	    !ids_is_deployment(id) || strlen(host) >= sizeof(ret->host) || event < 0 ||
	    event >= WIRE_EVENT_COUNT)
		return -EINVAL;
	*ret = (struct ids_command){.event = event, .attempt = attempt};
	memcpy(ret->deployment_id, id, sizeof(ret->deployment_id));
	memcpy(ret->host, host, strlen(host) + 1);
	return 0;
}

/* ---- pages: "list:after;", the end shows that nothing was cut off on the way ---- */

char *ids_page_format(const char *list, const char *after)
{
	auto_free char *plain = xasprintf("%s:%s;", list, after);
	return encode(plain);
}

int ids_page_parse(const char *list, const char *token, char **ret_after)
{
	auto_free char *plain = NULL;
	if (strlen(token) > IDS_PAGE_TOKEN_MAX || decode(token, &plain) < 0)
		return -EINVAL;
	size_t len = strlen(list), end = strlen(plain);
	if (!str_starts(plain, list) || plain[len] != ':' || plain[end - 1] != ';')
		return -EINVAL;
	plain[end - 1] = '\0';
	*ret_after = xstrdup(plain + len + 1);
	return 0;
}
