// SPDX-License-Identifier: Apache-2.0
/* Deployment configurations: the three built-in ones of the Server platform. */
#include "control/api.h"

#include "control/api-groups.h"

#include <string.h>

#define API_CONFIG_NAME                                                                      \
	{                                                                                    \
		"deploymentConfigName", API_STRING, "DeploymentConfigNameRequiredException", \
			"InvalidDeploymentConfigNameException", 100, NULL, api_is_name       \
	}

int api_find_config(struct api *api, const char *def, const struct sched_config **ret)
{
	const char *name = api_text(api->input, "deploymentConfigName");
	*ret = sched_config_find(name ? name : def);
	if (!*ret)
		return api_fault(api, "DeploymentConfigDoesNotExistException",
				 "No deployment configuration found for name: %s",
				 name ? name : def);
	return 0;
}

static int get_config(struct api *api, json_t **ret)
{
	const struct sched_config *config;
	int r = api_find_config(api, "", &config);
	if (r < 0)
		return r;
	json_t *info = json_object();
	json_set_str(info, "deploymentConfigId", config->id);
	json_set_str(info, "deploymentConfigName", config->name);
	json_object_set_new(info, "minimumHealthyHosts",
			    json_pack("{s:s, s:I}", "type",
				      sched_minimum_type_to_string(config->type), "value",
				      (json_int_t)config->value));
	json_set_str(info, "computePlatform", "Server");
	*ret = json_pack("{s:o}", "deploymentConfigInfo", info);
	return 0;
}

void api_get_deployment_config(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {API_CONFIG_NAME};
	api_run(request, input, members, ARRAY_LEN(members), get_config);
}

static int list_configs(struct api *api, json_t **ret)
{
	auto_free char *after = NULL;
	int r = api_page_start(api, "configs", &after);
	if (r < 0)
		return r;
	json_t *names = json_array();
	const struct sched_config *config;
	for (size_t i = 0; (config = sched_config_builtin(i)); i++)
		if (strcmp(config->name, after) > 0)
			json_array_append_new(names, json_string(config->name));
	*ret = json_pack("{s:o}", "deploymentConfigsList", names);
	return 0;
}

void api_list_deployment_configs(struct request *request, const json_t *input)
{
	static const struct api_member members[] = {API_NEXT_TOKEN};
	api_run(request, input, members, ARRAY_LEN(members), list_configs);
}
