// SPDX-License-Identifier: Apache-2.0
#include "common/json.h"
#include "control/tags.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct store_tag prod_web[] = {{"role", "web"}, {"stage", "prod"}};
static const struct store_host web1 = {.name = "web1", .tag_count = 2, .tags = prod_web};
static const struct store_host ec2 = {.name = "i-0abc", .tag_count = 2, .tags = prod_web};
static const struct store_host bare = {.name = "bare"};

static json_t *parse(const char *text)
{
	json_t *json = NULL;
	struct error err = {0};
	assert_int_equal(json_parse(text, strlen(text), 65536, &json, &err), 0);
	return json;
}

static bool selects(const char *settings, const struct store_host *host)
{
	auto_json json_t *json = parse(settings);
	return tags_group_selects(json, host);
}

static bool filter_takes(const char *filter)
{
	auto_json json_t *json = parse(filter);
	return tags_match_filter(json, web1.tag_count, web1.tags);
}

static void each_type_compares_what_it_says(void **state)
{
	assert_true(filter_takes("{\"Key\":\"role\",\"Type\":\"KEY_ONLY\"}"));
	assert_true(filter_takes("{\"Key\":\"role\",\"Value\":\"db\",\"Type\":\"KEY_ONLY\"}"));
	assert_false(filter_takes("{\"Key\":\"Role\",\"Type\":\"KEY_ONLY\"}"));
	assert_true(filter_takes("{\"Value\":\"prod\",\"Type\":\"VALUE_ONLY\"}"));
	assert_false(filter_takes("{\"Value\":\"stage\",\"Type\":\"VALUE_ONLY\"}"));
	assert_true(
		filter_takes("{\"Key\":\"stage\",\"Value\":\"prod\",\"Type\":\"KEY_AND_VALUE\"}"));
	assert_false(
		filter_takes("{\"Key\":\"role\",\"Value\":\"prod\",\"Type\":\"KEY_AND_VALUE\"}"));
}

static void without_type_the_members_tell(void **state)
{
	assert_true(filter_takes("{\"Key\":\"role\"}"));
	assert_true(filter_takes("{\"Value\":\"web\"}"));
	assert_false(filter_takes("{\"Key\":\"role\",\"Value\":\"prod\"}"));
}

static void any_filter_of_a_list_is_enough(void **state)
{
	const char *settings =
		"{\"onPremisesInstanceTagFilters\":[{\"Key\":\"x\",\"Type\":\"KEY_ONLY\"},"
		"{\"Key\":\"role\",\"Value\":\"web\",\"Type\":\"KEY_AND_VALUE\"}]}";
	assert_true(selects(settings, &web1));
	assert_false(selects(settings, &bare));
}

static void every_list_of_a_set_must_be_satisfied(void **state)
{
	const char *both =
		"{\"onPremisesTagSet\":{\"onPremisesTagSetList\":["
		"[{\"Key\":\"role\",\"Value\":\"db\"},{\"Key\":\"role\",\"Value\":\"web\"}],"
		"[{\"Key\":\"stage\",\"Value\":\"prod\"}]]}}";
	assert_true(selects(both, &web1));
	const char *one = "{\"onPremisesTagSet\":{\"onPremisesTagSetList\":["
			  "[{\"Key\":\"role\",\"Value\":\"web\"}],"
			  "[{\"Key\":\"stage\",\"Value\":\"test\"}]]}}";
	assert_false(selects(one, &web1));
	assert_false(selects("{\"onPremisesTagSet\":{\"onPremisesTagSetList\":[]}}", &web1));
	assert_false(selects("{\"onPremisesTagSet\":{\"onPremisesTagSetList\":[[]]}}", &web1));
}

static void names_beginning_with_i_have_the_ec2_filters(void **state)
{
	const char *on_premises = "{\"onPremisesInstanceTagFilters\":[{\"Key\":\"role\"}]}";
	const char *amazon = "{\"ec2TagFilters\":[{\"Key\":\"role\"}]}";
	const char *set = "{\"ec2TagSet\":{\"ec2TagSetList\":[[{\"Key\":\"role\"}]]}}";
	assert_true(selects(on_premises, &web1));
	assert_false(selects(on_premises, &ec2));
	assert_false(selects(amazon, &web1));
	assert_true(selects(amazon, &ec2));
	assert_true(selects(set, &ec2));
	assert_false(selects(set, &web1));
}

static void a_group_without_filters_selects_nobody(void **state)
{
	assert_false(selects("{}", &web1));
	assert_false(selects("{\"onPremisesInstanceTagFilters\":[]}", &web1));
}

static void a_group_is_described_by_its_filters(void **state)
{
	auto_json json_t *json =
		parse("{\"onPremisesInstanceTagFilters\":[{\"Key\":\"stage\",\"Value\":\"prod\"},"
		      "{\"Value\":\"x\"}],\"ec2TagSet\":{\"ec2TagSetList\":[[{\"Key\":\"a\"}],"
		      "[{\"Key\":\"b\"}]]}}");
	auto_free char *text = tags_group_describe(json);
	assert_string_equal(text, "on-premises hosts with 'stage=prod' or value 'x'; "
				  "ec2 hosts with (key 'a') and (key 'b')");
	auto_json json_t *none = json_object();
	auto_free char *nobody = tags_group_describe(none);
	assert_string_equal(nobody, "no hosts: it has no tag filters");
}

static void one_tag_for(const char *settings, const char *key, const char *value)
{
	auto_free char *k = NULL, *v = NULL;
	struct error err = {0};
	assert_int_equal(tags_one_for_group(settings, &k, &v, &err), 0);
	assert_string_equal(k, key);
	assert_string_equal(v, value);
}

static void one_tag_that_joins_a_group_is_found_where_there_is_one(void **state)
{
	one_tag_for("{\"onPremisesInstanceTagFilters\":[{\"Key\":\"a\",\"Value\":\"b\"}]}", "a",
		    "b");
	one_tag_for("{\"onPremisesInstanceTagFilters\":[{\"Key\":\"a\"}]}", "a", "slipway");
	one_tag_for("{\"onPremisesInstanceTagFilters\":[{\"Value\":\"b\"}]}", "slipway", "b");
	one_tag_for("{\"onPremisesTagSet\":{\"onPremisesTagSetList\":["
		    "[{\"Key\":\"x\",\"Value\":\"y\"},{\"Key\":\"a\",\"Value\":\"b\"}],"
		    "[{\"Key\":\"a\"}]]}}",
		    "a", "b");
	auto_free char *k = NULL, *v = NULL;
	struct error err = {0};
	assert_int_equal(tags_one_for_group("{}", &k, &v, &err), ERR_REFUSED);
	assert_int_equal(tags_one_for_group("{\"onPremisesTagSet\":{\"onPremisesTagSetList\":["
					    "[{\"Key\":\"a\"}],[{\"Key\":\"b\"}]]}}",
					    &k, &v, &err),
			 ERR_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_compares_what_it_says),
		cmocka_unit_test(without_type_the_members_tell),
		cmocka_unit_test(any_filter_of_a_list_is_enough),
		cmocka_unit_test(every_list_of_a_set_must_be_satisfied),
		cmocka_unit_test(names_beginning_with_i_have_the_ec2_filters),
		cmocka_unit_test(a_group_without_filters_selects_nobody),
		cmocka_unit_test(a_group_is_described_by_its_filters),
		cmocka_unit_test(one_tag_that_joins_a_group_is_found_where_there_is_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
