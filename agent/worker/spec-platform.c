// SPDX-License-Identifier: Apache-2.0
/* AppSpecs of the same name and version that are not for hosts: those for ECS services and Lambda
 * functions. Nothing in them means anything here, so one error says all. */
#include "agent/worker/spec-parse.h"

#include "common/str.h"

static const struct platform {
	const char *type, *what;
} platforms[] = {
	{"AWS::ECS::Service", "an ECS service"},
	{"AWS::Lambda::Function", "a Lambda function"},
};

static const char *platform_of(const char *type)
{
	for (size_t i = 0; type && i < ARRAY_LEN(platforms); i++)
		if (str_eq(platforms[i].type, type))
			return platforms[i].what;
	return NULL;
}

/* One resource, under the name that its author gave it: "TargetService: {Type: ...}". */
static const char *platform_in(const struct yaml *named)
{
	for (size_t i = 0; named->type == YAML_MAP && i < named->count; i++) {
		const struct yaml *type = yaml_get(named->items[i], "Type");
		const char *what =
			type && type->type == YAML_SCALAR ? platform_of(type->text) : NULL;
		if (what)
			return what;
	}
	return yaml_get(named, "TargetService") ? "an ECS service" : NULL;
}

/* Those of both are a list; a map is what CloudFormation has under that name. */
static const char *platform_of_resources(const struct yaml *resources)
{
	if (resources->type == YAML_MAP)
		return platform_in(resources);
	for (size_t i = 0; i < resources->count; i++) {
		const char *what = platform_in(resources->items[i]);
		if (what)
			return what;
	}
	return NULL;
}

/* Does key i stand in no AppSpec for hosts, but in those of the others? */
static bool is_foreign(const struct yaml *root, size_t i)
{
	const char *key = root->keys[i];
	return str_eq(key, "Resources") || str_eq(key, "resources") ||
	       (str_eq(key, "Hooks") && root->items[i]->type == YAML_LIST);
}

bool spec_parse_is_for_hosts(struct spec_parse *p, const struct yaml *root)
{
	if (yaml_get(root, "os") && (yaml_get(root, "files") || yaml_get(root, "hooks")))
		return true;
	size_t i = 0;
	while (root->type == YAML_MAP && i < root->count && !is_foreign(root, i))
		i++;
	if (root->type != YAML_MAP || i == root->count)
		return true;
	const struct yaml *resources = yaml_get(root, "Resources");
	const char *what = platform_of_resources(resources ? resources : root->items[i]);
	const struct yaml place = {.line = root->key_lines[i], .column = root->key_columns[i]};
	spec_parse_error(p, &place,
			 "this AppSpec is for %s ('%s'), not for a host: one for hosts has "
			 "'os: linux', 'files' and 'hooks', as in slipway-appspec(5)",
			 what ? what : "ECS or Lambda", root->keys[i]);
	return false;
}
