/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts a deployment group means. Pure: JSON filters and tags in, yes or no out.
 *
 * Filters are in the shape of the API: a list of {"Key", "Value", "Type"}, any of which is enough;
 * a tag set is a list of such lists, each of which must be satisfied. A host whose name begins "i-"
 * is looked for by the ec2 filters, every other by the on-premises ones. */
#pragma once

#include "control/store.h"

#include <jansson.h>

/* Does one filter {"Key", "Value", "Type"} select a host with these tags? Without Type, the members
 * that are there say which it is. */
bool tags_match_filter(const json_t *filter, size_t count, const struct store_tag *tags);
/* Any filter of the list; an empty or missing list selects nothing. */
bool tags_match_list(const json_t *list, size_t count, const struct store_tag *tags);

/* settings: a group's (members ec2TagFilters, ec2TagSet, onPremisesInstanceTagFilters,
 * onPremisesTagSet). */
bool tags_group_selects(const json_t *settings, const struct store_host *host);
/* What the group looks for, in words, for a message about nothing found; caller frees. */
char *tags_group_describe(const json_t *settings);

/* One tag that puts an on-premises host into the group (see store_group_tag()). settings as text.
 */
int tags_one_for_group(const char *settings, char **ret_key, char **ret_value,
		       struct error *err) MUST_CHECK;
