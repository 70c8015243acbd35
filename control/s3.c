// SPDX-License-Identifier: Apache-2.0
#include "control/s3.h"

#include "common/alloc.h"
#include "common/str.h"
#include "control/s3-xml.h"

#include <ctype.h>
#include <string.h>

/* Percent-decode len bytes; '+' stays. Returns the length, or -EINVAL. */
static int decode(const char *text, size_t len, char *out, size_t room)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '%') {
			char digits[3] = {0};
			if (len - i < 3)
				return -EINVAL;
			memcpy(digits, text + i + 1, 2);
			if (str_unhex(digits, &c, 1) != 1)
				return -EINVAL;
			i += 2;
		}
		if (c == '\0' || n + 1 >= room)
			return -EINVAL;
		out[n++] = c;
	}
	out[n] = '\0';
	return (int)n;
}

static bool is_bucket(const char *name)
{
	size_t len = strlen(name);
	if (len < 3 || len > 63 || !isalnum((unsigned char)name[0]) ||
	    !isalnum((unsigned char)name[len - 1]))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len;
}

int s3_path_parse(const char *path, struct s3_path *ret, struct error *err)
{
	if (path[0] != '/')
		return error_set(err, ERR_INPUT, "the path is not /bucket/key");
	path++;
	size_t len = strcspn(path, "/");
	if (decode(path, len, ret->bucket, sizeof(ret->bucket)) < 0 || !is_bucket(ret->bucket))
		return error_set(err, ERR_INPUT,
				 "the bucket's name must have 3 to 63 of a-z, 0-9, '.' and '-'");
	const char *key = path[len] ? path + len + 1 : "";
	int n = decode(key, strlen(key), ret->key, sizeof(ret->key));
	if (n < 0 || !str_is_utf8(ret->key, (size_t)n))
		return error_set(err, ERR_INPUT, "the key must be UTF-8 of at most %d bytes",
				 S3_KEY_MAX);
	return 0;
}

int s3_range_parse(const char *range, uint64_t size, uint64_t *ret_offset, uint64_t *ret_len)
{
	if (!range || !str_starts(range, "bytes=") || strchr(range, ','))
		return 0;
	auto_free char *first = xstrdup(range + 6);
	char *last = strchr(first, '-');
	if (!last)
		return 0;
	*last++ = '\0';
	uint64_t from = 0, to = 0;
	if (*first == '\0') { /* the last bytes */
		if (str_to_u64(last, &to) < 0)
			return 0;
		if (to == 0 || size == 0)
			return ERR_INPUT;
		*ret_len = to < size ? to : size;
		*ret_offset = size - *ret_len;
		return 1;
	}
	if (str_to_u64(first, &from) < 0 || (*last && str_to_u64(last, &to) < 0))
		return 0;
	if (*last && to < from)
		return 0;
	if (from >= size)
		return ERR_INPUT;
	if (*last == '\0' || to >= size)
		to = size - 1;
	*ret_offset = from;
	*ret_len = to - from + 1;
	return 1;
}

char *s3_base64_of_hex(const char *hex)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t bytes[64] = {0};
	int len = str_unhex(hex, bytes, sizeof(bytes) - 2);
	char *out = xcalloc(1, 4 * sizeof(bytes) / 3 + 8);
	size_t n = 0;
	for (int i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
		out[n++] = digits[v >> 18];
		out[n++] = digits[v >> 12 & 63];
		out[n++] = i + 1 < len ? digits[v >> 6 & 63] : '=';
		out[n++] = i + 2 < len ? digits[v & 63] : '=';
	}
	return out;
}

static const struct {
	const char *type, *code;
} names[] = {
	{"AccessDeniedException", "AccessDenied"},
	{"InternalFailure", "InternalError"},
	{"RequestEntityTooLarge", "EntityTooLarge"},
	{"UnknownOperationException", "MethodNotAllowed"},
	{"NotFound", "NoSuchKey"},
};

void s3_reply_fault(struct request *request, int status, const char *type, const char *message)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i].type, type) == 0)
			type = names[i].code;
	auto_free char *clean_message = str_to_utf8(message, strlen(message));
	auto_free char *clean_path = str_to_utf8(request->path, strlen(request->path));
	auto_buf struct buf body = BUF_INIT(65536);
	buf_adds(&body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
	s3_xml_text(&body, "Code", type);
	s3_xml_text(&body, "Message", clean_message);
	s3_xml_text(&body, "Resource", clean_path);
	s3_xml_text(&body, "RequestId", request->id);
	buf_adds(&body, "</Error>\n");
	request_reply_text(request, status, "application/xml", buf_str(&body), body.len);
}
