// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/log-line.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/str.h"

#include <string.h>

#define STAMP_LEN 19 /* "2026-11-21 18:40:18" */
#define EVENT "LifecycleEvent - "
#define SCRIPT "Script - "

void log_place_clear(struct log_place *place)
{
	free(place->event);
	free(place->script);
	*place = (struct log_place){0};
}

static void set(char **text, const char *value)
{
	free(*text);
	*text = xstrdup(value);
}

/* Returns true when it is one. */
static bool take_heading(struct log_place *place, const char *text)
{
	if (str_starts(text, EVENT))
		set(&place->event, text + strlen(EVENT));
	else if (str_starts(text, SCRIPT))
		set(&place->script, text + strlen(SCRIPT));
	else
		return false;
	return true;
}

/* "[stdout]text": its stream becomes a member, the rest is returned. */
static const char *take_stream(json_t *obj, char *text)
{
	static const char *const streams[] = {"stdout", "stderr", "slipway"};
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		size_t n = strlen(streams[i]);
		if (*text != '[' || strncmp(text + 1, streams[i], n) != 0 || text[n + 1] != ']')
			continue;
		json_set_str(obj, "stream", streams[i]);
		return text + n + 2;
	}
	return text;
}

json_t *log_line_to_json(struct log_place *place, const char *line, size_t len)
{
	len -= len > 0 && line[len - 1] == '\n';
	auto_free char *text = str_to_utf8(line, len);
	json_t *obj = json_object();
	if (strlen(text) <= STAMP_LEN || text[STAMP_LEN] != ' ') {
		json_set_str(obj, "line", text);
		return obj;
	}
	text[STAMP_LEN] = '\0';
	char *rest = text + STAMP_LEN + 1;
	if (take_heading(place, rest)) {
		json_decref(obj);
		return NULL;
	}
	json_set_str(obj, "time", text);
	json_set_str(obj, "event", place->event);
	json_set_str(obj, "script", place->script);
	json_set_str(obj, "line", take_stream(obj, rest));
	return obj;
}
