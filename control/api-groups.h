/* SPDX-License-Identifier: Apache-2.0 */
/* What several api-*.c files need of groups, revisions and configurations. */
#pragma once

#include "control/api-check.h"

/* api-applications.c: end the deployment that runs in a group, if there is one. */
int api_end_active(struct api *api, const char *group_id, const char *code,
		   const char *message) MUST_CHECK;

/* api-groups-check.c: the settings of a deployment group that are kept (store_group.settings),
 * taken from the input and checked. Caller releases. */
int api_group_settings(struct api *api, json_t **ret) MUST_CHECK;
/* An autoRollbackConfiguration or alarmConfiguration of an input; absent ones are good. */
int api_check_rollback(struct api *api, const json_t *config) MUST_CHECK;
int api_check_alarms(struct api *api, const json_t *config) MUST_CHECK;
/* [{"Key","Value","Type"}] of at most ten. */
int api_check_filters(struct api *api, const json_t *filters, const char *invalid) MUST_CHECK;

/* api-configs.c: by the name in the input's deploymentConfigName, or def when that is absent. */
int api_find_config(struct api *api, const char *def, const struct sched_config **ret) MUST_CHECK;

/* api-revisions.c: the input's revision, checked, and written in the one way in which revisions are
 * compared. */
struct api_revision {
	json_t *location; /* owned */
	char *text;       /* owned: the same as text */
	/* of an S3 location, borrowed from location; NULL otherwise or when absent */
	const char *bucket, *key, *version, *etag;
};
void api_revision_clear(struct api_revision *revision);
#define auto_api_revision CLEANUP(api_revision_clear)
int api_read_revision(struct api *api, struct api_revision *ret) MUST_CHECK;
/* The same of another RevisionLocation. */
int api_read_location(struct api *api, const json_t *location, struct api_revision *ret) MUST_CHECK;
