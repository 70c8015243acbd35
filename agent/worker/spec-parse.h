/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the AppSpec module only: what spec-parse.c and spec-permission.c share while they read. */
#pragma once

#include "agent/problem.h"
#include "agent/worker/spec.h"
#include "common/yaml.h"

struct spec_parse {
	const char *name; /* of the file, for messages */
	struct problems *problems;
	struct spec *spec; /* being filled */
};

/* One row per key that a map may have. Null values are skipped: they mean "not given". */
struct spec_key {
	const char *name;
	void (*take)(struct spec_parse *p, const struct yaml *value, void *obj);
};

/* Add a problem at the place of node. */
void spec_parse_error(struct spec_parse *p, const struct yaml *at, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
void spec_parse_warning(struct spec_parse *p, const struct yaml *at, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* A value for a message: one line, cut when long, no control characters. Caller frees. */
char *spec_parse_shown(const char *text);

/* Give each key of map to its row; warn about keys without one, naming the nearest. what stands in
 * that warning ("a file entry"). Says so and returns false when node is no map. */
bool spec_parse_map(struct spec_parse *p, const struct yaml *node, const char *what,
		    const struct spec_key *keys, size_t n_keys, void *obj);
/* Is it a list? Else an error that names key. */
bool spec_parse_is_list(struct spec_parse *p, const struct yaml *node, const char *key);
/* The text of a scalar, borrowed from it; NULL after an error when it is a list or a map. */
const char *spec_parse_text(struct spec_parse *p, const struct yaml *node, const char *key);
/* Its trimmed copy, which must not be empty; NULL after an error. Caller frees. */
char *spec_parse_word(struct spec_parse *p, const struct yaml *node, const char *key);
/* The name of a user or group, as spec_parse_word(): an id is taken as a name, with a warning; what
 * can be nobody's name is an error. Caller frees. */
char *spec_parse_account(struct spec_parse *p, const struct yaml *node, const char *key);
/* An absolute normalised path; NULL after an error. A relative one counts from "/", with a warning:
 * that is the official agent's working directory under systemd. Caller frees. */
char *spec_parse_path(struct spec_parse *p, const struct yaml *node, const char *key);

/* spec_parse(), but *ret is set in any case: what lacks something is still in it. */
int spec_parse_usable(const char *name, const char *text, size_t len, struct spec **ret,
		      struct problems *problems, struct error *err) MUST_CHECK;

/* spec-platform.c: says so and returns false when the AppSpec is one for ECS or Lambda. */
bool spec_parse_is_for_hosts(struct spec_parse *p, const struct yaml *root);

/* spec-permission.c: one entry of 'permissions' into *ret; on an error *ret is whatever was
 * understood. */
void spec_parse_permission(struct spec_parse *p, const struct yaml *node,
			   struct spec_permission *ret);

/* spec-limits.c: 'limits' of a script entry. */
void spec_parse_limits(struct spec_parse *p, const struct yaml *node, struct spec_limits *ret);

/* spec-acl.c: an entry of 'acls'; is an SELinux range well-formed? 0 or ERR_FORMAT. */
int spec_acl_parse(const char *entry, struct spec_acl *ret, struct error *err) MUST_CHECK;
int spec_range_check(const char *range, struct error *err) MUST_CHECK;
