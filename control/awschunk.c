// SPDX-License-Identifier: Apache-2.0
#include "control/awschunk.h"

#include "common/digest.h"
#include "common/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/*   SIZE --n--> DATA --n bytes--> AFTER --CRLF--> SIZE
 *   SIZE --0--> TRAILER --line--> TRAILER --empty line--> DONE
 */
enum { SIZE, DATA, AFTER, TRAILER, DONE };

/* The chunk's data is there: is it what was signed? */
static int check_chunk(struct awschunk *c, struct error *err)
{
	char hash[DIGEST_SHA256_HEX];
	if (!c->chain)
		return 0;
	digest_hex(c->hash, hash);
	digest_free(c->hash);
	c->hash = NULL;
	return sigv4_chunks_verify(c->chain, SIGV4_CHUNK_DATA, hash, c->signature, err);
}

/* ";chunk-signature=..." after the size; what else may stand there is ignored. */
static int take_signature(struct awschunk *c, const char *extension, struct error *err)
{
	static const char name[] = ";chunk-signature=";
	if (!c->chain)
		return 0;
	if (!str_starts(extension, name) || strlen(extension + strlen(name)) != 64)
		return error_set(err, ERR_SIGNATURE, "aws-chunked body: a chunk is not signed");
	memcpy(c->signature, extension + strlen(name), sizeof(c->signature));
	return digest_new_sha256(&c->hash, err);
}

static int take_size(struct awschunk *c, struct error *err)
{
	size_t digits = strspn(c->line, "0123456789abcdefABCDEF");
	if (digits == 0 || digits > 15 || (c->line[digits] && c->line[digits] != ';'))
		return error_set(err, ERR_FORMAT, "aws-chunked body: bad size of a chunk");
	c->left = 0;
	for (size_t i = 0; i < digits; i++) {
		char d = (char)tolower((unsigned char)c->line[i]);
		c->left = c->left << 4 | (uint64_t)(d <= '9' ? d - '0' : d - 'a' + 10);
	}
	c->state = c->left ? DATA : TRAILER;
	int r = take_signature(c, c->line + digits, err);
	return r < 0 || c->left ? r : check_chunk(c, err);
}

static int take_trailer_signature(struct awschunk *c, const char *signature, struct error *err)
{
	char hash[DIGEST_SHA256_HEX];
	if (!c->signed_trailer || c->trailer_proved)
		return error_set(err, ERR_FORMAT, "aws-chunked body: signature of a trailer");
	digest_sha256_hex(c->canonical, strlen(c->canonical), hash);
	c->trailer_proved = true;
	return sigv4_chunks_verify(c->chain, SIGV4_CHUNK_TRAILER, hash, signature, err);
}

/* "name:value"; those that are signed are so with the name in lower case and a line feed. */
static int take_trailer(struct awschunk *c, struct error *err)
{
	size_t used = strlen(c->canonical);
	if (c->line[0] == '\0') {
		/* before the signature of the trailers some clients leave an empty line */
		c->state = c->signed_trailer && !c->trailer_proved && used ? TRAILER : DONE;
		return 0;
	}
	char *value = strchr(c->line, ':');
	if (!value)
		return error_set(err, ERR_FORMAT, "aws-chunked body: bad trailer");
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcasecmp(c->line, "x-amz-trailer-signature") == 0)
		return take_trailer_signature(c, value, err);
	if (strlen(c->line) >= sizeof(c->trailer_name) || strlen(value) >= sizeof(c->trailer_value))
		return error_set(err, ERR_FORMAT, "aws-chunked body: trailer is too long");
	for (char *p = c->line; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	strcpy(c->trailer_name, c->line);
	strcpy(c->trailer_value, value);
	int n = snprintf(c->canonical + used, sizeof(c->canonical) - used, "%s:%s\n", c->line,
			 value);
	if (c->trailer_proved || (size_t)n >= sizeof(c->canonical) - used)
		return error_set(err, ERR_FORMAT, "aws-chunked body: too many trailers");
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

static int take_data(struct awschunk *c, const char *data, size_t len, awschunk_sink *sink,
		     void *arg, struct error *err)
{
	if (c->hash)
		digest_update(c->hash, data, len);
	int r = sink(data, len, arg, err);
	c->left -= len;
	c->total += len;
	if (r < 0 || c->left > 0)
		return r;
	c->state = AFTER;
	return check_chunk(c, err);
}

int awschunk_feed(struct awschunk *c, const char *data, size_t len, awschunk_sink *sink, void *arg,
		  struct error *err)
{
	while (len > 0) {
		size_t used = 1;
		int r;
		if (c->state == DATA) {
			used = c->left < len ? (size_t)c->left : len;
			r = take_data(c, data, used, sink, arg, err);
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
	if (c->state != DONE && (c->state != TRAILER || c->line_len > 0))
		return error_set(err, ERR_FORMAT, "aws-chunked body: it is cut off");
	if (c->signed_trailer && !c->trailer_proved)
		return error_set(err, ERR_SIGNATURE, "aws-chunked body: trailers are not signed");
	if (c->chain && !c->signed_trailer && c->trailer_name[0])
		return error_set(err, ERR_SIGNATURE,
				 "aws-chunked body: a trailer that nothing signs");
	return 0;
}

void awschunk_clear(struct awschunk *c)
{
	digest_free(c->hash);
	c->hash = NULL;
}
