// SPDX-License-Identifier: Apache-2.0
/* How a host gets its certificate: POST /slipway/v1/enroll with a token and a CSR, later
 * POST /slipway/v1/renew with its certificate and a new CSR. Formats: docs/formats/wire.md. */
#include "control/api.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/json.h"
#include "common/log.h"
#include "common/pki.h"
#include "common/str.h"
#include "common/wire.h"
#include "control/ca.h"
#include "control/control.h"
#include "control/guard.h"
#include "control/messages.h"
#include "control/store.h"

#include <fnmatch.h>
#include <string.h>

/* What the new host will carry. Keys and values are borrowed, or in the two owned strings. */
struct tag_list {
	struct store_tag tags[STORE_HOST_TAGS_MAX];
	size_t count;
	char *group_key, *group_value;
};

static void tag_list_clear(struct tag_list *list)
{
	free(list->group_key);
	free(list->group_value);
}

static struct store_tag *find_tag(struct tag_list *list, const char *key)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->tags[i].key, key) == 0)
			return &list->tags[i];
	return NULL;
}

static int add_tag(struct tag_list *list, const char *key, const char *value, struct error *err)
{
	struct store_tag *tag = find_tag(list, key);
	if (tag && strcmp(tag->value, value) != 0)
		return error_set(err, ERR_DENIED, "the tag '%s' must be '%s', not '%s'", key,
				 tag->value, value);
	if (tag)
		return 0;
	if (list->count == STORE_HOST_TAGS_MAX)
		return error_set(err, ERR_LIMIT, "a host has at most %d tags", STORE_HOST_TAGS_MAX);
	list->tags[list->count++] = (struct store_tag){(char *)key, (char *)value};
	return 0;
}

/* Those of the token first: they are not to be changed by what the host asks for. */
static int collect_tags(struct store *store, const struct store_token *token, const json_t *fixed,
			const struct wire_enroll *enroll, struct tag_list *list, struct error *err)
{
	const char *key;
	json_t *value;
	int r = 0;
	json_object_foreach ((json_t *)fixed, key, value) {
		r = add_tag(list, key, json_string_value(value), err);
		if (r < 0)
			return r;
	}
	if (token->tags_fixed && ((enroll->tag_keys && enroll->tag_keys[0]) || enroll->group))
		return error_set(err, ERR_DENIED,
				 "this token decides the host's tags: leave out --tag and --group");
	for (size_t i = 0; enroll->tag_keys && enroll->tag_keys[i]; i++) {
		r = add_tag(list, enroll->tag_keys[i], enroll->tag_values[i], err);
		if (r < 0)
			return r;
	}
	if (!enroll->group)
		return 0;
	const char *slash = strchr(enroll->group, '/');
	if (!slash)
		return error_set(err, ERR_INPUT, "the group must be given as APPLICATION/GROUP");
	auto_free char *app = xstrndup(enroll->group, (size_t)(slash - enroll->group));
	r = store_group_tag(store, app, slash + 1, &list->group_key, &list->group_value, err);
	return r < 0 ? r : add_tag(list, list->group_key, list->group_value, err);
}

/* May a host of this name join with the token? */
static int check_token(struct store *store, const struct wire_enroll *enroll, int64_t now_s,
		       struct store_token *token, struct error *err)
{
	char sha256[DIGEST_SHA256_HEX], expired[CLOCK_ISO_LEN];
	digest_sha256_hex(enroll->token, strlen(enroll->token), sha256);
	int r = store_token_get(store, sha256, token, err);
	if (r == ERR_NOT_FOUND)
		return error_set(err, ERR_DENIED,
				 "the token is not known here: make one with "
				 "'slipway-controld token create'");
	if (r < 0)
		return r;
	if (token->expires_s && token->expires_s <= now_s)
		return error_set(err, ERR_DENIED, "the token expired at %s",
				 clock_format_iso(token->expires_s, expired));
	if (token->name_glob[0] && fnmatch(token->name_glob, enroll->name, 0) != 0)
		return error_set(err, ERR_DENIED, "the token is for hosts named '%s', not '%s'",
				 token->name_glob, enroll->name);
	return 0;
}

/* What a host shows to be the same that asked before: the token, and that it has the key. */
static int identify(const struct wire_enroll *enroll, const struct store_token *token,
		    char by[DIGEST_SHA256_HEX], struct error *err)
{
	auto_pkey EVP_PKEY *key = NULL;
	char fingerprint[65];
	int r = pki_csr_key(enroll->csr, &key, err);
	if (r >= 0)
		r = pki_key_fingerprint(key, fingerprint, err);
	if (r < 0)
		return r;
	auto_free char *both = xasprintf("%s %s", token->sha256, fingerprint);
	digest_sha256_hex(both, strlen(both), by);
	return 0;
}

static const struct {
	int code, status;
	const char *type;
} fault_types[] = {
	{ERR_DENIED, 403, "AccessDeniedException"},
	{ERR_EXISTS, 400, "InstanceNameAlreadyRegisteredException"},
	{ERR_LIMIT, 400, "TagLimitExceededException"},
	{ERR_NOT_FOUND, 400, "DeploymentGroupDoesNotExistException"},
	{ERR_INPUT, 400, "ValidationException"},
	{ERR_FORMAT, 400, "ValidationException"},
	{ERR_REFUSED, 400, "ValidationException"},
	{ERR_SIGNATURE, 400, "ValidationException"},
	{-EFBIG, 400, "ValidationException"},
};

static void reply_error(struct request *request, const struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(fault_types); i++)
		if (fault_types[i].code == err->code) {
			request_reply_fault(request, fault_types[i].status, fault_types[i].type,
					    "%s", err->text);
			return;
		}
	log_error("enrolment: %s", err->text);
	request_reply_fault(request, 500, "InternalFailure", "%s", err->text);
}

struct issued {
	char *certificate, *serial, *arn;
	int64_t not_after_s;
};

static void issued_clear(struct issued *issued)
{
	free(issued->certificate);
	free(issued->serial);
	free(issued->arn);
}
#define auto_issued CLEANUP(issued_clear)

static int issue(struct control *control, const struct wire_enroll *enroll, const char *name,
		 struct issued *ret, struct error *err)
{
	ret->arn = xasprintf("arn:aws:codedeploy:%s:%s:instance/%s", control->settings.region,
			     control->settings.account, name);
	return ca_issue_host(control->ca, enroll->csr, name, clock_wall_s(),
			     (int64_t)(control->settings.host_life_ms / 1000), &ret->certificate,
			     &ret->serial, &ret->not_after_s, err);
}

static void reply_enrolled(struct request *request, const char *name, const char *arn,
			   const char *certificate)
{
	struct control *control = request->control;
	struct wire_enrolled enrolled = {.name = (char *)name,
					 .host_identifier = (char *)arn,
					 .certificate = (char *)certificate,
					 .ca = (char *)ca_pem(control->ca),
					 .region = control->settings.region};
	auto_json json_t *body = wire_enrolled_to_json(&enrolled);
	request_reply_json(request, 200, body);
}

/* A certificate, then the host, then one use of the token: the transaction of this turn. */
static int enroll_host(struct request *request, const struct wire_enroll *enroll,
		       const struct store_token *token, const json_t *token_tags, const char *by,
		       struct error *err)
{
	struct control *control = request->control;
	auto_issued struct issued issued = {0};
	CLEANUP(tag_list_clear) struct tag_list tags = {0};
	if (token->uses_left == 0)
		return error_set(err, ERR_DENIED, "the token has been used already");
	int r = collect_tags(control->store, token, token_tags, enroll, &tags, err);
	if (r >= 0)
		r = issue(control, enroll, enroll->name, &issued, err);
	if (r < 0)
		return r;
	struct store_enroll host = {.name = enroll->name,
				    .arn = issued.arn,
				    .serial = issued.serial,
				    .not_after_s = issued.not_after_s,
				    .now_s = clock_wall_s(),
				    .by = by,
				    .tag_count = tags.count,
				    .tags = tags.tags};
	r = store_host_enroll(control->store, &host, err);
	if (r == ERR_EXISTS)
		return error_set(err, r,
				 "the name '%s' is in use: choose another with --name, or free it "
				 "with 'slipway-controld host revoke %s'",
				 enroll->name, enroll->name);
	if (r >= 0)
		r = store_token_spend(control->store, token->sha256, err);
	if (r < 0)
		return r;
	log_notice("host '%s' enrolled from %s", enroll->name, request->caller.peer);
	reply_enrolled(request, enroll->name, issued.arn, issued.certificate);
	return 0;
}

/* It is enrolled, and the answer never reached it: another certificate for the same key. */
static int answer_again(struct request *request, const struct wire_enroll *enroll,
			struct error *err)
{
	struct control *control = request->control;
	auto_issued struct issued issued = {0};
	int r = issue(control, enroll, enroll->name, &issued, err);
	if (r >= 0)
		r = store_cert_add(control->store, enroll->name, issued.serial, issued.not_after_s,
				   err);
	if (r < 0)
		return r;
	log_notice("host '%s' asked again from %s for the answer to its enrolment", enroll->name,
		   request->caller.peer);
	reply_enrolled(request, enroll->name, issued.arn, issued.certificate);
	return 0;
}

static int take_in(struct request *request, const struct wire_enroll *enroll,
		   const struct store_token *token, struct error *err)
{
	char by[DIGEST_SHA256_HEX];
	auto_json json_t *tags = NULL;
	int r = identify(enroll, token, by, err);
	if (r >= 0)
		r = store_host_enrolled_by(request->control->store, enroll->name, by, err);
	if (r > 0)
		return answer_again(request, enroll, err);
	if (r >= 0 && token->tags)
		r = json_parse(token->tags, strlen(token->tags), ROUTE_JSON_MAX, &tags, err);
	return r < 0 ? r : enroll_host(request, enroll, token, tags, by, err);
}

static void note_refusal(struct request *request, const char *name, int64_t now,
			 const struct error *err)
{
	guard_failed(request->control->guard, request->caller.peer, now);
	log_event(LOG_WARNING, MESSAGE_ENROLMENT_REFUSED,
		  (const char *const[]){"HOST_ID", name, NULL}, "refused to enrol '%s' from %s: %s",
		  name, request->caller.peer, err->text);
}

void api_enroll(struct request *request, const json_t *input)
{
	struct control *control = request->control;
	struct error err = {0};
	auto_wire_enroll struct wire_enroll enroll = {0};
	auto_store_token struct store_token token = {0};
	int64_t now = clock_wall_s();

	if (guard_blocks(control->guard, request->caller.peer, now)) {
		request_reply_fault(request, 429, "ThrottlingException",
				    "too many refused enrolments from %s: try again in a minute",
				    request->caller.peer);
		return;
	}
	int r = wire_enroll_from_json(input, &enroll, &err);
	if (r >= 0 && !enroll.token)
		r = error_set(&err, ERR_FORMAT, "'Token' is missing");
	if (r >= 0)
		r = check_token(control->store, &enroll, now, &token, &err);
	bool known = r >= 0;
	if (r >= 0)
		r = take_in(request, &enroll, &token, &err);
	if (r == ERR_DENIED && (!known || token.uses_left == 0))
		note_refusal(request, enroll.name, now, &err);
	if (r < 0)
		reply_error(request, &err);
}

void api_renew(struct request *request, const json_t *input)
{
	struct control *control = request->control;
	struct error err = {0};
	auto_wire_enroll struct wire_enroll enroll = {0};
	auto_issued struct issued issued = {0};
	auto_store_host struct store_host host = {0};
	const char *name = request->caller.name;

	int r = wire_enroll_from_json(input, &enroll, &err);
	if (r >= 0 && strcmp(enroll.name, name) != 0)
		r = error_set(&err, ERR_DENIED, "the certificate is that of '%s', not of '%s'",
			      name, enroll.name);
	if (r >= 0)
		r = issue(control, &enroll, name, &issued, &err);
	if (r >= 0)
		r = store_cert_add(control->store, name, issued.serial, issued.not_after_s, &err);
	if (r >= 0)
		r = store_host_settle(control->store, name, &err);
	if (r >= 0)
		r = store_host_get(control->store, name, &host, &err);
	if (r < 0) {
		reply_error(request, &err);
		return;
	}
	log_info("host '%s' renewed its certificate", name);
	reply_enrolled(request, name, host.arn, issued.certificate);
}
