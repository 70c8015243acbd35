// SPDX-License-Identifier: Apache-2.0
/* Enrolment tokens and access keys. Their text is shown once, when they are made. */
#include "control/cmd.h"

#include "common/alloc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/str.h"
#include "control/ca.h"
#include "control/keys.h"
#include "control/store.h"

#include <stdio.h>
#include <string.h>

static void print_json(const json_t *value)
{
	auto_free char *text = json_text(value);
	puts(text);
}

/* ---- tokens ---- */

/* "K=V" options as the JSON object that is stored; NULL when there are none. */
static int tags_to_json(const struct cmd_args *args, char **ret, struct error *err)
{
	auto_json json_t *tags = json_object();
	for (unsigned i = 0; i < args->n_tags; i++) {
		const char *equals = strchr(args->tags[i], '=');
		size_t len = equals ? (size_t)(equals - args->tags[i]) : 0;
		if (len < 1 || len > 128 || strlen(equals + 1) > 256 ||
		    !str_is_utf8(args->tags[i], strlen(args->tags[i])))
			return error_set(err, ERR_INPUT,
					 "--tag '%s' is not KEY=VALUE (128 and 256 characters)",
					 args->tags[i]);
		auto_free char *key = xstrndup(args->tags[i], len);
		json_set_str(tags, key, equals + 1);
	}
	if (json_object_size(tags) > STORE_HOST_TAGS_MAX)
		return error_set(err, ERR_INPUT, "a host has at most %d tags", STORE_HOST_TAGS_MAX);
	*ret = args->n_tags ? json_text(tags) : NULL;
	return 0;
}

static void print_token(const struct control *control, const struct cmd_args *args,
			const struct store_token *token, const char *text)
{
	char expires[CLOCK_ISO_LEN];
	const char *fingerprint = ca_fingerprint(control->ca);
	clock_format_iso(token->expires_s, expires);
	if (args->json) {
		auto_json json_t *out = json_object();
		json_set_str(out, "token", text);
		json_set_str(out, "expires", expires);
		json_set_int(out, "uses", token->uses_left);
		json_set_str(out, "endpoint", control->endpoint);
		json_set_str(out, "ca_fingerprint", fingerprint);
		print_json(out);
		return;
	}
	if (args->quiet) {
		puts(text);
		return;
	}
	printf("%s\n\nGood until %s for %jd host%s%s%s. On the host, as root:\n"
	       "  slipway enroll %s --token %s --ca-fingerprint %s\n",
	       text, expires, (intmax_t)token->uses_left, token->uses_left == 1 ? "" : "s",
	       token->name_glob[0] ? " named " : "", token->name_glob, control->endpoint, text,
	       fingerprint);
}

int cmd_token_create(struct control *control, const struct cmd_args *args, struct error *err)
{
	char text[KEYS_TOKEN_LEN + 1];
	auto_store_token struct store_token token = {
		.expires_s = clock_wall_s() + (int64_t)(args->ttl_ms / 1000),
		.uses_left = args->uses,
		.tags_fixed = args->fixed_tags,
	};
	if (args->n_names > 1)
		return error_set(err, ERR_INPUT, "--name GLOB can be given once");
	if (args->n_names && strlen(args->names[0]) >= sizeof(token.name_glob))
		return error_set(err, ERR_INPUT, "--name '%s' is too long", args->names[0]);
	if (args->n_names)
		strcpy(token.name_glob, args->names[0]);
	int r = tags_to_json(args, &token.tags, err);
	if (r >= 0)
		r = keys_make_token(control->store, &token, text, err);
	if (r >= 0)
		r = control_commit(control, err);
	if (r >= 0)
		print_token(control, args, &token, text);
	return r;
}

static int list_token(const struct store_token *token, void *arg)
{
	json_t *list = arg;
	char expires[CLOCK_ISO_LEN];
	clock_format_iso(token->expires_s, expires);
	if (list) {
		json_t *one = json_object();
		auto_free char *id = xstrndup(token->sha256, CMD_TOKEN_ID_LEN);
		json_set_str(one, "id", id);
		json_set_str(one, "expires", expires);
		json_set_int(one, "uses_left", token->uses_left);
		json_set_str(one, "name", token->name_glob[0] ? token->name_glob : NULL);
		json_set_bool(one, "fixed_tags", token->tags_fixed);
		if (token->tags)
			json_object_set_new(one, "tags", json_loads(token->tags, 0, NULL));
		json_array_append_new(list, one);
		return 0;
	}
	printf("%.*s  %s  %9jd  %-*s%s%s\n", CMD_TOKEN_ID_LEN, token->sha256,
	       token->expires_s <= clock_wall_s() ? "expired             " : expires,
	       (intmax_t)token->uses_left, token->tags ? 16 : 0,
	       token->name_glob[0] ? token->name_glob : "(any)", token->tags ? "  " : "",
	       token->tags ? token->tags : "");
	return 0;
}

int cmd_token_list(struct control *control, const struct cmd_args *args, struct error *err)
{
	auto_json json_t *list = args->json ? json_array() : NULL;
	if (!list)
		printf("%-*s  %-20s  USES LEFT  %-16s  TAGS\n", CMD_TOKEN_ID_LEN, "TOKEN ID",
		       "EXPIRES", "FOR HOSTS NAMED");
	int r = store_token_each(control->store, list_token, list, err);
	if (r >= 0 && list)
		print_json(list);
	return r < 0 ? r : 0;
}

struct token_search {
	const char *id;
	char found[65];
	unsigned count;
};

static int match_token(const struct store_token *token, void *arg)
{
	struct token_search *search = arg;
	if (!str_starts(token->sha256, search->id))
		return 0;
	strcpy(search->found, token->sha256);
	search->count++;
	return 0;
}

int cmd_token_delete(struct control *control, const struct cmd_args *args, struct error *err)
{
	struct token_search search = {.id = args->operand};
	int r = store_token_each(control->store, match_token, &search, err);
	if (r >= 0 && (search.count != 1 || !args->operand[0]))
		return error_set(err, ERR_INPUT,
				 "'%s' is the beginning of %u tokens' ids: see 'token list'",
				 args->operand, search.count);
	if (r >= 0)
		r = store_token_delete(control->store, search.found, err);
	return r < 0 ? r : control_commit(control, err);
}

/* ---- access keys ---- */

int cmd_key_create(struct control *control, const struct cmd_args *args, struct error *err)
{
	struct store_key key;
	if (args->n_names > 1)
		return error_set(err, ERR_INPUT, "--name can be given once");
	int r = keys_make(control->store, args->n_names ? args->names[0] : "", &key, err);
	if (r >= 0)
		r = control_commit(control, err);
	if (r < 0)
		return r;
	if (args->json) {
		auto_json json_t *out = json_object();
		json_set_str(out, "endpoint", control->endpoint);
		json_set_str(out, "access_key_id", key.id);
		json_set_str(out, "secret_access_key", key.secret);
		json_set_str(out, "region", control->settings.region);
		json_set_str(out, "ca", ca_pem(control->ca));
		print_json(out);
	} else {
		printf("access_key_id      %s\nsecret_access_key  %s\n\n"
		       "The secret is not shown again. For the aws CLI, with a copy of the CA's "
		       "certificate:\n"
		       "  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s "
		       "AWS_DEFAULT_REGION=%s\n"
		       "  aws --ca-bundle %s/ca/ca.pem --endpoint-url %s deploy "
		       "list-applications\n",
		       key.id, key.secret, key.id, key.secret, control->settings.region,
		       control->dir, control->endpoint);
	}
	explicit_bzero(&key, sizeof(key));
	return 0;
}

static int list_key(const struct store_key *key, void *arg)
{
	json_t *list = arg;
	char created[CLOCK_ISO_LEN];
	clock_format_iso(key->created_s, created);
	if (!list) {
		printf("%s  %s  %s\n", key->id, created, key->name);
		return 0;
	}
	json_t *one = json_object();
	json_set_str(one, "access_key_id", key->id);
	json_set_str(one, "name", key->name);
	json_set_str(one, "created", created);
	json_array_append_new(list, one);
	return 0;
}

int cmd_key_list(struct control *control, const struct cmd_args *args, struct error *err)
{
	auto_json json_t *list = args->json ? json_array() : NULL;
	if (!list)
		printf("%-*s  %-20s  NAME\n", 20, "ACCESS KEY ID", "CREATED");
	int r = store_key_each(control->store, list_key, list, err);
	if (r >= 0 && list)
		print_json(list);
	return r < 0 ? r : 0;
}

int cmd_key_delete(struct control *control, const struct cmd_args *args, struct error *err)
{
	int r = store_key_delete(control->store, args->operand, err);
	if (r == ERR_NOT_FOUND)
		return error_set(err, ERR_INPUT, "there is no access key '%s': see 'key list'",
				 args->operand);
	return r < 0 ? r : control_commit(control, err);
}
