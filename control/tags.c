// SPDX-License-Identifier: Apache-2.0
#include "control/tags.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/str.h"

#include <string.h>

#define DESCRIBE_MAX 2048

enum filter_type { FILTER_KEY, FILTER_VALUE, FILTER_BOTH };

struct filter {
	const char *key, *value;
	enum filter_type type;
};

static struct filter read_filter(const json_t *json)
{
	const char *key = json_string_value(json_object_get(json, "Key"));
	const char *value = json_string_value(json_object_get(json, "Value"));
	const char *type = json_string_value(json_object_get(json, "Type"));
	struct filter f = {key ? key : "", value ? value : "", FILTER_BOTH};
	if (str_eq(type, "KEY_ONLY") || (!type && !value))
		f.type = FILTER_KEY;
	else if (str_eq(type, "VALUE_ONLY") || (!type && !key))
		f.type = FILTER_VALUE;
	return f;
}

static bool filter_takes(const struct filter *f, const char *key, const char *value)
{
	return (f->type == FILTER_VALUE || strcmp(f->key, key) == 0) &&
	       (f->type == FILTER_KEY || strcmp(f->value, value) == 0);
}

bool tags_match_filter(const json_t *filter, size_t count, const struct store_tag *tags)
{
	struct filter f = read_filter(filter);
	for (size_t i = 0; i < count; i++)
		if (filter_takes(&f, tags[i].key, tags[i].value))
			return true;
	return false;
}

bool tags_match_list(const json_t *list, size_t count, const struct store_tag *tags)
{
	size_t i;
	json_t *filter;
	json_array_foreach (list, i, filter)
		if (tags_match_filter(filter, count, tags))
			return true;
	return false;
}

static bool match_set(const json_t *sets, size_t count, const struct store_tag *tags)
{
	size_t i;
	json_t *list;
	json_array_foreach (sets, i, list)
		if (!tags_match_list(list, count, tags))
			return false;
	return json_array_size(sets) > 0;
}

/* Where the two kinds of hosts have their filters. */
static const struct kind {
	const char *list, *set, *set_list, *what;
} kinds[] = {
	{"onPremisesInstanceTagFilters", "onPremisesTagSet", "onPremisesTagSetList", "on-premises"},
	{"ec2TagFilters", "ec2TagSet", "ec2TagSetList", "ec2"},
};

static json_t *set_of(const json_t *settings, const struct kind *kind)
{
	return json_object_get(json_object_get(settings, kind->set), kind->set_list);
}

bool tags_group_selects(const json_t *settings, const struct store_host *host)
{
	const struct kind *kind = &kinds[str_starts(host->name, "i-")];
	return tags_match_list(json_object_get(settings, kind->list), host->tag_count,
			       host->tags) ||
	       match_set(set_of(settings, kind), host->tag_count, host->tags);
}

/* ---- in words ---- */

static void describe_filter(struct buf *out, const json_t *json)
{
	struct filter f = read_filter(json);
	switch (f.type) {
	case FILTER_KEY:
		buf_addf(out, "key '%s'", f.key);
		break;
	case FILTER_VALUE:
		buf_addf(out, "value '%s'", f.value);
		break;
	case FILTER_BOTH:
		buf_addf(out, "'%s=%s'", f.key, f.value);
	}
}

static void describe_list(struct buf *out, const json_t *list)
{
	size_t i;
	json_t *filter;
	json_array_foreach (list, i, filter) {
		buf_adds(out, i ? " or " : "");
		describe_filter(out, filter);
	}
}

static void describe_kind(struct buf *out, const json_t *settings, const struct kind *kind)
{
	const json_t *list = json_object_get(settings, kind->list), *sets = set_of(settings, kind);
	if (json_array_size(list) + json_array_size(sets) == 0)
		return;
	buf_addf(out, "%s%s hosts with ", out->len ? "; " : "", kind->what);
	describe_list(out, list);
	size_t i;
	json_t *group;
	json_array_foreach (sets, i, group) {
		buf_adds(out, i ? " and (" : "(");
		describe_list(out, group);
		buf_addc(out, ')');
	}
}

char *tags_group_describe(const json_t *settings)
{
	struct buf out = BUF_INIT(DESCRIBE_MAX);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		describe_kind(&out, settings, &kinds[i]);
	if (out.failed) {
		buf_clear(&out);
		return xstrdup("hosts by a long list of tag filters");
	}
	if (out.len == 0)
		buf_adds(&out, "no hosts: it has no tag filters");
	return buf_take(&out);
}

/* ---- one tag for a group ---- */

static void tag_for(const struct filter *f, const char **ret_key, const char **ret_value)
{
	*ret_key = f->type == FILTER_VALUE ? "slipway" : f->key;
	*ret_value = f->type == FILTER_KEY ? "slipway" : f->value;
}

/* Every filter proposes the tag that satisfies it; in a set, one proposal must satisfy every list.
 */
static bool propose(const json_t *list, const json_t *sets, const char **key, const char **value)
{
	size_t i;
	json_t *json;
	json_array_foreach (list, i, json) {
		struct filter f = read_filter(json);
		tag_for(&f, key, value);
		struct store_tag tag = {(char *)*key, (char *)*value};
		if (!sets || match_set(sets, 1, &tag))
			return true;
	}
	return false;
}

int tags_one_for_group(const char *settings, char **ret_key, char **ret_value, struct error *err)
{
	auto_json json_t *doc = NULL;
	int r = json_parse(settings, strlen(settings), SIZE_MAX, &doc, err);
	if (r < 0)
		return r;
	const json_t *list = json_object_get(doc, kinds[0].list), *sets = set_of(doc, &kinds[0]);
	const char *key = NULL, *value = NULL;
	bool found = propose(list, NULL, &key, &value);
	size_t i;
	json_t *member;
	json_array_foreach (sets, i, member)
		found = found || propose(member, sets, &key, &value);
	if (!found)
		return error_set(err, ERR_REFUSED,
				 "no single tag puts a host into this deployment group");
	*ret_key = xstrdup(key);
	*ret_value = xstrdup(value);
	return 0;
}
