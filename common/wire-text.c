// SPDX-License-Identifier: Apache-2.0
#include "common/wire-text.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/wire.h"

#include <string.h>

DEFINE_CLEANUP(char **, wire_texts_free)

void wire_texts_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static int take_copy(const char *name, const char *text, size_t max, char **ret, struct error *err)
{
	if (strlen(text) > max)
		return error_set(err, ERR_FORMAT, "'%s' is longer than %zu bytes", name, max);
	free(*ret);
	*ret = xstrdup(text);
	return 0;
}

int wire_need_text(const json_t *obj, const char *name, size_t max, char **ret, struct error *err)
{
	const char *text = NULL;
	int r = json_need_str(obj, name, &text, err);
	if (r < 0)
		return r;
	if (!*text)
		return error_set(err, ERR_FORMAT, "'%s' is empty", name);
	return take_copy(name, text, max, ret, err);
}

int wire_opt_text(const json_t *obj, const char *name, size_t max, char **ret, struct error *err)
{
	const char *text = NULL;
	int r = json_opt_str(obj, name, &text, err);
	if (r < 0)
		return r;
	return text && *text ? take_copy(name, text, max, ret, err) : 0;
}

int wire_opt_texts(const json_t *obj, const char *name, size_t max_count, char ***ret,
		   struct error *err)
{
	json_t *array = NULL;
	int r = json_opt_array(obj, name, &array, err);
	if (r < 0)
		return r;
	size_t count = json_array_size(array);
	if (count > max_count)
		return error_set(err, ERR_FORMAT, "'%s' has more than %zu entries", name,
				 max_count);
	if (count == 0)
		return 0;
	CLEANUP(wire_texts_free_at) char **list = xcalloc(count + 1, sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		const char *text = json_string_value(json_array_get(array, i));
		if (!text || !*text || strlen(text) > WIRE_ID_MAX)
			return error_set(err, ERR_FORMAT, "'%s' entry %zu must be a string", name,
					 i + 1);
		list[i] = xstrdup(text);
	}
	wire_texts_free(*ret);
	*ret = TAKE(list);
	return 0;
}
