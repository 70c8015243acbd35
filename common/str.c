// SPDX-License-Identifier: Apache-2.0
#include "common/str.h"

#include "common/alloc.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

bool str_eq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t len = strlen(s), end = strlen(suffix);
	return len >= end && strcmp(s + len - end, suffix) == 0;
}

bool str_empty(const char *s)
{
	return !s || !*s;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The digits at the start of s; *ret_rest is what follows them. */
static int leading_u64(const char *s, uint64_t *ret, const char **ret_rest)
{
	if (!is_digit(*s))
		return -EINVAL;
	uint64_t value = 0;
	for (; is_digit(*s); s++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return -ERANGE;
	*ret = value;
	*ret_rest = s;
	return 0;
}

int str_to_u64(const char *s, uint64_t *ret)
{
	uint64_t value;
	const char *rest;
	int r = leading_u64(s, &value, &rest);
	if (r < 0)
		return r;
	if (*rest)
		return -EINVAL;
	*ret = value;
	return 0;
}

int str_to_i64(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	uint64_t value;
	int r = str_to_u64(s, &value);
	if (r < 0)
		return r;
	if (value > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return -ERANGE;
	*ret = negative ? (int64_t)(0 - value) : (int64_t)value;
	return 0;
}

int str_to_bool(const char *s, bool *ret)
{
	static const char *const words[][2] = {
		{"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		for (int value = 0; value < 2; value++)
			if (strcasecmp(s, words[i][value]) == 0) {
				*ret = value;
				return 0;
			}
	return -EINVAL;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int with_unit(const char *s, const struct unit *units, size_t count, uint64_t *ret)
{
	uint64_t value;
	const char *rest;
	int r = leading_u64(s, &value, &rest);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(rest, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, &value))
			return -ERANGE;
		*ret = value;
		return 0;
	}
	return -EINVAL;
}

int str_to_size(const char *s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},
		{"k", 1 << 10},
		{"M", 1 << 20},
		{"G", 1 << 30},
		{"T", 1ULL << 40},
		{"B", 1},
		{"KB", 1000},
		{"MB", 1000000},
		{"GB", 1000000000},
		{"TB", 1000000000000},
		{"KiB", 1 << 10},
		{"MiB", 1 << 20},
		{"GiB", 1 << 30},
		{"TiB", 1ULL << 40},
	};
	return with_unit(s, units, ARRAY_LEN(units), ret_bytes);
}

int str_to_percent(const char *s, uint64_t *ret)
{
	static const struct unit units[] = {{"", 1}, {"%", 1}};
	return with_unit(s, units, ARRAY_LEN(units), ret);
}

int str_to_duration(const char *s, uint64_t *ret_ms)
{
	static const struct unit units[] = {{"", 1000},   {"ms", 1},      {"s", 1000},
					    {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	return with_unit(s, units, ARRAY_LEN(units), ret_ms);
}

void str_hex(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;
	for (size_t i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int str_unhex(const char *hex, void *out, size_t room)
{
	size_t len = strlen(hex);
	if (len % 2)
		return -EINVAL;
	if (len / 2 > room || len / 2 > INT_MAX)
		return -ENOSPC;
	unsigned char *p = out;
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
		if (high < 0 || low < 0)
			return -EINVAL;
		*p++ = (unsigned char)(high << 4 | low);
	}
	return (int)(len / 2);
}

/* Length of the character at p, or 0 when it is not valid UTF-8 (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t utf8_char(const unsigned char *p, size_t len)
{
	static const struct {
		unsigned char from, to;  /* first byte */
		unsigned char low, high; /* second byte */
		unsigned char length;
	} forms[] = {
		{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (p[0] < forms[i].from || p[0] > forms[i].to)
			continue;
		size_t length = forms[i].length;
		if (length > len)
			return 0;
		if (length > 1 && (p[1] < forms[i].low || p[1] > forms[i].high))
			return 0;
		for (size_t k = 2; k < length; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return length;
	}
	return 0;
}

bool str_is_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	for (size_t i = 0; i < len;) {
		size_t n = p[i] ? utf8_char(p + i, len - i) : 0;
		if (!n)
			return false;
		i += n;
	}
	return true;
}

/* What makes a terminal show text in another order than it has: U+061C, 200E, 200F, 202A to 202E,
 * 2066 to 2069; and the line ends 2028 and 2029. */
static bool is_directional(const unsigned char *p, size_t n)
{
	if (n == 2)
		return p[0] == 0xd8 && p[1] == 0x9c;
	if (n != 3 || p[0] != 0xe2)
		return false;
	if (p[1] == 0x80)
		return p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae);
	return p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9;
}

/* C0 but tab and newline, DEL, and C1 (two bytes in UTF-8): they can drive a terminal. */
static bool is_control(const unsigned char *p, size_t n)
{
	if (n == 1)
		return (*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f;
	return (n == 2 && p[0] == 0xc2 && p[1] < 0xa0) || is_directional(p, n);
}

char *str_to_utf8(const void *data, size_t len)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const unsigned char *p = data;
	char *text = xrealloc_array(NULL, len + 1, 3);
	char *out = text;
	for (size_t i = 0; i < len;) {
		size_t n = utf8_char(p + i, len - i);
		if (!n) {
			out = mempcpy(out, replacement, 3);
			i++;
			continue;
		}
		if (is_control(p + i, n))
			*out++ = '?';
		else
			out = mempcpy(out, p + i, n);
		i += n;
	}
	*out = '\0';
	return text;
}

char *str_to_line(const void *data, size_t len)
{
	char *text = str_to_utf8(data, len);
	for (char *c = text; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = '?';
	return text;
}

char *str_shell_word(const char *word)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "_./:@%+=,-";
	if (*word && !word[strspn(word, plain)])
		return xstrdup(word);
	char *out = xcalloc(strlen(word) * 4 + 3, 1), *p = out;
	*p++ = '\'';
	for (; *word; word++) {
		if (*word == '\'')
			p = stpcpy(p, "'\\''");
		else
			*p++ = *word;
	}
	*p = '\'';
	return out;
}

char **str_split(const char *s, char sep)
{
	size_t count = 1;
	for (const char *p = s; *p; p++)
		count += *p == sep;
	char **list = xcalloc(count + 1, sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		const char *end = strchrnul(s, sep);
		list[i] = xstrndup(s, (size_t)(end - s));
		s = end + 1;
	}
	return list;
}

void str_list_free(char **list)
{
	if (!list)
		return;
	for (char **p = list; *p; p++)
		free(*p);
	free(list);
}

static bool is_unreserved(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("-._~", c));
}

char *str_uri_encode(const char *s, size_t len, bool keep_slash)
{
	static const char digits[] = "0123456789ABCDEF";
	char *text = xrealloc_array(NULL, len + 1, 3);
	char *out = text;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (is_unreserved(s[i]) || (keep_slash && c == '/')) {
			*out++ = s[i];
			continue;
		}
		*out++ = '%';
		*out++ = digits[c >> 4];
		*out++ = digits[c & 15];
	}
	*out = '\0';
	return text;
}

bool str_is_filename(const char *s)
{
	if (str_empty(s) || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	return strlen(s) <= NAME_MAX && !strchr(s, '/');
}

const char *str_human_bytes(uint64_t bytes, char *out, size_t room)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)bytes;
	size_t unit = 0;
	/* 999.95 would print as "1000.0" */
	while (value >= 999.95 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1000;
		unit++;
	}
	if (unit == 0)
		snprintf(out, room, "%u B", (unsigned)bytes);
	else
		snprintf(out, room, "%.1f %s", value, units[unit]);
	return out;
}

#define NEAR_MAX 40 /* longer words are nobody's misspelling */

/* Edit distance (one swap of neighbours counts as one), ignoring case. */
static unsigned distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned d[NEAR_MAX + 1][NEAR_MAX + 1];
	if (la > NEAR_MAX || lb > NEAR_MAX)
		return UINT_MAX;
	for (unsigned i = 0; i <= la; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		for (size_t j = 1; j <= lb; j++) {
			int ca = tolower((unsigned char)a[i - 1]);
			int cb = tolower((unsigned char)b[j - 1]);
			unsigned best = d[i - 1][j - 1] + (ca != cb);
			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
			    cb == tolower((unsigned char)a[i - 2]) && d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[la][lb];
}

const char *str_nearer(const char *word, const char *best, const char *candidate)
{
	unsigned d = distance(word, candidate);
	/* they must share more than half of the letters */
	if (d > 3 || d >= (strlen(candidate) + 1) / 2)
		return best;
	return best && distance(word, best) <= d ? best : candidate;
}

static void random_bytes(void *out, size_t len)
{
	unsigned char *p = out;
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort(); /* no source of randomness: nothing that follows would be safe */
		p += n;
		len -= (size_t)n;
	}
}

void str_random(char *out, size_t n)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	for (size_t i = 0; i < n;) {
		unsigned char c;
		random_bytes(&c, 1);
		if (c < 252) /* 7 * 36: every letter equally likely */
			out[i++] = letters[c % 36];
	}
	out[n] = '\0';
}

void str_uuid(char out[37])
{
	unsigned char b[16];
	random_bytes(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	char hex[33];
	str_hex(b, sizeof(b), hex);
	snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}
