// SPDX-License-Identifier: Apache-2.0
/* What a line of output says. Programs put the same fact in many ways:
 *
 *     bind() to 0.0.0.0:80 failed (98: Address already in use)         nginx
 *     Error: listen EADDRINUSE: address already in use :::3000         node
 *     scripts/start.sh: 3: uwsgi: not found                            dash
 *     scripts/start.sh: line 3: uwsgi: command not found               bash
 *
 * and a hostile one in any: what is taken out of a line is a number, or a word of few harmless
 * characters. */
#include "agent/worker/cause-facts.h"

#include "common/alloc.h"
#include "common/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 128
#define NEAR_LINES 3 /* where a hint may stand */
#define PORT_MAX 65535

static size_t line_length(const char *line)
{
	return (size_t)(strchrnul(line, '\n') - line);
}

static struct cause_line line_at(const char *output, const char *start)
{
	static const char *const streams[] = {"[stdout]", "[stderr]"};
	for (size_t i = 0; i < ARRAY_LEN(streams); i++)
		if (str_starts(start, streams[i]))
			start += strlen(streams[i]);
	return (struct cause_line){start, line_length(start), output};
}

const char *cause_line_has(const struct cause_line *line, const char *word)
{
	size_t len = strlen(word);
	for (size_t i = 0; i + len <= line->len; i++)
		if (strncasecmp(line->text + i, word, len) == 0)
			return line->text + i;
	return NULL;
}

static bool has_any(const struct cause_line *line, const char *const *words)
{
	for (; *words; words++)
		if (cause_line_has(line, *words))
			return true;
	return false;
}

bool cause_line_find(const char *output, const char *const *words, struct cause_line *ret)
{
	bool found = false;
	for (const char *p = output; p && *p;) {
		struct cause_line line = line_at(output, p);
		if (has_any(&line, words)) {
			*ret = line;
			found = true;
		}
		p = line.text + line.len;
		p += *p == '\n';
	}
	return found;
}

/* Ports */

static unsigned to_port(const char *digits)
{
	char *end;
	unsigned long port = isdigit((unsigned char)*digits) ? strtoul(digits, &end, 10) : 0;
	return port <= PORT_MAX ? (unsigned)port : 0;
}

/* "port 80", "port: 80", "port=80", "port [80]" */
static unsigned port_by_name(const struct cause_line *line)
{
	struct cause_line rest = *line;
	for (const char *at; (at = cause_line_has(&rest, "port"));) {
		bool begins = at == line->text || !isalnum((unsigned char)at[-1]);
		at += strlen("port");
		unsigned port = to_port(at + strspn(at, " :=[#\"'"));
		if (begins && port)
			return port;
		rest.len = (size_t)(line->text + line->len - at);
		rest.text = at;
	}
	return 0;
}

/* What stands before the last colon of "HOST:80": "app.js:80" names a line, "18:30:05" a time. */
static bool is_host(const char *text, size_t len)
{
	static const char *const names[] = {"", "*", "::", ":", "localhost", "null>", "tcp"};
	const char *scheme = memmem(text, len, "://", 3);
	if (scheme) {
		len -= (size_t)(scheme + 3 - text);
		text = scheme + 3;
		return len > 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strlen(names[i]) == len && strncasecmp(text, names[i], len) == 0)
			return true;
	if (len > 0 && text[len - 1] == ']')
		return memchr(text, '[', len);
	unsigned dots = 0;
	for (size_t i = 0; i < len; i++) {
		dots += text[i] == '.';
		if (!isdigit((unsigned char)text[i]) && text[i] != '.')
			return false;
	}
	return dots == 3;
}

static unsigned port_of_word(const char *word, size_t len)
{
	while (len && strchr("([{'\"<`,;", *word) &&
	       !(len > 1 && *word == '[' && strchr("0123456789:abcdefABCDEF", word[1])))
		word++, len--;
	while (len && !isdigit((unsigned char)word[len - 1]))
		len--;
	size_t digits = 0;
	while (digits < len && isdigit((unsigned char)word[len - 1 - digits]))
		digits++;
	if (digits == 0 || digits == len || digits > 5)
		return 0;
	const char *number = word + len - digits;
	if (number[-1] == '/' && str_starts(word, "/dev/tcp/"))
		return to_port(number);
	return number[-1] == ':' && is_host(word, len - digits - 1) ? to_port(number) : 0;
}

/* "0.0.0.0:80", ":::3000", "[::]:80", "http://127.0.0.1:5000:", "('0.0.0.0', 8000)" */
static unsigned port_of_address(const struct cause_line *line)
{
	const char *end = line->text + line->len;
	for (const char *p = line->text; p < end;) {
		size_t len = 0;
		while (p + len < end && p[len] != ' ' && p[len] != '\t' && p[len] != '|')
			len++;
		unsigned port = port_of_word(p, len);
		if (port)
			return port;
		p += len;
		/* a pair, as Python prints one */
		if (len > 2 && p[-1] == ',' && (p[-2] == '\'' || p[-2] == '"') && p < end &&
		    *p == ' ' && (port = to_port(p + 1)))
			return port;
		p += p < end;
	}
	return 0;
}

static const char *line_before(const char *output, const char *at)
{
	if (at == output)
		return NULL;
	for (at--; at > output && at[-1] != '\n';)
		at--;
	return at;
}

static unsigned port_near(const struct cause_line *line)
{
	const char *start = line->text;
	while (start > line->output && start[-1] != '\n')
		start--;
	const char *from = start;
	for (int i = 0; i < NEAR_LINES && line_before(line->output, from); i++)
		from = line_before(line->output, from);
	for (int i = 0; i <= 2 * NEAR_LINES && *from; i++) {
		struct cause_line near = line_at(line->output, from);
		unsigned port = port_by_name(&near);
		if (port)
			return port;
		from = near.text + near.len;
		from += *from == '\n';
	}
	return 0;
}

unsigned cause_port(const struct cause_line *line)
{
	unsigned port = port_by_name(line);
	if (!port)
		port = port_of_address(line);
	return port ? port : port_near(line);
}

size_t cause_ports(const char *output, unsigned *ports, size_t max)
{
	size_t n = 0;
	for (const char *p = output; *p && n < max;) {
		struct cause_line line = line_at(output, p);
		unsigned port = port_by_name(&line);
		port = port ? port : port_of_address(&line);
		for (size_t i = 0; port && i < n; i++)
			port = ports[i] == port ? 0 : port;
		if (port)
			ports[n++] = port;
		p = line.text + line.len;
		p += *p == '\n';
	}
	return n;
}

/* Words */

static const char *const quotes[] = {"'", "\"", "`", "\xe2\x80\x98", "\xe2\x80\x99", "?"};

static size_t quote_at(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(quotes); i++) {
		size_t n = strlen(quotes[i]);
		if (len >= n && memcmp(text, quotes[i], n) == 0)
			return n;
	}
	return 0;
}

static size_t quote_before(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(quotes); i++) {
		size_t n = strlen(quotes[i]);
		if (len >= n && memcmp(text + len - n, quotes[i], n) == 0)
			return n;
	}
	return 0;
}

static char *safe_word(const char *text, size_t len)
{
	size_t n = 0;
	while (len && (*text == ' ' || (n = quote_at(text, len)))) {
		n = *text == ' ' ? 1 : n;
		text += n;
		len -= n;
	}
	while (len && (text[len - 1] == ' ' || (n = quote_before(text, len))))
		len -= text[len - 1] == ' ' ? 1 : n;
	if (len == 0 || len > WORD_MAX || *text == '-')
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("._/+@:-", text[i]))
			return NULL;
	return xstrndup(text, len);
}

char *cause_word_before(const struct cause_line *line, const char *mark)
{
	const char *end = cause_line_has(line, mark), *start = end;
	if (!end)
		return NULL;
	while (start > line->text &&
	       !(start[-1] == ' ' && start - 2 >= line->text && start[-2] == ':'))
		start--;
	return safe_word(start, (size_t)(end - start));
}

char *cause_word_after(const struct cause_line *line, const char *mark)
{
	const char *start = cause_line_has(line, mark), *end = line->text + line->len;
	if (!start)
		return NULL;
	start += strlen(mark);
	while (start < end && (*start == ' ' || quote_at(start, (size_t)(end - start))))
		start += *start == ' ' ? 1 : quote_at(start, (size_t)(end - start));
	const char *stop = start;
	while (stop < end && *stop != ' ' && !quote_at(stop, (size_t)(end - stop)) &&
	       !strchr(",;)", *stop))
		stop++;
	while (stop > start && stop[-1] == ':')
		stop--;
	return safe_word(start, (size_t)(stop - start));
}

char *cause_path(const struct cause_line *line)
{
	const char *end = line->text + line->len;
	for (const char *p = line->text; p < end; p++) {
		bool begins =
			p == line->text || strchr(" '\"`=", p[-1]) || (unsigned char)p[-1] >= 0x80;
		if (*p != '/' || !begins)
			continue;
		size_t len = 0;
		while (p + len < end && !strchr(" \t'\"`,;)", p[len]) &&
		       (unsigned char)p[len] < 0x80)
			len++;
		while (len > 1 && strchr(":.", p[len - 1]))
			len--;
		char *path = len > 1 ? safe_word(p, len) : NULL;
		if (path)
			return path;
		p += len ? len - 1 : 0;
	}
	return NULL;
}

long cause_number_after(const struct cause_line *line, const char *mark)
{
	const char *at = cause_line_has(line, mark);
	at = at ? at + strlen(mark) : NULL;
	at = at ? at + strspn(at, " :=(") : NULL;
	return at && isdigit((unsigned char)*at) ? strtol(at, NULL, 10) : 0;
}
