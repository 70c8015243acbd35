// SPDX-License-Identifier: Apache-2.0
#include "control/keys.h"

#include "common/clock.h"
#include "common/digest.h"
#include "common/str.h"
#include "control/store.h"

#include <stdio.h>
#include <string.h>

#define ID_PREFIX "SLIP" /* recognisable in logs and leaks */
#define ID_LEN 20
#define SECRET_LEN 40
#define TOKEN_PREFIX "slt"

int keys_make(struct store *store, const char *name, struct store_key *ret, struct error *err)
{
	if (strlen(name) >= sizeof(ret->name) || !str_is_utf8(name, strlen(name)))
		return error_set(err, ERR_INPUT, "the key's name is too long or no UTF-8");
	*ret = (struct store_key){.created_s = clock_wall_s()};
	strcpy(ret->name, name);
	strcpy(ret->id, ID_PREFIX);
	str_random(ret->id + strlen(ID_PREFIX), ID_LEN - strlen(ID_PREFIX));
	str_random(ret->secret, SECRET_LEN);
	return store_key_add(store, ret, err);
}

int keys_make_token(struct store *store, struct store_token *token, char ret[KEYS_TOKEN_LEN + 1],
		    struct error *err)
{
	strcpy(ret, TOKEN_PREFIX);
	str_random(ret + strlen(TOKEN_PREFIX), KEYS_TOKEN_LEN - strlen(TOKEN_PREFIX));
	digest_sha256_hex(ret, strlen(ret), token->sha256);
	token->created_s = clock_wall_s();
	return store_token_add(store, token, err);
}
