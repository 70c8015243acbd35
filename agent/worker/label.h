/* SPDX-License-Identifier: Apache-2.0 */
/* SELinux labels. They are read and written as the extended attribute that they are; what a host's
 * policy thinks of them is asked of libselinux, when it is built in. */
#pragma once

#include "agent/worker/spec.h"
#include "common/attr.h"
#include "common/error.h"

#include <stdbool.h>
#include <sys/types.h>

#define LABEL_MAX 1024 /* bytes with the NUL; 1024 categories, one by one, do not fit */

/* Can labels be given on this host? ret_why (may be NULL): why not, for a message. */
bool label_is_enabled(const char **ret_why);

/* The label that the host's policy has for path and type of object; "" when it has none. */
int label_default(const char *path, mode_t type, char ret[LABEL_MAX], struct error *err) MUST_CHECK;
/* base ("user:role:type:range", or "") with what the context says in place of its parts. ERR_INPUT
 * when it gets too long. */
int label_compose(const char *base, const struct spec_context *context, char ret[LABEL_MAX],
		  struct error *err) MUST_CHECK;
/* Does the policy know this label? Then in its own spelling; ERR_INPUT when it does not. */
int label_check(char label[LABEL_MAX], struct error *err) MUST_CHECK;

/* Of an open object, or of what dirfd has at name (not followed); "" when it has none. Returns 0 or
 * negative errno. */
int label_get(int fd, char ret[LABEL_MAX]) MUST_CHECK;
int label_get_at(int dirfd, const char *name, char ret[LABEL_MAX]) MUST_CHECK;
int label_set(int fd, const char *label) MUST_CHECK;
/* What we make from now on gets this label, whatever the policy would choose for one of our kind;
 * NULL: as the policy has it. Best effort: where that is forbidden the policy's choice stands. */
void label_create(const char *label);
