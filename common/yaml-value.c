// SPDX-License-Identifier: Apache-2.0
/* What a plain scalar means in YAML 1.1, as Ruby's Psych reads it, which AppSpec files were written
 * for: "0644" is octal, "1_000" and "1,000" are a thousand, "0x1f" and "0b101" are numbers, "1:30"
 * is hours and minutes in seconds, "0o644" and "08" are text. */
#include "common/attr.h"
#include "common/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SCALAR_DIGITS_MAX 80 /* longer is no number that fits */

static const char *plain_text(const struct yaml *node)
{
	if (!node || node->type != YAML_SCALAR || node->quoted)
		return NULL;
	return strlen(node->text) <= SCALAR_DIGITS_MAX ? node->text : NULL;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

/* Digits of base up to the end; '_' and ',' between them mean nothing. */
static int digits_to_u64(const char *s, int base, uint64_t *ret)
{
	uint64_t value = 0;
	bool any = false;
	for (; *s; s++) {
		if ((*s == '_' || *s == ',') && any)
			continue;
		int digit = digit_value(*s);
		if (digit >= base)
			return -EINVAL;
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return -EINVAL;
		any = true;
	}
	*ret = value;
	return any ? 0 : -EINVAL;
}

/* "1:30" is 1 h 30 min, "1:30:15" 15 s more: Psych gives the first place hours. */
static int sexagesimal_to_u64(const char *s, uint64_t *ret)
{
	static const uint64_t weights[] = {3600, 60, 1};
	uint64_t sum = 0;
	char copy[SCALAR_DIGITS_MAX + 1];
	strcpy(copy, s);
	char *rest = copy, *part;
	size_t place = 0;
	for (; (part = strsep(&rest, ":")); place++) {
		uint64_t value;
		if (place == ARRAY_LEN(weights) || digits_to_u64(part, 10, &value) < 0)
			return -EINVAL;
		if (place > 0 && (value > 59 || strlen(part) > 2))
			return -EINVAL;
		if (__builtin_mul_overflow(value, weights[place], &value) ||
		    __builtin_add_overflow(sum, value, &sum))
			return -EINVAL;
	}
	*ret = sum;
	return 0;
}

static int unsigned_to_u64(const char *s, uint64_t *ret)
{
	if (strchr(s, ':'))
		return sexagesimal_to_u64(s, ret);
	if (s[0] != '0')
		return digits_to_u64(s, 10, ret);
	if (s[1] == 'x')
		return digits_to_u64(s + 2, 16, ret);
	if (s[1] == 'b')
		return digits_to_u64(s + 2, 2, ret);
	return digits_to_u64(s, 8, ret);
}

int yaml_to_int(const struct yaml *node, int64_t *ret)
{
	const char *s = plain_text(node);
	if (!s)
		return -EINVAL;
	bool negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	uint64_t value;
	if (unsigned_to_u64(s, &value) < 0 || value > INT64_MAX)
		return -EINVAL;
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return 0;
}

/* [digits].[digits][e(+|-)digits] */
static bool looks_like_float(const char *s)
{
	s += strspn(s, "+-") ? 1 : 0;
	size_t before = strspn(s, "0123456789_,");
	if (s[before] != '.' || (before > 0 && (*s == '_' || *s == ',')))
		return false;
	s += before + 1;
	size_t after = strspn(s, "0123456789");
	s += after;
	if (before + after == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		if (s[1] != '+' && s[1] != '-')
			return false;
		size_t exponent = strspn(s + 2, "0123456789");
		return exponent > 0 && !s[2 + exponent];
	}
	return !*s;
}

int yaml_to_number(const struct yaml *node, double *ret)
{
	int64_t whole;
	if (yaml_to_int(node, &whole) == 0) {
		*ret = (double)whole;
		return 0;
	}
	const char *s = plain_text(node);
	if (!s || !looks_like_float(s))
		return -EINVAL;
	char digits[SCALAR_DIGITS_MAX + 1];
	size_t len = 0;
	for (; *s; s++)
		if (*s != '_' && *s != ',')
			digits[len++] = *s;
	digits[len] = '\0';
	double value = strtod(digits, NULL);
	if (!__builtin_isfinite(value))
		return -EINVAL;
	*ret = value;
	return 0;
}

int yaml_to_bool(const struct yaml *node, bool *ret)
{
	static const char *const words[][2] = {{"false", "true"}, {"no", "yes"}, {"off", "on"}};
	const char *s = plain_text(node);
	for (size_t i = 0; s && i < ARRAY_LEN(words); i++)
		for (int value = 0; value < 2; value++)
			if (strcasecmp(s, words[i][value]) == 0) {
				*ret = value;
				return 0;
			}
	return -EINVAL;
}
