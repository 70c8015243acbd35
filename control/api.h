/* SPDX-License-Identifier: Apache-2.0 */
/* Every handler, for the table in route.c. Each is described where it is defined. */
#pragma once

#include "control/route.h"

/* api-enroll.c */
api_fn api_enroll, api_renew;

/* api-s3.c */
route_fn api_s3;

/* The management API: api-applications.c, api-groups.c, api-configs.c, api-revisions.c,
 * api-deployments.c, api-targets.c, api-hosts.c */
api_fn api_create_application, api_get_application, api_batch_get_applications,
	api_list_applications, api_delete_application;
api_fn api_create_deployment_group, api_update_deployment_group, api_get_deployment_group,
	api_batch_get_deployment_groups, api_list_deployment_groups, api_delete_deployment_group;
api_fn api_get_deployment_config, api_list_deployment_configs;
api_fn api_register_application_revision, api_get_application_revision,
	api_batch_get_application_revisions, api_list_application_revisions;
api_fn api_create_deployment, api_get_deployment, api_batch_get_deployments, api_list_deployments,
	api_stop_deployment;
api_fn api_get_deployment_target, api_batch_get_deployment_targets, api_list_deployment_targets;
api_fn api_get_on_premises_instance, api_batch_get_on_premises_instances,
	api_list_on_premises_instances, api_add_tags_to_on_premises_instances,
	api_remove_tags_from_on_premises_instances;

/* The command API: api-commands.c */
api_fn api_poll_host_command, api_get_deployment_specification,
	api_put_host_command_acknowledgement, api_post_host_command_update,
	api_put_host_command_complete;
