// SPDX-License-Identifier: Apache-2.0
/* The grammar of ACL entries and SELinux ranges in an AppSpec (reference "appspec" 5.5 and 5.6).
 *
 *   entry := name ":" perms | tag ":" name ":" perms | "d:" tag ":" name ":" perms
 *   range := s<n> [ "-" s<n> ] [ ":" cats ],  cats := c<n> [ "." c<n> ] { "," ... }
 */
#include "agent/worker/spec-parse.h"

#include "common/alloc.h"
#include "common/str.h"

#include <stdlib.h>
#include <string.h>

#define CATEGORIES 1024

enum tag { TAG_USER, TAG_GROUP, TAG_MASK, TAG_OTHER, TAG_DEFAULT };

static const struct {
	const char *name;
	enum tag tag;
} tags[] = {
	{"u", TAG_USER},    {"user", TAG_USER},       {"g", TAG_GROUP}, {"group", TAG_GROUP},
	{"m", TAG_MASK},    {"mask", TAG_MASK},       {"o", TAG_OTHER}, {"other", TAG_OTHER},
	{"d", TAG_DEFAULT}, {"default", TAG_DEFAULT},
};

static bool tag_from_string(const char *name, enum tag *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		if (str_eq(tags[i].name, name)) {
			*ret = tags[i].tag;
			return true;
		}
	}
	return false;
}

struct acl {
	bool is_default;
	enum tag tag;
	const char *name, *perms;
};

/* "bob" is a user; "m" and "o" stand for mask and other. */
static void set_short(struct acl *acl, const char *word)
{
	enum tag tag = TAG_USER;
	acl->tag = TAG_USER;
	acl->name = word;
	if (tag_from_string(word, &tag) && (tag == TAG_MASK || tag == TAG_OTHER)) {
		acl->tag = tag;
		acl->name = "";
	}
}

/* Sort the parts into their roles; false when they have none. */
static bool acl_split(char **part, struct acl *acl)
{
	size_t n = 0;
	while (part[n])
		n++;
	*acl = (struct acl){.name = "", .perms = n > 0 ? part[n - 1] : ""};
	enum tag tag = TAG_USER;
	if (n == 2) {
		set_short(acl, part[0]);
		return true;
	}
	if (n < 3 || n > 4 || !tag_from_string(part[0], &tag))
		return false;
	acl->is_default = tag == TAG_DEFAULT;
	if (n == 3 && acl->is_default) {
		set_short(acl, part[1]);
		return true;
	}
	if (n == 4 && (!acl->is_default || !tag_from_string(part[1], &tag) || tag == TAG_DEFAULT))
		return false;
	acl->tag = tag;
	acl->name = part[n - 2];
	return true;
}

static bool perms_take(const char *perms, unsigned *ret)
{
	if (strlen(perms) == 1 && *perms >= '0' && *perms <= '7') {
		*ret = (unsigned)(*perms - '0');
		return true;
	}
	*ret = (strchr(perms, 'r') ? 4 : 0) | (strchr(perms, 'w') ? 2 : 0) |
	       (strchr(perms, 'x') ? 1 : 0);
	return perms[strspn(perms, "rwx-")] == '\0';
}

static enum spec_acl_tag spec_tag(enum tag tag)
{
	switch (tag) {
	case TAG_GROUP:
		return SPEC_ACL_GROUP;
	case TAG_MASK:
		return SPEC_ACL_MASK;
	case TAG_OTHER:
		return SPEC_ACL_OTHER;
	default:
		return SPEC_ACL_USER;
	}
}

int spec_acl_parse(const char *entry, struct spec_acl *ret, struct error *err)
{
	char **part = str_split(entry, ':');
	auto_free char *shown = spec_parse_shown(entry);
	struct acl acl;
	unsigned perm = 0;
	int r = 0;
	if (!acl_split(part, &acl))
		r = error_set(err, ERR_FORMAT,
			      "'%s' is no ACL entry, expected [default:]user, group, mask or "
			      "other:name:rwx",
			      shown);
	else if (*acl.name && (acl.tag == TAG_MASK || acl.tag == TAG_OTHER))
		r = error_set(err, ERR_FORMAT, "'%s' names a mask or other, which have no name",
			      shown);
	else if (!acl.is_default && !*acl.name && acl.tag != TAG_MASK)
		r = error_set(err, ERR_FORMAT,
			      "'%s' sets the base user, group or other: use 'mode' for that",
			      shown);
	else if (!perms_take(acl.perms, &perm))
		r = error_set(err, ERR_FORMAT,
			      "'%s' has permissions that are neither of 'rwx-' nor a digit 0-7",
			      shown);
	if (r == 0)
		*ret = (struct spec_acl){.is_default = acl.is_default,
					 .tag = spec_tag(acl.tag),
					 .name = xstrdup(acl.name),
					 .perm = perm};
	str_list_free(part);
	return r;
}

/* letter and digits; returns the number, -1 when it is not that. Saturates. */
static int64_t level(const char *word, char letter)
{
	if (word[0] != letter || word[1] == '\0' ||
	    word[1 + strspn(word + 1, "0123456789")] != '\0')
		return -1;
	return strtoll(word + 1, NULL, 10);
}

static int check_sensitivity(char *text, struct error *err)
{
	char *dash = strchr(text, '-');
	if (dash)
		*dash++ = '\0';
	if (!*text || (dash && !*dash))
		return error_set(err, ERR_FORMAT, "a sensitivity is missing, expected s0 or s0-s1");
	auto_free char *shown = spec_parse_shown(level(text, 's') < 0 || !dash ? text : dash);
	int64_t low = level(text, 's'), high = dash ? level(dash, 's') : low;
	if (low < 0 || high < 0)
		return error_set(err, ERR_FORMAT, "'%s' is no sensitivity, expected s and digits",
				 shown);
	if (high < low)
		return error_set(err, ERR_FORMAT, "the high sensitivity '%s' is below the low one",
				 shown);
	return 0;
}

static int take_categories(char *text, bool *seen, struct error *err)
{
	char *dot = strchr(text, '.');
	if (dot)
		*dot++ = '\0';
	if (!*text || (dot && !*dot))
		return error_set(err, ERR_FORMAT, "a category is missing, expected c0 or c0.c5");
	int64_t low = level(text, 'c'), high = dot ? level(dot, 'c') : low;
	auto_free char *shown = spec_parse_shown(low < 0 || low >= CATEGORIES || !dot ? text : dot);
	if (low < 0 || high < 0 || low >= CATEGORIES || high >= CATEGORIES)
		return error_set(err, ERR_FORMAT, "'%s' is no category, expected c0 to c%d", shown,
				 CATEGORIES - 1);
	if (high < low)
		return error_set(err, ERR_FORMAT, "the category range ending in '%s' is reversed",
				 shown);
	for (int64_t c = low; c <= high; c++) {
		if (seen[c])
			return error_set(err, ERR_FORMAT, "category c%d is named twice", (int)c);
		seen[c] = true;
	}
	return 0;
}

int spec_range_check(const char *range, struct error *err)
{
	auto_free char *text = xstrdup(range);
	char *categories = strchr(text, ':');
	if (categories)
		*categories++ = '\0';
	int r = check_sensitivity(text, err);
	if (r < 0 || !categories)
		return r;
	bool seen[CATEGORIES] = {false};
	char **list = str_split(categories, ',');
	for (char **one = list; r == 0 && *one; one++)
		r = take_categories(*one, seen, err);
	str_list_free(list);
	return r;
}
