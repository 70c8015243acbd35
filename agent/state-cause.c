// SPDX-License-Identifier: Apache-2.0
#include "agent/state.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/str.h"

#include <string.h>

static char *copy_cut(const char *text)
{
	size_t len = text ? strlen(text) : 0;
	if (len > STATE_CAUSE_TEXT_MAX)
		for (len = STATE_CAUSE_TEXT_MAX;
		     len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
			len--;
	return text ? xstrndup(text, len) : NULL;
}

void state_cause_add(struct state_causes *causes, const struct state_cause *cause)
{
	for (size_t i = 0; i < causes->n; i++)
		if (str_eq(causes->list[i].name, cause->name))
			return;
	if (causes->n == STATE_CAUSES_MAX)
		return;
	causes->list = xrealloc_array(causes->list, causes->n + 1, sizeof(*causes->list));
	causes->list[causes->n++] = (struct state_cause){
		.name = copy_cut(cause->name),
		.text = copy_cut(cause->text),
		.evidence = copy_cut(cause->evidence),
		.next = copy_cut(cause->next),
	};
}

void state_causes_clear(struct state_causes *causes)
{
	for (size_t i = 0; i < causes->n; i++) {
		free(causes->list[i].name);
		free(causes->list[i].text);
		free(causes->list[i].evidence);
		free(causes->list[i].next);
	}
	free(causes->list);
	*causes = (struct state_causes){0};
}

json_t *state_causes_to_json(const struct state_causes *causes)
{
	json_t *list = json_array();
	for (size_t i = 0; i < causes->n; i++) {
		const struct state_cause *cause = &causes->list[i];
		json_t *obj = json_object();
		json_set_str(obj, "cause", cause->name);
		json_set_str(obj, "text", cause->text);
		json_set_str(obj, "evidence", cause->evidence);
		json_set_str(obj, "next", cause->next);
		json_array_append_new(list, obj);
	}
	return list;
}

static int cause_from_json(const json_t *obj, struct state_causes *causes, struct error *err)
{
	const char *name = NULL, *text = NULL, *evidence = NULL, *next = NULL;
	int r;
	if ((r = json_need_str(obj, "cause", &name, err)) < 0 ||
	    (r = json_need_str(obj, "text", &text, err)) < 0 ||
	    (r = json_opt_str(obj, "evidence", &evidence, err)) < 0 ||
	    (r = json_opt_str(obj, "next", &next, err)) < 0)
		return r;
	const struct state_cause cause = {(char *)name, (char *)text, (char *)evidence,
					  (char *)next};
	state_cause_add(causes, &cause);
	return 0;
}

int state_causes_from_json(const json_t *obj, const char *name, struct state_causes *causes,
			   struct error *err)
{
	json_t *list = NULL;
	int r = json_opt_array(obj, name, &list, err);
	/* a later release may know more of them */
	for (size_t i = 0; r >= 0 && i < json_array_size(list) && i < STATE_CAUSES_MAX; i++)
		r = cause_from_json(json_array_get(list, i), causes, err);
	return r;
}
