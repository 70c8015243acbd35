/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that the endpoint gives out once: access keys, enrolment tokens. */
#pragma once

#include "common/error.h"

struct store;
struct store_key;
struct store_token;

/* A new access key in the store: 20 and 40 characters, as clients expect them. */
int keys_make(struct store *store, const char *name, struct store_key *ret,
	      struct error *err) MUST_CHECK;

#define KEYS_TOKEN_LEN 35
/* A new token: token's sha256 and created_s are set, and it goes into the store; its text is given
 * once. */
int keys_make_token(struct store *store, struct store_token *token, char ret[KEYS_TOKEN_LEN + 1],
		    struct error *err) MUST_CHECK;
