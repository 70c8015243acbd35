// SPDX-License-Identifier: Apache-2.0
#include "common/json.h"

#include "common/alloc.h"
#include "common/fs.h"
#include "common/str.h"

#include <assert.h>
#include <string.h>

#define JSON_DEPTH_MAX 64
#define TIME_MAX 1e12 /* seconds: what is later was not a time */
/* Enough for Unix time with milliseconds and for every size; 17 would print 0.1 as
 * 0.10000000000000001. */
#define JSON_DIGITS JSON_REAL_PRECISION(15)

/* jansson's own ceiling is 2048 levels. Brackets inside strings do not count; whether the text is
 * JSON at all is not asked here. */
static bool is_too_deep(const char *text, size_t len)
{
	unsigned depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		if (c == '"')
			in_string = true;
		else if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
			return true;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return false;
}

int json_parse(const char *text, size_t len, size_t max, json_t **ret, struct error *err)
{
	if (len > max)
		return error_set(err, -EFBIG, "JSON is larger than %zu bytes", max);
	if (is_too_deep(text, len))
		return error_set(err, ERR_FORMAT, "JSON is nested deeper than %d levels",
				 JSON_DEPTH_MAX);
	json_error_t why;
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!value)
		return error_set(err, ERR_FORMAT, "line %d, column %d: %s", why.line, why.column,
				 why.text);
	*ret = value;
	return 0;
}

int json_read(int fd, size_t max, json_t **ret, struct error *err)
{
	auto_free char *text = NULL;
	size_t len;
	int r = fs_read_fd(fd, max, &text, &len, err);
	if (r < 0)
		return r;
	return json_parse(text, len, max, ret, err);
}

int json_read_file(int dirfd, const char *name, size_t max, json_t **ret, struct error *err)
{
	auto_free char *text = NULL;
	size_t len;
	int r = fs_read_file(dirfd, name, max, &text, &len, err);
	if (r < 0)
		return r;
	r = json_parse(text, len, max, ret, err);
	return r < 0 ? error_prefix(err, r, "%s", name) : 0;
}

static char *dump(const json_t *value, size_t flags)
{
	char *text = json_dumps(value, flags | JSON_DIGITS | JSON_ENCODE_ANY);
	assert(text); /* only for want of memory, or for what is no JSON value */
	return text;
}

int json_write_file(int dirfd, const char *name, const json_t *value, mode_t mode,
		    struct error *err)
{
	return json_write_file_max(dirfd, name, value, SIZE_MAX, mode, err);
}

int json_write_file_max(int dirfd, const char *name, const json_t *value, size_t max, mode_t mode,
			struct error *err)
{
	auto_free char *text = dump(value, JSON_SORT_KEYS | JSON_INDENT(2));
	auto_free char *lines = xasprintf("%s\n", text);
	size_t len = strlen(lines);
	if (len > max)
		return error_set(err, -EFBIG,
				 "%zu bytes are more than the %zu that can be read again", len,
				 max);
	return fs_write_atomic(dirfd, name, lines, len, mode, err);
}

char *json_text(const json_t *value)
{
	return dump(value, JSON_COMPACT);
}

/* The member, or NULL when it is absent or null. */
static json_t *member(const json_t *obj, const char *name)
{
	json_t *value = json_object_get(obj, name);
	return json_is_null(value) ? NULL : value;
}

static int is_missing(const char *name, struct error *err)
{
	return error_set(err, ERR_FORMAT, "'%s' is missing", name);
}

static int must_be(const char *name, const char *what, struct error *err)
{
	return error_set(err, ERR_FORMAT, "'%s' must be %s", name, what);
}

int json_need_str(const json_t *obj, const char *name, const char **ret, struct error *err)
{
	if (!member(obj, name))
		return is_missing(name, err);
	return json_opt_str(obj, name, ret, err);
}

int json_opt_str(const json_t *obj, const char *name, const char **ret, struct error *err)
{
	const json_t *value = member(obj, name);
	if (!value)
		return 0;
	if (!json_is_string(value))
		return must_be(name, "a string", err);
	*ret = json_string_value(value);
	return 0;
}

int json_need_int(const json_t *obj, const char *name, int64_t *ret, struct error *err)
{
	if (!member(obj, name))
		return is_missing(name, err);
	return json_opt_int(obj, name, ret, err);
}

int json_opt_int(const json_t *obj, const char *name, int64_t *ret, struct error *err)
{
	const json_t *value = member(obj, name);
	if (!value)
		return 0;
	if (!json_is_integer(value))
		return must_be(name, "a whole number", err);
	*ret = json_integer_value(value);
	return 0;
}

int json_opt_number(const json_t *obj, const char *name, double *ret, struct error *err)
{
	const json_t *value = member(obj, name);
	if (!value)
		return 0;
	if (!json_is_number(value))
		return must_be(name, "a number", err);
	*ret = json_number_value(value);
	return 0;
}

int json_opt_bool(const json_t *obj, const char *name, bool *ret, struct error *err)
{
	const json_t *value = member(obj, name);
	if (!value)
		return 0;
	if (!json_is_boolean(value))
		return must_be(name, "true or false", err);
	*ret = json_is_true(value);
	return 0;
}

int json_need_obj(const json_t *obj, const char *name, json_t **ret, struct error *err)
{
	if (!member(obj, name))
		return is_missing(name, err);
	return json_opt_obj(obj, name, ret, err);
}

int json_opt_obj(const json_t *obj, const char *name, json_t **ret, struct error *err)
{
	json_t *value = member(obj, name);
	if (!value)
		return 0;
	if (!json_is_object(value))
		return must_be(name, "an object", err);
	*ret = value;
	return 0;
}

int json_opt_array(const json_t *obj, const char *name, json_t **ret, struct error *err)
{
	json_t *value = member(obj, name);
	if (!value)
		return 0;
	if (!json_is_array(value))
		return must_be(name, "a list", err);
	*ret = value;
	return 0;
}

void json_set_str(json_t *obj, const char *name, const char *value)
{
	if (!value)
		return;
	size_t len = strlen(value);
	auto_free char *clean = str_is_utf8(value, len) ? NULL : str_to_utf8(value, len);
	json_object_set_new(obj, name, json_string(clean ? clean : value));
}

void json_set_int(json_t *obj, const char *name, int64_t value)
{
	json_object_set_new(obj, name, json_integer(value));
}

void json_set_bool(json_t *obj, const char *name, bool value)
{
	json_object_set_new(obj, name, json_boolean(value));
}

void json_set_time(json_t *obj, const char *name, double unix_s)
{
	if (unix_s > 0 && unix_s < TIME_MAX)
		json_object_set_new(obj, name,
				    json_real((double)(int64_t)(unix_s * 1000 + 0.5) / 1000));
}
