// SPDX-License-Identifier: Apache-2.0
#include "agent/problem.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *level_name(enum problem_level level)
{
	return level == PROBLEM_ERROR ? "error" : "warning";
}

void problems_clear(struct problems *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->list[i].where);
		free(p->list[i].text);
	}
	free(p->list);
	*p = (struct problems){0};
}

/* The text is taken over. */
static void add(struct problems *p, enum problem_level level, const char *where, char *text,
		bool keep, bool note)
{
	struct problem one = {
		.level = level, .where = xstrdup(where ? where : ""), .text = text, .note = note};
	if (level == PROBLEM_ERROR)
		p->errors++;
	else
		p->warnings++;
	if (p->tell)
		p->tell(&one, p->arg);
	if (!keep) {
		free(one.where);
		free(one.text);
		return;
	}
	p->list = xrealloc_array(p->list, p->count + 1, sizeof(*p->list));
	p->list[p->count++] = one;
}

void problems_add(struct problems *p, enum problem_level level, const char *where, const char *fmt,
		  ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(p, level, where, xvasprintf(fmt, ap), p->count < PROBLEMS_MAX, false);
	va_end(ap);
}

void problems_note(struct problems *p, enum problem_level level, const char *where, const char *fmt,
		   ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(p, level, where, xvasprintf(fmt, ap), true, true);
	va_end(ap);
}

/* "name:12:3" -> 12; 0 without such a place. */
static unsigned long line_of(const char *where)
{
	const char *column = strrchr(where, ':');
	const char *line = column ? memrchr(where, ':', (size_t)(column - where)) : NULL;
	return line ? strtoul(line + 1, NULL, 10) : 0;
}

/* By insertion: at most PROBLEMS_MAX, nearly sorted already, and equal ones keep their order. */
void problems_by_line(struct problems *p)
{
	for (size_t i = 1; i < p->count; i++) {
		struct problem one = p->list[i];
		unsigned long line = line_of(one.where);
		size_t k = i;
		for (; k > 0 && line_of(p->list[k - 1].where) > line; k--)
			p->list[k] = p->list[k - 1];
		p->list[k] = one;
	}
}

void problems_print(const struct problems *p, FILE *out)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct problem *one = &p->list[i];
		auto_free char *where = str_to_line(one->where, strlen(one->where));
		auto_free char *text = str_to_line(one->text, strlen(one->text));
		fprintf(out, "%s: %s%s%s\n", level_name(one->level), where, *where ? ": " : "",
			text);
	}
	size_t rest = p->errors + p->warnings - p->count;
	if (rest)
		fprintf(out, "and %zu more\n", rest);
}

json_t *problems_to_json(const struct problems *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->count; i++) {
		json_t *one = json_object();
		json_set_str(one, "level", level_name(p->list[i].level));
		json_set_str(one, "where", p->list[i].where);
		json_set_str(one, "text", p->list[i].text);
		json_array_append_new(list, one);
	}
	return list;
}

void problems_harden(struct problems *p)
{
	for (size_t i = 0; i < p->count; i++)
		p->list[i].level = PROBLEM_ERROR;
	p->errors += p->warnings;
	p->warnings = 0;
}

struct listing {
	char text[sizeof(((struct error *)0)->text)];
	size_t len;
};

static void list_one(struct listing *l, const struct problem *one)
{
	if (l->len >= sizeof(l->text))
		return;
	int n = snprintf(l->text + l->len, sizeof(l->text) - l->len, "%s%s%s%s", l->len ? "; " : "",
			 one->where, *one->where ? ": " : "", one->text);
	l->len += n > 0 ? (size_t)n : 0;
}

int problems_check(const struct problems *p, int code, struct error *err)
{
	if (!p->errors)
		return 0;
	struct listing l = {0};
	for (size_t i = 0; i < p->count; i++)
		if (p->list[i].note)
			list_one(&l, &p->list[i]);
	for (size_t i = 0; i < p->count; i++)
		if (p->list[i].level == PROBLEM_ERROR && !p->list[i].note)
			list_one(&l, &p->list[i]);
	if (p->errors == 1)
		return error_set(err, code, "%s", l.text);
	return error_set(err, code, "%zu problems: %s", p->errors, l.text);
}
