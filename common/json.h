/* SPDX-License-Identifier: Apache-2.0 */
/* jansson with ceilings, and strict member access that names the member in every message. jansson's
 * values travel. */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

DEFINE_CLEANUP(json_t *, json_decref)
#define auto_json CLEANUP(json_decref_at)

/* Parse text of len bytes; refuses more than max bytes (-EFBIG), nesting above 64, duplicate keys,
 * NUL in strings and anything after the value (ERR_FORMAT with line and column). */
int json_parse(const char *text, size_t len, size_t max, json_t **ret,
	       struct error *err) MUST_CHECK;
int json_read(int fd, size_t max, json_t **ret, struct error *err) MUST_CHECK;
/* dirfd/name; -ENOENT when missing. */
int json_read_file(int dirfd, const char *name, size_t max, json_t **ret,
		   struct error *err) MUST_CHECK;
/* fs_write_atomic of the value, sorted keys, trailing newline. */
int json_write_file(int dirfd, const char *name, const json_t *value, mode_t mode,
		    struct error *err) MUST_CHECK;
/* The same, but -EFBIG, and nothing is replaced, when the text has more than max bytes: for files
 * that are read with that ceiling. */
int json_write_file_max(int dirfd, const char *name, const json_t *value, size_t max, mode_t mode,
			struct error *err) MUST_CHECK;
/* Compact text, keys in insertion order; caller frees. Never NULL. */
char *json_text(const json_t *value);

/* Member access. "need" members must be there and not null (ERR_FORMAT "'name' is missing"); "opt"
 * members may be absent or null and then leave *ret as it is. Wrong type: ERR_FORMAT "'name' must
 * be a string". Strings are borrowed from obj. */
int json_need_str(const json_t *obj, const char *name, const char **ret,
		  struct error *err) MUST_CHECK;
int json_opt_str(const json_t *obj, const char *name, const char **ret,
		 struct error *err) MUST_CHECK;
int json_need_int(const json_t *obj, const char *name, int64_t *ret, struct error *err) MUST_CHECK;
int json_opt_int(const json_t *obj, const char *name, int64_t *ret, struct error *err) MUST_CHECK;
int json_opt_number(const json_t *obj, const char *name, double *ret, struct error *err) MUST_CHECK;
int json_opt_bool(const json_t *obj, const char *name, bool *ret, struct error *err) MUST_CHECK;
int json_need_obj(const json_t *obj, const char *name, json_t **ret,
		  struct error *err) MUST_CHECK; /* borrowed */
int json_opt_obj(const json_t *obj, const char *name, json_t **ret, struct error *err) MUST_CHECK;
int json_opt_array(const json_t *obj, const char *name, json_t **ret, struct error *err) MUST_CHECK;

/* Set unless the value is NULL (optional members are omitted, never null). Bytes that are not UTF-8
 * are replaced. */
void json_set_str(json_t *obj, const char *name, const char *value);
void json_set_int(json_t *obj, const char *name, int64_t value);
void json_set_bool(json_t *obj, const char *name, bool value);
/* A number with milliseconds; what is no time (0, before 1970) is omitted. */
void json_set_time(json_t *obj, const char *name, double unix_s);
