// SPDX-License-Identifier: Apache-2.0
#include "control/s3-xml.h"

#include "common/str.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- reading ---- */

struct level {
	size_t path_len; /* of the path that ends with this element */
	struct buf text;
};

struct parser {
	const char *at, *end;
	s3_xml_fn *fn;
	void *arg;
	char path[256];
	struct level levels[S3_XML_DEPTH_MAX];
	unsigned depth;
	bool seen; /* the root */
};

static int broken(struct error *err, const char *what)
{
	return error_set(err, ERR_FORMAT, "the XML document is not well-formed: %s", what);
}

static bool has(const struct parser *p, const char *prefix)
{
	size_t len = strlen(prefix);
	return (size_t)(p->end - p->at) >= len && memcmp(p->at, prefix, len) == 0;
}

/* Go behind the next occurrence of mark. Returns where it began, or NULL. */
static const char *skip_past(struct parser *p, const char *mark)
{
	const char *found = memmem(p->at, (size_t)(p->end - p->at), mark, strlen(mark));
	if (found)
		p->at = found + strlen(mark);
	return found;
}

static int add_character(struct buf *out, unsigned long c)
{
	if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return -EINVAL;
	if (c < 0x80)
		return buf_addc(out, (char)c);
	unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
	buf_addc(out, (char)(first[more] | c >> 6 * more));
	while (more-- > 0)
		buf_addc(out, (char)(0x80 | (c >> 6 * more & 0x3F)));
	return out->failed;
}

/* "amp", "#38", "#x26" */
static int add_reference(struct buf *out, const char *name)
{
	static const char *const names[][2] = {
		{"lt", "<"}, {"gt", ">"}, {"amp", "&"}, {"quot", "\""}, {"apos", "'"}};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i][0], name) == 0)
			return buf_adds(out, names[i][1]);
	if (name[0] != '#')
		return -EINVAL;
	bool hex = name[1] == 'x';
	const char *digits = name + (hex ? 2 : 1);
	size_t len = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
	if (len == 0 || len > 8 || digits[len])
		return -EINVAL;
	return add_character(out, strtoul(digits, NULL, hex ? 16 : 10));
}

static int take_reference(struct parser *p, struct buf *out, struct error *err)
{
	char name[16];
	const char *start = p->at + 1;
	const char *semicolon = skip_past(p, ";");
	if (!semicolon || (size_t)(semicolon - start) >= sizeof(name))
		return broken(err, "a '&' begins no reference");
	memcpy(name, start, (size_t)(semicolon - start));
	name[semicolon - start] = '\0';
	if (strlen(name) != (size_t)(semicolon - start) || add_reference(out, name) < 0)
		return broken(err, "an unknown reference");
	return 0;
}

static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", text[i]) || !text[i])
			return false;
	return true;
}

static int take_text(struct parser *p, struct error *err)
{
	const char *stop = p->at;
	while (stop < p->end && *stop != '<' && *stop != '&')
		stop++;
	size_t len = (size_t)(stop - p->at);
	const char *text = p->at;
	p->at = stop;
	if (p->depth == 0) {
		bool blank = is_blank(text, len) && (stop == p->end || *stop == '<');
		return blank ? 0 : broken(err, "text outside of the root");
	}
	struct buf *out = &p->levels[p->depth - 1].text;
	if (buf_add(out, text, len) < 0)
		return broken(err, "an element's text is too long");
	return stop < p->end && *stop == '&' ? take_reference(p, out, err) : 0;
}

/* A name without its namespace prefix, and where it ends. */
static int take_name(struct parser *p, const char **ret_name, size_t *ret_len, struct error *err)
{
	const char *start = p->at, *name = p->at;
	while (p->at < p->end && (isalnum((unsigned char)*p->at) || strchr("_-.:", *p->at)) &&
	       *p->at) {
		if (*p->at == ':')
			name = p->at + 1;
		p->at++;
	}
	if (p->at == start || p->at == name)
		return broken(err, "a tag without name");
	*ret_name = name;
	*ret_len = (size_t)(p->at - name);
	return 0;
}

static int close_element(struct parser *p, struct error *err)
{
	struct level *level = &p->levels[p->depth - 1];
	const char *text = buf_str(&level->text);
	int r = 0;
	if (!str_is_utf8(text, level->text.len))
		r = broken(err, "text that is no UTF-8");
	if (r == 0)
		r = p->fn(p->path, text, p->arg, err);
	buf_clear(&level->text);
	p->depth--;
	p->path[p->depth ? p->levels[p->depth - 1].path_len : 0] = '\0';
	return r;
}

static int open_element(struct parser *p, const char *name, size_t len, struct error *err)
{
	size_t used = strlen(p->path);
	if (p->depth == 0 && p->seen)
		return broken(err, "a second root");
	if (p->depth == S3_XML_DEPTH_MAX || used + 1 + len >= sizeof(p->path))
		return broken(err, "elements are nested too deeply");
	if (used)
		p->path[used++] = '/';
	memcpy(p->path + used, name, len);
	p->path[used + len] = '\0';
	p->levels[p->depth++] =
		(struct level){.path_len = used + len, .text = BUF_INIT(S3_XML_TEXT_MAX)};
	p->seen = true;
	return 0;
}

/* The rest of a start tag: attributes mean nothing here, but a '>' may stand in them. */
static int skip_attributes(struct parser *p, bool *ret_empty, struct error *err)
{
	for (; p->at < p->end; p->at++) {
		if (*p->at == '"' || *p->at == '\'') {
			const char quote[] = {*p->at++, '\0'};
			if (!skip_past(p, quote))
				break;
			p->at--;
		} else if (*p->at == '<') {
			break;
		} else if (*p->at == '>') {
			*ret_empty = p->at[-1] == '/';
			p->at++;
			return 0;
		}
	}
	return broken(err, "a tag that does not end");
}

static int take_start(struct parser *p, struct error *err)
{
	const char *name;
	size_t len;
	bool empty = false;
	p->at++;
	int r = take_name(p, &name, &len, err);
	if (r == 0)
		r = skip_attributes(p, &empty, err);
	if (r == 0)
		r = open_element(p, name, len, err);
	return r == 0 && empty ? close_element(p, err) : r;
}

static int take_end(struct parser *p, struct error *err)
{
	const char *name;
	size_t len;
	p->at += 2;
	int r = take_name(p, &name, &len, err);
	if (r < 0)
		return r;
	while (p->at < p->end && strchr(" \t\r\n", *p->at) && *p->at)
		p->at++;
	if (p->at == p->end || *p->at++ != '>' || p->depth == 0)
		return broken(err, "an end tag without start");
	size_t start = p->depth > 1 ? p->levels[p->depth - 2].path_len + 1 : 0;
	if (strlen(p->path + start) != len || memcmp(p->path + start, name, len) != 0)
		return broken(err, "an end tag that does not match");
	return close_element(p, err);
}

static int take_cdata(struct parser *p, struct error *err)
{
	p->at += strlen("<![CDATA[");
	const char *start = p->at, *stop = skip_past(p, "]]>");
	if (!stop || p->depth == 0)
		return broken(err, "a CDATA section");
	if (buf_add(&p->levels[p->depth - 1].text, start, (size_t)(stop - start)) < 0)
		return broken(err, "an element's text is too long");
	return 0;
}

static int take_next(struct parser *p, struct error *err)
{
	if (*p->at != '<')
		return take_text(p, err);
	if (has(p, "<?"))
		return skip_past(p, "?>") ? 0 : broken(err, "an instruction without end");
	if (has(p, "<!--"))
		return skip_past(p, "-->") ? 0 : broken(err, "a comment without end");
	if (has(p, "<![CDATA["))
		return take_cdata(p, err);
	if (has(p, "<!"))
		return broken(err, "a document type, which is not accepted");
	return has(p, "</") ? take_end(p, err) : take_start(p, err);
}

int s3_xml_parse(const char *data, size_t len, s3_xml_fn *fn, void *arg, struct error *err)
{
	struct parser p = {.at = data, .end = data + len, .fn = fn, .arg = arg};
	int r = 0;
	if (has(&p, "\xEF\xBB\xBF"))
		p.at += 3;
	while (r == 0 && p.at < p.end)
		r = take_next(&p, err);
	if (r == 0 && (p.depth > 0 || !p.seen))
		r = broken(err, "it is cut off");
	while (p.depth > 0)
		buf_clear(&p.levels[--p.depth].text);
	return r;
}

/* ---- writing ---- */

static void add_escaped(struct buf *out, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			buf_adds(out, "&lt;");
			break;
		case '>':
			buf_adds(out, "&gt;");
			break;
		case '&':
			buf_adds(out, "&amp;");
			break;
		case '"':
			buf_adds(out, "&quot;");
			break;
		default:
			if ((unsigned char)*text < 0x20 && *text != '\n' && *text != '\t')
				buf_addf(out, "&#x%x;", (unsigned)*text);
			else
				buf_addc(out, *text);
		}
}

void s3_xml_begin(struct buf *out, const char *root)
{
	buf_addf(out,
		 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		 "<%s xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
		 root);
}

void s3_xml_open(struct buf *out, const char *name)
{
	buf_addf(out, "<%s>", name);
}

void s3_xml_close(struct buf *out, const char *name)
{
	buf_addf(out, "</%s>", name);
}

void s3_xml_text(struct buf *out, const char *name, const char *text)
{
	if (!text)
		return;
	s3_xml_open(out, name);
	add_escaped(out, text);
	s3_xml_close(out, name);
}

void s3_xml_number(struct buf *out, const char *name, uint64_t value)
{
	buf_addf(out, "<%s>%ju</%s>", name, (uintmax_t)value, name);
}

void s3_xml_bool(struct buf *out, const char *name, bool value)
{
	s3_xml_text(out, name, value ? "true" : "false");
}

void s3_xml_time(struct buf *out, const char *name, int64_t when_s)
{
	char text[64];
	struct tm tm;
	time_t when = (time_t)when_s;
	gmtime_r(&when, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
	s3_xml_text(out, name, text);
}

void s3_xml_etag(struct buf *out, const char *etag)
{
	buf_addf(out, "<ETag>&quot;%s&quot;</ETag>", etag);
}
