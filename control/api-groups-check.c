// SPDX-License-Identifier: Apache-2.0
/* What may be in a deployment group, and what this version does not offer: that is refused by name,
 * never stored and forgotten. */
#include "control/api-groups.h"

#include "common/str.h"

#include <string.h>

#define FILTERS_MAX 10
#define SETS_MAX 3
#define ALARMS_MAX 10
#define NOT_HERE "is not offered by this version"

#define EC2_TAG "InvalidEC2TagException"
#define TAG "InvalidTagException"
#define ROLLBACK "InvalidAutoRollbackConfigException"
#define ALARM "InvalidAlarmConfigException"
#define STYLE "InvalidDeploymentStyleException"

static const char *const filter_types[] = {"KEY_ONLY", "VALUE_ONLY", "KEY_AND_VALUE", NULL};
static const char *const rollback_events[] = {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM",
					      "DEPLOYMENT_STOP_ON_REQUEST", NULL};

/* ---- tag filters ---- */

static int check_filter(struct api *api, const json_t *filter, const char *invalid)
{
	const struct api_member members[] = {
		{"Key", API_STRING, NULL, invalid, 128, NULL, NULL},
		{"Value", API_STRING, NULL, invalid, 256, NULL, NULL},
		{"Type", API_STRING, NULL, invalid, 0, filter_types, NULL},
	};
	if (!json_is_object(filter))
		return api_fault(api, "SerializationException", "a tag filter must be an object");
	int r = api_check(api, filter, members, ARRAY_LEN(members));
	if (r < 0)
		return r;
	const char *key = api_text(filter, "Key"), *value = api_text(filter, "Value");
	const char *type = api_text(filter, "Type");
	if (!key && !value)
		return api_fault(api, invalid, "a tag filter needs a Key or a Value");
	bool by_value = str_eq(type, "VALUE_ONLY");
	if (type && !by_value && str_empty(key))
		return api_fault(api, invalid, "a tag filter of type %s needs a Key", type);
	if (by_value && !value)
		return api_fault(api, invalid, "a tag filter of type VALUE_ONLY needs a Value");
	return 0;
}

int api_check_filters(struct api *api, const json_t *filters, const char *invalid)
{
	if (json_array_size(filters) > FILTERS_MAX)
		return api_fault(api, invalid, "there are more than %d tag filters", FILTERS_MAX);
	size_t i;
	json_t *filter;
	json_array_foreach (filters, i, filter) {
		int r = check_filter(api, filter, invalid);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What the two kinds of hosts call their filters and faults. */
static const struct kind {
	const char *list, *set, *set_list, *invalid, *combination;
} kinds[] = {
	{"ec2TagFilters", "ec2TagSet", "ec2TagSetList", EC2_TAG,
	 "InvalidEC2TagCombinationException"},
	{"onPremisesInstanceTagFilters", "onPremisesTagSet", "onPremisesTagSetList", TAG,
	 "InvalidOnPremisesTagCombinationException"},
};

static int check_set(struct api *api, const json_t *set, const struct kind *kind)
{
	const struct api_member members[] = {
		{kind->set_list, API_LIST, NULL, "TagSetListLimitExceededException", SETS_MAX, NULL,
		 NULL},
	};
	int r = api_check(api, set, members, ARRAY_LEN(members));
	if (r < 0)
		return r;
	size_t i;
	json_t *group;
	json_array_foreach (json_object_get(set, kind->set_list), i, group) {
		if (!json_is_array(group))
			return api_fault(api, "SerializationException",
					 "'%s' must be a list of lists", kind->set_list);
		r = api_check_filters(api, group, kind->invalid);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_kind(struct api *api, const struct kind *kind)
{
	const json_t *list = api_get(api->input, kind->list), *set = api_get(api->input, kind->set);
	if (json_array_size(list) > 0 && json_array_size(api_get(set, kind->set_list)) > 0)
		return api_fault(api, kind->combination, "give either '%s' or '%s', not both",
				 kind->list, kind->set);
	int r = api_check_filters(api, list, kind->invalid);
	return r < 0 || !set ? r : check_set(api, set, kind);
}

/* ---- alarms and rollback ---- */

int api_check_rollback(struct api *api, const json_t *config)
{
	static const struct api_member members[] = {
		{"enabled", API_BOOL, NULL, ROLLBACK, 0, NULL, NULL},
		{"events", API_STRINGS, NULL, ROLLBACK, 3, rollback_events, NULL},
	};
	int r = config ? api_check(api, config, members, ARRAY_LEN(members)) : 0;
	if (r == 0 && api_flag(config, "enabled") &&
	    json_array_size(api_get(config, "events")) == 0)
		return api_fault(api, ROLLBACK, "automatic rollback is enabled and has no events");
	return r;
}

static int check_alarm(struct api *api, const json_t *alarms, size_t i)
{
	static const struct api_member members[] = {
		{"name", API_STRING, ALARM, ALARM, 255, NULL, NULL},
	};
	const json_t *alarm = json_array_get(alarms, i);
	if (!json_is_object(alarm))
		return api_fault(api, "SerializationException", "an alarm must be an object");
	int r = api_check(api, alarm, members, ARRAY_LEN(members));
	for (size_t j = 0; j < i && r == 0; j++)
		if (str_eq(api_text(json_array_get(alarms, j), "name"), api_text(alarm, "name")))
			r = api_fault(api, ALARM, "alarm '%s' is named twice",
				      api_text(alarm, "name"));
	return r;
}

int api_check_alarms(struct api *api, const json_t *config)
{
	static const struct api_member members[] = {
		{"enabled", API_BOOL, NULL, ALARM, 0, NULL, NULL},
		{"ignorePollAlarmFailure", API_BOOL, NULL, ALARM, 0, NULL, NULL},
		{"alarms", API_LIST, NULL, "AlarmsLimitExceededException", ALARMS_MAX, NULL, NULL},
	};
	int r = config ? api_check(api, config, members, ARRAY_LEN(members)) : 0;
	const json_t *alarms = api_get(config, "alarms");
	for (size_t i = 0; i < json_array_size(alarms) && r == 0; i++)
		r = check_alarm(api, alarms, i);
	if (r < 0 || !api_flag(config, "enabled"))
		return r;
	if (json_array_size(alarms) == 0)
		return api_fault(api, ALARM, "alarms are enabled and none is named");
	return api_fault(api, ALARM,
			 "watching alarms " NOT_HERE ": a deployment would not stop at one");
}

/* ---- what is refused ---- */

static int check_style(struct api *api, const json_t *style)
{
	static const char *const kinds_of[] = {"IN_PLACE", "BLUE_GREEN", NULL};
	static const char *const options[] = {"WITH_TRAFFIC_CONTROL", "WITHOUT_TRAFFIC_CONTROL",
					      NULL};
	static const struct api_member members[] = {
		{"deploymentType", API_STRING, NULL, STYLE, 0, kinds_of, NULL},
		{"deploymentOption", API_STRING, NULL, STYLE, 0, options, NULL},
	};
	int r = style ? api_check(api, style, members, ARRAY_LEN(members)) : 0;
	if (r < 0)
		return r;
	if (str_eq(api_text(style, "deploymentType"), "BLUE_GREEN"))
		return api_fault(api, STYLE,
				 "deployment type BLUE_GREEN " NOT_HERE ": it deploys IN_PLACE");
	if (str_eq(api_text(style, "deploymentOption"), "WITH_TRAFFIC_CONTROL"))
		return api_fault(api, STYLE, "deployment option WITH_TRAFFIC_CONTROL " NOT_HERE);
	return 0;
}

/* Members that have an effect in AWS and none here: empty ones may be given. */
static const struct refused {
	const char *name, *fault;
} refused[] = {
	{"autoScalingGroups", "InvalidAutoScalingGroupException"},
	{"triggerConfigurations", "InvalidTriggerConfigException"},
	{"ecsServices", "InvalidECSServiceException"},
	{"loadBalancerInfo", "InvalidLoadBalancerInfoException"},
	{"blueGreenDeploymentConfiguration", "InvalidBlueGreenDeploymentConfigurationException"},
};

static bool holds_something(const json_t *value)
{
	const char *key;
	json_t *member;
	if (!json_is_object(value))
		return json_array_size(value) > 0;
	json_object_foreach ((json_t *)value, key, member)
		if (!json_is_null(member) && (!json_is_array(member) || json_array_size(member)))
			return true;
	return false;
}

static int check_refused(struct api *api)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (holds_something(api_get(api->input, refused[i].name)))
			return api_fault(api, refused[i].fault, "'%s' " NOT_HERE, refused[i].name);
	return 0;
}

/* ---- the whole ---- */

static bool is_digits(const char *s, size_t n)
{
	return strspn(s, "0123456789") >= n;
}

/* arn:aws:iam::123456789012:role/NAME, in any partition. */
static bool is_role(const char *arn)
{
	const char *iam = strstr(arn, ":iam::");
	if (!str_starts(arn, "arn:aws") || !iam || strcspn(arn + 4, ":") != (size_t)(iam - arn - 4))
		return false;
	const char *account = iam + strlen(":iam::");
	return is_digits(account, 12) && str_starts(account + 12, ":role/") &&
	       account[12 + strlen(":role/")] != '\0';
}

static int check_role(struct api *api)
{
	const char *role = api_text(api->input, "serviceRoleArn");
	if (is_role(role))
		return 0;
	return api_fault(api, "InvalidRoleException",
			 "Cannot assume role provided. '%.200s' is not of the form "
			 "arn:aws:iam::123456789012:role/NAME",
			 role);
}

static const char *const kept[] = {
	"ec2TagFilters",
	"ec2TagSet",
	"onPremisesInstanceTagFilters",
	"onPremisesTagSet",
	"serviceRoleArn",
	"alarmConfiguration",
	"autoRollbackConfiguration",
	"deploymentStyle",
	"outdatedInstancesStrategy",
	"terminationHookEnabled",
	"tags",
};

int api_group_settings(struct api *api, json_t **ret)
{
	int r = check_role(api);
	for (size_t i = 0; i < ARRAY_LEN(kinds) && r == 0; i++)
		r = check_kind(api, &kinds[i]);
	if (r == 0)
		r = api_check_alarms(api, api_get(api->input, "alarmConfiguration"));
	if (r == 0)
		r = api_check_rollback(api, api_get(api->input, "autoRollbackConfiguration"));
	if (r == 0)
		r = check_style(api, api_get(api->input, "deploymentStyle"));
	if (r == 0)
		r = check_refused(api);
	if (r == 0)
		r = api_check_tags(api, api_get(api->input, "tags"), 50,
				   "InvalidTagsToAddException");
	if (r < 0)
		return r;
	json_t *settings = json_object();
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (api_get(api->input, kept[i]))
			json_object_set(settings, kept[i], api_get(api->input, kept[i]));
	*ret = settings;
	return 0;
}
