// SPDX-License-Identifier: Apache-2.0
#include "control/awschunk.h"

#include "common/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/*   SIZE --n--> DATA --n bytes--> AFTER --CRLF--> SIZE
 *   SIZE --0--> TRAILER --line--> TRAILER --empty line--> DONE
 */
enum { SIZE, DATA, AFTER, TRAILER, DONE };

static int take_size(struct awschunk *c, struct error *err)
{
	size_t digits = strspn(c->line, "0123456789abcdefABCDEF");
	/* After the size may come ";chunk-signature=...". */
	if (digits == 0 || digits > 15 || (c->line[digits] && c->line[digits] != ';'))
		return error_set(err, ERR_FORMAT, "aws-chunked body: bad size of a chunk");
	c->left = 0;
	for (size_t i = 0; i < digits; i++) {
		char d = (char)tolower((unsigned char)c->line[i]);
		c->left = c->left << 4 | (uint64_t)(d <= '9' ? d - '0' : d - 'a' + 10);
	}
	c->state = c->left ? DATA : TRAILER;
	return 0;
}

static int take_trailer(struct awschunk *c, struct error *err)
{
	if (c->line[0] == '\0') {
		c->state = DONE;
		return 0;
	}
	char *value = strchr(c->line, ':');
	if (!value)
		return error_set(err, ERR_FORMAT, "aws-chunked body: bad trailer");
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strlen(c->line) >= sizeof(c->trailer_name) || strlen(value) >= sizeof(c->trailer_value))
		return error_set(err, ERR_FORMAT, "aws-chunked body: trailer is too long");
	strcpy(c->trailer_name, c->line);
	strcpy(c->trailer_value, value);
	return 0;
}

static int take_line(struct awschunk *c, struct error *err)
{
	switch (c->state) {
	case SIZE:
		return take_size(c, err);
	case AFTER:
		if (c->line[0])
			return error_set(err, ERR_FORMAT,
					 "aws-chunked body: a chunk is longer than it says");
		c->state = SIZE;
		return 0;
	case TRAILER:
		return take_trailer(c, err);
	default:
		return error_set(err, ERR_FORMAT, "aws-chunked body: data after its end");
	}
}

static int add_to_line(struct awschunk *c, char byte, struct error *err)
{
	if (byte != '\n') {
		if (c->line_len + 1 >= sizeof(c->line) || byte == '\0')
			return error_set(err, ERR_FORMAT, "aws-chunked body: bad line");
		c->line[c->line_len++] = byte;
		return 0;
	}
	if (c->line_len > 0 && c->line[c->line_len - 1] == '\r')
		c->line_len--;
	c->line[c->line_len] = '\0';
	c->line_len = 0;
	return take_line(c, err);
}

int awschunk_feed(struct awschunk *c, const char *data, size_t len, awschunk_sink *sink, void *arg,
		  struct error *err)
{
	while (len > 0) {
		size_t used = 1;
		int r;
		if (c->state == DATA) {
			used = c->left < len ? (size_t)c->left : len;
			r = sink(data, used, arg, err);
			c->left -= used;
			c->total += used;
			if (c->left == 0)
				c->state = AFTER;
		} else {
			r = add_to_line(c, *data, err);
		}
		if (r < 0)
			return r;
		data += used;
		len -= used;
	}
	return 0;
}

int awschunk_end(const struct awschunk *c, struct error *err)
{
	/* Some clients leave out the empty line after the last chunk. */
	if (c->state == DONE || (c->state == TRAILER && c->line_len == 0))
		return 0;
	return error_set(err, ERR_FORMAT, "aws-chunked body: it is cut off");
}
