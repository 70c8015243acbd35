// SPDX-License-Identifier: Apache-2.0
#include "common/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	int code;
	const char *name;
} names[] = {
	{ERR_FORMAT, "bad_format"},
	{ERR_INPUT, "bad_input"},
	{ERR_REFUSED, "refused_by_plan"},
	{ERR_SIGNATURE, "signature_mismatch"},
	{ERR_TRUST, "not_trusted"},
	{ERR_DENIED, "access_denied"},
	{ERR_NETWORK, "unreachable"},
	{ERR_HTTP, "http_error"},
	{ERR_THROTTLED, "throttled"},
	{ERR_BUSY, "busy"},
	{ERR_SCRIPT, "script_failed"},
	{ERR_CONFLICT, "changed_underneath"},
	{ERR_UNDO, "undo_failed"},
	{ERR_NOT_MOUNTED, "not_mounted"},
	{ERR_LIMIT, "over_limit"},
	{ERR_CRYPTO, "crypto_failed"},
	{ERR_DATABASE, "database_failed"},
	{ERR_NOT_FOUND, "not_found"},
	{ERR_EXISTS, "exists"},
	{ERR_EXPIRED, "expired"},
};

/* Cut at a UTF-8 boundary, so that a long text stays valid. */
static void cut_utf8(char *text, size_t size)
{
	size_t len = strlen(text);
	if (len + 1 < size)
		return;
	while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
		len--;
	if (len > 0 && ((unsigned char)text[len - 1] & 0x80))
		text[len - 1] = '\0';
}

static void PRINTF_LIKE(3, 0) set_text(struct error *err, int code, const char *fmt, va_list ap)
{
	err->code = code;
	int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	if (n >= (int)sizeof(err->text))
		cut_utf8(err->text, sizeof(err->text));
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	assert(code < 0);
	if (err) {
		va_list ap;
		va_start(ap, fmt);
		set_text(err, code, fmt, ap);
		va_end(ap);
	}
	return code;
}

int error_errno(struct error *err, const char *fmt, ...)
{
	int saved = errno;
	assert(saved > 0);
	if (err) {
		char what[sizeof(err->text)];
		va_list ap;
		va_start(ap, fmt);
		vsnprintf(what, sizeof(what), fmt, ap);
		va_end(ap);
		return error_set(err, -saved, "%s: %s", what, strerror(saved));
	}
	return -saved;
}

int error_prefix(struct error *err, int code, const char *fmt, ...)
{
	assert(code < 0);
	if (err) {
		char rest[sizeof(err->text)];
		memcpy(rest, err->text, sizeof(rest));
		char what[sizeof(err->text)];
		va_list ap;
		va_start(ap, fmt);
		vsnprintf(what, sizeof(what), fmt, ap);
		va_end(ap);
		return error_set(err, code, "%s: %s", what, rest);
	}
	return code;
}

bool error_is_like(const struct error *a, const struct error *b)
{
	static const char digits[] = "0123456789";
	const char *p = a->text, *q = b->text;
	if (a->code != b->code)
		return false;
	for (; *p && *q; p++, q++) {
		size_t n = strspn(p, digits), m = strspn(q, digits);
		if (n && m) {
			p += n - 1;
			q += m - 1;
		} else if (*p != *q) {
			return false;
		}
	}
	return *p == *q;
}

const char *error_name(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].code == code)
			return names[i].name;
	const char *name = code < 0 && code > -1000 ? strerrorname_np(-code) : NULL;
	return name ? name : "unknown";
}

int error_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].code;
	for (int e = 1; e < 140; e++) {
		const char *n = strerrorname_np(e);
		if (n && strcmp(n, name) == 0)
			return -e;
	}
	return -EINVAL;
}
