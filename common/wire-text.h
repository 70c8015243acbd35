/* SPDX-License-Identifier: Apache-2.0 */
/* What the wire-*.c files share: taking bounded strings out of JSON objects as owned copies. */
#pragma once

#include "common/error.h"

#include <jansson.h>
#include <stddef.h>

/* A member that must be there and not be empty; at most max bytes. The copy replaces *ret. */
int wire_need_text(const json_t *obj, const char *name, size_t max, char **ret,
		   struct error *err) MUST_CHECK;
/* A member that may be absent, null or "": then *ret stays as it is. */
int wire_opt_text(const json_t *obj, const char *name, size_t max, char **ret,
		  struct error *err) MUST_CHECK;
/* NULL-terminated list of strings, or NULL when absent, null or empty. */
int wire_opt_texts(const json_t *obj, const char *name, size_t max_count, char ***ret,
		   struct error *err) MUST_CHECK;
/* Frees a NULL-terminated list and its strings; NULL is fine. */
void wire_texts_free(char **list);
