// SPDX-License-Identifier: Apache-2.0
/* What files and answers say of identity and credentials (docs/formats/aws.md). No message quotes a
 * value: it might be a secret in the wrong place. */
#include "agent/aws/keys.h"
#include "agent/aws/partition.h"
#include "common/alloc.h"
#include "common/attr.h"
#include "common/json.h"
#include "common/str.h"
#include "common/yaml.h"

#include <string.h>
#include <time.h>

enum { FILE_MAX = 64 * 1024, ARN_MAX = 2048 };

/* An ARN has six parts; the last one ends with the name. */
static int check_arn(const char *arn, struct error *err)
{
	size_t colons = 0, len = strlen(arn);
	for (const char *p = arn; *p; p++) {
		colons += *p == ':';
		if (*p < '!' || *p > '~')
			return error_set(err, ERR_FORMAT,
					 "the ARN holds a blank or control "
					 "character");
	}
	if (!str_starts(arn, "arn:") || colons < 5 || len > ARN_MAX)
		return error_set(err, ERR_FORMAT,
				 "it is no ARN (arn:PARTITION:SERVICE:REGION:"
				 "ACCOUNT:NAME)");
	return 0;
}

static char *name_of_arn(const char *arn)
{
	const char *slash = strrchr(arn, '/');
	const char *colon = strrchr(arn, ':');
	return xstrdup(slash ? slash + 1 : colon + 1);
}

static struct aws_identity *identity_make(enum aws_source source, const char *arn,
					  const char *region)
{
	struct aws_identity *identity = xcalloc(1, sizeof(*identity));
	*identity = (struct aws_identity){
		.source = source,
		.host_identifier = xstrdup(arn),
		.region = xstrdup(region),
		.name = name_of_arn(arn),
	};
	return identity;
}

/* ---- the on-premises file ---- */

enum key { USER_ARN, SESSION_ARN, REGION, KEY_ID, SECRET, CREDENTIALS, KEYS };

static const char *const key_names[] = {
	[USER_ARN] = "iam_user_arn",
	[SESSION_ARN] = "iam_session_arn",
	[REGION] = "region",
	[KEY_ID] = "aws_access_key_id",
	[SECRET] = "aws_secret_access_key",
	[CREDENTIALS] = "aws_credentials_file",
};

/* With and without the leading colon; what is null or empty is not there. */
static void find_keys(const struct yaml *doc, const char *values[KEYS])
{
	for (size_t i = 0; i < doc->count; i++) {
		const char *name = doc->keys[i] + (doc->keys[i][0] == ':');
		const struct yaml *value = doc->items[i];
		for (size_t k = 0; k < KEYS; k++)
			if (str_eq(name, key_names[k]) && value->type == YAML_SCALAR &&
			    !yaml_is_null(value) && *value->text)
				values[k] = value->text;
	}
}

static int need(const char *const values[KEYS], const enum key *keys, size_t count,
		struct error *err)
{
	for (size_t i = 0; i < count; i++)
		if (!values[keys[i]])
			return error_set(err, ERR_FORMAT, "'%s' is missing", key_names[keys[i]]);
	return 0;
}

static int check_values(const char *const values[KEYS], enum aws_source source, struct error *err)
{
	static const enum key of_user[] = {REGION, KEY_ID, SECRET};
	static const enum key of_session[] = {REGION, CREDENTIALS};
	enum key arn = source == AWS_USER ? USER_ARN : SESSION_ARN;
	int r = source == AWS_USER ? need(values, of_user, ARRAY_LEN(of_user), err)
				   : need(values, of_session, ARRAY_LEN(of_session), err);
	if (r < 0)
		return r;
	r = check_arn(values[arn], err);
	if (r < 0)
		return error_prefix(err, r, "'%s'", key_names[arn]);
	if (!partition_is_region(values[REGION]))
		return error_set(err, ERR_FORMAT, "'region' is no region of AWS");
	if (source == AWS_SESSION && values[CREDENTIALS][0] != '/')
		return error_set(err, ERR_FORMAT,
				 "'aws_credentials_file' must be an absolute path");
	return 0;
}

static int take_values(const char *const values[KEYS], struct aws_onpremises **ret,
		       struct error *err)
{
	if (values[USER_ARN] && values[SESSION_ARN])
		return error_set(err, ERR_FORMAT,
				 "'iam_user_arn' and 'iam_session_arn' are both there: a host is "
				 "one of them");
	*ret = NULL;
	if (!values[USER_ARN] && !values[SESSION_ARN])
		return 0;
	enum aws_source source = values[USER_ARN] ? AWS_USER : AWS_SESSION;
	int r = check_values(values, source, err);
	if (r < 0)
		return r;
	auto_aws_onpremises struct aws_onpremises *made = xcalloc(1, sizeof(*made));
	made->identity = identity_make(source, values[values[USER_ARN] ? USER_ARN : SESSION_ARN],
				       values[REGION]);
	if (source == AWS_USER)
		r = aws_keys_new(values[KEY_ID], values[SECRET], NULL, 0, &made->keys, err);
	else
		made->credentials_file = xstrdup(values[CREDENTIALS]);
	if (r < 0)
		return r;
	*ret = TAKE(made);
	return 0;
}

static void wipe_yaml(struct yaml *node)
{
	if (node->text)
		explicit_bzero(node->text, strlen(node->text));
	for (size_t i = 0; i < node->count; i++)
		wipe_yaml(node->items[i]);
}

int aws_onpremises_parse(const char *name, const char *text, size_t len,
			 struct aws_onpremises **ret, struct error *err)
{
	auto_yaml struct yaml *doc = NULL;
	const char *values[KEYS] = {0};
	int r = yaml_parse(name, text, len, FILE_MAX, &doc, err);
	if (r < 0)
		return r;
	if (!doc || doc->type != YAML_MAP)
		return error_set(err, ERR_FORMAT, "%s: it holds no 'key: value' lines", name);
	find_keys(doc, values);
	r = take_values(values, ret, err);
	wipe_yaml(doc);
	return r < 0 ? error_prefix(err, r, "%s", name) : 0;
}

void aws_onpremises_free(struct aws_onpremises *onpremises)
{
	if (!onpremises)
		return;
	aws_identity_free(onpremises->identity);
	aws_keys_free(onpremises->keys);
	free(onpremises->credentials_file);
	free(onpremises);
}

/* ---- the session credentials file ---- */

struct session {
	char *id, *secret, *token;
};

static void session_clear(struct session *s)
{
	aws_keys_free_text(s->id);
	aws_keys_free_text(s->secret);
	aws_keys_free_text(s->token);
}

/* Without blanks at its ends. */
static char *trimmed(const char *s, size_t len)
{
	while (len && strchr(" \t\r", *s)) {
		s++;
		len--;
	}
	while (len && strchr(" \t\r", s[len - 1]))
		len--;
	return xstrndup(s, len);
}

static void take_line(struct session *s, const char *line, size_t len)
{
	const char *equals = memchr(line, '=', len);
	if (!equals)
		return;
	auto_free char *name = trimmed(line, (size_t)(equals - line));
	char **slot = str_eq(name, "aws_access_key_id")       ? &s->id
		      : str_eq(name, "aws_secret_access_key") ? &s->secret
		      : str_eq(name, "aws_session_token")     ? &s->token
							      : NULL;
	if (!slot)
		return;
	aws_keys_free_text(*slot);
	*slot = trimmed(equals + 1, len - (size_t)(equals + 1 - line));
}

/* "[default]", with blanks. */
static bool is_section(const char *line, size_t len, const char *profile)
{
	const char *end = memchr(line, ']', len);
	if (!end)
		return false;
	auto_free char *name = trimmed(line + 1, (size_t)(end - line) - 1);
	return str_eq(name, profile);
}

static bool scan(struct session *s, const char *text, const char *profile)
{
	bool found = false, inside = false;
	for (const char *p = text; *p; p += *p == '\n') {
		size_t len = strcspn(p, "\n"), blanks = strspn(p, " \t\r");
		const char *line = p + (blanks < len ? blanks : len);
		size_t rest = len - (size_t)(line - p);
		if (rest && *line == '[')
			inside = is_section(line, rest, profile);
		else if (inside && rest && *line != '#' && *line != ';')
			take_line(s, line, rest);
		found |= inside;
		p += len;
	}
	return found;
}

int aws_session_parse(const char *name, const char *text, size_t len, const char *profile,
		      struct aws_credentials **ret, struct error *err)
{
	if (strlen(text) != len)
		return error_set(err, ERR_FORMAT, "%s: it holds a NUL byte", name);
	CLEANUP(session_clear) struct session s = {0};
	if (!scan(&s, text, profile))
		return error_set(err, ERR_FORMAT, "%s: there is no section [%s]", name, profile);
	if (str_empty(s.id) || str_empty(s.secret))
		return error_set(err, ERR_FORMAT, "%s: '%s' is missing in [%s]", name,
				 str_empty(s.id) ? "aws_access_key_id" : "aws_secret_access_key",
				 profile);
	int r = aws_keys_new(s.id, s.secret, str_empty(s.token) ? NULL : s.token, 0, ret, err);
	return r < 0 ? error_prefix(err, r, "%s", name) : 0;
}

/* ---- answers of IMDS ---- */

static int64_t parse_time(const char *s)
{
	struct tm tm = {0};
	const char *end = s ? strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	return end && (*end == 'Z' || *end == '.') ? (int64_t)timegm(&tm) : 0;
}

static void wipe_json(json_t *doc)
{
	const char *name;
	json_t *value;
	json_object_foreach (doc, name, value)
		if (json_is_string(value))
			explicit_bzero((char *)json_string_value(value), json_string_length(value));
}

static int role_from_json(const json_t *doc, struct aws_credentials **ret, struct error *err)
{
	const char *code = NULL, *id = NULL, *secret = NULL, *token = NULL, *expires = NULL;
	int r = json_opt_str(doc, "Code", &code, err);
	if (r == 0 && code && !str_eq(code, "Success"))
		return error_set(err, ERR_DENIED,
				 "the instance's role gives no credentials ('%.64s')", code);
	if (r == 0)
		r = json_need_str(doc, "AccessKeyId", &id, err);
	if (r == 0)
		r = json_need_str(doc, "SecretAccessKey", &secret, err);
	if (r == 0)
		r = json_need_str(doc, "Token", &token, err);
	if (r == 0)
		r = json_need_str(doc, "Expiration", &expires, err);
	int64_t expires_s = parse_time(expires);
	if (r == 0 && !expires_s)
		return error_set(err, ERR_FORMAT, "'Expiration' is no time");
	return r < 0 ? r : aws_keys_new(id, secret, token, expires_s, ret, err);
}

int aws_role_parse(const char *text, size_t len, struct aws_credentials **ret, struct error *err)
{
	auto_json json_t *doc = NULL;
	/* the parser's own message quotes what it stumbled over */
	int r = json_parse(text, len, FILE_MAX, &doc, NULL);
	if (r < 0 || !json_is_object(doc))
		r = error_set(err, ERR_FORMAT, "they are no JSON object");
	if (r == 0) {
		r = role_from_json(doc, ret, err);
		wipe_json(doc);
	}
	return r < 0 ? error_prefix(err, r, "the role's credentials") : 0;
}

static bool is_all_of(const char *s, const char *allowed, size_t max)
{
	size_t len = strlen(s);
	return len > 0 && len <= max && strspn(s, allowed) == len;
}

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"

static int arn_from_json(const json_t *doc, const char *partition, const char *region, char **ret,
			 struct error *err)
{
	const char *account = NULL, *id = NULL;
	int r = json_need_str(doc, "accountId", &account, err);
	if (r == 0)
		r = json_need_str(doc, "instanceId", &id, err);
	if (r < 0)
		return r;
	if (!is_all_of(account, DIGITS, 16) || !is_all_of(id, LOWER DIGITS "-", 64))
		return error_set(err, ERR_FORMAT, "'accountId' or 'instanceId' is none");
	*ret = partition_instance_arn(partition, region, account, id);
	return 0;
}

static int take_instance(const json_t *doc, const struct aws_instance *instance,
			 struct aws_identity **ret, struct error *err)
{
	const char *region = instance->region, *partition = instance->partition;
	int r = region ? 0 : json_need_str(doc, "region", &region, err);
	if (r < 0)
		return r;
	if (!partition_is_region(region))
		return error_set(err, ERR_FORMAT, "'%.64s' is no region of AWS", region);
	if (!partition || !is_all_of(partition, LOWER DIGITS "-", 32))
		partition = partition_of_region(region)->name;
	auto_free char *arn = xstrdup_null(instance->host_identifier);
	r = arn ? check_arn(arn, err) : arn_from_json(doc, partition, region, &arn, err);
	if (r < 0)
		return r;
	*ret = identity_make(AWS_ROLE, arn, region);
	if (!partition_named(partition) && instance->domain &&
	    is_all_of(instance->domain, LOWER DIGITS "-.", 128))
		(*ret)->suffix = xstrdup(instance->domain);
	return 0;
}

int aws_instance_parse(const struct aws_instance *instance, struct aws_identity **ret,
		       struct error *err)
{
	auto_json json_t *doc = NULL;
	const char *text = instance->document ? instance->document : "{}";
	int r = json_parse(text, strlen(text), FILE_MAX, &doc, err);
	if (r == 0 && !json_is_object(doc))
		r = error_set(err, ERR_FORMAT, "it is no JSON object");
	if (r == 0)
		r = take_instance(doc, instance, ret, err);
	if (r == 0)
		return 0;
	return error_prefix(err, r,
			    instance->document ? "the instance's identity document"
					       : "AWS_REGION, AWS_HOST_IDENTIFIER");
}
